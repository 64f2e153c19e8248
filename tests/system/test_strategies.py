"""What becomes of a run that meets others on its thread: of all of them, over real HTTP, in both dialects."""

import asyncio

import pytest

from tests.system.calls import cancel, create, join, read, stream, wait
from tests.system.sse import names, parse


def work(word, seconds=0.0, **more):
    return {"assistant_id": "working", "input": {"word": word, "seconds": seconds}, **more}


async def begun(http, thread_id, run_id, word="begun"):
    """Return when the run has said so in its values, and so has a checkpoint behind it."""
    path = f"/threads/{thread_id}/runs/{run_id}/stream"
    async with http.stream("GET", path) as answer:
        async for line in answer.aiter_lines():
            if line.startswith("data: ") and word in line:
                return


async def working(http, prefix, thread_id, word="first", **more):
    """A run that works for long."""
    run_id = await create(http, prefix, thread_id, **work(word, 60, **more))
    await begun(http, thread_id, run_id)
    return run_id


async def done(http, prefix, thread_id):
    state = (await http.get(f"{prefix}/threads/{thread_id}/state")).json()
    return state["values"].get("done")


async def statuses(http, thread_id):
    """All runs of the thread, oldest first."""
    runs = (await http.get(f"/api/threads/{thread_id}/runs")).json()
    return [run["status"] for run in runs][::-1]


async def test_interrupt_ends_the_old_run_and_the_new_one_goes_on_from_its_state(http, prefix, thread_id):
    first = await working(http, prefix, thread_id)
    values = await wait(http, prefix, thread_id, **work("second", multitask_strategy="interrupt"))
    assert values["done"] == ["first: begun", "second: begun", "second: worked", "second: ended"]
    assert await statuses(http, thread_id) == ["interrupted", "success"]
    run = (await http.get(f"/threads/{thread_id}/runs/{first}")).json()
    second = (await http.get(f"/threads/{thread_id}/runs")).json()[0]["run_id"]
    assert run["cancel_reason"] == f"superseded by run {second} (multitask_strategy=interrupt)"


async def test_interrupt_displaces_all_who_wait_too(http, prefix, thread_id):
    await working(http, prefix, thread_id)
    waiting = [await create(http, prefix, thread_id, **work(word, multitask_strategy="enqueue")) for word in "ab"]
    delayed = await create(http, prefix, thread_id, **work("c", multitask_strategy="enqueue", after_seconds=3600))
    readers = [asyncio.create_task(http.get(f"{prefix}/threads/{thread_id}/runs/{run}/stream")) for run in waiting]
    values = await wait(http, prefix, thread_id, **work("last", multitask_strategy="interrupt"))
    assert values["done"] == ["first: begun", "last: begun", "last: worked", "last: ended"]
    assert await statuses(http, thread_id) == ["interrupted"] * 4 + ["success"]
    for reader in readers:
        assert names(parse((await reader).content, prefix)) == ["end"]
    assert (await read(http, thread_id, delayed))["attempt"] == 0


async def test_rollback_starts_from_the_state_before_the_old_run(http, prefix, thread_id):
    await wait(http, prefix, thread_id, **work("zero"))
    before = (await http.get(f"{prefix}/threads/{thread_id}/state")).json()
    first = await working(http, prefix, thread_id)
    values = await wait(http, prefix, thread_id, **work("second", multitask_strategy="rollback"))
    assert values["done"][:3] == before["values"]["done"]
    assert values["done"][3:] == ["second: begun", "second: worked", "second: ended"]
    history = (await http.post(f"{prefix}/threads/{thread_id}/history", json={"limit": 100})).json()
    assert first not in {state["metadata"]["run_id"] for state in history}
    assert before["checkpoint"] in [state["checkpoint"] for state in history]
    assert (await http.get(f"/threads/{thread_id}/runs/{first}")).status_code == 404
    assert len((await http.get(f"/threads/{thread_id}/runs")).json()) == 2
    undone = await read(http, thread_id, first)
    assert (undone["status"], undone["error"]) == ("error", "Rolled back by user")


async def test_a_rolled_back_first_run_leaves_an_empty_thread(http, prefix, thread_id):
    metadata = (await http.get(f"{prefix}/threads/{thread_id}")).json()["metadata"]
    run_id = await working(http, prefix, thread_id)
    answer = await http.post(f"{prefix}/threads/{thread_id}/runs/{run_id}/cancel?action=rollback&wait=1")
    assert answer.status_code == (204 if prefix else 200), answer.text
    thread = (await http.get(f"{prefix}/threads/{thread_id}")).json()
    assert (thread["status"], thread["values"], thread["error"], thread["interrupts"]) == ("idle", None, None, {})
    assert thread["metadata"] == metadata
    assert (await http.get(f"{prefix}/threads/{thread_id}/state")).json()["checkpoint"] is None
    assert (await http.post(f"{prefix}/threads/{thread_id}/history", json={"limit": 9})).json() == []
    assert (await wait(http, prefix, thread_id, **work("next")))["done"][0] == "next: begun"


