"""What becomes of runs when their server stops: ended, or waiting again, and nothing new taken in."""

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from actors.directory import Directory, DirectorySettings
from actors.errors import StoppingError
from actors.host import Host
from actors.ledger import Ledger
from actors.liverun import MOST_ATTEMPTS, LiveRun, outlive
from actors.lobby import Silence
from actors.outcomes import Notes, Outcome, Position
from actors.project import RunLimits
from actors.runtime import Submission
from actors.userloop import StoppedError
from storage.accounting import CallStatus
from storage.records import CancelAction, Failure, MultitaskStrategy, RunStatus
from tests.factories import a_call, a_run, a_thread, an_assistant

S = RunStatus
SOON = 0.01
LATE = 3600.0
LIMITS = RunLimits(grace=SOON, timeout=LATE, waiting=9)
DONE = Outcome(Position())


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """A run that takes no notice is not waited for here."""
    monkeypatch.setattr("actors.liverun.PARKED_WITHIN", SOON)
    monkeypatch.setattr("actors.thread.PARKED_WITHIN", SOON)


class Work:
    """An execution that does what it is told to: it ends, or what is told to `on_cancel` becomes of it."""

    def __init__(self, run, on_cancel):
        self.run, self.on_cancel = run, on_cancel
        self.end = asyncio.get_running_loop().create_future()
        self.cut_off = []

    def cancel(self):
        match self.on_cancel:
            case Outcome() if not self.end.done():
                self.end.set_result(self.on_cancel)
            case Exception() if not self.end.done():
                self.end.set_exception(self.on_cancel)

    async def ended(self):
        return await asyncio.shield(self.end)

    @property
    def has_ended(self):
        return self.end.done()

    def told(self):
        calls, self.cut_off = tuple(self.cut_off), []
        return Notes(calls=calls)

    def close(self):
        self.cut_off.append(a_call(self.run, attempt=self.run.attempt, status=CallStatus.CANCELLED))


OBEYS, DEAF = StoppedError(), None
FAILED = Outcome(None, Failure("ValueError", "no"))


@pytest.mark.parametrize(
    ("on_cancel", "asked", "status"),
    [
        pytest.param(OBEYS, ("park",), S.PENDING, id="it stops and waits again"),
        pytest.param(DEAF, ("park",), S.RUNNING, id="it takes no notice"),
        pytest.param(DONE, ("park",), S.SUCCESS, id="it gets ready meanwhile"),
        pytest.param(FAILED, ("park",), S.PENDING, id="what it makes of being asked is no failure"),
        pytest.param(ValueError(), ("park",), S.PENDING, id="nor is what it raises"),
        pytest.param(OBEYS, ("stop",), S.INTERRUPTED, id="cancelled"),
        pytest.param(DEAF, ("stop",), S.INTERRUPTED, id="cancelled in vain"),
        pytest.param(DONE, ("stop",), S.INTERRUPTED, id="cancelled, and ready"),
        pytest.param(OBEYS, ("park", "stop"), S.INTERRUPTED, id="a cancel counts more"),
        pytest.param(OBEYS, (), S.TIMEOUT, id="it takes too long"),
        pytest.param(DEAF, (), S.TIMEOUT, id="it takes too long, and takes no notice"),
    ],
)
async def test_what_becomes_of_work_that_is_asked_to_stop(on_cancel, asked, status):
    live = LiveRun(a_run())
    for what in asked:
        getattr(live, what).set()
    limits = replace(LIMITS, timeout=LATE if asked else SOON)
    assert (await outlive(Work(live.run, on_cancel), live, limits))[0] is status


@pytest.mark.parametrize(("attempt", "parked"), [(3, 0), (4, 1), (9, 6), (2, 0), (3, 1), (9, 7), (9, 9)])
async def test_parked_attempts_wear_nothing_out(attempt, parked):
    run = a_run(status=RunStatus.RUNNING, attempt=attempt, parked=parked)
    assert LiveRun(run, recovered=True).is_worn_out is (attempt - parked >= MOST_ATTEMPTS)


class Executor:
    def __init__(self, on_cancel=OBEYS):
        self.on_cancel, self.works, self.started = on_cancel, [], asyncio.Event()
        self.rolled_back = []

    def start(self, run, say, *_, **__):
        del say
        self.works.append(Work(run, self.on_cancel))
        self.started.set()
        return self.works[-1]

    async def roll_back(self, run, epoch):
        self.rolled_back.append(run.run_id)

    async def position(self, *_):
        return Position()


