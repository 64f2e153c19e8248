"""A cancel always ends the run, once, whatever it is doing; and what it leaves is what was asked for."""

import asyncio
from uuid import uuid4

import pytest

from tests.system.calls import cancel, create, join, read
from tests.system.sse import names, parse
from tests.system.test_strategies import done, statuses, work, working


async def post_cancel(http, prefix, thread_id, run_id, **params):
    return await http.post(f"{prefix}/threads/{thread_id}/runs/{run_id}/cancel", params=params)


async def test_a_wait_is_answered_when_the_run_has_ended_and_its_state_is_there(http, prefix, thread_id):
    run_id = await working(http, prefix, thread_id)
    answer = await post_cancel(http, prefix, thread_id, run_id, wait="1")
    assert (answer.status_code, answer.content.strip()) == ((204, b"") if prefix else (200, b"{}"))
    assert await statuses(http, thread_id) == ["interrupted"]
    assert await done(http, prefix, thread_id) == ["first: begun"]
    thread = (await http.get(f"/threads/{thread_id}")).json()
    reason = f"interrupt requested via POST /threads/{thread_id}/runs/{run_id}/cancel"
    assert (thread["status"], thread["error"]) == ("interrupted", {"error": "UserInterrupt", "message": reason})


async def test_it_is_202_without_a_body_at_once(http, prefix, thread_id):
    run_id = await working(http, prefix, thread_id)
    answer = await post_cancel(http, prefix, thread_id, run_id)
    assert (answer.status_code, answer.content) == (202, b"")
    await join(http, thread_id, run_id)
    assert await statuses(http, thread_id) == ["interrupted"]


async def test_a_run_that_is_being_stopped_is_still_in_the_way(http, prefix, thread_id):
    run_id = await create(http, prefix, thread_id, assistant_id="blocking", input={"seconds": 60})
    assert (await post_cancel(http, prefix, thread_id, run_id)).status_code == 202
    answer = await http.post(f"{prefix}/threads/{thread_id}/runs", json=work("x", multitask_strategy="reject"))
    assert answer.status_code == 409, "no more than one run at a time, also while it unwinds"
    await join(http, thread_id, run_id)
    assert await statuses(http, thread_id) == ["interrupted"]


async def test_twice_is_once_and_the_first_action_stays(http, prefix, thread_id):
    run_id = await working(http, prefix, thread_id)
    assert (await post_cancel(http, prefix, thread_id, run_id)).status_code == 202
    again = await post_cancel(http, prefix, thread_id, run_id, action="rollback")
    assert again.status_code in ({202} if prefix else {202, 404})  # it may have ended meanwhile
    await join(http, thread_id, run_id)
    assert await statuses(http, thread_id) == ["interrupted"]


@pytest.mark.parametrize("action", ["interrupt", "rollback"])
async def test_a_run_that_ended_by_a_cancel_can_be_cancelled_again_at_the_gateway(http, thread_id, action):
    run_id = await working(http, "/api", thread_id)
    assert (await post_cancel(http, "/api", thread_id, run_id, action=action, wait="1")).status_code == 204
    assert (await post_cancel(http, "/api", thread_id, run_id)).status_code == 202
    assert (await post_cancel(http, "/api", thread_id, run_id, wait="true")).status_code == 204


async def test_a_run_that_ended_by_itself_is_not_cancelled(http, prefix, thread_id):
    run_id = await create(http, prefix, thread_id, **work("x"))
    await join(http, thread_id, run_id)
    answer = await post_cancel(http, prefix, thread_id, run_id)
    assert answer.status_code == (409 if prefix else 404)
    if prefix:
        assert answer.json()["detail"] == f"Run {run_id} is not cancellable (status: success)"
    assert (await post_cancel(http, prefix, thread_id, run_id, action="pause")).status_code == 422
    assert (await post_cancel(http, prefix, thread_id, str(uuid4()))).status_code == 404


@pytest.mark.parametrize("action", ["interrupt", "rollback"])
async def test_a_run_that_waits_runs_no_code_and_the_thread_stays_busy(http, prefix, thread_id, action):
    first = await working(http, prefix, thread_id)
    waits = await create(http, prefix, thread_id, **work("waits", multitask_strategy="enqueue"))
    async with http.stream("GET", f"{prefix}/threads/{thread_id}/runs/{waits}/stream") as reader:
        await post_cancel(http, prefix, thread_id, waits, action=action, wait="1")
        assert names(parse(await reader.aread(), prefix)) == ["end"]
    run = await read(http, thread_id, waits)
    assert (run["attempt"], run["status"]) == (0, "error" if action == "rollback" else "interrupted")
    assert (await http.get(f"/threads/{thread_id}")).json()["status"] == "busy"
    await cancel(http, prefix, thread_id, first)
    assert await done(http, prefix, thread_id) == ["first: begun"]


