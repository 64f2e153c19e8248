"""Answers that take their time: heartbeats while there is nothing to say, and what happens when either side goes."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from msgspec import Struct

from storage.errors import ConflictError, NotFoundError, UnavailableError
from web.stopping import BrokenOffError, GatewayStoppingError, Stopping

T = TypeVar("T")

Leave = Callable[[], Awaitable[None]]
"""What is to be done when the client goes before the answer is complete."""

PATIENCE = 5.0
"""Seconds that a gateway which stops gives to what its clients have left behind."""

logger = logging.getLogger(__name__)


class Beat(Struct, frozen=True):
    """What is sent when nothing else was for so many seconds."""

    sign: bytes
    interval: float


class LongAnswers:
    """The answers of one gateway that take their time."""

    def __init__(self, stopping: Stopping) -> None:
        self._stopping = stopping
        self._held: set[asyncio.Task[None]] = set()

    async def body(
        self, source: AsyncGenerator[bytes, None], beat: Beat, leave: Leave | None = None, farewell: bytes = b""
    ) -> AsyncGenerator[bytes, None]:
        """What `source` says, with heartbeats, until it ends, the gateway stops, or the client goes.

        `farewell` is the last that is said where the gateway stops.

        The client's going is a cancellation here, and each await in a cancelled scope is cancelled again.
        So whatever is still to do then is done by tasks of its own.
        """
        pending: asyncio.Task[bytes | None] | None = None
        with self._stopping.watched() as stopped:
            try:
                while True:
                    pending = asyncio.create_task(_next(source))
                    while not await _patiently(pending, stopped, beat.interval):
                        yield beat.sign
                    if (chunk := pending.result()) is None:
                        return
                    yield chunk
            except (asyncio.CancelledError, GeneratorExit):
                if leave and not self._stopping.begun:
                    self._hold(_done(leave), "client gone")
                raise
            except GatewayStoppingError:
                if farewell:
                    yield farewell
                raise
            except UnavailableError as error:
                logger.warning("An answer was broken off: %s", error)
                raise BrokenOffError from error
            finally:
                self._hold(_closed(source, pending), "answer closed")

    async def promptly(self, asked: Coroutine[Any, Any, T]) -> T:
        """What was asked for; or a refusal, if the gateway stops before it is there."""
        with self._stopping.watched() as stopped:
            task = asyncio.create_task(asked)
            try:
                await asyncio.wait((task, stopped), return_when=asyncio.FIRST_COMPLETED)
                if task.done():
                    return task.result()
                raise UnavailableError("This server is stopping; ask again.")
            finally:
                task.cancel()

    async def settled(self) -> None:
        """Return when everything that clients left behind has been done."""
        if self._held:
            await asyncio.wait(self._held, timeout=PATIENCE)

    def _hold(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._held.add(task)
        task.add_done_callback(self._release)

    def _release(self, task: asyncio.Task[None]) -> None:
        self._held.discard(task)
        if not task.cancelled() and (error := task.exception()):
            logger.error("After a client had gone (%s)", task.get_name(), exc_info=error)


async def _next(source: AsyncGenerator[bytes, None]) -> bytes | None:
    return await anext(source, None)


async def _patiently(pending: asyncio.Task[Any], stopped: asyncio.Future[None], interval: float) -> bool:
    """Whether `pending` is done, after waiting for that no longer than `interval`. Never cancels it."""
    await asyncio.wait((pending, stopped), timeout=interval, return_when=asyncio.FIRST_COMPLETED)
    if stopped.done():
        raise GatewayStoppingError
    return pending.done()


async def _done(leave: Leave) -> None:
    with suppress(NotFoundError, ConflictError):  # the run has ended by itself, or was deleted
        await leave()


async def _closed(source: AsyncGenerator[bytes, None], pending: asyncio.Task[Any] | None) -> None:
    if pending:
        pending.cancel()
        await asyncio.gather(pending, return_exceptions=True)
    await source.aclose()
