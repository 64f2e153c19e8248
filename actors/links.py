"""The way to objects in other processes: calls and streams over a socket of our own.

Ray starts our processes, names them and restarts them. What they say to one another goes past it: a call over a
Unix socket costs each side 10 to 50 µs, a Ray call 600 to 900 (`benchmarks/README.md`). And the end of a process, at
either side, is the end of the connection, which is noticed at once: nobody needs a lease, a ping or a farewell.
"""

import asyncio
import os
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, cast

from actors.errors import GoneError
from actors.frames import Cutter, Kind, Message, frame
from storage.errors import UnavailableError

UNREAD = 8
"""Items that a stream may be ahead of its reader, before it waits."""

MOST_OPEN = 20_000
"""Calls and streams that may be open on one connection; the next is refused, and may be tried again."""

UNSENT = 1024 * 1024
"""Bytes of a connection that may wait to be sent; beyond them its streams wait."""


class Peer:
    """`actors.remote.Handle`: an object behind an address, or a part of one. Costs nothing until it is called."""

    def __init__(self, links: "Links", address: str, part: str = "") -> None:
        self.address = address
        self._links = links
        self._part = part

    async def call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        link = self._links.known(self.address) or await self._links.open(self.address)
        return await link.call(self._part + method, args, kwargs)

    def tell(self, method: str, *args: Any) -> None:
        self._links.tell(self.address, self._part + method, args)

    async def stream(self, method: str, *args: Any) -> AsyncGenerator[Any, None]:
        link = self._links.known(self.address) or await self._links.open(self.address)
        inflow = link.stream(self._part + method, args)
        try:
            while (item := await inflow.next()) is not _END:
                yield item
        finally:
            link.leave(inflow)


class Links:
    """The connections of one process, opened when they are needed. Belongs to one event loop."""

    def __init__(self) -> None:
        self._links: dict[str, Link] = {}
        self._opening: dict[str, asyncio.Task[Link]] = {}
        self._telling: set[asyncio.Task[None]] = set()

    def to(self, address: str, part: str = "") -> Peer:
        return Peer(self, address, part)

    def known(self, address: str) -> "Link | None":
        """The connection, if it is open."""
        return self._links.get(address)

    async def open(self, address: str) -> "Link":
        """Raises GoneError if nobody listens there. Those who come together share one connection."""
        if address not in self._opening:
            self._opening[address] = asyncio.create_task(self._open(address), name=f"link to {address}")
        return await asyncio.shield(self._opening[address])

    def tell(self, address: str, method: str, args: tuple[Any, ...]) -> None:
        """A call whose answer nobody awaits, and which is lost if nobody listens there."""
        if link := self._links.get(address):
            link.tell(method, args)
            return
        task = asyncio.create_task(self._tell(address, method, args))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    def close(self) -> None:
        for link in list(self._links.values()):
            link.close()

    async def _open(self, address: str) -> "Link":
        loop = asyncio.get_running_loop()
        try:
            _, link = await loop.create_unix_connection(lambda: Link(lambda: self._links.pop(address, None)), address)
        except OSError as error:
            raise GoneError(f"Nobody listens at {Path(address).name}: {error.strerror}") from None
        finally:
            del self._opening[address]
        self._links[address] = link
        return link

    async def _tell(self, address: str, method: str, args: tuple[Any, ...]) -> None:
        with suppress(GoneError):
            (await self.open(address)).tell(method, args)


_OURS: dict[int, int] = {}
"""Sockets that only this process may have open: their numbers, and what the system calls them."""


def kept_from_children(number: int) -> Callable[[], object]:
    """Have a socket closed in children that user code forks: the end of this process has to be the end of it.

    Returns how to say that it has been closed here.
    """
    _OURS[number] = os.fstat(number).st_ino
    return partial(_OURS.pop, number, None)


def _close_in_child() -> None:
    for number, name in _OURS.items():
        with suppress(OSError):
            if os.fstat(number).st_ino == name:
                os.close(number)
    _OURS.clear()


