"""A server that always says the same bytes, at no cost: what the client reaches with it is the client's ceiling.

`python -m benchmarks.constant PORT` starts it.
"""

import asyncio
import sys
from typing import cast

import uvloop

from benchmarks.workloads import REPLY, TRIVIAL

_PADDING = b"x" * 1000
"""An event is then about as long as a chunk of a message with its metadata."""


class Constant(asyncio.Protocol):
    """One connection. A stream's events are written one by one, as a server does that gets them one by one."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._request = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # TCP both reads and writes

    def data_received(self, data: bytes) -> None:
        self._request += data
        head, found, body = self._request.partition(b"\r\n\r\n")
        if found and len(body) >= _length(head):
            self._request = b""
            self._answer(head.split()[1], body)

    def _answer(self, path: bytes, body: bytes) -> None:
        assert self._transport, "a request comes after its connection"
        if not path.endswith(b"/stream"):
            self._transport.write(_JSON)
            return
        for piece in _SHORT if b'"%s"' % TRIVIAL.graph.encode() in body else _LONG:
            self._transport.write(piece)


def _length(head: bytes) -> int:
    _, found, rest = head.lower().partition(b"content-length:")
    return int(rest.split(b"\r\n")[0]) if found else 0


def _json(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


def _stream(events: int) -> list[bytes]:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    names = [b"metadata", *[b"messages"] * events, b"end"]
    return [head, *(_chunk(b'event: %s\r\ndata: "%s"\r\n\r\n' % (name, _PADDING)) for name in names), _chunk(b"")]


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


_JSON = _json(b'{"thread_id":"the-only-one","messages":[]}')
_SHORT = _stream(TRIVIAL.least)
_LONG = _stream(REPLY.least)


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Constant, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(int(sys.argv[1])))
