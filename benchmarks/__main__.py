"""Measures Treadle beside the bare graphs and its peers: one subject after another, on this machine."""

import asyncio
import gc
import signal
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import click
import msgspec
import uvloop
from rich.console import Console

from benchmarks import servers
from benchmarks.bare import bare_figures
from benchmarks.figures import Figure
from benchmarks.load import WARM_UP, Plan, warm_up
from benchmarks.questions import NAMES, Question, question
from benchmarks.report import CEILING, Answers, Report, conditions, show
from benchmarks.subject import MeasuringError

Ask = Callable[[Question], Awaitable[list[Figure]]]
Subjects = dict[str, AbstractAsyncContextManager[Ask]]

PEER = "langgraph-dev"
BARE = "bare"

NOTES = {
    PEER: f"{PEER} may work on {servers.PEER_JOBS} runs at once; its state is in memory.",
    BARE: f"{BARE}: graph.astream in one process, checkpoints in memory, what it says encoded as JSON.",
    CEILING: f"{CEILING}: the measuring client with a server that streams constant bytes.",
}

_progress = Console(stderr=True, highlight=False)


@click.command()
@click.argument("names", metavar="[NAME]...", nargs=-1, type=click.Choice(NAMES))
@click.option("--peer", type=click.Choice([PEER]), help="Measure this server too; installed when missing.")
@click.option("--url", metavar="URL", help="Measure the server that runs there, instead of starting Treadle.")
@click.option("--label", metavar="X", help="What to call the server at --url; else `server`.")
@click.option("--slots", type=click.IntRange(1), default=10, show_default=True, help="Treadle's --warm and --max.")
@click.option("-n", "runs", metavar="N", type=click.IntRange(1), help="Runs of each client; else what fits into 5 s.")
@click.option("--quick", is_flag=True, help="1 s instead of 5 s: does it work at all?")
@click.option("--json", "path", type=click.Path(dir_okay=False, path_type=Path), help="Write the figures there too.")
def main(  # noqa: PLR0913 - one parameter an option
    *,
    names: tuple[str, ...],
    peer: str | None,
    url: str | None,
    label: str | None,
    slots: int,
    runs: int | None,
    quick: bool,
    path: Path | None,
) -> None:
    """Ask each question NAME (all of them, if none is named) of Treadle, its peer and the bare graphs."""
    plan = Plan(seconds=1 if quick else 5, runs=runs)
    first, opening = _measured_first(url, label, slots)
    subjects: Subjects = {first: _served(opening, plan)}
    if peer:
        subjects[peer] = _served(servers.langgraph_dev(), plan)
    subjects |= {BARE: _bare(plan), CEILING: _served(servers.constant(), plan)}
    answers = _run(subjects, [question(name) for name in names or NAMES])
    versions = {peer: servers.peer_versions()} if peer else {}
    ours = "a server that ran already" if url else f"{slots} slots, all warm; durable"
    notes = [WARM_UP, f"{first}: {ours}.", *(NOTES[name] for name in subjects if name in NOTES)]
    report = Report(conditions(sys.argv[1:], notes, versions), answers)
    show(report, Console(width=None if sys.stdout.isatty() else 120))
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.format(msgspec.json.encode(report)))


def _measured_first(
    url: str | None, label: str | None, slots: int
) -> tuple[str, AbstractAsyncContextManager[servers.Server]]:
    """What the others are compared with."""
    if url is None and label:
        raise click.UsageError("--label names the server at --url, which is not given.")
    if label in (PEER, BARE, CEILING):
        raise click.UsageError(f"--label {label} is the name of something that is measured beside it.")
    return (label or "server", servers.running(url)) if url else ("treadle", servers.treadle(slots))


def _run(subjects: Subjects, questions: list[Question]) -> list[Answers]:
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_measure(subjects, questions))
    except MeasuringError as error:
        raise click.ClickException(str(error)) from error
    except asyncio.CancelledError:
        sys.exit(128 + signal.SIGTERM)


async def _measure(subjects: Subjects, questions: list[Question]) -> list[Answers]:
    task = asyncio.current_task()
    assert task, "a coroutine that runs has a task"
    # Servers that were started here must end before this process does.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    gc.freeze()  # LangGraph's many objects are never garbage; walking over them would be seen in the times
    figures: dict[str, dict[str, list[Figure]]] = {asked.name: {} for asked in questions}
    for subject, opening in subjects.items():
        _progress.print(f"{subject}: starting")
        async with opening as ask:
            for asked in questions:
                _progress.print(f"{subject}: {asked.name}")
                figures[asked.name][subject] = await ask(asked)
    return [Answers(asked.name, asked.text, figures[asked.name]) for asked in questions]


@asynccontextmanager
async def _served(opening: AbstractAsyncContextManager[servers.Server], plan: Plan) -> AsyncGenerator[Ask, None]:
    async with opening as server:
        await warm_up(server)
        yield lambda asked: asked.ask(server, plan)


@asynccontextmanager
async def _bare(plan: Plan) -> AsyncGenerator[Ask, None]:
    """In a process of its own, which the client must not slow down; it warms up by itself."""
    yield lambda asked: bare_figures(asked.name, plan)


if __name__ == "__main__":
    main()
