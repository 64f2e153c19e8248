"""A run in hand: what is alive about it, how its work is outlived, and what it leaves when it ends."""

import asyncio
from datetime import UTC, datetime

import msgspec
from msgspec.structs import replace

from actors.outcomes import Outcome, Position
from actors.ports import Work
from actors.userloop import StoppedError
from storage.records import Failure, Part, Run, RunStatus, Standing, ThreadStatus

MOST_ATTEMPTS = 3
"""How often a run is started before it ends as an error (`spec/platform.md` §6.4)."""


class LiveRun:
    """A run in hand: what it is, and what is alive about it."""

    def __init__(self, run: Run, *, recovered: bool = False) -> None:
        self.run = run
        self.stop = asyncio.Event()
        self.settled: asyncio.Future[Run] = asyncio.get_running_loop().create_future()
        self.settled.add_done_callback(lambda settled: settled.exception())  # that nobody waits is no fault
        self.cancel_reason: str | None = None
        self.first_seq = run.first_seq
        self.is_over = False
        self._recovered = recovered

    @property
    def is_begun(self) -> bool:
        """Whether this attempt is already recorded: it is when the run was admitted to an idle thread."""
        return self.run.status is RunStatus.RUNNING and not self._recovered

    @property
    def is_worn_out(self) -> bool:
        return self._recovered and self.run.attempt >= MOST_ATTEMPTS

    def final(self, status: RunStatus, failure: Failure | None, position: Position | None, end: Part) -> Run:
        return replace(
            self.run,
            status=status,
            error=failure,
            cancel_reason=self.cancel_reason if status is RunStatus.INTERRUPTED else None,
            updated_at=(now := datetime.now(UTC)),
            ended_at=now,
            checkpoint_id=position.checkpoint_id if position else None,
            first_seq=self.first_seq or end.seq,
            last_seq=end.seq,
            last_ms=end.ms,
        )


async def outlive(work: Work, stop: asyncio.Event, grace: float) -> tuple[RunStatus, Outcome | None]:
    """How the work ended, once it has, or once it has been asked to stop for `grace` seconds in vain."""
    ended, stopping = asyncio.ensure_future(work.ended()), asyncio.ensure_future(stop.wait())
    await asyncio.wait([ended, stopping], return_when=asyncio.FIRST_COMPLETED)
    if not ended.done():
        work.cancel()
        await asyncio.wait([ended], timeout=grace)
    stopping.cancel()
    if not ended.done():
        ended.cancel()
        return RunStatus.INTERRUPTED, None
    return _reading(ended, stopped=stop.is_set())


def _reading(ended: "asyncio.Future[Outcome]", *, stopped: bool) -> tuple[RunStatus, Outcome | None]:
    """A cancel that came before the end makes the run interrupted, whatever the graph made of it."""
    match ended.exception():
        case None:
            outcome = ended.result()
        case StoppedError() if stopped:
            return RunStatus.INTERRUPTED, None
        case error:
            outcome = Outcome(None, Failure(type(error).__name__, str(error)))
    if stopped:
        return RunStatus.INTERRUPTED, replace(outcome, failure=None)
    return RunStatus.ERROR if outcome.failure else RunStatus.SUCCESS, outcome


def begun(run: Run) -> Run:
    now = datetime.now(UTC)
    started_at = run.started_at or now
    return replace(run, status=RunStatus.RUNNING, attempt=run.attempt + 1, started_at=started_at, updated_at=now)


def standing_after(run: Run, position: Position) -> Standing:
    """What the thread is after a run that executed (`spec/platform.md` §3, §6.3)."""
    match run.status:
        case RunStatus.ERROR | RunStatus.TIMEOUT:
            return Standing(status=ThreadStatus.ERROR, error=run.error, interrupts=position.interrupts)
        case RunStatus.INTERRUPTED:
            error = Failure("UserInterrupt", run.cancel_reason or "")
        case _:
            error = None
    status = ThreadStatus.INTERRUPTED if position.has_next else ThreadStatus.IDLE
    return Standing(status=status, error=error, interrupts=position.interrupts)


def end_data(run_id: str, status: RunStatus, failure: Failure | None) -> bytes:
    return msgspec.json.encode({"run_id": run_id, "status": status, "error": failure})
