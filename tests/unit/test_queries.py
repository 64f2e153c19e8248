"""The SQL files are honest: every statement fits the schema, and asks for nothing that nobody can give."""

import re

import duckdb
import pytest
from msgspec.structs import fields

from storage import assistants, queries, runs, texts
from storage.accounting import Event, ModelCall, Origin, Price, Usage
from storage.conversations import Feedback
from storage.database import create_views, migrate
from storage.deployment import Deployment
from storage.pricelists import PriceRange
from storage.records import Assistant, Binding, Run, RunStatus, Thread

FILES = sorted(path.stem for path in texts.FOLDER.glob("*.sql"))
STATEMENTS = [(file, name) for file in FILES for name in queries.load(file)]
FOR_SEVERAL = [(file, name) for file, name in STATEMENTS if name.endswith("_each")]
COLUMNS_OF_RUNS = {"queued_at", "error_type", "error_message", "tags", "webhook", "webhook_sent_at", "replaced"}
PAGING = {"limit", "offset", "statuses", "before", "after", "types"}
MIGRATIONS = {"version", "name", "number"}
TURNING = {"more"}
LOOKING = {"lately", "include_active", "run_ids"}
ASKING = {"sql", "since", "until", "day", "at", "count"}
ACCOUNTING = (Deployment, Event, Feedback, ModelCall, Origin, Price, PriceRange, Usage)
COLUMNS_OF_PRICES = {"loaded_at", "price_versions", "reasons", "after"}
COLUMNS_OF_CALLS = {"recorded_at", "tool_calls", "call"}
FIELDS = {field.name for noun in (Assistant, Binding, Run, Thread, *ACCOUNTING) for field in fields(noun)}
GIVEN = (
    FIELDS | COLUMNS_OF_RUNS | COLUMNS_OF_CALLS | COLUMNS_OF_PRICES | PAGING | MIGRATIONS | TURNING | LOOKING | ASKING
)


@pytest.fixture(scope="module")
def db():
    """With the views, which take a moment; nothing is written to it."""
    with duckdb.connect() as connection:
        migrate(connection)
        create_views(connection)
        yield connection


@pytest.mark.parametrize(("file", "name"), STATEMENTS, ids=map(".".join, STATEMENTS))
def test_a_statement_fits_the_schema_and_asks_only_for_what_its_records_can_give(db, file, name):
    statement = queries.load(file)[name]
    assert statement.named_parameters <= GIVEN
    if file != "database":
        db.execute(f"EXPLAIN {statement.query}", dict.fromkeys(statement.named_parameters))


@pytest.mark.parametrize(("file", "name"), FOR_SEVERAL, ids=map(".".join, FOR_SEVERAL))
def test_a_statement_for_several_rows_asks_for_what_the_one_for_a_single_row_asks(file, name):
    one, several = (queries.load(file)[form] for form in (name.removesuffix("_each"), name))
    assert several.named_parameters == one.named_parameters


def test_rows_are_found_whether_there_is_none_or_one_or_several(db):
    sql = "SELECT 2 * $n::INTEGER; SELECT 2 * unnest($n::INTEGER[])"
    forms = dict(zip(["twice", "twice_each"], db.extract_statements(sql), strict=True))
    for numbers in ([], [1], [1, 2, 3]):
        rows = queries.run(db, forms, "twice", [{"n": number} for number in numbers])
        assert rows == [(2 * number,) for number in numbers]


@pytest.mark.parametrize("file", FILES)
def test_no_name_is_given_twice_in_a_file(file):
    names = re.findall(r"^-- name:", (texts.FOLDER / f"{file}.sql").read_text(), flags=re.MULTILINE)
    assert len(queries.load(file)) == len(names)


def test_schema_files_are_numbered_without_holes():
    numbers = [number for number, _ in texts.schema()]
    assert numbers == list(range(1, len(numbers) + 1))


def test_every_filter_of_a_search_may_be_left_out(db):
    assert assistants.search(db) == ([], 0)
    assert runs.of_thread(db, "t1", limit=1, offset=0, status=RunStatus.PENDING) == []
