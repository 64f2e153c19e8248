"""The measuring client: raw sockets, one connection a client, kept alive as clients of a real server keep theirs."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Any, cast
from urllib.parse import urlsplit

import msgspec

from benchmarks.subject import MeasuringError, Reading
from benchmarks.wire import Answer
from benchmarks.workloads import Workload

DEADLINE = 120.0
"""Seconds that one request may take; longer means that the server has lost it."""


class HttpClient:
    """One client of a server that speaks the Platform dialect."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._connection: _Connection | None = None

    async def new_thread(self) -> str:
        answer = await self.post("/threads", {})
        return msgspec.json.decode(answer.body)["thread_id"]

    async def stream(self, thread_id: str, workload: Workload) -> Reading:
        return _whole(await self.post(f"/threads/{thread_id}/runs/stream", _create(workload)), workload)

    async def background(self, thread_id: str, workload: Workload) -> str:
        """Have a run accepted, which nobody waits for."""
        answer = await self.post(f"/threads/{thread_id}/runs", _create(workload))
        return msgspec.json.decode(answer.body)["run_id"]

    async def join(self, thread_id: str, run_id: str, workload: Workload) -> Reading:
        """Take everything that a run says, from its first event on."""
        return _whole(await self._ask("GET", f"/threads/{thread_id}/runs/{run_id}/stream"), workload)

    async def wait(self, thread_id: str, workload: Workload) -> Reading:
        answer = await self.post(f"/threads/{thread_id}/runs/wait", _create(workload))
        if "messages" not in msgspec.json.decode(answer.body):
            raise MeasuringError(f"A run of {workload.graph} failed: {answer.body[:500].decode()}")
        return Reading(None, None, 0, answer.size)

    async def post(self, path: str, body: dict[str, Any]) -> Answer:
        return await self._ask("POST", path, msgspec.json.encode(body))

    async def is_up(self) -> bool:
        """Also leaves the connection open, for what is asked next."""
        try:
            await self._ask("GET", "/ok")
        except MeasuringError:
            return False
        return True

    def close(self) -> None:
        if self._connection:
            self._connection.close()

    async def _ask(self, method: str, path: str, body: bytes = b"") -> Answer:
        head = f"{method} {path} HTTP/1.1\r\nHost: {self._host}:{self._port}\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        try:
            async with asyncio.timeout(DEADLINE):
                connection = await self._connected()
                answer = await connection.ask(head.encode() + body)
        except OSError as error:  # a TimeoutError is one as well
            self.close()  # what still comes belongs to nobody
            raise MeasuringError(f"{method} {path}: {error or 'no answer'}") from error
        if answer.status != 200:
            raise MeasuringError(f"{method} {path} answered {answer.status}: {answer.body[:500].decode()}")
        return answer

    async def _connected(self) -> "_Connection":
        if self._connection is None or self._connection.is_closed:
            loop = asyncio.get_running_loop()
            _, self._connection = await loop.create_connection(_Connection, self._host, self._port)
        return self._connection


@asynccontextmanager
async def connected(url: str) -> AsyncGenerator[HttpClient, None]:
    parts = urlsplit(url)
    client = HttpClient(parts.hostname or "127.0.0.1", parts.port or 80)
    try:
        yield client
    finally:
        client.close()


def _whole(answer: Answer, workload: Workload) -> Reading:
    events = answer.events
    if events.failed or events.count < workload.least:
        raise MeasuringError(f"A stream of {workload.graph} failed or broke off after {events.count} events.")
    return Reading(events.first, events.spoke, events.count, answer.size, events.delays)


def _create(workload: Workload) -> dict[str, Any]:
    return {"assistant_id": workload.graph, "input": workload.input, "stream_mode": [workload.stream_mode]}


class _Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self.is_closed = False
        self._transport: asyncio.Transport | None = None
        self._answer = Answer()
        self._done: asyncio.Future[Answer] | None = None

    async def ask(self, request: bytes) -> Answer:
        assert self._transport, "create_connection returns after connection_made"
        self._answer = Answer()
        self._done = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._done

    def close(self) -> None:
        if self._transport:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # TCP both reads and writes

    def data_received(self, data: bytes) -> None:
        self._answer.feed(data, perf_counter())
        if self._answer.done and self._done and not self._done.done():
            self._done.set_result(self._answer)

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_closed = True
        if self._done and not self._done.done():
            self._done.set_exception(MeasuringError(f"The server hung up in the middle of an answer: {exc}"))
