"""One move of a thread at a time, and the news of it for whoever waits."""

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager

from storage.errors import UnavailableError


class Turn:
    """A thread's lock, how many hold it or wait for it, and the news that it has moved."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.users = 0
        self.refusal: UnavailableError | None = None
        """Why those who wait for the thread need wait no longer."""
        self._waiters: set[asyncio.Future[None]] = set()

    @contextmanager
    def refusing(self) -> Generator[None, None, None]:
        """What is unavailable in the block is so to all who wait: it may be long until the disk has room."""
        self.refusal = None
        try:
            yield
        except UnavailableError as error:
            self.refusal = error
            raise

    def tell(self) -> None:
        for waiter in self._waiters:
            _wake(waiter)

    async def moved(self, *, within: float) -> None:
        """Return when it has moved, or after `within` seconds."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        timer = loop.call_later(within, _wake, waiter)
        self._waiters.add(waiter)
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)
            timer.cancel()


class Turns:
    """Of all threads; each is there as long as anybody attends to its thread."""

    def __init__(self) -> None:
        self._turns: dict[str, Turn] = {}

    def __contains__(self, thread_id: str) -> bool:
        return thread_id in self._turns

    @contextmanager
    def attended(self, thread_id: str) -> Generator[Turn, None, None]:
        turn = self._turns.setdefault(thread_id, Turn())
        turn.users += 1
        try:
            yield turn
        finally:
            turn.users -= 1
            if not turn.users:
                del self._turns[thread_id]

    @asynccontextmanager
    async def moving(self, thread_id: str) -> AsyncGenerator[Turn, None]:
        """Move a thread: one move at a time, and whoever waits for it hears of each."""
        with self.attended(thread_id) as turn:
            try:
                async with turn.lock:
                    yield turn
            finally:
                turn.tell()


def _wake(waiter: "asyncio.Future[None]") -> None:
    if not waiter.done():
        waiter.set_result(None)
