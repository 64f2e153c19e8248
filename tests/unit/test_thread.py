"""A thread's actor, without Ray: what it makes of what it is asked twice, and what it hands over when it leaves."""

import asyncio
from contextlib import aclosing

import msgspec
import pytest

from actors import attempts
from actors.errors import GoneError, NotHereError
from actors.host import Host
from actors.ledger import Ledger
from actors.liverun import ROLLED_BACK
from actors.outcomes import Position
from actors.project import RunLimits
from actors.runtime import Submission
from actors.thread import Surroundings, ThreadActor
from storage.errors import DamagedError, UnavailableError
from storage.records import Admission, CancelAction, MultitaskStrategy, RunStatus, Settlement, ThreadStatus, Wish
from tests.factories import NOON, a_run, a_thread, an_assistant


class Idle:
    """An executor that must not be needed."""

    def start(self, *_, **__):
        raise AssertionError("nothing is to be executed")


@pytest.fixture
async def ledger(tmp_path):
    ledger = Ledger(str(tmp_path / "treadle.duckdb"))
    await ledger.open()
    yield ledger
    await ledger.close()


async def actor(ledger, *, held=False):
    binding = await ledger.bind("t1", must_exist=False)
    limits = RunLimits(grace=1, timeout=60, waiting=100)
    around = Surroundings(
        scribe=None, held=held, limits=limits, on_quiet=lambda: None, on_lost=lambda: pytest.fail("the actor gave up")
    )
    return ThreadActor(binding, ledger, Idle(), around)


async def test_a_run_whose_answer_was_lost_and_that_has_ended_since_is_not_made_again(ledger):
    run, thread = a_run(), a_thread()
    first = await actor(ledger)
    await ledger.admit(Admission(run=run, epoch=first.epoch, new_thread=thread))
    second = (await ledger.bind("t1", must_exist=True)).epoch  # where the run goes on, and ends
    final = a_run(run_id=run.run_id, status=RunStatus.SUCCESS, ended_at=NOON)
    await ledger.settle(Settlement(run=final, epoch=second))
    again = Submission(run=run, assistant=an_assistant(), new_thread=thread, again=True)
    assert (await (await actor(ledger)).submit(again)).status is RunStatus.SUCCESS


async def test_a_run_that_has_ended_is_executed_by_nobody_who_does_not_know_it(ledger):
    run, thread = a_run(), a_thread()
    first = await actor(ledger)
    await ledger.admit(Admission(run=run, epoch=first.epoch, new_thread=thread))
    final = a_run(run_id=run.run_id, status=RunStatus.SUCCESS, ended_at=NOON)
    await ledger.settle(Settlement(run=final, epoch=first.epoch))
    asked = Submission(run=run, assistant=an_assistant(), new_thread=thread)
    assert await (await actor(ledger)).submit(asked) == final


def wanted(thread_id="t1", **given):
    return Submission(run=a_run(thread_id, **given), assistant=an_assistant(), new_thread=a_thread(thread_id))


async def test_who_leaves_hands_over_what_the_ledger_knows(ledger):
    held = await actor(ledger, held=True)
    for _ in range(3):
        await held.submit(wanted(multitask_strategy=MultitaskStrategy.ENQUEUE))
    leaving = await held.close()
    assert leaving.left
    assert leaving.unfinished == (await ledger.bind("t1", must_exist=True)).unfinished
    assert (await ledger.bind("t1", must_exist=True, is_handed_over=True)).unfinished == []


async def test_who_may_have_missed_an_answer_of_the_ledger_hands_over_nothing(ledger, monkeypatch):
    held = await actor(ledger, held=True)
    await held.submit(wanted())
    admit = ledger.admit

    async def lose_the_answer(admission):
        await admit(admission)
        raise UnavailableError

    monkeypatch.setattr(ledger, "admit", lose_the_answer)
    with pytest.raises(UnavailableError):
        await held.submit(wanted(multitask_strategy=MultitaskStrategy.ENQUEUE))
    assert (await held.close()).unfinished is None
    assert len((await ledger.bind("t1", must_exist=True)).unfinished) == 2


async def test_a_run_that_is_let_in_as_its_thread_leaves_is_told_of_and_need_not_be_asked_for_again(
    ledger, monkeypatch
):
    admit, leaving = ledger.admit, []

    async def admit_and_leave(admission):
        leaving.append(asyncio.create_task(lobby.let_go("t1")))
        await admit(admission)

    monkeypatch.setattr(ledger, "admit", admit_and_leave)
    limits = RunLimits(grace=1, timeout=60, waiting=100)
    lobby = Host(ledger, Idle(), Silent(), held=True, limits=limits, on_quiet=lambda _: None, on_lost=lambda: None)
    await lobby.take(await ledger.bind("t1", must_exist=False))
    asked = wanted()
    async with aclosing(lobby.submit_and_stream(asked)) as items:
        run, said = await anext(items)
        assert (run.run_id, msgspec.msgpack.decode(said)) == (asked.run.run_id, [])
        assert (await leaving[0]).unfinished == [run]
        with pytest.raises(NotHereError):  # it is to be followed elsewhere
            await anext(items)


