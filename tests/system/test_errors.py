"""Each error has the answer that its dialect names, leaves nothing behind, and the thread takes the next run."""

from uuid import uuid4

import pytest

from tests.system.calls import HELLO, last_run, stream, wait
from tests.system.sse import names

ECHO = {"assistant_id": "echo", "input": HELLO}
UNKNOWN = "00000000-0000-4000-8000-000000000000"
JSON = {"content-type": "application/json"}


@pytest.fixture
async def spared(http, thread_id):
    """A thread on which nothing has happened when the test is over, and which takes the next run."""
    yield thread_id
    assert (await http.get(f"/threads/{thread_id}/runs")).json() == []
    assert len((await wait(http, "", thread_id, **ECHO))["messages"]) == 2


def places(answer):
    """Where the gateway dialect finds fault."""
    assert all(set(mistake) == {"type", "loc", "msg"} for mistake in answer.json()["detail"])
    return [mistake["loc"] for mistake in answer.json()["detail"]]


@pytest.mark.parametrize("verb", ["", "/stream", "/wait"])
@pytest.mark.parametrize("content", [b"{not json", b"", b"[]", b'"text"', b"null"])
async def test_a_body_that_is_no_object_is_refused(http, prefix, spared, verb, content):
    answer = await http.post(f"{prefix}/threads/{spared}/runs{verb}", content=content, headers=JSON)
    assert answer.status_code == 422
    if prefix:
        assert places(answer) == [["body"]]
    else:
        assert isinstance(answer.json()["detail"], str)


@pytest.mark.parametrize(
    ("wrong", "loc"),
    [
        ({"assistant_id": 5}, ["assistant_id"]),
        ({"metadata": "text"}, ["metadata"]),
        ({"config": {"tags": [1]}}, ["config", "tags", 0]),
        ({"config": {"recursion_limit": 0}}, ["config", "recursion_limit"]),
        ({"config": {"configurable": 3}}, ["config", "configurable"]),
        ({"context": []}, ["context"]),
        ({"command": {"goto": 1}}, ["command", "goto"]),
        ({"stream_subgraphs": "yes"}, ["stream_subgraphs"]),
        ({"stream_mode": 3}, ["stream_mode"]),
        ({"stream_mode": ["values", "thoughts"]}, ["stream_mode"]),
        ({"interrupt_before": "node"}, ["interrupt_before"]),
        ({"multitask_strategy": "never"}, ["multitask_strategy"]),
        ({"on_disconnect": "wait"}, ["on_disconnect"]),
        ({"if_not_exists": "perhaps"}, ["if_not_exists"]),
        ({"durability": "never"}, ["durability"]),
        ({"after_seconds": -1}, ["after_seconds"]),
        ({"after_seconds": 1e99}, ["after_seconds"]),
        ({"checkpoint_id": 5}, ["checkpoint_id"]),
        ({"checkpoint": "newest"}, ["checkpoint"]),
        ({"checkpoint_during": "no"}, ["checkpoint_during"]),
        ({"command": [1]}, ["command"]),
        ({"config": {"max_concurrency": 0}}, ["config", "max_concurrency"]),
        ({"feedback_keys": "helpful"}, ["feedback_keys"]),
        ({"interrupt_after": ["a", 1]}, ["interrupt_after", 1]),
        ({"on_completion": "burn"}, ["on_completion"]),
        ({"stream_resumable": 1}, ["stream_resumable"]),
    ],
    ids=lambda value: None if isinstance(value, list) else "-".join(map(str, value.values())),
)
async def test_a_field_of_the_wrong_form_is_refused_by_name(http, prefix, spared, wrong, loc):
    answer = await http.post(f"{prefix}/threads/{spared}/runs", json=ECHO | wrong)
    assert answer.status_code == 422
    if prefix:
        assert places(answer) == [["body", *loc]]
    else:
        assert ".".join(map(str, loc)) in answer.json()["detail"]


async def test_an_input_that_is_no_object_is_refused_by_the_gateway(http, spared):
    answer = await http.post(f"/api/threads/{spared}/runs", json=ECHO | {"input": "text"})
    assert (answer.status_code, places(answer)) == (422, [["body", "input"]])


async def test_an_unknown_mode_is_told_which_there_are(http, prefix, spared):
    answer = await http.post(f"{prefix}/threads/{spared}/runs", json=ECHO | {"stream_mode": "thoughts"})
    assert "'thoughts'" in answer.text
    assert "messages-tuple" in answer.text


