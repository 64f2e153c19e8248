"""What a thread says: on its tape, under numbers that the ledger has reserved, and behind that on disk."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing

from msgspec.structs import replace

from actors.errors import NotHereError
from actors.ports import LedgerPort, ScribePort
from actors.recalling import bounded
from actors.runtime import Batch
from actors.tape import Tape
from storage.errors import ServiceError
from storage.records import Binding, Gap, Part

logger = logging.getLogger(__name__)

NUMBERS_AHEAD = 5_000
"""When fewer numbers than this are reserved for the tape, more are asked for."""

NUMBERS_MORE = 10_000


class Voice:
    """One for an awake thread. Belongs to its event loop."""

    def __init__(self, binding: Binding, ledger: LedgerPort, scribe: ScribePort) -> None:
        self.tape = Tape(binding.next_seq, binding.reserved, since_ms=_newest_ms(binding))
        for run in binding.unfinished:
            self.tape.open_run(run.run_id, lost=binding.next_seq - 1 if run.first_seq else 0)
        self._thread_id = binding.thread_id
        self._epoch = binding.epoch
        self._ledger = ledger
        self._scribe = scribe
        self._reserving: asyncio.Task[None] | None = None

    def say(self, run_id: str, event: str, data: bytes) -> Part:
        """Readers have it at once, the disk soon."""
        part = self.tape.append(run_id, event, data)
        self._scribe.take(self._thread_id, self._epoch, part)
        if self.tape.reserved - self.tape.next_seq < NUMBERS_AHEAD and self._reserving is None:
            self._reserving = asyncio.create_task(self._reserve(), name=f"reserve for {self._thread_id}")
        return part

    async def kept(self, run_id: str) -> None:
        """Return when all that a run has said is on disk, or the disk has refused it."""
        await self._scribe.flush(run_id)

    def end(self, part: Part) -> None:
        """The last part of a run, which the ledger keeps."""
        self._scribe.close_run(part.run_id)
        self.tape.publish(part)

    async def follow(self, run_id: str, after: int, *, apart: float = 0.0) -> AsyncGenerator[Batch, None]:
        """The run's parts above `after`; ends without the run's end when the thread leaves this process."""
        if not self.tape.holds(run_id):
            raise NotHereError
        async with aclosing(self.tape.follow(run_id, after, apart=apart)) as batches:
            async for batch in batches:
                if isinstance(batch, Gap):
                    async for kept in self._recalled(run_id, batch):
                        yield kept
                else:
                    yield batch

    async def forget(self) -> None:
        """Forget all that was said, on disk; `tape.clear` does so here."""
        await self._scribe.forget(self._thread_id, self._epoch)

    async def _recalled(self, run_id: str, gap: Gap) -> AsyncGenerator[Batch, None]:
        """What is no longer in memory, from the disk; a gap only for what is not there either."""
        found = False
        await self._scribe.flush(run_id)
        async with aclosing(self._scribe.read(self._thread_id, run_id, gap.after, gap.first)) as kept:
            async for batch in kept:
                found = True
                yield _narrowed(batch, gap) if isinstance(batch, Gap) else batch
        if gap.is_trimmed and not found:
            yield gap

    async def _reserve(self) -> None:
        try:
            self.tape.extend(await self._ledger.reserve(self._thread_id, self._epoch, NUMBERS_MORE))
        except ServiceError as error:  # another actor holds the thread now, and this one will hear of it
            logger.info("No more numbers for thread %s: %s", self._thread_id, error)
        finally:
            self._reserving = None


def _newest_ms(binding: Binding) -> int:
    """When the thread was last changed, as far as the ledger knows."""
    known = [run.updated_at for run in binding.unfinished] + ([binding.thread.updated_at] if binding.thread else [])
    return max((int(moment.timestamp() * 1000) for moment in known), default=0)


def _narrowed(on_disk: Gap, in_memory: Gap) -> Gap:
    """What is neither here nor there: the disk may begin later than memory does."""
    known = bounded(on_disk, in_memory.last, in_memory.last_ms)
    if in_memory.first_ms and (known.first is None or known.first > (in_memory.first or 0)):
        return replace(in_memory, after=on_disk.after)
    return known
