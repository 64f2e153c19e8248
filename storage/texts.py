"""SQL from its files, as text: for SQLite, which remembers what it has parsed; and for whoever shows or parses it.

Knows no DuckDB, which takes 13 MB of every process that imports it.
"""

import re
from pathlib import Path

FOLDER = Path(__file__).parent / "sql"


def load(name: str) -> dict[str, str]:
    """The statements of `sql/<name>.sql`, each under the name that its `-- name:` line gives."""
    text = (FOLDER / f"{name}.sql").read_text(encoding="utf-8")
    _, *parts = re.split(r"^-- name: (\w+)\n", text, flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def schema() -> list[tuple[int, Path]]:
    """The files of `sql/schema` with their numbers, in the order in which they are applied."""
    return [(int(path.name[:4]), path) for path in sorted((FOLDER / "schema").glob("*.sql"))]


def views() -> list[Path]:
    """The files of `sql/views`, in the order in which one builds on another."""
    return sorted((FOLDER / "views").glob("*.sql"))
