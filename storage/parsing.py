"""Reads users' SQL in a process of its own, which may hang or die without harm.

DuckDB's parser cannot be interrupted, and takes six times as long for every `with x as (` inside another that does not
end well: ten of them, in 110 bytes, would keep it busy for a day. So each query is first parsed and checked in a
child, whose CPU time is limited; only what passed there is given to the database.
"""

import json
import signal
import subprocess
import sys
from typing import IO

import duckdb
import msgspec
from duckdb import DuckDBPyConnection, Statement

from storage import queries, statements
from storage.errors import SenselessError

WITHIN = 1.0
"""Seconds of CPU that a query may take to be parsed and checked: 64 KiB of plain SQL take 0.5."""

_SQL = queries.load("parsing")
_LENGTH = 4


class Checker:
    """The way to a child that checks. Blocks; for one thread."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None

    def check(self, sql: str) -> None:
        """Raises SenselessError for what may not be asked. The child is started when there is none."""
        child = self._child = self._child or _start()
        assert child.stdin is not None, "it was asked for"
        assert child.stdout is not None, "it was asked for"
        try:
            _write(child.stdin, sql.encode())
            answer = _read(child.stdout)
        except OSError:
            answer = None
        if answer is None:
            self.close()
            raise SenselessError("The query is too hard to parse")
        if problem := msgspec.json.decode(answer, type=str):
            raise SenselessError(problem)

    def close(self) -> None:
        """To be called when nobody checks any more; a child that works ends by itself, at its limit."""
        if (child := self._child) is not None:
            self._child = None
            child.kill()
            child.communicate()


class _Reader:
    """Parses and checks, in the child."""

    def __init__(self) -> None:
        self._db = duckdb.connect(config={"threads": 1, "enable_external_access": False})
        self._internal = frozenset(name for (name,) in self._db.execute(_SQL["internal_views"]).fetchall())
        self._macros = statements.macros()

    def problem(self, sql: str) -> str:
        """Why it may not be asked; nothing if it may."""
        try:
            only_select(self._db, sql)
            (text,) = queries.one(self._db, _SQL["tree"], {"sql": sql}) or ("",)
            tree = json.loads(text)
            if tree["error"]:
                return f"The query cannot be checked: {tree['error_message']}"
            statements.check(tree["statements"], internal=self._internal, ours=self._macros)
        except (duckdb.Error, SenselessError) as error:
            return str(error)
        except RecursionError:
            return "The query is nested too deeply"
        return ""


def only_select(db: DuckDBPyConnection, sql: str) -> Statement:
    """The one statement of `sql`. Raises SenselessError if there are others, or if it is no SELECT."""
    match [(statement, _kind(statement)) for statement in db.extract_statements(sql)]:
        case [(statement, "SELECT")]:
            return statement
        case [(_, "MULTI")]:
            raise SenselessError("Write a pivot as `select * from (pivot t on x in (...) using ...)`")
        case [(_, kind)]:
            raise SenselessError(f"Only SELECT may be asked, not {kind}")
        case _:
            raise SenselessError("Exactly one SELECT may be asked at a time")


def _kind(statement: Statement) -> str:
    try:
        return statement.type.name
    except ValueError:  # DuckDB has more kinds than its Python client knows
        return "this"


def answer_for_ever() -> None:
    """The child: a text in, a problem out, until there is nobody who asks. SIGPROF ends it at the limit."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    reader = _Reader()
    while (sql := _read(sys.stdin.buffer)) is not None:
        signal.setitimer(signal.ITIMER_PROF, WITHIN)
        problem = reader.problem(sql.decode())
        signal.setitimer(signal.ITIMER_PROF, 0)
        _write(sys.stdout.buffer, msgspec.json.encode(problem))


def _start() -> subprocess.Popen[bytes]:
    # -P: a folder `storage` where the server was started is not ours.
    command = [sys.executable, "-P", "-m", "storage.parsing"]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603 - nothing of a user's


def _write(pipe: IO[bytes], data: bytes) -> None:
    pipe.write(len(data).to_bytes(_LENGTH, "big") + data)
    pipe.flush()


def _read(pipe: IO[bytes]) -> bytes | None:
    """None when the other end is gone."""
    length = pipe.read(_LENGTH)
    return pipe.read(int.from_bytes(length, "big")) if length else None


if __name__ == "__main__":
    answer_for_ever()
