"""Runs over real HTTP, in both dialects: created, streamed, waited for, read."""

import asyncio
from itertools import pairwise
from uuid import UUID, uuid4

import pytest

from tests.system.calls import HELLO, cancel, create, join, last_run, stream, wait
from tests.system.sse import names, parse
from tests.system.test_strategies import working


async def test_a_trivial_stream_is_metadata_values_end(http, prefix, thread_id):
    events = await stream(http, prefix, thread_id, assistant_id="echo", input=HELLO)
    assert names(events) == ["metadata", "values", "values", "end"]
    run = await last_run(http, prefix, thread_id)
    identity = {"run_id": run["run_id"], "attempt": 1}
    assert events[0].data == (identity | {"thread_id": thread_id} if prefix else identity)
    assert events[2].data["messages"][-1]["content"] == "hello"
    assert events[-1].data == (None if prefix else {"run_id": run["run_id"], "status": "success"})
    assert (events[-1].id is None) == bool(prefix)
    numbers = [event.seq for event in events if event.id]
    assert numbers == sorted(set(numbers))


async def test_headers_say_where_the_run_is_and_go_out_at_once(http, prefix, thread_id):
    body = {"assistant_id": "slow", "input": {"seconds": 30}, "on_disconnect": "cancel"}
    async with http.stream("POST", f"{prefix}/threads/{thread_id}/runs/stream", json=body) as answer:
        run_id = answer.headers["content-location"].rpartition("/")[2]
        assert UUID(run_id).version == 7
        assert answer.headers["content-location"] == f"{prefix}/threads/{thread_id}/runs/{run_id}"
        assert answer.headers["location"] == f"/threads/{thread_id}/runs/{run_id}/stream"
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert answer.headers["cache-control"] == ("no-cache" if prefix else "no-store")
        assert answer.headers["x-accel-buffering"] == "no"
        assert answer.headers["connection"] == "keep-alive"
        assert "content-encoding" not in answer.headers
        assert "retry" not in answer.headers


async def test_a_wait_and_a_join_say_where_the_run_is(http, prefix, thread_id):
    body = {"assistant_id": "echo", "input": HELLO}
    waited = await http.post(f"{prefix}/threads/{thread_id}/runs/wait", json=body)
    run_id = (await last_run(http, prefix, thread_id))["run_id"]
    place = f"/threads/{thread_id}/runs/{run_id}"
    joined = await http.get(f"{prefix}{place}/join")
    for answer in (waited, joined):
        assert answer.headers["content-location"] == prefix + place
    if not prefix:
        assert {answer.headers["location"] for answer in (waited, joined)} == {f"{place}/join"}


async def test_text_is_sent_as_it_is(http, prefix, thread_id):
    body = {"assistant_id": "echo", "input": {"messages": ["Grüße, 世界 🌍"]}, "on_disconnect": "continue"}
    answer = await http.post(f"{prefix}/threads/{thread_id}/runs/stream", json=body)
    assert "Grüße, 世界 🌍".encode() in answer.content
    assert b"\\u" not in answer.content


@pytest.mark.parametrize("accept", ["*/*", "text/event-stream", "text/event-stream, application/json", None])
async def test_a_join_at_the_gateway_is_a_stream_unless_only_json_is_accepted(http, thread_id, accept):
    await wait(http, "/api", thread_id, assistant_id="echo", input=HELLO)
    path = f"/api/threads/{thread_id}/runs/{(await last_run(http, '/api', thread_id))['run_id']}"
    request = http.build_request("GET", f"{path}/join")
    del request.headers["accept"]
    if accept:
        request.headers["accept"] = accept
    told = await http.send(request)
    assert told.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert told.content == (await http.get(f"{path}/stream")).content
    as_json = await http.get(f"{path}/join", headers={"accept": "application/json"})
    assert len(as_json.json()["messages"]) == 2


