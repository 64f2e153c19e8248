"""A thread's state at any of its checkpoints: read, listed, changed, forked, copied."""

import asyncio
from itertools import pairwise

import httpx
import pytest

from tests.system.calls import HELLO, cancel, create, stream, wait

STEPS = {"assistant_id": "stepping", "input": {"steps": []}}


@pytest.fixture
async def stepped(http, prefix, thread_id):
    """A thread on which the three steps have run once, by the path of its dialect's mount."""
    await wait(http, prefix, thread_id, **STEPS)
    return f"{prefix}/threads/{thread_id}"


async def history(http, thread, **body):
    answer = await http.post(f"{thread}/history", json={"limit": 100, **body})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_history_is_newest_first_and_each_knows_its_parent(http, stepped):
    states = await history(http, stepped)
    assert [state["values"].get("steps") for state in states] == [["a", "b", "c"], ["a", "b"], ["a"], [], []]
    assert [state["next"] for state in states] == [[], ["c"], ["b"], ["a"], ["__start__"]]
    for newer, older in pairwise(states):
        assert newer["parent_checkpoint"] == older["checkpoint"]
    assert states[-1]["parent_checkpoint"] is None
    assert states[0] == (await http.get(f"{stepped}/state")).json()


async def test_history_is_one_long_if_nobody_says(http, stepped):
    assert len((await http.get(f"{stepped}/history")).json()) == 1
    assert len((await http.post(f"{stepped}/history", json={})).json()) == 1
    assert len((await http.get(f"{stepped}/history", params={"limit": 2})).json()) == 2


async def test_history_before_a_checkpoint_in_three_forms(http, stepped):
    states = await history(http, stepped)
    checkpoint = states[1]["checkpoint"]
    for before in (checkpoint["checkpoint_id"], checkpoint, {"configurable": checkpoint}):
        assert await history(http, stepped, before=before) == states[2:]
    by_query = await http.get(f"{stepped}/history", params={"limit": 9, "before": checkpoint["checkpoint_id"]})
    assert by_query.json() == states[2:]
    assert (await http.post(f"{stepped}/history", json={"before": {"nothing": 1}})).status_code == 422


async def test_history_by_metadata_and_in_part(http, stepped):
    states = await history(http, stepped, metadata={"step": 1}, select=["values.steps", "next"])
    assert states == [{"values": {"steps": ["a"]}, "next": ["b"]}]


async def test_a_thread_without_runs_has_no_history(http, prefix, thread_id):
    assert await history(http, f"{prefix}/threads/{thread_id}") == []
    state = (await http.get(f"{prefix}/threads/{thread_id}/state")).json()
    assert (state["values"], state["next"], state["checkpoint"]) == ({}, [], None)


async def test_a_state_is_read_at_its_checkpoint(http, stepped):
    for state in await history(http, stepped):
        checkpoint = state["checkpoint"]
        assert (await http.get(f"{stepped}/state/{checkpoint['checkpoint_id']}")).json() == state
        place = {"checkpoint": {key: checkpoint[key] for key in ("checkpoint_id", "checkpoint_ns")}}
        assert (await http.post(f"{stepped}/state/checkpoint", json=place)).json() == state


async def test_a_checkpoint_that_is_not_there_is_empty_under_its_id(http, stepped):
    unknown = "1f1c7b2a-6a34-6c52-8001-4be90a1d33f7"
    state = (await http.get(f"{stepped}/state/{unknown}")).json()
    assert (state["values"], state["checkpoint"], state["checkpoint_id"]) == ({}, None, unknown)


async def test_a_state_is_read_in_part(http, stepped):
    part = await http.get(f"{stepped}/state", params=[("select", "values.steps"), ("select", "next")])
    assert part.json() == {"values": {"steps": ["a", "b", "c"]}, "next": []}
    assert (await http.get(f"{stepped}/state", params={"select": "values.nothing"})).json() == {"values": {}}
    assert (await http.get(f"{stepped}/state", params={"select": "colour"})).status_code == 422


