"""Measures Treadle beside the bare graphs and its peers: one subject after another, on this machine."""

import asyncio
import gc
import signal
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import click
import msgspec
import uvloop
from msgspec import Struct
from rich.console import Console

from benchmarks import servers
from benchmarks.bare import bare_figures
from benchmarks.figures import Figure
from benchmarks.load import WARM_UP, Plan, warm_up
from benchmarks.questions import NAMES, Question, question
from benchmarks.report import Answers, Report, conditions, show, verdicts
from benchmarks.servers import Needs, Pool
from benchmarks.subject import BARE, CEILING, PEER, MeasuringError

Ask = Callable[[Question], Awaitable[list[Figure]]]
Opening = AbstractAsyncContextManager[Ask]

TREADLE = "treadle"

QUICK = 1.0
"""Seconds instead of the usual ones."""

NOTES = {
    PEER: f"{PEER} may work on {servers.PEER_JOBS} runs at once; its state is in memory.",
    BARE: f"{BARE}: graph.astream in one process, checkpoints in memory, what it says encoded as JSON.",
    CEILING: f"{CEILING}: the measuring client with a server that streams constant bytes.",
}

_progress = Console(stderr=True, highlight=False)


class Sitting(Struct, frozen=True):
    """One start of one subject, and what is asked of it."""

    subject: str
    opening: Opening
    questions: Sequence[Question]


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
    """Ask each question NAME of Treadle, its peer and the bare graphs; all that take less than a minute or so, if
    none is named.
    """
    if url is None and label:
        raise click.UsageError("--label names the server at --url, which is not given.")
    if label in (PEER, BARE, CEILING):
        raise click.UsageError(f"--label {label} is the name of something that is measured beside it.")
    plan = Plan(seconds=QUICK, runs=runs) if quick else Plan(runs=runs)
    asked = _asked(names, url)
    first = (label or "server") if url else TREADLE
    sittings = [*_first(first, url, Pool(slots, slots), plan, asked), *_others(peer, plan, asked)]
    answers = _run(sittings, asked)
    measured = dict.fromkeys(sitting.subject for sitting in sittings)
    versions = {PEER: servers.peer_versions()} if PEER in measured else {}
    ours = "a server that ran already" if url else f"{slots} slots, all warm, where a question wants no others; durable"
    notes = [WARM_UP, f"{first}: {ours}.", *(NOTES[name] for name in measured if name in NOTES)]
    report = Report(conditions(sys.argv[1:], notes, versions), answers, verdicts(answers, first))
    show(report, Console(width=None if sys.stdout.isatty() else 120))
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.format(msgspec.json.encode(report)))


def _asked(names: Sequence[str], url: str | None) -> list[Question]:
    """A server that runs already is not asked what wants a Treadle of its own."""
    if not names:
        usual = [found for found in map(question, NAMES) if not found.by_name_only]
        return [found for found in usual if url is None or found.needs is Needs.ANY]
    asked = [question(name) for name in dict.fromkeys(names)]
    if unfit := [found.name for found in asked if url and found.needs is not Needs.ANY]:
        raise click.UsageError(
            f"{', '.join(unfit)} cannot be asked of the server at --url: a Treadle is started for it."
        )
    return asked


def _first(name: str, url: str | None, pool: Pool, plan: Plan, asked: Sequence[Question]) -> Iterator[Sitting]:
    """What the others are compared with."""
    if of_any := [found for found in asked if found.needs is Needs.ANY]:
        yield Sitting(name, _warmed(servers.running(url) if url else servers.treadle(pool), plan), of_any)
    for found in asked:
        match found.needs:
            case Pool():
                yield Sitting(name, _served(servers.treadle(found.needs), plan), [found])
            case Needs.NOTHING:
                yield Sitting(name, _without_server(plan), [found])
            case Needs.ANY:
                pass


def _others(peer: str | None, plan: Plan, asked: Sequence[Question]) -> Iterator[Sitting]:
    openings = {
        BARE: _bare(plan),
        CEILING: _warmed(servers.constant(), plan.shorter(2)),
    }
    if peer:
        openings = {PEER: _warmed(servers.langgraph_dev(), plan), **openings}
    for subject, opening in openings.items():
        if beside := [found for found in asked if subject in found.beside]:
            yield Sitting(subject, opening, beside)


def _run(sittings: Sequence[Sitting], asked: Sequence[Question]) -> list[Answers]:
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_measure(sittings, asked))
    except MeasuringError as error:
        raise click.ClickException(str(error)) from error
    except asyncio.CancelledError:
        sys.exit(128 + signal.SIGTERM)


async def _measure(sittings: Sequence[Sitting], asked: Sequence[Question]) -> list[Answers]:
    task = asyncio.current_task()
    assert task, "a coroutine that runs has a task"
    # Servers that were started here must end before this process does.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    gc.freeze()  # LangGraph's many objects are never garbage; walking over them would be seen in the times
    figures: dict[str, dict[str, list[Figure]]] = {found.name: {} for found in asked}
    for sitting in sittings:
        _progress.print(f"{sitting.subject}: starting")
        async with sitting.opening as ask:
            for found in sitting.questions:
                _progress.print(f"{sitting.subject}: {found.name}")
                figures[found.name][sitting.subject] = await ask(found)
    return [Answers(found.name, found.text, figures[found.name]) for found in asked]


@asynccontextmanager
async def _warmed(opening: AbstractAsyncContextManager[servers.Server], plan: Plan) -> AsyncGenerator[Ask, None]:
    async with opening as server:
        await warm_up(server)
        yield lambda found: found.ask(server, plan)


@asynccontextmanager
async def _served(opening: AbstractAsyncContextManager[servers.Server], plan: Plan) -> AsyncGenerator[Ask, None]:
    """The question itself says what goes before it."""
    async with opening as server:
        yield lambda found: found.ask(server, plan)


@asynccontextmanager
async def _without_server(plan: Plan) -> AsyncGenerator[Ask, None]:
    yield lambda found: found.ask(None, plan)


@asynccontextmanager
async def _bare(plan: Plan) -> AsyncGenerator[Ask, None]:
    """In a process of its own, which the client must not slow down; it warms up by itself."""
    yield lambda found: bare_figures(found.name, plan)


if __name__ == "__main__":
    main()
