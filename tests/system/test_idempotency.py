"""A request that is made again makes no second run: it is answered as the first was."""

import asyncio
from uuid import uuid4

import pytest

from tests.system.calls import join, wait
from tests.system.sse import parse
from tests.system.test_strategies import statuses, work


def named(name=None):
    return {"Idempotency-Key": name or str(uuid4())}


async def test_ten_requests_at_once_make_one_run(http, prefix, thread_id):
    body, headers = work("x", 0.2, multitask_strategy="enqueue"), named()
    path = f"{prefix}/threads/{thread_id}/runs"
    answers = await asyncio.gather(*(http.post(path, json=body, headers=headers) for _ in range(10)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["run_id"] for answer in answers}) == 1
    await join(http, thread_id, answers[0].json()["run_id"])
    assert await statuses(http, thread_id) == ["success"]


async def test_a_stream_is_told_again_from_its_start(http, prefix, thread_id):
    headers, path = named(), f"{prefix}/threads/{thread_id}/runs/stream"
    first = await http.post(path, json=work("x"), headers=headers)
    again = await http.post(path, json=work("x"), headers=headers)
    assert again.content == first.content
    assert again.headers["content-location"] == first.headers["content-location"]
    events = parse(first.content, prefix)
    assert events[-1].name == "end"
    assert await statuses(http, thread_id) == ["success"]


async def test_a_wait_gets_the_result_again_and_no_later_one(http, prefix, thread_id):
    headers, path = named(), f"{prefix}/threads/{thread_id}/runs/wait"
    first = await http.post(path, json=work("x"), headers=headers)
    await wait(http, prefix, thread_id, **work("later"))
    again = await http.post(path, json=work("x"), headers=headers)
    assert again.json() == first.json()
    assert len(await statuses(http, thread_id)) == 2


async def test_a_reject_is_answered_with_the_run_that_it_made(http, prefix, thread_id):
    headers, path = named(), f"{prefix}/threads/{thread_id}/runs"
    body = work("x", 60, multitask_strategy="reject")
    first, again = await http.post(path, json=body, headers=headers), await http.post(path, json=body, headers=headers)
    assert first.json()["run_id"] == again.json()["run_id"]
    assert (await http.post(path, json=body, headers=named())).status_code == 409


async def test_a_name_means_something_on_its_thread_only(http, prefix, thread_id):
    other = (await http.post("/threads", json={})).json()["thread_id"]
    headers = named("same")
    paths = [f"{prefix}/threads/{thread}/runs" for thread in (thread_id, other)]
    runs = [await http.post(path, json=work("x"), headers=headers) for path in paths]
    assert runs[0].json()["run_id"] != runs[1].json()["run_id"]


@pytest.mark.parametrize("name", ["", "two words", "x" * 256])
async def test_a_name_that_is_none_is_refused(http, prefix, thread_id, name):
    answer = await http.post(
        f"{prefix}/threads/{thread_id}/runs", json=work("x"), headers={"Idempotency-Key": name.encode()}
    )
    assert answer.status_code == 422
    assert await statuses(http, thread_id) == []
