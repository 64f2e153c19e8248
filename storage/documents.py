"""What users may rely on in SQL, as the SQL files themselves say it in the comment above each table, view and macro."""

import re

from msgspec import Struct

from storage import texts

TABLES = ("runs", "model_calls", "prices")
"""Those that are documented; others may change at any time."""

_DOCUMENTED = re.compile(
    r"((?:^--.*\n)+)^CREATE (?:OR REPLACE )?(TABLE|VIEW|MACRO) (\w+)(\([^)]*\))?", re.MULTILINE | re.IGNORECASE
)


class Documented(Struct, frozen=True):
    kind: str
    """`table`, `view` or `macro`."""
    name: str
    parameters: str
    """Of a macro, in parentheses."""
    text: str


def documented() -> list[Documented]:
    """Tables in their order, then views and macros as their files are sorted."""
    tables = {one.name: one for one in _in("schema") if one.name in TABLES}
    return [*(tables[name] for name in TABLES), *_in("views")]


def _in(folder: str) -> list[Documented]:
    return [one for path in sorted((texts.FOLDER / folder).glob("*.sql")) for one in of(path.read_text("utf-8"))]


def of(sql: str) -> list[Documented]:
    """What a file documents."""
    return [
        Documented(
            kind=kind.lower(),
            name=name,
            parameters=parameters if kind.lower() == "macro" else "",
            text="\n".join(line.removeprefix("--").strip() for line in comment.splitlines()),
        )
        for comment, kind, name, parameters in _DOCUMENTED.findall(sql)
    ]
