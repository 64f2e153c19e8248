"""What is read back equals what was written."""

from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from uuid_utils import uuid7

from storage import assistants, bindings, runs, threads
from storage.accounting import Recording
from storage.bindings import Bind
from storage.errors import RunNotFoundError
from storage.records import (
    Admission,
    Assistant,
    Dialect,
    Failure,
    MultitaskStrategy,
    Parking,
    Run,
    RunRequest,
    RunStatus,
    Settlement,
    Standing,
    StreamMode,
    Thread,
    ThreadStatus,
)
from storage.runs import Start
from storage.threads import Creation
from tests.factories import NOON, a_run, a_thread, an_assistant
from tests.unit.conftest import do

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
TIMES = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds it
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.dictionaries(TEXT, JSON, max_size=3)
FAILURES = st.none() | st.builds(Failure, error=TEXT, message=TEXT)
COUNTS = st.none() | st.integers(0, 2**63 - 1)
IDS = st.builds(lambda: str(uuid7()))

THREADS = st.builds(
    Thread,
    thread_id=IDS,
    status=st.sampled_from(ThreadStatus),
    metadata=OBJECTS,
    config=OBJECTS,
    interrupts=st.dictionaries(TEXT, st.lists(JSON, max_size=2), max_size=2),
    error=FAILURES,
    user_id=st.none() | TEXT,
    created_at=TIMES,
    updated_at=TIMES,
    state_updated_at=st.none() | TIMES,
)
REQUESTS = st.builds(
    RunRequest,
    input=JSON,
    command=st.none() | OBJECTS,
    config=OBJECTS,
    context=OBJECTS,
    stream_modes=st.lists(st.sampled_from(StreamMode), unique=True).map(tuple),
    interrupt_before=st.none() | st.just("*") | st.lists(TEXT, max_size=2),
    sent=OBJECTS,
)
RUNS = st.builds(
    Run,
    run_id=IDS,
    thread_id=IDS,
    assistant_id=TEXT,
    assistant_version=st.integers(1, 9),
    graph_id=TEXT,
    dialect=st.sampled_from(Dialect),
    request=REQUESTS,
    metadata=OBJECTS,
    multitask_strategy=st.sampled_from(MultitaskStrategy),
    user_id=st.none() | TEXT,
    created_at=TIMES,
    updated_at=TIMES,
)
STARTS = st.fixed_dictionaries(
    {"attempt": st.integers(1, 3), "started_at": TIMES, "first_seq": COUNTS, "updated_at": TIMES}
)
ENDS = st.fixed_dictionaries(
    {
        "status": st.sampled_from([status for status in RunStatus if status.is_final]),
        "error": FAILURES,
        "cancel_reason": st.none() | TEXT,
        "checkpoint_id": st.none() | TEXT,
        "first_seq": COUNTS,
        "last_seq": COUNTS,
        "last_ms": COUNTS,
        "ended_at": TIMES,
        "updated_at": TIMES,
    }
)
ASSISTANTS = st.builds(
    Assistant,
    assistant_id=IDS,
    graph_id=TEXT,
    name=TEXT,
    description=st.none() | TEXT,
    config=OBJECTS,
    context=OBJECTS,
    metadata=OBJECTS,
    version=st.integers(1, 9),
    created_at=TIMES,
    updated_at=TIMES,
)


def several(records):
    return st.lists(records, min_size=1, max_size=3)


thorough = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@thorough
@given(given=several(THREADS))
def test_threads_are_read_as_they_were_written_one_or_several(writer, given):
    assert do(writer, threads.create, [Creation(thread, existing_ok=False) for thread in given]) == given
    assert [threads.get(writer.db, thread.thread_id) for thread in given] == given
    assert do(writer, threads.create, [Creation(thread, existing_ok=True) for thread in given]) == given


@thorough
@given(assistant=ASSISTANTS)
def test_an_assistant_is_read_as_it_was_written(writer, assistant):
    do(writer, assistants.put, [[assistant]])
    assert assistants.get(writer.db, assistant.assistant_id) == assistant


@thorough
@given(given=several(st.tuples(RUNS, STARTS, ENDS)))
def test_runs_are_read_as_they_were_admitted_begun_parked_and_settled_one_or_several(writer, given):
    def stored():
        return [runs.get(writer.db, run.thread_id, run.run_id) for run in admitted]

    admitted = [run for run, _, _ in given]
    do(writer, bindings.bind, [Bind(run.thread_id, must_exist=False) for run in admitted])
    do(writer, runs.admit, [Admission(run=run, epoch=1, new_thread=a_thread(run.thread_id)) for run in admitted])
    assert stored() == admitted

    begun = [replace(run, status=RunStatus.RUNNING, **start) for run, start, _ in given]
    do(writer, runs.begin, [Start(run, 1) for run in begun])
    assert stored() == begun

    parked = [replace(run, status=RunStatus.PENDING, parked=1, updated_at=NOON) for run in begun]
    for _ in range(2):  # it may be asked again
        nothing = [Recording(thread_id=run.thread_id, epoch=1) for run in parked]
        asked = zip(parked, nothing, strict=True)
        do(writer, runs.park, [Parking(run=run, epoch=1, recording=recording) for run, recording in asked])
        assert stored() == parked

    ended = [replace(run, **end) for run, (_, _, end) in zip(parked, given, strict=True)]
    idle = Standing(status=ThreadStatus.IDLE)
    do(writer, runs.settle, [Settlement(run=run, epoch=1, standing=idle) for run in ended])
    assert stored() == ended


