"""A client that leaves before its run has ended: who started the run has a say in what becomes of it, who joined has
one only where it asks for it."""

import asyncio

import httpx
import pytest

from tests.system.calls import create, join, last_run, read


async def leave(http: httpx.AsyncClient, method: str, path: str, **more) -> None:
    """Ask, wait until the answer has begun, and hang up."""
    async with http.stream(method, path, **more) as answer:
        assert answer.status_code == 200


async def running(http, prefix, thread_id, seconds):
    """A run that nobody follows, and that goes on whoever leaves."""
    body = {"assistant_id": "slow", "input": {"seconds": seconds}, "on_disconnect": "continue"}
    return await create(http, prefix, thread_id, **body)


async def test_who_waits_for_its_run_ends_it_by_leaving(http, prefix, thread_id):
    body = {"assistant_id": "slow", "input": {"seconds": 60}, "on_disconnect": "cancel"}
    await leave(http, "POST", f"{prefix}/threads/{thread_id}/runs/wait", json=body)
    run = await last_run(http, "", thread_id)
    async with asyncio.timeout(30):
        await join(http, thread_id, run["run_id"])
    assert (await read(http, thread_id, run["run_id"]))["status"] == "interrupted"


async def test_who_waits_for_its_run_may_leave_it_alone(http, prefix, thread_id):
    body = {"assistant_id": "slow", "input": {"seconds": 1}, "on_disconnect": "continue"}
    await leave(http, "POST", f"{prefix}/threads/{thread_id}/runs/wait", json=body)
    run = await last_run(http, "", thread_id)
    await join(http, thread_id, run["run_id"])
    assert (await read(http, thread_id, run["run_id"]))["status"] == "success"


@pytest.mark.parametrize("end", ["stream", "join"])
async def test_who_joined_a_run_ends_it_by_leaving_if_it_asked_to(http, prefix, thread_id, end):
    run_id = await running(http, prefix, thread_id, 60)
    path = f"{prefix}/threads/{thread_id}/runs/{run_id}/{end}"
    await leave(http, "GET", path, params={"cancel_on_disconnect": "true"})
    async with asyncio.timeout(30):
        await join(http, thread_id, run_id)
    assert (await read(http, thread_id, run_id))["status"] == "interrupted"


@pytest.mark.parametrize("end", ["stream", "join"])
async def test_who_joined_a_run_may_leave_it_unharmed(http, prefix, thread_id, end):
    run_id = await running(http, prefix, thread_id, 1)
    await leave(http, "GET", f"{prefix}/threads/{thread_id}/runs/{run_id}/{end}")
    await join(http, thread_id, run_id)
    assert (await read(http, thread_id, run_id))["status"] == "success"


async def test_feedback_keys_are_kept_with_the_run(http, prefix, thread_id):
    body = {"assistant_id": "echo", "input": {"messages": []}, "feedback_keys": ["helpful", "kind"]}
    run_id = await create(http, prefix, thread_id, **body)
    run = (await http.get(f"{prefix}/threads/{thread_id}/runs/{run_id}")).json()
    assert run["kwargs"]["feedback_keys"] == ["helpful", "kind"]
    await join(http, thread_id, run_id)
