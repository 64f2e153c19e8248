"""What was said on a thread, what happened in its runs, and what that took: read as it was recorded."""

import asyncio
from itertools import pairwise
from uuid import uuid4

import pytest

from tests.system.calls import cancel, create, join, read, stream, wait

UNKNOWN = "00000000-0000-4000-8000-000000000000"


def say(text, **more):
    return {"assistant_id": "toolbox", "input": {"messages": [{"role": "user", "content": text}]}, **more}


async def get(http, thread_id, path, **params):
    answer = await http.get(f"/api/threads/{thread_id}/{path}", params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def messages_of(http, thread_id, **params):
    return await get(http, thread_id, "messages", **params)


async def events_of(http, thread_id, run_id, **params):
    return await get(http, thread_id, f"runs/{run_id}/events", **params)


async def usage_of(http, thread_id, **params):
    return await get(http, thread_id, "token-usage", **params)


async def ran(http, thread_id, text, **more):
    """A run that has ended."""
    run_id = await create(http, "/api", thread_id, **say(text, **more))
    await join(http, thread_id, run_id)
    return run_id


async def said(http, thread_id, run_id, what):
    """Return when the run says this, or has ended."""
    async with http.stream("GET", f"/api/threads/{thread_id}/runs/{run_id}/stream") as answer:
        async for line in answer.aiter_lines():
            if line.startswith("data: ") and what in line:
                return


def numbers(rows):
    return [row["seq"] for row in rows]


def kinds(rows):
    return [(row["event_type"], row["content"]["content"]) for row in rows]


# Messages


async def test_a_run_with_tools_leaves_human_ai_and_tool_rows_in_order(http, new_id):
    run_id = await ran(http, new_id, "look note")
    rows = await messages_of(http, new_id)
    human, first, *results, last = kinds(rows)
    assert (human, first) == (("llm.human.input", "look note"), ("llm.ai.response", ""))
    # The tools run side by side.
    assert sorted(results) == [("llm.tool.result", "found"), ("llm.tool.result", "noted")]
    assert last == ("llm.ai.response", "All done.")
    assert [set(row) for row in rows] == [
        {"thread_id", "run_id", "event_type", "category", "content", "metadata", "seq", "created_at", "feedback"}
    ] * 5
    assert {(row["thread_id"], row["run_id"], row["category"], row["feedback"]) for row in rows} == {
        (new_id, run_id, "message", None)
    }
    answer = rows[-1]
    assert answer["metadata"]["caller"] == "lead_agent"
    assert answer["metadata"]["usage"]["total_tokens"] > 0
    assert answer["content"]["response_metadata"]["model_name"] == "large"
    assert answer["created_at"].endswith("+00:00")


async def test_what_subagents_and_middleware_say_is_an_event_and_no_message(http, new_id):
    run_id = await ran(http, new_id, "look")
    shown = {row["metadata"]["caller"] for row in await messages_of(http, new_id)}
    events = await events_of(http, new_id, run_id)
    callers = {row["metadata"]["caller"] for row in events if row["event_type"] == "llm.ai.response"}
    assert (shown, callers) == ({"lead_agent"}, {"lead_agent", "subagent:helper", "middleware:title"})
    assert [row["content"]["action"] for row in events if row["event_type"] == "middleware:title"] == ["set"]
    assert all("feedback" not in row for row in events)


async def test_a_run_begins_once_and_is_closed_once(http, new_id):
    run_id = await ran(http, new_id, "look")
    events = await events_of(http, new_id, run_id)
    assert numbers(events) == list(range(1, len(events) + 1))
    assert [row["event_type"] for row in events if row["event_type"].startswith("run.")] == ["run.start", "run.end"]


async def test_pages_lead_through_all_runs_in_both_directions(http, new_id):
    first, second = await ran(http, new_id, "look"), await ran(http, new_id, "note")
    everything = await messages_of(http, new_id)
    assert [row["run_id"] for row in everything] == [first] * 4 + [second] * 4
    assert all(one < other for one, other in pairwise(numbers(everything)))
    assert await messages_of(http, new_id, limit=3) == everything[-3:]
    assert await messages_of(http, new_id, limit=3, before_seq=everything[-3]["seq"]) == everything[2:5]
    assert await messages_of(http, new_id, limit=3, after_seq=everything[1]["seq"]) == everything[2:5]
    between = {"after_seq": everything[0]["seq"], "before_seq": everything[3]["seq"]}
    assert await messages_of(http, new_id, **between) == everything[1:3]
    assert await messages_of(http, new_id, before_seq=0) == []
    assert await messages_of(http, new_id, after_seq=10**60) == []


async def test_a_page_of_a_run_says_exactly_whether_there_is_another(http, new_id):
    await ran(http, new_id, "look")
    run_id = await ran(http, new_id, "look note")
    rows = [row for row in await messages_of(http, new_id) if row["run_id"] == run_id]
    bare = [{name: value for name, value in row.items() if name != "feedback"} for row in rows]
    at = numbers(rows)

    async def page(**params):
        found = await get(http, new_id, f"runs/{run_id}/messages", **params)
        return found["data"], found["has_more"]

    assert await page() == (bare, False)
    assert await page(limit=5) == (bare, False)
    assert await page(limit=4) == (bare[1:], True)
    assert await page(limit=2, before_seq=at[2]) == (bare[:2], False)
    assert await page(limit=1, before_seq=at[2]) == (bare[1:2], True)
    assert await page(limit=2, after_seq=at[2]) == (bare[3:], False)
    assert await page(limit=1, after_seq=at[2]) == (bare[3:4], True)
    assert await page(limit=1, after_seq=at[0], before_seq=at[2]) == (bare[1:2], False)
    assert await page(after_seq=at[-1]) == ([], False)
    assert await page(before_seq=at[0]) == ([], False)


@pytest.mark.parametrize("path", ["messages", f"runs/{UNKNOWN}/messages", f"runs/{UNKNOWN}/events"])
@pytest.mark.parametrize(
    ("name", "value"),
    [("limit", "0"), ("limit", "2001"), ("limit", "x"), ("after_seq", "-1"), ("after_seq", "1.5")],
)
async def test_a_parameter_outside_its_limits_is_refused_by_name(http, new_id, path, name, value):
    answer = await http.get(f"/api/threads/{new_id}/{path}", params={name: value})
    assert (answer.status_code, [one["loc"] for one in answer.json()["detail"]]) == (422, [["query", name]])


@pytest.mark.parametrize("path", ["messages", f"runs/{UNKNOWN}/messages"])
@pytest.mark.parametrize(("name", "value"), [("limit", "201"), ("before_seq", "-1")])
async def test_messages_have_limits_of_their_own(http, new_id, path, name, value):
    answer = await http.get(f"/api/threads/{new_id}/{path}", params={name: value})
    assert (answer.status_code, [one["loc"] for one in answer.json()["detail"]]) == (422, [["query", name]])


@pytest.mark.parametrize("path", ["messages", "token-usage", f"runs/{UNKNOWN}/messages", f"runs/{UNKNOWN}/events"])
async def test_a_thread_id_of_the_wrong_form_is_refused(http, path):
    answer = await http.get(f"/api/threads/my thread/{path}")
    assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["path", "thread_id"])


