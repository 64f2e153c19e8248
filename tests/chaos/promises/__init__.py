"""What must hold between what clients were told and what is there. Pure: a promise looks for its breaches."""

from collections.abc import Callable, Iterator

from tests.chaos.evidence import Evidence
from tests.chaos.promises import runs, streams, traces
from tests.chaos.promises.case import Breach, Case
from tests.chaos.told import Told, Wronged

Promise = Callable[[Case], Iterator[Breach]]


def answers_are_fit(case: Case) -> Iterator[Breach]:
    """Nobody was answered what should never be, or not at all."""
    for note in (note for told in case.all_told for note in told.of(Wronged)):
        if note.thread_id not in case.deleted:
            yield Breach(note.what, note.run_id, note.thread_id)


def nothing_is_broken(case: Case) -> Iterator[Breach]:
    """All files can be read, no process is left, and nothing failed in a way that nobody foresaw."""
    yield from (Breach(what) for what in case.found.broken_files)
    yield from (Breach(f"a process is left: {what}") for what in case.found.left)
    yield from (Breach(f"a server said: {what}") for what in case.found.tracebacks)


PROMISES: list[Promise] = [
    runs.one_at_a_time,
    runs.nothing_is_lost,
    runs.nothing_is_added,
    runs.admitted_in_order,
    runs.started_in_order,
    runs.final_is_final,
    runs.cancels_end_runs,
    runs.errors_have_reasons,
    streams.parts_in_order,
    streams.no_part_is_left_out,
    streams.a_number_is_one_part,
    streams.all_hear_the_same,
    traces.state_is_in_order,
    traces.state_is_what_runs_made,
    traces.calls_are_rows,
    traces.tokens_count_once,
    traces.logs_are_whole,
    answers_are_fit,
    nothing_is_broken,
]


def breaches(told: Told, found: Evidence) -> dict[str, list[Breach]]:
    """By the promise's name; empty if all were kept."""
    case = Case(told, found)
    return {promise.__name__: broken for promise in PROMISES if (broken := list(promise(case)))}
