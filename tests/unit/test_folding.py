"""What is made of folded changes is what is made of each alone, in its turn."""

from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from uuid import UUID

import duckdb
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.database import migrate
from storage.folding import folded
from storage.journal import Change
from storage.making import make

START = datetime(2026, 1, 1, tzinfo=UTC)
RUNS = {run: str(UUID(int=number)) for number, run in enumerate("abcd", start=1)}
THREAD_OF = {"a": "1", "b": "1", "c": "2", "d": "2"}


def changes(text):
    """`runs.insert a`: what there is to say of a run, or of the thread `1`, each at a moment of its own."""
    return [change(*word.split(), number) for number, word in enumerate(text.split(", "))]


def change(kind, about, number=0):
    file, name = kind.split(".")
    thread = THREAD_OF.get(about, about)
    at = START + timedelta(seconds=number)
    row = ROWS[kind](about, at, number)
    return Change(file, name, thread, row)


def _run(about, **columns):
    return {"run_id": RUNS[about], **columns}


def _begun(run, at, number):
    return _run(run, attempt=number % 3, started_at=at, first_seq=number, updated_at=at)


def _state(at, number):
    return {
        "status": ("idle", "error", "interrupted")[number % 3],
        "error_type": "Error" if number % 3 == 1 else None,
        "error_message": f"at {number}" if number % 3 == 1 else None,
        "interrupts": f'{{"task": [{number}]}}',
        "updated_at": at,
    }


ROWS = {
    "runs.insert": lambda run, at, number: _run(
        run,
        thread_id=THREAD_OF[run],
        user_id=None,
        assistant_id="assistant",
        assistant_version=1,
        graph_id=f"graph {number % 2}",
        multitask_strategy="enqueue",
        status="pending",
        attempt=0,
        queued_at=at,
        started_at=None,
        tags=["tag"],
        metadata="{}",
        dialect="platform",
        updated_at=at,
        request="{}",
        due_at=None,
        idempotency_key=None,
        webhook=None,
        environment=None,
        release=None,
        replaced=f'{{"graph_id": "before {number}"}}',
        first_seq=None,
    ),
    "runs.begin": _begun,
    "runs.park": lambda run, at, number: {**_begun(run, at, number), "parked": number},
    "runs.wish": lambda run, _, number: _run(run, cancel_action="interrupt", cancel_reason=f"{number}"),
    "runs.settle": lambda run, at, number: {
        **_begun(run, at, number),
        "status": ("success", "error")[number % 2],
        "error_type": None,
        "error_message": None,
        "cancel_reason": None,
        "checkpoint_id": f"{number}",
        "last_seq": number,
        "last_ms": number,
        "ended_at": at,
        "rolled_back": number % 5 == 0,
    },
    "runs.hand_on": lambda run, *_: _run(run, thread_id=THREAD_OF[run]),
    "runs.forget": lambda run, *_: _run(run),
    "runs.retire": lambda thread, *_: {"thread_id": thread},
    "calls.add_tools": lambda run, _, number: _run(run, tool_calls=number),
    "threads.insert": lambda thread, at, number: {
        "thread_id": thread,
        "user_id": None,
        "unfinished": number % 2,
        "metadata": '{"kept": {"deep": 1}}',
        "config": "{}",
        "created_at": at,
        "state_updated_at": None,
        **_state(at, number),
    },
    "threads.occupy": lambda thread, at, number: {
        "thread_id": thread,
        "metadata": f'{{"graph_id":"graph {number % 2}","only {number % 2}":"there"}}',
        "updated_at": at,
    },
    "threads.vacate": lambda thread, at, _: {"thread_id": thread, "updated_at": at},
    "threads.settle": lambda thread, at, number: {"thread_id": thread, **_state(at, number)},
    "threads.stand": lambda thread, at, number: {
        name: value for name, value in {"thread_id": thread, **_state(at, number)}.items() if "error" not in name
    },
    "threads.patch": lambda thread, at, number: {
        "thread_id": thread,
        "metadata": f'{{"patch": {number}}}',
        "updated_at": at,
    },
    "threads.give_back": lambda run, *_: _run(run, thread_id=THREAD_OF[run]),
    "threads.delete": lambda thread, *_: {"thread_id": thread},
    "bindings.insert": lambda thread, _, number: {"thread_id": thread, "epoch": 1, "next_seq": number},
    "bindings.take": lambda thread, _, number: {"thread_id": thread, "epoch": number, "next_seq": number},
    "bindings.number": lambda thread, _, number: {"thread_id": thread, "next_seq": number},
    "events.insert": lambda run, at, number: _run(
        run,
        thread_id=THREAD_OF[run],
        seq=number,
        event_type="llm.human.input",
        category="message",
        caller="lead_agent",
        content="{}",
        metadata="{}",
        created_at=at,
    ),
    "events.delete": lambda thread, *_: {"thread_id": thread},
}
OF_RUNS = ["runs.begin", "runs.park", "runs.wish", "runs.settle", "calls.add_tools", "events.insert"]
OF_THREADS = ["threads.occupy", "threads.vacate", "threads.settle", "bindings.take", "bindings.number"]
RARE_OF_RUNS = ["runs.hand_on", "runs.forget", "threads.give_back"]
RARE_OF_THREADS = [kind for kind in ROWS if kind not in [*OF_RUNS, *OF_THREADS, *RARE_OF_RUNS, "runs.insert"]]
ONCE = ("runs.insert", "bindings.insert")
"""DuckDB refuses a second one, and those of b, d and 2 are there."""


