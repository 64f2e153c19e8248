"""One file, one writer, many readers; and what is wrong with a file is said by name."""

import asyncio
import subprocess
import sys

import duckdb
import pytest

from storage.commits import Write, each, grouped
from storage.database import Database, UnreadableError, migrate
from storage.errors import ConflictError, UnavailableError

OWNER = "import duckdb, sys; db = duckdb.connect(sys.argv[1]); print(flush=True); sys.stdin.read()"

KINDS = {"a": lambda writer, given: given, "b": lambda writer, given: given}


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "data" / "treadle.duckdb")


@pytest.fixture
async def database(path):
    database = Database(path)
    await database.open()
    await write(database, executing("CREATE TABLE notes (note VARCHAR)"))
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


async def write(database, *calls):
    """A kind each, so that none shares its statements with another."""
    return await database.write_each([Write(each_alone(call), None, []) for call in calls])


def each_alone(call):
    def query(writer, given):
        return each(lambda _: call(writer.db), given)

    return query


def executing(sql):
    return lambda db: execute(db, sql)


def noting(note, then=None):
    def call(db):
        db.execute("INSERT INTO notes VALUES ($note)", {"note": note})
        if then:
            raise then
        return db.execute("SELECT txid_current()").fetchone()

    return call


def refuse(db):
    raise ConflictError("no")


async def notes(database):
    return [note for (note,) in await database.read(execute, "FROM notes ORDER BY note")]


async def test_what_is_gathered_shares_one_transaction(database):
    one, two, three = await write(database, noting("one"), noting("two"), noting("three"))
    assert one == two == three
    assert await write(database, noting("four")) != [one]


@pytest.mark.parametrize(
    ("writes", "groups"),
    [
        pytest.param("", "", id="nothing"),
        pytest.param("a1 b1 a2 b2", "a1a2 b1b2", id="those of a kind share, whatever came between"),
        pytest.param("a1 a1 a2", "a1a2 a1", id="one thread is not twice in a group"),
        pytest.param("b1 a1 b2", "b1b2 a1", id="what shares no key may go first"),
        pytest.param("a1 b1 a1 b1", "a1 b1 a1 b1", id="one thread keeps its order"),
        pytest.param("a1 b2 a12 b1", "a1 b2 a12 b1", id="all keys count"),
        pytest.param("a1 a2 a12 b3", "a1a2 a12 b3", id="the latest of its keys counts"),
    ],
)
def test_writes_are_grouped(writes, groups):
    given = [Write(KINDS[kind], kind + "".join(keys), keys) for kind, *keys in writes.split()]
    assert ["".join(given[position].given for position in group) for group in grouped(given)] == groups.split()


async def test_a_refused_call_takes_no_neighbour_with_it(database):
    one, refused, two = await write(database, noting("one"), refuse, noting("two"))
    assert isinstance(refused, ConflictError)
    assert one == two
    assert await notes(database) == ["one", "two"]


@pytest.mark.parametrize("sql", ["SELECT 1/'no'", "no SQL at all", "INSERT INTO migrations VALUES (1, '', now())"])
async def test_a_faulty_call_fails_alone_and_leaves_nothing_behind(database, sql):
    def faulty(db):
        noting("half")(db)
        db.execute(sql)

    one, fault, two = await write(database, noting("one"), faulty, noting("two"))
    assert isinstance(fault, duckdb.Error)
    assert one != two
    assert await notes(database) == ["one", "two"]


async def test_a_call_with_an_error_of_pythons_fails_alone_too(database):
    outcomes = await write(database, noting("one"), noting("half", then=ValueError("no")))
    assert isinstance(outcomes[1], ValueError)
    assert await notes(database) == ["one"]


async def test_reads_go_on_beside_a_write(database):
    def wait_for_a_reader(db):
        noting("unseen")(db)
        asyncio.run_coroutine_threadsafe(read(), loop).result()

    async def read():
        seen.extend(await notes(database))
        seen.append("a read in the middle of a write")

    seen, loop = [], asyncio.get_running_loop()
    await write(database, wait_for_a_reader)
    assert seen == ["a read in the middle of a write"]
    assert await notes(database) == ["unseen"]


async def test_time_is_utc_for_writer_and_readers(database):
    zone = "SELECT current_setting('TimeZone')"
    (written,) = await write(database, executing(zone))
    assert written == await database.read(execute, zone) == [("UTC",)]


async def test_memory_is_bounded(database):
    (limit,) = await database.read(execute, "SELECT current_setting('memory_limit')")
    assert limit[0].endswith("MiB") or float(limit[0].split()[0]) <= 4


async def test_a_file_that_is_closed_can_be_opened_again_and_has_no_log(database, path, tmp_path):
    await write(database, noting("kept"))
    await database.close()
    assert [file.name for file in (tmp_path / "data").iterdir()] == ["treadle.duckdb"]
    await database.open()
    assert await notes(database) == ["kept"]


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
    await write(database, executing("INSERT INTO migrations VALUES (9999, 'from_the_future', now())"))
    await database.close()
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
