"""What becomes of a run that has its turn: it is executed, outlived, undone if that is wanted, and settled."""

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from actors.errors import ROLLBACK_FAILED, NotHereError, StoppingError
from actors.liverun import (
    MOST_ATTEMPTS,
    ROLLED_BACK,
    Ending,
    LiveRun,
    begun,
    end_data,
    outlive,
    standing_after,
    timed_out,
    was_cancelled,
)
from actors.logbook import Logbook, closing, opening
from actors.outcomes import Position, Say
from actors.ports import ExecutorPort, Hold, LedgerPort, ScribePort, Work
from actors.project import RunLimits
from actors.voice import Voice
from storage.accounting import Event
from storage.errors import ServiceError, StaleError, UnavailableError
from storage.records import END, METADATA, Binding, Failure, Parking, Part, Run, RunStatus, Settlement, Standing

logger = logging.getLogger(__name__)

TOLD_EVERY = 1.0
"""Seconds between two writes of what happens in a run: a process that dies takes no more than that with it."""


AGAIN_AFTER = 0.5
"""Seconds before something is tried again that the end of a run waits for."""

PATIENCE = 60.0
"""Seconds for which checkpoints are asked for again that cannot be reached: their disk is full, or the slot that was
asked in the lobby's stead has died. After that the run ends without them."""

T = TypeVar("T")


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