@thorough
@given(given=several(THREADS))
def test_a_thread_keeps_its_metadata_when_runs_come_one_or_several(writer, given):
    do(writer, threads.create, [Creation(thread, existing_ok=False) for thread in given])
    do(writer, bindings.bind, [Bind(thread.thread_id, must_exist=True) for thread in given])
    do(writer, runs.admit, [Admission(run=a_run(thread.thread_id), epoch=1) for thread in given])
    speaks_with = {"graph_id": "agent", "assistant_id": "a1"}
    stored = [threads.get(writer.db, thread.thread_id).metadata for thread in given]
    assert stored == [{**thread.metadata, **speaks_with} for thread in given]


def test_a_run_that_starts_at_once_is_admitted_as_it_runs(writer):
    run = a_run(status=RunStatus.RUNNING, attempt=1, started_at=NOON)
    (binding,) = do(writer, bindings.bind, [Bind("t1", must_exist=False)])
    do(writer, runs.admit, [Admission(run=run, epoch=binding.epoch, new_thread=a_thread())])
    assert runs.get(writer.db, "t1", run.run_id) == run
    assert threads.get(writer.db, "t1").status == ThreadStatus.BUSY


def test_tags_are_columns_of_a_run_and_what_is_no_tag_is_not(writer):
    do(writer, bindings.bind, [Bind("t1", must_exist=False)])
    for tags in (["nightly", 3], "nightly", None):
        run = a_run(request=RunRequest(config={"tags": tags}))
        do(writer, runs.admit, [Admission(run=run, epoch=1, new_thread=a_thread())])
    assert writer.db.execute("SELECT tags FROM runs ORDER BY admission").fetchall() == [(["nightly"],), ([],), ([],)]


@pytest.mark.parametrize("run_id", ["r1", "01a203b6-97cc-7290-bc2e-cdd55031e99a"])
def test_an_id_that_no_run_has_is_not_found(db, run_id):
    with pytest.raises(RunNotFoundError, match=run_id):
        runs.get(db, "t1", run_id)


def test_a_run_is_not_found_under_another_thread(writer):
    run = a_run()
    do(writer, bindings.bind, [Bind("t1", must_exist=False)])
    do(writer, runs.admit, [Admission(run=run, epoch=1, new_thread=a_thread())])
    with pytest.raises(RunNotFoundError, match=run.run_id):
        runs.get(writer.db, "t2", run.run_id)


def test_a_graph_speaks_for_itself_and_its_users_for_its_configuration(writer):
    first = an_assistant(config={"tags": ["ours"]}, version=3)
    do(writer, assistants.put, [[first]])
    later = datetime(2026, 12, 1, tzinfo=UTC)
    do(
        writer,
        assistants.put,
        [[an_assistant(name="Agent", description="It acts.", created_at=later, updated_at=later)]],
    )
    assert assistants.get(writer.db, "a1") == replace(first, name="Agent", description="It acts.", updated_at=later)


def test_an_assistant_that_is_as_before_is_left_as_it_was(writer):
    do(writer, assistants.put, [[an_assistant()]])
    do(writer, assistants.put, [[an_assistant(updated_at=datetime(2026, 12, 1, tzinfo=UTC))]])
    assert assistants.get(writer.db, "a1") == an_assistant()


SOME = [
    an_assistant("a1", name="Writer", metadata={"team": "x", "on": True, "deep": {"a": 1, "b": [1, 2]}}),
    an_assistant("a2", name="writer of 100%", graph_id="other", metadata={"deep": {"team": "x"}}),
    an_assistant("a3", name="Reader", metadata={"on": 1}),
]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        pytest.param({}, "a3 a2 a1", id="everything"),
        pytest.param({"name": "WRITER"}, "a2 a1", id="part of a name in either case"),
        pytest.param({"name": "%"}, "a2", id="a percent sign is only a percent sign"),
        pytest.param({"graph_id": "other"}, "a2", id="graph"),
        pytest.param({"metadata": {"team": "x"}}, "a1", id="metadata is not looked for deeper"),
        pytest.param({"metadata": {"deep": {"b": [2]}}}, "a1", id="a part of an object and of an array"),
        pytest.param({"metadata": {"on": True}}, "a1", id="true is not 1"),
        pytest.param({"metadata": {"on": True, "none": 1}}, "", id="all keys must be there"),
        pytest.param({"sort_by": "name", "sort_order": "asc"}, "a3 a1 a2", id="sorted by name"),
        pytest.param({"sort_order": "asc", "limit": 1, "offset": 1}, "a2", id="a page"),
    ],
)
def test_assistants_are_found_by(writer, filters, expected):
    do(writer, assistants.put, [SOME])
    found, _ = assistants.search(writer.db, **filters)
    assert [assistant.assistant_id for assistant in found] == expected.split()


def test_a_search_says_how_many_match_beyond_the_page(writer):
    do(writer, assistants.put, [SOME])
    assert assistants.search(writer.db, name="writer", limit=1)[1] == 2
