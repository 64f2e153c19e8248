"""What was asked of a run is done, also when its process has to die for it, or the server was away meanwhile."""

import httpx
import pytest

from tests.promises.test_webhooks import listening
from tests.server import serving
from tests.system.calls import HELLO
from tests.system.sse import names, parse

BLOCKED = {"assistant_id": "blocking", "input": {"seconds": 60}}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Runs may take a second, and a second more once they are told to stop."""
    folder = tmp_path_factory.mktemp("control")
    limits = {"TREADLE_RUN_TIMEOUT": "1", "TREADLE_CANCEL_GRACE": "1", "TREADLE_WEBHOOK_ALLOW_LOCAL": "1"}
    with serving(folder, "--warm", "2", "--max", "3", **limits) as server:
        yield server


def work(word, seconds=0.0):
    return {"assistant_id": "working", "input": {"word": word, "seconds": seconds}}


@pytest.mark.parametrize("body", [work("x", 60), BLOCKED], ids=["waiting", "blocking"])
async def test_a_run_that_takes_too_long_is_timed_out_and_the_thread_goes_on(http, prefix, thread_id, body):
    answer = await http.post(f"{prefix}/threads/{thread_id}/runs/stream", json=body)
    events = parse(answer.content, prefix)
    text = "Run exceeded its time limit of 1 seconds"
    if prefix:
        assert names(events)[-2:] == ["error", "end"]
        assert events[-2].data == {"message": text, "name": "TimeoutError"}
    else:
        assert (events[-1].name, events[-1].data) == ("error", {"error": "TimeoutError", "message": text})
    [run] = (await http.get(f"/api/threads/{thread_id}/runs")).json()
    assert (run["status"], run["error"]) == ("timeout", text)
    thread = (await http.get(f"/threads/{thread_id}")).json()
    assert (thread["status"], thread["error"]) == ("error", {"error": "TimeoutError", "message": text})
    done = (await http.post(f"{prefix}/threads/{thread_id}/runs/wait", json=work("next"))).json()["done"]
    assert done[-1] == "next: ended"
    assert (await http.get(f"/threads/{thread_id}")).json()["status"] == "idle"


async def test_who_waits_for_a_run_that_takes_too_long_is_told(http, prefix, thread_id):
    text = "Run exceeded its time limit of 1 seconds"
    told = (await http.post(f"{prefix}/threads/{thread_id}/runs/wait", json=work("x", 60))).json()
    assert told["__error__"] == {"error": "TimeoutError", "message": text}
    if prefix:
        assert (told["status"], told["error"], told["values"]["done"]) == ("timeout", text, ["x: begun"])
    [run] = (await http.get(f"/api/threads/{thread_id}/runs")).json()
    late = await http.post(f"/api/threads/{thread_id}/runs/{run['run_id']}/cancel")
    assert late.json()["detail"] == f"Run {run['run_id']} is not cancellable (status: timeout)"


async def test_who_is_next_in_line_goes_on_after_a_timeout_and_the_webhook_says_it(http, server, prefix, thread_id):
    with listening(server.url) as listener:
        late = {**work("late", 60), "webhook": listener.url}
        run_id = (await http.post(f"{prefix}/threads/{thread_id}/runs", json=late)).json()["run_id"]
        following = {**work("next"), "multitask_strategy": "enqueue"}
        done = (await http.post(f"{prefix}/threads/{thread_id}/runs/wait", json=following)).json()["done"]
        assert done == ["late: begun", *(f"next: {step}" for step in STEPS)]
        told, seen, _ = listener.calls.get(timeout=30)
    assert (told["run_id"], told["status"], seen["status"]) == (run_id, "timeout", "timeout")


async def test_what_a_run_that_takes_too_long_has_said_is_kept_and_its_tokens_count(http, thread_id):
    body = {"assistant_id": "chat", "config": {"configurable": {"pace": 0.1}}, "stream_mode": "messages-tuple"}
    await http.post(f"/api/threads/{thread_id}/runs/wait", json=body | {"input": HELLO})
    [run] = (await http.get(f"/api/threads/{thread_id}/runs")).json()
    told = (await http.get(f"/api/threads/{thread_id}/token-usage")).json()
    assert (run["status"], run["total_tokens"]) == ("timeout", told["total_tokens"])
    assert 0 < told["total_tokens"] == sum(model["tokens"] for model in told["by_model"].values())
    answer = (await http.get(f"/api/threads/{thread_id}/messages")).json()[-1]
    assert answer["metadata"]["partial"] is True
    assert answer["content"]["content"].startswith("You said")


async def test_a_node_that_takes_no_notice_of_a_cancel_ends_all_the_same(http, prefix, thread_id):
    stubborn = {"assistant_id": "stubborn", "input": {"refused": False}, "stream_mode": "updates"}
    run_id = (await http.post(f"{prefix}/threads/{thread_id}/runs", json=stubborn)).json()["run_id"]
    await http.post(f"{prefix}/threads/{thread_id}/runs/{run_id}/cancel", params={"wait": "1"})
    run = (await http.get(f"/api/threads/{thread_id}/runs/{run_id}")).json()
    assert run["status"] in ("interrupted", "timeout")
    done = (await http.post(f"{prefix}/threads/{thread_id}/runs/wait", json=work("next"))).json()["done"]
    assert done[-1] == "next: ended"


async def test_a_run_that_cannot_be_stopped_is_undone_where_its_thread_comes_back(http, prefix, thread_id):
    await http.post(f"{prefix}/threads/{thread_id}/runs/wait", json=work("before"))
    before = (await http.get(f"{prefix}/threads/{thread_id}/state")).json()["checkpoint"]
    run_id = (await http.post(f"{prefix}/threads/{thread_id}/runs", json=BLOCKED)).json()["run_id"]
    replaced = await http.post(
        f"{prefix}/threads/{thread_id}/runs/wait", json={**work("after"), "multitask_strategy": "rollback"}
    )
    assert replaced.json()["done"] == [f"{word}: {step}" for word in ("before", "after") for step in STEPS]
    undone = (await http.get(f"/api/threads/{thread_id}/runs/{run_id}")).json()
    assert (undone["status"], undone["error"]) == ("error", "Rolled back by user")
    history = (await http.post(f"{prefix}/threads/{thread_id}/history", json={"limit": 99})).json()
    assert before in [state["checkpoint"] for state in history]
    assert run_id not in {state["metadata"]["run_id"] for state in history}


STEPS = ("begun", "worked", "ended")


def test_a_delay_and_a_wish_survive_a_restart(tmp_path):
    with serving(tmp_path, "--warm", "1", "--max", "2") as server, httpx.Client(base_url=server.url) as http:
        thread_id = http.post("/threads", json={}).json()["thread_id"]
        late = http.post(f"/threads/{thread_id}/runs", json={**work("late"), "after_seconds": 5}).json()["run_id"]
        other = http.post("/threads", json={}).json()["thread_id"]
        never = http.post(f"/threads/{other}/runs", json={**work("never"), "after_seconds": 3600}).json()["run_id"]
    with serving(tmp_path, "--warm", "1", "--max", "2") as server, httpx.Client(base_url=server.url) as http:
        values = http.get(f"/threads/{thread_id}/runs/{late}/join", timeout=30).json()
        assert values["done"] == ["late: begun", "late: worked", "late: ended"]
        assert http.get(f"/threads/{other}/runs/{never}").json()["status"] == "pending"
        assert http.get(f"/threads/{other}").json()["status"] == "busy"
        http.post(f"/threads/{other}/runs/{never}/cancel", params={"wait": "1"}, timeout=30)
        assert http.get(f"/threads/{other}/runs/{never}").json()["status"] == "interrupted"
