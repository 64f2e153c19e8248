"""Nouns with everything filled in, of which a test names only what it is about."""

from datetime import UTC, datetime
from typing import Any

from uuid_utils import uuid7

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