async def test_a_cancelled_run_is_waited_for_and_joined(http, prefix, thread_id):
    run_id = await working(http, prefix, thread_id)
    accept = {"accept": "application/json"}
    joining = asyncio.create_task(http.get(f"{prefix}/threads/{thread_id}/runs/{run_id}/join", headers=accept))
    await cancel(http, prefix, thread_id, run_id)
    after = await http.get(f"{prefix}/threads/{thread_id}/runs/{run_id}/join", headers=accept)
    told = (await joining).json()
    assert told == after.json()
    if prefix:
        reason = f"interrupt requested via POST /threads/{thread_id}/runs/{run_id}/cancel"
        assert (told["status"], told["error"], told["values"]["done"]) == ("interrupted", None, ["first: begun"])
        assert told["__error__"] == {"error": "UserInterrupt", "message": reason}
    else:
        assert told["done"] == ["first: begun"]


async def test_a_background_run_is_stored_when_it_is_answered(http, prefix, thread_id):
    answer = await http.post(f"{prefix}/threads/{thread_id}/runs", json={"assistant_id": "echo", "input": HELLO})
    run = answer.json()
    assert (answer.status_code, run["status"]) in [(200, "pending"), (200, "running")]
    assert answer.headers["content-location"].endswith(f"/runs/{run['run_id']}")
    joined = await http.get(f"/threads/{thread_id}/runs/{run['run_id']}/join")
    assert joined.json()["messages"][-1]["content"] == "hello"
    read = (await http.get(f"{prefix}/threads/{thread_id}/runs/{run['run_id']}")).json()
    assert read == run | {"status": "success", "updated_at": read["updated_at"]} | ({"attempt": 1} if prefix else {})


async def test_waiting_gives_what_the_graph_returned(http, prefix, thread_id):
    values = await wait(http, prefix, thread_id, assistant_id="echo", input=HELLO)
    assert [message["content"] for message in values["messages"]] == ["hello", "hello"]


@pytest.mark.parametrize("last", ["end", "error"])
async def test_the_status_is_final_when_the_last_event_comes(http, prefix, thread_id, last):
    given = {"end": {"assistant_id": "echo", "input": HELLO}, "error": {"assistant_id": "failing"}}[last]
    body = {"input": {"where": "sync", "steps": []}} | given
    async with http.stream("POST", f"{prefix}/threads/{thread_id}/runs/stream", json=body) as answer:
        async for line in answer.aiter_lines():
            if line == f"event: {last}":
                break
        ended = {"end": ("success", "idle"), "error": ("error", "error")}[last]
        run, thread = await last_run(http, prefix, thread_id), (await http.get(f"{prefix}/threads/{thread_id}")).json()
        assert (run["status"], thread["status"]) == ended


async def test_the_state_is_readable_before_the_stream_ends(http, prefix, thread_id):
    body = {"assistant_id": "echo", "input": HELLO}
    async with http.stream("POST", f"{prefix}/threads/{thread_id}/runs/stream", json=body) as answer:
        async for line in answer.aiter_lines():
            if line == "event: end":
                break
        state = (await http.get(f"{prefix}/threads/{thread_id}/state")).json()
        assert len(state["values"]["messages"]) == 2


async def test_runs_are_listed_newest_first(http, prefix, thread_id):
    for text in "abc":
        await wait(http, prefix, thread_id, assistant_id="echo", input={"messages": [text]}, metadata={"name": text})
    runs = (await http.get(f"{prefix}/threads/{thread_id}/runs")).json()
    assert [run["metadata"]["name"] for run in runs] == ["c", "b", "a"]
    page = (await http.get(f"{prefix}/threads/{thread_id}/runs", params={"limit": 1, "offset": 1})).json()
    assert page == runs[1:2]
    assert (await http.get(f"{prefix}/threads/{thread_id}/runs", params={"status": "error"})).json() == []


async def test_a_run_can_bring_its_thread(http, prefix, new_id):
    body = {"assistant_id": "echo", "input": HELLO, "metadata": {"owner": "me"}, "if_not_exists": "create"}
    assert names(await stream(http, prefix, new_id, **body))[-1] == "end"
    thread = (await http.get(f"/threads/{new_id}")).json()
    assert thread["metadata"]["owner"] == "me"
    assert thread["metadata"]["graph_id"] == "echo"


