"""The query functions and a plain dict, sent the same random operations, alone or together, agree."""

from itertools import count

import duckdb
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec.structs import replace

from storage import bindings, recordings, runs, threads
from storage.accounting import Recording
from storage.bindings import Bind, Reserve
from storage.commits import Write, commit
from storage.database import migrate
from storage.errors import (
    RunExistsError,
    RunNotFoundError,
    ServiceError,
    StaleError,
    ThreadExistsError,
    ThreadNotFoundError,
)
from storage.records import Admission, Binding, Failure, Parking, Patch, RunStatus, Settlement, Standing, ThreadStatus
from storage.runs import Start
from storage.threads import Creation, Deletion
from tests.factories import NOON, a_run, a_thread, an_event
from tests.unit.conftest import a_writer, do

THREADS = ["t1", "t2", "t3"]
THREAD_IDS = st.sampled_from(THREADS)
RUN_IDS = st.sampled_from([f"00000000-0000-7000-8000-{number:012}" for number in range(6)])
FINAL = st.sampled_from([status for status in RunStatus if status.is_final])
BEHIND = st.sampled_from([0, 0, 0, 1])
"""How far the epoch of whoever writes lies behind the current one."""


class MistakeError(Exception):
    """A mistake of ours."""


def fail(writer, asked):
    raise MistakeError


class Plain:
    """What is kept, in dicts."""

    def __init__(self):
        self.threads, self.epochs, self.numbers, self.runs, self.deleted = {}, {}, {}, {}, set()

    def create(self, asked):
        thread, existing_ok = asked.thread, asked.existing_ok
        if thread.thread_id in self.threads and not existing_ok:
            raise ThreadExistsError
        self.threads.setdefault(thread.thread_id, thread)
        return self.thread(thread.thread_id)

    def bind(self, asked):
        thread_id = asked.thread_id
        if asked.must_exist and thread_id not in self.threads:
            raise ThreadNotFoundError
        self.epochs[thread_id] = self.epochs.get(thread_id, 0) + 1
        first = self.numbers.get(thread_id, 1)
        self.numbers[thread_id] = first + bindings.BLOCK
        return Binding(
            thread_id=thread_id,
            epoch=self.epochs[thread_id],
            next_seq=first,
            reserved=first + bindings.BLOCK - 1,
            thread=self.thread(thread_id),
            unfinished=self.unfinished(thread_id),
        )

    def reserve(self, asked):
        self.fence(asked.thread_id, asked.epoch)
        self.numbers[asked.thread_id] += asked.count
        return self.numbers[asked.thread_id] - 1

    def admit(self, admission):
        run = admission.run
        self.fence(run.thread_id, admission.epoch)
        if run.run_id in self.runs:
            if self.changeable(run) is None:
                raise RunExistsError
            return
        thread = self.threads.get(run.thread_id, admission.new_thread)
        if thread is None:
            raise ThreadNotFoundError
        metadata = {**thread.metadata, "graph_id": run.graph_id, "assistant_id": run.assistant_id}
        self.threads[run.thread_id] = replace(thread, metadata=metadata, updated_at=run.created_at)
        self.runs[run.run_id] = run

    def begin(self, asked):
        run = asked.run
        self.fence(run.thread_id, asked.epoch)
        if stored := self.changeable(run):
            kept = {"attempt": run.attempt, "started_at": run.started_at, "first_seq": run.first_seq}
            self.runs[run.run_id] = replace(stored, status=RunStatus.RUNNING, updated_at=run.updated_at, **kept)

    def park(self, parking):
        run = parking.run
        self.fence(run.thread_id, parking.epoch)
        if stored := self.changeable(run):
            kept = {name: getattr(run, name) for name in ("attempt", "parked", "started_at", "first_seq", "updated_at")}
            self.runs[run.run_id] = replace(stored, status=RunStatus.PENDING, **kept)

    def settle(self, settlement):
        run = settlement.run
        self.fence(run.thread_id, settlement.epoch)
        if stored := self.changeable(run):
            self.runs[run.run_id] = replace(run, created_at=stored.created_at, parked=stored.parked)
            if thread := self.threads.get(run.thread_id):
                self.threads[run.thread_id] = replace(self.left(thread, settlement), updated_at=run.updated_at)

    def left(self, thread, settlement):
        if (standing := settlement.standing) is None:
            return thread
        kept = {"status": standing.status, "error": standing.error, "interrupts": standing.interrupts}
        return replace(thread, state_updated_at=settlement.run.updated_at, **kept)

    def thread(self, thread_id):
        thread = self.threads.get(thread_id)
        return replace(thread, status=ThreadStatus.BUSY) if thread and self.unfinished(thread_id) else thread

    def delete(self, asked):
        thread_id = asked.thread_id
        self.fence(thread_id, asked.epoch)
        if self.threads.pop(thread_id, None) is None:
            raise ThreadNotFoundError
        self.deleted |= {run_id for run_id, run in self.runs.items() if run.thread_id == thread_id}

    def fence(self, thread_id, epoch):
        if self.epochs.get(thread_id) != epoch:
            raise StaleError

    def changeable(self, run):
        stored = self.runs.get(run.run_id)
        if stored is None:
            raise RunNotFoundError
        gone = stored.thread_id != run.thread_id or stored.status.is_final or run.run_id in self.deleted
        return None if gone else stored

    def of_thread(self, thread_id):
        return [run for run in self.runs.values() if run.thread_id == thread_id and run.run_id not in self.deleted]

    def unfinished(self, thread_id):
        return [run for run in self.of_thread(thread_id) if not run.status.is_final]


