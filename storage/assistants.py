"""Graphs with the configurations they are run with. There are few: what SQL says badly is done in Python."""

from collections.abc import Sequence
from operator import attrgetter
from typing import Any, Literal

from duckdb import DuckDBPyConnection
from msgspec.json import Decoder
from msgspec.structs import asdict

from storage import queries
from storage.errors import AssistantNotFoundError, ServiceError
from storage.records import Assistant
from storage.writer import Writer

SortBy = Literal["assistant_id", "created_at", "updated_at", "name", "graph_id"]
SortOrder = Literal["asc", "desc"]

_SQL = queries.load("assistants")
_DECODER = Decoder(Assistant)


def put(writer: Writer, asked: Sequence[list[Assistant]]) -> list[ServiceError | None]:
    """Insert what is new, and bring what graphs say about themselves up to date in what is not."""
    changes = [change for assistants in asked for one in assistants if (change := _change(writer.db, one))]
    for name, row in changes:
        writer.put("assistants", name, [(row["assistant_id"], row)])
    return [None for _ in asked]


def get(db: DuckDBPyConnection, assistant_id: str) -> Assistant:
    if (assistant := _find(db, assistant_id)) is None:
        raise AssistantNotFoundError(assistant_id)
    return assistant


def search(  # noqa: PLR0913 - one argument per filter that clients know
    db: DuckDBPyConnection,
    *,
    limit: int = 10,
    offset: int = 0,
    metadata: dict[str, Any] | None = None,
    graph_id: str | None = None,
    name: str | None = None,
    sort_by: SortBy = "created_at",
    sort_order: SortOrder = "desc",
) -> tuple[list[Assistant], int]:
    """A page of those that match, and how many match in all. `name` is a part of the name, in either case."""
    rows = db.execute(_SQL["search"], {"graph_id": graph_id, "name": name}).fetchall()
    decoded = (_DECODER.decode(record) for (record,) in rows)
    # DuckDB's json_contains also finds what is nested deeper, so it would answer too much.
    found = [assistant for assistant in decoded if _contains(assistant.metadata, metadata or {})]
    found.sort(key=attrgetter(sort_by, "assistant_id"), reverse=sort_order == "desc")
    return found[offset : offset + limit], len(found)


def _change(db: DuckDBPyConnection, assistant: Assistant) -> tuple[str, dict[str, Any]] | None:
    """The statement that is to be run, and its row; None if nothing has changed."""
    stored = _find(db, assistant.assistant_id)
    if stored is None:
        return "insert", _row(assistant)
    if _own_words(stored) != _own_words(assistant):
        given = {"assistant_id": assistant.assistant_id, "updated_at": assistant.updated_at}
        return "update", {**given, **_own_words(assistant)}
    return None


def _find(db: DuckDBPyConnection, assistant_id: str) -> Assistant | None:
    row = queries.one(db, _SQL["get"], {"assistant_id": assistant_id})
    return _DECODER.decode(row[0]) if row else None


def _row(assistant: Assistant) -> dict[str, Any]:
    row = asdict(assistant)
    return row | {column: queries.encode(row[column]) for column in ("config", "context", "metadata")}


def _own_words(assistant: Assistant) -> dict[str, Any]:
    return {"graph_id": assistant.graph_id, "name": assistant.name, "description": assistant.description}


def _contains(have: Any, wanted: Any) -> bool:
    """Containment as clients know it from Postgres: objects by key, arrays as sets, everything else by equality."""
    match have, wanted:
        case dict(), dict():
            return all(key in have and _contains(have[key], value) for key, value in wanted.items())
        case list(), list():
            return all(any(_contains(mine, value) for mine in have) for value in wanted)
        case _:
            # JSON's true is not its 1, though Python's is.
            return isinstance(have, bool) == isinstance(wanted, bool) and have == wanted
