"""Checkpoints and tapes are written by whoever holds the thread; who held it before can change nothing any more."""

import asyncio
import sqlite3
import zlib
from contextlib import closing
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langgraph.checkpoint.base import empty_checkpoint

from storage.checkpoints import FILES, Checkpoints
from storage.errors import StaleError
from storage.records import Part, TapeLimits
from storage.tapes import Tapes

LIMITS = TapeLimits(hours=24, run_bytes=10**9, all_bytes=10**9)
NOW = 1_800_000_000_000


class Holder:
    """One who was given a thread: its own connections to the files that all of them share."""

    def __init__(self, folder, epoch):
        self.epoch = epoch
        self.checkpoints = Checkpoints(folder / "checkpoints")
        self.tapes = Tapes(folder / "tapes", LIMITS)
        self.told = []

    def hold(self, thread_id="t1"):
        return self.checkpoints.hold(thread_id, self.epoch, lambda: self.told.append(thread_id))

    def put(self, thread_id="t1", run_id="r1"):
        """A checkpoint of a run, and what a task wrote to it."""
        saver = self.checkpoints.saver(thread_id)
        metadata = {"run_id": run_id, "step": self.epoch}
        place = saver.put(place_of(thread_id), empty_checkpoint(), metadata, {})
        self.write(place, "steps", "task")
        return place

    def write(self, place, channel, task_id):
        self.checkpoints.saver(place["configurable"]["thread_id"]).put_writes(place, [(channel, "a")], task_id)

    def say(self, seq, thread_id="t1"):
        self.tapes.append(thread_id, self.epoch, seq - 1, [Part(seq, NOW, f"run of {thread_id}", "values", b"{}")])

    def close(self):
        self.checkpoints.close()
        self.tapes.close()


def file_of(thread_id):
    return f"checkpoints-{zlib.crc32(thread_id.encode()) % FILES}.sqlite"


def place_of(thread_id):
    return {"configurable": {"thread_id": thread_id, "checkpoint_ns": ""}}


@pytest.fixture
def holder(tmp_path):
    holders = []

    def holder(epoch):
        holders.append(Holder(tmp_path, epoch))
        return holders[-1]

    yield holder
    for one in holders:
        one.close()


@pytest.fixture
def contents(tmp_path):
    """Every row of every file."""

    def contents():
        found = {}
        for file in sorted(tmp_path.rglob("*.sqlite")):
            with closing(sqlite3.connect(file)) as db:
                tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
                found |= {(file.name, table): db.execute(f"SELECT * FROM {table}").fetchall() for table in tables}
        return found

    return contents


LATE = {
    "a checkpoint": lambda old, _: old.put(),
    "writes": lambda old, place: old.write(place, "steps", "another task"),
    "writes over others": lambda old, place: old.write(place, "__error__", "task"),
    "a deletion by LangGraph": lambda old, _: old.checkpoints.saver("t1").delete_thread("t1"),
    "a start": lambda old, _: old.hold(),
    "a mark": lambda old, _: old.checkpoints.mark("t1", old.epoch, "r2", None),
    "a rollback": lambda old, _: old.checkpoints.roll_back("t1", old.epoch, "r1"),
    "the end of the thread": lambda old, _: old.checkpoints.forget("t1", old.epoch),
    "a copy onto it": lambda old, _: asyncio.run(old.checkpoints.copy("t0", "t1")),
    "a part": lambda old, _: old.say(2),
    "a part said before": lambda old, _: old.say(1),
    "the end of the tape": lambda old, _: old.tapes.forget_thread("t1", old.epoch),
}


@pytest.mark.parametrize("late", LATE.values(), ids=LATE)
def test_who_held_the_thread_before_changes_nothing(holder, contents, late):
    old, new = holder(1), holder(2)
    old.hold("t0")
    old.put("t0")
    old.hold()
    place = old.put()
    old.checkpoints.mark("t1", 1, "r2", None)
    old.say(1)
    new.hold()
    new.say(2)
    before = contents()
    with pytest.raises(StaleError):
        late(old, place)
    assert contents() == before
    new.put(run_id="r2")
    new.say(3)
    assert contents() != before


