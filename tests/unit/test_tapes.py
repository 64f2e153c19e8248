"""What was said can be read as it was said; what is gone is a gap, and never a silence."""

import sqlite3
import zlib
from contextlib import closing
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actors.recalling import recalled
from actors.scribe import Scribe
from storage.records import END, Failure, Gap, Part, RunStatus, TapeLimits
from storage.tapes import FILES, Tapes
from tests.factories import a_run

ROOMY = TapeLimits(hours=24, run_bytes=10**9, all_bytes=10**9)
NOW = 1_800_000_000_000


def a_part(seq, run_id="r1", data=b"{}", ms=NOW):
    return Part(seq, ms, run_id, "values", data)


def read(tapes, after=0, run_id="r1"):
    """Everything above `after`: numbers, and gaps."""
    found = []
    while (batch := tapes.next("t1", run_id, after)) is not None:
        if isinstance(batch, Gap):
            found.append(batch)
            assert batch.first is not None
            after = batch.first - 1
        else:
            found += [part.seq for part in batch]
            after = found[-1]
    return found


@pytest.fixture
def tapes(tmp_path):
    tapes = Tapes(tmp_path / "tapes", ROOMY)
    yield tapes
    tapes.close()


@pytest.fixture
async def scribe(tapes):
    return Scribe(tapes)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(st.integers(1, 3), min_size=1, max_size=30),
    cuts=st.sets(st.integers(0, 30)),
    after=st.integers(0, 60),
)
def test_what_was_kept_is_read_whatever_the_chunks_and_the_cursor(tapes, steps, cuts, after):
    tapes.forget_thread("t1", 1)
    parts = [a_part(sum(steps[: n + 1]), data=b"%d" % n) for n in range(len(steps))]
    edges = sorted({0, len(parts), *(cut for cut in cuts if cut < len(parts))})
    for start, end in pairwise(edges):
        tapes.append("t1", 1, parts[start - 1].seq if start else 0, parts[start:end])
    assert read(tapes, after) == [part.seq for part in parts if part.seq > after]


def test_parts_come_back_as_they_were(tapes):
    parts = [a_part(3, data=b'{"a":"\xc3\xa9"}'), a_part(7, ms=NOW + 5)]
    tapes.append("t1", 1, 0, parts)
    assert tapes.next("t1", "r1", 0) == parts


def test_runs_and_threads_do_not_mix(tapes):
    tapes.append("t1", 1, 0, [a_part(1)])
    tapes.append("t2", 1, 0, [a_part(1, "r2")])
    tapes.append("t1", 1, 0, [a_part(2, "r3")])
    assert (read(tapes), read(tapes, run_id="r3")) == ([1], [2])
    tapes.forget_thread("t1", 1)
    assert not tapes.keeps("t1", "r1")
    assert tapes.keeps("t2", "r2")


def test_an_attempt_that_follows_another_leaves_no_gap(tapes):
    tapes.append("t1", 1, 0, [a_part(1), a_part(2)])
    tapes.append("t1", 1, 0, [a_part(10_001)])  # in another process, which cannot know what the first one lost
    assert read(tapes) == [1, 2, 10_001]


def test_a_chunk_that_is_missing_is_a_gap(tapes):
    tapes.append("t1", 1, 0, [a_part(1)])
    tapes.append("t1", 1, 5, [a_part(6)])
    assert read(tapes) == [1, Gap(1, 6, None, NOW, NOW), 6]
    assert read(tapes, after=5) == [6]


def test_a_chunk_that_cannot_be_read_costs_only_itself(tapes, tmp_path, caplog):
    for seq in (1, 2, 3):
        tapes.append("t1", 1, seq - 1, [a_part(seq)])
    file = tmp_path / "tapes" / f"tapes-{zlib.crc32(b't1') % FILES}.sqlite"
    with closing(sqlite3.connect(file, isolation_level=None)) as db:
        db.execute("UPDATE chunks SET parts = x'00' WHERE first_seq = 2")
    assert read(tapes) == [1, Gap(1, 3, None, NOW, NOW), 3]
    assert "cannot be read" in caplog.text


def test_what_is_older_than_the_limit_is_forgotten(tapes):
    hour = 3_600_000
    tapes.append("t1", 1, 0, [a_part(1, ms=NOW - 25 * hour)])
    tapes.append("t1", 1, 1, [a_part(2, ms=NOW - 23 * hour)])
    tapes.prune(NOW)
    assert read(tapes) == [Gap(0, 2, None, NOW - 23 * hour, NOW - 23 * hour), 2]


