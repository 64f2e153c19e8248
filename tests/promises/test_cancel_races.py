"""A thousand cancels that race with the starts and the ends of runs: each run ends once, as its cancel was told."""

import asyncio
from itertools import cycle, islice, product
from uuid import uuid4

import httpx
import pytest

from storage.records import CancelAction
from tests.system.calls import wait
from tests.system.sse import parse

THREADS = 20
TOGETHER = 10
"""Runs that wait on a thread at once."""

ROUNDS = 5
MOMENTS = (0, 1, 2)
"""When the cancel comes: at once, with the first values of the run, or with the last, while its end is written down."""

PLANS = list(product(MOMENTS, CancelAction, ["", "/api"], ["", "/api"], [False, True]))
BODY = {"assistant_id": "slow", "input": {"seconds": 0}, "multitask_strategy": "enqueue", "if_not_exists": "create"}


@pytest.fixture
async def http(server):
    limits = httpx.Limits(max_connections=2 * THREADS * TOGETHER, keepalive_expiry=1)  # the server lets go after five
    async with httpx.AsyncClient(base_url=server.url, timeout=60, limits=limits) as client:
        yield client


async def test_each_run_ends_once_as_its_cancel_was_told_and_its_thread_goes_on(http):
    plans = cycle(PLANS)
    threads = {str(uuid4()): list(islice(plans, ROUNDS * TOGETHER)) for _ in range(THREADS)}
    told = await asyncio.gather(*(on_a_thread(http, *each) for each in threads.items()))
    for thread_id, statuses in zip(threads, told, strict=True):
        assert {run["run_id"]: run["status"] for run in await rows(http, thread_id, 1000)} == statuses
        assert (await wait(http, "", thread_id, **BODY))["done"] is True
        assert (await http.get(f"/threads/{thread_id}")).json()["status"] == "idle"


async def rows(http, thread_id, limit):
    """The newest runs."""
    return (await http.get(f"/api/threads/{thread_id}/runs", params={"limit": limit})).json()


async def on_a_thread(http, thread_id, plans):
    """How its runs ended, as was told when they did."""
    found = {}
    for start in range(0, len(plans), TOGETHER):
        together = plans[start : start + TOGETHER]
        told = dict(await asyncio.gather(*(cancelled(http, thread_id, *plan) for plan in together)))
        for run in await rows(http, thread_id, TOGETHER):
            agree(run, *told[run["run_id"]])
            found[run["run_id"]] = run["status"]
    return found


async def cancelled(http, thread_id, moment, action, prefix, door, patient):  # noqa: PLR0913, PLR0917 - a plan
    """A run, and what its stream and its cancel have told of it."""
    body = {**BODY, "on_disconnect": "continue"}
    async with http.stream("POST", f"{prefix}/threads/{thread_id}/runs/stream", json=body) as answer:
        run_id = answer.headers["content-location"].rpartition("/")[2]
        content = answer.aiter_bytes()
        said = await until_values(content, moment)
        path = f"{door}/threads/{thread_id}/runs/{run_id}/cancel"
        cancel = asyncio.create_task(http.post(path, params={"action": action, "wait": str(int(patient))}))
        said += b"".join([chunk async for chunk in content])
    end = parse(said, prefix)[-1]
    assert end.name == "end"
    return run_id, (end.data and end.data["status"], await cancel, door, patient, action)


async def until_values(content, count):
    """What is said until values were said so often, or until the end."""
    said = b""
    while said.count(b"event: values") < count and (chunk := await anext(content, None)):
        said += chunk
    return said


def agree(run, told, answer, door, patient, action):  # noqa: PLR0913, PLR0917 - what was told
    """With the row: the end of the stream, and by the table of `spec/gateway.md` §7 the answer to the cancel."""
    assert told in {None, "rollback" if run["error"] else run["status"]}
    ended = {"interrupt": ("interrupted", None), "rollback": ("error", "Rolled back by user")}[action]
    if answer.is_success:
        expected = (204 if door else 200) if patient else 202
        assert (answer.status_code, run["status"], run["error"]) == (expected, *ended)
    else:
        assert (answer.status_code, run["status"]) == (409 if door else 404, "success"), answer.text
        assert not door or answer.json()["detail"] == f"Run {run['run_id']} is not cancellable (status: success)"