class Mute(Silence):
    """A scribe that writes nothing down."""

    def __init__(self):
        super().__init__(None)

    def take(self, thread_id, epoch, part):
        """What is said is heard, and not kept."""


class Lot:
    """A ledger, and hosts that take the thread one after the other, as servers do that start and stop."""

    def __init__(self, ledger):
        self.ledger = ledger

    async def host(self, on_cancel=OBEYS, thread_id="t1", *, held=False):
        executor = Executor(on_cancel)
        host = Host(
            self.ledger, executor, Mute(), held=held, limits=LIMITS, on_quiet=lambda _: None, on_lost=lambda: None
        )
        await host.take(await self.ledger.bind(thread_id, must_exist=False))
        return host, executor

    async def runs(self, thread_id="t1"):
        found = await self.ledger.runs(thread_id, limit=9, offset=0, status=None)
        return [(run.status, run.attempt, run.parked) for run in reversed(found)]


@pytest.fixture
async def lot(tmp_path):
    ledger = Ledger(str(tmp_path / "treadle.duckdb"))
    await ledger.open()
    yield Lot(ledger)
    await ledger.close()


def a_submission(thread_id="t1", **given):
    return Submission(run=a_run(thread_id, **given), assistant=an_assistant(), new_thread=a_thread(thread_id))


async def started(host, executor, **given):
    """A run under way."""
    run = await host.submit(a_submission(**given))
    await executor.started.wait()
    executor.started.clear()
    return run


async def test_where_nothing_is_executed_there_is_nothing_to_wait_for(lot):
    host, _ = await lot.host()
    assert not await host.drain()


async def test_a_run_that_ends_by_itself_is_settled_and_the_next_does_not_start(lot):
    host, executor = await lot.host()
    run = await started(host, executor)
    await host.submit(a_submission())
    reading = asyncio.create_task(host.ended("t1", run.run_id))
    await asyncio.sleep(0)
    executor.works[0].end.set_result(DONE)
    assert await host.drain()
    assert (await reading).status is S.SUCCESS
    assert await lot.runs() == [(S.SUCCESS, 1, 0), (S.PENDING, 0, 0)]
    assert len(executor.works) == 1


async def test_a_run_that_does_not_end_waits_again_with_all_that_it_has_used(lot):
    host, executor = await lot.host()
    run = await started(host, executor)
    await host.submit(a_submission())
    waiting = asyncio.create_task(host.ended("t1", run.run_id))
    assert await host.drain()
    with pytest.raises(StoppingError):
        await waiting
    assert await lot.runs() == [(S.PENDING, 1, 1), (S.PENDING, 0, 0)]
    kept = await lot.ledger.run("t1", run.run_id)
    assert (kept.totals.total_tokens, kept.ended_at, kept.first_seq) == (12, None, 1)


async def test_a_run_that_takes_no_notice_is_left_running_as_if_its_process_had_died(lot):
    host, executor = await lot.host(on_cancel=DEAF)
    await started(host, executor)
    assert await host.drain()
    assert await lot.runs() == [(S.RUNNING, 1, 0)]


async def test_any_number_of_stops_wears_nothing_out_and_what_began_goes_on_first(lot, monkeypatch):
    """Though a delayed run was accepted before it, and is due by then."""
    host, executor = await lot.host()
    await host.submit(a_submission(due_at=datetime.now(UTC) + timedelta(hours=1)))
    run = await started(host, executor)
    monkeypatch.setattr("actors.thread.seconds_until", lambda _: 0.0)
    for stops in range(1, 2 * MOST_ATTEMPTS):
        await host.drain()
        assert await lot.runs() == [(S.PENDING, 0, 0), (S.PENDING, stops, stops)]
        host, executor = await lot.host()
        await executor.started.wait()
        assert executor.works[0].run.run_id == run.run_id
        assert executor.works[0].run.attempt == stops + 1


async def test_a_cancel_that_came_before_counts_more(lot):
    host, executor = await lot.host()
    run = await started(host, executor)
    await host.cancel("t1", run.run_id, CancelAction.INTERRUPT, "enough")
    await host.drain()
    assert await lot.runs() == [(S.INTERRUPTED, 1, 0)]


