"""Cancelling many runs at once."""

from typing import Annotated, Literal

from litestar import Controller, post
from litestar.params import JSONBody, QueryParameter
from msgspec import Struct

from actors.errors import RunEndedError
from storage.errors import InvalidError, NotFoundError
from storage.records import CancelAction, RunStatus
from web import errors
from web.bodies import strictly
from web.dependencies import AnyRequest, Gate, TheGate
from web.platform import ids
from web.shapes import cancel_wish

Action = Annotated[CancelAction, QueryParameter()]

STATUSES = {
    "pending": [RunStatus.PENDING],
    "running": [RunStatus.RUNNING],
    "all": [RunStatus.PENDING, RunStatus.RUNNING],
}


class CancelRequest(Struct, frozen=True):
    """Either a status, or runs of a thread."""

    status: Literal["pending", "running", "all"] | None = None
    thread_id: str | None = None
    run_ids: list[str] | None = None


class CancelController(Controller):
    path = "/runs/cancel"

    @post(status_code=204, exception_handlers=errors.PLATFORM_CANCELLING)
    async def cancel(
        self,
        data: JSONBody[CancelRequest],
        request: AnyRequest,
        gate: TheGate,
        action: Action = CancelAction.INTERRUPT,
    ) -> None:
        """Stop all runs of a status, or some of a thread. 404 if there are none that could be stopped."""
        asked, _ = await strictly(request, data)
        wanted = await _wanted(gate, asked)
        stopped = [await _stopped(gate, thread_id, run_id, action) for thread_id, run_id in wanted]
        if not any(stopped):
            raise RunEndedError("none")


async def _wanted(gate: Gate, asked: CancelRequest) -> list[tuple[str, str]]:
    """Threads and runs. Those that wait come last to first, so that none of them starts meanwhile."""
    if asked.status and not (asked.thread_id or asked.run_ids):
        return (await gate.runtime.unfinished(STATUSES[asked.status]))[::-1]
    if asked.status is None and asked.thread_id and asked.run_ids:
        for run_id in asked.run_ids:
            await ids.check_run(gate.runtime, asked.thread_id, run_id)
        return [(asked.thread_id, run_id) for run_id in sorted(asked.run_ids, reverse=True)]  # ids grow with time
    raise InvalidError("Provide either a status, or a thread_id and run_ids")


async def _stopped(gate: Gate, thread_id: str, run_id: str, action: CancelAction) -> bool:
    try:
        await gate.runtime.cancel(thread_id, run_id, action, cancel_wish(thread_id, run_id))
    except (NotFoundError, RunEndedError):
        return False
    return True
