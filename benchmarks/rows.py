"""Measures the ledger with ten million model calls: what queries take, and whether they hold up who writes.

python -m benchmarks.rows
"""

import asyncio
import resource
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch
from uuid import UUID

import click
from duckdb import DuckDBPyConnection
from uuid_utils import uuid7

from storage import queries, recordings, usage
from storage.accounting import CallStatus, ModelCall, Origin, Recording, Usage, UsageSource
from storage.bindings import Bind, bind
from storage.commits import Write
from storage.database import Database
from storage.records import Binding

ROWS = 10_000_000
CALLS_PER_RUN = 20
THREADS = 2_000
DAYS = 90
SLICE = 25_000
"""Runs whose calls are made at once."""

BETWEEN = 0.01
"""Seconds between two commits."""

ALL = "ffffffff-ffff-ffff-ffff-ffffffffffff"
QUERIES = ("by_day", "by_day_of_a_week", "by_model", "by_thread", "by_one_thread", "by_node", "latency_of_a_day")

_SQL = queries.load(str(Path(__file__).with_suffix("")))


@click.command()
@click.option("--rows", default=ROWS, show_default=True, type=click.IntRange(10_000), help="Model calls to make.")
@click.option("--folder", type=click.Path(path_type=Path), help="Where to make them; else in the temporary folder.")
@click.option("--commits", default=300, show_default=True, type=click.IntRange(2), help="Commits to time.")
def main(rows: int, folder: Path | None, commits: int) -> None:
    """Make rows, measure, and remove them."""
    with tempfile.TemporaryDirectory(prefix="treadle-rows-", dir=folder) as place:
        asyncio.run(_measure(Path(place) / "treadle.duckdb", rows, commits))


async def _measure(path: Path, rows: int, commits: int) -> None:
    await _in_database(path, partial(_make, rows=rows))
    _say("file with the primary key", f"{_size(path)} MB")
    await _in_database(path, _compare)
    await _in_database(path, _ask_all)
    await _in_database(path, partial(_write_beside, commits=commits))


async def _in_database(path: Path, measure: Callable[[Database], Awaitable[None]]) -> None:
    database, start = Database(str(path)), time.perf_counter()
    with patch("storage.database.close_doors"):  # it copies the database and tries settings, which nobody else may
        await database.open()
    _say("open", _ms(time.perf_counter() - start))
    try:
        await measure(database)
    finally:
        await database.close()


async def _make(database: Database, rows: int) -> None:
    runs, start = rows // CALLS_PER_RUN, time.perf_counter()
    await database.read(_run, "runs", threads=THREADS, runs=runs, days=DAYS)
    firsts = [first for (first,) in await database.read(_run, "slices", size=SLICE)]
    for first, following in zip(firsts, [*firsts[1:], None], strict=True):
        last = str(UUID(int=UUID(following).int - 1)) if following else ALL
        await database.read(_run, "calls", calls_per_run=CALLS_PER_RUN, first=first, last=last)
        await database.read(_roll_up, first, last)
    await database.read(_run, "threads")
    _say(f"make {rows:,} rows", f"{time.perf_counter() - start:.1f} s")


async def _compare(database: Database) -> None:
    """With a copy that has no primary key; and what the key costs when it is used for the first time."""
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "copy.duckdb"
        await database.read(_run, "beside", path=str(path))
        await database.read(_run, "copy")
        await database.read(_run, "fold_beside")
        await database.read(_run, "leave")
        _say("file without it", f"{_size(path)} MB")
    before, ((thread_id, run_id),) = _resident(), await database.read(_run, "runs_of_threads", limit=1)
    recording = partial(_recording, thread_id, run_id, await _bound(database, thread_id))
    took = await _timed(partial(_record_and_see, database, recording()))
    _say("first commit, made by DuckDB", f"{_ms(took)}, {_megabytes(_resident() - before)} MB more memory")
    _say("checkpoint after it", _ms(await _timed(_reading(database, "fold"))))
    ((total, index),) = await database.read(_run, "memory")
    _say("DuckDB's memory", f"{_megabytes(total)} MB, of indexes {_megabytes(index)} MB")


async def _ask_all(database: Database) -> None:
    ((thread_id,),) = await database.read(_run, "a_thread")
    ((_, run_id),) = await database.read(_run, "runs_of_threads", limit=1)
    given = {"thread_id": thread_id, "run_id": run_id}
    for threads in ("one_thread", "two_threads"):
        await database.read(_run, threads)
        _say(f"-- DuckDB with {threads.replace('_', ' ')}")
        for name in QUERIES:
            wanted = {key: value for key, value in given.items() if f"${key}" in _SQL[name].query}
            _say(name, await _median(_reading(database, name, **wanted)))
        for name in (thread_id, "always"):
            ((*_, runs),) = await database.read(_run, "range_of_runs", thread_id=name)
            _say(
                f"token-usage of a thread with {runs} runs in {'90 days' if name == 'always' else '3 days'}",
                await _median(partial(_usage_of_thread, database, name)),
            )
        _say("roll-up of a run", await _median(_reading(database, "roll_up_of_a_run", run_id=run_id), 50))
        small = [await _timed(_reading(database, "range_of_runs", thread_id=thread_id)) for _ in range(300)]
        _say("a small read by an index", _spread(small))
    await database.read(_run, "one_thread")


