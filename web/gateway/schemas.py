"""The gateway dialect's bodies, and the shapes of what it answers."""

from typing import Any, Literal

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import asdict

from storage import conversations, records
from storage.accounting import Event
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
    total_input_tokens: int
    total_output_tokens: int
    total_tokens: int


class RowResponse(Struct, frozen=True):
    """A row of a thread's log."""

    thread_id: str
    run_id: str
    event_type: str
    category: str
    content: Any
    metadata: Any
    seq: int
    created_at: str


class OwnFeedback(Struct, frozen=True):
    feedback_id: str
    rating: int
    comment: str | None


class MessageResponse(RowResponse, frozen=True):
    feedback: OwnFeedback | None
    """With the last answer of a run, what the caller thinks of it."""


class PageResponse(Struct, frozen=True):
    data: list[RowResponse]
    has_more: bool


class FeedbackRequest(Struct, frozen=True):
    rating: int
    """1 or -1."""
    comment: str | None = None
    message_id: str | None = None


class FeedbackResponse(Struct, frozen=True):
    feedback_id: str
    run_id: str
    thread_id: str
    user_id: str | None
    message_id: str | None
    rating: int
    comment: str | None
    created_at: str


class Success(Struct, frozen=True):
    success: bool


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
        total_input_tokens=record.totals.input_tokens,
        total_output_tokens=record.totals.output_tokens,
        total_tokens=record.totals.total_tokens,
    )


def outcome(record: records.Run, result: bytes | None, *, mask_errors: bool) -> Outcome:
    return Outcome(
        status=record.status,
        error=_error(record, mask_errors=mask_errors),
        values=Raw(result or b"null"),
        failure=failure_in(record, mask=mask_errors),
    )


def row(thread_id: str, event: Event) -> RowResponse:
    return RowResponse(**_columns(thread_id, event))


def message(thread_id: str, shown: conversations.Message) -> MessageResponse:
    given = shown.feedback
    own = OwnFeedback(given.feedback_id, given.rating, given.comment) if given else None
    return MessageResponse(**_columns(thread_id, shown.event), feedback=own)


def page(thread_id: str, found: conversations.Page) -> PageResponse:
    return PageResponse([row(thread_id, event) for event in found.events], found.has_more)


def feedback(given: conversations.Feedback) -> FeedbackResponse:
    fields = asdict(given)
    return FeedbackResponse(created_at=moment(fields.pop("created_at")), **fields)


def _columns(thread_id: str, event: Event) -> dict[str, Any]:
    """What it contains is JSON already, encoded where it was recorded."""
    return {
        "thread_id": thread_id,
        "run_id": event.run_id,
        "event_type": event.event_type,
        "category": event.category,
        "content": Raw(event.content),
        "metadata": Raw(event.metadata),
        "seq": event.seq,
        "created_at": moment(event.created_at),
    }


def _error(record: records.Run, *, mask_errors: bool) -> str | None:
    return text_of(told(record.error, mask=mask_errors)) if record.error else None