async def test_a_thread_remembers(http, prefix, thread_id):
    await wait(http, prefix, thread_id, assistant_id="echo", input=HELLO)
    values = await wait(http, prefix, thread_id, assistant_id="echo", input={"messages": ["again"]})
    assert [message["content"] for message in values["messages"]] == ["hello", "hello", "again", "again"]


async def test_all_modes_come_together_and_nothing_of_langgraphs_own_state(http, prefix, thread_id):
    modes = ["values", "updates", "custom", "debug", "tasks", "checkpoints", "events", "messages-tuple"]
    body = {"assistant_id": "nested", "input": HELLO, "stream_mode": modes, "stream_subgraphs": True}
    events = await stream(http, prefix, thread_id, **body)
    said = {name.partition("|")[0] for name in names(events)}
    assert said == {*modes, "messages", "metadata", "end"} - {"messages-tuple"}
    for event in events:
        if event.name.partition("|")[0] in {"values", "updates"}:
            assert "__pregel" not in str(event.data)


@pytest.mark.parametrize("resumable", [True, False, None])
async def test_every_stream_has_ids_and_can_be_taken_up_again(http, prefix, thread_id, resumable):
    body = {"assistant_id": "echo", "input": HELLO, "stream_resumable": resumable}
    events = await stream(http, prefix, thread_id, **body)
    run_id = events[0].data["run_id"]
    again = await http.get(f"{prefix}/threads/{thread_id}/runs/{run_id}/stream", headers={"Last-Event-ID": "-1"})
    assert parse(again.content, prefix) == events
    assert all(event.id for event in events[:-1])


@pytest.mark.parametrize("mode", ["values", "updates", "custom", "debug", "tasks", "checkpoints", "events"])
async def test_each_mode_has_its_name(http, prefix, thread_id, mode):
    events = await stream(http, prefix, thread_id, assistant_id="nested", input=HELLO, stream_mode=mode)
    assert set(names(events[1:-1])) == {mode}


async def test_message_chunks_share_the_id_of_the_final_message(http, prefix, thread_id):
    events = await stream(
        http,
        prefix,
        thread_id,
        assistant_id="tokens",
        input={"messages": ["5"]},
        stream_mode=["messages-tuple", "values"],
    )
    chunks = [event.data[0] for event in events if event.name == "messages"]
    final = next(event for event in reversed(events) if event.name == "values").data["messages"][-1]
    assert {chunk["id"] for chunk in chunks} == {final["id"]}
    assert "".join(chunk["content"] for chunk in chunks) == final["content"]
    assert chunks[-1]["usage_metadata"]["output_tokens"] == final["usage_metadata"]["output_tokens"] > 0
    metadata = next(event for event in events if event.name == "messages").data[1]
    assert metadata["langgraph_node"] == "answer"


async def test_messages_accumulate_in_the_platforms_mode(http, thread_id):
    events = await stream(http, "", thread_id, assistant_id="tokens", input={"messages": ["3"]}, stream_mode="messages")
    partial = [event.data[0] for event in events if event.name == "messages/partial"]
    complete = [event.data[0] for event in events if event.name == "messages/complete"]
    assert names(events)[1] == "messages/metadata"
    assert [message["type"] for message in partial] == ["ai"] * len(partial)
    texts = [message["content"] for message in partial]
    assert all(later.startswith(earlier) for earlier, later in pairwise(texts))
    assert complete[-1]["content"].split() == ["t1", "t2", "t3"]


async def test_messages_are_tuples_in_the_gateways_mode(http, thread_id):
    events = await stream(
        http, "/api", thread_id, assistant_id="tokens", input={"messages": ["3"]}, stream_mode="messages"
    )
    assert set(names(events[1:-1])) == {"messages"}
    assert all(len(event.data) == 2 for event in events[1:-1])


async def test_subgraphs_speak_under_their_namespace_and_only_when_asked(http, prefix, thread_id):
    modes = ["values", "custom", "messages-tuple", "updates"]
    body = {"assistant_id": "nested", "input": HELLO, "stream_mode": modes}
    without = await stream(http, prefix, thread_id, **body)
    assert not [name for name in names(without) if "|" in name]
    inside = [
        name for name in names(await stream(http, prefix, thread_id, **body, stream_subgraphs=True)) if "|" in name
    ]
    assert {name.partition("|")[0] for name in inside} == {mode.removesuffix("-tuple") for mode in modes}
    assert all(name.partition("|")[2].startswith("child:") for name in inside)