async def _write_beside(database: Database, commits: int) -> None:
    """How long commits take, alone and while two full scans run in a loop."""
    found = await database.read(_run, "runs_of_threads", limit=50)
    making = [partial(_recording, *run, await _bound(database, run[0])) for run in dict(found).items()]
    for scans in (0, 2):
        stop = asyncio.Event()
        scanning = [asyncio.create_task(_scan(database, stop)) for _ in range(scans)]
        await asyncio.sleep(0.2)  # until they are under way
        taken: list[float] = []
        reads: list[float] = []
        for number in range(commits):
            recording = making[number % len(making)]()
            taken.append(await _timed(partial(_record, database, recording)))
            if number % 10 == 0:
                reads.append(await _timed(_reading(database, "range_of_runs", thread_id=recording.thread_id)))
            await asyncio.sleep(BETWEEN)
        stop.set()
        done = await asyncio.gather(*scanning)
        beside = f"{sum(done)} scans beside" if scans else "alone"
        _say(f"commits of {CALLS_PER_RUN} rows, {beside}", _spread(taken))
        _say(f"reads that see them, {beside}", _spread(reads))


async def _scan(database: Database, stop: asyncio.Event) -> int:
    done = 0
    while not stop.is_set():
        await database.read(_run, "by_node")
        done += 1
    return done


async def _bound(database: Database, thread_id: str) -> int:
    """The epoch under which its actor may write."""
    (outcome,) = await database.write_each([Write(bind, Bind(thread_id, must_exist=False), (thread_id,))])
    assert isinstance(outcome, Binding), outcome
    return outcome.epoch


async def _record(database: Database, recording: Recording) -> None:
    (outcome,) = await database.write_each([Write(recordings.record, recording, (recording.thread_id,))])
    assert outcome is None, outcome


async def _record_and_see(database: Database, recording: Recording) -> None:
    await _record(database, recording)
    await database.read(_run, "roll_up_of_a_run", run_id=recording.calls[0].origin.run_id)


def _recording(thread_id: str, run_id: str, epoch: int) -> Recording:
    return Recording(
        thread_id=thread_id, epoch=epoch, calls=tuple(_call(thread_id, run_id) for _ in range(CALLS_PER_RUN))
    )


def _call(thread_id: str, run_id: str) -> ModelCall:
    origin = Origin(
        thread_id=thread_id,
        run_id=run_id,
        user_id="u1",
        assistant_id="a1",
        assistant_version=1,
        graph_id="research",
        tags=[],
        metadata={},
    )
    return ModelCall(
        call_id=str(uuid7()),
        origin=origin,
        attempt=1,
        provider="provider1",
        model="model-1",
        started_at=datetime.now(UTC),
        usage=Usage(input_tokens=1000, output_tokens=100, total_tokens=1100, usage_source=UsageSource.REPORTED),
        status=CallStatus.SUCCESS,
    )


async def _usage_of_thread(database: Database, thread_id: str) -> None:
    """As `GET /api/threads/{thread_id}/token-usage` asks it."""
    assert (await database.read(partial(usage.of_thread, include_active=False), thread_id)).by_model


def _roll_up(db: DuckDBPyConnection, first: str, last: str) -> None:
    """As the ends of the runs do."""
    run_ids = [run_id for (run_id,) in _run(db, "slice", first=first, last=last)]
    db.execute(queries.load("calls")["roll_up_each"], {"run_id": run_ids})


def _reading(database: Database, name: str, **given: Any) -> Callable[[], Awaitable[Any]]:
    async def read() -> None:
        await database.read(_run, name, **given)

    return read


def _run(db: DuckDBPyConnection, name: str, **given: Any) -> list[tuple[Any, ...]]:
    return db.execute(_SQL[name], given).fetchall()


async def _timed(ask: Callable[[], Awaitable[Any]]) -> float:
    start = time.perf_counter()
    await ask()
    return time.perf_counter() - start


async def _median(ask: Callable[[], Awaitable[Any]], times: int = 5) -> str:
    taken = [await _timed(ask) for _ in range(times)]
    return f"{_ms(statistics.median(taken))} (from {_ms(min(taken))} to {_ms(max(taken))})"


def _spread(taken: Sequence[float]) -> str:
    percentiles = statistics.quantiles(taken, n=100, method="inclusive")
    return f"p50 {_ms(percentiles[49])}, p99 {_ms(percentiles[98])}, longest {_ms(max(taken))}"


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize()


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"


def _size(path: Path) -> int:
    return _megabytes(path.stat().st_size)


def _megabytes(count: int) -> int:
    return round(count / 1e6)


def _say(what: str, figure: str = "") -> None:
    click.echo(f"{what:60} {figure}".rstrip())


if __name__ == "__main__":
    main()
