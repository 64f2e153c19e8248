"""One file and its journal, one writer, many readers; and what is wrong with a file is said by name."""

import asyncio
import sqlite3
import subprocess
import sys
from contextlib import closing

import anyio
import duckdb
import pytest

from storage import threads
from storage.commits import Write
from storage.database import Database, UnreadableError, migrate
from storage.errors import ThreadExistsError, UnavailableError
from storage.journal import TRIM_AFTER, Journal
from storage.threads import Creation
from tests.factories import a_thread

OWNER = "import duckdb, sys; db = duckdb.connect(sys.argv[1]); print(flush=True); sys.stdin.read()"


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "data" / "treadle.duckdb")


@pytest.fixture
async def database(path):
    database = Database(path)
    await database.open()
    yield database
    await database.close()


@pytest.fixture
def owner(path, tmp_path):
    """Another process that has the file open."""
    (tmp_path / "data").mkdir()
    with subprocess.Popen([sys.executable, "-c", OWNER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as owner:
        owner.stdout.readline()
        yield owner
        owner.kill()


def execute(db, sql):
    return db.execute(sql).fetchall()


def creating(name):
    return Write(threads.create, Creation(a_thread(name), existing_ok=False), [name])


def failing(name, kind):
    """A write that fails after it has put something."""

    def query(writer, given):
        threads.create(writer, given)
        raise kind

    return Write(query, Creation(a_thread(name), existing_ok=False), [name])


async def names(database):
    return [name for (name,) in await database.read(execute, "SELECT thread_id FROM threads ORDER BY ALL")]


def entries(path):
    """How many entries the journal has."""
    with closing(sqlite3.connect(f"{path}.journal")) as journal:
        return journal.execute("SELECT count(*) FROM entries").fetchone()[0]


async def test_what_is_gathered_is_synced_once(database, path):
    await database.write_each([creating("one"), creating("two"), creating("three")])
    await database.write_each([creating("four")])
    assert entries(path) == 2


async def test_a_read_sees_all_that_was_answered_before(database):
    for number in range(20):
        await database.write_each([creating(f"{number:02}")])
        assert len(await names(database)) == number + 1


async def test_the_database_follows_by_itself(database, path):
    await database.write_each([creating("one")])
    while len(database._backlog):
        await anyio.lowlevel.checkpoint()
    assert database._backlog.made == 1


async def test_a_refused_write_takes_no_neighbour_with_it(database):
    await database.write_each([creating("there")])
    _, refused, _ = await database.write_each([creating("one"), creating("there"), creating("two")])
    assert isinstance(refused, ThreadExistsError)
    assert await names(database) == ["one", "there", "two"]


@pytest.mark.parametrize("kind", [ValueError, duckdb.ConversionException])
async def test_a_faulty_write_fails_alone_and_leaves_nothing_behind(database, kind):
    outcomes = await database.write_each([creating("one"), failing("half", kind), creating("two")])
    assert isinstance(outcomes[1], kind)
    assert await names(database) == ["one", "two"]


async def test_a_change_that_cannot_be_made_is_said_and_holds_up_nobody(database, caplog):
    def query(writer, given):
        writer.put("runs", "begin", [("bad", {"run_id": "no UUID"})])
        return [None]

    await database.write_each([creating("one"), Write(query, None, ["bad"]), creating("two")])
    assert await names(database) == ["one", "two"]
    assert "no UUID" in caplog.text
    assert database._backlog.made == 1


async def test_a_journal_that_cannot_be_read_is_named_and_the_database_left_as_it_is(path, tmp_path):
    database = Database(path)
    await database.open()
    await database.close()
    before = await anyio.Path(path).read_bytes()
    (tmp_path / "data" / "treadle.duckdb.journal").write_bytes(b"not a journal" * 1000)
    with pytest.raises(UnreadableError, match=r"treadle\.duckdb\.journal"):
        await database.open()
    assert await anyio.Path(path).read_bytes() == before
    with duckdb.connect(path):  # the file is not held
        pass


async def test_a_journal_forgets_what_has_been_made(tmp_path):
    journal = Journal(tmp_path / "journal")
    journal.open(0)
    for number in range(3 * TRIM_AFTER):
        journal.append([], made=number)
    journal.close(empty=False)
    with closing(sqlite3.connect(tmp_path / "journal")) as db:
        assert db.execute("SELECT count(*) FROM entries").fetchone()[0] <= TRIM_AFTER + 1


async def test_time_is_utc(database):
    zone = "SELECT current_setting('TimeZone')"
    assert await database.read(execute, zone) == [("UTC",)]


async def test_memory_is_bounded(database):
    (limit,) = await database.read(execute, "SELECT current_setting('memory_limit')")
    assert limit[0].endswith("MiB") or float(limit[0].split()[0]) <= 4


async def test_a_file_that_is_closed_can_be_opened_again_and_has_no_log(database, path, tmp_path):
    await database.write_each([creating("kept")])
    await database.close()
    assert [file.name for file in (tmp_path / "data").iterdir()] == ["treadle.duckdb"]
    await database.open()
    await database.write_each([creating("later")])
    assert await names(database) == ["kept", "later"]


async def test_a_file_that_another_process_keeps_is_refused_by_name(owner, path):
    with pytest.raises(UnavailableError, match=path):
        await Database(path, patience=0.0).open()


async def test_a_file_is_opened_once_its_owner_has_died(owner, path):
    database = Database(path)
    opening = asyncio.create_task(database.open())
    with pytest.raises(UnavailableError):
        await Database(path, patience=0.0).open()
    owner.kill()
    await opening
    await database.close()


@pytest.mark.parametrize("content", [b"not a database" * 1000, b"\x00" * 3])
async def test_a_file_that_is_no_database_is_named(tmp_path, content):
    (tmp_path / "broken.duckdb").write_bytes(content)
    with pytest.raises(UnreadableError, match=r"broken\.duckdb"):
        await Database(str(tmp_path / "broken.duckdb")).open()


async def test_a_database_of_a_newer_version_is_refused_and_let_go(database, path):
    await database.close()
    with duckdb.connect(path) as db:
        db.execute("INSERT INTO migrations VALUES (9999, 'from_the_future', now())")
    with pytest.raises(UnreadableError, match=f"{path}.*9999"):
        await Database(path).open()
    with duckdb.connect(path) as db:
        db.execute("DELETE FROM migrations WHERE version = 9999")
    await database.open()


def test_migrations_are_applied_once(db):
    applied = db.execute("SELECT version, name FROM migrations").fetchall()
    migrate(db)
    assert db.execute("SELECT version, name FROM migrations").fetchall() == applied
    assert applied[0] == (1, "0001_start")
