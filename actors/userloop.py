"""The event loop of user code, in an OS thread of its own.

A node that blocks delays its own loop, and nothing else in the process. Nothing of asyncio crosses between
the two loops: they meet through `call_soon_threadsafe`, here and nowhere else.
"""

import asyncio
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Generic, TypeVar

import uvloop

T = TypeVar("T")

EXIT_COPY = 71
"""Exit status of a forked child that would have gone on with its parent's loop, as if it were the parent."""


class StoppedError(Exception):
    """The work was cancelled, and has ended."""


class UserLoop:
    """An asyncio loop in a daemon thread, for coroutines that may do anything."""

    def __init__(self, name: str) -> None:
        # LangGraph wakes its loop from itself for every chunk, which costs asyncio's own loop three system calls each.
        self._loop = uvloop.new_event_loop()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()
        os.register_at_fork(after_in_child=partial(_end_copy, weakref.ref(self)))

    def start(self, work: Callable[[], Coroutine[Any, Any, T]]) -> "UserTask[T]":
        """Begin `work()` over there; call from the home loop."""
        return UserTask(self._loop, work)

    async def run(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Begin `work()` over there and wait for it. Cancelling the wait asks the work to stop."""
        task = self.start(work)
        try:
            return await task.ended()
        except asyncio.CancelledError:
            task.cancel()
            raise

    def stop(self) -> None:
        """End the loop, whatever is still on it."""
        self._stopping = True
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=1)

    def end_copy(self) -> None:
        """Call in a child that was just forked off: it ends where the step that forked it gives back to this loop."""
        if threading.get_ident() == self._thread.ident:
            self._loop.call_soon(os._exit, EXIT_COPY)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        while not self._stopping:
            try:
                self._loop.run_forever()
            except (SystemExit, KeyboardInterrupt):  # a node called sys.exit(): its task has failed, the loop goes on
                continue
        self._loop.close()


def _end_copy(loop: "weakref.ref[UserLoop]") -> None:
    if (known := loop()) is not None:
        known.end_copy()


class UserTask(Generic[T]):
    """A task on the user's loop, as the home loop sees it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, work: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self._loop = loop
        self._home = asyncio.get_running_loop()
        self._end: asyncio.Future[T] = self._home.create_future()
        self._end.add_done_callback(lambda end: end.exception())  # an end that nobody asks for is no fault
        self._task: asyncio.Task[T] | None = None
        loop.call_soon_threadsafe(self._begin, work)

    def cancel(self) -> None:
        """Ask it to stop. It has ended when `ended` says so, and not before."""
        self._loop.call_soon_threadsafe(self._cancel)

    async def ended(self) -> T:
        """What it returned, or raised; StoppedError when it was cancelled. May be asked often."""
        return await asyncio.shield(self._end)

    @property
    def has_ended(self) -> bool:
        return self._end.done()

    def _begin(self, work: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self._task = self._loop.create_task(work())
        self._task.add_done_callback(self._report)

    def _cancel(self) -> None:
        assert self._task is not None, "a task is begun before it is cancelled: both are calls to one loop, in order"
        self._task.cancel()

    def _report(self, task: asyncio.Task[T]) -> None:
        self._home.call_soon_threadsafe(self._settle, task)

    def _settle(self, task: asyncio.Task[T]) -> None:
        if self._end.done():  # nobody waits any more
            return
        if task.cancelled():
            self._end.set_exception(StoppedError())
        elif (error := task.exception()) is not None:
            self._end.set_exception(_harmless(error))
        else:
            self._end.set_result(task.result())


def _harmless(error: BaseException) -> Exception:
    """An exception that does not end the home loop: a node's SystemExit is a failure like any other."""
    return error if isinstance(error, Exception) else RuntimeError(f"{type(error).__name__}: {error}")


class Courier(Generic[T]):
    """Carries things home from the user's loop, in order, and many at a time when many have gathered."""

    def __init__(self, receive: Callable[[T], object]) -> None:
        self._home = asyncio.get_running_loop()
        self._receive = receive
        self._bag: deque[T] = deque()
        self._on_the_way = False

    def send(self, thing: T) -> None:
        """Call from the user's loop. One wake-up of the home loop carries all that gathers before it comes."""
        self._bag.append(thing)
        if not self._on_the_way:
            self._on_the_way = True
            self._home.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        self._on_the_way = False  # before looking: what comes from now on sends for the courier again
        while self._bag:
            self._receive(self._bag.popleft())
