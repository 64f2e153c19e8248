"""How many events a second reach 1, 32 and 128 clients, each of which streams replies of 200 tokens, one after another?

Every reply has a thread of its own, created within the time. Stream mode `messages-tuple`. With 128, whoever is refused
or whose stream breaks off is counted; the gateway's CPU is taken with 32.
"""

from benchmarks.figures import Figure, Unit
from benchmarks.load import Load, Plan, streamed_reply, together
from benchmarks.processes import Family, Role
from benchmarks.subject import BARE, CEILING, PEER, Client, MeasuringError, Reading, Subject

BESIDE = (PEER, BARE, CEILING)

MOST = 128


async def ask(subject: Subject, plan: Plan) -> list[Figure]:
    alone = await together(subject, 1, plan, streamed_reply)
    before = _gateway(subject)
    many = await together(subject, 32, plan, streamed_reply)
    used = _gateway(subject) - before
    counting = _Counting()
    most = await together(subject, MOST, plan, counting.streamed_reply)
    figures = [_rate(1, alone), _rate(32, many), _rate(MOST, most), _size(many)]
    name = f"clients: {MOST}, refused or broken off"
    figures.append(Figure(name=name, unit=Unit.COUNT, value=counting.broken, samples=len(most.readings)))
    if used:
        value = 1e6 * used / many.events
        figures.append(Figure(name="gateway's CPU per event", unit=Unit.MICROSECONDS, value=value, samples=many.events))
    return figures


class _Counting:
    """Goes on where a run fails, which ends other measurements."""

    def __init__(self) -> None:
        self.broken = 0

    async def streamed_reply(self, client: Client) -> Reading:
        try:
            return await streamed_reply(client)
        except MeasuringError:
            self.broken += 1
            return Reading(None, None, 0, 0)


def _gateway(subject: Subject) -> float:
    """Seconds of CPU so far; 0 where there is no gateway apart from the rest."""
    family = subject.pid and Family(subject.pid)
    return family.cpu(Role.GATEWAY) if family and family.cpu(Role.SLOT) else 0


def _rate(clients: int, load: Load) -> Figure:
    return Figure(
        name=f"clients: {clients}", unit=Unit.EVENTS, value=load.events / load.seconds, samples=len(load.readings)
    )


def _size(load: Load) -> Figure:
    size = sum(reading.bytes for reading in load.readings)
    return Figure(name="size of an event", unit=Unit.BYTES, value=size / load.events, samples=load.events)