@pytest.mark.parametrize(
    ("given", "made"),
    [
        pytest.param("runs.insert a, runs.begin a, runs.settle a", "runs.insert", id="a whole run"),
        pytest.param("runs.begin a, runs.settle a", "runs.settle", id="the rest of a run"),
        pytest.param("runs.insert a, runs.insert b, runs.begin a", "runs.insert runs.insert", id="two runs"),
        pytest.param("runs.park a, runs.settle a", "runs.park runs.settle", id="an end does not undo a parking"),
        pytest.param("runs.wish a, runs.settle a", "runs.wish runs.settle", id="an end does not undo a wish"),
        pytest.param("runs.insert a, calls.add_tools a, runs.settle a", "runs.insert calls.add_tools", id="tools"),
        pytest.param("runs.insert a, runs.forget a, runs.settle a", "runs.insert runs.forget runs.settle", id="others"),
        pytest.param("runs.insert a, runs.forget c, runs.settle a", "runs.insert runs.forget", id="another's others"),
        pytest.param("bindings.insert 1, bindings.take 1, bindings.number 1", "bindings.insert", id="its actors"),
        pytest.param("threads.occupy 1, threads.settle 1, threads.occupy 1", "threads.turn", id="a thread's runs"),
        pytest.param("threads.settle 1, threads.vacate 1", "threads.turn", id="an end and a run that never was"),
        pytest.param("threads.occupy 1, threads.vacate 1", "threads.occupy threads.vacate", id="nothing of its state"),
        pytest.param("threads.stand 1, threads.settle 1", "threads.stand threads.settle", id="a change of its state"),
        pytest.param("threads.insert 1, threads.occupy 1", "threads.insert threads.occupy", id="it may be there"),
    ],
)  # fmt: skip
def test_changes_are_folded(given, made):
    assert [f"{one.file}.{one.name}" for one in folded(changes(given))] == made.split()


def _both(kinds, about):
    return st.tuples(st.sampled_from(kinds), st.sampled_from(about))


THERE = "threads.insert 1, threads.insert 2, bindings.insert 2, runs.insert b, runs.insert d"
"""Before anything is folded: half of what changes are about."""

USUAL = _both(["runs.insert"], "ac") | _both(OF_RUNS, "abcd") | _both(OF_THREADS, "12")
RARE = _both(RARE_OF_RUNS, "abcd") | _both(RARE_OF_THREADS, "12")
HISTORIES = st.lists(USUAL | USUAL | RARE, min_size=5, max_size=20)


@given(HISTORIES, st.sets(st.integers(0, 20), max_size=3))
def test_folded_changes_leave_the_same_behind(asked, cuts):
    history = [
        change(*one, number)
        for number, one in enumerate(asked, start=1)
        if one[0] not in ONCE or (asked.index(one) == number - 1 and one[1] in "ac1")
    ]
    assert _made(_batches(history, sorted(cuts))) == _made([one] for one in history)


def test_a_run_of_an_earlier_version_s_journal_is_whole(db):
    make(db, changes("runs.insert a"))
    assert db.execute("SELECT rolled_back, parked, ended_at FROM runs").fetchall() == [(False, 0, None)]


@cache
def _database():
    db = duckdb.connect()
    migrate(db)
    for one in changes(THERE):
        make(db, [one])
    return db


def _made(batches):
    """What they leave behind, in a database that is empty before and after."""
    db = _database()
    db.begin()
    try:
        for batch in batches:
            make(db, batch)
        return _rows(db)
    finally:
        db.rollback()


def _batches(history, cuts):
    bounds = [0, *(cut for cut in cuts if cut < len(history)), len(history)]
    return [history[start:end] for start, end in pairwise(bounds) if start < end]


def _rows(db):
    """All tables, without what differs from database to database: moments of now, and numbers across threads."""
    tables = {
        "runs": "SELECT * EXCLUDE (admission, deleted_at), deleted_at IS NOT NULL, "
        "rank() OVER (PARTITION BY thread_id ORDER BY admission) FROM runs ORDER BY run_id",
        "threads": "SELECT * FROM threads ORDER BY thread_id",
        "bindings": "SELECT * FROM bindings ORDER BY thread_id",
        "events": "SELECT * FROM events ORDER BY thread_id, seq",
    }
    return {table: [list(map(_value, row)) for row in db.execute(sql).fetchall()] for table, sql in tables.items()}


def _value(value):
    return msgspec.json.decode(value) if isinstance(value, str) and value.startswith("{") else value
