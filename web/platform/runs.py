"""Runs that exist: reading them, following them, waiting for them, cancelling them."""

from functools import partial
from typing import Annotated, Any

from litestar import Controller, Response, delete, get, post
from litestar.params import FromPath, QueryParameter
from litestar.response import Stream

from storage.records import CancelAction, RunStatus
from web import errors, query
from web.dependencies import LastEventId, TheGate
from web.joining import Wish
from web.platform import ids, schemas, streams
from web.platform.requests import MODES
from web.platform.schemas import Run
from web.query import Flag, Names, flag
from web.shapes import cancel_wish
from web.sse import MEDIA_TYPE

Limit = Annotated[int, QueryParameter(ge=1, le=1000)]
Offset = Annotated[int, QueryParameter(ge=0)]
Status = Annotated[RunStatus | None, QueryParameter()]
Action = Annotated[CancelAction, QueryParameter()]


class RunController(Controller):
    path = "/threads/{thread_id:str}/runs"

    @get()
    async def some(  # noqa: PLR0913 - one a parameter
        self,
        *,
        thread_id: FromPath[str],
        gate: TheGate,
        limit: Limit = 10,
        offset: Offset = 0,
        status: Status = None,
        select: Names = None,
    ) -> list[Run] | list[dict[str, Any]]:
        """The thread's runs, newest first."""
        await ids.check_thread(gate.runtime, thread_id)
        await gate.runtime.thread(thread_id)  # a thread that is not known has no runs, but is no empty list either
        runs = await gate.runtime.runs(thread_id, limit=limit, offset=offset, status=status, rolled_back=False)
        return schemas.selected(map(schemas.run, runs), Run, query.names("select", select))

    @get("/{run_id:str}")
    async def one(self, thread_id: FromPath[str], run_id: FromPath[str], gate: TheGate) -> Run:
        """A run. It can be read from before its creation is answered until it is deleted."""
        return schemas.run(await ids.run(gate.runtime, thread_id, run_id))

    @delete("/{run_id:str}")
    async def delete(self, thread_id: FromPath[str], run_id: FromPath[str], gate: TheGate) -> None:
        """Remove a run and the checkpoints that it wrote; one that is unfinished is cancelled first."""
        await ids.run(gate.runtime, thread_id, run_id)
        await gate.runtime.delete_run(thread_id, run_id)

    @get("/{run_id:str}/stream", media_type=MEDIA_TYPE)
    async def stream(  # noqa: PLR0913 - one a parameter
        self,
        *,
        thread_id: FromPath[str],
        run_id: FromPath[str],
        gate: TheGate,
        last_event_id: LastEventId = None,
        stream_mode: Names = None,
        cancel_on_disconnect: Flag = None,
    ) -> Stream:
        """What a run says, from after the event that the client had last, else from the run's first."""
        wish = Wish.of(last_event_id, stream_mode, cancel_on_disconnect, MODES)
        return await streams.join(gate, await ids.run(gate.runtime, thread_id, run_id, lately=True), wish)

    @get("/{run_id:str}/join")
    async def join(
        self, thread_id: FromPath[str], run_id: FromPath[str], gate: TheGate, cancel_on_disconnect: Flag = None
    ) -> Stream:
        """What a run leaves, once it has ended."""
        wish = Wish.of(None, None, cancel_on_disconnect, MODES)
        run = await ids.run(gate.runtime, thread_id, run_id, lately=True)
        leave = gate.ending(run) if wish.cancel else None
        return streams.wait(gate, run, streams.outcome(gate, partial(gate.ended, run)), leave=leave, again=wish.again)

    @post("/{run_id:str}/cancel", status_code=202, exception_handlers=errors.PLATFORM_CANCELLING)
    async def cancel(
        self,
        thread_id: FromPath[str],
        run_id: FromPath[str],
        gate: TheGate,
        wait: Flag = None,
        action: Action = CancelAction.INTERRUPT,
    ) -> Response[bytes] | Stream:
        """Stop a run. With `wait`, answer when it has stopped."""
        patient = flag("wait", wait)
        run = await ids.run(gate.runtime, thread_id, run_id)
        await gate.runtime.cancel(thread_id, run_id, action, cancel_wish(thread_id, run_id))
        if not patient:
            return Response(b"")
        ended = partial(gate.runtime.ended, thread_id, run_id)
        return streams.wait(gate, run, streams.nothing(ended), leave=None)
