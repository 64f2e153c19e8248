"""The checker of the chaos test sees each promise broken; and nothing in a history in which all are kept."""

import pytest
from msgspec.structs import replace

from tests.chaos.evidence import Call, Evidence, Row, Served, Step, tracebacks
from tests.chaos.promises import PROMISES, breaches
from tests.chaos.told import (
    Accepted,
    Asked,
    Cancelled,
    Ended,
    Heard,
    Missed,
    Note,
    Opened,
    Read,
    Refused,
    Told,
    Wronged,
)


def told(*notes: Note) -> Told:
    all_ = Told()
    for at, note in enumerate(notes):
        all_.note(replace(note, at=float(at)))
    return all_


def asked(word, how="call"):
    return Asked(word=word, thread_id="t", how=how, strategy="enqueue")


def accepted(word, run_id):
    return Accepted(word=word, run_id=run_id, thread_id="t")


def opened(reading, run_id, door=""):
    return Opened(reading=reading, run_id=run_id, thread_id="t", door=door)


def heard(reading, run_id, *seqs, digest="d"):
    return [Heard(reading=reading, run_id=run_id, seq=seq, name="custom", digest=f"{digest}{seq}") for seq in seqs]


def whole(reading, run_id, *seqs):
    return [opened(reading, run_id), *heard(reading, run_id, *seqs), Ended(reading=reading, run_id=run_id)]


def steps(run_id, *names, attempt=1, pid=7, ends=True):
    whats = ("begins", "ends") if ends else ("begins",)
    return [Step(run_id, attempt, pid, 0, what, name) for name in names for what in whats]


def row(run_id, word, admission, **given):
    fields = {"status": "success", "attempt": 1, "total_tokens": 10, **given}
    return Row(run_id=run_id, thread_id="t", word=word, admission=admission, **fields)


def call(run_id, **given):
    fields = {"attempt": 1, "status": "success", "total_tokens": 10, "call_id": f"call of {run_id}", **given}
    return Call(run_id=run_id, **fields)


ALL = ("begin", "work", "end")
DONE = [f"{run_id} {step}" for run_id in "ab" for step in ALL]
NOTES = (
    asked("first"),
    accepted("first", "a"),
    *whole(1, "a", 1, 2, 4),
    asked("second"),
    accepted("second", "b"),
    Read(run_id="b", status="success"),
)
FOUND = Evidence(
    rows=[row("a", "first", 1), row("b", "second", 2)],
    calls=[call("a"), call("b")],
    steps={"t": steps("a", *ALL) + steps("b", *ALL)},
    served=[Served("a", 1, 7, 0, 4, 6), Served("b", 1, 7, 0, 4, 6)],
    states={"t": DONE},
    replays=told(*whole(2, "a", 1, 2, 4), *whole(3, "b", 10, 11)),
)

FIRST, SECOND = FOUND.rows


def found(**given):
    return given


AT_ONCE = [*steps("a", "begin", "work")[:3], *steps("b", *ALL, pid=8), *steps("a", "work", "end")[1:]]

