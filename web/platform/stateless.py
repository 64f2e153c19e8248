"""Runs without a thread of their client's: each has one of its own, which goes with it unless it is to be kept."""

from typing import Any
from uuid import NAMESPACE_URL, uuid4, uuid5

from litestar import Controller, Response, get, post
from litestar.params import FromPath, JSONBody
from litestar.response import Stream

from actors.runtime import Submission
from storage.errors import InvalidError, RunNotFoundError, SenselessError
from storage.records import Dialect, MultitaskStrategy
from web import errors
from web.bodies import strictly
from web.dependencies import AnyRequest, Gate, LastEventId, TheGate, key_of
from web.joining import Wish
from web.platform import ids, schemas, streams
from web.platform.requests import MODES, metadata_of, run_request
from web.platform.schemas import RunCreate
from web.query import Flag, Names
from web.sse import MEDIA_TYPE, Reader
from web.submissions import submission


class StatelessController(Controller):
    path = "/runs"
    exception_handlers = errors.PLATFORM_CREATING

    @post(status_code=200)
    async def create(self, data: JSONBody[RunCreate], request: AnyRequest, gate: TheGate) -> Response[schemas.Run]:
        """Start a run in the background and return it at once."""
        run = await gate.submit(await _asked(gate, request, data))
        return Response(schemas.run(run), headers={"Content-Location": streams.stateless(run)})

    @post("/stream", status_code=200, media_type=MEDIA_TYPE)
    async def stream(self, data: JSONBody[RunCreate], request: AnyRequest, gate: TheGate) -> Stream:
        """Start a run and stream what it says."""
        run, parts = await gate.submit_and_follow(await _asked(gate, request, data))
        source = streams.said(gate, parts, Reader(run_id=run.run_id))
        return streams.stream(gate, run, source, leave=gate.leave(run), at=streams.stateless)

    @post("/wait", status_code=200)
    async def wait(self, data: JSONBody[RunCreate], request: AnyRequest, gate: TheGate) -> Stream:
        """Start a run and answer with what it leaves, once it has ended."""
        run, ended = await gate.submit_and_wait(await _asked(gate, request, data))
        return streams.wait(gate, run, streams.outcome(gate, ended), leave=gate.leave(run), at=streams.stateless)

    @post("/batch", status_code=200)
    async def batch(self, data: JSONBody[list[RunCreate]], request: AnyRequest, gate: TheGate) -> list[schemas.Run]:
        """Start runs in the background and return them at once. All are checked before any is started."""
        sent = await request.json()
        if not data or not isinstance(sent, list):
            raise InvalidError("Expected at least one run")
        asked = [await _submission(gate, body, one, None) for body, one in zip(data, sent, strict=True)]
        return [schemas.run(await gate.submit(one)) for one in asked]

    @get("/{run_id:str}/stream", media_type=MEDIA_TYPE)
    async def join(
        self,
        *,
        run_id: FromPath[str],
        gate: TheGate,
        last_event_id: LastEventId = None,
        stream_mode: Names = None,
        cancel_on_disconnect: Flag = None,
    ) -> Stream:
        """What a run says, from after the event that the client had last, else from its first."""
        wish = Wish.of(last_event_id, stream_mode, cancel_on_disconnect, MODES)
        ids.check("run", run_id)
        run = await gate.runtime.run(None, run_id, lately=True)
        if run.rolled_back:
            raise RunNotFoundError(run_id)
        return await streams.join(gate, run, wish, at=streams.stateless)


async def _asked(gate: Gate, request: AnyRequest, data: RunCreate) -> Submission:
    body, sent = await strictly(request, data)
    return await _submission(gate, body, sent, key_of(request))


async def _submission(gate: Gate, body: RunCreate, sent: dict[str, Any], key: str | None) -> Submission:
    """The thread's id follows from the request's name, so that the same request finds the run that it made."""
    if body.command and body.command.resume is not None:
        raise SenselessError("You must provide a thread_id when resuming.")
    return submission(
        dialect=Dialect.PLATFORM,
        thread_id=str(uuid5(NAMESPACE_URL, f"stateless:{key}") if key else uuid4()),
        assistant=await ids.assistant(gate.runtime, body.assistant_id),
        request=run_request(body, sent, temporary=body.on_completion != "keep"),
        metadata=metadata_of(body.metadata),
        strategy=body.multitask_strategy or MultitaskStrategy.ENQUEUE,
        create_thread=True,
        after_seconds=body.after_seconds,
        idempotency_key=key,
    )
