"""`treadle dev`: check what can be checked at once, start Ray, serve until told to stop."""

import errno
import fcntl
import ipaddress
import os
import signal
import socket
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from pathlib import Path
from types import FrameType
from typing import IO
from uuid import uuid4

import psutil
import uvicorn
import uvloop
from rich.console import Console
from rich.markup import escape

from actors.cluster import Cluster, ClusterSettings
from actors.project import DEMO, Project, RunLimits, read
from actors.runtime import Runtime
from storage.deployment import Deployment
from storage.errors import ServiceError
from storage.records import TapeLimits
from web.app import create_app
from web.settings import Settings
from web.stopping import Server, Stopping

BYTES_PER_SLOT = 150 * 2**20
"""What a process with a graph under way needs, roughly: LangGraph's 90 MB, and what the graph adds."""

MOST_SLOTS = 64

BROKEN_OFF_WITHIN = 3
"""Seconds that open answers have to end once they have been told to."""

UNUSABLE = 2
"""Exit status when there is nothing to serve, or nowhere to do it."""

console = Console(stderr=True, highlight=False, soft_wrap=True)


class UnusableError(Exception):
    """What was asked for cannot be served. The message is one line, for the user."""


def serve(  # noqa: PLR0913 - one argument an option of the command
    *, config: Path | None, host: str, port: int, data: Path, warm: int, most: int | None, insecure: bool
) -> int:
    """Serve until SIGINT or SIGTERM; the exit status."""
    try:
        settings = Settings.from_env(os.environ)
        _check_host(host, insecure=insecure)
        project = _project(config)
        with _listening(host, port) as listener, _owning(data):
            most = most or default_most()
            warm = min(warm, most)
            wanted = ClusterSettings(
                project=project,
                data=data.resolve(),
                warm=warm,
                most=most,
                limits=RunLimits(settings.cancel_grace, settings.run_timeout, settings.max_waiting),
                tape_limits=TapeLimits(settings.tape_hours, settings.tape_run_bytes, settings.tape_bytes),
                server=Deployment(settings.environment, settings.release),
            )
            return _serve(wanted, settings, listener, f"http://{_shown(host)}:{port}")
    except (UnusableError, ServiceError, ValueError) as error:
        console.print(f"[bold red]treadle:[/] {escape(str(error))}")
        return UNUSABLE
    except KeyboardInterrupt:
        console.print("Stopped.")
        return 130


def default_most() -> int:
    """As many processes as half of the memory holds: agents mostly wait, so it is memory that counts, not cores."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(2, min(MOST_SLOTS, memory // 2 // BYTES_PER_SLOT))


def _serve(wanted: ClusterSettings, settings: Settings, listener: socket.socket, url: str) -> int:
    signal.signal(signal.SIGTERM, _interrupt)
    with console.status("Starting Ray and loading the graphs ..."):
        cluster = Cluster(wanted)
    try:
        if problems := cluster.catalog.problems:
            for problem in problems:
                where = f"{problem.path}:{problem.variable}"
                console.print(f"[bold red]{escape(problem.graph_id)}[/] ({escape(where)}): {escape(problem.message)}")
            raise UnusableError(f"{len(problems)} of {len(wanted.project.graphs)} graphs cannot be loaded")
        uvloop.run(_answer(cluster, wanted, settings, listener, url))
    finally:
        cluster.close()
    console.print("Stopped. What was under way goes on at the next start.")
    return 0


async def _answer(
    cluster: Cluster, wanted: ClusterSettings, settings: Settings, listener: socket.socket, url: str
) -> None:
    @asynccontextmanager
    async def open_runtime() -> AsyncGenerator[Runtime, None]:
        yield cluster.client()

    stopping = Stopping()
    app = create_app(open_runtime, settings, stopping)
    config = uvicorn.Config(
        app,
        http="httptools",
        loop="uvloop",
        lifespan="on",
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=BROKEN_OFF_WITHIN,
        backlog=2048,
    )
    server = _Server(config, stopping, partial(_announce, wanted, url))
    await server.serve([listener])


def _announce(wanted: ClusterSettings, url: str) -> None:
    graph = next(iter(wanted.project.graphs))
    body = (
        f'{{"assistant_id":"{graph}","if_not_exists":"create","stream_mode":"messages-tuple",'
        '"input":{"messages":[{"role":"user","content":"Why is the sky blue?"}]}}'
    )
    console.print(f"[bold green]Ready[/] at [bold]{url}[/]   docs: {url}/docs")
    console.print(f"  graphs  {', '.join(wanted.project.graphs)}")
    console.print(f"  data    {wanted.data}")
    console.print(f"  slots   {wanted.warm} warm, at most {wanted.most}")
    path = f"{url}/threads/{uuid4()}/runs/stream"
    console.print("  try     " + escape(f"curl -N {path} -H 'content-type: application/json' -d '{body}'"))
    console.print("  stop    Ctrl-C")


class _Server(Server):
    """uvicorn, which says when it is ready, and has our signals: the first ends it gracefully, the second at once."""

    def __init__(self, config: uvicorn.Config, stopping: Stopping, announce: Callable[[], None]) -> None:
        super().__init__(config, stopping)
        self._announce = announce
        self._family: list[psutil.Process] = []

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._announce()

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self.handle_exit)
        yield

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        del frame
        family = psutil.Process().children(recursive=True)
        if self.should_exit:
            _kill([*self._family, *family])  # some of Ray's would notice only after many seconds that they are alone
            os._exit(128 + sig)
        self.should_exit, self._family = True, family
        console.print("Stopping; once more to stop at once.")


def _kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _check_host(host: str, *, insecure: bool) -> None:
    if not (insecure or _is_loopback(host)):
        raise UnusableError(
            f"Others could reach {host}, and there is no authentication: everybody could run the graphs. "
            "Use 127.0.0.1, or --insecure if the network is trusted."
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _project(config: Path | None) -> Project:
    if config is not None:
        return read(config)
    here = Path("langgraph.json")
    return read(here) if here.exists() else DEMO


@contextmanager
def _listening(host: str, port: int) -> Generator[socket.socket, None, None]:
    """Taken before anything slow happens, so that a port in use is said at once."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            cure = ". Choose another with --port" if error.errno == errno.EADDRINUSE else ""
            raise UnusableError(f"Cannot listen on {_shown(host)}:{port}: {error.strerror}{cure}") from None
        yield listener


@contextmanager
def _owning(data: Path) -> Generator[None, None, None]:
    """The data folder is ours as long as this process lives, and only ours."""
    with _lock_file(data) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UnusableError(f"The data folder {data} is in use by another Treadle") from None
        yield


def _lock_file(data: Path) -> IO[str]:
    try:
        data.mkdir(parents=True, exist_ok=True)
        return (data / "lock").open("w")
    except OSError as error:
        raise UnusableError(f"The data folder {data} cannot be used: {error.strerror}") from None


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host
