import duckdb
import pytest

from storage.database import migrate


@pytest.fixture
def db():
    with duckdb.connect() as connection:
        migrate(connection)
        yield connection
