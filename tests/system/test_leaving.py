"""A client that leaves before its run has ended: who started the run has a say in what becomes of it, who joined has
one only where it asks for it."""

import asyncio

import httpx
import pytest

from tests.system.calls import cancel, create, join, last_run, read


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


SOON = 20
"""Seconds; a third of those for which the node says nothing."""


@pytest.mark.parametrize("verb", ["stream", "wait"])
async def test_a_run_that_is_silent_ends_when_its_creator_leaves(http, prefix, thread_id, verb):
    """At the gateway that needs no asking. Its other reader is told the end long before anything else is said."""
    body = {"assistant_id": "slow", "input": {"seconds": 60}} | ({} if prefix else {"on_disconnect": "cancel"})
    async with http.stream("POST", f"{prefix}/threads/{thread_id}/runs/{verb}", json=body) as creating:
        run_id = creating.headers["content-location"].rpartition("/")[2]
        async with http.stream("GET", f"{prefix}/threads/{thread_id}/runs/{run_id}/stream") as reader:
            lines = reader.aiter_lines()
            await reached(lines, "event: values")
            await creating.aclose()
            async with asyncio.timeout(SOON):
                await reached(lines, "event: end")
    assert (await read(http, thread_id, run_id))["status"] == "interrupted"
    shown = (await http.get(f"/threads/{thread_id}/runs/{run_id}")).json()
    assert shown["cancel_reason"] == "client disconnected from the run stream (on_disconnect=cancel)"


async def reached(lines, line):
    async for each in lines:
        if each == line:
            return
    raise AssertionError(f"the stream ended without {line!r}")


@pytest.mark.parametrize("verb", ["stream", "wait"])
async def test_a_run_that_waits_in_line_ends_when_its_creator_leaves_and_the_other_goes_on(
    http, prefix, thread_id, verb
):
    first = await running(http, prefix, thread_id, 60)
    body = {"assistant_id": "slow", "input": {"seconds": 0}}
    more = {"on_disconnect": "cancel", "multitask_strategy": "enqueue"}
    async with http.stream("POST", f"{prefix}/threads/{thread_id}/runs/{verb}", json=body | more) as creating:
        run_id = creating.headers["content-location"].rpartition("/")[2]
    async with asyncio.timeout(SOON):
        await join(http, thread_id, run_id)
    waited, works = await read(http, thread_id, run_id), await read(http, thread_id, first)
    assert (waited["status"], waited["attempt"], works["status"]) == ("interrupted", 0, "running")
    await cancel(http, prefix, thread_id, first)


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
