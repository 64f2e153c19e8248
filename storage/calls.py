"""Calls of models: one row for each, whatever becomes of its run, and what they add up to."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec
from duckdb import DuckDBPyConnection
from msgspec.structs import replace

from storage import queries
from storage.accounting import CallStatus, ModelCall, Price
from storage.deployment import Deployment
from storage.writer import Writer

_SQL = queries.load("calls")
_CALL = msgspec.json.Decoder(ModelCall)


def put(writer: Writer, thread_id: str, calls: Sequence[ModelCall], at: datetime, server: Deployment) -> None:
    """Record calls that have ended, and what their runs now add up to. A call that is there already stays as it is."""
    if not calls:
        return
    writer.put("calls", "insert", [(thread_id, _row(call, writer.pricer.price(call), at, server)) for call in calls])
    writer.put("calls", "close", [(thread_id, {"call_id": call.call_id}) for call in calls if call.was_open])
    for run_id in dict.fromkeys(call.origin.run_id for call in calls):
        writer.put("calls", "roll_up", [(thread_id, {"run_id": run_id})])


def open_each(writer: Writer, thread_id: str, epoch: int, calls: Iterable[ModelCall]) -> None:
    """Remember calls that are under way."""
    writer.put("calls", "open", [(thread_id, _open_row(thread_id, epoch, call)) for call in calls])


def lost(db: DuckDBPyConnection, thread_id: str) -> list[ModelCall]:
    """The calls that were under way when the thread was last heard of, as they are to be recorded."""
    rows = db.execute(_SQL["opened"], {"thread_id": thread_id}).fetchall()
    return [replace(_CALL.decode(call), status=CallStatus.LOST, was_open=True) for (call,) in rows]


def _open_row(thread_id: str, epoch: int, call: ModelCall) -> dict[str, Any]:
    return {
        "call_id": call.call_id,
        "thread_id": thread_id,
        "run_id": call.origin.run_id,
        "epoch": epoch,
        "call": queries.encode(call),
    }


def _row(call: ModelCall, price: Price, at: datetime, server: Deployment) -> dict[str, Any]:
    origin, usage = call.origin, call.usage
    return {
        "call_id": call.call_id,
        "recorded_at": at,
        "thread_id": origin.thread_id,
        "run_id": origin.run_id,
        "attempt": call.attempt,
        "user_id": origin.user_id,
        "assistant_id": origin.assistant_id,
        "assistant_version": origin.assistant_version,
        "graph_id": origin.graph_id,
        "node": call.node,
        "step": call.step,
        "checkpoint_ns": call.checkpoint_ns,
        "subgraph": call.subgraph,
        "caller": call.caller,
        "caller_name": call.caller_name,
        "tool": call.tool,
        "provider": call.provider,
        "model_requested": call.model_requested,
        "model": call.model,
        "started_at": call.started_at,
        "first_token_at": call.first_token_at,
        "ended_at": call.ended_at,
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
        "cache_read_tokens": usage.cache_read_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "input_audio_tokens": usage.input_audio_tokens,
        "output_audio_tokens": usage.output_audio_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
        "usage_source": usage.usage_source,
        "usage_detail": None if usage.usage_detail is None else queries.encode(usage.usage_detail),
        "from_cache": usage.from_cache,
        "status": call.status,
        "finish_reason": call.finish_reason,
        "error_type": call.error_type,
        "cost_usd": None if price.cost_usd is None else str(price.cost_usd),
        "price_version": price.price_version,
        "priced_as": price.priced_as,
        "unpriced_reason": price.unpriced_reason,
        "tags": origin.tags,
        "metadata": queries.encode(origin.metadata),
        "environment": server.environment,
        "release": server.release,
    }
