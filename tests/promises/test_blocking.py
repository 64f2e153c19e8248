"""A node that blocks its loop holds up itself alone: neither reads of its run, nor other threads, nor a cancel."""

import asyncio
import time
from collections.abc import AsyncIterator
from itertools import pairwise

import psutil
import pytest

from tests.system.calls import create, read, wait

TRIES = 3
"""A promise in milliseconds is kept if it can be seen kept once: the machine has other work too."""

GRACE = 2.0
BLOCK = {"assistant_id": "blocking", "input": {"seconds": 3}, "if_not_exists": "create"}


@pytest.fixture
async def blocked(http, new_id) -> AsyncIterator[str]:
    """The path of a run whose node blocks its loop for three seconds, on a thread that had a slot already."""
    await wait(http, "", new_id, assistant_id="ticking", input={"seconds": 0}, if_not_exists="create")
    run_id = await create(http, "", new_id, **BLOCK)
    yield f"/threads/{new_id}/runs/{run_id}"
    await http.get(f"/threads/{new_id}/runs/{run_id}/join")


async def longest_read(http, path):
    """Seconds that the slowest of the reads took, of as many as fit into a part of the block."""
    until, longest = time.perf_counter() + 0.7, 0.0
    while (began := time.perf_counter()) < until:
        run = (await http.get(path)).json()
        longest = max(longest, time.perf_counter() - began)
        assert run["status"] == "running"
    return longest


async def best_of(tries, measured, bound):
    seen = []
    for _ in range(tries):
        seen.append(await measured())
        if seen[-1] < bound:
            return
    raise AssertionError(f"not once below {bound} s: {seen}")


async def test_reads_of_a_blocked_run_take_no_longer_than_a_fifth_of_a_second(http, prefix, blocked):
    await best_of(TRIES, lambda: longest_read(http, prefix + blocked), 0.2)


async def test_the_state_of_a_blocked_thread_can_be_read(http, blocked):
    thread = blocked.partition("/runs/")[0]
    began = time.perf_counter()
    assert (await http.get(thread)).json()["status"] == "busy"
    assert (await http.get(f"{thread}/state")).status_code == 200
    assert time.perf_counter() - began < 2
    assert (await http.get(blocked)).json()["status"] == "running"


async def longest_gap(http, thread_id):
    """Seconds of the longest silence in a stream that speaks each 50 ms."""
    body = {"assistant_id": "ticking", "input": {"seconds": 1.5}, "stream_mode": "custom"}
    heard = []
    async with http.stream("POST", f"/threads/{thread_id}/runs/stream", json=body) as answer:
        async for chunk in answer.aiter_raw():
            heard += [time.perf_counter()] * (b"tick" in chunk)
    assert len(heard) >= 10
    return max(later - earlier for earlier, later in pairwise(heard))


async def test_another_threads_stream_goes_on_without_a_gap(http, thread_id, new_id):
    await wait(http, "", thread_id, assistant_id="ticking", input={"seconds": 0})  # has its slot

    async def beside_a_block():
        run_id = await create(http, "", new_id, **BLOCK)
        longest = await longest_gap(http, thread_id)
        assert (await http.get(f"/threads/{new_id}/runs/{run_id}")).json()["status"] == "running"
        await http.get(f"/threads/{new_id}/runs/{run_id}/join")
        return longest

    await best_of(TRIES, beside_a_block, 0.25)


async def test_a_cancel_ends_a_run_whose_node_never_yields_and_the_thread_goes_on_elsewhere(http, server, new_id):
    body = {"assistant_id": "blocking", "input": {"seconds": 60}, "if_not_exists": "create"}
    run_id = await create(http, "", new_id, **body)
    reader = asyncio.ensure_future(http.get(f"/api/threads/{new_id}/runs/{run_id}/stream"))
    before, began = server.actors("Slot"), time.perf_counter()
    answer = await http.post(f"/threads/{new_id}/runs/{run_id}/cancel", params={"wait": "true"})
    assert (answer.status_code, answer.json()) == (200, {})
    assert GRACE <= time.perf_counter() - began < GRACE + 2
    run = await read(http, new_id, run_id)
    assert (run["status"], run["error"]) == ("interrupted", None)
    assert (await asyncio.wait_for(reader, 2)).content.endswith(b"event: end\ndata: null\n\n")
    after = await wait(http, "", new_id, assistant_id="slow", input={"seconds": 0})
    assert after["done"] is True
    gone, _ = psutil.wait_procs(before, timeout=5, callback=None)
    assert len(gone) == 1
