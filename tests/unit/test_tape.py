"""The tape: numbers, cursors, batches, gaps."""

import asyncio
from contextlib import aclosing
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors import tape as tapes
from actors.tape import BATCH_BYTES, Tape
from actors.voice import Voice
from storage.records import END, Binding, Gap
from tests.factories import a_run, a_thread

MANY = 10**9
LATER = datetime(2100, 1, 1, tzinfo=UTC)
"""By a clock that has been set back since."""


def new_tape(reserved=MANY, clock=None):
    return Tape(1, reserved, clock) if clock else Tape(1, reserved)


async def read(tape, run_id, after=0):
    """Everything that is there, batch by batch, without waiting for more."""
    batches = []
    async with aclosing(tape.follow(run_id, after)) as following:
        pending = asyncio.ensure_future(anext(following, None))
        while True:
            await asyncio.wait([pending], timeout=0)
            for _ in range(3):  # let a waiting reader get as far as it can
                await asyncio.sleep(0)
            if not pending.done():
                pending.cancel()
                await asyncio.wait([pending])
                return batches
            if (batch := pending.result()) is None:
                return batches
            batches.append(batch)
            pending = asyncio.ensure_future(anext(following, None))


def numbers(batches):
    return [part.seq for batch in batches if not isinstance(batch, Gap) for part in batch]


async def test_numbers_are_the_threads_and_runs_are_told_apart():
    tape = new_tape()
    tape.append("a", "values", b"1")
    tape.append("b", "values", b"2")
    tape.append("a", END, b"3")
    assert numbers(await read(tape, "a")) == [1, 3]
    assert numbers(await read(tape, "b")) == [2]
    assert numbers(await read(tape, "a", after=1)) == [3]


async def test_a_reader_who_waits_gets_the_first_part_at_once_and_then_what_has_gathered():
    tape = new_tape()
    tape.open_run("a")
    async with aclosing(tape.follow("a", 0)) as following:
        first = asyncio.ensure_future(anext(following))
        await asyncio.sleep(0)
        tape.append("a", "values", b"1")
        assert [part.seq for part in await first] == [1]
        tape.append("a", "values", b"2")
        tape.append("a", END, b"3")
        assert [part.seq for part in await anext(following)] == [2, 3]
        assert await anext(following, None) is None


async def test_time_never_goes_back_along_the_tape():
    clock = iter([5, 9, 3, 4, 12])
    tape = new_tape(clock=lambda: next(clock))
    parts = [tape.append("a", "values", b"") for _ in range(5)]
    assert [part.ms for part in parts] == [5, 9, 9, 9, 12]


def test_time_never_goes_back_where_a_thread_moves_while_the_clock_does():
    moved = Tape(7, MANY, clock=lambda: 3, since_ms=9)
    assert moved.append("a", "values", b"").ms == 9


@pytest.mark.parametrize("at_work", [False, True])
async def test_a_thread_that_is_taken_up_again_says_nothing_older_than_what_is_known_of_it(at_work):
    known = {"unfinished": [a_run(updated_at=LATER)]} if at_work else {"thread": a_thread(updated_at=LATER)}
    taken = Voice(Binding(thread_id="t1", epoch=2, next_seq=7, reserved=MANY, **known), None, None)
    assert taken.tape.number("a", END, b"").ms == LATER.timestamp() * 1000


async def test_a_number_that_was_taken_early_is_seen_in_its_place():
    tape = new_tape()
    end = tape.number("a", END, b"")
    assert tape.append("b", "values", b"").seq == 2
    tape.publish(end)
    assert numbers(await read(tape, "a")) == [1]


async def test_nothing_is_shown_beyond_the_numbers_that_are_reserved():
    tape = new_tape(reserved=2)
    for _ in range(4):
        tape.append("a", "values", b"")
    assert numbers(await read(tape, "a")) == [1, 2]
    tape.extend(10)
    assert numbers(await read(tape, "a", after=2)) == [3, 4]


async def test_closing_ends_readers_of_a_run_that_goes_on_elsewhere():
    tape = new_tape()
    tape.append("a", "values", b"")
    tape.close()
    async with aclosing(tape.follow("a", 0)) as following:
        assert numbers([batch async for batch in following]) == [1]


async def test_what_is_trimmed_is_said(monkeypatch):
    monkeypatch.setattr(tapes, "RUN_BYTES", 5000)
    tape = new_tape()
    for _ in range(20):
        tape.append("a", "values", b"x" * 300)
    gap, *rest = await read(tape, "a", after=2)
    assert isinstance(gap, Gap)
    assert (gap.after, gap.last) == (2, 20)
    assert numbers(rest) == list(range(gap.first, 21))


async def test_what_is_trimmed_while_a_reader_hears_of_a_gap_is_a_gap_too(monkeypatch):
    monkeypatch.setattr(tapes, "RUN_BYTES", 5000)
    tape = new_tape()

    def say():
        for _ in range(20):
            tape.append("a", "values", b"x" * 300)

    say()
    async with aclosing(tape.follow("a", 0)) as following:
        first = await anext(following)
        say()
        second = await anext(following)
    assert isinstance(first, Gap)
    assert isinstance(second, Gap)
    assert second.after + 1 == first.first


async def test_finished_runs_go_first_when_the_tape_is_full(monkeypatch):
    monkeypatch.setattr(tapes, "TAPE_BYTES", 3000)
    tape = new_tape()
    tape.append("old", END, b"x" * 1000)
    tape.append("live", "values", b"x" * 1000)
    tape.append("live", "values", b"x" * 1000)
    assert not tape.holds("old")
    assert numbers(await read(tape, "live")) == [2, 3]


@given(st.lists(st.integers(0, 40_000), max_size=30), st.integers(0, 35))
async def test_batches_hold_everything_once_in_order_and_are_bounded(sizes, after):
    tape = new_tape()
    for size in sizes:
        tape.append("a", "values", b"x" * size)
    batches = await read(tape, "a", after)
    start = after if after <= len(sizes) else 0  # a number that was never said means from the start
    assert numbers(batches) == list(range(start + 1, len(sizes) + 1))
    assert all(len(batch) == 1 or sum(len(part.data) for part in batch) <= BATCH_BYTES for batch in batches)
