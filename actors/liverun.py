"""A run in hand: what is alive about it, how its work is outlived, and what it leaves when it ends."""

import asyncio
from datetime import UTC, datetime

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from actors.outcomes import Outcome, Position
from actors.ports import Work
from actors.project import RunLimits
from actors.userloop import StoppedError
from storage.records import CancelAction, Failure, Part, Run, RunStatus, Standing, Thread, ThreadStatus

CANCELLED = "UserInterrupt"
"""What the thread's error says after a run that was cancelled (`spec/platform.md` §6.3)."""

MOST_ATTEMPTS = 3
"""How often a run is started before it ends as an error (`spec/platform.md` §6.4); parked ones do not count."""

PARKED_WITHIN = 2.0
"""Seconds that a run has to stop when its server does; one that takes no notice ends with its process, as if that had
died."""


class Ending(Struct, frozen=True):
    """How a run ends."""

    status: RunStatus
    failure: Failure | None = None
    rolled_back: bool = False

    @property
    def is_wanted(self) -> bool:
        """Whether somebody wanted it."""
        return self.rolled_back or self.status is RunStatus.INTERRUPTED


ROLLED_BACK = Ending(RunStatus.ERROR, Failure("UserRollback", "Rolled back by user"), rolled_back=True)
"""The dialects show it differently: as an error, or not at all (`spec/gateway.md` §4.2, `spec/platform.md` §6.3)."""


class LiveRun:
    """A run in hand: what it is, and what is alive about it."""

    def __init__(self, run: Run, *, recovered: bool = False) -> None:
        self.run = run
        self.stop = asyncio.Event()
        """Set when somebody wants it to end."""
        self.park = asyncio.Event()
        """Set when the server stops, and another is to go on with it."""
        self.turn: asyncio.Task[None] | None = None
        """What sees it through, once it is its turn."""
        self.settled: asyncio.Future[Run] = asyncio.get_running_loop().create_future()
        self.settled.add_done_callback(lambda settled: settled.exception())  # that nobody waits is no fault
        self.wished: asyncio.Future[None] | None = None
        """Done when somebody's wish to end it is kept; the first wish stays."""
        if run.cancel_action is not None:
            self.stop.set()
        self.dropped: tuple[Run, Part] | None = None
        """How it has ended without a start, and its last part, once that is committed."""
        self.is_over = False
        self.is_lost = False
        """Whether another actor has it in hand by now."""
        self._recovered = recovered

    @property
    def is_begun(self) -> bool:
        """Whether this attempt is already recorded: it is when the run was admitted to an idle thread."""
        return self.run.status is RunStatus.RUNNING and not self._recovered

    @property
    def is_worn_out(self) -> bool:
        return self._recovered and self.run.attempt - self.run.parked >= MOST_ATTEMPTS

    @property
    def is_rollback(self) -> bool:
        return self.run.cancel_action is CancelAction.ROLLBACK

    def want(self, action: CancelAction, reason: str) -> None:
        """Somebody wants it to end."""
        self.run = replace(self.run, cancel_action=action, cancel_reason=reason)

    def wanted(self, action: CancelAction, reason: str) -> "LiveRun":
        """What it would be if somebody wanted it to end."""
        return LiveRun(replace(self.run, cancel_action=action, cancel_reason=reason))

    def parked(self) -> Run:
        """The run as the next server finds it."""
        return replace(
            self.run,
            status=RunStatus.PENDING,
            parked=self.run.parked + 1,
            updated_at=datetime.now(UTC),
        )

    def final(self, ending: Ending, position: Position | None, end: Part) -> Run:
        return replace(
            self.run,
            status=ending.status,
            error=ending.failure,
            rolled_back=ending.rolled_back,
            cancel_reason=self.run.cancel_reason if ending.is_wanted else None,
            updated_at=(now := max(datetime.now(UTC), self.run.started_at or self.run.created_at)),  # clocks jump back
            ended_at=now,
            checkpoint_id=position.checkpoint_id if position else None,
            first_seq=self.run.first_seq if self.run.attempt else end.seq,
            last_seq=end.seq,
            last_ms=end.ms,
        )


