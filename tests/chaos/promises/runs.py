"""What was acknowledged is there, happens in its order, one run at a time, and ends as everybody was told."""

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise, permutations

from tests.chaos.evidence import Row, Step
from tests.chaos.promises.case import FINAL, WORN_OUT, Breach, Case
from tests.chaos.told import Cancelled, Read, Refused

Key = tuple[str, int, int, str]
"""Of a step, from its beginning to its end."""


def one_at_a_time(case: Case) -> Iterator[Breach]:
    """No step of a run begins while another is open, unless that one's process is dead or its attempt is past."""
    for thread_id, steps in case.found.steps.items():
        closed = {_key(one) for one in steps if one.what == "ends"}
        newest: dict[str, int] = {}
        still_open: dict[Key, Step] = {}
        for one in steps:
            if one.what == "ends":
                still_open.pop(_key(one), None)
                continue
            newest[one.run_id] = max(one.attempt, newest.get(one.run_id, 0))
            for key, other in still_open.items():
                if key in closed and other.attempt == newest[other.run_id]:
                    what = f"{one.step} of {one.run_id} began in {one.pid} during its {other.step} in {other.pid}"
                    yield Breach(what, other.run_id, thread_id)
            still_open[_key(one)] = one


def nothing_is_lost(case: Case) -> Iterator[Breach]:
    """What was acknowledged is there and is what was asked for; and all that is there has ended."""
    for run_id, note in case.accepted.items():
        row = case.rows.get(run_id)
        if row is None:
            yield Breach(f"{note.word} was accepted, and there is no such run", run_id, note.thread_id)
        elif row.word != note.word:
            yield case.breach(f"it was given to {note.word}, and is that of {row.word}", row)
    yield from (
        case.breach(f"it is {row.status} at the end", row) for row in case.found.rows if row.status not in FINAL
    )


def nothing_is_added(case: Case) -> Iterator[Breach]:
    """What is there was asked for and not refused, and is there once."""
    refused = {note.word for note in case.told.of(Refused)} - {note.word for note in case.accepted.values()}
    counts = Counter(row.word for row in case.found.rows)
    for row in case.found.rows:
        if row.word not in case.asked:
            yield case.breach(f"nobody has asked for {row.word!r}", row)
        if row.word in refused:
            yield case.breach(f"{row.word} was refused", row)
        if counts[row.word] > 1:
            yield case.breach(f"{row.word} was asked for once, and is there {counts[row.word]} times", row)


def admitted_in_order(case: Case) -> Iterator[Breach]:
    """What was answered before another was asked for was admitted before it."""
    for thread_id in {row.thread_id for row in case.found.rows}:
        rows = [row for row in case.found.rows if row.thread_id == thread_id and row.run_id in case.accepted]
        for row, later in permutations(rows, 2):
            asked = case.asked.get(later.word)
            if asked and case.accepted[row.run_id].at < asked.at and later.admission < row.admission:
                yield case.breach(f"{later.word} was asked for after its answer, and admitted before", row)


def started_in_order(case: Case) -> Iterator[Breach]:
    """Runs start as they were admitted, but for those that were to start later."""
    for steps in case.found.steps.values():
        begun = [case.rows[run_id] for run_id in dict.fromkeys(one.run_id for one in steps) if run_id in case.rows]
        for before, after in pairwise([row for row in begun if not row.delayed]):
            if after.admission < before.admission:
                yield case.breach(f"{after.word} started after it, and was admitted before", before)


def final_is_final(case: Case) -> Iterator[Breach]:
    """A final status that anybody was told is the one at the end."""
    for note in (note for told in case.all_told for note in told.of(Read)):
        row = case.rows.get(note.run_id)
        if row and note.status in FINAL | {"rollback"} and note.status not in _names(row):
            yield case.breach(f"somebody was told {note.status}, and it is {row.status}", row)


def _names(row: Row) -> set[str]:
    """What a client may be told of it: the Platform dialect has a word of its own for what was undone."""
    return {row.status, "rollback"} if row.rolled_back else {row.status}


def cancels_end_runs(case: Case) -> Iterator[Breach]:
    """What was cancelled is interrupted, or rolled back; never a success."""
    for note in case.told.of(Cancelled):
        row = case.rows.get(note.run_id)
        if row and row.status != "interrupted" and not row.rolled_back:
            yield case.breach(f"a cancel ({note.action}) was acknowledged, and it is {row.status} ({row.error})", row)


def errors_have_reasons(case: Case) -> Iterator[Breach]:
    """What ends as an error was asked to, was undone, or has lost its process three times."""
    for row in case.found.rows:
        is_worn_out = WORN_OUT in (row.error or "")
        if row.status == "timeout" or (row.status == "error" and not _may_fail(case, row) and not is_worn_out):
            yield case.breach(f"it is {row.status}: {row.error}", row)
        if is_worn_out and row.attempt < 3:
            yield case.breach(f"it is worn out after {row.attempt} attempts", row)


def _may_fail(case: Case, row: Row) -> bool:
    return row.rolled_back or case.how(row) in {"fail", "resume"}


def _key(one: Step) -> Key:
    return one.run_id, one.attempt, one.pid, one.step
