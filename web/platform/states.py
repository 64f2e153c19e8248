"""A thread's state at any of its checkpoints: reading it, its history, changing it."""

from typing import Annotated, Any

import msgspec
from litestar import Controller, Response, get, post
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import Meta, Struct

from actors.runtime import History, StateUpdate
from storage.errors import InvalidError
from web import query
from web.bodies import Checkpoint, strictly
from web.dependencies import AnyRequest, Gate, TheGate
from web.errors import wrong
from web.platform import ids
from web.platform.schemas import ThreadState
from web.query import Flag, Names, flag
from web.selecting import selected_paths

Count = Annotated[int, Meta(ge=1, le=1000)]
Limit = Annotated[int, QueryParameter(ge=1, le=1000)]
Before = Annotated[str | None, QueryParameter(description="A checkpoint's id")]

ONE = {200: ResponseSpec(ThreadState, generate_examples=False)}
MANY = {200: ResponseSpec(list[ThreadState], generate_examples=False)}


class StateAt(Struct, frozen=True):
    checkpoint: Checkpoint
    subgraphs: bool | None = None
    select: list[str] | None = None


class StateChange(Struct, frozen=True):
    values: dict[str, Any] | list[Any] | None = None
    as_node: str | None = None
    checkpoint: Checkpoint | None = None
    checkpoint_id: str | None = None


class HistoryRequest(Struct, frozen=True):
    limit: Count | None = None
    before: str | dict[str, Any] | None = None
    """A checkpoint's id, a checkpoint, or a config that names one."""
    metadata: dict[str, Any] | None = None
    checkpoint: Checkpoint | None = None
    select: list[str] | None = None


class StateController(Controller):
    path = "/threads/{thread_id:str}"

    @get("/state", responses=ONE)
    async def newest(
        self, thread_id: FromPath[str], gate: TheGate, subgraphs: Flag = None, select: Names = None
    ) -> Response[bytes]:
        """The thread at its newest checkpoint; with `subgraphs`, the states of its subgraphs too."""
        return await _state(gate, thread_id, None, flag("subgraphs", subgraphs), query.names("select", select))

    @get("/state/{checkpoint_id:str}", responses=ONE)
    async def at(
        self,
        thread_id: FromPath[str],
        checkpoint_id: FromPath[str],
        gate: TheGate,
        subgraphs: Flag = None,
        select: Names = None,
    ) -> Response[bytes]:
        """The thread at one of its checkpoints."""
        at = Checkpoint(checkpoint_id=checkpoint_id)
        return await _state(gate, thread_id, at, flag("subgraphs", subgraphs), query.names("select", select))

    @post("/state/checkpoint", status_code=200, responses=ONE)
    async def at_place(
        self, thread_id: FromPath[str], data: JSONBody[StateAt], request: AnyRequest, gate: TheGate
    ) -> Response[bytes]:
        """The thread, or one of its subgraphs, at a checkpoint."""
        asked, _ = await strictly(request, data)
        return await _state(gate, thread_id, asked.checkpoint, bool(asked.subgraphs), asked.select or [])

    @post("/state", status_code=200)
    async def change(
        self, thread_id: FromPath[str], data: JSONBody[StateChange], request: AnyRequest, gate: TheGate
    ) -> Response[bytes]:
        """Write a checkpoint, as if a node had returned `values`. Not beside a run in flight: 409."""
        asked, _ = await strictly(request, data)
        await ids.check_thread(gate.runtime, thread_id)
        at = _place(asked.checkpoint or Checkpoint(), asked.checkpoint_id)
        update = StateUpdate(thread_id=thread_id, values=asked.values, as_node=asked.as_node, checkpoint=at)
        return _json(await gate.runtime.update_state(update))

    @get("/history", responses=MANY)
    async def some_history(
        self, thread_id: FromPath[str], gate: TheGate, limit: Limit = 1, before: Before = None
    ) -> Response[bytes]:
        """The thread's states, newest first."""
        await ids.check_thread(gate.runtime, thread_id)
        return _json(await gate.runtime.history(thread_id, History(limit=limit, before=before)))

    @post("/history", status_code=200, responses=MANY)
    async def history(
        self, thread_id: FromPath[str], data: JSONBody[HistoryRequest], request: AnyRequest, gate: TheGate
    ) -> Response[bytes]:
        """The thread's states, or those of a subgraph, newest first."""
        asked, _ = await strictly(request, data)
        await ids.check_thread(gate.runtime, thread_id)
        wanted = History(
            limit=asked.limit or 1,
            before=_before(asked.before),
            metadata=asked.metadata,
            checkpoint_ns=(asked.checkpoint and asked.checkpoint.checkpoint_ns) or "",
        )
        found = await gate.runtime.history(thread_id, wanted)
        if not asked.select:
            return _json(found)
        return _json(msgspec.json.encode([_selected(state, asked.select) for state in msgspec.json.decode(found)]))


async def _state(
    gate: Gate,
    thread_id: str,
    at: Checkpoint | None,
    subgraphs: bool,  # noqa: FBT001 - it is the query's own word
    select: list[str],
) -> Response[bytes]:
    await ids.check_thread(gate.runtime, thread_id)
    place = _place(at, None) if at else None
    found = await gate.runtime.state(thread_id, place, subgraphs=subgraphs)
    return _json(msgspec.json.encode(_selected(msgspec.json.decode(found), select)) if select else found)


def _selected(state: dict[str, Any], select: list[str]) -> dict[str, Any]:
    for path in select:
        if path.partition(".")[0] not in ThreadState.__struct_fields__:
            raise wrong("select", f"A thread's state has no field {path!r}")
    return selected_paths(state, select)


def _place(at: Checkpoint, checkpoint_id: str | None) -> dict[str, Any] | None:
    """What of a checkpoint was given."""
    place = {
        "checkpoint_id": at.checkpoint_id or checkpoint_id,
        "checkpoint_ns": at.checkpoint_ns,
        "checkpoint_map": at.checkpoint_map,
    }
    return {key: value for key, value in place.items() if value is not None} or None


def _before(given: str | dict[str, Any] | None) -> str | None:
    """The id in any of the three forms that clients use."""
    if isinstance(given, dict):
        inner = given.get("configurable", given)
        given = inner.get("checkpoint_id") if isinstance(inner, dict) else None
        if not isinstance(given, str):
            raise InvalidError("before names no checkpoint_id")
    return given


def _json(content: bytes) -> Response[bytes]:
    return Response(content, media_type="application/json")
