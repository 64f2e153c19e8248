"""What is there when all is over: rows, states, streams, files, and what the graph's witnesses have noted."""

import asyncio
import json
import random
import re
import sqlite3
from collections.abc import Iterator
from contextlib import aclosing, closing
from pathlib import Path
from typing import Any

from msgspec import Struct, convert

from storage.offline import Offline
from storage.questions import Question
from tests.chaos.client import PATIENCE, PAUSE, Client, GivenUpError, Run
from tests.chaos.load import DOORS
from tests.chaos.told import Deleted, Told

AT_ONCE = 8


class Row(Struct, frozen=True, kw_only=True):
    """A run, as it is stored."""

    run_id: str
    thread_id: str
    word: str
    status: str
    attempt: int
    admission: int
    delayed: bool = False
    rolled_back: bool = False
    deleted: bool = False
    error: str | None = None
    total_tokens: int = 0
    closings: int = 1
    """How often its events say that it has ended."""


class Call(Struct, frozen=True, kw_only=True):
    """A row of a model's call."""

    call_id: str
    run_id: str
    attempt: int
    status: str
    total_tokens: int
    usage_source: str = "reported"


class Step(Struct, frozen=True):
    """What a witness saw: a step that begins or ends."""

    run_id: str
    attempt: int
    pid: int
    at: float
    what: str
    step: str


class Served(Struct, frozen=True):
    """What a model has on its bill."""

    run_id: str
    attempt: int
    pid: int
    at: float
    input_tokens: int
    output_tokens: int


class Evidence(Struct, frozen=True, kw_only=True):
    rows: list[Row]
    calls: list[Call] = []
    repeated_events: list[tuple[str, int]] = []
    """Thread and number of what is there twice."""
    steps: dict[str, list[Step]] = {}
    """By thread, in the order in which they were noted."""
    served: list[Served] = []
    states: dict[str, list[str]] = {}
    """By thread: `<run id> <step>`, of the threads that are there."""
    replays: Told
    """Every run read once more, by both doors, after the last had ended."""
    broken_files: list[str] = []
    left: list[str] = []
    """Processes that outlived their servers."""
    tracebacks: list[str] = []
    """What the servers have said of failures that nobody foresaw."""


SPEAKER = re.compile(r"^(\x1b\[\d+m)?\([^)]*\)(\x1b\[0m)? ", re.MULTILINE)
"""What Ray puts in front of each line."""

FORESEEN = re.compile(r"(actors|storage)\.errors\.(Gone|NotHere|Stale|Unavailable)Error|ray\.exceptions\.")
"""How one process hears of the end of another."""

RUNS = """
    from runs left join (
        select run_id, count(*) as closings from events where event_type in ('run.end', 'run.error') group by run_id
    ) closed using (run_id)
    select run_id::varchar as run_id, thread_id, coalesce(metadata ->> '$.word', '') as word, status, attempt,
        admission, due_at is not null as delayed, rolled_back, deleted_at is not null as deleted,
        error_message as error, total_tokens, coalesce(closings, 0) as closings
    order by admission
"""
UNFINISHED = "select count(*) from runs where status in ('pending', 'running')"
CALLS = "select call_id::varchar as call_id, run_id::varchar as run_id, attempt, status, total_tokens, usage_source"
REPEATED = "select thread_id, seq from events group by thread_id, seq having count(*) > 1"


async def settled(urls: list[str], told: Told) -> None:
    """Until nothing is under way any more, also of what nobody was told of; or until nobody would wait longer."""
    until = asyncio.get_running_loop().time() + PATIENCE
    async with aclosing(Client(urls, random.Random(0), told)) as client:
        while asyncio.get_running_loop().time() < until:
            answer = await client.ask("POST", "/analytics/query", json={"sql": UNFINISHED})
            if answer is not None and answer.json()["rows"] == [[0]]:
                return
            await asyncio.sleep(PAUSE)


async def streams(urls: list[str], told: Told) -> Told:
    """Every run that was accepted, once more and to its end."""
    again, permits = Told(), asyncio.Semaphore(AT_ONCE)
    gone = {note.thread_id for note in told.of(Deleted)}

    async def read(client: Client, run: Run) -> None:
        async with permits:
            try:
                for door in DOORS:
                    await client.read(run, door)
                await client.status(run)
            except GivenUpError:  # it is noted
                return

    known = [Run(run_id, thread_id) for run_id, thread_id in told.run_ids().items()]
    async with aclosing(Client(urls, random.Random(0), again)) as client:
        await asyncio.gather(*(read(client, run) for run in known if run.thread_id and run.thread_id not in gone))
    return again


async def states(urls: list[str], told: Told) -> dict[str, list[str]]:
    """What the threads' states say was done."""
    gone = {note.thread_id for note in told.of(Deleted)}
    found: dict[str, list[str]] = {}
    async with aclosing(Client(urls, random.Random(0), told)) as client:
        for thread_id in {thread_id for thread_id in told.run_ids().values() if thread_id} - gone:
            answer = await client.ask("GET", f"/threads/{thread_id}/state")
            assert answer is not None, "it may be repeated"
            found[thread_id] = (answer.json()["values"] or {}).get("done", [])
    return found


def busy(trial: Path) -> set[int]:
    """Processes in which a step has begun and not ended."""
    found: dict[tuple[int, str], int] = {}
    for one in (one for path in trial.glob("*.steps") for one in _lines(path, Step)):
        found[one.pid, one.run_id] = found.get((one.pid, one.run_id), 0) + (1 if one.what == "begins" else -1)
    return {pid for (pid, _), open_now in found.items() if open_now}


def on_disk(data: Path, trial: Path) -> dict[str, Any]:
    """What can be read without a server, as parts of `Evidence`."""
    offline = Offline(data)
    try:
        return {
            "rows": convert(list(_asked(offline, RUNS)), list[Row]),
            "calls": convert(list(_asked(offline, f"{CALLS} from model_calls")), list[Call]),
            "repeated_events": [(row["thread_id"], row["seq"]) for row in _asked(offline, REPEATED)],
            "steps": {path.stem: _lines(path, Step) for path in trial.glob("*.steps")},
            "served": [one for path in trial.glob("*.served") for one in _lines(path, Served)],
            "broken_files": [*([offline.missing] if offline.missing else []), *_broken(data)],
        }
    finally:
        offline.close()


def tracebacks(said: str) -> Iterator[str]:
    """The last line of each, unless it only says that a process has died."""
    lines = iter(SPEAKER.sub("", said).splitlines())
    for line in lines:
        if line.startswith("Traceback"):
            error = next((line for line in lines if not line.startswith(" ")), "")
            if not FORESEEN.match(error):
                yield error


def _asked(offline: Offline, sql: str) -> Iterator[dict[str, Any]]:
    answer = json.loads(offline.ask(Question(sql=sql, max_rows=1_000_000, timeout_s=60)).body)
    names = [column["name"] for column in answer["columns"]]
    return (dict(zip(names, row, strict=True)) for row in answer["rows"])


def _lines(path: Path, kind: type[Any]) -> list[Any]:
    names = kind.__struct_fields__
    rows = (dict(zip(names, line.split(), strict=True)) for line in path.read_text().splitlines())
    return [convert(row, kind, strict=False) for row in rows]


def _broken(data: Path) -> Iterator[str]:
    for path in sorted(data.rglob("*.sqlite")):
        with closing(sqlite3.connect(path)) as db:
            (verdict,) = db.execute("PRAGMA integrity_check").fetchone()
        if verdict != "ok":
            yield f"{path.name}: {verdict}"
