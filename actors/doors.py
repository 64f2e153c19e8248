"""Where other processes ask for the methods of an object (`actors.links` is the other end)."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import aclosing
from operator import attrgetter
from pathlib import Path
from typing import Any

from actors.errors import FaultError
from actors.frames import Kind, Message
from actors.links import UNREAD, Connection, Links, kept_from_children
from storage.errors import ServiceError

logger = logging.getLogger(__name__)


class Door:
    """Where other processes ask for the methods of an object, which is opened at the start, or else at the next call.

    Methods are named by their path (`lobby.submit`); those that begin with `_` are not for others.
    """

    def __init__(self, address: str, open_object: Callable[["Links"], Awaitable[Any]]) -> None:
        self._address = address
        self._open_object = open_object
        self._links = Links()
        self._object: Any = None
        self._opening = asyncio.Lock()
        self._server: asyncio.Server | None = None
        self._visitors: set[_Visitor] = set()

    async def listen(self) -> None:
        """Take the address over from a process that has ended, and answer from now on."""
        Path(self._address).unlink(missing_ok=True)  # noqa: ASYNC240 - once, before there is anybody to keep waiting
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(self._visit, self._address, backlog=1024)
        for listener in self._server.sockets:
            kept_from_children(listener.fileno())

    async def opened(self) -> Any:
        """The object. Raises what opening it raises, and then tries again at the next call."""
        async with self._opening:
            if self._object is None:
                self._object = await self._open_object(self._links)
        return self._object

    async def method(self, path: str) -> Callable[..., Any]:
        assert not any(name.startswith("_") for name in path.split(".")), f"{path} is private"
        return attrgetter(path)(self._object or await self.opened())

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for visitor in list(self._visitors):
            visitor.close()
        self._links.close()

    def _visit(self) -> "_Visitor":
        visitor = _Visitor(self, self._visitors.discard)
        self._visitors.add(visitor)
        return visitor


class _Visitor(Connection):
    """The end that answers. With the connection, its streams end; its calls are carried to their end."""

    def __init__(self, door: Door, on_lost: "Callable[[_Visitor], object]") -> None:
        super().__init__()
        self._door = door
        self._on_lost = on_lost
        self._tasks: set[asyncio.Task[None]] = set()
        self._outflows: dict[int, _Outflow] = {}

    def heard(self, message: Message) -> None:
        match message.kind:
            case Kind.CALL:
                self._hold(self._call(message.number, *message.said))
            case Kind.TELL:
                self._hold(self._obey(*message.said))
            case Kind.STREAM:
                self._begin(message.number, *message.said)
            case Kind.MORE if outflow := self._outflows.get(message.number):
                outflow.allow(message.said)
            case Kind.STOP if outflow := self._outflows.get(message.number):
                outflow.task.cancel()
            case _:  # the late echo of a stream that has ended
                return

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        for outflow in self._outflows.values():
            outflow.task.cancel()
        self._on_lost(self)

    async def _call(self, number: int, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        try:
            self.send(Kind.RESULT, number, await (await self._door.method(method))(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
            self.send(Kind.ERROR, number, _sendable(method, error))

    async def _obey(self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        try:
            await (await self._door.method(method))(*args, **kwargs)
        except Exception:  # nobody awaits it, so this is the last place to say it
            logger.exception("%s failed", method)

    def _begin(self, number: int, method: str, args: tuple[Any, ...], _: dict[str, Any]) -> None:
        outflow = self._outflows[number] = _Outflow()
        outflow.task = self._hold(self._stream(number, outflow, method, args))
        outflow.task.add_done_callback(lambda _: self._outflows.pop(number))

    async def _stream(self, number: int, outflow: "_Outflow", method: str, args: tuple[Any, ...]) -> None:
        try:
            items: AsyncGenerator[Any, None] = (await self._door.method(method))(*args)
            async with aclosing(items):
                async for item in items:
                    await outflow.allowed()
                    while not self.room.is_set():
                        await self.room.wait()
                    self.send(Kind.ITEM, number, item)
            self.send(Kind.END, number)
        except Exception as error:  # noqa: BLE001 - as above
            self.send(Kind.ERROR, number, _sendable(method, error))

    def _hold(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


class _Outflow:
    """A stream as its sender sees it: how many items more its reader takes."""

    task: "asyncio.Task[None]"

    def __init__(self) -> None:
        self._left = UNREAD
        self._more = asyncio.Event()

    def allow(self, items: int) -> None:
        self._left += items
        self._more.set()

    async def allowed(self) -> None:
        while not self._left:
            self._more.clear()
            await self._more.wait()
        self._left -= 1


def _sendable(method: str, error: Exception) -> Exception:
    """Our own kinds as they are: they cross by pickle. Of others their text; the whole is in this process's log."""
    if isinstance(error, ServiceError):
        return error
    logger.error("%s failed", method, exc_info=error)
    return FaultError(f"{type(error).__name__}: {error}")
