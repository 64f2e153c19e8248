"""From a request that was understood to the records that a thread's actor is sent."""

from datetime import UTC, datetime, timedelta
from typing import Any

from uuid_utils.compat import uuid7

from actors.runtime import Submission
from storage.records import Assistant, Dialect, MultitaskStrategy, Run, RunRequest, Thread


def submission(  # noqa: PLR0913 - all of them are named, and none has a default
    *,
    dialect: Dialect,
    thread_id: str,
    assistant: Assistant,
    request: RunRequest,
    metadata: dict[str, Any],
    strategy: MultitaskStrategy,
    create_thread: bool,
    after_seconds: float | None,
    idempotency_key: str | None,
) -> Submission:
    now = datetime.now(UTC)
    run = Run(
        run_id=str(uuid7()),
        thread_id=thread_id,
        assistant_id=assistant.assistant_id,
        graph_id=assistant.graph_id,
        dialect=dialect,
        request=request,
        metadata=metadata,
        multitask_strategy=strategy,
        created_at=now,
        updated_at=now,
        idempotency_key=idempotency_key,
        due_at=now + timedelta(seconds=after_seconds) if after_seconds else None,
    )
    return Submission(run=run, assistant=assistant, new_thread=_thread_for(run) if create_thread else None)


def _thread_for(run: Run) -> Thread:
    """The thread that a run makes: what the run says about itself is said about the thread too."""
    said = {**(run.request.config.get("metadata") or {}), **run.metadata}
    return Thread(
        thread_id=run.thread_id,
        metadata={**said, "graph_id": run.graph_id, "assistant_id": run.assistant_id},
        created_at=run.created_at,
        updated_at=run.created_at,
    )
