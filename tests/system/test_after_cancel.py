"""A thread is usable after a cancel: calls of tools that it left without a result get one with the next input."""

import asyncio

import pytest

from tests.system.calls import HELLO, cancel, last_run, wait

BYE = {"messages": [{"role": "user", "content": "bye"}]}


async def at_work(http, prefix, thread_id, given):
    """A run whose tool is at work, with the checkpoint of its call written."""
    more = {"stream_mode": "custom", "durability": "sync", "on_disconnect": "continue"}
    body = {"assistant_id": "calling", "input": given, **more}
    async with asyncio.timeout(30), http.stream("POST", f"{prefix}/threads/{thread_id}/runs/stream", json=body) as said:
        async for line in said.aiter_lines():
            if "at work" in line:
                break
    return (await last_run(http, prefix, thread_id))["run_id"]


async def said(http, thread_id):
    values = (await http.get(f"/threads/{thread_id}/state")).json()["values"]
    return (values or {}).get("messages", [])


@pytest.fixture
async def cancelled(http, prefix, thread_id):
    """A thread whose last run was cancelled while a tool that it had called was at work."""
    run_id = await at_work(http, prefix, thread_id, HELLO)
    assert (await cancel(http, prefix, thread_id, run_id)).is_success
    return thread_id


async def test_an_input_after_a_cancel_comes_behind_an_answer_to_the_call(http, prefix, cancelled):
    values = await wait(http, prefix, cancelled, assistant_id="calling", input=BYE)
    hello, call, answer, bye, good_bye = values["messages"]
    assert [hello["content"], bye["content"], good_bye["content"]] == ["hello", "bye", "Good bye."]
    assert answer["type"] == "tool"
    assert answer["tool_call_id"] == call["tool_calls"][0]["id"]
    assert "interrupted" in answer["content"]


async def test_a_run_without_input_after_a_cancel_makes_the_call_again(http, prefix, cancelled):
    before = await said(http, cancelled)
    run_id = await at_work(http, prefix, cancelled, None)
    assert (await cancel(http, prefix, cancelled, run_id)).is_success
    assert await said(http, cancelled) == before


async def test_an_input_at_a_checkpoint_before_the_call_needs_no_answer(http, prefix, cancelled):
    history = (await http.get(f"/threads/{cancelled}/history", params={"limit": 10})).json()
    before = next(state["checkpoint"] for state in history if state["next"] == ["model"])
    values = await wait(http, prefix, cancelled, assistant_id="calling", input=BYE, checkpoint=before)
    assert [message["content"] for message in values["messages"]] == ["hello", "bye", "Good bye."]