async def test_an_interrupt_is_shown_everywhere_under_one_id_and_can_be_answered(http, prefix, thread_id):
    events = await stream(
        http, prefix, thread_id, assistant_id="asking", input=HELLO, stream_mode=["values", "updates"]
    )
    shown = [event.data["__interrupt__"] for event in events if event.name != "end" and "__interrupt__" in event.data]
    assert len(shown) == 2
    thread = (await http.get(f"/threads/{thread_id}")).json()
    state = (await http.get(f"/threads/{thread_id}/state")).json()
    [[in_thread]] = thread["interrupts"].values()
    assert thread["status"] == "interrupted"
    assert (await last_run(http, prefix, thread_id))["status"] == "success"
    assert state["next"] == ["ask"]
    ids = {in_thread["id"], state["interrupts"][0]["id"], state["tasks"][0]["interrupts"][0]["id"]}
    assert ids == {interrupts[0]["id"] for interrupts in shown}
    answer = await wait(http, prefix, thread_id, assistant_id="asking", command={"resume": {ids.pop(): "yes"}})
    assert answer["messages"][-1]["content"] == "You said 'yes'."
    thread = (await http.get(f"/threads/{thread_id}")).json()
    assert (thread["status"], thread["interrupts"]) == ("idle", {})


async def test_an_interrupt_is_told_whatever_the_mode(http, thread_id):
    events = await stream(http, "", thread_id, assistant_id="asking", input=HELLO, stream_mode="messages-tuple")
    assert names(events) == ["metadata", "values", "end"]
    assert list(events[1].data) == ["__interrupt__"]


async def test_waiting_shows_what_is_asked_and_a_bare_value_answers_it(http, prefix, thread_id):
    paused = await wait(http, prefix, thread_id, assistant_id="asking", input=HELLO)
    assert paused["__interrupt__"][0]["value"] == {"question": "ok?"}
    answer = await wait(http, prefix, thread_id, assistant_id="asking", command={"resume": 7})
    assert answer["messages"][-1]["content"] == "You said 7."


async def test_null_continues_from_a_breakpoint_and_an_empty_input_does_not(http, prefix, thread_id):
    body = {"assistant_id": "stepping", "interrupt_before": ["b"]}
    paused = await wait(http, prefix, thread_id, **body, input={"steps": []})
    assert paused["steps"] == ["a"]
    assert "__interrupt__" not in paused
    assert (await http.get(f"/threads/{thread_id}")).json()["status"] == "interrupted"
    assert (await wait(http, prefix, thread_id, assistant_id="stepping", input=None))["steps"] == ["a", "b", "c"]
    assert (await wait(http, prefix, thread_id, **body, input={"steps": ["x"]}))["steps"] == ["a", "b", "c", "x", "a"]


async def test_a_command_updates_the_state_and_goes_to_a_node(http, prefix, thread_id):
    body = {"assistant_id": "stepping", "interrupt_before": ["b"]}
    await wait(http, prefix, thread_id, **body, input={"steps": []})
    command = {"update": {"steps": ["by hand"]}, "goto": "c"}
    values = await wait(http, prefix, thread_id, assistant_id="stepping", command=command)
    assert values["steps"][:2] == ["a", "by hand"]
    assert values["steps"][-1] == "c"


