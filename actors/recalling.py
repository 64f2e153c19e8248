"""A run that has ended, from what is kept of it: its parts from the disk, and its end from its row."""

from collections.abc import AsyncGenerator

from msgspec.structs import replace

from actors.liverun import Ending, end_data
from actors.runtime import Batch
from actors.scribe import Scribe
from storage.records import END, Gap, Part, Run


def bounded(gap: Gap, last: int | None, last_ms: int) -> Gap:
    """A gap on the disk, by somebody who knows the newest part of the run that there is, wherever that is."""
    first, first_ms = (gap.first, gap.first_ms) if gap.first_ms else (last, last_ms)
    return replace(gap, first=first, first_ms=first_ms, last=last or first, last_ms=last_ms or first_ms)


async def recalled(scribe: Scribe, run: Run, after: int) -> AsyncGenerator[Batch, None]:
    """The run's parts above `after`, to its end; a Gap for what is no longer kept."""
    end_seq, end_ms = run.last_seq or 0, run.last_ms or 0
    if after >= end_seq > 0:
        return
    async for batch in scribe.read(run.thread_id, run.run_id, after):
        yield bounded(batch, end_seq, end_ms) if isinstance(batch, Gap) else batch
    has_spoken = (run.first_seq or end_seq) < end_seq
    if has_spoken and after < end_seq - 1 and not await scribe.keeps(run.thread_id, run.run_id):
        yield Gap(after, None, end_seq, end_ms)
    data = end_data(run.run_id, Ending(run.status, run.error, run.rolled_back))
    yield [Part(end_seq, end_ms, run.run_id, END, data)]
