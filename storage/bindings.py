"""Threads in the hands of actors: their epochs, and the numbers that their tapes may hand out.

No epoch and no number is given out twice, also when the thread has been deleted in between.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from storage import calls, events, recordings, runs, threads
from storage.accounting import LogEnd, Recording
from storage.commits import accepted, each
from storage.errors import ServiceError, ThreadNotFoundError
from storage.records import Binding, Thread
from storage.writer import Writer

BLOCK = 10_000
"""How many tape numbers come with a binding."""


class Bind(Struct, frozen=True):
    """Put a thread into the hands of a new actor. Whoever held it before can write no more."""

    thread_id: str
    must_exist: bool
    is_handed_over: bool = False
    """Whether whoever held it executed nothing, and says itself which runs are unfinished."""


class Reserve(Struct, frozen=True):
    """Reserve as many numbers more."""

    thread_id: str
    epoch: int
    count: int


def bind(writer: Writer, asked: Sequence[Bind]) -> list[Binding | ServiceError]:
    writer.look_up_threads(one.thread_id for one in asked)
    outcomes = each(partial(_taken, writer), asked)
    taken = accepted(outcomes)
    events.look_up(writer, [one.thread_id for one in taken])
    known = threads.records(writer, [one.thread_id for one in taken if writer.thread(one.thread_id).is_stored])
    left = {one.thread_id for one in asked if not one.is_handed_over and writer.thread(one.thread_id).unfinished}
    told = [one if isinstance(one, ServiceError) else _told(writer, one, known, left) for one in outcomes]
    lost = _lost(writer, [one for one in taken if one.thread_id in left])
    _put(writer, "insert", [_row(one) for one in taken if one.epoch == 1])
    _put(writer, "take", [_row(one) for one in taken if one.epoch > 1])
    recordings.put(writer, lost)
    return told


def reserve(writer: Writer, asked: Sequence[Reserve]) -> list[int | ServiceError]:
    """The last numbers that may now be handed out."""
    writer.look_up_threads(one.thread_id for one in asked)
    outcomes = each(partial(_numbered, writer), asked)
    _put(writer, "number", accepted(outcomes))
    return [one if isinstance(one, ServiceError) else one["next_seq"] - 1 for one in outcomes]


def _taken(writer: Writer, asked: Bind) -> Binding:
    """The next epoch, and a block of numbers."""
    known = writer.thread(asked.thread_id)
    if asked.must_exist and not known.is_stored:
        raise ThreadNotFoundError(asked.thread_id)
    epoch, reserved = known.epoch + 1, known.next_seq + BLOCK - 1
    writer.note_thread(asked.thread_id, epoch=epoch, next_seq=reserved + 1)
    return Binding(thread_id=asked.thread_id, epoch=epoch, next_seq=known.next_seq, reserved=reserved)


def _row(binding: Binding) -> dict[str, Any]:
    return {"thread_id": binding.thread_id, "epoch": binding.epoch, "next_seq": binding.reserved + 1}


def _told(writer: Writer, binding: Binding, known: dict[str, Thread], left: set[str]) -> Binding:
    """The binding, with what its actor has to know of the thread; `left` are those whose runs nobody has in hand."""
    todo = runs.unfinished(writer.db_about([binding.thread_id]), binding.thread_id) if binding.thread_id in left else []
    log = writer.thread(binding.thread_id).log or LogEnd()
    return replace(binding, thread=known.get(binding.thread_id), unfinished=todo, log=log)


def _lost(writer: Writer, left: Sequence[Binding]) -> list[Recording]:
    """Of threads whose last actor left runs unfinished: the calls that were under way then."""
    found = [(one, calls.lost(writer.db_about([one.thread_id]), one.thread_id)) for one in left]
    return [Recording(thread_id=one.thread_id, epoch=one.epoch, calls=tuple(lost)) for one, lost in found]


def _numbered(writer: Writer, asked: Reserve) -> dict[str, Any]:
    writer.fence(asked.thread_id, asked.epoch)
    next_seq = writer.thread(asked.thread_id).next_seq + asked.count
    writer.note_thread(asked.thread_id, next_seq=next_seq)
    return {"thread_id": asked.thread_id, "next_seq": next_seq}


def _put(writer: Writer, name: str, rows: Sequence[dict[str, Any]]) -> None:
    writer.put("bindings", name, [(row["thread_id"], row) for row in rows])
