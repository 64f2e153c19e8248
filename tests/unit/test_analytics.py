"""Users' SQL: what is refused changes nothing and says why; what is allowed sees one moment, and is bounded."""

import asyncio
import csv
import io
import json
from decimal import Decimal
from uuid import UUID

import duckdb
import pyarrow as pa
import pytest

from storage import statements, threads
from storage.analytics import AT_ONCE, MOST_WAITING, Analytics
from storage.commits import Write
from storage.database import Database, close_doors
from storage.errors import SenselessError, TooLargeError, UnavailableError
from storage.questions import Format, Question, TimeLimitError, TooManyQueriesError
from storage.threads import Creation
from tests.factories import a_thread

ENDLESS = "select count(*) from range(10000000) a, range(10000000) b"

HOSTILE = [
    # What changes something
    ("insert into threads select * from threads", "not INSERT"),
    ("insert into threads (thread_id) values ('x') returning *", "not INSERT"),
    ("update threads set status = 'x'", "not UPDATE"),
    ("delete from threads", "not DELETE"),
    ("merge into threads using threads t on true when matched then delete", "not MERGE_INTO"),
    ("truncate threads", "not DELETE"),
    ("create table x (a integer)", "not CREATE"),
    ("create table x as select 1", "not CREATE"),
    ("create temp table x as select 1", "not CREATE"),
    ("create or replace view runs as select 1", "not CREATE"),
    ("create macro f(x) as table select * from query_table(x)", "not CREATE"),
    ("create sequence s", "not CREATE"),
    ("create secret s (type http)", "not CREATE"),
    ("create type t as enum ('a')", "not CREATE"),
    ("alter table threads drop column status", "not ALTER"),
    ("comment on table threads is 'x'", "not ALTER"),
    ("drop table threads", "not DROP"),
    ("with x as (insert into threads (thread_id) values ('x') returning *) select * from x", "Only SELECT"),
    ("with x as (delete from threads returning *) from x", "Only SELECT"),
    ("with x as (update threads set status = 'x' returning *) select 1 from x", "Only SELECT"),
    ("select * from (with x as (delete from threads returning *) from x)", "Only SELECT"),
    ("select nextval('admissions')", "nextval"),
    ("select setval('admissions', 1)", "setval"),
    # What is no query
    ("copy threads to 'x.csv'", "not COPY"),
    ("copy (select 1) to 'x.csv'", "not COPY"),
    ("copy threads from 'x.csv'", "not COPY"),
    ("copy from database treadle to memory", "not PRAGMA"),
    ("export database 'x'", "not EXPORT"),
    ("import database 'x'", "not PRAGMA"),
    ("attach 'x.db'", "not ATTACH"),
    ("attach ':memory:' as x", "not ATTACH"),
    ("detach treadle", "not DETACH"),
    ("use memory", "not SET"),
    ("set memory_limit = '1TB'", "not SET"),
    ("set variable x = 1", "not SET"),
    ("reset memory_limit", "not SET"),
    ("pragma database_list", "not PRAGMA"),
    ("pragma enable_profiling", "not PRAGMA"),
    ("call pragma_database_size()", "not CALL"),
    ("call enable_logging()", "not CALL"),
    ("install httpfs", "not LOAD"),
    ("load httpfs", "not LOAD"),
    ("update extensions", "not this"),
    ("checkpoint", "not CALL"),
    ("force checkpoint", "not CALL"),
    ("vacuum", "not VACUUM"),
    ("analyze", "not VACUUM"),
    ("begin", "not TRANSACTION"),
    ("commit", "not TRANSACTION"),
    ("rollback", "not TRANSACTION"),
    ("prepare p as select 1", "not PREPARE"),
    ("execute p", "not EXECUTE"),
    ("deallocate p", "not DROP"),
    ("explain select 1", "not EXPLAIN"),
    ("explain analyze delete from threads", "not EXPLAIN"),
    # Tricks with the text
    ("", "Exactly one"),
    ("-- nothing", "Exactly one"),
    ("select 1; select 2", "Exactly one"),
    ("select 1; drop table threads", "Exactly one"),
    ("select 1;\n-- a comment\n;drop table threads", "Exactly one"),
    ("/* select */ drop table threads", "not DROP"),
    ("-- select 1\rdrop table threads\n", "not DROP"),
    ("select 1 \u037e drop table threads", "syntax"),
    ("\u00a0drop\u00a0table\u00a0threads", "not DROP|syntax"),
    ("\uff24\uff32\uff2f\uff30 table threads", "syntax"),
    ("drop\u2028table threads", "syntax|not DROP"),
    ("select 1\x00; drop table threads", "syntax|Exactly|NUL|null|Null"),
    ("selec 1", "syntax"),
    ("select 'open", "unterminated"),
    # What reads something else than tables
    ("select * from read_csv('/etc/passwd')", "read_csv"),
    ("from READ_CSV('/etc/passwd')", "read_csv"),
    ("from \"read_csv\"('/etc/passwd')", "read_csv"),
    ("from main.read_csv('/etc/passwd')", "read_csv"),
    ("from system.main.read_csv('/etc/passwd')", "read_csv"),
    ("from read_blob('{file}')", "read_blob"),
    ("from read_blob('{file}.wal')", "read_blob"),
    ("from read_text('{file}')", "read_text"),
    ("select size from read_blob('{file}')", "read_blob"),
    ("from read_parquet('x')", "read_parquet"),
    ("from parquet_metadata('x')", "parquet_metadata"),
    ("from read_json_auto('x')", "read_json_auto"),
    ("from read_duckdb('{file}')", "read_duckdb"),
    ("from sniff_csv('/etc/passwd')", "sniff_csv"),
    ("from glob('/*')", "glob"),
    ("from 'x.csv'", "file"),
    ("from 'x'", "does not exist"),
    ("from '{file}.wal'", "file"),
    ("from '{file}'", "file"),
    ('from "/etc/passwd"', "file"),
    ("select * from 'https://example.com/x.parquet'", "file"),
    ("from query('drop table threads')", "query"),
    ("from query_table('threads')", "query_table"),
    ("from query_table(['threads', 'runs'])", "query_table"),
    ("from json_execute_serialized_sql(json_serialize_sql('select 1'))", "json_execute_serialized_sql"),
    ("select json_serialize_plan('from read_csv(''x'')')", "json_serialize_plan"),
    ("from seq_scan('threads')", "seq_scan"),
    ("from pragma_database_size()", "pragma_database_size"),
    ("from pragma_storage_info('threads')", "pragma_storage_info"),
    ("from duckdb_settings()", "duckdb_settings"),
    ("from duckdb_secrets()", "duckdb_secrets"),
    ("from duckdb_databases()", "duckdb_databases"),
    ("from duckdb_databases", "duckdb_databases"),
    ("from system.main.duckdb_databases", "duckdb_databases"),
    ("from pragma_database_list", "pragma_database_list"),
    ("from pg_settings", "pg_settings"),
    ("from pg_catalog.pg_settings", "pg_settings"),
    ("from duckdb_logs", "duckdb_logs"),
    ("from enable_logging()", "enable_logging"),
    ("from checkpoint()", "checkpoint"),
    ("from which_secret('x', 'y')", "which_secret"),
    ("show databases", "SHOW databases"),
    ("select current_setting('temp_directory')", "current_setting"),
    ("select getenv('HOME')", "getenv"),
    ("select 'HOME'.getenv()", "getenv"),
    ("select sleep_ms(10)", "sleep_ms"),
    ("select pg_sleep(1)", "pg_sleep"),
    ("select write_log('x')", "write_log"),
    # The same, hidden
    ("select (select count(*) from glob('*'))", "glob"),
    ("select * from threads where thread_id in (from glob('*'))", "glob"),
    ("from threads, lateral (from read_csv(thread_id))", "read_csv"),
    ("from threads t, t.read_csv()", "read_csv"),
    ("with x as (from glob('*')) from x", "glob"),
    ("with recursive x as (select 1 union all from glob('*')) from x", "glob"),
    ("from threads union all from glob('*')", "glob"),
    ("(from glob('*')) limit 1", "glob"),
    ("from threads order by (select max(file) from glob('*'))", "glob"),
    ("select * from threads limit (select count(*) from glob('*'))", "glob"),
    ("select * from (summarize from glob('*'))", "glob"),
    ("describe from glob('*')", "glob"),
    ("summarize 'x.csv'", "file"),
    ("select * from (pivot (from glob('*')) on file in ('x') using count(*))", "glob"),
    ("unpivot (from glob('*')) on file", "glob|pivot"),
    ("select count(*) filter (exists (from glob('*'))) from threads", "glob"),
    ("select sum(1) over (partition by (select max(file) from glob('*')))", "glob"),
    ("select list_transform([1], lambda x: getenv(x::varchar))", "getenv"),
    ("select * replace (getenv('HOME') as thread_id) from threads", "getenv"),
    ("from (values (getenv('HOME')))", "getenv"),
    ("select case when true then (select 1 from glob('*')) end", "glob"),
    ("from range((select count(*) from glob('*')))", "glob"),
    ("from moment(getenv('HOME'))", "getenv|moment"),
    ("select moment((select getenv('HOME'))::timestamptz)", "getenv"),
    ("pivot threads on status using count(*)", "pivot"),
    ("select len(range(3000000000))", "FROM only"),
    ("from range(len(generate_series(1, 3000000000)))", "FROM only"),
    ("select len(list_resize([1], 3000000000, 1)) from range(1)", "FROM only"),
]

