"""Two servers on the same threads: one that has started Ray, and one that has joined it. Both come back when killed."""

import os
import signal
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil

from tests.server import GRAPHS, Treadle, free_port, ray_of, serving

CONFIG = GRAPHS.with_name("trial") / "langgraph.json"
POOL = ("--warm", "2", "--max", "4")


class World:
    """Whoever makes one closes it. Its calls block."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self.trial = folder / "trial"
        """Where the graph's witnesses write."""
        self.trial.mkdir()
        self.servers: list[Treadle] = []
        """All there have been; their logs stay."""
        self._folder = folder
        self._ports = (free_port(), free_port())
        self._first, self._second = ExitStack(), ExitStack()
        self.start()

    @property
    def urls(self) -> list[str]:
        return [f"http://127.0.0.1:{port}" for port in self._ports]

    def start(self) -> None:
        self.first = self._serve(self._first, 0, "--workers", "2", *POOL)
        self.join()

    def join(self) -> None:
        """Start the second server, which the first one's threads do not need."""
        self._second.close()
        self.second = self._serve(self._second, 1, "--workers", "1", "--address", ray_of(self.first))

    def kill_all(self) -> None:
        """Everything at once, as when the machine loses its power."""
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        for process in (self.first.process, self.second.process):
            process.wait(30)
        self._second.close()
        self._first.close()

    def close(self) -> None:
        self._second.close()
        self._first.close()

    def processes(self) -> list[psutil.Process]:
        """All that belong to either server, also those that have lost their parents."""
        return [process for process in psutil.process_iter() if _trial_of(process) == str(self.trial)]

    def actors(self, name: str) -> list[psutil.Process]:
        return [process for process in self.processes() if f"ray::_{name}Actor" in _command(process)]

    def gateways(self) -> list[psutil.Process]:
        return [process for process in self.processes() if "web.worker" in _command(process)]

    def _serve(self, stack: ExitStack, number: int, *options: str) -> Treadle:
        env = {"TRIAL": str(self.trial), "TREADLE_CANCEL_GRACE": "1"}
        arguments = ("--config", CONFIG, *options)
        port = self._ports[number]
        server = serving(self._folder, *arguments, verb="serve", port=port, data=self.data, **env)
        self.servers.append(stack.enter_context(server))
        return self.servers[-1]


@contextmanager
def a_world(folder: Path) -> Generator[World]:
    world = World(folder)
    try:
        yield world
    finally:
        world.close()


@contextmanager
def stopped(process: psutil.Process) -> Generator[None]:
    """The process stands still, as one that swaps or waits for its disk."""
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGCONT)


def _trial_of(process: psutil.Process) -> str | None:
    return _unless_gone(lambda: process.environ().get("TRIAL")) if process.pid != os.getpid() else None


def _command(process: psutil.Process) -> str:
    return _unless_gone(lambda: " ".join(process.cmdline())) or ""


def _unless_gone(ask: Callable[[], str | None]) -> str | None:
    try:
        return ask()
    except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
        return None
