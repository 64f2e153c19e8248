"""How do events a second, and the time until a reply's first event, change from 1 client to 256?

Each client streams replies of 200 tokens, one after another, on a new thread each, which is created within the time.
"""

from time import perf_counter

from benchmarks.figures import Figure, Unit, latency
from benchmarks.load import Plan, together
from benchmarks.subject import BARE, PEER, Client, Reading, Subject
from benchmarks.workloads import REPLY

BESIDE = (PEER, BARE)
BY_NAME_ONLY = True

CLIENTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


async def ask(subject: Subject, plan: Plan) -> list[Figure]:
    return [figure for clients in CLIENTS for figure in await _with(clients, subject, plan)]


async def _with(clients: int, subject: Subject, plan: Plan) -> list[Figure]:
    firsts: list[float] = []

    async def reply(client: Client) -> Reading:
        began = perf_counter()
        reading = await client.stream(await client.new_thread(), REPLY)
        assert reading.first, "a whole stream has events"
        firsts.append(reading.first - began)
        return reading

    load = await together(subject, clients, plan, reply)
    rate = load.events / load.seconds
    return [
        Figure(name=f"clients: {clients}", unit=Unit.EVENTS, value=rate, samples=len(firsts)),
        latency(f"clients: {clients}, first event", firsts),
    ]