os.register_at_fork(after_in_child=_close_in_child)


class Connection(asyncio.Protocol):
    """What both ends share: frames in and out, and whether there is room for more."""

    def __init__(self) -> None:
        self.room = asyncio.Event()
        self.room.set()
        self._cutter = Cutter()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._forget_fork = kept_from_children(transport.get_extra_info("socket").fileno())
        self._transport.set_write_buffer_limits(high=UNSENT)

    def data_received(self, data: bytes) -> None:
        for message in self._cutter.feed(data):
            self.heard(message)

    def pause_writing(self) -> None:
        self.room.clear()

    def resume_writing(self) -> None:
        self.room.set()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._forget_fork()
        self._transport = None
        self.room.set()  # what is sent from now on is dropped

    def heard(self, message: Message) -> None:
        """What the other end said."""
        raise NotImplementedError

    def send(self, kind: Kind, number: int, said: Any = None) -> None:
        """Raises whatever pickle raises for what cannot be sent; what nobody receives any more is dropped."""
        data = frame(Message(kind, number, said))
        if self._transport is not None:
            self._transport.write(data)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


class Link(Connection):
    """The end that asks."""

    def __init__(self, on_lost: Callable[[], object]) -> None:
        super().__init__()
        self._on_lost = on_lost
        self._numbers = count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._inflows: dict[int, _Inflow] = {}

    async def call(self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        number = self._next()
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        try:
            self.send(Kind.CALL, number, (method, args, kwargs))
            return await answer
        finally:
            del self._answers[number]

    def tell(self, method: str, args: tuple[Any, ...]) -> None:
        self.send(Kind.TELL, 0, (method, args, {}))

    def stream(self, method: str, args: tuple[Any, ...]) -> "_Inflow":
        number = self._next()
        inflow = self._inflows[number] = _Inflow(self, number)
        self.send(Kind.STREAM, number, (method, args, {}))
        return inflow

    def leave(self, inflow: "_Inflow") -> None:
        """The reader goes; if the stream has not ended, it ends now."""
        if self._inflows.pop(inflow.number, None) is not None and not inflow.has_ended:
            self.send(Kind.STOP, inflow.number)

    def heard(self, message: Message) -> None:
        if (answer := self._answers.get(message.number)) is not None:
            if not answer.done():
                _tell(answer, message)
        elif (inflow := self._inflows.get(message.number)) is not None:
            inflow.put(message)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._on_lost()
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(GoneError())
        for inflow in self._inflows.values():
            inflow.put(Message(Kind.ERROR, inflow.number, GoneError()))

    def _next(self) -> int:
        if self._transport is None:
            raise GoneError
        if len(self._answers) + len(self._inflows) >= MOST_OPEN:
            raise UnavailableError("Too many calls are open")
        return next(self._numbers)


_END = object()


class _Inflow:
    """A stream as its reader sees it: what has come and was not taken yet, at most `UNREAD`."""

    def __init__(self, link: Link, number: int) -> None:
        self.number = number
        self.has_ended = False
        self._link = link
        self._come: deque[Message] = deque()
        self._taken = 0
        self._waiter: asyncio.Future[None] | None = None

    def put(self, message: Message) -> None:
        self._come.append(message)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def next(self) -> Any:
        """The next item, or `_END`. Raises what the other side raised."""
        while not self._come:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        message = self._come.popleft()
        match message.kind:
            case Kind.ITEM:
                self._take()
                return message.said
            case Kind.END:
                self.has_ended = True
                return _END
            case _:
                self.has_ended = True
                raise message.said

    def _take(self) -> None:
        """Tell the other side of it in handfuls."""
        self._taken += 1
        if self._taken == UNREAD // 2:
            self._taken = 0
            self._link.send(Kind.MORE, self.number, UNREAD // 2)


def _tell(answer: asyncio.Future[Any], message: Message) -> None:
    if message.kind is Kind.RESULT:
        answer.set_result(message.said)
    else:
        answer.set_exception(message.said)
