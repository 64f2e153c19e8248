"""One thread, awake: carries out what its lane decides. Plain asyncio; knows no Ray.

It has no opinions: which run goes next is `actors.lane`, how a graph runs is `actors.executor`. It holds
what is alive (the tape, the runs in hand) and keeps the order: commit first, then tell.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from actors.errors import InFlightError, NotHereError, ThreadBusyError
from actors.lane import Cancelled, Drop, Effect, Event, Lane, Settled, Start, Stop, Submitted, advance, recovered
from actors.liverun import MOST_ATTEMPTS, LiveRun, begun, end_data, outlive, standing_after
from actors.merging import merged, stored_thread
from actors.outcomes import Position, Say
from actors.ports import ExecutorPort, LedgerPort, ScribePort
from actors.runtime import Batch, StateUpdate, Submission
from actors.tape import Tape
from storage.errors import SenselessError, ServiceError, ThreadNotFoundError, UnsupportedError
from storage.records import (
    END,
    METADATA,
    Admission,
    Binding,
    Failure,
    Gap,
    Part,
    Run,
    RunStatus,
    Settlement,
    Stand,
    Standing,
    Thread,
    ThreadStatus,
)

T = TypeVar("T")

logger = logging.getLogger(__name__)

NUMBERS_AHEAD = 5_000
"""When fewer numbers than this are reserved for the tape, more are asked for."""

NUMBERS_MORE = 10_000


class Surroundings(Struct, frozen=True):
    """What the process around a thread gives it."""

    scribe: ScribePort
    held: bool
    """Whether the thread waits for a slot."""
    grace: float
    """Seconds a cancelled run has to stop by itself, before its process is ended."""
    on_quiet: Callable[[], None]
    """Called whenever no run is in hand."""
    on_lost: Callable[[], None]
    """Called when this process can no longer be trusted with the thread, and should end."""


class ThreadActor:
    """A thread in this process's hands. One that is held takes runs in, and starts none."""

    def __init__(self, binding: Binding, ledger: LedgerPort, executor: ExecutorPort, around: Surroundings) -> None:
        self.thread_id = binding.thread_id
        self.epoch = binding.epoch
        self.tape = Tape(binding.next_seq, binding.reserved)
        self._around = around
        self._ledger = ledger
        self._executor = executor
        self._thread = binding.thread
        self._mailbox = asyncio.Lock()  # first come, first served: the order of admission
        self._closed = False
        self._reserving = False
        self._quiet = asyncio.Event()  # set whenever no run is in hand
        self._tasks: set[asyncio.Task[Any]] = set()
        self._live = {run.run_id: LiveRun(run, recovered=run.status is RunStatus.RUNNING) for run in binding.unfinished}
        for run in binding.unfinished:
            self.tape.open_run(run.run_id, lost=binding.next_seq - 1 if run.first_seq else 0)
        self._lane, effects = recovered(self._live, held=around.held)
        self._carry_out(effects)

    # What may be asked of a thread

    async def submit(self, submission: Submission) -> Run:
        """Return once the run is committed. Not undone by a caller who gives up."""
        return await asyncio.shield(self._hold(self._submit(submission), "submit"))

    async def cancel(self, run_id: str, reason: str) -> None:
        live = self._in_hand(run_id)
        live.cancel_reason = live.cancel_reason or reason
        self._enter(*advance(self._lane, Cancelled(run_id)))

    async def ended(self, run_id: str) -> Run:
        """The run with its final status, once that is committed. NotHereError if it is not in hand, or moves away."""
        return await asyncio.shield(self._in_hand(run_id).settled)

    async def follow(self, run_id: str, after: int) -> AsyncGenerator[Batch, None]:
        """The run's parts above `after`; ends without the run's end when the thread leaves this process."""
        if not self.tape.holds(run_id):
            raise NotHereError
        async with aclosing(self.tape.follow(run_id, after)) as batches:
            async for batch in batches:
                if isinstance(batch, Gap):
                    async for kept in self._recalled(run_id, batch):
                        yield kept
                else:
                    yield batch

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
            for run_id in reversed(self._live):  # those that wait first, so that none of them starts
                await self.cancel(run_id, "the thread was deleted")
            if self._live:
                await self._quiet.wait()
            await self._executor.forget(self.thread_id)
            await self._around.scribe.forget(self.thread_id)
            await self._ledger.delete_thread(self.thread_id, self.epoch)
            self._thread = None
            self.tape.clear()

    async def close(self) -> bool:
        """Leave this process if nothing is executed; whether it left. Runs that wait stay in the ledger."""
        async with self._mailbox:
            if self._lane.active is not None:
                return False
            if dropped := [live.settled for run_id, live in self._live.items() if run_id not in self._lane.waiting]:
                await asyncio.wait(dropped)
            if self._lane.active is not None:
                return False
            self._leave()
            return True

    @property
    def is_idle(self) -> bool:
        """Whether no run is in hand."""
        return not self._live

    # Taking a run in

    async def _submit(self, submission: Submission) -> Run:
        async with self._mailbox:
            self._check_here()
            if known := self._live.get(submission.run.run_id):  # asked twice: the answer to the first was lost
                return known.run
            thread = await self._known_thread() or submission.new_thread
            if thread is None:
                raise ThreadNotFoundError(self.thread_id)
            run = merged(submission.run, submission.assistant, thread)
            event = Submitted(run.run_id, run.multitask_strategy)
            run = await self._admissible(run, event)
            new_thread = None if self._thread else submission.new_thread
            await self._ledger.admit(Admission(run=run, epoch=self.epoch, new_thread=new_thread))
            self._thread = stored_thread(thread, run)
            self._live[run.run_id] = LiveRun(run)
            self.tape.open_run(run.run_id)
            self._enter(*advance(self._lane, event))
            return run

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
            status = ThreadStatus.INTERRUPTED if position.has_next else ThreadStatus.IDLE
            standing = Standing(status=status, interrupts=position.interrupts)
            at = datetime.now(UTC)
            await self._ledger.stand(Stand(thread_id=self.thread_id, epoch=self.epoch, at=at, standing=standing))
            return answer

    async def _known_thread(self) -> Thread | None:
        """The thread as it is stored; it may have been created since we were bound."""
        if self._thread is None:
            self._thread = await self._ledger.find_thread(self.thread_id)
        return self._thread

    async def _admissible(self, run: Run, event: Event) -> Run:
        """The run as it will be admitted: as begun, if it starts at once. Raises if it may not come in."""
        try:
            _, effects = advance(self._lane, event)
        except ThreadBusyError:
            raise ThreadBusyError(self.thread_id) from None
        if any(isinstance(effect, Stop | Drop) for effect in effects):
            raise UnsupportedError(
                f"multitask_strategy '{run.multitask_strategy}' cannot displace runs yet; "
                "use 'enqueue' or 'reject', or cancel the runs in flight first"
            )
        if run.request.checkpoint:
            await self._executor.check(run)
        return begun(run) if effects else run

    # Carrying out what the lane decides

    def _enter(self, lane: Lane, effects: list[Effect]) -> None:
        """Move to `lane`. Never awaits, so no other call can slip in between."""
        self._lane = lane
        self._carry_out(effects)
        if self._live:
            self._quiet.clear()
        else:
            self._quiet.set()
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
                    self._hold(self._settle_safely(live, RunStatus.INTERRUPTED), f"drop {live.run.run_id}")

    async def _see_through(self, live: LiveRun) -> None:
        """Outlive the work, so that stopping it can never leave the thread stuck."""
        if live.is_worn_out:
            message = f"Run {live.run.run_id} exceeded max attempts ({MOST_ATTEMPTS})"
            await self._settle_safely(live, RunStatus.ERROR, failure=Failure("RuntimeError", message))
        elif live.stop.is_set():  # cancelled before its first step
            await self._settle_safely(live, RunStatus.INTERRUPTED)
        else:
            await self._execute(live)

    async def _execute(self, live: LiveRun) -> None:
        if not live.is_begun:
            live.run = begun(live.run)
            self._hold(self._record_start(live.run), f"begin {live.run.run_id}")
        self._say_metadata(live)
        work = self._executor.start(live.run, self._sayer(live))
        status, outcome = await outlive(work, live.stop, self._around.grace)
        if outcome is None:
            await self._settle_safely(live, status)
        else:
            await self._settle_safely(live, status, outcome.position, outcome.failure)
        if status is RunStatus.INTERRUPTED and outcome is None and not work.has_ended:
            self._around.on_lost()  # what cannot be cancelled ends with its process

    async def _settle_safely(
        self, live: LiveRun, status: RunStatus, position: Position | None = None, failure: Failure | None = None
    ) -> None:
        try:
            await self._settle(live, status, position or await self._look(live), failure)
        except Exception:
            # Nobody awaits this task, so this is the last place to say it; the directory brings the thread back.
            logger.exception("Run %s could not be settled; this process lets go of its thread", live.run.run_id)
            live.settled.set_exception(NotHereError())
            self._around.on_lost()

    async def _settle(
        self, live: LiveRun, status: RunStatus, position: Position | None, failure: Failure | None
    ) -> None:
        run_id = live.run.run_id
        live.is_over = True
        await self._around.scribe.flush(run_id)
        end = self.tape.number(run_id, END, end_data(run_id, status, failure))
        run = live.final(status, failure, position, end)
        standing = standing_after(run, position) if position else None
        await self._ledger.settle(Settlement(run=run, epoch=self.epoch, standing=standing))
        self._around.scribe.close_run(run_id)
        self.tape.publish(end)  # the status is readable before the stream ends
        del self._live[run_id]
        live.settled.set_result(run)
        self._enter(*advance(self._lane, Settled(run_id)))

    async def _look(self, live: LiveRun) -> Position | None:
        """Where the checkpoints are after a run that cannot say it; None after one that never started."""
        if live.run.attempt == 0:
            return None
        return await self._executor.position(self.thread_id, live.run.graph_id)

    async def _record_start(self, run: Run) -> None:
        await self._ledger.begin(run, self.epoch)

    # Saying

    def _say_metadata(self, live: LiveRun) -> None:
        run = live.run
        data = {"run_id": run.run_id, "thread_id": run.thread_id, "attempt": run.attempt}
        part = self._append(run.run_id, METADATA, msgspec.json.encode(data))
        live.first_seq = live.first_seq or part.seq

    def _sayer(self, live: LiveRun) -> Say:
        def say(event: str, data: bytes) -> None:
            if live.is_over:  # what would not be cancelled talks on, and nobody listens
                return
            self._append(live.run.run_id, event, data)
            if self.tape.reserved - self.tape.next_seq < NUMBERS_AHEAD and not self._reserving:
                self._reserving = True
                self._hold(self._reserve(), f"reserve for {self.thread_id}")

        return say

    def _append(self, run_id: str, event: str, data: bytes) -> Part:
        part = self.tape.append(run_id, event, data)
        self._around.scribe.take(self.thread_id, part)
        return part

    async def _recalled(self, run_id: str, gap: Gap) -> AsyncGenerator[Batch, None]:
        """What is no longer in memory, from the disk; a gap only for what is not there either."""
        found = False
        await self._around.scribe.flush(run_id)
        async with aclosing(self._around.scribe.read(self.thread_id, run_id, gap.after, gap.first)) as kept:
            async for batch in kept:
                found = True
                yield batch
        if gap.is_trimmed and not found:
            yield gap

    async def _reserve(self) -> None:
        try:
            self.tape.extend(await self._ledger.reserve(self.thread_id, self.epoch, NUMBERS_MORE))
        finally:
            self._reserving = False

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
        self.tape.close()
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