async def speaks_with(http, thread_id):
    """The graph that the thread's metadata name, if they name one."""
    return (await http.get(f"/threads/{thread_id}")).json()["metadata"].get("graph_id")


async def rolled_back(http, prefix, thread_id, run_id):
    await http.post(f"{prefix}/threads/{thread_id}/runs/{run_id}/cancel?action=rollback&wait=1")


async def test_a_thread_speaks_with_whom_it_spoke_before_the_runs_that_were_rolled_back(http, prefix, thread_id):
    await wait(http, prefix, thread_id, assistant_id="echo", input={"messages": []})
    first = await working(http, prefix, thread_id, multitask_strategy="enqueue")
    queued = {"multitask_strategy": "enqueue", "input": {}}
    second = await create(http, prefix, thread_id, assistant_id="asking", **queued)
    third = await create(http, prefix, thread_id, assistant_id="nested", after_seconds=3600, **queued)
    await rolled_back(http, prefix, thread_id, second)
    assert await speaks_with(http, thread_id) == "nested"
    await rolled_back(http, prefix, thread_id, third)
    assert await speaks_with(http, thread_id) == "working"
    await rolled_back(http, prefix, thread_id, first)
    assert await speaks_with(http, thread_id) == "echo"


async def test_who_displaces_runs_speaks_and_if_it_is_undone_too_nobody_has(http, prefix, thread_id):
    await working(http, prefix, thread_id)
    queued = {"assistant_id": "asking", "input": {}, "multitask_strategy": "enqueue"}
    await create(http, prefix, thread_id, **queued)
    await create(http, prefix, thread_id, **queued, after_seconds=3600)
    last = await working(http, prefix, thread_id, word="last", multitask_strategy="rollback")
    assert await speaks_with(http, thread_id) == "working"
    assert await statuses(http, thread_id) == ["error", "error", "error", "running"]
    await rolled_back(http, prefix, thread_id, last)
    assert await speaks_with(http, thread_id) is None


async def test_what_a_client_has_said_of_its_thread_meanwhile_stays(http, prefix, thread_id):
    run_id = await working(http, prefix, thread_id)
    await http.patch(f"{prefix}/threads/{thread_id}", json={"metadata": {"graph_id": "echo", "mood": "good"}})
    await rolled_back(http, prefix, thread_id, run_id)
    metadata = (await http.get(f"{prefix}/threads/{thread_id}")).json()["metadata"]
    assert (metadata["graph_id"], metadata["mood"]) == ("echo", "good")


async def test_a_rolled_back_answer_leaves_the_question(http, prefix, thread_id):
    await wait(http, prefix, thread_id, assistant_id="pausing", input={"seconds": 60})
    before = (await http.get(f"{prefix}/threads/{thread_id}/state")).json()
    thread = (await http.get(f"{prefix}/threads/{thread_id}")).json()
    assert thread["status"] == "interrupted"
    run_id = await create(http, prefix, thread_id, assistant_id="pausing", command={"resume": "yes"})
    await begun(http, thread_id, run_id, word="yes")
    await http.post(f"{prefix}/threads/{thread_id}/runs/{run_id}/cancel?action=rollback&wait=1")
    assert (await http.get(f"{prefix}/threads/{thread_id}/state")).json() == before
    after = (await http.get(f"{prefix}/threads/{thread_id}")).json()
    kept = ("status", "interrupts", "error", "values", "state_updated_at")
    assert [after[name] for name in kept] == [thread[name] for name in kept]
    change = {"values": {"seconds": 0}, "as_node": "__start__"}
    assert (await http.post(f"{prefix}/threads/{thread_id}/state", json=change)).status_code == 200
    await wait(http, prefix, thread_id, assistant_id="pausing", input=None)
    answered = await wait(http, prefix, thread_id, assistant_id="pausing", command={"resume": "no"})
    assert answered["told"] == ["no", "pondered"]


async def test_a_rolled_back_fork_leaves_the_head_that_was_before_it(http, prefix, thread_id):
    for word in ("one", "two"):
        await wait(http, prefix, thread_id, **work(word))
    states = (await http.post(f"{prefix}/threads/{thread_id}/history", json={"limit": 99})).json()
    old = next(state["checkpoint_id"] for state in states if state["values"].get("done", [""])[-1] == "one: ended")
    fork = await working(http, prefix, thread_id, word="fork", checkpoint_id=old)
    assert await done(http, prefix, thread_id) == ["one: begun", "one: worked", "one: ended", "fork: begun"]
    await rolled_back(http, prefix, thread_id, fork)
    after = (await http.post(f"{prefix}/threads/{thread_id}/history", json={"limit": 99})).json()
    assert after == states


async def test_a_run_that_is_deleted_leaves_the_states_of_subgraphs_as_they_were(http, prefix, thread_id):
    await wait(http, prefix, thread_id, assistant_id="deep", input={"messages": []})
    path = f"{prefix}/threads/{thread_id}/state?subgraphs=true"
    before = (await http.get(path)).json()
    assert before["tasks"][0]["state"]["next"] == ["ask"]
    body = {"assistant_id": "deep", "command": {"resume": "very"}, "after_seconds": 0}
    await wait(http, prefix, thread_id, assistant_id="deep", input={"messages": ["again"]})
    assert (await http.get(path)).json() != before
    path_of_run = f"{prefix}/threads/{thread_id}/runs/{(await last(http, thread_id))['run_id']}"
    assert (await http.delete(path_of_run)).status_code == 204
    assert (await http.get(path)).json() == before
    assert (await wait(http, prefix, thread_id, **body))["messages"][-1]["content"] == "Told 'very'."


