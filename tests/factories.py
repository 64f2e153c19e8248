"""Nouns with everything filled in, of which a test names only what it is about."""

from datetime import UTC, datetime
from typing import Any

from msgspec.structs import replace
from uuid_utils import uuid7

from actors.logbook import event_of, origin_of
from storage.accounting import CallStatus, ModelCall, Usage, UsageSource
from storage.records import Assistant, Dialect, Run, RunRequest, Thread

NOON = datetime(2026, 11, 22, 12, 0, 0, 123456, tzinfo=UTC)


def an_assistant(assistant_id="a1", **given):
    fields: dict[str, Any] = {"graph_id": "agent", "name": "agent", "created_at": NOON, "updated_at": NOON}
    return Assistant(assistant_id=assistant_id, **{**fields, **given})


def a_thread(thread_id="t1", **given):
    fields: dict[str, Any] = {"created_at": NOON, "updated_at": NOON}
    return Thread(thread_id=thread_id, **{**fields, **given})


def a_run(thread_id="t1", **given):
    fields: dict[str, Any] = {
        "run_id": str(uuid7()),
        "assistant_id": "a1",
        "graph_id": "agent",
        "dialect": Dialect.PLATFORM,
        "request": RunRequest(input={"messages": []}),
        "created_at": NOON,
        "updated_at": NOON,
    }
    return Run(thread_id=thread_id, **{**fields, **given})


def a_call(run, **given):
    """A call of a model that a run made; its tokens are given by themselves."""
    tokens = {"input_tokens": 7, "output_tokens": 5, "total_tokens": 12}
    tokens |= {name: given.pop(name) for name in list(given) if name in Usage.__struct_fields__}
    fields: dict[str, Any] = {
        "call_id": str(uuid7()),
        "origin": origin_of(run),
        "attempt": 1,
        "model": "small",
        "started_at": NOON,
        "ended_at": NOON,
        "usage": Usage(**{"usage_source": UsageSource.REPORTED, **tokens}),
        "status": CallStatus.SUCCESS,
    }
    return ModelCall(**{**fields, **given})


def an_event(run, seq=0, event_type="llm.ai.response", content="{}", **given):
    return replace(event_of(run.run_id, event_type, "message", "lead_agent", content), seq=seq, **given)