def timed_out(limit: float) -> Failure:
    return Failure("TimeoutError", f"Run exceeded its time limit of {limit:g} seconds")


async def outlive(work: Work, live: LiveRun, limits: RunLimits) -> tuple[RunStatus, Outcome | None]:
    """How the work ended, once it has, or once it has been asked to stop in vain for as long as it may take.

    It is asked when `live.stop` or `live.park` is set, or after `limits.timeout` seconds. A run that is parked has no
    final status: it is pending again if its work has ended, else it is running still.
    """
    ended = asyncio.ensure_future(work.ended())
    asked = [asyncio.ensure_future(event.wait()) for event in (live.stop, live.park)]
    await asyncio.wait([ended, *asked], timeout=limits.timeout, return_when=asyncio.FIRST_COMPLETED)
    wanted = None if ended.done() else _wanted(live)
    if wanted:
        work.cancel()
        await asyncio.wait([ended], timeout=PARKED_WITHIN if wanted is RunStatus.PENDING else limits.grace)
    for waiting in asked:
        waiting.cancel()
    if wanted and not ended.done():
        ended.cancel()
        return (RunStatus.RUNNING if wanted is RunStatus.PENDING else wanted), None
    return _reading(ended, RunStatus.INTERRUPTED if live.stop.is_set() else wanted)


def _wanted(live: LiveRun) -> RunStatus:
    """What a run under way is to become that is asked to stop now."""
    if live.stop.is_set():
        return RunStatus.INTERRUPTED
    return RunStatus.PENDING if live.park.is_set() else RunStatus.TIMEOUT


def _reading(ended: "asyncio.Future[Outcome]", wanted: RunStatus | None) -> tuple[RunStatus, Outcome | None]:
    """What was wanted before the end counts, whatever the graph made of it; only that it got ready is welcome."""
    match ended.exception():
        case None:
            outcome = ended.result()
        case StoppedError() if wanted:
            return wanted, None
        case error:
            outcome = Outcome(None, Failure(type(error).__name__, str(error)))
    match wanted:
        case RunStatus.INTERRUPTED:
            return wanted, replace(outcome, failure=None)
        case RunStatus.TIMEOUT:
            return wanted, None
        case RunStatus.PENDING if outcome.failure:
            return wanted, None
        case _:
            return RunStatus.ERROR if outcome.failure else RunStatus.SUCCESS, outcome


def begun(run: Run) -> Run:
    now = datetime.now(UTC)
    started_at = run.started_at or now
    return replace(run, status=RunStatus.RUNNING, attempt=run.attempt + 1, started_at=started_at, updated_at=now)


def was_cancelled(thread: Thread | None) -> bool:
    """Whether the last run that was executed on the thread was cancelled."""
    return thread is not None and thread.error is not None and thread.error.error == CANCELLED


def standing_after(run: Run, position: Position) -> Standing:
    """What the thread is after a run that executed (`spec/platform.md` §3, §6.3)."""
    match run.status:
        case RunStatus.ERROR | RunStatus.TIMEOUT:
            return Standing(status=ThreadStatus.ERROR, error=run.error, interrupts=position.interrupts)
        case RunStatus.INTERRUPTED:
            error = Failure(CANCELLED, run.cancel_reason or "")
        case _:
            error = None
    status = ThreadStatus.INTERRUPTED if position.has_next else ThreadStatus.IDLE
    return Standing(status=status, error=error, interrupts=position.interrupts)


def end_data(run_id: str, ending: Ending) -> bytes:
    """What the last part says (`storage.records.END`)."""
    if ending.rolled_back:
        return msgspec.json.encode({"run_id": run_id, "status": "rollback", "error": None})
    return msgspec.json.encode({"run_id": run_id, "status": ending.status, "error": ending.failure})