async def test_messages_stay_what_they_were(http, prefix, thread_id):
    call = {"name": "look", "args": {"at": "sky"}, "id": "c1", "type": "tool_call"}
    sent = [
        {"role": "system", "content": "Be brief.", "id": "m1"},
        {"role": "user", "content": "hi", "id": "m2", "name": "ann", "additional_kwargs": {"mood": "good"}},
        {"type": "ai", "content": "", "id": "m3", "tool_calls": [call]},
        {"role": "tool", "content": "blue", "id": "m4", "tool_call_id": "c1"},
        ["human", "and now?"],
    ]
    values = await wait(http, prefix, thread_id, assistant_id="echo", input={"messages": sent})
    system, user, ai, tool, last, answer = values["messages"]
    assert [message["type"] for message in (system, user, ai, tool, last)] == ["system", "human", "ai", "tool", "human"]
    assert [message["id"] for message in (system, user, ai, tool)] == ["m1", "m2", "m3", "m4"]
    assert (user["name"], user["additional_kwargs"]) == ("ann", {"mood": "good"})
    assert (ai["tool_calls"], tool["tool_call_id"]) == ([call], "c1")
    assert answer["content"] == "and now?"


async def test_each_dialect_has_its_recursion_limit(http, prefix, thread_id):
    run_id = await create(http, prefix, thread_id, assistant_id="echo", input=HELLO)
    shown = (await http.get(f"/threads/{thread_id}/runs/{run_id}")).json()
    assert shown["kwargs"]["config"]["recursion_limit"] == (100 if prefix else 10011)
    await join(http, thread_id, run_id)


async def test_every_node_can_be_a_breakpoint(http, prefix, thread_id):
    body = {"assistant_id": "stepping", "interrupt_after": "*"}
    seen = [await wait(http, prefix, thread_id, **body, input={"steps": []})]
    seen += [await wait(http, prefix, thread_id, **body, input=None) for _ in range(2)]
    assert [values["steps"] for values in seen] == [["a"], ["a", "b"], ["a", "b", "c"]]


async def test_a_run_forks_from_a_checkpoint(http, prefix, thread_id):
    await wait(http, prefix, thread_id, assistant_id="echo", input={"messages": ["one"]})
    checkpoint_id = (await http.get(f"/threads/{thread_id}/state")).json()["checkpoint_id"]
    await wait(http, prefix, thread_id, assistant_id="echo", input={"messages": ["two"]})
    body = {"assistant_id": "echo", "input": {"messages": ["three"]}, "checkpoint_id": checkpoint_id}
    forked = await wait(http, prefix, thread_id, **body)
    assert [message["content"] for message in forked["messages"]] == ["one", "one", "three", "three"]
    head = (await http.get(f"/threads/{thread_id}/state")).json()
    assert head["values"] == {"messages": forked["messages"]}


async def test_what_an_earlier_run_left_can_still_be_joined(http, thread_id):
    await wait(http, "", thread_id, assistant_id="echo", input={"messages": ["one"]})
    first = await last_run(http, "", thread_id)
    await wait(http, "", thread_id, assistant_id="echo", input={"messages": ["two"]})
    joined = (await http.get(f"/threads/{thread_id}/runs/{first['run_id']}/join")).json()
    assert [message["content"] for message in joined["messages"]] == ["one", "one"]


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
async def test_durability_is_obeyed(http, prefix, thread_id, durability):
    events = await stream(
        http,
        prefix,
        thread_id,
        assistant_id="stepping",
        input={"steps": []},
        durability=durability,
        stream_mode="checkpoints",
    )
    written = [event for event in events if event.name == "checkpoints"]
    assert written if durability != "exit" else True
    state = (await http.get(f"/threads/{thread_id}/state")).json()
    assert state["values"]["steps"] == ["a", "b", "c"]
    assert (state["parent_checkpoint_id"] is None) == (durability == "exit")


async def test_configuration_and_context_reach_the_graph(http, prefix, thread_id):
    body = {"assistant_id": "factory_both", "input": {"made": ""}, "config": {"configurable": {"colour": "blue"}}}
    values = await wait(http, prefix, thread_id, **body)
    assert "blue" in str(values.get("given", values))


async def test_a_context_is_held_against_the_schema_before_the_run_is_let_in(http, thread_id):
    body = {"assistant_id": "contextual", "input": {"tone": ""}}
    answer = await http.post(f"/api/threads/{thread_id}/runs", json=body | {"context": {"volume": 11}})
    assert (answer.status_code, "volume" in answer.json()["detail"]) == (400, True)
    assert (await http.get(f"/api/threads/{thread_id}/runs")).json() == []
    assert await wait(http, "/api", thread_id, **body, context={"tone": "loud"}) == {"tone": "loud"}


