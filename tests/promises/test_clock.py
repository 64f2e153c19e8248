"""The machine's clock is set back an hour, and forward again: what is newest stays newest, and nothing waits for it."""

from importlib.util import find_spec
from pathlib import Path
from uuid import uuid4

import psutil
import pytest

from tests.server import serving
from tests.system.calls import create, join, read, stream, wait
from tests.system.sse import parse
from tests.system.test_strategies import begun

LIBRARY = Path(find_spec("libfaketime").origin).parent / "vendor/libfaketime/src/libfaketime.so.1"
HOUR = 3_600


class Clock:
    """What all processes of a server take for the time of day; how long something takes is not changed."""

    def __init__(self, folder):
        self._file = folder / "clock"
        self.set(0)
        self.env = {
            "LD_PRELOAD": str(LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def set(self, seconds):
        """So many seconds beside the true time."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{seconds:+}\n")
        new.replace(self._file)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("clock")


@pytest.fixture(scope="module")
def its_clock(folder):
    return Clock(folder)


@pytest.fixture(scope="module")
def server(folder, its_clock):
    with serving(folder, "--warm", "2", "--max", "2", **its_clock.env) as server:
        yield server


@pytest.fixture
def clock(its_clock):
    its_clock.set(0)
    yield its_clock
    its_clock.set(0)


def work(word, seconds=0.0, **more):
    return {"assistant_id": "working", "input": {"word": word, "seconds": seconds}, **more}


def done(*words):
    return [f"{word}: {step}" for word in words for step in ("begun", "worked", "ended")]


def replace_slots(server):
    """By new ones, which know nothing of what the clock has been."""
    slots = server.actors("Slot")
    for slot in slots:
        slot.kill()
    psutil.wait_procs(slots)


async def test_a_thread_goes_on_from_where_it_is_in_a_process_that_never_knew_the_later_time(
    server, clock, http, thread_id
):
    assert (await wait(http, "", thread_id, **work("a")))["done"] == done("a")
    clock.set(-HOUR)
    replace_slots(server)
    assert (await wait(http, "", thread_id, **work("b")))["done"] == done("a", "b")
    replace_slots(server)
    assert (await wait(http, "", thread_id, **work("c")))["done"] == done("a", "b", "c")
    state = (await http.get(f"/threads/{thread_id}/state")).json()
    assert state["values"]["done"] == done("a", "b", "c")
    said = (await http.post(f"/threads/{thread_id}/history", json={"limit": 100})).json()
    lengths = [len(state["values"].get("done", [])) for state in said]
    assert lengths == sorted(lengths, reverse=True), "newest first"


async def test_a_state_changed_by_hand_is_the_newest(server, clock, http, thread_id):
    await wait(http, "", thread_id, **work("a"))
    clock.set(-HOUR)
    replace_slots(server)
    answer = await http.post(f"/threads/{thread_id}/state", json={"values": {"done": ["by hand"]}})
    assert answer.status_code == 200, answer.text
    assert (await wait(http, "", thread_id, **work("b")))["done"] == [*done("a"), "by hand", *done("b")]


async def test_what_runs_meanwhile_goes_on_and_is_told_in_order(clock, http, prefix, thread_id):
    run_id = await create(http, prefix, thread_id, **work("a", 2, stream_mode=["values", "updates"]))
    await begun(http, thread_id, run_id)
    clock.set(-HOUR)
    path = f"{prefix}/threads/{thread_id}/runs/{run_id}/stream"
    said = parse((await http.get(path)).content, prefix)
    assert said[-1].name == "end"
    numbers = numbers_of(said)
    assert numbers == sorted(set(numbers))
    assert parse((await http.get(path)).content, prefix) == said
    assert (await read(http, thread_id, run_id))["status"] == "success"
    assert await moments_in_order(http, run_id)
    assert numbers_of(await stream(http, prefix, thread_id, **work("b")))[0] > numbers[-1]


async def test_a_run_whose_process_dies_goes_on_from_its_last_checkpoint(server, clock, http, thread_id):
    await wait(http, "", thread_id, **work("a"))
    run_id = await create(http, "", thread_id, **work("b", 2))
    await begun(http, thread_id, run_id)
    clock.set(-HOUR)
    replace_slots(server)
    assert (await join(http, thread_id, run_id))["done"] == done("a", "b")
    run = await read(http, thread_id, run_id)
    assert (run["status"], run["attempt"]) == ("success", 2)


async def test_a_delayed_run_is_not_late_for_longer_than_the_clock_is(clock, http, thread_id):
    clock.set(-HOUR)
    run_id = await create(http, "", thread_id, **work("late", after_seconds=HOUR))
    other = await create(http, "", thread_id, **work("soon", multitask_strategy="enqueue"))
    assert (await join(http, thread_id, other))["done"] == done("soon")
    clock.set(0)
    assert (await join(http, thread_id, run_id))["done"] == done("soon", "late")


async def test_new_threads_and_old_ones_are_served_while_it_is_set_back_and_forth(clock, http):
    threads = [str(uuid4()) for _ in range(4)]
    for word, seconds in {"a": 0, "b": -HOUR, "c": HOUR, "d": -2 * HOUR, "e": 0}.items():
        clock.set(seconds)
        for thread_id in threads:
            answer = await wait(http, "", thread_id, **work(word, if_not_exists="create"))
            assert answer["done"][-3:] == done(word)
    for thread_id in threads:
        state = (await http.get(f"/threads/{thread_id}/state")).json()
        assert state["values"]["done"] == done("a", "b", "c", "d", "e")


def numbers_of(said):
    return [tuple(map(int, event.id.split("-"))) for event in said if event.id]


async def moments_in_order(http, run_id):
    """Whether nothing of a run lies before what it follows."""
    sql = f"select queued_at <= started_at and started_at <= ended_at from runs where run_id = '{run_id}'"
    return (await http.post("/analytics/query", json={"sql": sql})).json()["rows"] == [[True]]
