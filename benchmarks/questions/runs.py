"""How many runs of a trivial graph end in a second, with 1 client and with 10?

Every run has a thread of its own, created within the time. It is waited for, or streamed to its end.
"""

from benchmarks.figures import Figure, Unit
from benchmarks.load import Plan, Run, awaited_trivial, streamed_trivial, together
from benchmarks.subject import BARE, CEILING, PEER, Subject

BESIDE = (PEER, BARE, CEILING)

CLIENTS = (1, 10)
KINDS: dict[str, Run] = {"waited for": awaited_trivial, "streamed": streamed_trivial}


async def ask(subject: Subject, plan: Plan) -> list[Figure]:
    figures: list[Figure] = []
    for clients in CLIENTS:
        for kind, run in KINDS.items():
            load = await together(subject, clients, plan, run)
            name = f"clients: {clients}, {kind}"
            runs = len(load.readings)
            figures.append(Figure(name=name, unit=Unit.RUNS, value=runs / load.seconds, samples=runs))
    return figures