class Silent:
    """A scribe for threads that say nothing that matters."""

    def take(self, thread_id, part):
        return

    async def flush(self, run_id):
        return

    def close_run(self, run_id):
        return


class Broken(Idle):
    """An executor whose checkpoints cannot be read."""

    async def position(self, thread_id, graph_id):
        raise DamagedError("Cannot use checkpoints-1.sqlite")

    async def roll_back(self, run, epoch):
        raise DamagedError("Cannot use checkpoints-1.sqlite")


class Reached(Idle):
    """An executor whose first two answers are lost with the slots that were to give them."""

    def __init__(self):
        self.deaths = 2
        self.rolled_back = []

    async def position(self, thread_id, graph_id):
        self._die()
        return Position(checkpoint_id="c1", has_next=True, interrupts={"task": [{"id": "i1", "value": "which?"}]})

    async def roll_back(self, run, epoch):
        self._die()
        self.rolled_back.append(run.run_id)

    def _die(self):
        if self.deaths:
            self.deaths -= 1
            raise GoneError


async def worn_out(ledger, action=None, executor=None):
    """The end of a run whose process has died three times."""
    thread = a_thread()
    first = await actor(ledger)
    run = a_run(status=RunStatus.RUNNING, attempt=3, started_at=NOON)
    await ledger.admit(Admission(run=run, epoch=first.epoch, new_thread=thread))
    if action:
        await ledger.wish(Wish(thread_id="t1", run_id=run.run_id, epoch=first.epoch, action=action, reason="wanted"))
    binding = await ledger.bind("t1", must_exist=True)
    limits = RunLimits(grace=1, timeout=60, waiting=100)
    around = Surroundings(
        scribe=Silent(), held=False, limits=limits, on_quiet=lambda: None, on_lost=lambda: pytest.fail("it gave up")
    )
    return await ThreadActor(binding, ledger, executor or Broken(), around).ended(run.run_id)


@pytest.mark.parametrize("action", [None, CancelAction.INTERRUPT, CancelAction.ROLLBACK])
async def test_a_run_whose_checkpoints_cannot_be_read_has_an_end_all_the_same(ledger, action):
    run = await worn_out(ledger, action)
    assert run.status is (RunStatus.INTERRUPTED if action is CancelAction.INTERRUPT else RunStatus.ERROR)
    assert await ledger.run("t1", run.run_id) == run


async def test_who_looks_where_a_run_has_left_its_thread_looks_again_when_a_slot_dies(ledger, monkeypatch):
    monkeypatch.setattr(attempts, "AGAIN_AFTER", 0)
    run = await worn_out(ledger, CancelAction.INTERRUPT, Reached())
    assert (run.status, run.checkpoint_id) == (RunStatus.INTERRUPTED, "c1")
    thread = await ledger.thread("t1")
    assert (thread.status, list(thread.interrupts)) == (ThreadStatus.INTERRUPTED, ["task"])


async def test_a_run_is_undone_also_if_the_slot_that_was_to_do_it_dies(ledger, monkeypatch):
    monkeypatch.setattr(attempts, "AGAIN_AFTER", 0)
    executor = Reached()
    run = await worn_out(ledger, CancelAction.ROLLBACK, executor)
    assert (run.status, run.error) == (ROLLED_BACK.status, ROLLED_BACK.failure)
    assert executor.rolled_back == [run.run_id]


async def test_checkpoints_that_stay_out_of_reach_keep_no_run_from_its_end(ledger, monkeypatch):
    monkeypatch.setattr(attempts, "PATIENCE", 0)
    executor = Reached()
    executor.deaths = 10
    run = await worn_out(ledger, CancelAction.INTERRUPT, executor)
    assert (run.status, run.checkpoint_id) == (RunStatus.INTERRUPTED, None)


async def test_an_end_that_the_disk_refuses_is_written_when_there_is_room(ledger, monkeypatch):
    settle, refusals = ledger.settle, [UnavailableError(), UnavailableError()]

    async def refuse_at_first(settlement):
        if refusals:
            raise refusals.pop()
        await settle(settlement)

    monkeypatch.setattr(attempts, "AGAIN_AFTER", 0)
    monkeypatch.setattr(ledger, "settle", refuse_at_first)
    run = await worn_out(ledger)
    assert not refusals
    assert (await ledger.run("t1", run.run_id)).status is RunStatus.ERROR