async def test_an_unknown_assistant_is_not_found(http, prefix, spared):
    name, uuid = [
        await http.post(f"{prefix}/threads/{spared}/runs", json=ECHO | {"assistant_id": one})
        for one in ("nobody", UNKNOWN)
    ]
    if prefix:
        assert (name.status_code, name.json()) == (404, {"detail": "Assistant nobody not found"})
        assert (uuid.status_code, uuid.json()) == (404, {"detail": f"Assistant {UNKNOWN} not found"})
    else:
        assert name.status_code == 422
        assert name.json()["detail"].startswith("Invalid assistant: 'nobody'. Must be either:")
        assert "echo, tokens, asking" in name.json()["detail"]
        assert (uuid.status_code, uuid.json()) == (404, {"detail": "Thread or assistant not found."})


async def test_a_run_without_an_assistant_is_refused(http, prefix, spared):
    answer = await http.post(f"{prefix}/threads/{spared}/runs", json={"input": HELLO})
    assert answer.status_code == (400 if prefix else 422)
    assert "assistant_id" in answer.json()["detail"]


@pytest.mark.parametrize("verb", ["", "/stream", "/wait"])
async def test_an_unknown_thread_is_not_found_and_not_made(http, prefix, new_id, verb):
    answer = await http.post(f"{prefix}/threads/{new_id}/runs{verb}", json=ECHO | {"if_not_exists": "reject"})
    text = f"Thread {new_id} not found" if prefix else "Thread or assistant not found."
    assert (answer.status_code, answer.json()) == (404, {"detail": text})
    assert (await http.get(f"/threads/{new_id}")).status_code == 404


async def test_what_an_unknown_thread_has_is_not_found(http, new_id):
    for path in ("", "/state", "/runs"):
        answer = await http.get(f"/threads/{new_id}{path}")
        assert (answer.status_code, answer.json()) == (404, {"detail": f"Thread with ID {new_id} not found"})
    assert (await http.get(f"/api/threads/{new_id}/runs")).json() == []


async def test_a_thread_id_of_the_wrong_form_is_refused(http, prefix):
    wrong = "my thread" if prefix else "my-thread"
    answers = [
        await http.post(f"{prefix}/threads/{wrong}/runs", json=ECHO),
        await http.get(f"{prefix}/threads/{wrong}/runs"),
        await http.get(f"{prefix}/threads/{wrong}/runs/{UNKNOWN}"),
    ]
    assert [answer.status_code for answer in answers] == [422, 422, 422]
    for answer in answers:
        if prefix:
            assert places(answer) == [["path", "thread_id"]]
        else:
            assert answer.json() == {"detail": "Invalid thread ID: must be a UUID"}


@pytest.mark.parametrize("verb", ["", "/stream", "/join"])
async def test_an_unknown_run_is_not_found(http, prefix, thread_id, verb):
    answer = await http.get(f"{prefix}/threads/{thread_id}/runs/{UNKNOWN}{verb}")
    assert (answer.status_code, answer.json()) == (
        404,
        {"detail": f"Run {UNKNOWN} not found" if prefix else "Run not found"},
    )


@pytest.mark.parametrize("verb", ["", "/stream", "/join"])
async def test_a_malformed_run_id_is_unknown_to_the_gateway_and_malformed_to_the_platform(
    http, prefix, thread_id, verb
):
    answer = await http.get(f"{prefix}/threads/{thread_id}/runs/nonsense{verb}")
    expected = (404, "Run nonsense not found") if prefix else (422, "Invalid run ID: must be a UUID")
    assert (answer.status_code, answer.json()["detail"]) == expected


async def test_another_threads_run_is_not_found(http, prefix, thread_id, new_id):
    await wait(http, prefix, new_id, **ECHO, if_not_exists="create")
    run = await last_run(http, prefix, new_id)
    path = f"{prefix}/threads/{thread_id}/runs/{run['run_id']}"
    assert [(await http.get(path + verb)).status_code for verb in ("", "/stream", "/join")] == [404] * 3
    assert (await http.post(f"{path}/cancel")).status_code == 404


async def test_a_malformed_run_id_cannot_be_cancelled(http, prefix, thread_id):
    answer = await http.post(f"{prefix}/threads/{thread_id}/runs/nonsense/cancel")
    assert answer.status_code == (404 if prefix else 422)


async def test_another_threads_checkpoint_is_not_found(http, prefix, spared, new_id):
    await wait(http, prefix, new_id, **ECHO, if_not_exists="create")
    checkpoint_id = (await http.get(f"/threads/{new_id}/state")).json()["checkpoint_id"]
    answer = await http.post(f"{prefix}/threads/{spared}/runs", json=ECHO | {"checkpoint_id": checkpoint_id})
    assert answer.status_code == 404


async def test_a_checkpoint_said_to_be_of_another_thread_is_senseless_at_the_gateway(http, spared, new_id):
    body = ECHO | {"checkpoint": {"thread_id": new_id}}
    answer = await http.post(f"/api/threads/{spared}/runs", json=body)
    expected = (400, "checkpoint thread_id does not match request thread_id")
    assert (answer.status_code, answer.json()["detail"]) == expected