async def test_a_state_is_changed_as_a_node_would(http, stepped):
    before = await history(http, stepped)
    answer = await http.post(f"{stepped}/state", json={"values": {"steps": ["by hand"]}, "as_node": "a"})
    assert answer.status_code == 200, answer.text
    state, *older = await history(http, stepped)
    assert older == before
    assert (state["values"]["steps"], state["next"]) == (["a", "b", "c", "by hand"], ["b"])
    assert answer.json()["checkpoint_id"] == state["checkpoint"]["checkpoint_id"]
    assert answer.json()["checkpoint"] == answer.json()["configurable"] == state["checkpoint"]
    thread = (await http.get(stepped)).json()
    assert (thread["status"], thread["values"]) == ("interrupted", state["values"])


async def test_a_change_at_an_older_checkpoint_makes_a_sibling_and_the_head_is_the_newest(http, prefix, stepped):
    states = await history(http, stepped)
    at = states[2]["checkpoint"]  # after a
    change = {"values": {"steps": ["other"]}, "as_node": "b", "checkpoint_id": at["checkpoint_id"]}
    await http.post(f"{stepped}/state", json=change)
    state = (await http.get(f"{stepped}/state")).json()
    assert (state["values"]["steps"], state["next"]) == (["a", "other"], ["c"])
    assert state["parent_checkpoint"] == at
    thread_id = stepped.rpartition("/")[2]
    assert (await wait(http, prefix, thread_id, assistant_id="stepping", input=None))["steps"] == ["a", "other", "c"]


@pytest.mark.parametrize("form", ["checkpoint_id", "checkpoint", "configurable"])
async def test_a_run_forks_from_a_checkpoint(http, prefix, stepped, form):
    at = (await history(http, stepped))[2]["checkpoint"]  # after a
    place = {
        "checkpoint_id": {"checkpoint_id": at["checkpoint_id"]},
        "checkpoint": {"checkpoint": {"checkpoint_id": at["checkpoint_id"], "checkpoint_ns": ""}},
        "configurable": {"config": {"configurable": {"checkpoint_id": at["checkpoint_id"]}}},
    }[form]
    thread_id = stepped.rpartition("/")[2]
    values = await wait(http, prefix, thread_id, assistant_id="stepping", input=None, **place)
    assert values["steps"] == ["a", "b", "c"]
    states = await history(http, stepped)
    assert sum(state["parent_checkpoint"] == at for state in states) == 2
    assert states[0]["values"] == values


async def test_what_the_graph_refuses_is_400_and_changes_nothing(http, stepped):
    before = await history(http, stepped)
    for change in ({"values": {"steps": ["x"]}, "as_node": "nobody"}, {"values": ["no object"]}):
        answer = await http.post(f"{stepped}/state", json=change)
        assert answer.status_code == 400, answer.text
    assert (await http.post(f"{stepped}/state", json={"values": 3})).status_code == 422
    assert await history(http, stepped) == before


async def test_a_thread_without_a_graph_cannot_be_changed(http, prefix, thread_id, new_id):
    answer = await http.post(f"{prefix}/threads/{thread_id}/state", json={"values": {"steps": []}})
    assert answer.status_code == 400
    unknown = await http.post(f"{prefix}/threads/{new_id}/state", json={"values": {}})
    assert unknown.status_code == 404


async def test_a_state_is_not_changed_beside_a_run(http, prefix, thread_id):
    run_id = await create(http, prefix, thread_id, assistant_id="slow", input={"seconds": 30})
    answer = await http.post(f"{prefix}/threads/{thread_id}/state", json={"values": {"done": True}, "as_node": "wait"})
    assert answer.status_code == 409
    assert answer.json()["detail"] == f"Thread {thread_id} has in-flight runs: {run_id}"
    await cancel(http, prefix, thread_id, run_id)
    answer = await http.post(f"{prefix}/threads/{thread_id}/state", json={"values": {"done": True}, "as_node": "wait"})
    assert answer.status_code == 200


