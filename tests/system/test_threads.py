"""Threads and their state: made, read, deleted. Served under `/api` as well, and the same there."""

import asyncio
from contextlib import suppress

import httpx
import pytest

from tests.system.calls import HELLO, create, join, last_run, wait

ECHO = {"assistant_id": "echo", "input": HELLO}
FIELDS = {
    "thread_id",
    "created_at",
    "updated_at",
    "state_updated_at",
    "status",
    "metadata",
    "config",
    "values",
    "interrupts",
    "error",
}


async def test_a_new_thread_has_every_field(http, prefix):
    thread = (await http.post(f"{prefix}/threads", json={"metadata": {"owner": "me"}})).json()
    assert set(thread) == FIELDS
    assert thread | {"status": "idle", "metadata": {"owner": "me"}, "config": {}, "interrupts": {}} == thread
    assert (thread["values"], thread["error"], thread["state_updated_at"]) == (None, None, None)
    assert thread["created_at"].endswith("+00:00")
    assert (await http.get(f"{prefix}/threads/{thread['thread_id']}")).json() == thread


async def test_a_thread_has_every_field_after_a_run_too(http, prefix, thread_id):
    values = await wait(http, prefix, thread_id, **ECHO)
    thread = (await http.get(f"{prefix}/threads/{thread_id}")).json()
    assert set(thread) == FIELDS
    assert (thread["values"], thread["status"], thread["error"]) == (values, "idle", None)
    assert thread["state_updated_at"] > thread["created_at"]
    assert thread["metadata"]["graph_id"] == "echo"