ALLOWED = [
    "select 1",
    "  select 1 ; -- one",
    "from threads",
    "table threads",
    "values (1), (2)",
    "with t as (from threads) select count(*) from t",
    "with recursive t as (select 1 as n union all select n + 1 from t where n < 5) from t",
    "from range(3), generate_series(1, 2), unnest([1, 2])",
    "select * from (pivot threads on status in ('idle') using count(*))",
    "describe runs",
    "summarize threads",
    "show tables",
    "from duckdb_tables()",
    "from duckdb_columns",
    "from duckdb_views() where not internal",
    "from information_schema.tables",
    "select moment(created_at) from threads",
    "from runs, json_each(runs.metadata)",
    "select count(*) over () from threads qualify row_number() over () = 1",
    "select list_transform([1, 2], lambda x: x + 1)",
    "select '; drop table threads'",
]


@pytest.fixture
async def database(tmp_path):
    database = Database(str(tmp_path / "data" / "treadle.duckdb"))
    await database.open()
    await database.write_each([creating("there")])
    yield database
    await database.close()


def creating(name):
    return Write(threads.create, Creation(a_thread(name), existing_ok=False), [name])


async def ask(database, sql, **given):
    answer = await database.ask(Question(sql=sql, **given))
    return json.loads(answer.body)


