"""Server-sent events: from a run's parts to bytes. What differs between the dialects is a Wire's."""

import re
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from functools import lru_cache
from typing import Protocol

import msgspec
from msgspec import Struct

from actors.runtime import Parts
from storage.records import END, METADATA, Failure, Gap, Part, Run, RunStatus, StreamMode

MEDIA_TYPE = "text/event-stream"
"""Litestar adds the charset."""

EVENT_ID = re.compile(r"[0-9]{1,18}-([0-9]{1,18})")
"""When a part was made, and its number: `1795358403512-3`. More digits than that fit into no counter of ours."""


RETRY_MS = 1000
"""When a client may come back whose stream this server has broken off: another answers at once, or this one soon."""


class Wire(Protocol):
    """A dialect's way to write what a stream hands out."""

    farewell: bytes
    """The end, for a reader who has already had the run's last part."""

    def reconnect(self, run_id: str) -> bytes:
        """The last that is heard of a server that stops. Without an id: it is no part of the run."""
        ...

    def frame(self, part: Part) -> bytes:
        """A part. This is the hot path: thousands a second."""
        ...

    def gap(self, gap: Gap, run_id: str, requested: str | None) -> bytes:
        """The news that parts after the id `requested` are gone."""
        ...


class Reader(Struct, frozen=True, kw_only=True):
    """Who follows a run: from where on, and what of it."""

    run_id: str
    after: int = 0
    last_id: str | None = None
    """The id of part `after`, as the client sent it."""
    wanted: frozenset[str] | None = None
    """Event names without namespace; None is everything."""


async def frames(parts: Parts, wire: Wire, reader: Reader) -> AsyncGenerator[bytes, None]:
    """One chunk of bytes a batch; nothing for a batch of which this reader wants nothing."""
    last_id, wanted = reader.last_id, reader.wanted
    async with aclosing(parts):
        async for batch in parts:
            if isinstance(batch, Gap):
                chunk = wire.gap(batch, reader.run_id, last_id)
            else:
                passing = batch if wanted is None else [part for part in batch if head(part.event) in wanted]
                chunk = b"".join(map(wire.frame, passing))
                last_id = event_id(passing[-1]) if passing else last_id
            if chunk:
                yield chunk


async def nothing_new(wire: Wire) -> AsyncGenerator[bytes, None]:
    """The stream of a finished run, for a reader who has had all of it."""
    if wire.farewell:
        yield wire.farewell


def reader_of(run: Run, last_event_id: str | None, wanted: frozenset[str] | None) -> Reader:
    """Where a client goes on that has had `last_event_id`; at the start, if that cannot be an id of this run."""
    found = EVENT_ID.fullmatch(last_event_id or "")
    after = int(found[1]) if found else 0
    if not found or after < (run.first_seq or 0) or (run.last_seq is not None and after > run.last_seq):
        return Reader(run_id=run.run_id, wanted=wanted)
    return Reader(run_id=run.run_id, after=after, last_id=last_event_id, wanted=wanted)


def has_had_all(run: Run, reader: Reader) -> bool:
    return run.status.is_final and reader.after == run.last_seq


def wanted_by(modes: Iterable[StreamMode]) -> frozenset[str] | None:
    """The event names that a filter by `modes` lets through; None, everything, for no mode."""
    names = {"messages" if mode is StreamMode.MESSAGES_TUPLE else mode.value for mode in modes}
    return frozenset(names | {METADATA, END}) if names else None


def failure_of(end: Part) -> Failure | None:
    """How a run failed, as its last part says; None if it did not."""
    ended = msgspec.json.decode(end.data, type=_Ended)
    return ended.error if ended.status in (RunStatus.ERROR, RunStatus.TIMEOUT) else None


def lost(gap: Gap, run_id: str, requested: str | None) -> bytes:
    """What both dialects say in a `gap`."""
    kept = gap.first is not None
    return msgspec.json.encode(
        {
            "code": "stream_replay_gap",
            "run_id": run_id,
            "requested_event_id": requested,
            "earliest_available_event_id": f"{gap.first_ms}-{gap.first}" if kept else None,
            "latest_available_event_id": f"{gap.last_ms}-{gap.last}" if kept else None,
            "recovery": "reload_durable_state",
        }
    )


def come_back(run_id: str) -> bytes:
    """What both dialects say in a `reconnect`."""
    return msgspec.json.encode({"code": "server_stopping", "run_id": run_id, "retry_ms": RETRY_MS})


def event_id(part: Part) -> str:
    return f"{part.ms}-{part.seq}"


@lru_cache(maxsize=4096)
def head(event: str) -> str:
    """An event's name without the namespace of a subgraph, and without what kind of message it is."""
    return event.partition("|")[0].partition("/")[0]


@lru_cache(maxsize=4096)
def one_line(event: str) -> bytes:
    """An event's name, fit for its line: a namespace has the names of the user's nodes."""
    return event.replace("\r", " ").replace("\n", " ").encode()


class _Ended(Struct, frozen=True):
    """What the last part of a run says on the tape."""

    status: str
    """A RunStatus, or `rollback`."""
    error: Failure | None = None
