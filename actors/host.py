"""The threads that live in one process: a slot's one, or those that wait for a slot in the directory.

Here too is the door through which other processes follow a run. Streams are Ray's, and a Ray generator that
returns waits for its consumer and blocks the whole process meanwhile (`notes/ray.md` §6). So a stream does not
return by itself after a run's end: it parks until its reader says that it has left.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

import msgspec

from actors.errors import NotHereError
from actors.ports import ExecutorPort, LedgerPort
from actors.runtime import Submission
from actors.tape import Reader
from actors.thread import Surroundings, ThreadActor
from storage.records import Binding, Gap, Run

APART = 0.003
"""Seconds between two batches of a stream, the first excepted: each costs both processes a millisecond of CPU,
whatever its size, so what is said meanwhile had better come along."""

QUIET_AFTER = 0.02
"""Seconds without a run before the directory hears of it: a thread whose next run comes at once need not be told of."""

UNUSED_AFTER = 1.0
"""Seconds after which a thread that was taken in, and got nothing to do, counts as quiet."""

PARKED_FOR = 600.0
"""Seconds for which a stream that has said all waits for its reader's farewell."""

FAREWELLS = 256
"""Readers remembered who left before they had come: two calls may overtake one another."""


class Host:
    """Takes threads in, hands calls on to them, and lets them go. Raises NotHereError for strangers."""

    def __init__(  # noqa: PLR0913 - what a process gives its threads, by name
        self,
        ledger: LedgerPort,
        executor: ExecutorPort,
        *,
        held: bool,
        grace: float,
        on_quiet: Callable[[str], None],
        on_lost: Callable[[], None],
    ) -> None:
        self._ledger = ledger
        self._executor = executor
        self._held = held
        self._grace = grace
        self._on_quiet = on_quiet
        self._on_lost = on_lost
        self._threads: dict[str, ThreadActor] = {}
        self._readers: dict[str, _Subscriber] = {}
        self._farewells: OrderedDict[str, None] = OrderedDict()

    async def take(self, binding: Binding) -> None:
        thread_id = binding.thread_id
        around = Surroundings(self._held, self._grace, lambda: self._watch_quiet(thread, QUIET_AFTER), self._on_lost)
        thread = self._threads[thread_id] = ThreadActor(binding, self._ledger, self._executor, around)
        self._watch_quiet(thread, UNUSED_AFTER)

    async def let_go(self, thread_id: str) -> bool:
        """Whether the thread has left: it stays while it executes a run."""
        if (thread := self._threads.get(thread_id)) is None:
            return True
        if not await thread.close():
            return False
        self._threads.pop(thread_id, None)
        return True

    async def submit(self, submission: Submission) -> Run:
        return await self._thread(submission.run.thread_id).submit(submission)

    async def cancel(self, thread_id: str, run_id: str, reason: str) -> None:
        await self._thread(thread_id).cancel(run_id, reason)

    async def ended(self, thread_id: str, run_id: str) -> Run:
        return await self._thread(thread_id).ended(run_id)

    async def delete(self, thread_id: str) -> None:
        await self._thread(thread_id).delete()

    async def submit_and_stream(self, subscription: str, submission: Submission) -> AsyncGenerator[Any, None]:
        """The run as it was admitted, with its parts, as `stream` gives them."""
        run = await self.submit(submission)
        await asyncio.sleep(0)  # a run that starts at once says so now, and that comes along with the answer
        async for batch in self.stream(subscription, run.thread_id, run.run_id, 0, admitted=run):
            yield batch

    async def stream(
        self, subscription: str, thread_id: str, run_id: str, after: int, *, admitted: Run | None = None
    ) -> AsyncGenerator[Any, None]:
        """The run's parts above `after`, each batch in MessagePack; then nothing, until `close(subscription)`.

        When the run was just admitted, the first item is the run together with the first batch, which may be empty.
        """
        subscriber = _Subscriber(self._thread(thread_id), run_id)
        if subscription in self._farewells:
            return
        self._readers[subscription] = subscriber
        try:
            if admitted is not None:
                first = subscriber.thread.tape.said(run_id)
                after = first[-1].seq if first else after
                yield admitted, msgspec.msgpack.encode(first)
            async with aclosing(subscriber.thread.follow(run_id, after, subscriber.reader)) as batches:
                async for batch in batches:
                    yield msgspec.msgpack.encode(batch)
                    if not isinstance(batch, Gap) and batch[-1].is_end:
                        break
                    await asyncio.sleep(APART)
                else:
                    yield b""  # says that the run goes on elsewhere
            await asyncio.wait_for(subscriber.farewell.wait(), PARKED_FOR)
        except TimeoutError:
            return
        finally:
            del self._readers[subscription]

    async def close(self, subscriptions: list[str]) -> None:
        """Readers have left; their streams end."""
        for subscription in subscriptions:
            self._close(subscription)

    def _close(self, subscription: str) -> None:
        if subscriber := self._readers.get(subscription):
            subscriber.farewell.set()
            subscriber.thread.tape.leave(subscriber.run_id, subscriber.reader)
            return
        self._farewells[subscription] = None
        if len(self._farewells) > FAREWELLS:
            self._farewells.popitem(last=False)

    @property
    def is_idle(self) -> bool:
        """Whether no thread here has a run in hand."""
        return all(thread.is_idle for thread in self._threads.values())

    def _watch_quiet(self, thread: ThreadActor, seconds: float) -> None:
        asyncio.get_running_loop().call_later(seconds, self._report_quiet, thread)

    def _report_quiet(self, thread: ThreadActor) -> None:
        if self._threads.get(thread.thread_id) is thread and thread.is_idle:
            self._on_quiet(thread.thread_id)

    def _thread(self, thread_id: str) -> ThreadActor:
        if (thread := self._threads.get(thread_id)) is None:
            raise NotHereError
        return thread


class _Subscriber:
    """Who follows a run from another process."""

    def __init__(self, thread: ThreadActor, run_id: str) -> None:
        self.thread = thread
        self.run_id = run_id
        self.reader = Reader()
        self.farewell = asyncio.Event()
