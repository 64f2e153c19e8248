"""A run that has ended, from what is kept of it: its parts from the disk, and its end from its row."""

from collections.abc import AsyncGenerator

from actors.liverun import Ending, end_data
from actors.runtime import Batch
from actors.scribe import Scribe
from storage.records import END, Gap, Part, Run


async def recalled(scribe: Scribe, run: Run, after: int) -> AsyncGenerator[Batch, None]:
    """The run's parts above `after`, to its end; a Gap for what is no longer kept."""
    end_seq, end_ms = run.last_seq or 0, run.last_ms or 0
    if after >= end_seq > 0:
        return
    async for batch in scribe.read(run.thread_id, run.run_id, after):
        yield batch
    has_spoken = (run.first_seq or end_seq) < end_seq
    if has_spoken and after < end_seq - 1 and not await scribe.keeps(run.thread_id, run.run_id):
        yield Gap(after, None, end_seq, end_ms)
    data = end_data(run.run_id, Ending(run.status, run.error, run.rolled_back))
    yield [Part(end_seq, end_ms, run.run_id, END, data)]