async def test_a_client_can_name_its_thread_but_not_twice(http, prefix, new_id):
    body = {"thread_id": new_id, "metadata": {"first": True}}
    first = (await http.post(f"{prefix}/threads", json=body)).json()
    again = await http.post(f"{prefix}/threads", json=body)
    assert (again.status_code, again.json()) == (409, {"detail": f"Thread with ID {new_id} already exists"})
    kept = await http.post(f"{prefix}/threads", json={"thread_id": new_id, "if_exists": "do_nothing"})
    assert kept.json() == first


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({"thread_id": "my-thread"}, "Invalid thread ID: must be a UUID"),
        ({"if_exists": "replace"}, "if_exists"),
        ({"metadata": 3}, "metadata"),
        ({"ttl": 5}, "ttl is not supported yet"),
        ({"supersteps": [{"updates": []}]}, "supersteps is not supported yet"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
async def test_a_thread_that_cannot_be_made_as_asked_is_refused(http, prefix, body, word):
    answer = await http.post(f"{prefix}/threads", json=body)
    assert answer.status_code == 422
    assert word in answer.json()["detail"]


async def test_of_ten_who_race_for_a_thread_one_makes_it(http, prefix, new_id):
    bodies = [{"thread_id": new_id, "if_exists": "do_nothing", "metadata": {"by": number}} for number in range(10)]
    threads = await asyncio.gather(*(http.post(f"{prefix}/threads", json=body) for body in bodies))
    assert [answer.status_code for answer in threads] == [200] * 10
    assert len({answer.text for answer in threads}) == 1


async def test_of_ten_who_insist_on_a_thread_one_gets_it(http, prefix, new_id):
    body = {"thread_id": new_id}
    answers = await asyncio.gather(*(http.post(f"{prefix}/threads", json=body) for _ in range(10)))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 9


async def test_an_empty_thread_has_a_state_without_a_checkpoint(http, prefix, thread_id):
    answer = await http.get(f"{prefix}/threads/{thread_id}/state")
    assert (answer.status_code, answer.json()) == (
        200,
        {
            "values": {},
            "next": [],
            "tasks": [],
            "metadata": None,
            "created_at": None,
            "checkpoint": None,
            "parent_checkpoint": None,
            "interrupts": [],
            "checkpoint_id": None,
            "parent_checkpoint_id": None,
        },
    )


async def test_a_state_says_where_it_is_and_where_it_came_from(http, prefix, thread_id):
    await wait(http, prefix, thread_id, **ECHO)
    state = (await http.get(f"{prefix}/threads/{thread_id}/state")).json()
    assert state["checkpoint"] == {
        "thread_id": thread_id,
        "checkpoint_ns": "",
        "checkpoint_id": state["checkpoint_id"],
    }
    assert state["parent_checkpoint"]["checkpoint_id"] == state["parent_checkpoint_id"] < state["checkpoint_id"]
    assert state["metadata"]["run_id"] == (await last_run(http, prefix, thread_id))["run_id"]
    assert (state["metadata"]["source"], state["next"], state["tasks"]) == ("loop", [], [])


async def test_the_state_of_a_subgraph_is_shown_when_it_is_asked_for(http, prefix, thread_id):
    await wait(http, prefix, thread_id, assistant_id="failing", input={"where": "subgraph", "steps": []})
    [task] = (await http.get(f"{prefix}/threads/{thread_id}/state")).json()["tasks"]
    assert task["checkpoint"]["checkpoint_ns"].startswith("subgraph:")
    assert task["state"] is None
    assert task["error"] == "ValueError('failed in subgraph')"
    [task] = (await http.get(f"{prefix}/threads/{thread_id}/state", params={"subgraphs": "true"})).json()["tasks"]
    assert task["state"]["next"] == ["inner"]
    assert task["state"]["values"]["steps"] == ["begin"]


async def test_a_deleted_thread_is_gone_with_all_it_had(http, prefix, thread_id):
    await wait(http, prefix, thread_id, **ECHO)
    run_id = (await last_run(http, prefix, thread_id))["run_id"]
    answer = await http.delete(f"{prefix}/threads/{thread_id}")
    assert (answer.status_code, answer.content) == (204, b"")
    paths = ("", "/state", f"/runs/{run_id}", f"/runs/{run_id}/stream")
    assert [(await http.get(f"/threads/{thread_id}{path}")).status_code for path in paths] == [404] * 4
    assert (await http.get(f"/api/threads/{thread_id}/runs")).json() == []
    assert (await http.delete(f"{prefix}/threads/{thread_id}")).status_code == 404


async def test_deleting_a_thread_cancels_what_runs_and_what_waits_on_it(http, prefix, thread_id):
    slow = {"assistant_id": "slow", "input": {"seconds": 60}, "multitask_strategy": "enqueue"}
    run_ids = [await create(http, prefix, thread_id, **slow) for _ in range(2)]
    reader = asyncio.ensure_future(http.get(f"/threads/{thread_id}/runs/{run_ids[0]}/stream"))
    answer = await asyncio.wait_for(http.delete(f"{prefix}/threads/{thread_id}"), 5)
    assert answer.status_code == 204
    with suppress(httpx.RemoteProtocolError):  # a reader that comes in between: its run is gone before its first part
        assert (await asyncio.wait_for(reader, 5)).status_code in (200, 404)
    assert (await http.get(f"/threads/{thread_id}")).status_code == 404
    for run_id in run_ids:
        assert (await http.get(f"/threads/{thread_id}/runs/{run_id}")).status_code == 404


async def test_a_thread_that_is_made_again_begins_empty(http, prefix, thread_id):
    await wait(http, prefix, thread_id, **ECHO)
    await http.delete(f"{prefix}/threads/{thread_id}")
    again = await http.post(f"{prefix}/threads", json={"thread_id": thread_id})
    assert (again.status_code, again.json()["values"], again.json()["metadata"]) == (200, None, {})
    assert (await http.get(f"/threads/{thread_id}/state")).json()["checkpoint"] is None
    assert (await http.get(f"/threads/{thread_id}/runs")).json() == []
    values = await wait(http, prefix, thread_id, **ECHO)
    assert [message["content"] for message in values["messages"]] == ["hello", "hello"]


async def test_a_thread_is_busy_as_long_as_a_run_is_in_flight(http, prefix, thread_id):
    run_id = await create(http, prefix, thread_id, assistant_id="slow", input={"seconds": 0.5})
    assert (await http.get(f"{prefix}/threads/{thread_id}")).json()["status"] == "busy"
    await join(http, thread_id, run_id)
    assert (await http.get(f"{prefix}/threads/{thread_id}")).json()["status"] == "idle"


async def test_a_stream_that_is_joined_at_once_has_everything(http, prefix, new_id):
    """Each thread waits in the lobby until another has left its slot, and so is not where it was a moment ago."""
    for number in range(8):
        thread_id = f"{new_id[:-2]}{number:02}"
        run_id = await create(http, prefix, thread_id, **ECHO, if_not_exists="create")
        content = (await http.get(f"{prefix}/threads/{thread_id}/runs/{run_id}/stream")).content
        assert content.startswith(b"event: metadata")
        assert content.count(b"event: values") == 2