async def test_changes_that_come_at_once_are_made_one_after_another(http, stepped):
    changes = [{"values": {"steps": [str(number)]}, "as_node": "c"} for number in range(10)]
    answers = await asyncio.gather(*(http.post(f"{stepped}/state", json=change) for change in changes))
    assert {answer.status_code for answer in answers} == {200}
    steps = (await http.get(f"{stepped}/state")).json()["values"]["steps"]
    assert sorted(steps[3:]) == [str(number) for number in range(10)]


async def test_that_the_last_run_failed_stays_true_when_the_state_is_changed(http, prefix, thread_id):
    await wait(http, prefix, thread_id, **STEPS)
    await wait(http, prefix, thread_id, assistant_id="failing", input={"where": "sync"})
    failed = (await http.get(f"{prefix}/threads/{thread_id}")).json()
    assert failed["status"] == "error"
    await wait(http, prefix, thread_id, **STEPS)
    assert (await http.get(f"{prefix}/threads/{thread_id}")).json()["status"] == "idle"


async def test_the_states_of_subgraphs_are_read_and_have_a_history(http, prefix, thread_id):
    thread = f"{prefix}/threads/{thread_id}"
    await wait(http, prefix, thread_id, assistant_id="deep", input=HELLO)
    [outer] = (await http.get(f"{thread}/state")).json()["tasks"]
    assert (outer["state"], outer["checkpoint"]["thread_id"]) == (None, thread_id)
    [deep] = (await http.get(f"{thread}/state", params={"subgraphs": "true"})).json()["tasks"]
    inner = deep["state"]
    assert inner["next"] == ["ask"]
    assert inner["checkpoint"]["checkpoint_ns"] == outer["checkpoint"]["checkpoint_ns"]
    at = {"checkpoint_ns": inner["checkpoint"]["checkpoint_ns"], "checkpoint_id": inner["checkpoint"]["checkpoint_id"]}
    assert (await http.post(f"{thread}/state/checkpoint", json={"checkpoint": at})).json()["next"] == ["ask"]
    states = await history(http, thread, checkpoint={"checkpoint_ns": at["checkpoint_ns"]})
    assert [state["next"] for state in states] == [["ask"], ["__start__"]]
    told = await wait(http, prefix, thread_id, assistant_id="deep", command={"resume": "very"})
    assert told["messages"][-1]["content"] == "Told 'very'."


async def test_a_copy_is_the_same_and_goes_its_own_way(http, prefix, stepped):
    await http.patch(stepped, json={"metadata": {"owner": "me"}})
    copy = (await http.post(f"{stepped}/copy")).json()
    original = (await http.get(stepped)).json()
    assert copy["thread_id"] != original["thread_id"]
    assert (copy["status"], copy["values"], copy["metadata"]) == ("idle", original["values"], original["metadata"])
    twin = f"{prefix}/threads/{copy['thread_id']}"
    assert len(await history(http, twin)) == len(before := await history(http, stepped))
    await wait(http, prefix, copy["thread_id"], **STEPS)
    assert await history(http, stepped) == before
    assert len(await history(http, twin)) > len(before)


async def test_a_copy_of_a_paused_thread_can_be_resumed(http, prefix, thread_id):
    await wait(http, prefix, thread_id, assistant_id="asking", input={})
    copy = (await http.post(f"{prefix}/threads/{thread_id}/copy")).json()["thread_id"]
    answered = await wait(http, prefix, copy, assistant_id="asking", command={"resume": "yes"})
    assert "__interrupt__" not in answered
    assert (await http.get(f"{prefix}/threads/{thread_id}/state")).json()["interrupts"]


