"""Every reader hears a run's parts in order and each once, and all hear the same."""

from collections.abc import Iterator
from itertools import pairwise

from msgspec import Struct, field

from tests.chaos.promises.case import Breach, Case
from tests.chaos.told import Ended, Heard, Missed, Opened, Told


class Reading(Struct):
    """All that one reader was told of a run, over however many connections."""

    opened: Opened
    heard: list[Heard] = field(default_factory=list[Heard])
    missed: list[Missed] = field(default_factory=list[Missed])
    has_ended: bool = False

    def breach(self, what: str) -> Breach:
        return Breach(f"reader {self.opened.reading} {what}", self.opened.run_id, self.opened.thread_id)


def readings(told: Told) -> list[Reading]:
    found = {note.reading: Reading(note) for note in told.of(Opened)}
    for note in told.notes:
        match note:
            case Heard():
                found[note.reading].heard.append(note)
            case Missed():
                found[note.reading].missed.append(note)
            case Ended():
                found[note.reading].has_ended = True
            case _:
                pass
    return list(found.values())


def parts_in_order(case: Case) -> Iterator[Breach]:
    """To no reader a part comes twice, or after a later one."""
    for reading in _all(case):
        for before, after in pairwise(note.seq for note in reading.heard):
            if after <= before:
                yield reading.breach(f"heard {after} after {before}")


def no_part_is_left_out(case: Case) -> Iterator[Breach]:
    """Who has heard the end has heard all that is kept, or was told what is missing."""
    kept = {
        (one.opened.run_id, one.opened.door): [note.seq for note in one.heard] for one in readings(case.found.replays)
    }
    for reading in _all(case):
        if not reading.has_ended:
            continue
        door = "" if reading.opened.door == "sdk" else reading.opened.door
        heard = {note.seq for note in reading.heard}
        missing = [seq for seq in kept.get((reading.opened.run_id, door), []) if seq not in heard]
        if unsaid := [seq for seq in missing if not any(_covers(gap, seq) for gap in reading.missed)]:
            yield reading.breach(f"was never told of {unsaid}, which are kept")


def _covers(gap: Missed, seq: int) -> bool:
    return gap.after < seq and (gap.before is None or seq < gap.before)


def a_number_is_one_part(case: Case) -> Iterator[Breach]:
    """On a thread a number is given to one part of one run, for ever."""
    owners: dict[tuple[str, int], str] = {}
    for reading in _all(case):
        run_id = reading.opened.run_id
        thread_id = case.rows[run_id].thread_id if run_id in case.rows else run_id
        for note in reading.heard:
            if (owner := owners.setdefault((thread_id, note.seq), run_id)) != run_id:
                yield reading.breach(f"heard a part {note.seq}, and {owner} has one, too")


def all_hear_the_same(case: Case) -> Iterator[Breach]:
    """A part is the same bytes for everybody who comes by the same door."""
    digests: dict[tuple[str, str, int], str] = {}
    for reading in _all(case):
        for note in reading.heard:
            key = (note.run_id, reading.opened.door, note.seq)
            if digests.setdefault(key, note.digest) != note.digest:
                yield reading.breach(f"heard a part {note.seq} ({note.name}) that others heard differently")


def _all(case: Case) -> list[Reading]:
    return [reading for told in case.all_told for reading in readings(told)]
