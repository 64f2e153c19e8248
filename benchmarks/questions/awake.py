"""How does memory grow with the threads that are awake at once, from none to 32?

Each of them streams a reply of 50 tokens a second. Memory is what is each process's own, of all the processes of a
server; Treadle starts its slots as they are wanted, and keeps one ready.
"""

import asyncio

from benchmarks.figures import Figure, Unit
from benchmarks.load import Plan, all_at_once, streamed_at_pace, together
from benchmarks.servers import Pool, Server
from benchmarks.subject import PEER
from benchmarks.workloads import PACE, TOKENS

BESIDE = (PEER,)
NEEDS = Pool(1, 32)
BY_NAME_ONLY = True

AWAKE = (0, 1, 2, 4, 8, 16, 32)


async def ask(server: Server, _: Plan) -> list[Figure]:
    return [await _memory(server, awake) for awake in AWAKE]


async def _memory(server: Server, awake: int) -> Figure:
    await all_at_once(server, awake)
    streams = asyncio.create_task(together(server, awake, Plan(runs=1), streamed_at_pace), name="streams")
    await asyncio.sleep(TOKENS * PACE / 2)  # in the middle of their replies
    used = server.family.memory()
    await streams
    return Figure(name=f"awake: {awake}", unit=Unit.MEGABYTES, value=sum(used), samples=len(used))
