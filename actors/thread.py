"""One thread, awake: carries out what its lane decides. Plain asyncio; knows no Ray.

It has no opinions: which run goes next is `actors.lane`, how a graph runs is `actors.executor`. It holds
what is alive (the tape, the runs in hand) and keeps the order: commit first, then tell.
"""

import asyncio
import logging
from collections.abc import Coroutine, Iterable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, TypeVar

from msgspec.structs import replace

from actors.attempts import Attempts, Surroundings
from actors.delays import seconds_to_look, seconds_until
from actors.errors import InFlightError, NotHereError, StoppingError, ThreadBusyError
from actors.lane import Cancelled, Drained, Drop, Due, Effect, Lane, Settled, Start, Stop, Submitted, advance, recovered
from actors.liverun import (
    PARKED_WITHIN,
    ROLLED_BACK,
    Ending,
    LiveRun,
    begun,
    end_data,
)
from actors.logbook import Logbook, closing
from actors.merging import merged, replaced_in, stored_thread
from actors.outcomes import Leaving, Position
from actors.ports import ExecutorPort, LedgerPort
from actors.runtime import StateUpdate, Submission
from actors.voice import Voice
from storage.errors import (
    RunExistsError,
    SenselessError,
    ServiceError,
    StaleError,
    ThreadNotFoundError,
    UnavailableError,
)
from storage.records import (
    END,
    Admission,
    Binding,
    CancelAction,
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

KEPT_WITHIN = 1.0
"""Seconds for the disk to take what a run leaves behind that is parked."""

logger = logging.getLogger(__name__)


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
        self._attempts = Attempts(binding, ledger, executor, self.voice, self._log, self._gate, around)
        self._closed = False
        self._is_unsure = False  # whether a run may have been admitted of which this does not know
        self._is_draining = False
        self._quiet = asyncio.Event()  # set whenever no run is in hand
        self._tasks: set[asyncio.Task[Any]] = set()
        self._live = {run.run_id: LiveRun(run, recovered=run.status is RunStatus.RUNNING) for run in binding.unfinished}
        begun = next((run.run_id for run in binding.unfinished if run.has_begun), None)
        early = frozenset(run.run_id for run in binding.unfinished if seconds_until(run.due_at))
        lane = Lane(delayed=early, held=around.held, longest=around.limits.waiting)
        self._lane, effects = recovered(self._live, begun, lane)
        self._carry_out(effects)
        self._watch_delays(early)

    # What may be asked of a thread

    async def submit(self, submission: Submission) -> Run:
        """Return once the run is committed. Not undone by a caller who gives up."""
        return await asyncio.shield(self._hold(self._submit(submission), "submit"))

    async def cancel(self, run_id: str, action: CancelAction, reason: str) -> None:
        """Return once the wish is kept, so that the run ends whatever happens. The first wish stays.

        NotHereError if it comes too late: once the run has ended by itself.
        """
        live = self._in_hand(run_id)
        if live.wished is None or (live.wished.done() and live.wished.exception()):  # what was refused is tried again
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
                    with suppress(NotHereError):  # it has just ended by itself
                        await self.cancel(run_id, CancelAction.INTERRUPT, "the thread was deleted")
            if self._live:
                await self._quiet.wait()
            await self._executor.forget(self.thread_id, self.epoch)
            await self.voice.forget()
            await self._ledger.delete_thread(self.thread_id, self.epoch)
            self._thread = None
            self._log.clear()
            self.voice.tape.clear()

    async def delete_run(self, run: Run) -> None:
        """Remove a run and the checkpoints that it wrote; one that is in hand is cancelled first."""
        async with self._mailbox:
            self._check_here()
            if live := self._live.get(run.run_id):
                with suppress(NotHereError):  # it has just ended by itself
                    await self.cancel(run.run_id, CancelAction.INTERRUPT, "the run was deleted")
                run = await asyncio.shield(live.settled)
            if self._lane.active is not None:
                raise InFlightError(f"Thread {self.thread_id} has in-flight runs: {', '.join(self._live)}")
            await self._executor.roll_back(run, self.epoch)
            await self._stand(await self._executor.position(self.thread_id, run.graph_id))
            await self._ledger.forget_run(run, self.epoch)

    async def drain(self) -> bool:
        """Take no run in and start none any more; return when none is executed. Whether one was.

        It has the grace period to end by itself, and is then left to the next server.
        """
        self._is_draining = True
        async with self._gate:
            self._enter(*advance(self._lane, Drained()))
        live = self._live.get(self._lane.active or "")
        if live is None or live.turn is None:
            return False
        await asyncio.wait([live.turn], timeout=self._around.limits.grace)
        live.park.set()
        await asyncio.wait([live.turn], timeout=PARKED_WITHIN + KEPT_WITHIN)
        return True

    async def close(self) -> Leaving:
        """Leave this process if nothing is executed. Runs that wait stay in the ledger."""
        async with self._mailbox:
            if self._around.held and self._lane.active:  # nothing is executed: it is only being ended
                await asyncio.wait([self._live[self._lane.active].settled])
            async with self._gate:
                if self._lane.active is not None and not self._around.held:
                    return Leaving(left=False)
                is_unsure = self._is_unsure or self._lane.active is not None  # whose end may have been kept, or not
                unfinished = None if is_unsure else [live.run for live in self._live.values()]
                self._leave()
                due_at = None if self._lane.next else self._first_due()
                return Leaving(left=True, due_at=due_at, unfinished=unfinished)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is to be done now: runs that are not due yet need no process meanwhile."""
        return self._lane.active is None and self._lane.next is None

    # Taking a run in

    async def _submit(self, submission: Submission) -> Run:
        async with self._mailbox:
            self._check_here()
            if known := await self._known_run(submission):
                return known
            if self._is_draining:
                raise StoppingError
            thread = await self._known_thread() or submission.new_thread
            if thread is None:
                raise ThreadNotFoundError(self.thread_id)
            run = merged(submission.run, submission.assistant, thread, is_new=self._thread is None)
            if run.request.checkpoint or run.request.context:
                await self._executor.check(run)
            try:
                async with self._gate:
                    return await self._admit(run, submission, thread)
            except RunExistsError:
                if ended := await self._ledger.find_run(self.thread_id, run.run_id):
                    return ended
                raise

    async def _known_run(self, submission: Submission) -> Run | None:
        """The run, if it was asked for before: the answer was lost, or its client says that it asks again."""
        asked = submission.run
        if live := self._live.get(asked.run_id):
            return live.run
        if submission.again and (ended := await self._ledger.find_run(self.thread_id, asked.run_id)):
            return ended
        if (key := asked.idempotency_key) is None:
            return None
        named = (live.run for live in self._live.values() if live.run.idempotency_key == key)
        return next(named, None) or await self._ledger.run_of_key(self.thread_id, key)

    async def _admit(self, run: Run, submission: Submission, thread: Thread) -> Run:
        """Commit the run together with the fate of those it displaces, and only then touch them."""
        lane, effects = self._decided(run)
        run = begun(run) if Start(run.run_id) in effects else run
        run = replace(run, first_seq=self.voice.tape.next_seq)  # before it speaks: whatever ends this process
        reason = f"superseded by run {run.run_id} (multitask_strategy={run.multitask_strategy})"
        dropped = {effect.run_id: self._dropped(effect, reason) for effect in effects if isinstance(effect, Drop)}
        wish = next((self._wish_for(effect, reason) for effect in effects if isinstance(effect, Stop)), None)
        async with self._log.handing_in(*(closing(ended, None) for ended, _ in dropped.values())) as recording:
            admission = Admission(
                run=run,
                epoch=self.epoch,
                new_thread=None if self._thread else submission.new_thread,
                replaced=replaced_in(thread),
                again=submission.again,
                dropped=tuple(ended for ended, _ in dropped.values()),
                recording=recording if dropped else None,
                wish=wish,
            )
            try:
                await self._ledger.admit(admission)
            except UnavailableError:
                self._is_unsure = True
                raise
        self._thread = stored_thread(thread, run)
        self._live[run.run_id] = LiveRun(run)
        self.voice.tape.open_run(run.run_id)
        for run_id, ending in dropped.items():
            self._live[run_id].dropped = ending
        if wish and not self._live[wish.run_id].is_over:
            self._live[wish.run_id].want(wish.action, wish.reason)
        self._enter(lane, effects)
        self._watch_delays(lane.delayed & {run.run_id})
        return run

    def _decided(self, run: Run) -> tuple[Lane, list[Effect]]:
        """What the lane says to a new run. Raises if it may not come in."""
        event = Submitted(run.run_id, run.multitask_strategy, delayed=seconds_until(run.due_at) > 0)
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
            self._check_here()  # it may have left while this waited
            if live.dropped or live.run.cancel_action is not None:
                return
            if not live.is_over:
                await self._keep_wish(live, action, reason)
                return
        await asyncio.shield(live.settled)
        raise NotHereError

    async def _keep_wish(self, live: LiveRun, action: CancelAction, reason: str) -> None:
        lane, effects = advance(self._lane, Cancelled(live.run.run_id, action is CancelAction.ROLLBACK))
        for effect in effects:
            if isinstance(effect, Drop):
                ended, end = self._dropped(effect, reason)
                async with self._log.handing_in(closing(ended, None)) as recording:
                    await self._ledger.settle(Settlement(run=ended, epoch=self.epoch, recording=recording))
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
            answer, position = await self._executor.update(change, graph_id, self.epoch)
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
                    live.turn = self._hold(self._see_through(live), f"run {live.run.run_id}")
                case Stop():
                    live.stop.set()
                case Drop():
                    assert live.dropped, "what is dropped was committed before"
                    self._tell_end(live, *live.dropped)

    async def _see_through(self, live: LiveRun) -> None:
        if end := await self._attempts.see_through(live):
            async with self._gate:
                self._tell_end(live, live.run, end)
                self._enter(*advance(self._lane, Settled(live.run.run_id)))

    def _tell_end(self, live: LiveRun, run: Run, end: Part) -> None:
        """Tell it once it is committed: the status is readable before the stream ends."""
        if self._around.held and run.attempt:  # who reads it now has to have what it said elsewhere, and then its end
            self.voice.tape.leave(run.run_id)
        else:
            self.voice.end(end)
        if run.rolled_back or run.request.temporary:
            self._thread = None  # it speaks again with whom it spoke before, or has gone with this run
        del self._live[run.run_id]
        live.settled.set_result(run)

    # Waiting for what is not due yet

    def _watch_delays(self, run_ids: Iterable[str]) -> None:
        for run_id in run_ids:
            seconds = seconds_to_look(self._live[run_id].run.due_at)
            asyncio.get_running_loop().call_later(seconds, self._look_whether_due, run_id)

    def _look_whether_due(self, run_id: str) -> None:
        if self._closed or run_id not in self._live:
            return
        if seconds_until(self._live[run_id].run.due_at):
            self._watch_delays([run_id])
        else:
            self._hold(self._join_the_line(run_id), f"due {run_id}")

    async def _join_the_line(self, run_id: str) -> None:
        async with self._gate:
            if run_id in self._live and not self._closed:
                self._enter(*advance(self._lane, Due(run_id)))

    def _first_due(self) -> datetime | None:
        return min((live.run.due_at for live in self._live.values() if live.run.due_at), default=None)

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
            if not live.settled.done():
                live.settled.set_exception(NotHereError())

    def _hold(self, work: Coroutine[Any, Any, T], name: str) -> "asyncio.Task[T]":
        """A task that is kept until it is done: the loop itself keeps only weak references."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._let_go)
        return task

    def _let_go(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, StaleError):  # another actor holds the thread, so nobody should find it here
            self._around.on_lost()
        elif error and not isinstance(error, ServiceError):
            logger.error("%s failed on thread %s", task.get_name(), self.thread_id, exc_info=error)


def _action(effect: Stop | Drop) -> CancelAction:
    return CancelAction.ROLLBACK if effect.rollback else CancelAction.INTERRUPT
