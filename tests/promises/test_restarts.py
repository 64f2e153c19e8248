"""The directory and the ledger die, and Ray starts them again: what runs goes on, what waits keeps its turn."""

import asyncio
from uuid import uuid4

import psutil
import pytest

from tests.promises.test_hard_times import refusing
from tests.server import serving
from tests.system.calls import cancel, create, join, read, stream, wait
from tests.system.sse import parse
from tests.system.test_strategies import begun, work, working

DEATHS = [["Directory"], ["Ledger"], ["Directory", "Ledger"]]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("restarts"), "--warm", "2", "--max", "2") as server:
        yield server


def kill(server, *kinds):
    victims = [process for kind in kinds for process in server.actors(kind)]
    assert len(victims) == len(kinds)
    for victim in victims:
        victim.kill()
    psutil.wait_procs(victims)


@pytest.mark.parametrize("kinds", DEATHS, ids="+".join)
async def test_what_runs_goes_on_and_its_reader_sees_all_of_it_once(server, http, prefix, thread_id, kinds):
    run_id = await create(http, prefix, thread_id, **work("x", 3))
    path = f"{prefix}/threads/{thread_id}/runs/{run_id}/stream"
    await begun(http, thread_id, run_id)
    slots, reader = server.actors("Slot"), asyncio.create_task(http.get(path))
    kill(server, *kinds)
    said = parse((await reader).content, prefix)
    assert [event.data["attempt"] for event in said if event.name == "metadata"] == [1]
    assert said == parse((await http.get(path)).content, prefix), "what was said live is what is kept"
    assert (await join(http, thread_id, run_id))["done"] == ["x: begun", "x: worked", "x: ended"]
    run = await read(http, thread_id, run_id)
    assert (run["status"], run["attempt"]) == ("success", 1)
    assert server.actors("Slot") == slots, "those who run graphs live on"


@pytest.mark.parametrize("kinds", DEATHS, ids="+".join)
async def test_requests_are_answered_as_if_nothing_had_happened(server, http, prefix, thread_id, kinds):
    before = await wait(http, prefix, thread_id, **work("before"))
    first = await working(http, prefix, thread_id)
    kill(server, *kinds)
    asked = [create(http, prefix, str(uuid4()), **work("new", if_not_exists="create")), read(http, thread_id, first)]
    new, found, state, said, cancelled = await asyncio.gather(
        *asked,
        http.get(f"{prefix}/threads/{thread_id}/state"),
        stream(http, prefix, str(uuid4()), **work("said", if_not_exists="create")),
        cancel(http, prefix, thread_id, first),
    )
    assert found["run_id"] == first
    assert state.json()["values"]["done"] == [*before["done"], "first: begun"]
    assert said[-1].name == "end"
    assert cancelled.is_success
    assert (await read(http, thread_id, first))["status"] == "interrupted"
    assert new


async def test_who_waits_for_a_slot_keeps_the_place_and_the_order(server, http):
    busy = [str(uuid4()) for _ in range(2)]
    body = {"if_not_exists": "create", "multitask_strategy": "enqueue"}
    held = [await create(http, "", thread_id, **work("busy", 3, **body)) for thread_id in busy]
    for thread_id, run_id in zip(busy, held, strict=True):
        await begun(http, thread_id, run_id)
    late = str(uuid4())
    first = await create(http, "", late, **work("a", **body))
    reader = asyncio.create_task(http.get(f"/threads/{late}/runs/{first}/stream"))
    second = await create(http, "/api", late, **work("b", **body))
    kill(server, "Directory")
    third = await create(http, "", late, **work("c", **body))
    done = (await join(http, late, third))["done"]
    assert [one for one in done if "begun" in one] == ["a: begun", "b: begun", "c: begun"]
    assert [event.data["attempt"] for event in parse((await reader).content) if event.name == "metadata"] == [1]
    for thread_id, run_id in [*zip(busy, held, strict=True), (late, first), (late, second), (late, third)]:
        await join(http, thread_id, run_id)
        run = await read(http, thread_id, run_id)
        assert (run["status"], run["attempt"]) == ("success", 1)


async def test_a_slot_that_dies_beside_the_directory_is_missed_all_the_same(server, http, thread_id):
    run_id = await create(http, "", thread_id, **work("x", 2))
    await begun(http, thread_id, run_id)
    for victim in [*server.actors("Directory"), *server.actors("Slot")]:
        victim.kill()
    assert (await join(http, thread_id, run_id))["done"] == ["x: begun", "x: worked", "x: ended"]
    assert (await read(http, thread_id, run_id))["attempt"] == 2


async def test_a_graph_that_had_finished_is_not_run_again_for_its_end_to_be_kept(server, http, thread_id):
    """Its end could not be written down before the process that knew of it died."""
    run_id = await create(http, "", thread_id, **work("x", 1))
    await begun(http, thread_id, run_id)
    reader = asyncio.create_task(http.get(f"/threads/{thread_id}/runs/{run_id}/stream"))
    with refusing(server):
        while (await http.get(f"/threads/{thread_id}/state")).json()["next"]:
            assert not reader.done()
        for slot in server.actors("Slot"):
            slot.kill()
    done = (await join(http, thread_id, run_id))["done"]
    assert done == ["x: begun", "x: worked", "x: ended"]
    run = await read(http, thread_id, run_id)
    assert (run["status"], run["attempt"]) == ("success", 2)
    said = parse((await reader).content)
    assert [event.data["attempt"] for event in said if event.name == "metadata"] == [1, 2]
    assert (await http.get(f"/threads/{thread_id}/state")).json()["values"]["done"] == done
