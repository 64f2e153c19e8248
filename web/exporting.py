"""`treadle usage export`: Parquet files by day, which any engine reads without a server.

A day is written whole, beside the one that is there, and put in its place by a rename. What a file was made from stands
in its metadata, so the next export knows which days have changed, whatever became of this one.
"""

import fcntl
import os
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import msgspec
import pyarrow as pa
from msgspec import Struct
from pyarrow import parquet
from rich.console import Console

from storage import exports
from storage.exports import SCHEMA_VERSION, Exported
from storage.questions import Question
from web.asking import BusyError, NobodyError, Place, RefusedError, Source, TooLargeRefusalError, asking
from web.parquet import COMPRESSION
from web.sql import FAILED, NOBODY, complain, warn

PAGE = 20_000
"""Rows that are asked for at once, some 5 MB; fewer where they are larger than an answer may be."""

TRIES = 60
"""Times that a busy server is asked again, a second apart."""

console = Console(stderr=True, highlight=False, soft_wrap=True)


class Wanted(Struct, frozen=True):
    """What of a table is to be exported."""

    since: date | None = None
    until: date | None = None
    """Included."""
    page: int = PAGE


def run(*, to: Path, since: date | None, until: date | None, place: Place) -> int:
    """Export; the exit status."""
    try:
        with asking(place, warn) as source, _owning(to):
            for table in exports.TABLES:
                written, days = export(source, table, to, Wanted(since, until))
                console.print(f"{table.name}: {days} days, {written} of them written")
    except RefusedError as error:
        return complain(str(error), FAILED)
    except (NobodyError, OSError) as error:
        return complain(str(error), NOBODY)
    return 0


def export(source: Source, table: Exported, to: Path, wanted: Wanted) -> tuple[int, int]:
    """Write the days that are not there as they are now; how many those were, and how many days there are."""
    answer = _ask(source, exports.days(table, wanted.since, wanted.until))
    days: list[tuple[str, str]] = msgspec.json.decode(answer)["rows"]
    written = 0
    for day, state in days:
        path = to / table.name / f"day={day}" / "part-0.parquet"
        made_from = f"{SCHEMA_VERSION}/{state}"
        if _made_from(path) != made_from:
            _write(path, _pages(source, table, day, wanted.page), made_from)
            written += 1
    return written, len(days)


def _pages(source: Source, table: Exported, day: str, count: int) -> Iterator[pa.Table]:
    last = None
    while True:
        try:
            page = pa.ipc.open_stream(_ask(source, exports.page(table, day, last, count))).read_all()
        except TooLargeRefusalError:
            if count == 1:
                raise
            count //= 2
            continue
        yield page
        if page.num_rows < count:
            return
        row = page.slice(page.num_rows - 1).to_pylist()[0]
        last = row[table.at].isoformat(), str(row[table.id])


def _write(path: Path, pages: Iterator[pa.Table], made_from: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.unfinished")  # whoever reads the folder skips what begins with a dot
    first = next(pages)
    schema = first.schema.with_metadata({"schema_version": str(SCHEMA_VERSION), "made_from": made_from})
    with beside.open("wb") as file:
        with parquet.ParquetWriter(file, schema, compression=COMPRESSION) as writer:
            writer.write_table(first.cast(schema))
            for page in pages:
                writer.write_table(page.cast(schema))
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def _made_from(path: Path) -> str | None:
    """None where there is no such file, or one of somebody else."""
    try:
        metadata = parquet.read_schema(path).metadata or {}
    except (FileNotFoundError, pa.ArrowInvalid):
        return None
    return metadata.get(b"made_from", b"").decode()


def _ask(source: Source, question: Question) -> bytes:
    for _ in range(TRIES):
        try:
            return source.ask(question).body
        except BusyError:
            time.sleep(1)
    return source.ask(question).body


@contextmanager
def _owning(to: Path) -> Generator[None, None, None]:
    """Two exports to one folder would write the same files."""
    to.mkdir(parents=True, exist_ok=True)
    with (to / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise NobodyError(f"Another export writes to {to}") from None
        yield
