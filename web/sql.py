"""`treadle sql`: a query from the command line, and its answer as a table, CSV, JSON or Parquet."""

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from storage.questions import Answer, Format, Question
from web.asking import NobodyError, Place, RefusedError, asking

FAILED = 1
NOBODY = 2
"""Exit status where there is neither a server nor a file."""

ASKED_AS = {"table": Format.JSON, "json": Format.JSON, "csv": Format.CSV, "parquet": Format.ARROW}

console = Console(stderr=True, highlight=False, soft_wrap=True)


def run(  # noqa: PLR0913 - one argument an option of the command
    *, query: str, form: str | None, output: Path | None, max_rows: int, timeout: float, place: Place
) -> int:
    """Ask, and show the answer; the exit status."""
    form = form or ("table" if output is None and sys.stdout.isatty() else "csv")
    sql = sys.stdin.read() if query == "-" else query
    question = Question(sql=sql, format=ASKED_AS[form], max_rows=max_rows, timeout_s=timeout)
    try:
        with asking(place, warn) as source:
            answer = source.ask(question)
        show(answer, form, output)
    except RefusedError as error:
        return complain(str(error), FAILED)
    except (NobodyError, OSError) as error:
        return complain(str(error), NOBODY)
    if answer.truncated:
        warn(f"Only the first {answer.row_count} rows; --max-rows says how many.")
    return 0


def show(answer: Answer, form: str, output: Path | None) -> None:
    if form == "parquet":
        assert output is not None, "the command asks for it"
        import_module("web.parquet").write(answer, output)
        return
    data = _TEXTS[form](answer)
    if output is not None:
        output.write_bytes(data)
    else:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()


def warn(text: str) -> None:
    console.print(f"[bold yellow]treadle:[/] {escape(text)}")


def complain(text: str, status: int) -> int:
    console.print(f"[bold red]treadle:[/] {escape(text)}")
    return status


def print_views() -> None:
    """What can be asked about, from the SQL files themselves."""
    for one in import_module("storage.documents").documented():
        Console(highlight=False).print(f"[bold]{one.kind} {one.name}{escape(one.parameters)}[/]", soft_wrap=True)
        Console(highlight=False).print(escape(one.text) + "\n", soft_wrap=True)


def _as_objects(answer: Answer) -> bytes:
    said = msgspec.json.decode(answer.body)
    names = [column["name"] for column in said["columns"]]
    objects = (json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False) for row in said["rows"])
    return ("[" + ",\n ".join(objects) + "]\n").encode()


def table_of(answer: Answer, title: str | None = None) -> Table:
    """An answer in JSON, for a terminal."""
    said = msgspec.json.decode(answer.body)
    table = Table(title=title, title_justify="left", title_style="bold")
    for column in said["columns"]:
        justify = "right" if _is_number(column["type"]) else "left"
        table.add_column(escape(column["name"]), justify=justify, overflow="fold")
    for row in said["rows"]:
        table.add_row(*map(_in_table, row))
    return table


def _as_table(answer: Answer) -> bytes:
    table = table_of(answer)
    printer = Console(highlight=False, force_terminal=sys.stdout.isatty())
    with printer.capture() as captured:
        printer.print(table)
    return captured.get().encode()


def _is_number(kind: str) -> bool:
    return kind.endswith(("INT", "INTEGER", "DOUBLE", "FLOAT")) or kind.startswith("DECIMAL")


def _in_table(value: Any) -> str:
    match value:
        case None:
            return "[dim]NULL[/]"
        case str():
            return escape(value)
        case _:
            return escape(json.dumps(value, ensure_ascii=False))


def _as_csv(answer: Answer) -> bytes:
    return answer.body


_TEXTS = {"table": _as_table, "json": _as_objects, "csv": _as_csv}