async def test_an_unknown_run_cannot_be_cancelled(http, prefix, thread_id):
    answer = await http.post(f"{prefix}/threads/{thread_id}/runs/{UNKNOWN}/cancel")
    text = f"Run {UNKNOWN} not found" if prefix else "No runs found to cancel."
    assert (answer.status_code, answer.json()) == (404, {"detail": text})


async def test_a_run_that_has_ended_cannot_be_cancelled(http, prefix, thread_id):
    await wait(http, prefix, thread_id, **ECHO)
    run_id = (await last_run(http, prefix, thread_id))["run_id"]
    answer = await http.post(f"{prefix}/threads/{thread_id}/runs/{run_id}/cancel")
    assert answer.status_code == (409 if prefix else 404)
    assert answer.json()["detail"].startswith(
        f"Run {run_id} is not cancellable (status: success)" if prefix else "No matching runs to cancel."
    )


@pytest.mark.parametrize("verb", ["", "/stream", "/wait"])
async def test_a_body_over_the_limit_is_refused(http, prefix, spared, verb):
    body = ECHO | {"input": {"messages": ["x" * 1_000_001]}}
    answer = await http.post(f"{prefix}/threads/{spared}/runs{verb}", json=body)
    assert (answer.status_code, list(answer.json())) == (413, ["detail"])


async def test_unknown_paths_and_wrong_methods_are_told_apart(http, prefix, thread_id):
    assert (await http.get(f"{prefix}/nowhere")).status_code == 404
    assert (await http.put(f"{prefix}/threads/{thread_id}/runs")).status_code == 405
    assert (await http.patch("/threads/" + thread_id + "/state", json={})).status_code == 405


async def test_unknown_fields_and_parameters_are_ignored(http, prefix, thread_id):
    answer = await http.post(f"{prefix}/threads/{thread_id}/runs/wait?mood=good", json=ECHO | {"mood": "good"})
    assert answer.json()["messages"][-1]["content"] == "hello"


@pytest.mark.parametrize("limit", [0, 1001, "many"])
async def test_a_limit_outside_its_bounds_is_refused(http, prefix, thread_id, limit):
    answer = await http.get(f"{prefix}/threads/{thread_id}/runs", params={"limit": limit})
    assert answer.status_code == 422
    if prefix:
        assert places(answer) == [["query", "limit"]]


@pytest.mark.parametrize("where", ["first", "sync", "async", "subgraph"])
async def test_a_graph_that_raises_says_so_everywhere(http, prefix, thread_id, where):
    body = {"assistant_id": "failing", "input": {"where": where, "steps": []}}
    events = await stream(http, prefix, thread_id, **body)
    text = f"failed in {where}"
    failure = {"error": "ValueError", "message": text}
    if prefix:
        assert names(events)[-2:] == ["error", "end"]
        assert (events[-2].data, events[-1]) == ({"message": text, "name": "ValueError"}, ("end", None, None))
    else:
        assert (names(events)[-1], events[-1].data) == ("error", failure)
    run, thread = await last_run(http, prefix, thread_id), (await http.get(f"/threads/{thread_id}")).json()
    assert (run["status"], run.get("error")) == ("error", text if prefix else None)
    assert (thread["status"], thread["error"]) == ("error", failure)
    waited = await wait(http, prefix, thread_id, **body)
    assert waited["__error__"] == failure
    if prefix:
        assert set(waited) == {"status", "error", "values", "__error__"}
        again = (await http.post(f"/api/threads/{thread_id}/runs/{run['run_id']}/cancel")).json()
        assert again["detail"] == f"Run {run['run_id']} is not cancellable (status: error)"
        assert (waited["status"], waited["error"], waited["values"]["where"]) == ("error", text, where)
    else:
        assert set(waited) == {"__error__"}
    assert (await wait(http, prefix, thread_id, assistant_id="echo", input=HELLO))["messages"]
    thread = (await http.get(f"/threads/{thread_id}")).json()
    assert (thread["status"], thread["error"]) == ("idle", None)


