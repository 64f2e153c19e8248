"""The servers that are measured: started on a free port, waited for until `/ok`, and ended again."""

import asyncio
import os
import shutil
import socket
import sys
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from enum import StrEnum
from importlib.metadata import distributions, version
from pathlib import Path
from tempfile import TemporaryDirectory

from msgspec import Struct

from benchmarks.client import HttpClient, connected
from benchmarks.processes import Family
from benchmarks.subject import MeasuringError

HERE = Path(__file__).parent
OURS = Path(sys.executable).parent
PEER = HERE.parent / ".peers" / "langgraph-dev"

PEER_JOBS = 128
"""Runs that the reference server may work on at once: more than there are clients, since a job costs it no process."""

START = 180.0
"""Seconds that a server has until it answers."""
STOP = 20.0
"""Seconds that it has to end by itself."""

_OFFLINE = {"LANGSMITH_TRACING": "false", "LANGGRAPH_CLI_NO_ANALYTICS": "1", "LANGGRAPH_NO_VERSION_CHECK": "true"}
"""Nobody is measured while telling a third party about it."""


class Needs(StrEnum):
    """Of a question that does not want a Treadle of its own."""

    ANY = "any server"
    NOTHING = "no server: it starts what it needs"


class Pool(Struct, frozen=True):
    """The slots of a Treadle that is started for a question."""

    warm: int
    most: int


class Server(Struct, frozen=True):
    """A server that speaks the Platform dialect."""

    url: str
    pid: int | None = None
    """Of its first process, if it was started here."""

    @property
    def family(self) -> Family:
        """Raises MeasuringError if its processes are somebody else's."""
        if self.pid is None:
            raise MeasuringError(f"{self.url} was not started here, so its processes cannot be measured.")
        return Family(self.pid)

    def connect(self) -> AbstractAsyncContextManager[HttpClient]:
        return connected(self.url)


@asynccontextmanager
async def treadle(pool: Pool) -> AsyncGenerator[Server, None]:
    port = _free_port()
    with TemporaryDirectory(prefix="bench-") as folder:
        options = ["--config", str(HERE / "langgraph.json"), "--data", f"{folder}/data", "--port", str(port)]
        command = [str(OURS / "treadle"), "dev", *options, "--warm", str(pool.warm), "--max", str(pool.most)]
        async with _started("treadle", port, command, folder) as server:
            yield server


@asynccontextmanager
async def langgraph_dev() -> AsyncGenerator[Server, None]:
    """The reference server. It finds graphs, and keeps its state, in its working directory; so it gets one."""
    await _install_peer()
    port = _free_port()
    with TemporaryDirectory(prefix="bench-") as folder:
        for name in ("workloads.py", "langgraph.json"):
            shutil.copy(HERE / name, folder)
        options = ["--config", "langgraph.json", "--port", str(port), "--n-jobs-per-worker", str(PEER_JOBS)]
        command = [str(PEER / "bin" / "langgraph"), "dev", "--no-browser", "--no-reload", *options]
        async with _started("langgraph-dev", port, command, folder) as server:
            yield server


@asynccontextmanager
async def constant() -> AsyncGenerator[Server, None]:
    port = _free_port()
    with TemporaryDirectory(prefix="bench-") as folder:
        command = [sys.executable, "-m", "benchmarks.constant", str(port)]
        async with _started("ceiling", port, command, folder, cwd=HERE.parent) as server:
            yield server


@asynccontextmanager
async def running(url: str) -> AsyncGenerator[Server, None]:
    """A server that somebody else has started."""
    async with connected(url) as client:
        if not await client.is_up():
            raise MeasuringError(f"Nothing answers at {url}/ok.")
    yield Server(url)


def peer_versions() -> dict[str, str]:
    """Of an environment that is not ours."""
    paths = [str(path) for path in PEER.glob("lib/python*/site-packages")]
    found = {package.name: package.version for package in distributions(path=paths)}
    return {name: found[name] for name in ("langgraph-cli", "langgraph-api", "langgraph", "langchain-core", "uvicorn")}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@asynccontextmanager
async def _started(
    name: str, port: int, command: list[str], folder: str, cwd: Path | None = None
) -> AsyncGenerator[Server, None]:
    log = Path(folder, "log")
    environment = {**os.environ, **_OFFLINE}
    with log.open("wb") as output:  # noqa: ASYNC230 - once, before anything is measured
        # A session of its own, so that a Ctrl-C here does not reach it before we end it.
        process = await asyncio.create_subprocess_exec(
            *command, cwd=cwd or folder, env=environment, stdout=output, stderr=output, start_new_session=True
        )
    try:
        server = Server(f"http://127.0.0.1:{port}", process.pid)
        await _until_ready(name, server, process, log)
        yield server
    finally:
        await _end(process)


async def _until_ready(name: str, server: Server, process: asyncio.subprocess.Process, log: Path) -> None:
    try:
        async with asyncio.timeout(START), server.connect() as client:
            while not await client.is_up():
                if process.returncode is not None:
                    raise MeasuringError(f"{name} ended before it was ready:\n{_last_lines(log)}")
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise MeasuringError(f"{name} was not ready after {START:.0f} s:\n{_last_lines(log)}") from None


def _last_lines(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-20:])


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(STOP):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


async def _install_peer() -> None:
    """Its newest version, with our LangGraph: to hold it to all of our versions would give a much older server."""
    if (PEER / "bin" / "langgraph").exists():
        return
    same = [f"{name}=={version(name)}" for name in ("langgraph", "langchain-core")]
    pip = [str(PEER / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    await _run(sys.executable, "-m", "venv", str(PEER))
    await _run(*pip, "langgraph-cli[inmem]", *same)


async def _run(*command: str) -> None:
    process = await asyncio.create_subprocess_exec(*command, stdout=sys.stderr)
    if await process.wait():
        raise MeasuringError(f"The reference server could not be installed: {' '.join(command)}")