@pytest.mark.parametrize("where", ["configurable", "context", "config.context"])
async def test_the_paths_thread_beats_the_configured_one(http, prefix, thread_id, new_id, where):
    other = {"thread_id": new_id, "checkpoint_ns": ""} if where == "configurable" else {"thread_id": new_id}
    body = {"context": other} if where == "context" else {"config": {where.removeprefix("config."): other}}
    await wait(http, prefix, thread_id, assistant_id="echo", input=HELLO, **body)
    assert (await http.get(f"/threads/{thread_id}/state")).json()["values"]["messages"]
    assert (await http.get(f"/threads/{new_id}")).status_code == 404


async def test_a_recursion_limit_is_obeyed(http, prefix, thread_id):
    body = {"assistant_id": "stepping", "input": {"steps": []}, "config": {"recursion_limit": 2}}
    events = await stream(http, prefix, thread_id, **body)
    error = next(event for event in events if event.name == "error").data
    assert error["name" if prefix else "error"] == "GraphRecursionError"


async def test_a_run_continues_after_an_error_from_where_it_failed(http, prefix, thread_id):
    await stream(http, prefix, thread_id, assistant_id="failing", input={"where": "sync", "steps": []})
    state = (await http.get(f"/threads/{thread_id}/state")).json()
    assert (state["values"]["steps"], state["next"]) == (["begin"], ["sync_node"])
    again = await wait(http, prefix, thread_id, assistant_id="failing", input=None)
    assert again["__error__"]["message"] == "failed in sync"
    state = (await http.get(f"/threads/{thread_id}/state")).json()
    assert (state["values"]["steps"], state["next"]) == (["begin"], ["sync_node"]), "it did not begin again"