@pytest.mark.parametrize("run_id", [UNKNOWN, "no-uuid"])
@pytest.mark.parametrize("path", ["messages", "events"])
async def test_an_unknown_run_is_not_found(http, new_id, path, run_id):
    answer = await http.get(f"/api/threads/{new_id}/runs/{run_id}/{path}")
    assert (answer.status_code, answer.json()) == (404, {"detail": f"Run {run_id} not found"})


@pytest.mark.parametrize("path", ["messages", "events"])
async def test_a_run_of_another_thread_is_not_found(http, new_id, thread_id, path):
    run_id = await ran(http, new_id, "look")
    answer = await http.get(f"/api/threads/{thread_id}/runs/{run_id}/{path}")
    assert (answer.status_code, answer.json()) == (404, {"detail": f"Run {run_id} not found"})


async def test_an_unknown_thread_has_no_messages_and_took_nothing(http, new_id):
    assert await messages_of(http, new_id) == []
    for given in ({}, {"include_active": "true"}):
        assert await usage_of(http, new_id, **given) == {
            "thread_id": new_id,
            "total_tokens": 0,
            "total_input_tokens": 0,
            "total_output_tokens": 0,
            "total_runs": 0,
            "by_model": {},
            "by_caller": {"lead_agent": 0, "subagent": 0, "middleware": 0},
        }


