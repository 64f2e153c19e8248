"""The threads that live in one process: a slot's one, or those that wait for a slot in the directory."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from actors.errors import NotHereError
from actors.outcomes import Leaving
from actors.ports import ExecutorPort, LedgerPort, ScribePort
from actors.project import RunLimits
from actors.runtime import Ended, StateUpdate, Submission
from actors.thread import Surroundings, ThreadActor
from storage.records import Binding, CancelAction, Run

APART = 0.003
"""Seconds between two batches of a stream: each costs both processes some CPU, whatever its size, so what is said
meanwhile had better come along."""

QUIET_AFTER = 0.001
"""Seconds without a run before the directory hears of it: a thread whose next run comes at once need not be told of."""

UNUSED_AFTER = 1.0
"""Seconds after which a thread that was taken in, and got nothing to do, counts as quiet."""


class Host:
    """Takes threads in, hands calls on to them, and lets them go. Raises NotHereError for strangers."""

    def __init__(  # noqa: PLR0913 - what a process gives its threads, by name
        self,
        ledger: LedgerPort,
        executor: ExecutorPort,
        scribe: ScribePort,
        *,
        held: bool,
        limits: RunLimits,
        on_quiet: Callable[[str], None],
        on_lost: Callable[[], None],
    ) -> None:
        self._ledger = ledger
        self._executor = executor
        self._scribe = scribe
        self._held = held
        self._limits = limits
        self._on_quiet = on_quiet
        self._on_lost = on_lost
        self._is_draining = False
        self._threads: dict[str, ThreadActor] = {}

    async def take(self, binding: Binding) -> None:
        thread_id = binding.thread_id
        around = Surroundings(
            scribe=self._scribe,
            held=self._held or self._is_draining,
            limits=self._limits,
            on_quiet=lambda: self._watch_quiet(thread, QUIET_AFTER),
            on_lost=self._on_lost,
        )
        thread = self._threads[thread_id] = ThreadActor(binding, self._ledger, self._executor, around)
        if self._is_draining:
            await thread.drain()
        self._watch_quiet(thread, UNUSED_AFTER)

    async def drain(self) -> bool:
        """Take no run in and start none any more; return when none is executed here. Whether one was."""
        self._is_draining = True
        return any(await asyncio.gather(*(thread.drain() for thread in self._threads.values())))

    async def let_go(self, thread_id: str) -> Leaving:
        """Whether the thread has left: it stays while it executes a run."""
        if (thread := self._threads.get(thread_id)) is None:
            return Leaving(left=True)
        leaving = await thread.close()
        if leaving.left:
            self._threads.pop(thread_id, None)
        return leaving

    async def threads(self) -> list[str]:
        """Those that are here."""
        return list(self._threads)

    async def submit(self, submission: Submission) -> Run:
        return await self._thread(submission.run.thread_id).submit(submission)

    async def update_state(self, change: StateUpdate) -> bytes:
        return await self._thread(change.thread_id).update_state(change)

    async def refresh(self, thread_id: str) -> None:
        await self._thread(thread_id).refresh()

    async def cancel(self, thread_id: str, run_id: str, action: CancelAction, reason: str) -> None:
        await self._thread(thread_id).cancel(run_id, action, reason)

    async def delete_run(self, run: Run) -> None:
        await self._thread(run.thread_id).delete_run(run)

    async def ended(self, thread_id: str, run_id: str) -> Run:
        return await self._thread(thread_id).ended(run_id)

    async def delete(self, thread_id: str) -> None:
        await self._thread(thread_id).delete()

    async def submit_and_stream(self, submission: Submission) -> AsyncGenerator[Any, None]:
        """First the run as it was admitted, with the first batch, which may be empty; then as `stream`.

        NotHereError comes first only if nothing was admitted: who hears that asks for the run elsewhere, as a new one.
        """
        thread = self._thread(submission.run.thread_id)
        run = await thread.submit(submission)
        await asyncio.sleep(0)  # a run that starts at once says so now, and that comes along with the answer
        first = thread.voice.tape.said(run.run_id)  # nothing, where the thread has just left
        yield run, msgspec.msgpack.encode(first)
        if first and first[-1].is_end:
            return
        async with aclosing(self.stream(run.thread_id, run.run_id, first[-1].seq if first else 0)) as items:
            async for item in items:
                yield item

    async def submit_and_wait(self, submission: Submission) -> AsyncGenerator[Any, None]:
        """First as `submit_and_stream`, with nothing said; then how the run has `Ended`.

        Who asked for that in a second call might come too late: then the thread has left.
        """
        run = await self.submit(submission)
        yield run, b""
        final = await self.ended(run.thread_id, run.run_id)
        yield Ended(final, await self.left_by(final))

    async def left_by(self, run: Run) -> bytes | UnsetType | None:  # noqa: ARG002 - for those who can read it
        """What a final run left, as `Runtime.result`; unset where that cannot be read."""
        return UNSET

    async def stream(self, thread_id: str, run_id: str, after: int) -> AsyncGenerator[bytes, None]:
        """The run's parts above `after`, each batch in MessagePack.

        Ends with the run's end, or before it when the thread leaves this process: the run goes on elsewhere.
        """
        async with aclosing(self._thread(thread_id).voice.follow(run_id, after, apart=APART)) as batches:
            async for batch in batches:
                yield msgspec.msgpack.encode(batch)

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
