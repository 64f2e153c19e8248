"""One run at a time on a thread, in the order of acceptance, however many threads share how few processes."""

import asyncio
from itertools import pairwise
from uuid import uuid4

from tests.system.calls import create, join

THREADS = 40
RUNS = 3


async def test_forty_threads_on_four_slots_all_finish_each_in_order_and_one_at_a_time(http):
    threads = [str(uuid4()) for _ in range(THREADS)]
    first = {"assistant_id": "ticking", "input": {"seconds": 0.1}, "if_not_exists": "create"}
    accepted = dict(zip(threads, await asyncio.gather(*(enqueued(http, one, first) for one in threads)), strict=True))
    for thread_id, run_ids in accepted.items():
        spans = (await join(http, thread_id, run_ids[-1]))["spans"]
        assert len(spans) == RUNS
        assert all(ended <= began for (_, ended), (began, _) in pairwise(spans)), spans
        runs = (await http.get(f"/threads/{thread_id}/runs")).json()
        assert [run["run_id"] for run in runs] == run_ids[::-1]
        assert {run["status"] for run in runs} == {"success"}
        finished = [run["updated_at"] for run in reversed(runs)]
        assert finished == sorted(finished)


async def enqueued(http, thread_id, body):
    """Several runs, each accepted before the next is sent; odd ones through the other door."""
    doors = ["" if number % 2 else "/api" for number in range(RUNS)]
    return [await create(http, door, thread_id, **body, multitask_strategy="enqueue") for door in doors]


async def test_a_thread_is_never_in_two_slots_while_others_push_it_out(http, new_id):
    """Each of its runs comes when all slots are taken by others, so that it moves from slot to slot."""
    body = {"assistant_id": "counting", "if_not_exists": "create", "multitask_strategy": "enqueue"}
    run_ids = []
    for name in "abcd":
        run_ids.append(await create(http, "", new_id, **body, input={"run": name}))
        await asyncio.gather(*(create(http, "", str(uuid4()), **body, input={"run": "x"}) for _ in range(6)))
    assert (await join(http, new_id, run_ids[-1]))["order"] == list("abcd")