async def rows(database, sql, **given):
    return (await ask(database, sql, **given))["rows"]


def everything(db):
    """What a statement could have changed."""
    tables = db.execute("SELECT table_name FROM duckdb_tables() ORDER BY ALL").fetchall()
    return (
        {name: db.execute(f'FROM "{name}" ORDER BY ALL').fetchall() for (name,) in tables if name != "migrations"},
        db.execute("SELECT view_name FROM duckdb_views() ORDER BY ALL").fetchall(),
        db.execute("SELECT name, value FROM duckdb_settings() ORDER BY ALL").fetchall(),
        db.execute("SELECT last_value FROM duckdb_sequences() ORDER BY ALL").fetchall(),
        db.execute("SELECT database_name FROM duckdb_databases() ORDER BY ALL").fetchall(),
    )


def texts(db, sql):
    """As the tables hold times that DuckDB has to be asked for as texts."""
    return db.execute(sql).fetchall()


async def test_whatever_is_hostile_is_refused_says_why_and_changes_nothing(database, tmp_path, subtests):
    before = await database.read(everything)
    for sql, why in HOSTILE:
        for explain in (False, True):
            with subtests.test(sql=sql, explain=explain):
                text = sql.replace("{file}", str(tmp_path / "data" / "treadle.duckdb"))
                with pytest.raises(SenselessError, match=why) as refused:
                    await database.ask(Question(sql=text, explain=explain))
                assert sql.count("{file}") or str(tmp_path) not in str(refused.value)
    assert await database.read(everything) == before
    assert [file.name for file in tmp_path.iterdir()] == ["data"]


async def test_what_only_reads_is_answered_and_explained(database, subtests):
    for sql in ALLOWED:
        with subtests.test(sql=sql):
            assert (await ask(database, sql))["columns"]
            assert (await ask(database, sql, explain=True))["columns"]


def test_every_function_in_from_is_allowed_by_name_or_refused(db):
    """The list is of those that read nothing but their arguments and the catalog."""
    found = db.execute("SELECT DISTINCT function_name FROM duckdb_functions() WHERE function_type = 'table'").fetchall()
    assert {name for (name,) in found} >= statements.BUILT_IN_TABLE_FUNCTIONS - {"unnest"}