class WhatIsKept(RuleBasedStateMachine):
    """Actors as the database sees them: whatever they write, in whatever order, some of them too late."""

    def __init__(self):
        super().__init__()
        self.db, self.plain = duckdb.connect(), Plain()
        self.waiting, self.expected = [], []
        self.moments = (NOON.replace(microsecond=number) for number in count())
        migrate(self.db)
        self.writer = a_writer(self.db)

    def teardown(self):
        self.commit()
        self.db.close()

    def both(self, query, plain, given, *keys):
        """The plain dict answers at once; the write waits for others, as it does for a commit."""

        def outcome():
            try:
                return plain(given)
            except ServiceError as error:
                return type(error)

        self.waiting.append(Write(query, given, keys))
        self.expected.append(outcome())

    def epoch(self, thread_id, behind):
        return self.plain.epochs.get(thread_id, 0) - behind

    @rule()
    def commit(self):
        waiting, self.waiting = self.waiting, []
        expected, self.expected = self.expected, []
        outcomes = commit(self.writer, waiting)
        assert [type(one) if isinstance(one, ServiceError) else one for one in outcomes] == expected

    @precondition(lambda self: self.waiting)
    @rule(where=st.integers(0, 9))
    def commit_with_a_faulty_one_among_them(self, where):
        self.waiting.insert(where, Write(fail, None, ["t1"]))
        self.expected.insert(where, MistakeError)
        waiting, self.waiting = self.waiting, []
        expected, self.expected = self.expected, []
        outcomes = commit(self.writer, waiting)
        assert [type(one) if isinstance(one, Exception) else one for one in outcomes] == expected

    @rule()
    def forget(self):
        self.commit()
        _ = self.writer.db
        self.writer = a_writer(self.db)

    @rule(thread_id=THREAD_IDS, user_id=st.sampled_from(["ann", "bob"]), existing_ok=st.booleans())
    def create(self, thread_id, user_id, existing_ok):
        thread = a_thread(thread_id, user_id=user_id, metadata={"owner": user_id})
        self.both(threads.create, self.plain.create, Creation(thread, existing_ok), thread_id)

    @rule(thread_id=THREAD_IDS, must_exist=st.booleans())
    def bind(self, thread_id, must_exist):
        self.both(bindings.bind, self.plain.bind, Bind(thread_id, must_exist), thread_id)

    @rule(thread_id=THREAD_IDS, behind=BEHIND, amount=st.integers(1, 3))
    def reserve(self, thread_id, behind, amount):
        reserve = Reserve(thread_id, self.epoch(thread_id, behind), amount)
        self.both(bindings.reserve, self.plain.reserve, reserve, thread_id)

    @rule(run_id=RUN_IDS, thread_id=THREAD_IDS, behind=BEHIND, brings_thread=st.booleans())
    def admit(self, run_id, thread_id, behind, brings_thread):
        at = next(self.moments)
        run = a_run(thread_id, run_id=run_id, created_at=at, updated_at=at)
        new_thread = a_thread(thread_id, metadata={"by": "run"}) if brings_thread else None
        admission = Admission(run=run, epoch=self.epoch(thread_id, behind), new_thread=new_thread, again=True)
        self.both(runs.admit, self.plain.admit, admission, thread_id, run_id)

    @rule(run_id=RUN_IDS, thread_id=THREAD_IDS, behind=BEHIND, attempt=st.integers(1, 3))
    def begin(self, run_id, thread_id, behind, attempt):
        at = next(self.moments)
        run = a_run(thread_id, run_id=run_id, attempt=attempt, started_at=at, updated_at=at, first_seq=attempt)
        self.both(runs.begin, self.plain.begin, Start(run, self.epoch(thread_id, behind)), thread_id, run_id)

    @rule(run_id=RUN_IDS, thread_id=THREAD_IDS, behind=BEHIND, parked=st.integers(1, 3))
    def park(self, run_id, thread_id, behind, parked):
        at, epoch = next(self.moments), self.epoch(thread_id, behind)
        run = a_run(thread_id, run_id=run_id, attempt=parked, parked=parked, started_at=at, updated_at=at, first_seq=5)
        parking = Parking(run=run, epoch=epoch, recording=Recording(thread_id=thread_id, epoch=epoch))
        self.both(runs.park, self.plain.park, parking, thread_id, run_id)

    @rule(
        run_id=RUN_IDS,
        thread_id=THREAD_IDS,
        behind=BEHIND,
        status=FINAL,
        attempt=st.integers(0, 3),
        standing=st.none()
        | st.builds(
            Standing,
            status=st.sampled_from([ThreadStatus.IDLE, ThreadStatus.INTERRUPTED, ThreadStatus.ERROR]),
            error=st.sampled_from([None, Failure("ValueError", "no")]),
            interrupts=st.sampled_from([{}, {"task": [{"id": "i", "value": 1}]}]),
        ),
    )
    def settle(self, run_id, thread_id, behind, status, attempt, standing):  # noqa: PLR0913, PLR0917 - a column each
        at = next(self.moments)
        error = Failure("ValueError", "no") if status is RunStatus.ERROR else None
        settlement = Settlement(
            run=a_run(
                thread_id,
                run_id=run_id,
                status=status,
                attempt=attempt,
                error=error,
                ended_at=at,
                updated_at=at,
                last_seq=7,
            ),
            epoch=self.epoch(thread_id, behind),
            standing=standing,
        )
        self.both(runs.settle, self.plain.settle, settlement, thread_id, run_id)

    @rule(thread_id=THREAD_IDS, behind=BEHIND)
    def delete(self, thread_id, behind):
        self.both(threads.delete, self.plain.delete, Deletion(thread_id, self.epoch(thread_id, behind)), thread_id)

    @precondition(lambda self: not self.waiting)
    @invariant()
    def both_know_the_same_threads(self):
        for thread_id in THREADS:
            assert threads.find(self.writer.db, thread_id) == self.plain.thread(thread_id)

    @precondition(lambda self: not self.waiting)
    @invariant()
    def both_know_the_same_runs(self):
        for thread_id in THREADS:
            expected = self.plain.of_thread(thread_id)[::-1]
            assert runs.of_thread(self.writer.db, thread_id, limit=9, offset=0, status=None) == expected
            for status in (RunStatus.PENDING, RunStatus.SUCCESS):
                of_status = [run for run in expected if run.status == status]
                assert runs.of_thread(self.writer.db, thread_id, limit=1, offset=1, status=status) == of_status[1:2]

    @precondition(lambda self: not self.waiting)
    @invariant()
    def both_know_what_is_to_be_done(self):
        waiting = [run.thread_id for run in self.plain.runs.values() if run in self.plain.unfinished(run.thread_id)]
        assert sorted(runs.unfinished_threads(self.writer.db)) == sorted(set(waiting))


