"""An export: files by day, whole, written again when a row comes late, and the same rows for whoever reads them."""

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import duckdb
import pytest
from pyarrow import dataset, parquet

from storage import exports
from storage.database import migrate
from storage.exports import TABLES
from storage.offline import Offline
from storage.questions import Answer
from web import exporting
from web.asking import BusyError, NobodyError, TooLargeRefusalError
from web.exporting import Wanted, export

CALLS, RUNS = TABLES
MIDNIGHT = datetime(2026, 11, 2, tzinfo=UTC)
ALMOST = timedelta(microseconds=1)


class Ledger:
    """A database that is filled and asked by turns, for only one process and one connection at a time may have it."""

    def __init__(self, folder):
        self.folder = folder
        self._offline = None
        with self.filling():
            pass

    def filling(self):
        self.close()
        db = duckdb.connect(self.folder / "treadle.duckdb", config={"threads": 1})
        db.execute("SET GLOBAL TimeZone = 'UTC'")
        migrate(db)
        return db

    def add(self, *moments, **given):
        with self.filling() as db:
            for started_at in moments:
                add_call(db, started_at, **given)

    def ask(self, question):
        self._offline = self._offline or Offline(self.folder)
        return self._offline.ask(question)

    def close(self):
        if self._offline is not None:
            self._offline.close()
            self._offline = None

    def rows(self, sql):
        return json.loads(self.ask(exports.Question(sql=sql)).body)["rows"]


def add_call(db, started_at, **given):
    row = {
        "call_id": str(uuid4()),
        "recorded_at": started_at,
        "thread_id": "t1",
        "run_id": str(uuid4()),
        "attempt": 1,
        "caller": "lead_agent",
        "model": "gpt-4o",
        "started_at": started_at,
        "input_tokens": 9,
        "output_tokens": 6,
        "total_tokens": 15,
        "cache_read_tokens": 0,
        "cache_write_tokens": 0,
        "input_audio_tokens": 0,
        "output_audio_tokens": 0,
        "reasoning_tokens": 0,
        "usage_source": "reported",
        "from_cache": False,
        "status": "success",
        "cost_usd": Decimal("0.0000000001"),
        "tags": ["a", "b"],
        "metadata": '{"team": "x"}',
        **given,
    }
    names, places = ", ".join(row), ", ".join(f"${name}" for name in row)
    db.execute(f"INSERT INTO model_calls ({names}) VALUES ({places})", row)


def add_run(db, queued_at):
    db.execute(
        "INSERT INTO runs (run_id, thread_id, assistant_id, assistant_version, graph_id, status, multitask_strategy, "
        "attempt, queued_at, tags, metadata, dialect, updated_at, error_message, request) VALUES "
        "(uuid(), 't1', 'a1', 1, 'agent', 'success', 'enqueue', 1, $at, [], '{}', 'platform', $at, 'secret', "
        """'{"input": "secret"}')""",
        {"at": queued_at},
    )


@pytest.fixture
def ledger(tmp_path):
    (tmp_path / "data").mkdir()
    ledger = Ledger(tmp_path / "data")
    yield ledger
    ledger.close()


@pytest.fixture
def to(tmp_path):
    return tmp_path / "export"


def calls(ledger, to, **wanted):
    return export(ledger, CALLS, to, Wanted(**wanted))


def files(to):
    return sorted(str(path.relative_to(to)) for path in to.rglob("*") if path.is_file())


def sums(to):
    """As two engines read them."""
    sql = "SELECT count(*), sum(total_tokens), sum(cost_usd) FROM read_parquet($1, hive_partitioning = true)"
    by_duckdb = duckdb.execute(sql, [f"{to}/model_calls/**/*.parquet"]).fetchone()
    table = dataset.dataset(to / "model_calls", format="parquet", partitioning="hive").to_table()
    tokens, cost = table.column("total_tokens").to_pylist(), table.column("cost_usd").to_pylist()
    assert by_duckdb == (table.num_rows, sum(tokens), sum(cost))
    return by_duckdb


def test_rows_are_written_by_day_and_read_with_equal_sums(ledger, to):
    ledger.add(MIDNIGHT - ALMOST, MIDNIGHT, MIDNIGHT + timedelta(hours=5))
    assert calls(ledger, to) == (2, 2)
    assert files(to) == ["model_calls/day=2026-11-01/part-0.parquet", "model_calls/day=2026-11-02/part-0.parquet"]
    assert sums(to) == (3, 45, Decimal("0.0000000003"))
    [[count, tokens]] = ledger.rows("select count(*), sum(total_tokens)::bigint from model_calls")
    assert (count, tokens) == (3, 45)


def test_every_column_is_there_as_it_was(ledger, to):
    ledger.add(MIDNIGHT)
    calls(ledger, to)
    [row] = parquet.read_table(to / "model_calls/day=2026-11-02/part-0.parquet").to_pylist()
    with ledger.filling() as db:
        names = [name for name, *_ in db.execute("DESCRIBE model_calls").fetchall()]
    assert set(row) - {"day"} == set(names)
    assert row["cost_usd"] == Decimal("0.0000000001")
    assert row["started_at"] == MIDNIGHT
    assert (row["tags"], row["metadata"], row["user_id"]) == (["a", "b"], '{"team": "x"}', None)


