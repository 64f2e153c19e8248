"""The Platform dialect's bodies, and the shapes of what it answers."""

from collections.abc import Iterable
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct

from storage import records
from storage.records import Durability, MultitaskStrategy, OnDisconnect, RunStatus, ThreadStatus
from web.bodies import Checkpoint, Command, Config, Seconds
from web.errors import wrong
from web.shapes import moment, told

S = TypeVar("S", bound=Struct)


class ThreadCreate(Struct, frozen=True):
    thread_id: str | None = None
    metadata: dict[str, Any] | None = None
    if_exists: Literal["raise", "do_nothing"] | None = None
    ttl: dict[str, Any] | float | None = None
    supersteps: list[Any] | None = None


class ThreadPatch(Struct, frozen=True):
    metadata: dict[str, Any] | None = None
    ttl: dict[str, Any] | float | None = None


class AssistantSearch(Struct, frozen=True):
    metadata: dict[str, Any] | None = None
    graph_id: str | None = None
    name: str | None = None
    """Part of the name, in any case."""
    limit: Annotated[int, Meta(ge=1, le=1000)] | None = None
    offset: Annotated[int, Meta(ge=0)] | None = None
    sort_by: Literal["assistant_id", "created_at", "updated_at", "name", "graph_id"] | None = None
    sort_order: Literal["asc", "desc"] | None = None
    select: list[str] | None = None


class RunCreate(Struct, frozen=True):
    """Null means "not given"."""

    assistant_id: str
    input: Any = None
    command: Command | None = None
    checkpoint: Checkpoint | None = None
    checkpoint_id: str | None = None
    config: Config | None = None
    context: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    stream_mode: str | list[str] | None = None
    stream_subgraphs: bool | None = None
    stream_resumable: bool | None = None
    interrupt_before: Literal["*"] | list[str] | None = None
    interrupt_after: Literal["*"] | list[str] | None = None
    multitask_strategy: MultitaskStrategy | None = None
    if_not_exists: Literal["reject", "create"] | None = None
    on_disconnect: OnDisconnect | None = None
    on_completion: Literal["delete", "keep"] | None = None
    """Concerns stateless runs alone."""
    after_seconds: Seconds | None = None
    durability: Durability | None = None
    checkpoint_during: bool | None = None
    """What `durability` was called before: true is `async`, false is `exit`."""
    webhook: str | None = None
    langsmith_tracer: dict[str, Any] | None = None
    feedback_keys: list[str] | None = None
    strict_resume: bool | None = None


class Assistant(Struct, frozen=True):
    assistant_id: str
    graph_id: str
    config: dict[str, Any]
    context: dict[str, Any]
    metadata: dict[str, Any]
    name: str
    description: str | None
    version: int
    created_at: str
    updated_at: str


class Thread(Struct, frozen=True):
    thread_id: str
    created_at: str
    updated_at: str
    state_updated_at: str | None
    status: ThreadStatus
    metadata: dict[str, Any]
    config: dict[str, Any]
    values: Any
    interrupts: dict[str, list[Any]]
    error: records.Failure | None


class ThreadState(Struct, frozen=True):
    """A thread at one of its checkpoints."""

    values: dict[str, Any]
    next: list[str]
    tasks: list[dict[str, Any]]
    metadata: dict[str, Any] | None
    created_at: str | None
    checkpoint: dict[str, Any] | None
    parent_checkpoint: dict[str, Any] | None
    interrupts: list[dict[str, Any]]
    checkpoint_id: str | None
    parent_checkpoint_id: str | None


class Run(Struct, frozen=True):
    run_id: str
    thread_id: str
    assistant_id: str
    created_at: str
    updated_at: str
    status: RunStatus
    metadata: dict[str, Any]
    kwargs: dict[str, Any]
    multitask_strategy: MultitaskStrategy
    cancel_reason: str | None


class Outcome(Struct, frozen=True):
    """What a wait answers for a run that failed."""

    error: records.Failure = msgspec.field(name="__error__")


def assistant(record: records.Assistant) -> Assistant:
    return Assistant(
        assistant_id=record.assistant_id,
        graph_id=record.graph_id,
        config=record.config,
        context=record.context,
        metadata=record.metadata,
        name=record.name,
        description=record.description,
        version=record.version,
        created_at=moment(record.created_at),
        updated_at=moment(record.updated_at),
    )


def thread(record: records.Thread, values: bytes, *, mask_errors: bool) -> Thread:
    """A thread, with its values as they are: JSON, encoded where they were read."""
    return Thread(
        thread_id=record.thread_id,
        created_at=moment(record.created_at),
        updated_at=moment(record.updated_at),
        state_updated_at=moment(record.state_updated_at) if record.state_updated_at else None,
        status=record.status,
        metadata=record.metadata,
        config=record.config,
        values=Raw(values),
        interrupts=record.interrupts,
        error=told(record.error, mask=mask_errors) if record.error else None,
    )


def run(record: records.Run) -> Run:
    return Run(
        run_id=record.run_id,
        thread_id=record.thread_id,
        assistant_id=record.assistant_id,
        created_at=moment(record.created_at),
        updated_at=moment(record.updated_at),
        status=record.status,
        metadata=record.metadata,
        kwargs=_kwargs(record, record.request),
        multitask_strategy=record.multitask_strategy,
        cancel_reason=record.cancel_reason,
    )


def told_of(record: records.Run, *, mask_errors: bool) -> dict[str, Any]:
    """A run that has ended, for its webhook. Its status may be `rollback`."""
    said = msgspec.to_builtins(run(record)) | {"status": record.ending}
    if record.error and not record.rolled_back:
        said["error"] = msgspec.to_builtins(told(record.error, mask=mask_errors))
    return said


def selected(shapes: Iterable[S], kind: type[S], select: list[str]) -> list[S] | list[dict[str, Any]]:
    """The shapes, or only those fields of them that were asked for."""
    if unknown := next((name for name in select if name not in kind.__struct_fields__), None):
        raise wrong("select", f"{kind.__name__} has no field {unknown!r}")
    if not select:
        return list(shapes)
    return [{name: getattr(shape, name) for name in select} for shape in shapes]


def _kwargs(record: records.Run, request: records.RunRequest) -> dict[str, Any]:
    """What the run was asked to do."""
    own = {"run_id": record.run_id, "thread_id": record.thread_id}
    own |= {"graph_id": record.graph_id, "assistant_id": record.assistant_id}
    own |= {"user_id": record.user_id} if record.user_id else {}
    return {
        "input": request.input,
        "command": request.command,
        "config": {**request.config, "configurable": {**request.config.get("configurable", {}), **own}},
        "context": request.context,
        "stream_mode": request.stream_modes,
        "interrupt_before": request.interrupt_before,
        "interrupt_after": request.interrupt_after,
        "webhook": request.webhook,
        "feedback_keys": request.feedback_keys,
        "temporary": request.temporary,
        "subgraphs": request.subgraphs,
        "resumable": request.resumable,
        "checkpoint_during": request.durability is not Durability.EXIT,
        "durability": request.durability,
    }
