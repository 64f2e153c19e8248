"""`treadle dev` and `treadle serve`: check what can be checked at once, start or join Ray, serve until told to stop."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any
from uuid import uuid4

import psutil
import uvicorn
import uvloop
from msgspec import Struct
from rich.console import Console
from rich.markup import escape

from actors.cluster import Cluster
from actors.clustersettings import ClusterSettings
from actors.project import DEMO, RunLimits
from actors.runtime import Runtime
from storage import pricelists
from storage.deployment import Deployment
from storage.errors import ServiceError
from storage.pricelists import NO_OWN_PRICES
from storage.records import TapeLimits
from web.app import create_app
from web.connections import Config
from web.premises import UnusableError, check_host, listening, owning, project_of, url_of
from web.settings import Settings
from web.stopping import Server, Stopping
from web.worker import Posting
from web.workers import Workers

BYTES_PER_SLOT = 150 * 2**20
"""What a process with a graph under way needs, roughly: LangGraph's 90 MB, and what the graph adds."""

MOST_SLOTS = 64

WARM = 2
DATA = Path(".treadle")

UNUSABLE = 2
"""Exit status when there is nothing to serve, or nowhere to do it."""

RAY_ENDED = 1
"""Exit status when what is served has gone while others still wanted it."""

console = Console(stderr=True, highlight=False, soft_wrap=True)


class Options(Struct, frozen=True, kw_only=True):
    """Of the command line; None was not given."""

    config: Path | None
    host: str
    port: int
    data: Path | None
    warm: int | None
    most: int | None
    insecure: bool

    @property
    def folder(self) -> Path:
        return self.data or DATA

    @property
    def url(self) -> str:
        return url_of(self.host, self.port)


def dev(**options: Any) -> int:
    """Serve in this process until SIGINT or SIGTERM; the exit status."""
    return _explained(lambda: _dev(Options(**options)))


def serve(*, workers: int, address: str | None, **options: Any) -> int:
    """Serve in `workers` processes until SIGINT or SIGTERM; the exit status."""
    return _explained(lambda: _serve(Options(**options), workers, address))


def default_most() -> int:
    """As many processes as half of the memory holds: agents mostly wait, so it is memory that counts, not cores."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(2, min(MOST_SLOTS, memory // 2 // BYTES_PER_SLOT))


def _explained(command: Callable[[], int]) -> int:
    """What keeps a command from serving is said in one line."""
    try:
        return command()
    except (UnusableError, ServiceError, ValueError) as error:
        _complain(str(error))
        return UNUSABLE
    except KeyboardInterrupt:
        console.print("Stopped.")
        return 130


def _complain(what: str) -> None:
    console.print(f"[bold red]treadle:[/] {escape(what)}")


def _dev(options: Options) -> int:
    settings = Settings.from_env(os.environ)
    check_host(options.host, insecure=options.insecure)
    wanted = _wanted(options, settings, os.environ)
    with (
        listening(options.host, options.port) as listener,
        owning(options.folder),
        _cluster(wanted) as cluster,
    ):
        uvloop.run(_answer(cluster, settings, listener, options.url))
    console.print("Stopped. What was under way goes on at the next start.")
    return 0


def _serve(options: Options, workers: int, address: str | None) -> int:
    settings = Settings.from_env(os.environ)
    check_host(options.host, insecure=options.insecure)
    wanted = _wanted(options, settings, os.environ)
    with ExitStack() as stack:
        listener = stack.enter_context(listening(options.host, options.port))
        if address is None:  # else it belongs to whoever started the ledger
            stack.enter_context(owning(options.folder))
        cluster = stack.enter_context(_cluster(wanted, address))
        posting = Posting(listener.fileno(), cluster.addresses, cluster.assistants, settings)
        gateways = Workers(workers, posting, listener, console.print)
        was_told = asyncio.run(_keep(gateways, cluster, options))
    if not was_told:
        _complain(f"Ray at {cluster.address} has ended, and with it what was served here.")
        return RAY_ENDED
    went_on = "without these gateways" if address else "at the next start"
    console.print(f"Stopped. What was under way goes on {went_on}.")
    return 0


def _wanted(options: Options, settings: Settings, env: Mapping[str, str]) -> ClusterSettings:
    most = options.most or default_most()
    return ClusterSettings(
        project=project_of(options.config),
        data=options.folder.resolve(),
        warm=min(WARM if options.warm is None else options.warm, most),
        most=most,
        limits=RunLimits(settings.cancel_grace, settings.run_timeout, settings.max_waiting),
        tape_limits=TapeLimits(settings.tape_hours, settings.tape_run_bytes, settings.tape_bytes),
        own_prices=pricelists.read(Path(settings.prices)) if settings.prices else NO_OWN_PRICES,
        server=Deployment(settings.environment, settings.release),
        left_open=frozenset(_left_open(options, env)),
    )


GIVEN_BY = {
    "limits": ("TREADLE_CANCEL_GRACE", "TREADLE_RUN_TIMEOUT", "TREADLE_MAX_WAITING"),
    "tape_limits": ("TREADLE_TAPE_HOURS", "TREADLE_TAPE_RUN_BYTES", "TREADLE_TAPE_BYTES"),
    "own_prices": ("TREADLE_PRICES",),
    "server": ("TREADLE_ENVIRONMENT", "TREADLE_RELEASE"),
}
"""What of the cluster's settings comes from the environment."""


