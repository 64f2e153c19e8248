"""Many writes in one transaction: those of a kind share their statements, and each has an answer of its own."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from msgspec import Struct

from storage.errors import ServiceError
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


def commit(writer: Writer, writes: Sequence[Write]) -> list[Any | Exception]:
    """Make all `writes` in one transaction; for each, what it returned or the exception that it raised."""
    try:
        with writer.transaction():
            return _together(writer, writes)
    except Exception:  # noqa: BLE001 - whatever one write raised, the others are innocent of it; each answers for itself
        return [_alone(writer, write) for write in writes]


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


def grouped(writes: Sequence[Write]) -> list[list[int]]:
    """Positions of writes, in groups of a kind. No key is twice in a group, nor are those that share one reordered."""
    groups: list[list[int]] = []
    first_group: dict[str, int] = {}
    for position, write in enumerate(writes):
        first = max((first_group.get(key, 0) for key in write.keys), default=0)
        fitting = (n for n in range(first, len(groups)) if writes[groups[n][0]].query is write.query)
        group = next(fitting, len(groups))
        if group == len(groups):
            groups.append([])
        groups[group].append(position)
        first_group.update(dict.fromkeys(write.keys, group + 1))
    return groups


def _together(writer: Writer, writes: Sequence[Write]) -> list[Any | ServiceError]:
    outcomes: dict[int, Any] = {}
    for group in grouped(writes):
        answers = writes[group[0]].query(writer, [writes[position].given for position in group])
        outcomes.update(zip(group, answers, strict=True))
    return [outcomes[position] for position in range(len(writes))]


def _alone(writer: Writer, write: Write) -> Any | Exception:
    writer.doubts = True
    try:
        with writer.transaction():
            (outcome,) = write.query(writer, [write.given])
    except Exception as error:  # noqa: BLE001 - handed to the one who asked
        return error
    finally:
        writer.doubts = False
    return outcome
