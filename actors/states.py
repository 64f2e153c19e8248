"""A thread's checkpoints, as its users read them. Runs on a user's loop, because graphs are user code."""

from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.types import Interrupt, PregelTask, StateSnapshot

from actors.encoding import encode
from actors.graphs import CompiledGraph
from actors.outcomes import Position

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
    snapshot = await graph.aget_state(_config(thread_id))
    return Position(
        checkpoint_id=_checkpoint_id(snapshot.config) if snapshot.created_at else None,
        has_next=bool(snapshot.next),
        interrupts={task.id: _interrupts(task.interrupts) for task in snapshot.tasks if task.interrupts},
    )


async def state(graph: CompiledGraph, thread_id: str, *, subgraphs: bool) -> bytes:
    """The Platform's ThreadState, as JSON."""
    snapshot = await graph.aget_state(_config(thread_id), subgraphs=subgraphs)
    return encode(_thread_state(snapshot) if snapshot.created_at else EMPTY)


async def values(graph: CompiledGraph, thread_id: str) -> bytes:
    """The newest checkpoint's values, as JSON; `null` before the first."""
    snapshot = await graph.aget_state(_config(thread_id))
    return encode(snapshot.values if snapshot.created_at else None)


async def result(graph: CompiledGraph, thread_id: str, checkpoint_id: str) -> bytes:
    """What a run returned that ended at this checkpoint: its output, with `__interrupt__` if it paused there."""
    newest = await graph.aget_state(_config(thread_id))
    ended_here = _checkpoint_id(newest.config) == checkpoint_id
    snapshot = newest if ended_here else await graph.aget_state(_config(thread_id, checkpoint_id))
    output = _output(graph, snapshot.values)
    if snapshot.interrupts and isinstance(output, dict):
        output = {**output, "__interrupt__": list(snapshot.interrupts)}
    return encode(output)


def _config(thread_id: str, checkpoint_id: str | None = None) -> RunnableConfig:
    configurable = {"thread_id": thread_id, "checkpoint_ns": ""}
    return {"configurable": configurable | ({"checkpoint_id": checkpoint_id} if checkpoint_id else {})}


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
