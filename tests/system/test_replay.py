"""A stream can be taken up again from any event, at any time, by any number of readers: each gets the same bytes."""

import asyncio

import pytest

from tests.system.calls import HELLO, create, join, stream
from tests.system.sse import names, parse

TALK = {
    "assistant_id": "tokens",
    "stream_mode": ["values", "messages-tuple", "updates"],
    "input": {"messages": [{"role": "user", "content": "25"}]},
}


@pytest.fixture
async def told(http, prefix, thread_id):
    """A run that has ended: where its stream is, and what its creator was told."""
    body = {**TALK, "on_disconnect": "continue"}
    async with http.stream("POST", f"{prefix}/threads/{thread_id}/runs/stream", json=body) as answer:
        content = await answer.aread()
    return prefix + answer.headers["location"], content


async def test_a_replay_is_the_stream_byte_for_byte(http, told):
    path, content = told
    again = await http.get(path)
    assert again.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert again.content == content


async def test_after_each_event_the_rest_follows(http, prefix, told):
    path, content = told
    events = parse(content, prefix)
    for number, event in enumerate(events):
        if event.id is not None:
            rest = parse((await http.get(path, headers={"Last-Event-ID": event.id})).content, prefix)
            assert rest == events[number + 1 :]


@pytest.mark.parametrize("cursor", ["-1", "-", "0", "garbage", "1795358403512-999999999"])
async def test_a_cursor_that_is_not_of_this_run_begins_at_the_start(http, told, cursor):
    path, content = told
    assert (await http.get(path, headers={"Last-Event-ID": cursor})).content == content


async def test_a_cursor_of_another_run_begins_at_the_start(http, prefix, thread_id, told):
    path, content = told
    later = await stream(http, prefix, thread_id, **TALK)
    assert (await http.get(path, headers={"Last-Event-ID": later[1].id})).content == content


async def test_many_readers_get_the_same_while_it_runs(http, prefix, thread_id):
    body = {"assistant_id": "ticking", "input": {"seconds": 1.0}, "stream_mode": "custom"}
    run_id = await create(http, prefix, thread_id, **body)
    path = f"{prefix}/threads/{thread_id}/runs/{run_id}/stream"
    first, *others = [answer.content for answer in await asyncio.gather(*(http.get(path) for _ in range(20)))]
    assert all(other == first for other in others)
    assert names(parse(first, prefix))[-1] == "end"
    assert (await http.get(path)).content == first


async def test_a_filter_lets_through_what_was_asked_for_and_the_ends(http, prefix, told):
    path, content = told
    wanted = parse((await http.get(path, params={"stream_mode": "updates"})).content, prefix)
    assert wanted == [event for event in parse(content, prefix) if event.name in {"metadata", "updates", "end"}]


async def test_a_run_can_be_joined_after_its_thread_has_left_its_slot(http, prefix, thread_id):
    events = await stream(http, prefix, thread_id, **TALK)
    run_id = (await http.get(f"/threads/{thread_id}/runs")).json()[0]["run_id"]
    others = [(await http.post("/threads", json={})).json()["thread_id"] for _ in range(12)]  # on four slots
    runs = await asyncio.gather(*(create(http, prefix, other, assistant_id="echo", input=HELLO) for other in others))
    await asyncio.gather(*(join(http, other, run) for other, run in zip(others, runs, strict=True)))
    again = parse((await http.get(f"{prefix}/threads/{thread_id}/runs/{run_id}/stream")).content, prefix)
    assert again == events
