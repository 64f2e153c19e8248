"""The gateway dialect's bodies, and the shapes of what it answers."""

from typing import Any, Literal

import msgspec
from msgspec import Raw, Struct

from storage import records
from storage.records import Durability, MultitaskStrategy, OnDisconnect, RunStatus
from web.bodies import Checkpoint, Command, Config, Seconds
from web.shapes import failure_in, moment, text_of, told


class GatewayConfig(Config, frozen=True, omit_defaults=True):
    """A RunnableConfig, which here may have the context inside."""

    context: dict[str, Any] | None = None


class RunCreateRequest(Struct, frozen=True):
    """Null only where the type says so."""

    assistant_id: str | None = None
    input: dict[str, Any] | None = None
    """Null continues from the checkpoint; an empty object is an empty input."""
    command: Command | None = None
    metadata: dict[str, Any] | None = None
    config: GatewayConfig | None = None
    context: dict[str, Any] | None = None
    webhook: str | None = None
    checkpoint_id: str | None = None
    checkpoint: Checkpoint | None = None
    interrupt_before: Literal["*"] | list[str] | None = None
    interrupt_after: Literal["*"] | list[str] | None = None
    stream_mode: str | list[str] | None = None
    stream_subgraphs: bool = False
    stream_resumable: bool | None = None
    on_disconnect: OnDisconnect = OnDisconnect.CANCEL
    on_completion: Literal["delete", "keep"] = "keep"
    multitask_strategy: MultitaskStrategy = MultitaskStrategy.REJECT
    after_seconds: Seconds | None = None
    if_not_exists: Literal["reject", "create"] = "create"
    feedback_keys: list[str] | None = None
    durability: Durability | None = None
    checkpoint_during: bool | None = None


class RunResponse(Struct, frozen=True):
    run_id: str
    thread_id: str
    assistant_id: str | None
    """As it was sent."""
    status: RunStatus
    metadata: dict[str, Any]
    """As it was sent."""
    kwargs: dict[str, Any]
    multitask_strategy: MultitaskStrategy
    created_at: str
    updated_at: str
    error: str | None
    attempt: int
    total_input_tokens: int = 0
    total_output_tokens: int = 0
    total_tokens: int = 0


class Outcome(Struct, frozen=True):
    """What a wait answers for a run that was no success."""

    status: RunStatus
    error: str | None
    values: Any
    failure: records.Failure = msgspec.field(name="__error__")


ELSEWHERE = frozenset({"assistant_id", "metadata", "multitask_strategy"})
"""Fields that have a place of their own beside `kwargs`."""


def run(record: records.Run, *, mask_errors: bool) -> RunResponse:
    sent = record.request.sent
    others = {name: value for name, value in sent.items() if name not in ELSEWHERE}
    return RunResponse(
        run_id=record.run_id,
        thread_id=record.thread_id,
        assistant_id=sent.get("assistant_id"),
        status=record.status,
        metadata=sent.get("metadata") or {},
        kwargs={"input": record.request.input, "config": None, **others},
        multitask_strategy=record.multitask_strategy,
        created_at=moment(record.created_at),
        updated_at=moment(record.updated_at),
        error=_error(record, mask_errors=mask_errors),
        attempt=record.attempt,
    )


def outcome(record: records.Run, result: bytes | None, *, mask_errors: bool) -> Outcome:
    return Outcome(
        status=record.status,
        error=_error(record, mask_errors=mask_errors),
        values=Raw(result or b"null"),
        failure=failure_in(record, mask=mask_errors),
    )


def _error(record: records.Run, *, mask_errors: bool) -> str | None:
    return text_of(told(record.error, mask=mask_errors)) if record.error else None
