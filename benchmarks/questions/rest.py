"""What does a thread cost that rests, and do 10,000 of them slow down the runs of others?

1,000 trivial runs, waited for by 5 clients, on 10 threads in turn and then on as many of 10,000, with four slots: so
that every run finds its thread at rest, whether there are ten or thousands. Memory is what is each process's own.
"""

import random
from itertools import cycle, islice
from time import perf_counter

from benchmarks.figures import Figure, Unit
from benchmarks.load import Plan, many_threads, share, warm_up
from benchmarks.processes import STAYING, Role
from benchmarks.servers import Pool, Server
from benchmarks.workloads import SEED, TRIVIAL

NEEDS = Pool(4, 4)

FEW, MANY, RUNS = 10, 10_000, 1_000
CLIENTS = 5
"""Half of the few threads: so nobody asks a thread that another one is asking."""


async def ask(server: Server, plan: Plan) -> list[Figure]:
    await warm_up(server)
    slots = server.family.memory(Role.SLOT)
    threads = await many_threads(server, FEW)
    figures = [
        Figure(name="private memory of an actor", unit=Unit.MEGABYTES, value=max(slots), samples=len(slots)),
        await _runs(server, threads, plan),
    ]
    before = sum(server.family.memory(*STAYING))
    threads += await many_threads(server, plan.part_of(MANY) - FEW)
    grown = (sum(server.family.memory(*STAYING)) - before) / (len(threads) - FEW)
    name = "private memory of a thread at rest"
    figures.append(Figure(name=name, unit=Unit.MEGABYTES, value=max(0, grown), samples=len(threads) - FEW))
    random.Random(SEED).shuffle(threads)
    figures.append(await _runs(server, threads, plan))
    return figures


async def _runs(server: Server, threads: list[str], plan: Plan) -> Figure:
    count = plan.part_of(RUNS)
    turns = islice(cycle(threads), count)
    began = perf_counter()
    await share(server, CLIENTS, turns, lambda client, thread_id: client.wait(thread_id, TRIVIAL))
    taken = perf_counter() - began
    return Figure(name=f"threads: {len(threads):,}", unit=Unit.RUNS, value=count / taken, samples=count)