def test_a_run_keeps_no_more_than_its_limit(tmp_path):
    tapes = Tapes(tmp_path, TapeLimits(hours=24, run_bytes=200, all_bytes=10**9))
    for seq in range(1, 10):
        tapes.append("t1", 1, seq - 1, [a_part(seq, data=str(zlib.crc32(b"%d" % seq)).encode() * 3)])
    gap, *rest = read(tapes)
    assert isinstance(gap, Gap)
    assert rest == list(range(gap.first, 10))
    tapes.close()


def test_all_tapes_keep_no_more_than_their_limit(tmp_path):
    tapes = Tapes(tmp_path, TapeLimits(hours=24, run_bytes=10**9, all_bytes=FILES))
    tapes.append("t1", 1, 0, [a_part(1)])
    tapes.prune(NOW)
    assert read(tapes) == []
    tapes.close()


async def test_the_scribe_writes_all_before_a_flush_returns_in_few_chunks(scribe, tapes, tmp_path):
    for seq in range(1, 1001):
        scribe.take("t1", 1, a_part(seq, data=b"x" * 200))
    await scribe.flush("r1")
    assert read(tapes) == list(range(1, 1001))
    file = tmp_path / "tapes" / f"tapes-{zlib.crc32(b't1') % FILES}.sqlite"
    with closing(sqlite3.connect(file)) as db:
        assert db.execute("SELECT count(*) FROM chunks").fetchone()[0] <= 10


async def test_the_scribe_reads_between_two_parts(scribe):
    for seq in range(1, 6):
        scribe.take("t1", 1, a_part(seq))
    await scribe.flush("r1")
    assert [part.seq for batch in [b async for b in scribe.read("t1", "r1", 1, 5)] for part in batch] == [2, 3, 4]


async def test_a_disk_that_refuses_fails_nobody(scribe, tapes, tmp_path, caplog):
    (tmp_path / "tapes").write_text("in the way")
    scribe.take("t1", 1, a_part(1))
    await scribe.flush("r1")
    assert "could not be kept" in caplog.text


def ended(**given):
    fields = {"run_id": "r1", "status": RunStatus.SUCCESS, "first_seq": 1, "last_seq": 4, "last_ms": NOW}
    return a_run("t1", **{**fields, **given})


async def recall(scribe, run, after=0):
    return [batch async for batch in recalled(scribe, run, after)]


async def test_a_run_that_has_ended_is_its_parts_and_its_end(scribe):
    parts = [a_part(seq) for seq in (1, 2, 3)]
    for part in parts:
        scribe.take("t1", 1, part)
    await scribe.flush("r1")
    said, end = await recall(scribe, ended())
    assert said == parts
    assert [(part.seq, part.event) for part in end] == [(4, END)]
    assert await recall(scribe, ended(), after=3) == [end]
    assert await recall(scribe, ended(), after=4) == []


async def test_a_run_of_which_the_beginning_is_gone_says_from_where_to_where_it_is_there(scribe, tapes):
    tapes.append("t1", 1, 2, [a_part(3, ms=NOW - 5)])
    gap, said, _ = await recall(scribe, ended(), after=1)
    assert gap == Gap(1, 3, 4, NOW - 5, NOW - 5, NOW)
    assert [part.seq for part in said] == [3]


async def test_a_run_of_which_nothing_is_kept_is_a_gap_and_its_end(scribe):
    gap, [end] = await recall(scribe, ended(status=RunStatus.ERROR, error=Failure("ValueError", "no")), after=1)
    assert gap == Gap(1, None, 4, NOW)
    assert b"ValueError" in end.data


async def test_a_run_that_never_said_anything_has_lost_nothing(scribe):
    [[end]] = await recall(scribe, ended(first_seq=4))
    assert end.seq == 4


async def test_a_broken_file_is_a_gap_and_the_others_are_pruned(tmp_path):
    folder = tmp_path / "tapes"
    folder.mkdir()
    for number in range(FILES - 1):
        (folder / f"tapes-{number}.sqlite").write_bytes(b"garbage" * 1_000)
    sound = next(f"t{n}" for n in range(100) if zlib.crc32(f"t{n}".encode()) % FILES == FILES - 1)
    broken = next(f"t{n}" for n in range(100) if zlib.crc32(f"t{n}".encode()) % FILES != FILES - 1)
    tapes = Tapes(folder, ROOMY)
    with closing(tapes):
        tapes.append(sound, 1, 0, [a_part(1, ms=0)])
        tapes.prune(NOW)
        assert not tapes.keeps(sound, "r1")
        run = a_run(broken, run_id="r1", status=RunStatus.SUCCESS, first_seq=1, last_seq=9, last_ms=NOW)
        said = [batch async for batch in recalled(Scribe(tapes), run, 0)]
    assert said[0] == Gap(0, None, 9, NOW)
    assert [part.event for part in said[1]] == [END]
