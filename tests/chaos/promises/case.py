"""Both sides of a trial, and what is often asked of them."""

from msgspec import Struct

from tests.chaos.evidence import Evidence, Row
from tests.chaos.told import Accepted, Asked, Deleted, Told

FINAL = frozenset(("success", "error", "timeout", "interrupted"))
WORN_OUT = "exceeded max attempts"


class Breach(Struct, frozen=True):
    """A promise that was not kept, and whose."""

    what: str
    run_id: str | None = None
    thread_id: str | None = None


class Case:
    def __init__(self, told: Told, found: Evidence) -> None:
        self.told = told
        self.found = found
        self.all_told = (told, found.replays)
        self.rows = {row.run_id: row for row in found.rows}
        self.asked = {note.word: note for note in reversed(list(told.of(Asked)))}
        """The first time that it was asked for, by its word."""
        self.accepted = {note.run_id: note for note in reversed(list(told.of(Accepted)))}
        """The first time that anybody was told of it."""
        self.deleted = {note.thread_id for note in told.of(Deleted)}

    def how(self, row: Row) -> str:
        return self.asked[row.word].how if row.word in self.asked else ""

    def breach(self, what: str, row: Row) -> Breach:
        return Breach(what, row.run_id, row.thread_id)
