"""What the ledger has answered is kept; what it refuses, it refuses alone."""

import asyncio
import os
import resource
import signal
import sys
from contextlib import aclosing, contextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path
from uuid import uuid4

import anyio
import duckdb
import pytest
from msgspec.structs import replace

from actors import owing
from actors.ledger import Ledger
from storage.conversations import Cursor
from storage.database import READERS
from storage.errors import (
    AssistantNotFoundError,
    RunExistsError,
    RunNotFoundError,
    StaleError,
    ThreadExistsError,
    ThreadNotFoundError,
    UnavailableError,
)
from storage.journal import NotKeptError
from storage.records import (
    Admission,
    CancelAction,
    Patch,
    RunRequest,
    RunStatus,
    Settlement,
    Standing,
    ThreadStatus,
    Told,
    Wish,
)
from tests.factories import NOON, a_run, a_thread, an_assistant

DIES_AFTER_AN_ANSWER = """
import asyncio, os, signal, sys
from tests.factories import NOON, a_run, a_thread
from actors import owing
from actors.ledger import Ledger
from storage.records import Admission

async def main():
    ledger = Ledger(sys.argv[1])
    await ledger.open()
    binding = await ledger.bind("t1", must_exist=False)
    runs = [a_run() for _ in range(5)]
    admissions = [Admission(run=run, epoch=binding.epoch, new_thread=a_thread()) for run in runs]
    await asyncio.gather(*map(ledger.admit, admissions))
    print(*[run.run_id for run in runs], flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "treadle.duckdb")


@pytest.fixture
async def ledger(path):
    ledger = Ledger(path)
    await ledger.open()
    yield ledger
    await ledger.close()


def an_admission(thread_id="t1", epoch=1, **given):
    return Admission(run=a_run(thread_id, **given), epoch=epoch, new_thread=a_thread(thread_id))


def a_settlement(run, epoch=1, status=RunStatus.SUCCESS):
    return Settlement(run=replace(run, status=status), epoch=epoch, standing=Standing(status=ThreadStatus.IDLE))


def kinds(outcomes):
    return [type(outcome) for outcome in outcomes]


async def test_a_stale_epoch_is_refused_alone_among_good_ones(ledger):
    stale, current = an_admission("t1"), an_admission("t1", epoch=2)
    await ledger.bind("t1", must_exist=False)
    await ledger.admit(stale)
    await ledger.bind("t1", must_exist=True)
    await ledger.bind("t2", must_exist=False)
    other, late = an_admission("t2"), an_admission("t1")

    outcomes = await asyncio.gather(
        ledger.admit(current),
        ledger.admit(late),
        ledger.begin(stale.run, epoch=1),
        ledger.settle(a_settlement(stale.run, epoch=1)),
        ledger.delete_thread("t1", epoch=1),
        ledger.reserve("t1", epoch=1, count=1),
        ledger.admit(other),
        return_exceptions=True,
    )

    assert kinds(outcomes) == [type(None), *[StaleError] * 5, type(None)]
    assert await ledger.runs("t1", limit=9, offset=0, status=None) == [current.run, stale.run]
    assert await ledger.runs("t2", limit=9, offset=0, status=None) == [other.run]


async def test_of_many_admissions_each_is_answered_for_itself(ledger):
    names = [f"t{number}" for number in range(20)]
    await asyncio.gather(*[ledger.create_thread(a_thread(name), existing_ok=False) for name in names[::2]])
    await asyncio.gather(*[ledger.bind(name, must_exist=False) for name in names])
    good = [an_admission(name) for name in names]
    known = [an_admission(name) for name in names[:2]]
    await asyncio.gather(*map(ledger.admit, known))

    outcomes = await asyncio.gather(
        *map(ledger.admit, good),
        *map(ledger.admit, known),
        ledger.admit(an_admission("t3", epoch=2)),
        ledger.admit(an_admission("unbound")),
        ledger.bind("unbound", must_exist=True),
        return_exceptions=True,
    )

    assert kinds(outcomes) == [*[type(None)] * 22, StaleError, StaleError, ThreadNotFoundError]
    for name, admission in zip(names, good, strict=True):
        assert (await ledger.runs(name, limit=1, offset=0, status=None)) == [admission.run]
        assert (await ledger.thread(name)).status == ThreadStatus.BUSY


async def test_of_many_settlements_each_is_answered_for_itself(ledger):
    names = [f"t{number}" for number in range(20)]
    await asyncio.gather(*[ledger.bind(name, must_exist=False) for name in names])
    runs = [an_admission(name) for name in names]
    await asyncio.gather(*map(ledger.admit, runs))
    gone, ended, *rest = [admission.run for admission in runs]
    await ledger.delete_thread(gone.thread_id, epoch=1)
    await ledger.settle(a_settlement(ended))

    outcomes = await asyncio.gather(
        *map(ledger.settle, map(a_settlement, rest)),
        ledger.settle(a_settlement(gone)),
        ledger.settle(a_settlement(ended, status=RunStatus.ERROR)),
        ledger.settle(a_settlement(a_run("t5"))),
        ledger.settle(a_settlement(rest[0], epoch=2)),
        return_exceptions=True,
    )

    assert kinds(outcomes) == [*[type(None)] * 20, RunNotFoundError, StaleError]
    for run in (ended, *rest):
        assert (await ledger.run(run.thread_id, run.run_id)).status == RunStatus.SUCCESS
        assert (await ledger.thread(run.thread_id)).status == ThreadStatus.IDLE


async def test_a_run_that_was_admitted_before_a_restart_is_let_in_once(ledger, path):
    await ledger.bind("t1", must_exist=False)
    admission, fresh = an_admission(), an_admission()
    await ledger.admit(admission)
    await ledger.close()
    await ledger.open()
    await asyncio.gather(ledger.admit(replace(admission, again=True)), ledger.admit(fresh))
    assert await ledger.runs("t1", limit=9, offset=0, status=None) == [fresh.run, admission.run]


async def test_a_run_that_cannot_be_stored_fails_alone(ledger):
    await ledger.bind("t1", must_exist=False)
    good, bad = an_admission(), an_admission(metadata={"not JSON": object()})
    outcomes = await asyncio.gather(ledger.admit(bad), ledger.admit(good), return_exceptions=True)
    assert kinds(outcomes) == [TypeError, type(None)]
    assert await ledger.runs("t1", limit=9, offset=0, status=None) == [good.run]


async def test_of_two_owners_one_gets_the_thread(ledger):
    ann, bob = a_thread(user_id="ann"), a_thread(user_id="bob")
    creations = [ledger.create_thread(thread, existing_ok=True) for thread in (ann, bob)]
    assert await asyncio.gather(*creations) == [ann, ann]
    with pytest.raises(ThreadExistsError, match="t1"):
        await ledger.create_thread(bob, existing_ok=False)
    assert await ledger.thread("t1") == ann


async def test_of_actors_that_bind_at_once_each_has_an_epoch_and_numbers_of_its_own(ledger):
    held = await asyncio.gather(*[ledger.bind("t1", must_exist=False) for _ in range(5)])
    assert [binding.epoch for binding in held] == [1, 2, 3, 4, 5]
    assert all(earlier.reserved < later.next_seq for earlier, later in pairwise(held))


async def test_an_actor_learns_what_its_thread_still_has_to_do(ledger):
    await ledger.bind("t1", must_exist=False)
    done, running, waiting = an_admission(), an_admission(), an_admission()
    for admission in (done, running, waiting):
        await ledger.admit(admission)
    await ledger.settle(a_settlement(done.run))
    begun = replace(running.run, attempt=1, status=RunStatus.RUNNING)
    await ledger.begin(begun, epoch=1)
    binding = await ledger.bind("t1", must_exist=True)
    assert binding.thread == await ledger.thread("t1")
    assert binding.unfinished == [begun, waiting.run]


async def test_threads_with_something_to_do_are_those_that_wait_longest_first(ledger):
    admissions = [an_admission("t2"), an_admission("t1"), an_admission("t3"), an_admission("t2")]
    for thread_id in ("t1", "t2", "t3"):
        await ledger.bind(thread_id, must_exist=False)
    for admission in admissions:
        await ledger.admit(admission)
    await ledger.settle(a_settlement(admissions[2].run))
    assert await ledger.unfinished_threads() == ["t2", "t1"]


async def test_a_temporary_thread_goes_with_its_run_and_leaves_garbage_for_a_while(ledger):
    await ledger.bind("t1", must_exist=False)
    admission = an_admission(request=RunRequest(temporary=True), ended_at=NOON)
    run = admission.run
    await ledger.admit(admission)
    await ledger.settle(a_settlement(run))
    with pytest.raises(ThreadNotFoundError):
        await ledger.thread("t1")
    with pytest.raises(RunNotFoundError):
        await ledger.run("t1", run.run_id)
    for thread_id in ("t1", None):
        assert (await ledger.run(thread_id, run.run_id, lately=True)).status == RunStatus.SUCCESS
    assert await ledger.garbage() == [("t1", 1)], "with the epoch of whoever held it last"
    await ledger.swept("t1")
    assert await ledger.garbage() == []
    with pytest.raises(RunNotFoundError):
        await ledger.run(None, run.run_id, lately=True)


async def test_a_thread_that_is_made_again_under_an_id_in_the_garbage_is_not_swept(ledger):
    await ledger.bind("t1", must_exist=False)
    temporary = an_admission(request=RunRequest(temporary=True), ended_at=NOON)
    await ledger.admit(temporary)
    await ledger.settle(a_settlement(temporary.run))
    await ledger.admit(an_admission())
    assert await ledger.garbage() == []


async def test_a_temporary_thread_stays_as_long_as_another_run_is_in_flight(ledger):
    await ledger.bind("t1", must_exist=False)
    temporary, other = an_admission(request=RunRequest(temporary=True)), an_admission()
    await ledger.admit(temporary)
    await ledger.admit(other)
    await ledger.settle(a_settlement(temporary.run))
    await ledger.settle(a_settlement(other.run))
    assert (await ledger.thread("t1")).status == ThreadStatus.IDLE
    assert await ledger.garbage() == []


async def test_a_wish_is_kept_and_who_is_displaced_ends_with_the_admission(ledger):
    await ledger.bind("t1", must_exist=False)
    running, waiting, new = an_admission(), an_admission(), an_admission()
    await ledger.admit(running)
    await ledger.admit(waiting)
    dropped = replace(waiting.run, status=RunStatus.INTERRUPTED, cancel_reason="why")
    wish = Wish(thread_id="t1", run_id=running.run.run_id, epoch=1, action=CancelAction.ROLLBACK, reason="superseded")
    for _ in range(2):
        await ledger.admit(replace(new, dropped=(dropped,), wish=wish, again=True))
    binding = await ledger.bind("t1", must_exist=True)
    assert [run.run_id for run in binding.unfinished] == [running.run.run_id, new.run.run_id]
    assert binding.unfinished[0].cancel_action is CancelAction.ROLLBACK
    assert (await ledger.run("t1", waiting.run.run_id)).status == RunStatus.INTERRUPTED
    await ledger.settle(a_settlement(running.run, epoch=2))
    await ledger.wish(replace(wish, epoch=2, reason="too late"))
    assert (await ledger.run("t1", running.run.run_id)).cancel_reason is None
    with pytest.raises(StaleError):
        await ledger.wish(wish)


async def test_everything_may_be_asked_twice(ledger):
    await ledger.bind("t1", must_exist=False)
    admission = an_admission()
    settlement = a_settlement(admission.run)
    for asked in (partial(ledger.admit, admission), partial(ledger.settle, settlement)):
        for _ in range(2):
            await asyncio.gather(asked(), asked())
    assert await ledger.run("t1", admission.run.run_id) == settlement.run


@pytest.mark.parametrize("again", [False, True])
async def test_a_run_that_has_ended_is_not_let_in_once_more(ledger, again):
    await ledger.bind("t1", must_exist=False)
    admission = an_admission()
    await ledger.admit(admission)
    await ledger.settle(a_settlement(admission.run))
    before = await ledger.thread("t1")
    with pytest.raises(RunExistsError):
        await ledger.admit(replace(admission, again=again))
    assert await ledger.thread("t1") == before


async def test_a_run_is_of_one_thread(ledger):
    for thread_id in ("t1", "t2"):
        await ledger.bind(thread_id, must_exist=False)
    await ledger.admit(admission := an_admission())
    other = a_run("t2", run_id=admission.run.run_id)
    with pytest.raises(RunExistsError):
        await ledger.admit(Admission(run=other, epoch=1, new_thread=a_thread("t2")))


async def test_a_final_status_never_changes(ledger):
    await ledger.bind("t1", must_exist=False)
    admission = an_admission()
    await ledger.admit(admission)
    await ledger.settle(a_settlement(admission.run))
    before = await ledger.thread("t1")
    await ledger.settle(a_settlement(admission.run, status=RunStatus.ERROR))
    await ledger.begin(admission.run, epoch=1)
    assert (await ledger.run("t1", admission.run.run_id)).status == RunStatus.SUCCESS
    assert await ledger.thread("t1") == before


async def test_what_is_not_there_is_said_by_name(ledger):
    await ledger.bind("t1", must_exist=False)
    unknown = a_run()
    with pytest.raises(ThreadNotFoundError, match="t9"):
        await ledger.thread("t9")
    with pytest.raises(ThreadNotFoundError, match="t9"):
        await ledger.bind("t9", must_exist=True)
    with pytest.raises(ThreadNotFoundError, match="t1"):
        await ledger.delete_thread("t1", epoch=1)
    with pytest.raises(ThreadNotFoundError, match="t1"):
        await ledger.admit(Admission(run=unknown, epoch=1))
    with pytest.raises(RunNotFoundError, match=unknown.run_id):
        await ledger.settle(a_settlement(unknown))
    with pytest.raises(AssistantNotFoundError, match="a9"):
        await ledger.assistant("a9")


async def test_assistants_are_kept_and_found(ledger):
    await ledger.put_assistants([an_assistant("a1"), an_assistant("a2", name="other")])
    assert await ledger.assistant("a2") == an_assistant("a2", name="other")
    found = await ledger.search_assistants(name="oth", limit=1, offset=0, sort_by="name", sort_order="asc")
    assert found == ([an_assistant("a2", name="other")], 1)


async def test_a_caller_that_leaves_does_not_stop_its_write(ledger):
    leaving = asyncio.create_task(ledger.create_thread(a_thread("left"), existing_ok=False))
    await anyio.lowlevel.checkpoint()
    leaving.cancel()
    await ledger.create_thread(a_thread("stayed"), existing_ok=False)
    assert leaving.cancelled()
    assert await ledger.thread("left") == a_thread("left")


async def test_closing_commits_what_is_waiting_and_refuses_the_rest(ledger, path):
    creations = [asyncio.create_task(ledger.create_thread(a_thread(f"t{n}"), existing_ok=True)) for n in range(300)]
    await anyio.lowlevel.checkpoint()
    await ledger.close()
    await asyncio.gather(*creations)
    with pytest.raises(UnavailableError):
        await ledger.create_thread(a_thread(), existing_ok=True)
    with pytest.raises(UnavailableError):
        await ledger.thread("t1")
    with duckdb.connect(path) as db:
        assert db.execute("SELECT count(*) FROM threads").fetchone() == (300,)


async def test_opening_twice_is_opening_once(ledger, path):
    await asyncio.gather(ledger.open(), ledger.open())
    assert await ledger.create_thread(a_thread(), existing_ok=False) == a_thread()


async def test_a_full_disk_refuses_writes_and_the_ledger_lives_on(ledger, path):
    await ledger.create_thread(a_thread("before"), existing_ok=False)
    assert await ledger.thread("before") == a_thread("before")  # the database has made it
    with full_disk():
        creations = [ledger.create_thread(a_thread(f"refused {n}"), existing_ok=False) for n in range(2)]
        bindings = [ledger.bind("before", must_exist=True)]
        outcomes = await asyncio.gather(*creations, *bindings, return_exceptions=True)
        assert await ledger.thread("before") == a_thread("before")
    assert kinds(outcomes) == [NotKeptError] * 3
    assert await ledger.create_thread(a_thread("refused 0"), existing_ok=False) == a_thread("refused 0")
    assert (await ledger.bind("before", must_exist=True)).epoch == 1


async def test_what_was_answered_before_the_disk_was_full_can_be_read_and_is_not_lost(ledger):
    await ledger.create_thread(a_thread("before"), existing_ok=False)
    with full_disk():
        assert await ledger.thread("before") == a_thread("before")
    assert await ledger.thread("before") == a_thread("before")


@contextmanager
def full_disk():
    """No file may grow beyond a byte; what has been written can be read."""
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, unlimited[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)


async def test_what_was_answered_survives_a_sigkill(path):
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-c", DIES_AFTER_AN_ANSWER, path]
    died = await anyio.run_process(command, check=False, env=env)
    assert died.returncode == -signal.SIGKILL
    ledger = Ledger(path)
    await ledger.open()
    binding = await ledger.bind("t1", must_exist=True)
    for run in binding.unfinished:
        assert (await ledger.thread("t1")).status == ThreadStatus.BUSY
        await ledger.settle(a_settlement(run, epoch=binding.epoch))
    assert (await ledger.thread("t1")).status == ThreadStatus.IDLE  # so none of them was counted twice
    await ledger.close()
    assert [run.run_id for run in binding.unfinished] == died.stdout.decode().split()


async def admitted(ledger, **given):
    """A run of a thread of its own, with a webhook."""
    given = {"request": RunRequest(webhook="https://a.org"), **given}
    thread_id = str(uuid4())
    await ledger.bind(thread_id, must_exist=False)
    admission = an_admission(thread_id, **given)
    await ledger.admit(admission)
    return admission.run


def ended(run):
    return replace(a_settlement(run), run=replace(run, status=RunStatus.SUCCESS, ended_at=NOON))


def key(run):
    return run.thread_id, run.run_id


async def test_webhooks_are_owed_from_the_end_of_their_run_until_they_are_told(ledger):
    early, late, silent = await admitted(ledger), await admitted(ledger), await admitted(ledger, request=RunRequest())
    await ledger.settle(ended(early))
    async with aclosing(ledger.owed_webhooks()) as told:
        assert await anext(told) == [key(early)]
        await ledger.settle(ended(silent))
        await ledger.settle(ended(late))
        assert await anext(told) == [key(late)]  # and `early` not again
    await ledger.told(Told(*key(early), NOON))
    async with aclosing(ledger.owed_webhooks()) as told:
        assert await anext(told) == [key(late)]


async def test_each_webhook_has_one_reader_and_another_when_that_one_has_gone(ledger):
    run = await admitted(ledger)
    await ledger.settle(ended(run))
    async with aclosing(ledger.owed_webhooks()) as first, aclosing(ledger.owed_webhooks()) as second:
        assert await anext(first) == [key(run)]
        waiting = asyncio.ensure_future(anext(second))
        more = await admitted(ledger)
        await ledger.settle(ended(more))
        assert await waiting == [key(more)]
        waiting = asyncio.ensure_future(anext(second))
        await first.aclose()
        assert await waiting == [key(run)]


async def test_a_webhook_that_its_reader_does_not_get_to_is_anothers(ledger, monkeypatch):
    monkeypatch.setattr(owing, "CALLED_WITHIN", 0.01)
    run = await admitted(ledger)
    await ledger.settle(ended(run))
    async with aclosing(ledger.owed_webhooks()) as stopped, aclosing(ledger.owed_webhooks()) as other:
        assert await anext(stopped) == [key(run)]
        assert await anext(other) == [key(run)]


def kept_for_others(db):
    """Bytes of what was changed, as those still see it who began to read before."""
    return sum(size for (size,) in db.execute(OLD_VERSIONS).fetchall())


OLD_VERSIONS = "SELECT memory_usage_bytes FROM duckdb_memory() WHERE tag = 'TRANSACTION'"


async def test_who_has_read_keeps_nothing_from_being_cleaned_up(ledger):
    """A result that is not read to its end would: its connection rests in the middle of a transaction."""
    run = a_run()
    await ledger.put_assistants([an_assistant()])
    binding = await ledger.bind("t1", must_exist=False)
    await ledger.admit(Admission(run=run, epoch=binding.epoch, new_thread=a_thread()))
    cursor = Cursor(limit=1)
    for _ in range(READERS):
        await ledger.assistant("a1")
        await ledger.thread("t1")
        await ledger.run_messages("t1", run.run_id, cursor)
        await ledger.feedback("t1", run.run_id, None)
        await ledger.feedback_stats("t1", run.run_id)
        await ledger.run_of_key("t1", "none")
        await ledger.run("t1", run.run_id)
    for number in range(50):
        await ledger.patch_thread(Patch("t1", {"long": f"{number}" * 20_000}, NOON))
        await asyncio.to_thread(ledger._database._backlog.catch_up)
    assert await ledger._database.read(kept_for_others) < 100_000
