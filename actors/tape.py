"""What a thread says: numbered once, kept by run, followed from anywhere by any number of readers."""

import asyncio
import time
from bisect import bisect_right
from collections.abc import AsyncGenerator, Callable
from operator import attrgetter

from actors.runtime import Batch
from storage.records import END, Gap, Part

BATCH_BYTES = 64 * 1024
"""Most that one batch holds, a single larger part excepted; a Ray object costs the same whatever its size."""

RUN_BYTES = 8 * 1024 * 1024
"""Most that is kept of one run; beyond it the oldest parts go, and a reader who wanted them gets a Gap."""

TAPE_BYTES = 16 * 1024 * 1024
"""Most that is kept of all runs; beyond it finished runs go, the oldest first."""

OVERHEAD = 200
"""What a part costs beside its data, in bytes, roughly."""

_seq = attrgetter("seq")


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class Tape:
    """One thread's log. It has one writer, the thread's actor, and belongs to one event loop."""

    def __init__(self, next_seq: int, reserved: int, clock: Callable[[], int] = now_ms, *, since_ms: int = 0) -> None:
        """No part is older than `since_ms`: ids never go back, though the clock may have been set back."""
        self.next_seq = next_seq
        self.reserved = reserved
        """The last number that readers may see; what lies beyond waits until more are reserved."""
        self._clock = clock
        self._last_ms = since_ms
        self._runs: dict[str, _RunTape] = {}
        self._bytes = 0
        self._closed = False

    def open_run(self, run_id: str, *, lost: int = 0) -> None:
        """Let readers wait for a run that has said nothing yet; or nothing here, but parts up to `lost` elsewhere."""
        self._runs.setdefault(run_id, _RunTape(lost))

    def holds(self, run_id: str) -> bool:
        return run_id in self._runs

    def number(self, run_id: str, event: str, data: bytes) -> Part:
        """The next part, which nobody sees before it is given to `publish`."""
        self._last_ms = max(self._last_ms, self._clock())
        part = Part(self.next_seq, self._last_ms, run_id, event, data)
        self.next_seq += 1
        return part

    def publish(self, part: Part) -> None:
        run = self._runs.setdefault(part.run_id, _RunTape())
        self._bytes += run.add(part)
        while run.size > RUN_BYTES and len(run.parts) > 1:
            self._bytes -= run.trim()
        if self._bytes > TAPE_BYTES:
            self._forget_finished()
        run.wake()

    def append(self, run_id: str, event: str, data: bytes) -> Part:
        part = self.number(run_id, event, data)
        self.publish(part)
        return part

    def said(self, run_id: str) -> list[Part]:
        """The first batch of what the run has said so far."""
        run = self._runs.get(run_id)
        return run.batch(0, self.reserved) if run else []

    def extend(self, reserved: int) -> None:
        """More numbers are reserved: show what waited for them."""
        self.reserved = reserved
        for run in self._runs.values():
            run.wake()

    def close(self) -> None:
        """The thread leaves this process: readers end without the run's end, and look for it elsewhere."""
        self._closed = True
        for run in self._runs.values():
            run.wake()

    def leave(self, run_id: str) -> None:
        """Forget a run that has ended: its readers end without its end, and look for it on the disk."""
        if run := self._runs.pop(run_id, None):
            self._bytes -= run.size
            run.left = True
            run.wake()

    def clear(self) -> None:
        """Forget all that was said, once those who follow it now have had it; its numbers are not used again."""
        self._runs, self._bytes = {}, 0

    async def follow(self, run_id: str, after: int, *, apart: float = 0.0) -> AsyncGenerator[Batch, None]:
        """The run's parts numbered above `after`: what is kept, then what comes, until its end or `close`.

        Batches are so many seconds `apart`, and what is said meanwhile comes along.
        """
        if (run := self._runs.get(run_id)) is None:
            return
        clock, not_before = asyncio.get_running_loop().time, 0.0
        while True:
            changed = run.changed  # taken before looking, so that nothing is missed in between
            if after > max(run.last, run.lost):
                after = 0  # a number that this run has not said: its reader knows nothing of it
            if run.lost > after:
                gap, after = run.gap(after), run.lost
                yield gap  # more may be lost until its reader comes back, and then that is said too
            elif batch := run.batch(after, self.reserved):
                if (early := not_before - clock()) > 0:
                    await asyncio.sleep(early)
                    continue
                not_before = clock() + apart
                yield batch
                after = batch[-1].seq
                if batch[-1].event == END:
                    return
            elif self._closed or run.left:
                return
            else:
                await changed.wait()

    def _forget_finished(self) -> None:
        for run_id in [run_id for run_id, run in self._runs.items() if run.ended]:
            if self._bytes <= TAPE_BYTES:
                return
            self._bytes -= self._runs.pop(run_id).size  # who follows it now keeps it until it has had it


class _RunTape:
    """One run's part of a tape."""

    def __init__(self, lost: int = 0) -> None:
        self.parts: list[Part] = []
        self.size = 0
        self.lost = lost
        """Number of the newest part that is not here any more; 0 when all are."""
        self.lost_ms = 0
        self.left = False
        self.changed = asyncio.Event()

    @property
    def last(self) -> int:
        return self.parts[-1].seq if self.parts else 0

    @property
    def ended(self) -> bool:
        return bool(self.parts) and self.parts[-1].event == END

    def gap(self, after: int) -> Gap:
        if not self.parts:
            return Gap(after, self.lost + 1, None, self.lost_ms)
        first, last = self.parts[0], self.parts[-1]
        return Gap(after, first.seq, last.seq, self.lost_ms, first.ms, last.ms)

    def add(self, part: Part) -> int:
        self.parts.append(part)
        size = len(part.data) + OVERHEAD
        self.size += size
        return size

    def trim(self) -> int:
        """Forget the older half; returns the bytes it held. Halves, because cutting a list's front costs its length."""
        half = max(1, len(self.parts) // 2)
        gone, self.parts = self.parts[:half], self.parts[half:]
        self.lost, self.lost_ms = gone[-1].seq, gone[-1].ms
        size = sum(len(part.data) + OVERHEAD for part in gone)
        self.size -= size
        return size

    def batch(self, after: int, reserved: int) -> list[Part]:
        """As many parts above `after` as fit, at least one if there is one."""
        start = end = bisect_right(self.parts, after, key=_seq)
        size = 0
        for part in self.parts[start : start + BATCH_BYTES // OVERHEAD]:
            size += len(part.data) + OVERHEAD
            if (size > BATCH_BYTES and end > start) or part.seq > reserved:
                break
            end += 1
        return self.parts[start:end]

    def wake(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()
