"""The `treadle` command. What it needs is imported when a command runs, so that its help comes at once."""

import os
import sys
from collections.abc import Callable
from datetime import datetime
from functools import reduce
from importlib import import_module
from pathlib import Path
from typing import Any

import click

VERSION = "0.1.0"


class PathOnDisk(click.Path):
    """A path, as `Path`."""

    def __init__(self, **given: Any) -> None:
        super().__init__(path_type=Path, **given)


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, no_args_is_help=True)
@click.version_option(VERSION, prog_name="treadle", message="%(prog)s %(version)s")
def main() -> None:
    """Treadle runs LangGraph agents as a service.

    Every thread is an actor in a process of its own; its runs stream as server-sent events, to the LangGraph
    SDKs and to plain HTTP; every run is kept in DuckDB.
    """


OPTIONS = (
    click.option(
        "--config",
        type=PathOnDisk(dir_okay=False),
        help="The project's langgraph.json. [default: the one in this folder; without one, the demo assistants]",
    ),
    click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on."),
    click.option("--port", default=2024, show_default=True, type=click.IntRange(1, 65535), help="Port to listen on."),
    click.option(
        "--data",
        type=PathOnDisk(file_okay=False),
        help="Folder of what is kept: runs, checkpoints. [default: .treadle]",
    ),
    click.option("--warm", type=click.IntRange(0), help="Processes kept ready beyond those in use. [default: 2]"),
    click.option(
        "--max",
        "most",
        type=click.IntRange(1),
        help="Processes in all: threads that can be awake at once; further ones wait. [default: from memory]",
    ),
    click.option("--insecure", is_flag=True, help="Listen on a host that others can reach, without authentication."),
)
"""Of both ways to serve."""


def with_options(command: Callable[..., None]) -> Callable[..., None]:
    """In the order in which they are to be shown."""
    return reduce(lambda wrapped, option: option(wrapped), reversed(OPTIONS), command)


@main.command()
@with_options
def dev(**options: Any) -> None:
    """Serve a project on this machine, in one process and its actors.

    \b
    Examples:
      treadle dev                          the project in this folder, or the demo
      treadle dev --config agents/langgraph.json --port 8123
      treadle dev --warm 4 --max 16        more threads at once, sooner
    """
    _leave(import_module("web.serving").dev(**options))


@main.command()
@click.option("--workers", default=2, show_default=True, type=click.IntRange(1), help="Gateways, each a process.")
@click.option(
    "--address",
    metavar="RAY",
    help="Join the Ray that runs there on this machine, host:port or `auto`. [default: start one]",
)
@with_options
def serve(**options: Any) -> None:
    """Serve a project on this machine, with gateways in processes of their own.

    All gateways listen on one port, and any of them serves any thread; one that dies is started again. A second
    command can join with --address, and serve the same threads on another port.

    \b
    Examples:
      treadle serve --workers 4 --config agents/langgraph.json
      treadle serve --address auto --port 2025      the same threads, by another door
    """
    _leave(import_module("web.serving").serve(**options))


def place(command: Any) -> Any:
    """The options that say whom a command asks."""
    command = click.option("--url", help="The server to ask. [default: http://127.0.0.1:2024]")(command)
    return click.option(
        "--data",
        type=PathOnDisk(file_okay=False),
        help="Folder of a server that does not run, whose database is opened instead. [default: .treadle]",
    )(command)


@main.command()
@click.argument("query", required=False)
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "csv", "json", "parquet"]),
    help="[default: table on a terminal, else csv]",
)
@click.option("-o", "--output", type=PathOnDisk(dir_okay=False), help="Write the answer to this file.")
@click.option("--max-rows", default=10_000, show_default=True, type=click.IntRange(1, 1_000_000))
@click.option(
    "--timeout", default=10.0, show_default=True, type=click.FloatRange(0, 60, min_open=True), help="Seconds."
)
@click.option("--views", is_flag=True, help="Print what there is to ask about.")
@place
def sql(*, query: str | None, views: bool, url: str | None, data: Path | None, **options: Any) -> None:
    """Ask the database in SQL. QUERY is one SELECT, or - to read it from standard input.

    The server that runs is asked; where none does, the database in the data folder is opened, to read it.

    \b
    Examples:
      treadle sql "from usage_by_day where day >= current_date - 30 order by day"
      treadle sql --format parquet -o runs.parquet "select * exclude request from runs"
      treadle sql --views
    """
    if views:
        import_module("web.sql").print_views()
        return
    if query is None:
        raise click.UsageError("Missing argument 'QUERY'.")
    if options["form"] == "parquet" and options["output"] is None:
        raise click.UsageError("--format parquet needs -o FILE.")
    wanted = import_module("web.asking").Place(url, data)
    sys.exit(import_module("web.sql").run(query=query, place=wanted, **options))


@main.group(invoke_without_command=True)
@click.option("--days", default=30, show_default=True, type=click.IntRange(1), help="How many, today included, in UTC.")
@click.option("--assistant", help="Id of the only assistant that is counted.")
@place
@click.pass_context
def usage(context: click.Context, *, days: int, assistant: str | None, url: str | None, data: Path | None) -> None:
    """What the runs have used: tokens and cost, by day, model, caller and thread.

    \b
    Example:
      treadle usage --days 7
    """
    if context.invoked_subcommand is None:
        wanted = import_module("web.asking").Place(url, data)
        sys.exit(import_module("web.usage.terminal").run(days=days, assistant=assistant, place=wanted))


@usage.command()
@click.option("--missing", is_flag=True, required=True, help="Price calls that had no price when they were recorded.")
@click.option("--url", help="The server to ask. [default: http://127.0.0.1:2024]")
def price(*, missing: bool, url: str | None) -> None:
    """Look again for prices of calls; a cost that is known never changes.

    Do it after a newer price list or own prices have come with a start of the server.

    \b
    Example:
      treadle usage price --missing
    """
    assert missing, "there is nothing else to ask for"
    sys.exit(import_module("web.pricing").run(url))


@usage.command()
@click.option("--to", required=True, type=PathOnDisk(file_okay=False), help="Folder of the files; made if missing.")
@click.option("--since", type=click.DateTime(["%Y-%m-%d"]), help="The first day, in UTC. [default: the first there is]")
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), help="The last day, in UTC. [default: today]")
@place
def export(*, url: str | None, data: Path | None, **options: Any) -> None:
    """Write model calls and runs to Parquet files, one a day.

    Only days that have changed since the last export are written again.

    \b
    Example:
      treadle usage export --to export --since 2026-11-01
    """
    wanted = import_module("web.asking").Place(url, data)
    days = {name: value.date() if isinstance(value, datetime) else value for name, value in options.items()}
    sys.exit(import_module("web.exporting").run(place=wanted, **days))


main.add_command(export)


def _leave(status: int) -> None:
    """All is closed by now. What could not be served is said in one line, and Python, as it takes itself down after an
    error, would have DuckDB's binding list what it still finds."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
