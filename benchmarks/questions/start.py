"""How long does `treadle dev` take until it answers `/ok`, and `treadle --help` until it has been printed?"""

import asyncio
from time import perf_counter

from benchmarks import servers
from benchmarks.figures import Figure, Unit, middle
from benchmarks.load import Plan
from benchmarks.servers import Needs, Pool
from benchmarks.subject import MeasuringError

NEEDS = Needs.NOTHING

STARTS = 3
HELPS = 5


async def ask(_: object, plan: Plan) -> list[Figure]:
    starts = [await _started() for _ in range(plan.part_of(STARTS))]
    helps = [await _helped() for _ in range(HELPS)]
    return [
        middle("treadle dev to /ok", Unit.SECONDS, starts),
        middle("treadle --help", Unit.SECONDS, helps),
    ]


async def _started() -> float:
    """With as many warm slots as there are by default."""
    began = perf_counter()
    async with servers.treadle(Pool(2, 10)):
        return perf_counter() - began


async def _helped() -> float:
    began = perf_counter()
    process = await asyncio.create_subprocess_exec(
        str(servers.OURS / "treadle"), "--help", stdout=asyncio.subprocess.DEVNULL
    )
    if await process.wait():
        raise MeasuringError("treadle --help fails.")
    return perf_counter() - began
