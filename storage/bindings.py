"""Threads in the hands of actors: their epochs, and the numbers that their tapes may hand out.

No epoch and no number is given out twice, also when the thread has been deleted in between.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from storage import queries, runs, threads
from storage.commits import accepted, done, each
from storage.epochs import fence
from storage.errors import ServiceError, ThreadNotFoundError
from storage.records import Binding, Thread
from storage.writer import Writer

BLOCK = 10_000
"""How many tape numbers come with a binding."""

_SQL = queries.load("bindings")


class Bind(Struct, frozen=True):
    """Put a thread into the hands of a new actor. Whoever held it before can write no more."""

    thread_id: str
    must_exist: bool


class Reserve(Struct, frozen=True):
    """Reserve as many numbers more."""

    thread_id: str
    epoch: int
    count: int


class Release(Struct, frozen=True):
    """Give back the numbers from `next_seq` on, which were not handed out."""

    thread_id: str
    epoch: int
    next_seq: int


def bind(writer: Writer, asked: Sequence[Bind]) -> list[Binding | ServiceError]:
    writer.look_up_threads(one.thread_id for one in asked)
    outcomes = each(partial(_taken, writer), asked)
    taken = accepted(outcomes)
    queries.run(writer.db, _SQL, "insert", [_row(one) for one in taken if one.epoch == 1])
    queries.run(writer.db, _SQL, "take", [_row(one) for one in taken if one.epoch > 1])
    found = threads.find_each(writer.db, [one.thread_id for one in taken if writer.thread(one.thread_id).is_stored])
    return [one if isinstance(one, ServiceError) else _told(writer, one, found) for one in outcomes]


def reserve(writer: Writer, asked: Sequence[Reserve]) -> list[int | ServiceError]:
    """The last numbers that may now be handed out."""
    return _number(writer, asked)


def release(writer: Writer, asked: Sequence[Release]) -> list[ServiceError | None]:
    return done(_number(writer, asked))


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


def _told(writer: Writer, binding: Binding, found: dict[str, Thread]) -> Binding:
    """The binding, with what its actor has to know of the thread."""
    unfinished = writer.thread(binding.thread_id).unfinished
    todo = runs.unfinished(writer.db, binding.thread_id) if unfinished else []
    return replace(binding, thread=found.get(binding.thread_id), unfinished=todo)


def _number(writer: Writer, asked: Sequence[Reserve | Release]) -> list[int | ServiceError]:
    """Change how far the numbers are given out; for each, the last one that is."""
    writer.look_up_threads(one.thread_id for one in asked)
    outcomes = each(partial(_numbered, writer), asked)
    queries.run(writer.db, _SQL, "number", accepted(outcomes))
    return [one if isinstance(one, ServiceError) else one["next_seq"] - 1 for one in outcomes]


def _numbered(writer: Writer, asked: Reserve | Release) -> dict[str, Any]:
    fence(writer, asked.thread_id, asked.epoch)
    next_seq = writer.thread(asked.thread_id).next_seq
    match asked:
        case Reserve(count=count):
            next_seq += count
        case Release(next_seq=unused):  # only downwards: what was never reserved cannot be given back
            next_seq = min(next_seq, unused)
    writer.note_thread(asked.thread_id, next_seq=next_seq)
    return {"thread_id": asked.thread_id, "next_seq": next_seq}
