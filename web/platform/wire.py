"""How the Platform dialect writes a stream: CRLF, an id on every event, heartbeats without an empty line."""

import msgspec
from msgspec import Struct

from storage.records import END, METADATA, Gap, Part
from web.shapes import told
from web.sse import RETRY_MS, come_back, failure_of, lost, one_line

HEARTBEAT = b": heartbeat\r\n"
"""Without an empty line: the JavaScript client takes one for an event."""

HEADERS = {"cache-control": "no-store", "connection": "keep-alive", "x-accel-buffering": "no"}

FRAME = b"event: %b\r\ndata: %b\r\nid: %d-%d\r\n\r\n"


class Started(Struct, frozen=True):
    """What `metadata` says here."""

    run_id: str
    attempt: int


class Finished(Struct, frozen=True):
    """What `end` says here."""

    run_id: str
    status: str
    """A RunStatus, or `rollback`."""


class PlatformWire:
    farewell = b""

    def __init__(self, *, mask_errors: bool) -> None:
        self._mask_errors = mask_errors

    def frame(self, part: Part) -> bytes:
        if part.event in (METADATA, END):
            return self._control(part)
        return FRAME % (one_line(part.event), part.data, part.ms, part.seq)

    def gap(self, gap: Gap, run_id: str, requested: str | None) -> bytes:
        return FRAME % (b"gap", lost(gap, run_id, requested), gap.ms, _last_lost(gap))

    def reconnect(self, run_id: str) -> bytes:
        return b"retry: %d\r\nevent: reconnect\r\ndata: %b\r\n\r\n" % (RETRY_MS, come_back(run_id))

    def _control(self, part: Part) -> bytes:
        if part.event == METADATA:
            return FRAME % (b"metadata", _again(part, Started), part.ms, part.seq)
        if failure := failure_of(part):
            told_so = msgspec.json.encode(told(failure, mask=self._mask_errors))
            return FRAME % (b"error", told_so, part.ms, part.seq)
        return FRAME % (b"end", _again(part, Finished), part.ms, part.seq)


def _again(part: Part, shape: type[Struct]) -> bytes:
    """A part's data, with the fields of `shape` alone."""
    return msgspec.json.encode(msgspec.json.decode(part.data, type=shape))


def _last_lost(gap: Gap) -> int:
    """The last number that is gone. With nothing kept, only the end is still to come."""
    if gap.first is not None:
        return gap.first - 1
    return gap.after if gap.last is None else max(gap.after, gap.last - 1)
