"""How the gateway dialect writes a stream: LF, a last event without an id, and gaps that move no cursor."""

import msgspec

from storage.records import END, Gap, Part
from web.shapes import text_of, told
from web.sse import RETRY_MS, come_back, failure_of, lost, one_line

HEARTBEAT = b": heartbeat\n\n"

HEADERS = {"cache-control": "no-cache", "connection": "keep-alive", "x-accel-buffering": "no"}

FRAME = b"event: %b\ndata: %b\nid: %d-%d\n\n"

FAREWELL = b"event: end\ndata: null\n\n"


class GatewayWire:
    farewell = FAREWELL

    def __init__(self, *, mask_errors: bool) -> None:
        self._mask_errors = mask_errors

    def frame(self, part: Part) -> bytes:
        if part.event == END:
            return self._end(part)
        return FRAME % (one_line(part.event), part.data, part.ms, part.seq)

    def gap(self, gap: Gap, run_id: str, requested: str | None) -> bytes:
        """Nothing for a reader who had nothing: it gets the earliest that is kept, and has lost nothing."""
        return b"event: gap\ndata: %b\n\n" % lost(gap, run_id, requested) if requested else b""

    def reconnect(self, run_id: str) -> bytes:
        return b"retry: %d\nevent: reconnect\ndata: %b\n\n" % (RETRY_MS, come_back(run_id))

    def _end(self, part: Part) -> bytes:
        failure = failure_of(part)
        if failure is None:
            return FAREWELL
        said = {"message": text_of(told(failure, mask=self._mask_errors)), "name": failure.error}
        return FRAME % (b"error", msgspec.json.encode(said), part.ms, part.seq) + FAREWELL
