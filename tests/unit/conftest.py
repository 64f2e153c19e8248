import duckdb
import pytest

from storage.database import migrate
from storage.writer import Writer


@pytest.fixture
def db():
    with duckdb.connect() as connection:
        migrate(connection)
        yield connection


@pytest.fixture
def writer(db):
    return Writer(db)
