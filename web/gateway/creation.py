"""Creating runs: in the background, streamed, and waited for."""

from litestar import Controller, Response, post
from litestar.params import JSONBody
from litestar.response import Stream

from actors.runtime import Runtime, Submission
from storage.errors import SenselessError
from storage.records import Assistant, Dialect
from web.bodies import strictly
from web.dependencies import AnyRequest, Gate, TheGate, key_of
from web.gateway import schemas, streams
from web.gateway.ids import ThreadId
from web.gateway.requests import check_form, run_request
from web.gateway.schemas import RunCreateRequest, RunResponse
from web.sse import MEDIA_TYPE, Reader
from web.submissions import submission


class CreationController(Controller):
    path = "/{thread_id:str}/runs"

    @post(status_code=200)
    async def create(
        self, thread_id: ThreadId, data: JSONBody[RunCreateRequest], request: AnyRequest, gate: TheGate
    ) -> Response[RunResponse]:
        """Start a run in the background and return it at once."""
        run = await gate.submit(await _submission(gate, thread_id, request, data))
        return Response(schemas.run(run, mask_errors=gate.settings.mask_errors), headers=streams.place(run))

    @post("/stream", status_code=200, media_type=MEDIA_TYPE)
    async def stream(
        self, thread_id: ThreadId, data: JSONBody[RunCreateRequest], request: AnyRequest, gate: TheGate
    ) -> Stream:
        """Start a run and stream what it says."""
        run, parts = await gate.submit_and_follow(await _submission(gate, thread_id, request, data))
        source = streams.said(gate, parts, Reader(run_id=run.run_id))
        return streams.stream(gate, run, source, leave=gate.leave(run))

    @post("/wait", status_code=200)
    async def wait(
        self, thread_id: ThreadId, data: JSONBody[RunCreateRequest], request: AnyRequest, gate: TheGate
    ) -> Stream:
        """Start a run and answer with what it leaves, once it has ended."""
        run, ended = await gate.submit_and_wait(await _submission(gate, thread_id, request, data))
        return streams.wait(gate, run, ended, leave=gate.leave(run))


async def _submission(gate: Gate, thread_id: str, request: AnyRequest, data: RunCreateRequest) -> Submission:
    """The order of the checks is the dialect's: form, thread, sense, assistant."""
    body, sent = await strictly(request, data)
    check_form(body)
    create = body.if_not_exists == "create"
    if not create:
        await gate.runtime.thread(thread_id)
    asked = run_request(body, sent, thread_id)
    return submission(
        dialect=Dialect.GATEWAY,
        thread_id=thread_id,
        assistant=await _assistant(gate.runtime, body.assistant_id or gate.settings.default_assistant),
        request=asked,
        metadata=body.metadata or {},
        strategy=body.multitask_strategy,
        create_thread=create,
        after_seconds=body.after_seconds,
        idempotency_key=key_of(request),
    )


async def _assistant(runtime: Runtime, name: str | None) -> Assistant:
    """The one that is named, or the only one there is."""
    if name is None and len(runtime.graph_ids) == 1:
        [name] = runtime.graph_ids
    if name is None:
        raise SenselessError("assistant_id is missing, and this server has no default assistant")
    return await runtime.assistant(name)