async def test_an_unknown_thread_cannot_be_copied(http, prefix, new_id):
    assert (await http.post(f"{prefix}/threads/{new_id}/copy")).status_code == 404


async def test_metadata_are_added_key_by_key(http, prefix, thread_id, new_id):
    thread = f"{prefix}/threads/{thread_id}"
    await http.patch(thread, json={"metadata": {"a": {"deep": 1}, "b": 2}})
    patched = await http.patch(thread, json={"metadata": {"a": None, "c": [3]}})
    assert patched.json()["metadata"] == {"a": None, "b": 2, "c": [3]}
    assert (await http.get(thread)).json() == patched.json()
    quiet = await http.patch(thread, json={"metadata": {"d": 4}}, headers={"Prefer": "return=minimal"})
    assert (quiet.status_code, quiet.content) == (204, b"")
    assert (await http.get(thread)).json()["metadata"]["d"] == 4
    assert (await http.patch(f"{prefix}/threads/{new_id}", json={"metadata": {}})).status_code == 404
    assert (await http.patch(thread, json={"ttl": 3})).status_code == 422


async def test_metadata_that_were_patched_reach_the_next_run(http, prefix, thread_id):
    await wait(http, prefix, thread_id, **STEPS)
    await http.patch(f"{prefix}/threads/{thread_id}", json={"metadata": {"team": "x"}})
    await wait(http, prefix, thread_id, **STEPS)
    run = (await http.get(f"/threads/{thread_id}/runs")).json()[0]
    assert run["metadata"]["team"] == "x"


async def test_the_sdk_reads_changes_and_copies_states(sdk):
    thread = (await sdk.threads.create())["thread_id"]
    await sdk.runs.wait(thread, "stepping", input={"steps": []})
    states = await sdk.threads.get_history(thread, limit=10)
    assert len(states) == 5
    assert await sdk.threads.get_state(thread, checkpoint=states[1]["checkpoint"]) == states[1]
    await sdk.threads.update_state(thread, {"steps": ["d"]}, as_node="c")
    assert (await sdk.threads.get_state(thread))["values"]["steps"][-1] == "d"
    await sdk.threads.update(thread, metadata={"k": 1})
    await sdk.threads.copy(thread)
    with pytest.raises(httpx.HTTPError):
        await sdk.threads.update_state(thread, {"steps": ["d"]}, as_node="nobody")


async def test_an_interrupt_has_one_id_in_its_four_places(http, prefix, thread_id):
    events = await stream(http, prefix, thread_id, assistant_id="asking", input={}, stream_mode=["values", "updates"])
    [told] = next(event.data["__interrupt__"] for event in events if "__interrupt__" in (event.data or {}))
    state = (await http.get(f"{prefix}/threads/{thread_id}/state")).json()
    thread = (await http.get(f"{prefix}/threads/{thread_id}")).json()
    ids = {told["id"], state["tasks"][0]["interrupts"][0]["id"], state["interrupts"][0]["id"]}
    ids.add(thread["interrupts"][state["tasks"][0]["id"]][0]["id"])
    assert len(ids) == 1
    assert thread["status"] == "interrupted"
    resumed = await wait(http, prefix, thread_id, assistant_id="asking", command={"resume": {told["id"]: "yes"}})
    assert "__interrupt__" not in resumed


async def test_a_pause_of_which_the_stream_says_nothing_is_a_pause(http, prefix, thread_id):
    await wait(http, prefix, thread_id, assistant_id="asking_hidden", input={"messages": []})
    thread = (await http.get(f"{prefix}/threads/{thread_id}")).json()
    assert (thread["status"], len(thread["interrupts"])) == ("interrupted", 1)
    answered = await wait(http, prefix, thread_id, assistant_id="asking_hidden", command={"resume": "yes"})
    assert answered["messages"][-1]["content"] == "You said 'yes'."
    assert (await http.get(f"{prefix}/threads/{thread_id}")).json()["status"] == "idle"
