"""Which queries users may ask: one SELECT that reads tables, and nothing that reads or does anything else. Pure.

DuckDB's own guards come on top (`storage.analytics`), and each closes what another leaves open. This one is about what
a SELECT can do that DuckDB would allow: read the database's own file, hide a query in a text, tell where things lie.
Functions in FROM and DuckDB's own views are allowed by name, for there are many, and most of them are about files and
settings. Scalar functions are refused by name: there are a thousand harmless ones, and all that reach beyond their
arguments are known, for DuckDB marks them (a test finds those that a new version brings).
"""

import re
from collections.abc import Iterator
from typing import Any

from storage import texts
from storage.errors import SenselessError

MOST_TABLES = 64
"""Tables in one query. DuckDB plans the joins of so many in 0.2 s, of 100 in 1 s and of 300 in 54, deaf to its time
limit."""

NODES = frozenset({"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"})

BUILT_IN_TABLE_FUNCTIONS = frozenset(
    {
        "range",
        "generate_series",
        "unnest",
        "json_each",
        "json_tree",
        "duckdb_tables",
        "duckdb_columns",
        "duckdb_views",
        "duckdb_functions",
    }
)

INTERNAL_VIEWS = frozenset({"duckdb_tables", "duckdb_columns", "duckdb_views"})
"""Those of DuckDB's own that may be read, beside the information_schema. Others tell paths and settings."""

SHOWN = frozenset({"tables", "__show_tables_expanded"})

FORBIDDEN_FUNCTIONS = frozenset(
    {
        "current_setting",  # paths
        "getenv",
        "json_serialize_plan",  # plans a text that nothing here has seen
        "nextval",
        "setval",
        "currval",
        "sleep_ms",
        "pg_sleep",
        "stats",
        "write_log",
    }
)

LISTS_OF_ANY_LENGTH = frozenset({"range", "generate_series", "list_resize", "array_resize"})
"""In FROM the first two make rows, one after the other; elsewhere they make one value, which DuckDB's limit of memory
does not see: a list of three billion numbers ends the process."""

_A_NAME = re.compile(r"[\w $-]+")
"""Of a table: nothing that makes it a path or an address."""


def macros() -> frozenset[str]:
    """The names of our own, as the SQL files define them."""
    files = [*(texts.FOLDER / "schema").glob("*.sql"), *(texts.FOLDER / "views").glob("*.sql")]
    pattern = re.compile(r"^CREATE (?:OR REPLACE )?MACRO (\w+)", re.MULTILINE | re.IGNORECASE)
    return frozenset(name.lower() for file in files for name in pattern.findall(file.read_text(encoding="utf-8")))


def check(tree: Any, *, internal: frozenset[str], ours: frozenset[str]) -> None:
    """Raises SenselessError. `tree` is what `json_serialize_sql` says of a query; `internal` are DuckDB's own views."""
    tables, in_from = 0, set[int]()
    for node in _nodes(tree):
        match node:
            case {"type": str(kind)} if kind.endswith("_NODE") and kind not in NODES:
                raise SenselessError("Only SELECT may be asked, also inside WITH")
            case {"type": "TABLE_FUNCTION", "function": {"function_name": str(name)} as function}:
                _check_table_function(name.lower(), ours)
                in_from.add(id(function))
                tables += 1
            case {"type": "BASE_TABLE", "qualified_name": {"path": [*schema, str(name)]}}:
                _check_table([part.lower() for part in schema], name.lower(), internal)
                tables += 1
            case {"type": "SHOW_REF", "show_type": "SHOW_SPECIAL", "table_name": str(name)}:
                _check_shown(name.strip('"').lower())
            case {"function_name": str(name)} if name.lower() in FORBIDDEN_FUNCTIONS:
                raise SenselessError(f"The function {name} may not be used here")
            case {"function_name": str(name)} if name.lower() in LISTS_OF_ANY_LENGTH and id(node) not in in_from:
                raise SenselessError(f"The function {name} may be used in FROM only")
            case _:
                continue
        if tables > MOST_TABLES:
            raise SenselessError(f"More than {MOST_TABLES} tables in one query")


def _check_table_function(name: str, ours: frozenset[str]) -> None:
    if name not in BUILT_IN_TABLE_FUNCTIONS and name not in ours:
        raise SenselessError(f"The table function {name} may not be used here")


def _check_table(schema: list[str], name: str, internal: frozenset[str]) -> None:
    if not _A_NAME.fullmatch(name):  # DuckDB would look for a file, and may open its own
        raise SenselessError(f"There is no table {name!r}, and files may not be read here")
    if "information_schema" in schema:
        return
    if "pg_catalog" in schema or (name in internal and name not in INTERNAL_VIEWS):
        raise SenselessError(f"The view {name} may not be read here; see duckdb_views and the information_schema")


def _check_shown(name: str) -> None:
    if name not in SHOWN:
        raise SenselessError(f"SHOW {name} may not be used here; SHOW TABLES may")


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """All objects in it, however deep: also those that no check of ours knows."""
    waiting = [tree]
    while waiting:
        match waiting.pop():
            case dict() as node:
                yield node
                waiting += node.values()
            case list() as several:
                waiting += several
            case _:
                continue
