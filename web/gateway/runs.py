"""Runs that exist: reading them, following them, waiting for them, cancelling them."""

from functools import partial
from typing import Annotated

from litestar import Controller, Response, delete, get, post, route
from litestar.params import FromPath, HeaderParameter, QueryParameter
from litestar.response import Stream

from actors.errors import ROLLBACK_FAILED, RollbackFailedError, RunEndedError
from actors.runtime import Runtime
from storage.errors import ConflictError
from storage.records import CancelAction, Run, RunStatus
from web.dependencies import Gate, LastEventId, TheGate
from web.gateway import schemas, streams
from web.gateway.ids import ThreadId
from web.gateway.requests import MODES
from web.gateway.schemas import RunResponse
from web.joining import Wish
from web.query import Flag, Names, flag
from web.shapes import cancel_wish
from web.sse import MEDIA_TYPE

Limit = Annotated[int, QueryParameter(ge=1, le=1000)]
Offset = Annotated[int, QueryParameter(ge=0)]
Status = Annotated[RunStatus | None, QueryParameter()]
Action = Annotated[CancelAction, QueryParameter()]
MaybeAction = Annotated[CancelAction | None, QueryParameter()]
Accept = Annotated[str, HeaderParameter(name="Accept")]


class RunController(Controller):
    path = "/{thread_id:str}/runs"

    @get()
    async def some(
        self, *, thread_id: ThreadId, gate: TheGate, limit: Limit = 100, offset: Offset = 0, status: Status = None
    ) -> list[RunResponse]:
        """The thread's runs, newest first; none for a thread that is not known."""
        runs = await gate.runtime.runs(thread_id, limit=limit, offset=offset, status=status, rolled_back=True)
        return [schemas.run(run, mask_errors=gate.settings.mask_errors) for run in runs]

    @get("/{run_id:str}")
    async def one(self, thread_id: ThreadId, run_id: FromPath[str], gate: TheGate) -> RunResponse:
        """A run. It can be read from before its creation is answered until it is deleted."""
        run = await gate.runtime.run(thread_id, run_id)
        return schemas.run(run, mask_errors=gate.settings.mask_errors)

    @delete("/{run_id:str}")
    async def delete(self, thread_id: ThreadId, run_id: FromPath[str], gate: TheGate) -> None:
        """Remove a run and the checkpoints that it wrote; one that is unfinished is cancelled first."""
        await gate.runtime.run(thread_id, run_id)
        await gate.runtime.delete_run(thread_id, run_id)

    @route("/{run_id:str}/stream", http_method=["GET", "POST"], status_code=200, media_type=MEDIA_TYPE)
    async def stream(  # noqa: PLR0913 - one a parameter
        self,
        *,
        thread_id: ThreadId,
        run_id: FromPath[str],
        gate: TheGate,
        last_event_id: LastEventId = None,
        stream_mode: Names = None,
        cancel_on_disconnect: Flag = None,
        action: MaybeAction = None,
        wait: Flag = None,
    ) -> Stream | Response[bytes]:
        """What a run says, from after the event that the client had last, else from the earliest that is kept.

        With an `action`, the run is cancelled first; with `wait` as well, the answer is 204 when it has stopped.
        """
        wish, patient = Wish.of(last_event_id, stream_mode, cancel_on_disconnect, MODES), flag("wait", wait)
        if action is not None:
            await gate.runtime.run(thread_id, run_id)
            await _cancel(gate.runtime, thread_id, run_id, action)
            if patient:
                await _await_end(gate, thread_id, run_id)
                return Response(b"", status_code=204)
        return await streams.join(gate, await gate.runtime.run(thread_id, run_id), wish)

    @get("/{run_id:str}/join", media_type=MEDIA_TYPE)
    async def join(  # noqa: PLR0913 - one a parameter
        self,
        *,
        thread_id: ThreadId,
        run_id: FromPath[str],
        gate: TheGate,
        accept: Accept = "*/*",
        last_event_id: LastEventId = None,
        stream_mode: Names = None,
        cancel_on_disconnect: Flag = None,
    ) -> Stream:
        """As the stream; or, to a client that accepts JSON and no events, what the run leaves once it has ended."""
        wish = Wish.of(last_event_id, stream_mode, cancel_on_disconnect, MODES)
        if not _wants_json(accept):
            return await streams.join(gate, await gate.runtime.run(thread_id, run_id), wish)
        run = await gate.runtime.run(thread_id, run_id)
        return streams.wait(gate, run, partial(gate.ended, run), leave=gate.ending(run) if wish.cancel else None)

    @post("/{run_id:str}/cancel", status_code=202)
    async def cancel(
        self,
        thread_id: ThreadId,
        run_id: FromPath[str],
        gate: TheGate,
        action: Action = CancelAction.INTERRUPT,
        wait: Flag = None,
    ) -> Response[bytes]:
        """Stop a run. With `wait`, answer 204 when it has stopped."""
        patient = flag("wait", wait)
        await gate.runtime.thread(thread_id)
        await _cancel(gate.runtime, thread_id, run_id, action)
        if patient:
            await _await_end(gate, thread_id, run_id)
        return Response(b"", status_code=204 if patient else 202)


async def _cancel(runtime: Runtime, thread_id: str, run_id: str, action: CancelAction) -> None:
    """Cancel a run, or find that it has been cancelled."""
    try:
        await runtime.cancel(thread_id, run_id, action, cancel_wish(thread_id, run_id))
    except RunEndedError as error:
        run = await runtime.run(thread_id, run_id)
        if not (run.status is RunStatus.INTERRUPTED or run.rolled_back or _could_not_be_undone(run)):
            raise ConflictError(f"Run {run_id} is not cancellable (status: {run.status})") from error


async def _await_end(gate: Gate, thread_id: str, run_id: str) -> None:
    run = await gate.answers.promptly(gate.runtime.ended(thread_id, run_id))
    if run.error and _could_not_be_undone(run):
        raise RollbackFailedError(run.error.message)


def _could_not_be_undone(run: Run) -> bool:
    """Whether it was cancelled to be undone, and was not; a graph may raise an error of that name, too."""
    return run.cancel_action is CancelAction.ROLLBACK and run.error is not None and run.error.error == ROLLBACK_FAILED


def _wants_json(accept: str) -> bool:
    return "application/json" in accept.lower() and "text/event-stream" not in accept.lower()
