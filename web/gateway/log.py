"""What was said on a thread, what happened in its runs, and what that took."""

from typing import Annotated

from litestar import Controller, get
from litestar.params import FromPath, QueryParameter

from storage.conversations import Cursor, TokenUsage
from web.dependencies import TheGate
from web.gateway import schemas
from web.gateway.ids import ThreadId
from web.gateway.schemas import MessageResponse, PageResponse, RowResponse
from web.query import Flag, commas, flag

Limit = Annotated[int, QueryParameter(ge=1, le=200)]
EventLimit = Annotated[int, QueryParameter(ge=1, le=2000)]
Types = Annotated[list[str] | None, QueryParameter(description="Separated by commas")]
Number = Annotated[int | None, QueryParameter(ge=0, description="Number of a row")]


class LogController(Controller):
    path = "/{thread_id:str}"

    @get("/messages")
    async def messages(
        self,
        *,
        thread_id: ThreadId,
        gate: TheGate,
        limit: Limit = 50,
        before_seq: Number = None,
        after_seq: Number = None,
    ) -> list[MessageResponse]:
        """A page of what was said in all runs: the newest, unless a number says otherwise."""
        cursor = Cursor(limit=limit, before=before_seq, after=after_seq)
        found = await gate.runtime.messages(thread_id, cursor, None)
        return [schemas.message(thread_id, one) for one in found]

    @get("/runs/{run_id:str}/messages")
    async def run_messages(  # noqa: PLR0913 - one a parameter
        self,
        *,
        thread_id: ThreadId,
        run_id: FromPath[str],
        gate: TheGate,
        limit: Limit = 50,
        before_seq: Number = None,
        after_seq: Number = None,
    ) -> PageResponse:
        """A page of what was said in a run, and whether there is another."""
        cursor = Cursor(limit=limit, before=before_seq, after=after_seq)
        return schemas.page(thread_id, await gate.runtime.run_messages(thread_id, run_id, cursor))

    @get("/runs/{run_id:str}/events")
    async def events(  # noqa: PLR0913 - one a parameter
        self,
        *,
        thread_id: ThreadId,
        run_id: FromPath[str],
        gate: TheGate,
        event_types: Types = None,
        limit: EventLimit = 500,
        after_seq: Number = None,
    ) -> list[RowResponse]:
        """All that happened in a run, also what nobody is shown; or only what is of these types."""
        types = commas(event_types)
        found = await gate.runtime.run_events(thread_id, run_id, types=types, after=after_seq, limit=limit)
        return [schemas.row(thread_id, event) for event in found]

    @get("/token-usage")
    async def token_usage(self, thread_id: ThreadId, gate: TheGate, include_active: Flag = None) -> TokenUsage:
        """The tokens of the runs that have ended, however; with `include_active`, also of those under way."""
        return await gate.runtime.token_usage(thread_id, include_active=flag("include_active", include_active))