def test_the_version_of_the_schema_is_in_the_files(ledger, to):
    ledger.add(MIDNIGHT)
    calls(ledger, to)
    metadata = parquet.read_metadata(to / "model_calls/day=2026-11-02/part-0.parquet").metadata
    assert metadata[b"schema_version"] == b"1"
    assert metadata[b"made_from"].startswith(b"1/")


def test_only_days_that_have_changed_are_written_again(ledger, to):
    ledger.add(MIDNIGHT - ALMOST, MIDNIGHT)
    assert calls(ledger, to) == (2, 2)
    assert calls(ledger, to) == (0, 2)
    ledger.add(MIDNIGHT - timedelta(hours=1), recorded_at=MIDNIGHT + timedelta(days=3))  # it came late
    assert calls(ledger, to) == (1, 2)
    assert sums(to) == (3, 45, Decimal("0.0000000003"))


def test_a_call_that_is_priced_later_is_written_again(ledger, to):
    ledger.add(MIDNIGHT, cost_usd=None)
    calls(ledger, to)
    with ledger.filling() as db:
        db.execute("UPDATE model_calls SET cost_usd = 2")
    assert calls(ledger, to) == (1, 1)
    assert sums(to) == (1, 15, 2)


def test_the_days_may_be_bounded_and_both_are_included(ledger, to):
    ledger.add(*(MIDNIGHT + timedelta(days=number) for number in range(5)))
    assert calls(ledger, to, since=date(2026, 11, 3), until=date(2026, 11, 4)) == (2, 2)
    assert [file[16:26] for file in files(to)] == ["2026-11-03", "2026-11-04"]
    assert calls(ledger, to) == (3, 5)


@pytest.mark.parametrize("rows", [4, 5, 6])
def test_a_day_is_asked_for_in_pages_and_no_row_is_lost_or_twice(ledger, to, rows):
    ledger.add(*[MIDNIGHT] * rows)  # all at one moment: the id decides
    calls(ledger, to, page=2)
    assert sums(to)[0] == rows
    ids = parquet.read_table(to / "model_calls/day=2026-11-02/part-0.parquet").column("call_id").to_pylist()
    assert len(set(ids)) == rows


def test_pages_that_are_too_large_are_asked_for_in_halves(ledger, to):
    class Small:
        def ask(self, question):
            if question.params.get("count", 0) > 2:
                raise TooLargeRefusalError
            return ledger.ask(question)

    ledger.add(*[MIDNIGHT] * 5)
    assert export(Small(), CALLS, to, Wanted()) == (1, 1)
    assert sums(to)[0] == 5


def test_an_export_that_is_broken_off_leaves_the_old_day_whole(ledger, to):
    class Breaking:
        def ask(self, question):
            if "count" in question.params:
                raise NobodyError
            return ledger.ask(question)

    ledger.add(MIDNIGHT)
    calls(ledger, to)
    ledger.add(MIDNIGHT)
    with pytest.raises(NobodyError):
        export(Breaking(), CALLS, to, Wanted())
    assert sums(to)[0] == 1
    (to / "model_calls/day=2026-11-02/.part-0.parquet.unfinished").write_bytes(b"killed while this was written")
    assert sums(to)[0] == 1
    assert calls(ledger, to) == (1, 1)
    assert sums(to)[0] == 2
    assert files(to) == ["model_calls/day=2026-11-02/part-0.parquet"]


def test_a_busy_server_is_asked_again(ledger):
    class Busy:
        asked = 0

        def ask(self, question):
            self.asked += 1
            if self.asked == 1:
                raise BusyError
            return Answer(body=b'{"rows": []}', row_count=0, truncated=False)

    assert export(Busy(), CALLS, ledger.folder / "to", Wanted()) == (0, 0)


def test_runs_are_written_without_what_was_said(ledger, to):
    with ledger.filling() as db:
        add_run(db, MIDNIGHT)
    assert export(ledger, RUNS, to, Wanted()) == (1, 1)
    [row] = parquet.read_table(to / "runs/day=2026-11-02/part-0.parquet").to_pylist()
    assert row["status"] == "success"
    assert "secret" not in str(row)


def test_a_run_that_has_changed_is_written_again(ledger, to):
    with ledger.filling() as db:
        add_run(db, MIDNIGHT)
    export(ledger, RUNS, to, Wanted())
    with ledger.filling() as db:
        db.execute("UPDATE runs SET total_tokens = 5")
    assert export(ledger, RUNS, to, Wanted()) == (1, 1)


def test_two_exports_to_one_folder_keep_apart(to):
    with exporting._owning(to), pytest.raises(NobodyError, match="Another export"), exporting._owning(to):
        pass
