"""Many writes kept at once: those of a kind are decided together, and each has an answer of its own."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from msgspec import Struct

from storage.errors import ServiceError
from storage.grouping import grouped
from storage.journal import NotKeptError
from storage.writer import Writer

T = TypeVar("T")
R = TypeVar("R")

Query = Callable[[Writer, Sequence[T]], Sequence[R | ServiceError]]
"""Makes all changes asked for, and answers each: with a result, or with why it is refused and has changed nothing."""


class Write(Struct, frozen=True):
    """A change that somebody asked for."""

    query: Query[Any, Any]
    given: Any
    """One of what the query takes."""
    keys: Sequence[str]
    """What it is about. Writes that share a key are made in their order; others in any."""

    @property
    def kind(self) -> Query[Any, Any]:
        return self.query

    @property
    def repeatable(self) -> bool:
        """What is decided for one is known to the next."""
        return False


def commit(writer: Writer, writes: Sequence[Write]) -> list[Any | Exception]:
    """Make all `writes`, for good when this returns; for each, what it returned or the exception that it raised."""
    outcomes: dict[int, Any] = {}
    try:
        for group in grouped(writes):
            answers = _together(writer, [writes[position] for position in group])
            outcomes.update(zip(group, answers, strict=True))
        writer.keep()
    except NotKeptError as error:
        return [error for _ in writes]
    return [outcomes[position] for position in range(len(writes))]


def each(decide: Callable[[T], R], given: Iterable[T]) -> list[R | ServiceError]:
    """What `decide` returned for each, or the reason for which it refused it."""

    def outcome(one: T) -> R | ServiceError:
        try:
            return decide(one)
        except ServiceError as error:
            return error

    return [outcome(one) for one in given]


def accepted(outcomes: Iterable[R | ServiceError]) -> list[R]:
    return [outcome for outcome in outcomes if not isinstance(outcome, ServiceError)]


def done(outcomes: Iterable[object]) -> list[ServiceError | None]:
    """Answers of a write that has no result."""
    return [outcome if isinstance(outcome, ServiceError) else None for outcome in outcomes]


def _together(writer: Writer, writes: Sequence[Write]) -> Sequence[Any | Exception]:
    """The answers to writes of a kind."""
    try:
        with writer.step():
            return writes[0].query(writer, [write.given for write in writes])
    except NotKeptError:
        raise
    except Exception:  # noqa: BLE001 - whatever one write raised, the others are innocent of it; each answers for itself
        return [_alone(writer, write) for write in writes]


def _alone(writer: Writer, write: Write) -> Any | Exception:
    writer.doubts = True
    try:
        with writer.step():
            (outcome,) = write.query(writer, [write.given])
    except NotKeptError:
        raise
    except Exception as error:  # noqa: BLE001 - handed to the one who asked
        return error
    finally:
        writer.doubts = False
    return outcome