def test_every_scalar_function_that_reaches_beyond_its_arguments_is_known(db):
    """A new version of DuckDB that brings one more makes this fail: decide about it."""
    harmless = {
        "current_connection_id",
        "current_database",
        "current_date",
        "current_query",
        "current_query_id",
        "current_schema",
        "current_schemas",
        "current_transaction_id",
        "error",
        "gen_random_uuid",
        "get_current_time",
        "get_current_timestamp",
        "getvariable",  # nobody can set one
        "in_search_path",
        "now",
        "random",
        "setseed",  # of a cursor that goes with the query
        "today",
        "transaction_timestamp",
        "txid_current",
        "uuid",
        "uuidv4",
        "uuidv7",
        "vector_type",
    }
    sql = "SELECT DISTINCT function_name FROM duckdb_functions() WHERE stability <> 'CONSISTENT' AND function_type IN "
    found = {name for (name,) in db.execute(sql + "('scalar', 'aggregate')").fetchall()}
    assert found - harmless <= statements.FORBIDDEN_FUNCTIONS


def test_our_own_macros_are_known_by_name():
    assert "moment" in statements.macros()


async def test_a_transaction_that_only_reads_stands_behind_the_check(database):
    """The guards stand together: what the first would let pass, another refuses."""

    def insert(db):
        with db.cursor() as cursor:
            cursor.execute("BEGIN TRANSACTION READ ONLY")
            cursor.execute("WITH x AS (INSERT INTO made VALUES (1) RETURNING *) FROM x")

    with pytest.raises(duckdb.TransactionException):
        await database.read(insert)


@pytest.mark.parametrize("sql", ["SET memory_limit = '1TB'", "SET enable_external_access = true"])
async def test_settings_are_locked(database, sql):
    with pytest.raises(duckdb.Error, match="locked"):
        await database.read(texts, sql)


@pytest.mark.parametrize("sql", ["FROM read_csv('/etc/passwd')", "ATTACH '/tmp/x.db'", "COPY threads TO '/tmp/x.csv'"])
async def test_the_database_opens_no_other_files(database, sql):
    with pytest.raises(duckdb.PermissionException):
        await database.read(texts, sql)


# Limits


async def test_a_query_stops_at_its_time_and_the_next_is_answered(database):
    for form in Format:
        for _ in range(AT_ONCE):
            with pytest.raises(TimeLimitError, match=r"0\.05 s"):
                await database.ask(Question(sql=ENDLESS, timeout_s=0.05, format=form))
    assert await rows(database, "select 1") == [[1]]


async def test_a_query_whose_asker_leaves_stops(database):
    asking = [asyncio.create_task(database.ask(Question(sql=ENDLESS, timeout_s=60))) for _ in range(AT_ONCE)]
    await asyncio.sleep(0)
    for task in asking:
        task.cancel()
    assert await rows(database, "select 1") == [[1]]


async def test_a_text_that_the_parser_cannot_finish_is_given_up_and_the_next_is_read(database):
    with pytest.raises(SenselessError, match="too hard to parse"):
        await database.ask(Question(sql="with x as (" * 12, timeout_s=60))
    assert await rows(database, "select 1") == [[1]]


@pytest.mark.parametrize("sql", ["select " + "abs(" * 900 + "1" + ")" * 900, "select 1" + "+1" * 900])
async def test_a_text_that_is_nested_too_deeply_is_refused(database, sql):
    with pytest.raises(SenselessError, match=r"nested too deeply|depth"):
        await database.ask(Question(sql=sql))


async def test_more_tables_than_can_be_planned_in_time_are_refused(database):
    joined = ", ".join(f"threads t{number}" for number in range(statements.MOST_TABLES))
    assert await rows(database, f"select count(*) from {joined}") == [[1]]
    with pytest.raises(SenselessError, match="tables"):
        await database.ask(Question(sql=f"select count(*) from {joined}, threads"))