async def test_joining_gives_the_same_events_during_a_run_and_after_it(http, prefix, thread_id):
    body = {"assistant_id": "tokens", "input": {"messages": ["500"]}, "stream_mode": ["messages-tuple", "values"]}
    run = (await http.post(f"{prefix}/threads/{thread_id}/runs", json=body)).json()
    path = f"{prefix}/threads/{thread_id}/runs/{run['run_id']}/stream"
    during, beside = (parse(answer.content, prefix) for answer in await asyncio.gather(http.get(path), http.get(path)))
    after = parse((await http.get(path)).content, prefix)
    assert during == beside == after
    assert len([name for name in names(after) if name == "messages"]) >= 500
    middle = after[len(after) // 2]
    rest = parse((await http.get(path, headers={"Last-Event-ID": middle.id})).content, prefix)
    assert rest == after[len(after) // 2 + 1 :]
    narrowed = parse((await http.get(path, params={"stream_mode": "values"})).content, prefix)
    assert set(names(narrowed)) == {"metadata", "values", "end"}


async def test_two_dialects_see_one_run(http, thread_id):
    await stream(http, "", thread_id, assistant_id="echo", input=HELLO)
    run = await last_run(http, "/api", thread_id)
    path = f"/threads/{thread_id}/runs/{run['run_id']}/stream"
    platform, gateway = parse((await http.get(path)).content), parse((await http.get(f"/api{path}")).content, "/api")
    assert [event.id for event in platform[:-1]] == [event.id for event in gateway[:-1]]
    assert [event.data for event in platform[1:-1]] == [event.data for event in gateway[1:-1]]


async def test_reject_refuses_a_busy_thread_and_writes_nothing(http, prefix, thread_id):
    slow = {"assistant_id": "slow", "input": {"seconds": 30}}
    run = (await http.post(f"{prefix}/threads/{thread_id}/runs", json=slow)).json()
    refused = await http.post(f"{prefix}/threads/{thread_id}/runs", json=slow | {"multitask_strategy": "reject"})
    assert refused.status_code == 409
    assert refused.json()["detail"] == (
        f"Thread {thread_id} already has an active run"
        if prefix
        else "Thread is already running a task. Wait for it to finish or choose a different multitask strategy."
    )
    assert len((await http.get(f"{prefix}/threads/{thread_id}/runs")).json()) == 1
    await cancel(http, prefix, thread_id, run["run_id"])


async def test_fifty_rejects_on_an_idle_thread_admit_one(http, prefix, thread_id):
    body = {"assistant_id": "slow", "input": {"seconds": 30}, "multitask_strategy": "reject"}
    answers = await asyncio.gather(*(http.post(f"{prefix}/threads/{thread_id}/runs", json=body) for _ in range(50)))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 49
    [run] = (await http.get(f"{prefix}/threads/{thread_id}/runs")).json()
    await cancel(http, prefix, thread_id, run["run_id"])


async def test_enqueued_runs_go_in_the_order_of_their_acceptance(http, prefix, thread_id):
    path = f"{prefix}/threads/{thread_id}/runs"
    bodies = [
        {"assistant_id": "counting", "input": {"run": name}, "multitask_strategy": "enqueue"} for name in "abcdefgh"
    ]
    runs = [(await http.post(path, json=body)).json() for body in bodies]
    values = (await http.get(f"/threads/{thread_id}/runs/{runs[-1]['run_id']}/join")).json()
    assert values["order"] == list("abcdefgh")


async def test_cancelling_ends_a_run_and_the_thread_takes_the_next(http, prefix, thread_id):
    slow = {"assistant_id": "slow", "input": {"seconds": 60}, "multitask_strategy": "enqueue"}
    running = (await http.post(f"{prefix}/threads/{thread_id}/runs", json=slow)).json()["run_id"]
    waiting = (await http.post(f"{prefix}/threads/{thread_id}/runs", json=slow)).json()["run_id"]
    for run_id in (waiting, running):
        answer = await cancel(http, prefix, thread_id, run_id)
        assert answer.status_code == (204 if prefix else 200)
        run = (await http.get(f"{prefix}/threads/{thread_id}/runs/{run_id}")).json()
        assert run["status"] == "interrupted"
    again = await cancel(http, prefix, thread_id, running)
    assert again.status_code == (204 if prefix else 404)
    assert await wait(http, prefix, thread_id, assistant_id="slow", input={"seconds": 0}) == {
        "seconds": 0,
        "done": True,
    }


async def test_a_cancelled_runs_stream_ends(http, prefix, thread_id):
    slow = {"assistant_id": "slow", "input": {"seconds": 60}}
    run = (await http.post(f"{prefix}/threads/{thread_id}/runs", json=slow)).json()
    joined = asyncio.ensure_future(http.get(f"{prefix}/threads/{thread_id}/runs/{run['run_id']}/stream"))
    await cancel(http, prefix, thread_id, run["run_id"])
    assert names(parse((await joined).content, prefix))[-1] == "end"


async def test_a_client_that_leaves_cancels_its_run_if_it_said_so(http, prefix, thread_id):
    body = {"assistant_id": "slow", "input": {"seconds": 60}, "on_disconnect": "cancel"}
    async with http.stream("POST", f"{prefix}/threads/{thread_id}/runs/stream", json=body) as answer:
        run_id = answer.headers["content-location"].rpartition("/")[2]
    ended = await asyncio.wait_for(http.get(f"/threads/{thread_id}/runs/{run_id}/join"), 5)
    assert ended.status_code == 200
    assert (await http.get(f"{prefix}/threads/{thread_id}/runs/{run_id}")).json()["status"] == "interrupted"


async def test_a_client_that_leaves_cancels_nothing_otherwise(http, prefix, thread_id):
    body = {"assistant_id": "slow", "input": {"seconds": 1}, "on_disconnect": "continue"}
    async with http.stream("POST", f"{prefix}/threads/{thread_id}/runs/stream", json=body) as answer:
        run_id = answer.headers["content-location"].rpartition("/")[2]
    assert (await http.get(f"/threads/{thread_id}/runs/{run_id}/join")).json()["done"] is True


async def test_a_thread_id_of_the_gateway_need_be_no_uuid(http):
    thread_id = f"my_thread-{uuid4().hex[:8]}"
    await wait(http, "/api", thread_id, assistant_id="echo", input=HELLO)
    assert (await http.get(f"/threads/{thread_id}")).json()["status"] == "idle"