TestWhatIsKept = WhatIsKept.TestCase
TestWhatIsKept.settings = settings(max_examples=20, stateful_step_count=30, deadline=None)


def test_a_deleted_thread_leaves_rows_for_accounting_and_nothing_that_was_said(writer):
    run = a_run()
    do(writer, bindings.bind, [Bind("t1", must_exist=False)])
    do(writer, runs.admit, [Admission(run=run, epoch=1, new_thread=a_thread())])
    do(writer, threads.delete, [Deletion("t1", 1)])
    kept = writer.db.execute("SELECT run_id::VARCHAR, request, deleted_at IS NOT NULL FROM runs").fetchall()
    assert kept == [(run.run_id, None, True)]
    (again,) = do(writer, bindings.bind, [Bind("t1", must_exist=False)])
    assert (again.epoch, again.next_seq) == (2, bindings.BLOCK + 1)


@settings(max_examples=40, deadline=None)
@given(
    original=st.sampled_from([{}, {"graph_id": "by hand"}, {"graph_id": "x", "assistant_id": "y", "owner": "me"}]),
    fates=st.lists(st.booleans(), min_size=1, max_size=5),
    order=st.randoms(use_true_random=False),
)
def test_a_thread_speaks_as_if_runs_that_were_rolled_back_had_never_come(original, fates, order):
    """They come one after another, and end in any order, some of them before others have come."""
    with duckdb.connect() as db:
        migrate(db)
        writer = a_writer(db)
        do(writer, threads.create, [Creation(a_thread(metadata=original), existing_ok=False)])
        do(writer, bindings.bind, [Bind("t1", must_exist=True)])
        coming = [a_run(graph_id=f"graph {number}", rolled_back=fate) for number, fate in enumerate(fates)]
        begun, stay = [], []
        while coming or begun:
            if coming and (not begun or order.random() < 0.6):
                run = coming.pop(0)
                said = {name: metadata_now(writer).get(name) for name in ("graph_id", "assistant_id")}
                admitted = replace(run, rolled_back=False)
                do(writer, runs.admit, [Admission(run=admitted, epoch=1, replaced=said)])
                begun.append(run)
                stay.append(run)
            else:
                run = begun.pop(order.randrange(len(begun)))
                do(writer, runs.settle, [Settlement(run=replace(run, status=RunStatus.ERROR), epoch=1)])
                stay = [one for one in stay if one is not run or not run.rolled_back]
            last = {"graph_id": stay[-1].graph_id, "assistant_id": "a1"} if stay else {}
            assert metadata_now(writer) == original | last