def _left_open(options: Options, env: Mapping[str, str]) -> Generator[str, None, None]:
    """The cluster's settings that nobody has given here."""
    yield from (name for name in ("data", "warm", "most") if getattr(options, name) is None)
    yield from (name for name, variables in GIVEN_BY.items() if env.keys().isdisjoint(variables))
    if project_of(options.config) is DEMO:
        yield "project"


@contextmanager
def _cluster(wanted: ClusterSettings, address: str | None = None) -> Generator[Cluster, None, None]:
    signal.signal(signal.SIGTERM, _interrupt)
    doing = f"Joining Ray at {address}" if address else "Starting Ray and loading the graphs"
    with console.status(f"{doing} ..."):
        cluster = Cluster(wanted, address)
    try:
        if problems := cluster.catalog.problems:
            for problem in problems:
                where = f"{problem.path}:{problem.variable}"
                console.print(f"[bold red]{escape(problem.graph_id)}[/] ({escape(where)}): {escape(problem.message)}")
            raise UnusableError(f"{len(problems)} of {len(wanted.project.graphs)} graphs cannot be loaded")
        yield cluster
    finally:
        cluster.close()


async def _answer(cluster: Cluster, settings: Settings, listener: socket.socket, url: str) -> None:
    """Be the only gateway."""

    @asynccontextmanager
    async def open_runtime() -> AsyncGenerator[Runtime, None]:
        yield cluster.client()

    stopping = Stopping()
    config = Config(create_app(open_runtime, settings, stopping), settings)
    server = _Server(config, stopping, partial(_announce, cluster.settings, url), cluster.drain)
    await server.serve([listener])


async def _keep(gateways: Workers, cluster: Cluster, options: Options) -> bool:
    """Have gateways until a signal comes, or Ray ends; whether it was a signal."""
    told, loop = asyncio.Event(), asyncio.get_running_loop()
    ending = _Ending(told.set)
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ending.hear, number)
    keeping = asyncio.create_task(gateways.keep())
    waiting = [asyncio.create_task(work) for work in (told.wait(), cluster.ended())]
    ready = asyncio.create_task(_announce_all(gateways, cluster, options))
    await asyncio.wait([keeping, *waiting], return_when=asyncio.FIRST_COMPLETED)
    for task in (ready, *waiting):
        task.cancel()
    if told.is_set():
        await cluster.drain()
    await gateways.stop()
    await keeping
    return told.is_set()


async def _announce_all(gateways: Workers, cluster: Cluster, options: Options) -> None:
    await gateways.ready()
    _announce(
        cluster.settings,
        options.url,
        workers=str(gateways.count),
        join=f"treadle serve --address {cluster.address} --port {options.port + 1}",
    )


def _announce(settings: ClusterSettings, url: str, **more: str) -> None:
    graph = next(iter(settings.project.graphs))
    body = (
        f'{{"assistant_id":"{graph}","if_not_exists":"create","stream_mode":"messages-tuple",'
        '"input":{"messages":[{"role":"user","content":"Why is the sky blue?"}]}}'
    )
    path = f"{url}/threads/{uuid4()}/runs/stream"
    said = {
        "graphs": ", ".join(settings.project.graphs),
        "data": str(settings.data),
        "slots": f"{settings.warm} warm, at most {settings.most}",
        **more,
        "try": f"curl -N {path} -H 'content-type: application/json' -d '{body}'",
        "stop": "Ctrl-C",
    }
    console.print(f"[bold green]Ready[/] at [bold]{url}[/]   docs: {url}/docs")
    for name, what in said.items():
        console.print(f"  {name:<8}{escape(what)}")


class _Server(Server):
    """uvicorn, which says when it is ready, has our signals, and answers until nothing is executed any more."""

    def __init__(
        self,
        config: uvicorn.Config,
        stopping: Stopping,
        announce: Callable[[], None],
        drain: Callable[[], Awaitable[None]],
    ) -> None:
        super().__init__(config, stopping)
        self._announce = announce
        self._drain = drain
        self._loop = asyncio.get_running_loop()
        self._draining: asyncio.Task[None] | None = None
        self._ending = _Ending(self._end)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._announce()

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._ending.hear)
        yield

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._begin_to_end)

    def _begin_to_end(self) -> None:
        self._draining = asyncio.create_task(self._drain_and_end(), name="drain")

    async def _drain_and_end(self) -> None:
        try:
            await self._drain()
        finally:
            self.should_exit = True


class _Ending:
    """What signals do: the first ends us gracefully, the second at once."""

    def __init__(self, begin: Callable[[], None]) -> None:
        self._begin = begin
        self._family: list[psutil.Process] | None = None

    def hear(self, number: int, _: FrameType | None = None) -> None:
        family = psutil.Process().children(recursive=True)
        if self._family is not None:
            _kill([*self._family, *family])  # some of Ray's would notice only after many seconds that they are alone
            os._exit(128 + number)
        self._family = family
        self._begin()
        console.print("Stopping; once more to stop at once.")


def _kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
