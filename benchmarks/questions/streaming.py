"""How many events a second reach 1, 10 and 32 clients, each of which streams replies of 200 tokens, one after another?

Every reply has a thread of its own, created within the time. Stream mode `messages-tuple`.
"""

from benchmarks.figures import Figure, Unit
from benchmarks.load import Load, Plan, streamed_reply, together
from benchmarks.subject import Subject

CLIENTS = (1, 10, 32)


async def ask(subject: Subject, plan: Plan) -> list[Figure]:
    loads = {clients: await together(subject, clients, plan, streamed_reply) for clients in CLIENTS}
    return [*(_rate(clients, load) for clients, load in loads.items()), _size(loads[CLIENTS[-1]])]


def _rate(clients: int, load: Load) -> Figure:
    return Figure(
        name=f"clients: {clients}", unit=Unit.EVENTS, value=load.events / load.seconds, samples=len(load.readings)
    )


def _size(load: Load) -> Figure:
    size = sum(reading.bytes for reading in load.readings)
    return Figure(name="size of an event", unit=Unit.BYTES, value=size / load.events, samples=load.events)
