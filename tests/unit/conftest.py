from pathlib import Path

import duckdb
import pytest

from storage.database import migrate
from storage.journal import Journal
from storage.making import Backlog
from storage.writer import Writer


def a_writer(db, **given):
    """A writer with a journal that nothing survives."""
    backlog, journal = Backlog(db), Journal(Path(":memory:"))
    journal.open(backlog.made)
    return Writer(db, journal, backlog, **given)


def do(writer, query, given):
    """What a write asks for, as a step of its own."""
    with writer.step():
        return query(writer, given)


@pytest.fixture
def db():
    with duckdb.connect() as connection:
        migrate(connection)
        yield connection


@pytest.fixture
def writer(db):
    return a_writer(db)