async def test_a_run_that_is_resumed_does_not_repeat_the_human_row(http, new_id):
    ask = {"assistant_id": "chat", "input": {"messages": [{"role": "user", "content": "approve it"}]}}
    await wait(http, "/api", new_id, **ask)
    assert await messages_of(http, new_id) == []
    await wait(http, "/api", new_id, **{**ask, "input": None, "command": {"resume": "yes"}})
    await wait(http, "/api", new_id, **{**ask, "input": None, "command": {"goto": "answer"}})
    rows = await messages_of(http, new_id)
    assert [row["event_type"] for row in rows] == ["llm.human.input", "llm.ai.response", "llm.ai.response"]


async def test_an_answer_that_is_cut_off_is_a_row_with_what_was_said(http, new_id):
    pace = {"configurable": {"pace": 0.1}}
    body = {"assistant_id": "chat", "input": {"messages": ["Tell me about tides."]}, "config": pace}
    run_id = await create(http, "/api", new_id, **body, stream_mode="messages-tuple")
    await said(http, new_id, run_id, "know")
    await cancel(http, "/api", new_id, run_id)
    human, answer = await messages_of(http, new_id)
    assert human["event_type"] == "llm.human.input"
    assert answer["metadata"]["partial"] is True
    text = answer["content"]["content"]
    assert text.startswith("I know ")
    whole = await wait(http, "/api", new_id, **body | {"config": None})
    assert len(text) < len(whole["messages"][-1]["content"])


async def test_rows_of_a_run_that_was_rolled_back_leave_the_messages_and_stay_events(http, new_id):
    kept = await ran(http, new_id, "look")
    undone = await create(http, "/api", new_id, **say("look wait", stream_mode="custom"))
    await said(http, new_id, undone, "waiting")
    path = f"/api/threads/{new_id}/runs/{undone}/cancel"
    assert (await http.post(path, params={"action": "rollback", "wait": "1"})).status_code == 204
    assert {row["run_id"] for row in await messages_of(http, new_id)} == {kept}
    assert await get(http, new_id, f"runs/{undone}/messages") == {"data": [], "has_more": False}
    events = await events_of(http, new_id, undone)
    assert {"llm.human.input", "llm.ai.response"} < {row["event_type"] for row in events}
    after = await ran(http, new_id, "note")
    assert numbers(await events_of(http, new_id, after))[0] > numbers(events)[-1]
    usage = await usage_of(http, new_id)
    totals = [(await read(http, new_id, run_id))["total_tokens"] for run_id in (kept, undone, after)]
    assert all(totals)
    assert (usage["total_runs"], usage["total_tokens"]) == (3, sum(totals))


async def test_threads_that_run_at_once_number_their_own_rows(http):
    threads = [str(uuid4()) for _ in range(4)]
    runs = await asyncio.gather(*(ran(http, thread_id, "look note") for thread_id in threads))
    found = [await events_of(http, thread_id, run_id) for thread_id, run_id in zip(threads, runs, strict=True)]
    assert [numbers(events) for events in found] == [list(range(1, len(found[0]) + 1))] * 4


# Events


async def test_events_are_filtered_by_types_and_lead_from_page_to_page(http, new_id):
    await ran(http, new_id, "look")
    run_id = await ran(http, new_id, "look note")
    events = await events_of(http, new_id, run_id)
    wanted = " llm.tool.result , ,run.end,"
    chosen = [row for row in events if row["event_type"] in {"llm.tool.result", "run.end"}]
    assert len(chosen) == 3
    assert await events_of(http, new_id, run_id, event_types=wanted) == chosen
    assert await events_of(http, new_id, run_id, event_types=wanted, after_seq=chosen[0]["seq"], limit=1) == chosen[1:2]
    assert await events_of(http, new_id, run_id, event_types=" , ") == events
    assert await events_of(http, new_id, run_id, event_types="[thoughts") == []
    walked: list = []
    while page := await events_of(http, new_id, run_id, limit=2, after_seq=walked[-1]["seq"] if walked else 0):
        walked += page
    assert walked == events