def test_whoever_gave_the_thread_hears_of_a_write_that_is_refused(holder):
    old, new = holder(1), holder(2)
    old.hold()
    old.put()
    new.hold()
    assert old.told == []
    with pytest.raises(StaleError):
        old.put()
    assert old.told == ["t1"]


def test_a_graph_may_write_threads_of_its_own_and_none_that_another_actor_holds(holder):
    one, other = holder(5), holder(1)
    one.hold("t1")
    one.put("its own")
    other.hold("t2")
    with pytest.raises(StaleError):
        one.put("t2")
    assert one.told == [], "it holds what it was given all the same"


def test_one_process_may_hold_a_thread_again_and_many_at_once(holder):
    one, again = holder(1), holder(3)
    for _ in range(2):
        for thread_id in ("t1", "t2"):
            one.hold(thread_id)
            one.put(thread_id)
    one.epoch = 2
    one.hold()
    one.put()
    again.hold()
    again.put()
    with pytest.raises(StaleError):
        one.put()
    one.epoch = 1
    one.put("t2")


def test_a_start_that_the_disk_refuses_holds_nothing_and_is_made_again(holder, tmp_path):
    one = holder(1)
    one.checkpoints.saver("t1")
    with closing(sqlite3.connect(tmp_path / "checkpoints" / file_of("t1"), isolation_level=None)) as db:
        db.execute("CREATE TRIGGER refuse BEFORE INSERT ON epochs BEGIN SELECT raise(ABORT, 'full'); END")
        with pytest.raises(sqlite3.IntegrityError, match="full"):
            one.hold()
        db.execute("DROP TRIGGER refuse")
    one.hold()
    one.put()
    with pytest.raises(StaleError):
        holder(0).hold()


def test_a_copy_belongs_to_whoever_is_given_it_first(holder, contents):
    one = holder(1)
    one.hold()
    one.put()
    asyncio.run(one.checkpoints.copy("t1", "t2"))
    copied = [row[1:] for row in contents()[file_of("t2"), "checkpoints"]]
    assert copied == [row[1:] for row in contents()[file_of("t1"), "checkpoints"]]
    one.hold("t2")
    one.put("t2")


def test_who_wrote_a_tape_is_forgotten_with_it(holder, contents):
    old, new = holder(1), holder(2)
    old.say(1)
    new.say(2)
    new.tapes.prune(NOW)
    with pytest.raises(StaleError):
        old.say(3)
    new.tapes.prune(NOW + 25 * 3_600_000)
    assert not any(contents().values())


steps = st.lists(st.tuples(st.integers(1, 3), st.sampled_from(["put", "roll back", "forget", "say", "silence"])))
number = count()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps)
def test_of_several_holders_only_the_latest_that_has_written_can_write(holders, steps):
    thread_id = f"thread {next(number)}"
    highest = {"checkpoints": 0, "tapes": 0}
    for seq, (epoch, step) in enumerate(steps, 1):
        one, file = holders[epoch], "tapes" if step in {"say", "silence"} else "checkpoints"
        try:
            match step:
                case "put":
                    one.hold(thread_id)
                    one.put(thread_id)
                case "roll back":
                    one.checkpoints.roll_back(thread_id, epoch, "r1")
                case "forget":
                    one.checkpoints.forget(thread_id, epoch)
                case "say":
                    one.say(seq, thread_id)
                case _:
                    one.tapes.forget_thread(thread_id, epoch)
        except StaleError:
            assert epoch < highest[file]
        else:
            assert epoch >= highest[file]
            highest[file] = epoch
    saver = holders[1].checkpoints.saver(thread_id)
    written = [found.metadata["step"] for found in saver.list(place_of(thread_id))]
    assert written == sorted(written, reverse=True)


@pytest.fixture
def holders(holder):
    return {epoch: holder(epoch) for epoch in (1, 2, 3)}
