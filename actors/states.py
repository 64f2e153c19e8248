"""A thread's checkpoints, as its users read them. Runs on a user's loop, because graphs are user code."""

from collections.abc import Mapping
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.types import Interrupt, PregelTask, StateSnapshot
from msgspec.json import decode

from actors.encoding import encode
from actors.graphs import CompiledGraph
from actors.outcomes import Position
from actors.runtime import History, StateUpdate

Place = Mapping[str, Any] | None
"""A checkpoint: `{"checkpoint_id", "checkpoint_ns", "checkpoint_map"}`, each optional; None is the newest."""

EMPTY = {
    "values": {},
    "next": [],
    "tasks": [],
    "metadata": None,
    "created_at": None,
    "checkpoint": None,
    "parent_checkpoint": None,
    "interrupts": [],
    "checkpoint_id": None,
    "parent_checkpoint_id": None,
}
"""The state of a thread that no run has touched (`spec/platform.md` §3)."""


async def position(graph: CompiledGraph, thread_id: str) -> Position:
    """Where the newest checkpoint is, and what it waits for."""
    return position_at(await graph.aget_state(_config(thread_id)))


def position_at(snapshot: StateSnapshot) -> Position:
    # Plain JSON, because others are told who do not have the classes of the user's project.
    waits = {task.id: decode(encode(_interrupts(task.interrupts))) for task in snapshot.tasks if task.interrupts}
    return Position(
        checkpoint_id=_checkpoint_id(snapshot.config) if snapshot.created_at else None,
        has_next=bool(snapshot.next),
        interrupts=waits,
    )


async def state(graph: CompiledGraph, thread_id: str, at: Place, *, subgraphs: bool) -> bytes:
    """The Platform's ThreadState at a checkpoint, as JSON. One that is not there is as empty as a new thread."""
    snapshot = await graph.aget_state(_config(thread_id, at), subgraphs=subgraphs)
    return encode(_thread_state(snapshot) if snapshot.created_at else empty(at))


def empty(at: Place) -> dict[str, Any]:
    """What the state says where there is no checkpoint."""
    return {**EMPTY, "checkpoint_id": (at or {}).get("checkpoint_id")}


async def history(graph: CompiledGraph, thread_id: str, wanted: History) -> bytes:
    """States, newest first, as a JSON list of the Platform's ThreadState."""
    before = _config(thread_id, {"checkpoint_id": wanted.before}) if wanted.before else None
    config = _config(thread_id, {"checkpoint_ns": wanted.checkpoint_ns})
    found = graph.aget_state_history(config, filter=wanted.metadata, before=before, limit=wanted.limit)
    return encode([_thread_state(snapshot) async for snapshot in found])


async def update(graph: CompiledGraph, thread_id: str, change: StateUpdate) -> tuple[bytes, Position]:
    """Write a checkpoint; where it is, as JSON, and where that leaves the thread."""
    written = await graph.aupdate_state(_config(thread_id, change.checkpoint), change.values, change.as_node)
    place = _checkpoint(written) or {}
    answer = {"checkpoint": place, "configurable": place, "checkpoint_id": place.get("checkpoint_id")}
    return encode(answer), await position(graph, thread_id)


async def values(graph: CompiledGraph, thread_id: str) -> bytes:
    """The newest checkpoint's values, as JSON; `null` before the first."""
    snapshot = await graph.aget_state(_config(thread_id))
    return encode(snapshot.values if snapshot.created_at else None)


async def result(graph: CompiledGraph, thread_id: str, checkpoint_id: str) -> bytes:
    """What a run returned that ended at this checkpoint: its output, with `__interrupt__` if it paused there."""
    newest = await graph.aget_state(_config(thread_id))
    ended_here = _checkpoint_id(newest.config) == checkpoint_id
    snapshot = newest if ended_here else await graph.aget_state(_config(thread_id, {"checkpoint_id": checkpoint_id}))
    output = _output(graph, snapshot.values)
    if snapshot.interrupts and isinstance(output, dict):
        output = {**output, "__interrupt__": list(snapshot.interrupts)}
    return encode(output)


def _config(thread_id: str, at: Place = None) -> RunnableConfig:
    place = {key: value for key, value in (at or {}).items() if value is not None}
    return {"configurable": {"thread_id": thread_id, "checkpoint_ns": "", **place}}


def _output(graph: CompiledGraph, values: Any) -> Any:
    """The state as the graph returns it: its output channels, not all that it keeps."""
    channels = graph.output_channels
    if isinstance(channels, str):
        return values.get(channels) if isinstance(values, dict) else values
    return {name: values[name] for name in channels if name in values}


def _thread_state(snapshot: StateSnapshot) -> dict[str, Any]:
    checkpoint = _checkpoint(snapshot.config)
    return {
        "values": snapshot.values,
        "next": list(snapshot.next),
        "tasks": [_task(task) for task in snapshot.tasks],
        "metadata": {**(snapshot.metadata or {}), "thread_id": (checkpoint or {}).get("thread_id")},
        "created_at": snapshot.created_at,
        "checkpoint": checkpoint,
        "parent_checkpoint": _checkpoint(snapshot.parent_config),
        "interrupts": _interrupts(snapshot.interrupts),
        "checkpoint_id": _checkpoint_id(snapshot.config),
        "parent_checkpoint_id": _checkpoint_id(snapshot.parent_config),
    }


def _task(task: PregelTask) -> dict[str, Any]:
    """A task that is a subgraph has its checkpoint, or, when subgraphs were asked for, its whole state."""
    return {
        "id": task.id,
        "name": task.name,
        "path": list(task.path),
        "error": repr(task.error) if isinstance(task.error, BaseException) else task.error,
        "interrupts": _interrupts(task.interrupts),
        "checkpoint": _checkpoint(task.state) if isinstance(task.state, dict) else None,
        "state": _thread_state(task.state) if isinstance(task.state, StateSnapshot) else None,
        "result": task.result,
    }


def _interrupts(interrupts: tuple[Interrupt, ...]) -> list[dict[str, Any]]:
    return [
        {"id": one.id, "value": one.value} | ({"response_schema": one.response_schema} if one.response_schema else {})
        for one in interrupts
    ]


def _checkpoint(config: RunnableConfig | None) -> dict[str, Any] | None:
    if config is None:
        return None
    kept = ("thread_id", "checkpoint_ns", "checkpoint_id", "checkpoint_map")
    return {key: value for key, value in config.get("configurable", {}).items() if key in kept}


def _checkpoint_id(config: RunnableConfig | None) -> str | None:
    return (config or {}).get("configurable", {}).get("checkpoint_id")
