"""Creating runs: in the background, streamed, and waited for."""

from litestar import Controller, Response, post
from litestar.params import FromPath, JSONBody
from litestar.response import Stream

from actors.runtime import Submission
from storage.records import Dialect, MultitaskStrategy
from web import errors
from web.bodies import strictly
from web.dependencies import AnyRequest, Gate, TheGate, key_of
from web.platform import ids, schemas, streams
from web.platform.requests import metadata_of, run_request
from web.platform.schemas import RunCreate
from web.sse import MEDIA_TYPE, Reader
from web.submissions import submission


class CreationController(Controller):
    path = "/threads/{thread_id:str}/runs"
    exception_handlers = errors.PLATFORM_CREATING

    @post(status_code=200)
    async def create(
        self, thread_id: FromPath[str], data: JSONBody[RunCreate], request: AnyRequest, gate: TheGate
    ) -> Response[schemas.Run]:
        """Start a run in the background and return it at once."""
        run = await gate.submit(await _submission(gate, thread_id, request, data))
        return Response(schemas.run(run), headers={"Content-Location": streams.place(run)})

    @post("/stream", status_code=200, media_type=MEDIA_TYPE)
    async def stream(
        self, thread_id: FromPath[str], data: JSONBody[RunCreate], request: AnyRequest, gate: TheGate
    ) -> Stream:
        """Start a run and stream what it says."""
        run, parts = await gate.submit_and_follow(await _submission(gate, thread_id, request, data))
        source = streams.said(gate, parts, Reader(run_id=run.run_id))
        return streams.stream(gate, run, source, leave=gate.leave(run))

    @post("/wait", status_code=200)
    async def wait(
        self, thread_id: FromPath[str], data: JSONBody[RunCreate], request: AnyRequest, gate: TheGate
    ) -> Stream:
        """Start a run and answer with what it leaves, once it has ended."""
        run, ended = await gate.submit_and_wait(await _submission(gate, thread_id, request, data))
        return streams.wait(gate, run, streams.outcome(gate, ended), leave=gate.leave(run))


async def _submission(gate: Gate, thread_id: str, request: AnyRequest, data: RunCreate) -> Submission:
    body, sent = await strictly(request, data)
    asked = run_request(body, sent)
    await ids.check_thread(gate.runtime, thread_id)
    return submission(
        dialect=Dialect.PLATFORM,
        thread_id=thread_id,
        assistant=await ids.assistant(gate.runtime, body.assistant_id),
        request=asked,
        metadata=metadata_of(body.metadata),
        strategy=body.multitask_strategy or MultitaskStrategy.ENQUEUE,
        create_thread=body.if_not_exists == "create",
        after_seconds=body.after_seconds,
        idempotency_key=key_of(request),
    )