DOCTORED = {
    "two at once": ("one_at_a_time", (), found(steps={"t": AT_ONCE})),
    "no such run": ("nothing_is_lost", (accepted("second", "c"),), {}),
    "another's run": ("nothing_is_lost", (), found(rows=[FIRST, replace(SECOND, word="first")])),
    "not ended": ("nothing_is_lost", (), found(rows=[FIRST, replace(SECOND, status="running")])),
    "asked by nobody": ("nothing_is_added", (), found(rows=[FIRST, SECOND, row("c", "third", 3, total_tokens=0)])),
    "made twice": ("nothing_is_added", (), found(rows=[FIRST, SECOND, row("c", "second", 3, total_tokens=0)])),
    "refused and made": (
        "nothing_is_added",
        (asked("third"), Refused(word="third", thread_id="t", status=409)),
        found(rows=[FIRST, SECOND, row("c", "third", 3, total_tokens=0)]),
    ),
    "admitted later": (
        "admitted_in_order",
        (),
        found(rows=[replace(FIRST, admission=2), replace(SECOND, admission=1)]),
    ),
    "started earlier": (
        "started_in_order",
        (),
        found(steps={"t": steps("b", *ALL) + steps("a", *ALL)}),
    ),
    "changed its end": ("final_is_final", (Read(run_id="a", status="interrupted"),), {}),
    "said to be undone": ("final_is_final", (Read(run_id="a", status="rollback"),), {}),
    "cancelled in vain": ("cancels_end_runs", (Cancelled(run_id="a", thread_id="t", action="interrupt"),), {}),
    "failed for nothing": ("errors_have_reasons", (), found(rows=[FIRST, replace(SECOND, status="error", error="?")])),
    "worn out too soon": (
        "errors_have_reasons",
        (),
        found(rows=[FIRST, replace(SECOND, status="error", error="exceeded max attempts (3)", attempt=2)]),
    ),
    "heard twice": ("parts_in_order", (opened(4, "a"), *heard(4, "a", 1, 2, 2)), {}),
    "left out": ("no_part_is_left_out", whole(4, "a", 1, 4), {}),
    "left out beside a gap": (
        "no_part_is_left_out",
        (*whole(4, "a", 4), Missed(reading=4, run_id="a", after=1, before=4)),
        {},
    ),
    "a number twice": ("a_number_is_one_part", (opened(4, "b"), *heard(4, "b", 4)), {}),
    "heard differently": ("all_hear_the_same", (opened(4, "a"), *heard(4, "a", 1, digest="e")), {}),
    "another order": ("state_is_in_order", (), found(states={"t": DONE[3:] + DONE[:3]})),
    "in two pieces": ("state_is_in_order", (), found(states={"t": DONE[:1] + DONE[3:] + DONE[1:3]})),
    "a step twice": ("state_is_what_runs_made", (), found(states={"t": [*DONE[:2], *DONE[1:]]})),
    "a step too few": ("state_is_what_runs_made", (), found(states={"t": DONE[:-1]})),
    "undone and there": (
        "state_is_what_runs_made",
        (),
        found(rows=[FIRST, replace(SECOND, status="error", rolled_back=True)]),
    ),
    "of no run": ("state_is_what_runs_made", (), found(states={"t": [*DONE, "c begin"]})),
    "a call not counted": ("calls_are_rows", (), found(calls=[call("a")])),
    "a call too many": ("calls_are_rows", (), found(served=FOUND.served[:1])),
    "a call twice": ("tokens_count_once", (), found(calls=[*FOUND.calls, call("b")])),
    "tokens too many": ("tokens_count_once", (), found(rows=[FIRST, replace(SECOND, total_tokens=20)])),
    "tokens of nobody": ("tokens_count_once", (), found(calls=[call("a"), call("b", total_tokens=11)])),
    "an event twice": ("logs_are_whole", (), found(repeated_events=[("t", 3)])),
    "no end in the log": ("logs_are_whole", (), found(rows=[FIRST, replace(SECOND, closings=0)])),
    "no answer": ("answers_are_fit", (Wronged(what="no answer"),), {}),
    "a broken file": ("nothing_is_broken", (), found(broken_files=["tapes-1.sqlite"])),
    "a process left": ("nothing_is_broken", (), found(left=["a slot"])),
    "a traceback": ("nothing_is_broken", (), found(tracebacks=["KeyError: 1"])),
}


@pytest.mark.parametrize(("promise", "notes", "there"), DOCTORED.values(), ids=DOCTORED)
def test_a_promise_that_was_broken_is_named(promise, notes, there):
    assert promise in breaches(told(*NOTES, *notes), replace(FOUND, **there))


def test_each_promise_can_be_broken():
    assert {promise.__name__ for promise in PROMISES} == {promise for promise, _, _ in DOCTORED.values()}


KEPT = {
    "all went well": ((), {}),
    "a gap was told": ((*whole(4, "a", 1, 4), Missed(reading=4, run_id="a", after=1, before=4)), {}),
    "a reader left": ((opened(4, "a"), *heard(4, "a", 1)), {}),
    "an attempt was killed": (
        (),
        found(
            rows=[replace(FIRST, attempt=2), SECOND],
            steps={
                "t": steps("a", "begin")
                + steps("a", "work", ends=False)
                + steps("a", "work", "end", attempt=2, pid=8)
                + steps("b", *ALL)
            },
            calls=[call("a", attempt=2), call("b")],
            served=[Served("a", 1, 7, 0, 4, 6), Served("a", 2, 8, 0, 4, 6), FOUND.served[1]],
        ),
    ),
    "one was rolled back": (
        (Cancelled(run_id="b", thread_id="t", action="rollback"), Read(run_id="b", status="rollback")),
        found(rows=[FIRST, replace(SECOND, status="error", rolled_back=True)], states={"t": DONE[:3]}),
    ),
}
"""What a server that is killed may do."""


@pytest.mark.parametrize(("notes", "there"), KEPT.values(), ids=KEPT)
def test_what_is_allowed_is_no_breach(notes, there):
    history = [note for note in NOTES if not (isinstance(note, Read) and "rows" in there)]
    assert breaches(told(*history, *notes), replace(FOUND, **there)) == {}


SAID = """\
\x1b[36m(directory pid=1)\x1b[0m ERROR actors.directory: Slot 3 did not start
\x1b[36m(directory pid=1)\x1b[0m Traceback (most recent call last):
\x1b[36m(directory pid=1)\x1b[0m   File "x.py", line 1, in y
\x1b[36m(directory pid=1)\x1b[0m {}
Ready
"""


@pytest.mark.parametrize(
    ("error", "expected"),
    [("actors.errors.GoneError: The process that was asked has ended.", []), ("KeyError: 1", ["KeyError: 1"])],
    ids=["foreseen", "unforeseen"],
)
def test_what_the_servers_say_of_failures_is_heard(error, expected):
    assert list(tracebacks(SAID.format(error))) == expected