class Attempts:
    """One for an awake thread: its runs have their turns one after the other."""

    def __init__(  # noqa: PLR0913, PLR0917 - what a thread consists of
        self,
        binding: Binding,
        ledger: LedgerPort,
        executor: ExecutorPort,
        voice: Voice,
        log: Logbook,
        gate: asyncio.Lock,
        around: Surroundings,
    ) -> None:
        self._thread_id = binding.thread_id
        self._epoch = binding.epoch
        self._ledger = ledger
        self._executor = executor
        self._voice = voice
        self._log = log
        self._gate = gate
        self._around = around
        self._after_cancel = was_cancelled(binding.thread)
        self._starts: set[asyncio.Task[None]] = set()

    async def see_through(self, live: LiveRun) -> Part | None:
        """The run's last part, once its end is committed and `live.run` is final; None when this process gives it up.

        It outlives the work, so that stopping it can never leave the thread stuck.
        """
        try:
            return await self._see_through(live)
        except StaleError:
            self._lose(live)
            if not live.settled.done():
                live.settled.set_exception(NotHereError())
            return None

    async def _see_through(self, live: LiveRun) -> Part | None:
        if live.is_worn_out:
            await self._close_to_wishes(live)
        if live.stop.is_set():  # cancelled before its first step, or before its process died
            return await self._end_as_wanted(live)
        if live.is_worn_out:
            message = f"Run {live.run.run_id} exceeded max attempts ({MOST_ATTEMPTS})"
            return await self._settle_safely(live, Ending(RunStatus.ERROR, Failure("RuntimeError", message)))
        return await self._execute(live)

    async def _execute(self, live: LiveRun) -> Part | None:
        if not live.is_begun:
            live.run = begun(live.run)
            self._record_start(live)
        self._say_metadata(live)
        self._log.note(opening(live.run))
        limits = self._around.limits
        human_id = self._log.human_id
        hold = Hold(self._epoch, partial(self._lose, live))
        say, after_cancel = self._sayer(live), self._after_cancel
        work = self._executor.start(live.run, say, hold, after_cancel=after_cancel, human_id=human_id)
        telling = asyncio.create_task(self._tell_of(live, work), name=f"tell of {live.run.run_id}")
        status, outcome = await outlive(work, live, limits)
        await self._close_to_wishes(live)
        if live.stop.is_set():  # it came before the end, whatever the graph made of it
            status, outcome = RunStatus.INTERRUPTED, outcome and replace(outcome, failure=None)
        telling.cancel()
        work.close()
        if live.is_lost:
            raise StaleError
        self._log.add(work.told())
        if not status.is_final:
            return await self._hand_over(live, status)
        if status is RunStatus.INTERRUPTED and live.is_rollback:
            return await self._undo(live, work)
        failure = timed_out(limits.timeout) if status is RunStatus.TIMEOUT else outcome and outcome.failure
        ending = Ending(status, failure)
        end = await self._settle_safely(live, ending, outcome and outcome.position, outcome and outcome.outputs)
        if not work.has_ended:
            self._around.on_lost()  # what cannot be cancelled ends with its process
        return end

    async def _close_to_wishes(self, live: LiveRun) -> None:
        """From here on a wish to end the run comes too late; one that is being kept is waited for, and counts."""
        async with self._gate:
            live.is_over = True

    async def _hand_over(self, live: LiveRun, status: RunStatus) -> None:
        """Leave it to the next server; one that is running still ends with this process, as if that had died."""
        live.settled.set_exception(StoppingError())
        try:
            await self._voice.kept(live.run.run_id)
            if status is RunStatus.RUNNING:
                await self._tell()
            else:
                await self._park(live.parked())
        except ServiceError as error:
            logger.warning("Run %s could not be parked, and goes on as after a crash: %s", live.run.run_id, error)

    async def _park(self, run: Run) -> None:
        if self._starts:
            await asyncio.wait(self._starts)  # one that came later would have it running again
        async with self._log.handing_in() as recording:
            await self._ledger.park(Parking(run=run, epoch=self._epoch, recording=recording))

    async def _undo(self, live: LiveRun, work: Work) -> Part | None:
        if work.has_ended:
            return await self._end_as_wanted(live)
        live.is_over = True
        with suppress(ServiceError):  # another actor may hold the thread by now
            await self._tell()
        live.settled.set_exception(NotHereError())
        self._around.on_lost()  # it writes on as long as its process lives: it is undone where the thread comes back
        return None

    async def _end_as_wanted(self, live: LiveRun) -> Part | None:
        """End a run that does nothing any more; undo what it did, if that is wanted."""
        if not live.is_rollback:
            return await self._settle_safely(live, Ending(RunStatus.INTERRUPTED))
        try:
            await insist(live.run, lambda: self._executor.roll_back(live.run, self._epoch), PATIENCE)
        except StaleError:
            raise
        except Exception as error:  # whatever kept the state from being restored, its users are told
            logger.exception("Run %s could not be rolled back", live.run.run_id)
            failure = Failure(ROLLBACK_FAILED, f"Rollback failed: {error}")
            return await self._settle_safely(live, Ending(RunStatus.ERROR, failure))
        return await self._settle_safely(live, ROLLED_BACK)

    async def _settle_safely(
        self, live: LiveRun, ending: Ending, position: Position | None = None, outputs: str | None = None
    ) -> Part | None:
        try:
            if position is None and not ending.rolled_back:
                position = await self._look(live.run)
            return await self._settle(live, ending, position, outputs)
        except StaleError:
            raise
        except Exception:
            # Nobody awaits this task, so this is the last place to say it; the directory brings the thread back.
            logger.exception("Run %s could not be settled; this process lets go of its thread", live.run.run_id)
            live.settled.set_exception(NotHereError())
            self._around.on_lost()
            return None

    async def _settle(self, live: LiveRun, ending: Ending, position: Position | None, outputs: str | None) -> Part:
        run_id = live.run.run_id
        live.is_over = True
        await self._voice.kept(run_id)
        end = self._voice.tape.number(run_id, END, end_data(run_id, ending))
        run = live.final(ending, position, end)
        standing = standing_after(run, position) if position else None
        await self._commit(run, standing, closing(run, outputs))
        if standing:
            self._after_cancel = run.status is RunStatus.INTERRUPTED
        live.run = run
        return end

    async def _commit(self, run: Run, standing: Standing | None, last: Event) -> None:
        """What was executed is not executed again because a disk is full: it waits for room."""

        async def commit() -> None:
            async with self._log.handing_in(last) as recording:
                settlement = Settlement(run=run, epoch=self._epoch, standing=standing, recording=recording)
                await self._ledger.settle(settlement)

        await insist(run, commit)

    async def _look(self, run: Run) -> Position | None:
        """Where the checkpoints are after a run that cannot say it; None after one that never started."""
        if not run.attempt:
            return None
        try:
            return await insist(run, lambda: self._executor.position(self._thread_id, run.graph_id), PATIENCE)
        except Exception:  # their file may be broken; the run has an end all the same
            logger.exception("Nobody can say where run %s left its thread", run.run_id)
            return Position(checkpoint_id=None)

    def _lose(self, live: LiveRun) -> None:
        """Another actor holds the thread, and this run goes on there: nothing is said or paid for here any more."""
        if not live.is_lost:
            logger.info("Run %s is in the hands of another actor; this process lets go of its thread", live.run.run_id)
            live.is_lost = live.is_over = True
            live.stop.set()
            self._around.on_lost()

    # Telling the ledger and the readers

    def _record_start(self, live: LiveRun) -> None:
        """Beside the run's first steps: a start that is not recorded is made again."""
        task = asyncio.create_task(self._begin(live), name=f"begin {live.run.run_id}")
        self._starts.add(task)
        task.add_done_callback(self._starts.discard)

    async def _begin(self, live: LiveRun) -> None:
        try:
            await self._ledger.begin(live.run, self._epoch)
        except StaleError:
            self._lose(live)
        except ServiceError as error:
            logger.info("The start of run %s was not recorded: %s", live.run.run_id, error)

    async def _tell_of(self, live: LiveRun, work: Work) -> None:
        """Have the ledger know, while a run goes on, what has happened in it."""
        while True:
            await asyncio.sleep(TOLD_EVERY)
            self._log.add(work.told())
            try:
                await self._tell()
            except StaleError:
                self._lose(live)
            except ServiceError:
                continue  # tried again with what comes next

    async def _tell(self) -> None:
        async with self._log.handing_in() as recording:
            if recording:
                await self._ledger.record(recording)

    def _say_metadata(self, live: LiveRun) -> None:
        run = live.run
        data = {"run_id": run.run_id, "thread_id": run.thread_id, "attempt": run.attempt}
        self._voice.say(run.run_id, METADATA, msgspec.json.encode(data))

    def _sayer(self, live: LiveRun) -> Say:
        def say(event: str, data: bytes) -> Any:
            if not live.is_over:  # what would not be cancelled talks on, and nobody listens
                self._voice.say(live.run.run_id, event, data)

        return say


async def insist(run: Run, act: Callable[[], Awaitable[T]], patience: float = math.inf) -> T:
    """What `act` gives, which the end of `run` waits for. Raises UnavailableError if it still does after `patience`."""
    until = time.monotonic() + patience
    is_refused = False
    while True:
        try:
            return await act()
        except UnavailableError as error:
            if time.monotonic() > until:
                raise
            if not is_refused:
                logger.warning("The end of run %s waits: %s", run.run_id, error)
            is_refused = True
        await asyncio.sleep(AGAIN_AFTER)
