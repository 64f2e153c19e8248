"""What has happened on a thread and is not in the ledger yet: numbered here, and handed in with what is written next.

What was handed in and not confirmed is handed in again; the ledger knows it by its numbers and ids.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec.structs import replace

from actors.outcomes import Notes
from storage.accounting import Event, LogEnd, ModelCall, Origin, Recording
from storage.records import Run, RunStatus

LONGEST = 10_240
"""Bytes of the content of a row that is no message (`spec/gateway.md` §9.1)."""

LARGEST_METADATA = 4_096
"""Bytes of a run's metadata in the rows of its calls (`spec/usage.md` §1.1)."""

FRAMEWORK = ("langgraph_", "ls_", "__")
"""Keys of metadata that begin so are not the user's."""


class Logbook:
    """One for an awake thread. Belongs to its event loop."""

    def __init__(self, thread_id: str, epoch: int, log: LogEnd) -> None:
        self.human_id = log.human_id
        """Id of the last human message, here or in the ledger."""
        self._thread_id = thread_id
        self._epoch = epoch
        self._last = log.seq
        self._turn = asyncio.Lock()
        self._events: list[Event] = []
        self._calls: list[ModelCall] = []
        self._opened: list[ModelCall] = []

    def add(self, notes: Notes) -> None:
        for event in notes.events:
            self.note(event)
        self._calls += notes.calls
        self._opened += notes.opened

    def note(self, event: Event) -> None:
        self.human_id = event.message_id or self.human_id
        self._events.append(event)

    def clear(self) -> None:
        """The thread is gone, and its log with it; the next one of its id begins anew."""
        self.human_id, self._last = None, 0
        self._events.clear()

    @asynccontextmanager
    async def handing_in(self, *last: Event) -> AsyncGenerator[Recording]:
        """All that is here, and then `last`, for a write that is made in this block; if it fails, as if never asked.

        One at a time: rows are numbered here, and the ledger takes them only in the order of their numbers.
        """
        async with self._turn:
            events = [*self._events, *last]
            numbered = [replace(event, seq=self._last + count) for count, event in enumerate(events, 1)]
            recording = Recording(
                thread_id=self._thread_id,
                epoch=self._epoch,
                events=tuple(numbered),
                calls=tuple(self._calls),
                opened=tuple(self._opened),
            )
            kept = len(self._events)
            yield recording
            self._last += len(numbered)
            del self._events[:kept]
            del self._calls[: len(recording.calls)]
            del self._opened[: len(recording.opened)]


def origin_of(run: Run) -> Origin:
    """What the rows of its calls say of a run."""
    tags = run.request.config.get("tags")
    metadata = users_own(run.metadata)
    if len(msgspec.json.encode(metadata)) > LARGEST_METADATA:
        metadata = {"truncated": True}
    return Origin(
        thread_id=run.thread_id,
        run_id=run.run_id,
        user_id=run.user_id,
        assistant_id=run.assistant_id,
        assistant_version=run.assistant_version,
        graph_id=run.graph_id,
        tags=[tag for tag in tags if _is_users_tag(tag)] if isinstance(tags, list) else [],
        metadata=metadata,
    )


def _is_users_tag(tag: Any) -> bool:
    return isinstance(tag, str) and not tag.startswith("seq:step:")


def users_own(metadata: dict[str, Any]) -> dict[str, Any]:
    """Without what the frameworks say of graphs and models: there, it would be believed."""
    return {key: value for key, value in metadata.items() if not key.startswith(FRAMEWORK)}


def opening(run: Run) -> Event:
    """The row of an attempt that starts."""
    content = msgspec.json.encode({"chain": run.graph_id}).decode()
    return event_of(run.run_id, "run.start", "trace", "lead_agent", content, attempt=run.attempt)


def closing(run: Run, outputs: str | None) -> Event:
    """The row of a run that has ended; `outputs` is what its graph gave, in JSON."""
    match run.status:
        case RunStatus.SUCCESS:
            return event_of(run.run_id, "run.end", "outputs", "lead_agent", outputs or "null", status=run.status)
        case RunStatus.INTERRUPTED:
            return event_of(run.run_id, "run.end", "outputs", "lead_agent", "null", status=run.status)
        case _:
            kind, text = (run.error.error, run.error.message) if run.error else ("", "")
            content = msgspec.json.encode(text).decode()
            return event_of(run.run_id, "run.error", "error", "lead_agent", content, error_type=kind, status=run.status)


def event_of(run_id: str, event_type: str, category: str, caller: str, content: str, **facts: Any) -> Event:
    """A row, not numbered yet; what is no message is cut to size."""
    if category != "message" and len(content) * 4 > LONGEST and (length := len(content.encode())) > LONGEST:
        text = content.encode()[:LONGEST].decode(errors="ignore")
        content = msgspec.json.encode(text).decode()
        facts |= {"content_truncated": True, "original_byte_length": length}
    return Event(
        seq=0,
        run_id=run_id,
        event_type=event_type,
        category=category,
        caller=caller,
        content=content,
        metadata=msgspec.json.encode({"caller": caller, **facts}).decode(),
        created_at=datetime.now(UTC),
    )