async def test_a_cancel_that_comes_after_is_refused_and_may_be_asked_of_the_next_server(lot):
    host, executor = await lot.host()
    run = await started(host, executor)
    await host.drain()
    with pytest.raises(StoppingError):
        await host.cancel("t1", run.run_id, CancelAction.INTERRUPT, "enough")
    assert await lot.runs() == [(S.PENDING, 1, 1)]


@pytest.mark.parametrize(
    ("action", "status"), [(CancelAction.ROLLBACK, S.ERROR), (CancelAction.INTERRUPT, S.INTERRUPTED)]
)
async def test_what_was_parked_and_waits_for_a_slot_is_undone_where_it_is_cancelled(lot, action, status):
    host, executor = await lot.host()
    run = await started(host, executor)
    await host.drain()
    lobby, executor = await lot.host(held=True)
    ending = asyncio.create_task(lobby.ended("t1", run.run_id))
    await lobby.cancel("t1", run.run_id, action, "enough")
    assert (await ending).status is status
    assert executor.works == []
    assert executor.rolled_back == ([run.run_id] if action is CancelAction.ROLLBACK else [])
    assert await lot.runs() == [(status, 1, 1)]
    assert (await lobby.let_go("t1")).left


async def test_a_run_that_waits_can_still_be_cancelled(lot):
    host, executor = await lot.host(on_cancel=DEAF)
    await started(host, executor)
    waits = await host.submit(a_submission())
    await host.drain()
    await host.cancel("t1", waits.run_id, CancelAction.INTERRUPT, "enough")
    assert await lot.runs() == [(S.RUNNING, 1, 0), (S.INTERRUPTED, 0, 0)]


async def test_nothing_is_taken_in_any_more_but_what_was_is_answered_again(lot):
    host, executor = await lot.host()
    known = a_submission(idempotency_key="mine")
    run = await host.submit(known)
    await executor.started.wait()
    await host.drain()
    for strategy in MultitaskStrategy:
        with pytest.raises(StoppingError):
            await host.submit(a_submission(multitask_strategy=strategy))
    assert (await host.submit(a_submission(idempotency_key="mine"))).run_id == run.run_id
    assert len(await lot.runs()) == 1


async def test_a_thread_that_comes_while_the_server_stops_starts_nothing(lot):
    host, executor = await lot.host(on_cancel=DEAF)
    await started(host, executor)
    stopping, unused = await lot.host(thread_id="t2")
    await stopping.drain()
    await stopping.take(await lot.ledger.bind("t1", must_exist=False))
    assert unused.works == []
    with pytest.raises(StoppingError):
        await stopping.submit(a_submission())


# The directory


class Slot:
    """A slot's process, as far as the directory sees it here."""

    address = "slot-1"

    def __init__(self):
        self.bound, self.draining, self.may_end = [], asyncio.Event(), asyncio.Event()

    async def bind(self, binding):
        self.bound.append(binding.thread_id)

    async def watch(self):
        await asyncio.Event().wait()

    async def drain(self):
        self.draining.set()
        await self.may_end.wait()
        return True


class Launcher:
    def __init__(self, slot):
        self.slot = slot

    async def launch(self, number):
        del number
        return self.slot

    async def survivors(self):
        return {}


class Binding:
    """The ledger, as the directory asks it."""

    def __init__(self, ledger):
        self._ledger = ledger

    async def bind(self, thread_id, handed_over=None):
        del handed_over
        return await self._ledger.bind(thread_id, must_exist=False)

    def __getattr__(self, name):
        return getattr(self._ledger, name)


@asynccontextmanager
async def a_directory(lot):
    slot = Slot()
    settings = DirectorySettings(warm=1, most=1, limits=LIMITS)
    directory = Directory(settings, Binding(lot.ledger), Launcher(slot))
    await directory.open()
    while directory._slots == {}:
        await directory._changed.wait()
    yield directory, slot
    await directory.close()


async def test_a_directory_that_drains_binds_nobody_and_its_lobby_takes_nothing_in(lot):
    async with a_directory(lot) as (directory, slot):
        draining = asyncio.create_task(directory.drain())
        await slot.draining.wait()
        assert await directory.locate("t1") is None
        with pytest.raises(StoppingError):
            await directory.lobby.submit(a_submission())
        assert slot.bound == []
        assert not draining.done()
        slot.may_end.set()
        assert await draining
