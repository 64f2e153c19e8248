"""A real Treadle, started as its users start it: the `treadle` command, in a process of its own."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
from msgspec import Struct

GRAPHS = Path(__file__).parent / "graphs" / "langgraph.json"
READY_WITHIN = 120


class Treadle(Struct, frozen=True):
    """A server under test."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path
    data: Path

    def family(self) -> list[psutil.Process]:
        """The server's process, and every process below it."""
        root = psutil.Process(self.process.pid)
        return [root, *root.children(recursive=True)]

    def gateways(self) -> list[psutil.Process]:
        """The processes that answer, of `treadle serve`."""
        return [child for child in psutil.Process(self.process.pid).children() if "web.worker" in child.cmdline()]

    def actors(self, kind: str) -> list[psutil.Process]:
        """The processes of Ray's actors of a kind: `Slot`, `Directory` or `Ledger`."""
        return [process for process in self.family() if f"_{kind}Actor" in _title(process)]

    def said(self) -> str:
        return self.log.read_text(errors="replace")


def _title(process: psutil.Process) -> str:
    try:
        return process.name() + "".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def command(*arguments: str | Path) -> list[str]:
    return [str(Path(sys.executable).with_name("treadle")), *map(str, arguments)]


@contextmanager
def serving(
    folder: Path,
    *options: str | Path,
    verb: str = "dev",
    port: int | None = None,
    data: Path | None = None,
    under: tuple[str, ...] = (),
    **env: str,
) -> Generator[Treadle]:
    """A server that answers; ended with SIGTERM, and its processes gone, when the block ends. `verb` is the command,
    `under` one that becomes it, such as `prlimit`."""
    port, data, log = port or free_port(), data or folder / "data", folder / f"treadle-{time.monotonic_ns()}.log"
    arguments = command(verb, "--config", GRAPHS, "--port", str(port), "--data", data, *options)
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*under, *arguments],
            stdout=out,
            stderr=out,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **env},
            start_new_session=True,
        )
    server = Treadle(f"http://127.0.0.1:{port}", process, log, data)
    family: list[psutil.Process] = []
    try:
        wait_until_ready(server)
        family = server.family()
        yield server
    finally:
        stop(server, family)


def wait_until_ready(server: Treadle) -> None:
    until = time.monotonic() + READY_WITHIN
    while True:
        assert server.process.poll() is None, server.said()
        assert time.monotonic() < until, server.said()
        try:
            if httpx.get(f"{server.url}/ok", timeout=2).json() == {"ok": True}:
                return
        except httpx.TransportError:
            server_has_moved(server)


def ray_of(server: Treadle) -> str:
    """Where others join it, as it says itself."""
    while not (found := re.search(r"--address (\S+)", server.said())):
        server_has_moved(server)
    return found[1]


def server_has_moved(server: Treadle) -> None:
    """Let a moment pass, or the process end."""
    try:
        server.process.wait(0.1)
    except subprocess.TimeoutExpired:
        return


def stop(server: Treadle, family: list[psutil.Process]) -> None:
    if server.process.poll() is None:
        server.process.send_signal(signal.SIGTERM)
    try:
        server.process.wait(30)
    finally:
        family = [process for process in family if process.is_running()]  # numbers of others may be in use again
        for process in psutil.wait_procs(family, timeout=10)[1]:  # only what a failed test left behind
            process.kill()