async def test_a_run_that_is_not_due_can_be_cancelled(http, prefix, thread_id):
    run_id = await create(http, prefix, thread_id, **work("late", after_seconds=3600))
    await post_cancel(http, prefix, thread_id, run_id, wait="1")
    assert await statuses(http, thread_id) == ["interrupted"]


async def test_a_cancel_at_once_ends_the_run_and_frees_the_thread(http, prefix, thread_id):
    for _ in range(10):
        run_id = await create(http, prefix, thread_id, **work("x", 60))
        await post_cancel(http, prefix, thread_id, run_id, wait="1")
        assert (await read(http, thread_id, run_id))["status"] == "interrupted"
    assert (await http.get(f"/threads/{thread_id}")).json()["status"] in {"idle", "interrupted"}


async def test_a_cancel_that_races_with_the_end_leaves_one_final_status(http, prefix, thread_id):
    for _ in range(30):
        run_id = await create(http, prefix, thread_id, **work("x", multitask_strategy="enqueue"))
        await post_cancel(http, prefix, thread_id, run_id)
        await join(http, thread_id, run_id)
    assert set(await statuses(http, thread_id)) <= {"success", "interrupted"}
    assert (await http.get(f"/threads/{thread_id}")).json()["status"] != "busy"


@pytest.mark.parametrize("action", ["interrupt", "rollback"])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_stream_with_an_action_cancels_and_then_tells_the_end(http, thread_id, method, action):
    run_id = await working(http, "/api", thread_id)
    path = f"/api/threads/{thread_id}/runs/{run_id}/stream"
    events = parse((await http.request(method, path, params={"action": action})).content, "/api")
    assert names(events)[0] == "metadata"
    assert names(events)[-1] == "end"
    again = await http.request(method, path, params={"action": action, "wait": "1"})
    assert (again.status_code, again.content) == (204, b"")


async def test_many_runs_are_cancelled_at_once(http):
    threads = [(await http.post("/threads", json={})).json()["thread_id"] for _ in range(2)]
    runs = [await working(http, "", thread) for thread in threads]
    waits = await create(http, "", threads[0], **work("waits"))
    body = {"thread_id": threads[0], "run_ids": [runs[0], waits]}
    assert (await http.post("/runs/cancel", json=body)).status_code == 204
    await asyncio.gather(join(http, threads[0], runs[0]), join(http, threads[0], waits))
    assert await statuses(http, threads[0]) == ["interrupted", "interrupted"]
    assert (await http.get(f"/threads/{threads[1]}")).json()["status"] == "busy"
    assert (await http.post("/runs/cancel", json={"status": "all"}, params={"action": "rollback"})).status_code == 204
    await http.get(f"/api/threads/{threads[1]}/runs/{runs[1]}/join")
    assert (await http.get(f"/threads/{threads[1]}")).json()["status"] == "idle"
    assert (await http.post("/runs/cancel", json=body)).status_code == 404


@pytest.mark.parametrize("body", [{}, {"status": "done"}, {"thread_id": "x"}, {"status": "all", "run_ids": ["x"]}])
async def test_what_is_to_be_cancelled_has_to_be_said(http, body):
    assert (await http.post("/runs/cancel", json=body)).status_code == 422


async def test_a_run_is_deleted_with_its_checkpoints(http, prefix, thread_id):
    first = await create(http, prefix, thread_id, **work("first"))
    await join(http, thread_id, first)
    before = (await http.get(f"{prefix}/threads/{thread_id}/state")).json()
    second = await create(http, prefix, thread_id, **work("second"))
    await join(http, thread_id, second)
    assert (await http.delete(f"{prefix}/threads/{thread_id}/runs/{second}")).status_code == 204
    assert (await http.get(f"{prefix}/threads/{thread_id}/runs/{second}")).status_code == 404
    assert (await http.get(f"{prefix}/threads/{thread_id}/state")).json() == before
    running = await working(http, prefix, thread_id)
    assert (await http.delete(f"{prefix}/threads/{thread_id}/runs/{running}")).status_code == 204
    assert (await http.get(f"{prefix}/threads/{thread_id}/state")).json() == before
    assert (await http.get(f"/threads/{thread_id}")).json()["status"] == "idle"
