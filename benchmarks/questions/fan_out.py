"""What CPU does a further reader of a run cost, as a share of what the run costs with its first reader?

200 readers join one run that says 50 tokens a second for 4 s. Counted is what all of Treadle's processes use, less what
they use while nothing happens, from before the run until the last reader has its end.
"""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from time import perf_counter

from benchmarks.client import HttpClient
from benchmarks.figures import Figure, Unit, middle
from benchmarks.load import Plan, warm_up
from benchmarks.processes import OURS
from benchmarks.servers import Pool, Server
from benchmarks.workloads import PACED

NEEDS = Pool(4, 4)

READERS = 200
IDLE = 4.0
"""Seconds, for what they use while nothing happens."""


async def ask(server: Server, plan: Plan) -> list[Figure]:
    await warm_up(server)
    async with AsyncExitStack() as stack:
        readers = [await stack.enter_async_context(server.connect()) for _ in range(READERS)]
        for reader in readers:  # a connection is not what a reader of a run costs
            await reader.is_up()
        idle = await _idle(server)
        firsts: list[float] = []
        shares: list[float] = []
        for _ in plan.rounds(longer=4, at_most=3):
            first = await _used(server, readers[:1], idle)
            every = await _used(server, readers, idle)
            firsts.append(first)
            shares.append((every - first) / (READERS - 1) / first)
    return [
        middle("CPU of a further reader, of the first", Unit.PERCENT, [100 * share for share in shares]),
        middle("CPU of a run with one reader", Unit.MILLISECONDS, [1000 * first for first in firsts]),
    ]


async def _idle(server: Server) -> float:
    """Seconds of CPU a second."""
    began, before = perf_counter(), server.family.cpu(*OURS)
    await asyncio.sleep(IDLE)
    return (server.family.cpu(*OURS) - before) / (perf_counter() - began)


async def _used(server: Server, readers: Sequence[HttpClient], idle: float) -> float:
    """Seconds of CPU that a run has used with these readers."""
    first = readers[0]
    thread_id = await first.new_thread()
    began, before = perf_counter(), server.family.cpu(*OURS)
    run_id = await first.background(thread_id, PACED)
    await asyncio.gather(*(reader.join(thread_id, run_id, PACED) for reader in readers))
    return server.family.cpu(*OURS) - before - idle * (perf_counter() - began)