async def test_an_error_can_be_read_again_by_whoever_joins(http, prefix, thread_id):
    events = await stream(http, prefix, thread_id, assistant_id="failing", input={"where": "sync", "steps": []})
    run_id = (await last_run(http, prefix, thread_id))["run_id"]
    answer = await http.get(f"/threads/{thread_id}/runs/{run_id}/stream")
    assert answer.content.count(b"event: error") == 1
    assert next(event.id for event in events if event.name == "error").encode() in answer.content
    joined = (await http.get(f"/threads/{thread_id}/runs/{run_id}/join")).json()
    assert joined == {"__error__": {"error": "ValueError", "message": "failed in sync"}}


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ({"assistant_id": "stepping", "input": {"steps": 5}}, "TypeError"),
        ({"assistant_id": "slow", "input": {}}, "KeyError"),
        ({"assistant_id": "echo", "input": None}, "EmptyInputError"),
        ({"assistant_id": "echo", "input": {"messages": [5]}}, "NotImplementedError"),
    ],
    ids=["wrong type", "empty", "nothing", "bad message"],
)
async def test_an_input_that_the_graph_refuses_fails_the_run_and_not_the_thread(http, thread_id, body, name):
    failure = (await wait(http, "", thread_id, **body))["__error__"]
    assert failure["error"] == name
    assert (await last_run(http, "", thread_id))["status"] == "error"
    thread = (await http.get(f"/threads/{thread_id}")).json()
    assert (thread["status"], thread["error"]) == ("error", failure)
    assert (await wait(http, "", thread_id, assistant_id="slow", input={"seconds": 0}))["done"] is True


async def test_a_thread_goes_on_from_before_an_input_that_was_refused(http, prefix, thread_id):
    body = {"assistant_id": "stepping"}
    await wait(http, prefix, thread_id, **body, input={"steps": []})
    refused = await wait(http, prefix, thread_id, **body, input={"steps": 5})
    assert refused["__error__"]["error"] == "TypeError"
    state = await http.get(f"/threads/{thread_id}/state")
    assert (state.status_code, "TypeError" in state.json()["detail"]) == (400, True)
    assert (await wait(http, prefix, thread_id, **body, input={"steps": ["x"]}))["steps"] == list("abcxabc")


async def test_a_bad_message_is_refused_at_the_gateways_door_by_its_index(http, spared):
    body = ECHO | {"input": {"messages": ["fine", {"role": "wizard", "content": "x"}]}}
    answer = await http.post(f"/api/threads/{spared}/runs", json=body)
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith("Invalid message at input.messages[1]: ")


async def test_a_factory_that_gives_no_graph_fails_its_runs_and_is_told_as_424_where_it_is_read(
    http, prefix, thread_id
):
    events = await stream(http, prefix, thread_id, assistant_id="factory_wrong", input={"made": ""})
    error = next(event for event in events if event.name == "error").data
    assert error["name" if prefix else "error"] == "GraphError"
    assert "which is no graph" in error["message"]
    state = await http.get(f"/threads/{thread_id}/state")
    assert (state.status_code, state.json()["detail"]) == (424, error["message"])
    thread = (await http.get(f"/threads/{thread_id}")).json()
    assert (thread["status"], thread["values"]) == ("error", None)
    assert (await wait(http, prefix, thread_id, **ECHO))["messages"]


async def test_what_cannot_be_encoded_is_null_and_the_stream_goes_on(http, prefix, thread_id):
    body = {"assistant_id": "unencodable", "input": {"values": {}}, "stream_mode": ["custom", "values"]}
    events = await stream(http, prefix, thread_id, **body)
    assert names(events) == ["metadata", "values", "custom", "values", "end"]
    said, left = events[2].data, events[3].data["values"]
    assert (said["opaque"], said["complex"], said["nan"], said["infinity"]) == (None, None, None, None)
    assert said | left == said
    assert (left["set"], left["bytes"], left["duration"]) == ([1, 2], "/wA=", 90.0)
    assert (left["model"]["name"], left["dataclass"]) == ("m", {"x": 1, "y": 2})
    assert left["datetime"] == "2026-11-22T14:00:00+00:00"
    assert left["keys"] == {"1": "one", "(2, 3)": "pair"}
    assert (await http.get(f"/threads/{thread_id}/state")).json()["values"]["values"] == left
    assert (await last_run(http, prefix, thread_id))["status"] == "success"


async def test_a_checkpoint_that_does_not_exist_is_refused(http, prefix, spared):
    answer = await http.post(f"{prefix}/threads/{spared}/runs", json=ECHO | {"checkpoint_id": str(uuid4())})
    assert answer.status_code == 404
    assert "heckpoint" in answer.json()["detail"]


NOWHERE = ["ftp://example.org", "/hook", "http://", 3]
LOCAL = ["localhost", "127.0.0.1", "[::1]", "10.1.2.3", "169.254.169.254", "192.168.0.1", "[fe80::1]"]


@pytest.mark.parametrize("url", [*NOWHERE, *(f"http://{host}/hook" for host in LOCAL)])
async def test_a_webhook_that_may_not_be_called_is_refused(http, prefix, spared, url):
    body = {**ECHO, "webhook": url}
    for path in (f"{prefix}/threads/{spared}/runs", f"{prefix}/threads/{spared}/runs/stream"):
        answer = await http.post(path, json=body)
        assert answer.status_code == 422, answer.text
        assert "webhook" in answer.text
