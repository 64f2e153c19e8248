"""Threads: made, read, changed, copied, removed."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import uuid4

from litestar import Controller, Response, delete, get, patch, post
from litestar.params import FromPath, HeaderParameter, JSONBody, QueryParameter

from storage import records
from web.bodies import refuse, strictly
from web.dependencies import AnyRequest, Gate, TheGate
from web.platform import ids, schemas
from web.platform.requests import metadata_of
from web.platform.schemas import Thread, ThreadCreate, ThreadPatch
from web.query import refuse_query

Prefer = Annotated[str | None, HeaderParameter(name="Prefer")]
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
        existing_ok, is_fresh = asked.if_exists == "do_nothing", not asked.thread_id
        return await _shape(gate, await gate.runtime.create_thread(new, existing_ok=existing_ok, is_fresh=is_fresh))

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

    @patch("/{thread_id:str}")
    async def change(
        self,
        thread_id: FromPath[str],
        data: JSONBody[ThreadPatch],
        request: AnyRequest,
        gate: TheGate,
        prefer: Prefer = None,
    ) -> Response[Thread] | Response[None]:
        """Add to a thread's metadata, key by key. `Prefer: return=minimal` is answered 204."""
        asked, _ = await strictly(request, data)
        refuse(ttl=asked.ttl is not None)
        await ids.check_thread(gate.runtime, thread_id)
        thread = await gate.runtime.patch_thread(thread_id, metadata_of(asked.metadata))
        if "return=minimal" in (prefer or ""):
            return Response(None, status_code=204)
        return Response(await _shape(gate, thread))

    @post("/{thread_id:str}/copy", status_code=200)
    async def copy(self, thread_id: FromPath[str], gate: TheGate) -> Thread:
        """A new thread with the same metadata and checkpoints, which goes its own way."""
        await ids.check_thread(gate.runtime, thread_id)
        return await _shape(gate, await gate.runtime.copy_thread(thread_id))


async def _shape(gate: Gate, thread: records.Thread) -> Thread:
    values = await gate.runtime.values(thread)
    return schemas.thread(thread, values, mask_errors=gate.settings.mask_errors)
