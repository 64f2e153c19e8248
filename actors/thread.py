"""One thread, awake: carries out what its lane decides. Plain asyncio; knows no Ray.

It has no opinions: which run goes next is `actors.lane`, how a graph runs is `actors.executor`. It holds
what is alive (the tape, the runs in hand) and keeps the order: commit first, then tell.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from actors.errors import ROLLBACK_FAILED, InFlightError, NotHereError, ThreadBusyError
from actors.lane import Cancelled, Drop, Due, Effect, Lane, Settled, Start, Stop, Submitted, advance, recovered
from actors.liverun import (
    MOST_ATTEMPTS,
    ROLLED_BACK,
    Ending,
    LiveRun,
    begun,
    end_data,
    outlive,
    seconds_until_due,
    standing_after,
    timed_out,
    was_cancelled,
)
from actors.logbook import Logbook, closing, opening
from actors.merging import merged, stored_thread
from actors.outcomes import Leaving, Position, Say
from actors.ports import ExecutorPort, LedgerPort, ScribePort, Work
from actors.project import RunLimits
from actors.runtime import StateUpdate, Submission
from actors.voice import Voice
from storage.accounting import LogEnd
from storage.errors import SenselessError, ServiceError, ThreadNotFoundError
from storage.records import (
    END,
    METADATA,
    Admission,
    Binding,
    CancelAction,
    Failure,
    Part,
    Run,
    RunStatus,
    Settlement,
    Stand,
    Standing,
    Thread,
    ThreadStatus,
    Wish,
)

T = TypeVar("T")

TOLD_EVERY = 1.0
"""Seconds between two writes of what happens in a run: a process that dies takes no more than that with it."""

logger = logging.getLogger(__name__)


class Surroundings(Struct, frozen=True):
    """What the process around a thread gives it."""

    scribe: ScribePort
    held: bool
    """Whether the thread waits for a slot."""
    limits: RunLimits
    on_quiet: Callable[[], None]
    """Called whenever no run is in hand."""
    on_lost: Callable[[], None]
    """Called when this process can no longer be trusted with the thread, and should end."""


class ThreadActor:
    """A thread in this process's hands. One that is held takes runs in, and starts none."""

    def __init__(self, binding: Binding, ledger: LedgerPort, executor: ExecutorPort, around: Surroundings) -> None:
        self.thread_id = binding.thread_id
        self.epoch = binding.epoch
        self.voice = Voice(binding, ledger, around.scribe)
        self._log = Logbook(binding.thread_id, binding.epoch, binding.log)
        self._around = around
        self._ledger = ledger
        self._executor = executor
        self._thread = binding.thread
        self._mailbox = asyncio.Lock()  # first come, first served: the order of admission
        self._gate = asyncio.Lock()  # the lane does not change while what it decides is being committed
        self._after_cancel = was_cancelled(binding.thread)
        self._closed = False
        self._quiet = asyncio.Event()  # set whenever no run is in hand
        self._tasks: set[asyncio.Task[Any]] = set()
        self._live = {run.run_id: LiveRun(run, recovered=run.status is RunStatus.RUNNING) for run in binding.unfinished}
        begun = next((run.run_id for run in binding.unfinished if run.status is RunStatus.RUNNING), None)
        early = frozenset(run.run_id for run in binding.unfinished if seconds_until_due(run))
        lane = Lane(delayed=early, held=around.held, longest=around.limits.waiting)
        self._lane, effects = recovered(self._live, begun, lane)
        self._carry_out(effects)
        self._watch_delays(early)

    # What may be asked of a thread

    async def submit(self, submission: Submission) -> Run:
        """Return once the run is committed. Not undone by a caller who gives up."""
        return await asyncio.shield(self._hold(self._submit(submission), "submit"))

    async def cancel(self, run_id: str, action: CancelAction, reason: str) -> None:
        """Return once the wish is kept, so that the run ends whatever happens. The first wish stays."""
        live = self._in_hand(run_id)
        if live.wished is None:
            live.wished = self._hold(self._wish(live, action, reason), f"cancel {run_id}")
        await asyncio.shield(live.wished)

    async def ended(self, run_id: str) -> Run:
        """The run with its final status, once that is committed. NotHereError if it is not in hand, or moves away."""
        return await asyncio.shield(self._in_hand(run_id).settled)

    async def update_state(self, change: StateUpdate) -> bytes:
        """Change the state between two runs; where its new checkpoint is, in JSON."""
        return await asyncio.shield(self._hold(self._update(change), "update"))

    async def refresh(self) -> None:
        """Somebody else has changed the thread's row: look at it again before the next run."""
        self._thread = None

    async def delete(self) -> None:
        """Cancel what is in hand, then remove the thread, its runs and its checkpoints."""
        async with self._mailbox:
            self._check_here()
            for run_id in reversed(list(self._live)):  # those that wait first, so that none of them starts
                if run_id in self._live:
                    await self.cancel(run_id, CancelAction.INTERRUPT, "the thread was deleted")
            if self._live:
                await self._quiet.wait()
            await self._executor.forget(self.thread_id)
            await self.voice.forget()
            await self._ledger.delete_thread(self.thread_id, self.epoch)
            self._thread = None
            self._log = Logbook(self.thread_id, self.epoch, LogEnd())
            self.voice.tape.clear()

    async def delete_run(self, run: Run) -> None:
        """Remove a run and the checkpoints that it wrote; one that is in hand is cancelled first."""
        async with self._mailbox:
            self._check_here()
            if live := self._live.get(run.run_id):
                await self.cancel(run.run_id, CancelAction.INTERRUPT, "the run was deleted")
                run = await asyncio.shield(live.settled)
            if self._lane.active is not None:
                raise InFlightError(f"Thread {self.thread_id} has in-flight runs: {', '.join(self._live)}")
            await self._executor.roll_back(run)
            await self._stand(await self._executor.position(self.thread_id, run.graph_id))
            await self._ledger.forget_run(run, self.epoch)

    async def close(self) -> Leaving:
        """Leave this process if nothing is executed. Runs that wait stay in the ledger."""
        async with self._mailbox, self._gate:
            if self._lane.active is not None:
                return Leaving(left=False)
            self._leave()
            return Leaving(left=True, due_at=None if self._lane.next else self._first_due())

    @property
    def is_idle(self) -> bool:
        """Whether nothing is to be done now: runs that are not due yet need no process meanwhile."""
        return self._lane.active is None and self._lane.next is None

    # Taking a run in

    async def _submit(self, submission: Submission) -> Run:
        async with self._mailbox:
            self._check_here()
            if known := await self._known_run(submission.run):
                return known
            thread = await self._known_thread() or submission.new_thread
            if thread is None:
                raise ThreadNotFoundError(self.thread_id)
            run = merged(submission.run, submission.assistant, thread, is_new=self._thread is None)
            if run.request.checkpoint:
                await self._executor.check(run)
            async with self._gate:
                return await self._admit(run, submission, thread)

    async def _known_run(self, asked: Run) -> Run | None:
        """The run, if it was asked for before: the answer was lost, or its client says that it asks again."""
        if live := self._live.get(asked.run_id):
            return live.run
        if (key := asked.idempotency_key) is None:
            return None
        named = (live.run for live in self._live.values() if live.run.idempotency_key == key)
        return next(named, None) or await self._ledger.run_of_key(self.thread_id, key)

    async def _admit(self, run: Run, submission: Submission, thread: Thread) -> Run:
        """Commit the run together with the fate of those it displaces, and only then touch them."""
        lane, effects = self._decided(run)
        run = begun(run) if Start(run.run_id) in effects else run
        reason = f"superseded by run {run.run_id} (multitask_strategy={run.multitask_strategy})"
        dropped = {effect.run_id: self._dropped(effect, reason) for effect in effects if isinstance(effect, Drop)}
        ends = [self._settlement(ended) for ended, _ in dropped.values()]
        wish = next((self._wish_for(effect, reason) for effect in effects if isinstance(effect, Stop)), None)
        admission = Admission(
            run=run,
            epoch=self.epoch,
            new_thread=None if self._thread else submission.new_thread,
            again=submission.again,
            dropped=tuple(ends),
            wish=wish,
        )
        await self._ledger.admit(admission)
        self._kept(ends)
        self._thread = stored_thread(thread, run)
        self._live[run.run_id] = LiveRun(run)
        self.voice.tape.open_run(run.run_id)
        for run_id, ending in dropped.items():
            self._live[run_id].dropped = ending
        if wish:
            self._live[wish.run_id].want(wish.action, wish.reason)
        self._enter(lane, effects)
        self._watch_delays(lane.delayed & {run.run_id})
        return run

    def _decided(self, run: Run) -> tuple[Lane, list[Effect]]:
        """What the lane says to a new run. Raises if it may not come in."""
        event = Submitted(run.run_id, run.multitask_strategy, delayed=seconds_until_due(run) > 0)
        try:
            return advance(self._lane, event)
        except ThreadBusyError:
            raise ThreadBusyError(self.thread_id) from None

    def _dropped(self, effect: Drop, reason: str) -> tuple[Run, Part]:
        """How a run ends that never started, and its last part."""
        ending = ROLLED_BACK if effect.rollback else Ending(RunStatus.INTERRUPTED)
        end = self.voice.tape.number(effect.run_id, END, end_data(effect.run_id, ending))
        return self._live[effect.run_id].wanted(_action(effect), reason).final(ending, None, end), end

    def _wish_for(self, effect: Stop, reason: str) -> Wish:
        return Wish(
            thread_id=self.thread_id, run_id=effect.run_id, epoch=self.epoch, action=_action(effect), reason=reason
        )

    async def _wish(self, live: LiveRun, action: CancelAction, reason: str) -> None:
        async with self._gate:
            run_id = live.run.run_id
            if live.is_over or live.dropped or live.run.cancel_action is not None:
                return
            lane, effects = advance(self._lane, Cancelled(run_id, action is CancelAction.ROLLBACK))
            for effect in effects:
                if isinstance(effect, Drop):
                    ended, end = self._dropped(effect, reason)
                    await self._settle_in_ledger(self._settlement(ended))
                    live.dropped = (ended, end)
                elif isinstance(effect, Stop):
                    await self._ledger.wish(self._wish_for(effect, reason))
                    live.want(action, reason)
            self._enter(lane, effects)

    async def _update(self, change: StateUpdate) -> bytes:
        async with self._mailbox:
            self._check_here()
            if self._live:
                raise InFlightError(f"Thread {self.thread_id} has in-flight runs: {', '.join(self._live)}")
            thread = await self._known_thread()
            if thread is None:
                raise ThreadNotFoundError(self.thread_id)
            if (graph_id := thread.metadata.get("graph_id")) is None:
                raise SenselessError(f"Thread {self.thread_id} has no graph: no run has been made on it yet")
            answer, position = await self._executor.update(change, graph_id)
            await self._stand(position)
            return answer

    async def _stand(self, position: Position) -> None:
        """Note where the thread stands after a change that no run has made."""
        status = ThreadStatus.INTERRUPTED if position.has_next else ThreadStatus.IDLE
        standing = Standing(status=status, interrupts=position.interrupts)
        at = datetime.now(UTC)
        await self._ledger.stand(Stand(thread_id=self.thread_id, epoch=self.epoch, at=at, standing=standing))

    async def _known_thread(self) -> Thread | None:
        """The thread as it is stored; it may have been created since we were bound."""
        if self._thread is None:
            self._thread = await self._ledger.find_thread(self.thread_id)
        return self._thread

    # Carrying out what the lane decides

    def _enter(self, lane: Lane, effects: list[Effect]) -> None:
        """Move to `lane`. Never awaits, so no other call can slip in between."""
        self._lane = lane
        self._carry_out(effects)
        if self._live:
            self._quiet.clear()
        else:
            self._quiet.set()
        if self.is_idle:
            self._around.on_quiet()

    def _carry_out(self, effects: list[Effect]) -> None:
        for effect in effects:
            live = self._live[effect.run_id]
            match effect:
                case Start():
                    self._hold(self._see_through(live), f"run {live.run.run_id}")
                case Stop():
                    live.stop.set()
                case Drop():
                    assert live.dropped, "what is dropped was committed before"
                    self._tell_end(live, *live.dropped)

    async def _see_through(self, live: LiveRun) -> None:
        """Outlive the work, so that stopping it can never leave the thread stuck."""
        if live.stop.is_set():  # cancelled before its first step, or before its process died
            await self._end_as_wanted(live)
        elif live.is_worn_out:
            message = f"Run {live.run.run_id} exceeded max attempts ({MOST_ATTEMPTS})"
            await self._settle_safely(live, Ending(RunStatus.ERROR, Failure("RuntimeError", message)))
        else:
            await self._execute(live)

    async def _execute(self, live: LiveRun) -> None:
        if not live.is_begun:
            live.run = begun(live.run)
            self._hold(self._record_start(live.run), f"begin {live.run.run_id}")
        self._say_metadata(live)
        self._log.note(opening(live.run))
        limits = self._around.limits
        work = self._executor.start(
            live.run, self._sayer(live), after_cancel=self._after_cancel, human_id=self._log.end.human_id
        )
        telling = self._hold(self._tell_of(work), f"tell of {live.run.run_id}")
        status, outcome = await outlive(work, live.stop, limits.grace, limits.timeout)
        work.close()
        telling.cancel()
        self._log.add(work.told())
        if status is RunStatus.INTERRUPTED and live.is_rollback:
            await self._undo(live, work)
            return
        failure = timed_out(limits.timeout) if status is RunStatus.TIMEOUT else outcome and outcome.failure
        await self._settle_safely(
            live, Ending(status, failure), outcome and outcome.position, outcome and outcome.outputs
        )
        if not work.has_ended:
            self._around.on_lost()  # what cannot be cancelled ends with its process

    async def _undo(self, live: LiveRun, work: Work) -> None:
        if work.has_ended:
            await self._end_as_wanted(live)
            return
        live.is_over = True
        with suppress(ServiceError):  # another actor may hold the thread by now
            await self._tell()
        live.settled.set_exception(NotHereError())
        self._around.on_lost()  # it writes on as long as its process lives: it is undone where the thread comes back

    async def _end_as_wanted(self, live: LiveRun) -> None:
        """End a run that does nothing any more; undo what it did, if that is wanted."""
        if not live.is_rollback:
            await self._settle_safely(live, Ending(RunStatus.INTERRUPTED))
            return
        try:
            await self._executor.roll_back(live.run)
        except Exception as error:  # whatever kept the state from being restored, its users are told
            logger.exception("Run %s could not be rolled back", live.run.run_id)
            failure = Failure(ROLLBACK_FAILED, f"Rollback failed: {error}")
            await self._settle_safely(live, Ending(RunStatus.ERROR, failure))
        else:
            await self._settle_safely(live, ROLLED_BACK)

    async def _settle_safely(
        self, live: LiveRun, ending: Ending, position: Position | None = None, outputs: str | None = None
    ) -> None:
        try:
            if position is None and not ending.rolled_back:
                position = await self._look(live)
            await self._settle(live, ending, position, outputs)
        except Exception:
            # Nobody awaits this task, so this is the last place to say it; the directory brings the thread back.
            logger.exception("Run %s could not be settled; this process lets go of its thread", live.run.run_id)
            live.settled.set_exception(NotHereError())
            self._around.on_lost()

    async def _settle(self, live: LiveRun, ending: Ending, position: Position | None, outputs: str | None) -> None:
        run_id = live.run.run_id
        live.is_over = True
        await self.voice.kept(run_id)
        end = self.voice.tape.number(run_id, END, end_data(run_id, ending))
        run = live.final(ending, position, end)
        standing = standing_after(run, position) if position else None
        await self._settle_in_ledger(self._settlement(run, standing, outputs))
        if standing:
            self._after_cancel = run.status is RunStatus.INTERRUPTED
        async with self._gate:
            self._tell_end(live, run, end)
            self._enter(*advance(self._lane, Settled(run_id)))

    def _settlement(self, run: Run, standing: Standing | None = None, outputs: str | None = None) -> Settlement:
        """The end of a run, with all that has happened before it."""
        self._log.note(closing(run, outputs))
        return Settlement(run=run, epoch=self.epoch, standing=standing, recording=self._log.recording())

    async def _settle_in_ledger(self, settlement: Settlement) -> None:
        await self._ledger.settle(settlement)
        self._kept([settlement])

    def _kept(self, ends: Iterable[Settlement]) -> None:
        for end in ends:
            if end.recording:
                self._log.kept(end.recording)

    async def _tell_of(self, work: Work) -> None:
        """Have the ledger know, while a run goes on, what has happened in it."""
        while True:
            await asyncio.sleep(TOLD_EVERY)
            self._log.add(work.told())
            with suppress(ServiceError):  # tried again with what comes next
                await self._tell()

    async def _tell(self) -> None:
        if recording := self._log.recording():
            await self._ledger.record(recording)
            self._log.kept(recording)

    def _tell_end(self, live: LiveRun, run: Run, end: Part) -> None:
        """Tell it once it is committed: the status is readable before the stream ends."""
        self.voice.end(end)
        del self._live[run.run_id]
        live.settled.set_result(run)

    async def _look(self, live: LiveRun) -> Position | None:
        """Where the checkpoints are after a run that cannot say it; None after one that never started."""
        if live.run.attempt == 0:
            return None
        return await self._executor.position(self.thread_id, live.run.graph_id)

    async def _record_start(self, run: Run) -> None:
        await self._ledger.begin(run, self.epoch)

    # Waiting for what is not due yet

    def _watch_delays(self, run_ids: Iterable[str]) -> None:
        for run_id in run_ids:
            seconds = seconds_until_due(self._live[run_id].run)
            asyncio.get_running_loop().call_later(seconds, self._be_due, run_id)

    def _be_due(self, run_id: str) -> None:
        if not self._closed and run_id in self._live:
            self._hold(self._join_the_line(run_id), f"due {run_id}")

    async def _join_the_line(self, run_id: str) -> None:
        async with self._gate:
            live = self._live.get(run_id)
            if live is None or self._closed:
                return
            if seconds_until_due(live.run):  # the clock was set back meanwhile
                self._watch_delays([run_id])
            else:
                self._enter(*advance(self._lane, Due(run_id)))

    def _first_due(self) -> datetime | None:
        return min((live.run.due_at for live in self._live.values() if live.run.due_at), default=None)

    # Saying

    def _say_metadata(self, live: LiveRun) -> None:
        run = live.run
        data = {"run_id": run.run_id, "thread_id": run.thread_id, "attempt": run.attempt}
        part = self.voice.say(run.run_id, METADATA, msgspec.json.encode(data))
        live.first_seq = live.first_seq or part.seq

    def _sayer(self, live: LiveRun) -> Say:
        def say(event: str, data: bytes) -> None:
            if not live.is_over:  # what would not be cancelled talks on, and nobody listens
                self.voice.say(live.run.run_id, event, data)

        return say

    # Coming and going

    def _in_hand(self, run_id: str) -> LiveRun:
        self._check_here()
        if (live := self._live.get(run_id)) is None:
            raise NotHereError
        return live

    def _check_here(self) -> None:
        if self._closed:
            raise NotHereError

    def _leave(self) -> None:
        self._closed = True
        self.voice.tape.close()
        for live in self._live.values():
            live.settled.set_exception(NotHereError())

    def _hold(self, work: Coroutine[Any, Any, T], name: str) -> "asyncio.Task[T]":
        """A task that is kept until it is done: the loop itself keeps only weak references."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._let_go)
        return task

    def _let_go(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) and not isinstance(error, ServiceError):
            logger.error("%s failed on thread %s", task.get_name(), self.thread_id, exc_info=error)


def _action(effect: Stop | Drop) -> CancelAction:
    return CancelAction.ROLLBACK if effect.rollback else CancelAction.INTERRUPT
