"""What clients asked and were told, and what was done to the server, each with its moment. What a checker believes."""

import time
from collections.abc import Iterator
from typing import TypeVar

from msgspec import Struct, field


class Note(Struct, frozen=True, kw_only=True):
    """Something that happened; seconds by one clock."""

    at: float = field(default_factory=time.monotonic)


N = TypeVar("N", bound=Note)


class Asked(Note, frozen=True, kw_only=True):
    """A run was asked for, from now on until its answer."""

    word: str
    """Names the request: it is in the run's input, or in its metadata."""
    thread_id: str | None
    """None: a stateless run."""
    how: str
    strategy: str
    delayed: bool = False
    keyed: bool = True
    """Whether it has an `Idempotency-Key`: only then it is asked again when its answer is lost."""


class Accepted(Note, frozen=True, kw_only=True):
    """The server has said that it has the run."""

    word: str
    run_id: str
    thread_id: str | None


class Refused(Note, frozen=True, kw_only=True):
    """The server has said that it does not take the run."""

    word: str
    thread_id: str | None
    status: int


class Opened(Note, frozen=True, kw_only=True):
    """Somebody begins to read a run from its first part; one reading may take many connections."""

    reading: int
    run_id: str
    thread_id: str | None
    door: str


class Heard(Note, frozen=True, kw_only=True):
    """A part came to a reader."""

    reading: int
    run_id: str
    seq: int
    name: str
    digest: str = ""
    """Of its bytes on the wire; empty where a client does not show them."""


class Missed(Note, frozen=True, kw_only=True):
    """A reader was told that what lies between is no longer kept."""

    reading: int
    run_id: str
    after: int
    before: int | None
    """None: nothing is kept any more."""


class Ended(Note, frozen=True, kw_only=True):
    """A reader was told that there is no more."""

    reading: int
    run_id: str


class Read(Note, frozen=True, kw_only=True):
    """Somebody was told the status of a run."""

    run_id: str
    status: str
    """`rollback` where the Platform dialect says so."""


class Cancelled(Note, frozen=True, kw_only=True):
    """The server has said that it will end the run."""

    run_id: str
    thread_id: str
    action: str


class Deleted(Note, frozen=True, kw_only=True):
    """The server has said that the thread is gone."""

    thread_id: str


class Wronged(Note, frozen=True, kw_only=True):
    """An answer that should never come, or none for very long."""

    what: str
    run_id: str | None = None
    thread_id: str | None = None


class Hit(Note, frozen=True, kw_only=True):
    """Something was done to a process."""

    kind: str
    pids: tuple[int, ...]


class Recovered(Note, frozen=True, kw_only=True):
    """The server does again what it should."""

    kind: str
    seconds: float


class Told:
    """All of it, in the order in which it happened."""

    def __init__(self) -> None:
        self.notes: list[Note] = []

    def note(self, note: Note) -> None:
        self.notes.append(note)

    def of(self, kind: type[N]) -> Iterator[N]:
        return (note for note in self.notes if isinstance(note, kind))

    def run_ids(self) -> dict[str, str | None]:
        """The thread of each run that was accepted."""
        return {note.run_id: note.thread_id for note in self.of(Accepted)}

    def about(self, *names: str | None) -> list[Note]:
        """What concerns a run, a thread or a request of one of these names, and every blow."""
        known = {name for name in names if name}

        def concerns(note: Note) -> bool:
            given = {getattr(note, name, None) for name in ("run_id", "thread_id", "word")}
            return isinstance(note, Hit | Recovered) or bool(given & known)

        return [note for note in self.notes if concerns(note)]