async def last(http, thread_id):
    return (await http.get(f"/threads/{thread_id}/runs")).json()[0]


async def test_a_rolled_back_answer_can_be_given_again(http, prefix, thread_id):
    await wait(http, prefix, thread_id, assistant_id="pausing", input={"seconds": 0.5})
    run_id = await create(http, prefix, thread_id, assistant_id="pausing", command={"resume": "yes"})
    await begun(http, thread_id, run_id, word="yes")
    body = {"assistant_id": "pausing", "command": {"resume": "no"}, "multitask_strategy": "rollback"}
    assert (await wait(http, prefix, thread_id, **body))["told"] == ["no", "pondered"]


async def test_reject_is_refused_beside_any_run_and_leaves_nothing(http, prefix, thread_id):
    run_id = await create(http, prefix, thread_id, **work("delayed", after_seconds=3600))
    answer = await http.post(f"{prefix}/threads/{thread_id}/runs", json=work("x", multitask_strategy="reject"))
    assert answer.status_code == 409
    assert await statuses(http, thread_id) == ["pending"]
    assert (await http.get(f"{prefix}/threads/{thread_id}")).json()["status"] == "busy"
    await cancel(http, prefix, thread_id, run_id)
    assert (await http.get(f"{prefix}/threads/{thread_id}")).json()["status"] == "idle"


async def test_of_many_rejects_on_an_idle_thread_one_is_admitted(http, prefix, thread_id):
    body = work("x", 1, multitask_strategy="reject")
    answers = await asyncio.gather(*(http.post(f"{prefix}/threads/{thread_id}/runs", json=body) for _ in range(50)))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 49
    assert len(await statuses(http, thread_id)) == 1


async def test_twenty_runs_go_in_order_whatever_their_ends(http, prefix, thread_id):
    bodies = [work(str(number), multitask_strategy="enqueue") for number in range(20)]
    bodies[3]["assistant_id"], bodies[3]["input"] = "failing", {"where": "sync"}
    runs = [await create(http, prefix, thread_id, **body) for body in bodies]
    await http.post(f"{prefix}/threads/{thread_id}/runs/{runs[7]}/cancel")
    await join(http, thread_id, runs[-1])
    found = await done(http, prefix, thread_id)
    words = [line.partition(":")[0] for line in found if line.endswith("ended")]
    assert words == sorted(words, key=int)
    assert {"0", "19"} <= set(words)


async def test_a_displaced_run_says_how_it_ended(http, prefix, thread_id):
    first = await working(http, prefix, thread_id)
    async with http.stream("GET", f"{prefix}/threads/{thread_id}/runs/{first}/stream") as reader:
        await stream(http, prefix, thread_id, **work("second", multitask_strategy="rollback"))
        events = parse(await reader.aread(), prefix)
    assert events[-1].data == (None if prefix else {"run_id": first, "status": "rollback"})
    assert "error" not in names(events)
    again = parse((await http.get(f"/api/threads/{thread_id}/runs/{first}/stream")).content, "/api")
    assert names(again)[-1] == "end"


async def test_after_seconds_is_not_too_early_and_others_go_ahead(http, prefix, thread_id):
    late = await create(http, prefix, thread_id, **work("late", after_seconds=1.5))
    run = (await http.get(f"/threads/{thread_id}/runs/{late}")).json()
    assert run["status"] == "pending"
    await wait(http, prefix, thread_id, **work("early", multitask_strategy="enqueue"))
    assert (await http.get(f"/threads/{thread_id}/runs/{late}")).json()["status"] == "pending"
    values = await join(http, thread_id, late)
    assert values["done"][0] == "early: begun"
    assert values["done"][3] == "late: begun"


@pytest.mark.parametrize("seconds", [-1, 1e99, "soon"])
async def test_a_delay_that_is_none_is_refused(http, prefix, thread_id, seconds):
    answer = await http.post(f"{prefix}/threads/{thread_id}/runs", json=work("x", after_seconds=seconds))
    assert answer.status_code == 422
    assert await statuses(http, thread_id) == []


async def test_a_full_line_is_429_and_admits_nothing(http, prefix, thread_id):
    await create(http, prefix, thread_id, **work("first", 60, multitask_strategy="enqueue"))
    body = work("x", multitask_strategy="enqueue")
    path = f"{prefix}/threads/{thread_id}/runs"
    answers = await asyncio.gather(*(http.post(path, json=body) for _ in range(101)))
    assert sorted(answer.status_code for answer in answers) == [200] * 100 + [429]
    [refused] = [answer for answer in answers if answer.status_code == 429]
    assert refused.headers["retry-after"]
    await http.delete(f"{prefix}/threads/{thread_id}")