async def test_so_many_are_answered_at_once_so_many_wait_and_the_next_is_refused(database):
    asking = [asyncio.create_task(rows(database, ENDLESS, timeout_s=0.2)) for _ in range(AT_ONCE + MOST_WAITING)]
    await asyncio.sleep(0)
    with pytest.raises(TooManyQueriesError):
        await ask(database, "select 1")
    outcomes = await asyncio.gather(*asking, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {TimeLimitError}
    assert await rows(database, "select 1") == [[1]]


@pytest.mark.parametrize("form", Format)
async def test_rows_are_cut_at_the_limit_and_that_is_said(database, form):
    for most, count, truncated in [(1, 1, True), (249, 249, True), (250, 250, False)]:
        answer = await database.ask(Question(sql="from range(250)", max_rows=most, format=form))
        assert (answer.row_count, answer.truncated) == (count, truncated)


async def test_rows_beyond_the_limit_are_not_even_made(database):
    for form in Format:
        answer = await database.ask(Question(sql="from range(1000000000000)", max_rows=5, format=form, timeout_s=5))
        assert answer.truncated


@pytest.mark.parametrize("form", Format)
async def test_an_answer_that_is_too_large_is_refused(database, form):
    with pytest.raises(TooLargeError, match="32 MiB"):
        await database.ask(Question(sql="select repeat('x', 1000000) || range from range(40)", format=form))


async def test_a_text_that_is_too_long_is_refused(database):
    with pytest.raises(TooLargeError, match="64 KiB"):
        await database.ask(Question(sql="select '" + "x" * 70_000 + "'"))


@pytest.fixture
async def small(tmp_path):
    """Analytics beside a writer, in a process that has little memory."""
    with duckdb.connect(tmp_path / "small.duckdb", config={"threads": 1, "memory_limit": "64MiB"}) as db:
        db.execute("CREATE TABLE kept (n INTEGER)")
        close_doors(db)
        analytics = Analytics(db, lambda: None, str(tmp_path))
        yield db, analytics
        await analytics.close()


async def test_a_query_that_needs_too_much_memory_fails_alone(small):
    db, analytics = small
    with pytest.raises(TooLargeError, match="memory"):
        await analytics.ask(Question(sql="select list(range) from range(100000000)", timeout_s=60))
    db.execute("INSERT INTO kept VALUES (1)")
    answer = await analytics.ask(Question(sql="from kept"))
    assert json.loads(answer.body)["rows"] == [[1]]


async def test_a_sort_beyond_the_memory_limit_spills(small):
    _, analytics = small
    answer = await analytics.ask(Question(sql="from range(12000000) order by hash(range)", max_rows=1, timeout_s=60))
    assert answer.row_count == 1


async def test_closing_stops_what_is_under_way(tmp_path):
    database = Database(str(tmp_path / "treadle.duckdb"))
    await database.open()
    asking = [asyncio.create_task(database.ask(Question(sql=ENDLESS, timeout_s=60))) for _ in range(AT_ONCE + 2)]
    await asyncio.sleep(0)
    await database.close()
    outcomes = await asyncio.gather(*asking, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {UnavailableError}
    assert [file.name for file in tmp_path.iterdir()] == ["treadle.duckdb"]


# One moment


async def test_a_query_sees_all_that_was_answered_before(database):
    for number in range(20):
        await database.write_each([creating(f"{number:02}")])
        assert await rows(database, "select count(*) from threads") == [[number + 2]]


async def test_what_is_committed_while_a_query_runs_is_not_seen_by_it_and_seen_by_the_next(database):
    count = "select count(*) from threads"
    assert await rows(database, count) == [[1]]
    with database._analytics._desks[0]._reading() as cursor:
        assert cursor.execute(count).fetchall() == [(1,)]
        await database.write_each([creating("meanwhile")])
        assert await database.read(texts, count) == [(2,)]
        assert cursor.execute(count).fetchall() == [(1,)]
    assert await rows(database, count) == [[2]]


# Forms

EVERY_TYPE = """
    select * from (values (
        true, 1::tinyint, 9007199254740992::bigint, 9007199254740993::bigint, -9007199254740993::bigint,
        170141183460469231731687303715884105727::hugeint, 0.0000000001::decimal(18, 10),
        12345678.0000000001::decimal(18, 10),
        1.5::double, 'nan'::double, 'infinity'::double, 'a,"b"\n c', '', null::varchar,
        timestamptz '2026-11-01 23:59:59.999999+00', date '2026-11-01', '6ba7b821-9dad-11d1-80b4-00c04fd430c8'::uuid,
        ['a', 'b,c'], []::varchar[], '{"team": "x", "n": 1.10}'::json,
        {'a': 9007199254740993, 'b': [0.5::decimal(2, 1)]},
        map {'k': 1}
    )) as t (
        yes, tiny, exact, large, negative, huge, cents, dollars,
        half, nan, infinite, text, empty, missing,
        instant, day, id,
        tags, none, metadata, nested,
        mapped
    )
"""

AS_JSON = {
    "yes": True,
    "tiny": 1,
    "exact": 9007199254740992,
    "large": "9007199254740993",
    "negative": "-9007199254740993",
    "huge": "170141183460469231731687303715884105727",
    "cents": "0.0000000001",
    "dollars": "12345678.0000000001",
    "half": 1.5,
    "nan": None,
    "infinite": None,
    "text": 'a,"b"\n c',
    "empty": "",
    "missing": None,
    "instant": "2026-11-01T23:59:59.999999Z",
    "day": "2026-11-01",
    "id": "6ba7b821-9dad-11d1-80b4-00c04fd430c8",
    "tags": ["a", "b,c"],
    "none": [],
    "metadata": '{"team": "x", "n": 1.10}',
    "nested": {"a": "9007199254740993", "b": ["0.5"]},
    "mapped": {"k": 1},
}


async def test_every_type_in_json(database):
    answer = await ask(database, EVERY_TYPE)
    names = [column["name"] for column in answer["columns"]]
    assert dict(zip(names, answer["rows"][0], strict=True)) == AS_JSON
    assert {"name": "cents", "type": "DECIMAL(18,10)"} in answer["columns"]
    assert (answer["row_count"], answer["truncated"]) == (1, False)
    assert answer["elapsed_ms"] > 0


async def test_every_type_in_csv(database):
    answer = await database.ask(Question(sql=EVERY_TYPE, format=Format.CSV))
    [row] = csv.DictReader(io.StringIO(answer.body.decode(), newline=""))
    expected = {name: _in_csv(value) for name, value in AS_JSON.items()}
    assert row == expected
    assert b',"",,2026' in answer.body, "an empty text is not a null"


def _in_csv(value):
    match value:
        case None:
            return ""
        case str():
            return value
        case _:
            return json.dumps(value, separators=(",", ":"))


async def test_every_type_in_arrow(database):
    answer = await database.ask(Question(sql=EVERY_TYPE, format=Format.ARROW))
    [row] = pa.ipc.open_stream(answer.body).read_all().to_pylist()
    assert row["large"] == 9007199254740993
    assert row["cents"] == Decimal("0.0000000001")
    assert row["instant"].isoformat() == "2026-11-01T23:59:59.999999+00:00"
    assert UUID(str(row["id"])) == UUID(AS_JSON["id"])
    assert row["tags"] == ["a", "b,c"]
    assert row["metadata"] == AS_JSON["metadata"]
    assert (row["empty"], row["missing"]) == ("", None)
    assert row["text"] == AS_JSON["text"]


async def test_an_answer_without_rows_has_its_columns(database):
    nothing = "select thread_id, created_at from threads where false"
    assert (await ask(database, nothing))["rows"] == []
    assert (await database.ask(Question(sql=nothing, format=Format.CSV))).body == b"thread_id,created_at\n"
    stream = pa.ipc.open_stream((await database.ask(Question(sql=nothing, format=Format.ARROW))).body)
    assert stream.schema.names == ["thread_id", "created_at"]
    assert stream.read_all().num_rows == 0


@pytest.mark.parametrize("form", Format)
async def test_every_column_of_every_table_has_a_form(database, form):
    tables = await rows(database, "select table_name from duckdb_tables() where not internal")
    for (name,) in tables:
        await database.ask(Question(sql=f'from "{name}"', format=form))


async def test_parameters_are_given_by_position_and_by_name(database):
    assert await rows(database, "select ? || $2, $1", params=["a", "b"]) == [["ab", "a"]]
    assert await rows(database, "select $n + 1, $t", params={"n": 1, "t": "x"}) == [[2, "x"]]
    for form in Format:
        answer = await database.ask(Question(sql="from range($n)", params={"n": 3}, format=form))
        assert answer.row_count == 3


async def test_parameters_that_do_not_fit_are_refused(database):
    for sql, params in [("select ?", []), ("select 1", [1]), ("select $a", {"b": 1})]:
        for form in Format:
            with pytest.raises(SenselessError):
                await database.ask(Question(sql=sql, params=params, format=form))


async def test_an_error_of_duckdb_is_told_in_its_words_without_our_paths(database, tmp_path):
    with pytest.raises(SenselessError, match="Did you mean") as told:
        await database.ask(Question(sql="select * from thread"))
    assert str(tmp_path) not in str(told.value)
    with pytest.raises(SenselessError, match="Could not convert string 'x'"):
        await database.ask(Question(sql="select 'x'::int"))
