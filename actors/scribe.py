"""Writes down what threads say, behind them: gathered for a moment, in an OS thread of its own.

A run waits for it once, before its end is told: so that what was said can be read as long as tapes are kept, whatever
happens to the process. What the disk refuses is lost to later readers, who are told so; no run fails for it.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from actors.runtime import Batch
from actors.tape import OVERHEAD
from storage.errors import StaleError
from storage.records import Gap, Part
from storage.tapes import Tapes

T = TypeVar("T")

WRITTEN_AFTER = 0.2
"""Seconds that a part waits for others."""

CHUNK_BYTES = 64 * 1024
"""Of parts that wait, before they are written at once."""

MOST_WAITING = 64 * 1024 * 1024
"""Bytes that may wait for a slow disk, of all runs; what comes on top is not written down."""

logger = logging.getLogger(__name__)


class Scribe:
    """One for a process. Belongs to one event loop."""

    def __init__(self, tapes: Tapes) -> None:
        self._tapes = tapes
        self._desk = ThreadPoolExecutor(1, "tapes")
        self._pages: dict[str, _Page] = {}
        self._last: dict[str, int] = {}
        self._waiting = 0
        self._is_refused = False

    def take(self, thread_id: str, epoch: int, part: Part) -> None:
        """Write down a part, soon, if no later epoch has written by then."""
        previous = self._last.get(part.run_id, 0)
        self._last[part.run_id] = part.seq
        if self._waiting > MOST_WAITING:
            logger.error("The disk is too slow for what thread %s says; part %s is not kept", thread_id, part.seq)
            return
        page = self._pages.get(part.run_id) or self._new_page(thread_id, epoch, part.run_id, previous)
        page.parts.append(part)
        page.size += len(part.data) + OVERHEAD
        if page.size >= CHUNK_BYTES:
            self._turn(part.run_id)

    async def flush(self, run_id: str) -> None:
        """Return when all that a run has said is written, or the disk has refused it."""
        self._turn(run_id)
        await self._at_desk(_nothing)  # whose turn comes after all that

    async def read(
        self, thread_id: str, run_id: str, after: int, before: int | None = None
    ) -> AsyncGenerator[Batch, None]:
        """What is kept of a run above part `after`, and below part `before`."""
        while (found := await self._at_desk(partial(self._tapes.next, thread_id, run_id, after))) is not None:
            if isinstance(found, Gap):
                assert found.first is not None, "a gap on a tape has an end"
                yield found
                after = found.first - 1
                continue
            parts = [part for part in found if before is None or part.seq < before]
            if parts:
                yield parts
            if len(parts) < len(found):
                return
            after = found[-1].seq

    async def keeps(self, thread_id: str, run_id: str) -> bool:
        """Whether anything of a run is kept."""
        return await self._at_desk(partial(self._tapes.keeps, thread_id, run_id))

    def close_run(self, run_id: str) -> None:
        """The run says no more."""
        self._last.pop(run_id, None)

    async def forget(self, thread_id: str, epoch: int) -> None:
        await self._at_desk(partial(self._tapes.forget_thread, thread_id, epoch))

    def _new_page(self, thread_id: str, epoch: int, run_id: str, previous: int) -> "_Page":
        timer = asyncio.get_running_loop().call_later(WRITTEN_AFTER, self._turn, run_id)
        page = self._pages[run_id] = _Page(thread_id, epoch, previous, timer)
        return page

    def _turn(self, run_id: str) -> None:
        """Hand a page on to be written."""
        if page := self._pages.pop(run_id, None):
            page.timer.cancel()
            self._waiting += page.size
            writing = self._at_desk(partial(self._tapes.append, page.thread_id, page.epoch, page.previous, page.parts))
            writing.add_done_callback(partial(self._written, page))

    def _written(self, page: "_Page", writing: "asyncio.Future[None]") -> None:
        self._waiting -= page.size
        error = None if writing.cancelled() else writing.exception()
        if isinstance(error, StaleError):
            logger.info("What thread %s said in an earlier epoch is not kept", page.thread_id)
            return
        if error and not self._is_refused:  # said once, however much is said until the disk takes it again
            logger.error("What thread %s said could not be kept: %s", page.thread_id, error)
        self._is_refused = error is not None

    def _at_desk(self, work: Callable[[], T]) -> "asyncio.Future[T]":
        return asyncio.get_running_loop().run_in_executor(self._desk, work)


class _Page:
    """Parts of a run that wait to be written together."""

    def __init__(self, thread_id: str, epoch: int, previous: int, timer: asyncio.TimerHandle) -> None:
        self.thread_id = thread_id
        self.epoch = epoch
        self.previous = previous
        self.timer = timer
        self.parts: list[Part] = []
        self.size = 0


def _nothing() -> None:
    """Takes its turn at the desk."""