async def test_a_failed_run_is_closed_by_its_error(http, new_id):
    events = await stream(http, "/api", new_id, assistant_id="failing", input={"where": "first"})
    rows = await events_of(http, new_id, events[0].data["run_id"])
    assert [row["event_type"] for row in rows] == ["run.start", "run.error"]
    assert rows[-1]["content"] == "failed in first"


# Tokens


async def test_models_and_callers_add_up_over_runs_of_every_end(http, new_id):
    runs = [await ran(http, new_id, "look"), await ran(http, new_id, "talk")]
    runs.append(await create(http, "/api", new_id, **say("wait", stream_mode="custom")))
    await said(http, new_id, runs[-1], "waiting")
    await cancel(http, "/api", new_id, runs[-1])
    silent = {"assistant_id": "failing", "input": {"where": "first"}}
    runs.append((await stream(http, "/api", new_id, **silent))[0].data["run_id"])
    usage = await usage_of(http, new_id)
    assert usage["total_runs"] == 4
    assert usage["total_tokens"] == usage["total_input_tokens"] + usage["total_output_tokens"] > 0
    assert {model: one["runs"] for model, one in usage["by_model"].items()} == {"large": 3, "small": 3}
    assert sum(one["tokens"] for one in usage["by_model"].values()) == usage["total_tokens"]
    assert set(usage["by_caller"]) == {"lead_agent", "subagent", "middleware"}
    assert sum(usage["by_caller"].values()) == usage["total_tokens"]
    assert usage["by_caller"]["lead_agent"] == usage["by_model"]["large"]["tokens"]
    shown = [await read(http, new_id, run_id) for run_id in runs]
    assert [run["status"] for run in shown] == ["success", "success", "interrupted", "error"]
    for name in ("total_tokens", "total_input_tokens", "total_output_tokens"):
        assert sum(run[name] for run in shown) == usage[name]
    assert shown[-1]["total_tokens"] == 0


async def test_runs_in_progress_count_when_they_are_asked_for(http, new_id):
    ended = await ran(http, new_id, "look")
    before = await usage_of(http, new_id)
    running = await create(http, "/api", new_id, **say("wait", stream_mode="custom"))
    await said(http, new_id, running, "waiting")
    await create(http, "/api", new_id, **say("look", multitask_strategy="enqueue"))
    async with asyncio.timeout(10):  # what a running run has taken is told within a second
        while (active := await usage_of(http, new_id, include_active="yes"))["total_tokens"] == before["total_tokens"]:
            assert active["total_runs"] == 2
    assert await usage_of(http, new_id, include_active="0") == before
    assert before["total_tokens"] == (await read(http, new_id, ended))["total_tokens"]


async def test_a_flag_that_is_none_is_refused(http, new_id):
    answer = await http.get(f"/api/threads/{new_id}/token-usage", params={"include_active": "perhaps"})
    assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["query", "include_active"])


async def test_a_deleted_thread_has_nothing_and_a_new_one_of_its_id_begins_anew(http, thread_id):
    run_id = await ran(http, thread_id, "look")
    assert (await http.put(f"/api/threads/{thread_id}/runs/{run_id}/feedback", json={"rating": 1})).status_code == 200
    assert (await http.delete(f"/threads/{thread_id}")).status_code in {200, 204}
    assert await messages_of(http, thread_id) == []
    assert (await usage_of(http, thread_id))["total_runs"] == 0
    again = await ran(http, thread_id, "look")
    rows = await messages_of(http, thread_id)
    assert {row["run_id"] for row in rows} == {again}
    assert numbers(await events_of(http, thread_id, again))[0] == 1
    assert (await usage_of(http, thread_id))["total_runs"] == 1