def metadata_now(writer):
    """As the next one who creates the thread would see them, which is what is remembered; and as they are stored."""
    (seen,) = do(writer, threads.create, [Creation(a_thread(), existing_ok=True)])
    stored = threads.get(writer.db, "t1")
    assert seen.metadata == stored.metadata
    return stored.metadata


def test_what_somebody_else_has_said_of_a_thread_stays_when_a_run_is_rolled_back(writer):
    do(writer, threads.create, [Creation(a_thread(), existing_ok=False)])
    do(writer, bindings.bind, [Bind("t1", must_exist=True)])
    run = a_run()
    do(writer, runs.admit, [Admission(run=run, epoch=1, replaced={"graph_id": None, "assistant_id": None})])
    do(writer, threads.patch, [Patch("t1", {"graph_id": "by hand"}, NOON)])
    undone = replace(run, status=RunStatus.ERROR, rolled_back=True)
    do(writer, runs.settle, [Settlement(run=undone, epoch=1)])
    assert metadata_now(writer) == {"graph_id": "by hand", "assistant_id": "a1"}


def test_a_thread_with_an_id_of_its_own_that_is_created_again_is_the_same(db):
    """Whoever lost the answer asks again; by then the ledger may have been restarted."""
    fresh = Creation(a_thread(), is_fresh=True)
    writer = a_writer(db)
    assert do(writer, threads.create, [fresh]) == do(writer, threads.create, [fresh]) == [a_thread()]
    assert threads.get(writer.db, "t1") == a_thread()
    writer = a_writer(db)
    others = [Creation(a_thread(name), is_fresh=True) for name in ("t2", "t3")]
    for asked in ([fresh], [fresh, *others]):
        assert do(writer, threads.create, asked) == [one.thread for one in asked]
        assert threads.get(writer.db, "t1") == a_thread()
    assert do(writer, bindings.bind, [Bind("t3", must_exist=True)])[0].thread == a_thread("t3")


def test_what_is_forgotten_is_looked_up_again_and_what_is_needed_now_is_not_forgotten(db):
    writer = a_writer(db, most_remembered=2)
    names, given = ["t1", "t2", "t3"], [a_run("t1"), a_run("t2"), a_run("t3")]
    for name, run in zip(names, given, strict=True):
        assert do(writer, bindings.bind, [Bind(name, must_exist=False)])[0].epoch == 1
        assert do(writer, runs.admit, [Admission(run=run, epoch=1, new_thread=a_thread(name))]) == [None]
    for pair in (given[1:], given[:2]):
        ends = [Settlement(run=replace(run, status=RunStatus.SUCCESS), epoch=1) for run in pair]
        assert do(writer, runs.settle, ends) == [None, None]
    assert [runs.get(writer.db, run.thread_id, run.run_id).status for run in given] == [RunStatus.SUCCESS] * 3


def test_what_is_forgotten_before_the_database_has_made_it_is_found_all_the_same(db):
    writer = a_writer(db, most_remembered=1)
    run = a_run("t1")
    asked = [
        Write(bindings.bind, Bind("t1", must_exist=False), ["t1"]),
        Write(runs.admit, Admission(run=run, epoch=1, new_thread=a_thread("t1")), ["t1", run.run_id]),
        Write(recordings.record, Recording(thread_id="t1", epoch=1, events=(an_event(run, 7),)), ["t1"]),
        Write(bindings.bind, Bind("t2", must_exist=False), ["t2"]),
    ]
    for write in asked:
        commit(writer, [write])
    (again,) = commit(writer, [Write(bindings.bind, Bind("t1", must_exist=True), ["t1"])])
    assert (again.epoch, again.log.seq) == (2, 7)
    assert [one.run_id for one in again.unfinished] == [run.run_id]
    assert again.thread.status is ThreadStatus.BUSY
