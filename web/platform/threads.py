"""Threads and their state."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import uuid4

from litestar import Controller, Response, delete, get, post
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, JSONBody, QueryParameter

from storage import records
from web.bodies import refuse, strictly
from web.dependencies import AnyRequest, Gate, TheGate
from web.platform import ids, schemas
from web.platform.requests import metadata_of
from web.platform.schemas import Thread, ThreadCreate, ThreadState
from web.query import Flag, Names, flag, refuse_query

Include = Annotated[str | None, QueryParameter(description="Not supported yet")]


class ThreadController(Controller):
    path = "/threads"

    @post(status_code=200)
    async def create(self, data: JSONBody[ThreadCreate], request: AnyRequest, gate: TheGate) -> Thread:
        """Store a new thread; or, with `if_exists: do_nothing`, return the one that is there."""
        asked, _ = await strictly(request, data)
        refuse(ttl=asked.ttl is not None, supersteps=asked.supersteps)
        if asked.thread_id:
            ids.check("thread", asked.thread_id)
        now = datetime.now(UTC)
        new = records.Thread(
            thread_id=asked.thread_id or str(uuid4()),
            metadata=metadata_of(asked.metadata),
            created_at=now,
            updated_at=now,
        )
        return await _shape(gate, await gate.runtime.create_thread(new, existing_ok=asked.if_exists == "do_nothing"))

    @get("/{thread_id:str}")
    async def one(self, thread_id: FromPath[str], gate: TheGate, include: Include = None) -> Thread:
        """A thread, with the values of its newest checkpoint."""
        refuse_query(include=include)
        await ids.check_thread(gate.runtime, thread_id)
        return await _shape(gate, await gate.runtime.thread(thread_id))

    @delete("/{thread_id:str}")
    async def delete(self, thread_id: FromPath[str], gate: TheGate) -> None:
        """Cancel what runs on a thread, then remove it, its runs and its checkpoints."""
        await ids.check_thread(gate.runtime, thread_id)
        await gate.runtime.delete_thread(thread_id)

    @get("/{thread_id:str}/state", responses={200: ResponseSpec(ThreadState, generate_examples=False)})
    async def state(
        self, thread_id: FromPath[str], gate: TheGate, subgraphs: Flag = None, select: Names = None
    ) -> Response[bytes]:
        """The thread at its newest checkpoint; with `subgraphs`, the states of its subgraphs too."""
        refuse_query(select=select)
        deep = flag("subgraphs", subgraphs)
        await ids.check_thread(gate.runtime, thread_id)
        return Response(await gate.runtime.state(thread_id, subgraphs=deep), media_type="application/json")


async def _shape(gate: Gate, thread: records.Thread) -> Thread:
    values = await gate.runtime.values(thread)
    return schemas.thread(thread, values, mask_errors=gate.settings.mask_errors)
