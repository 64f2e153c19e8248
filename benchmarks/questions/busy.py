"""While 32 clients stream 50 tokens a second each: how long from a model's token to its client's socket, and how long
until a background run is accepted?

The times of tokens are taken without background runs; then the same streams once more and for twice as long, beside one
client that creates a trivial background run every 50 ms, each on a thread that was made before.
"""

import asyncio
from time import perf_counter

from benchmarks.figures import Figure, latency
from benchmarks.load import Plan, all_at_once, streamed_at_pace, together
from benchmarks.servers import Pool, Server
from benchmarks.workloads import TRIVIAL

STREAMS = 32
NEEDS = Pool(34, 34)
"""One for each stream, and two for the background runs."""

EVERY = 0.05
"""Seconds between two background runs."""


async def ask(server: Server, plan: Plan) -> list[Figure]:
    await all_at_once(server, NEEDS.most)  # else the last slots start while the tokens are timed
    load = await together(server, STREAMS, plan, streamed_at_pace)
    delays = [delay for reading in load.readings for delay in reading.delays]
    longer = Plan(2 * plan.seconds, plan.runs)  # for more than a hundred background runs
    streams = asyncio.create_task(together(server, STREAMS, longer, streamed_at_pace), name="streams")
    accepted = await _accepted(server, streams)
    await streams
    return [
        latency(f"token to socket, {STREAMS} streams", delays),
        latency(f"background run accepted, {STREAMS} streams", accepted),
    ]


async def _accepted(server: Server, streams: asyncio.Task[object]) -> list[float]:
    """Seconds until each of the runs was accepted that were created while there were streams."""
    taken: list[float] = []
    async with server.connect() as client:
        while not streams.done():
            thread_id = await client.new_thread()
            began = perf_counter()
            await client.background(thread_id, TRIVIAL)
            taken.append(perf_counter() - began)
            await asyncio.sleep(EVERY)
    return taken
