"""Our plain classes as Ray actors, and the way to them. The only file that imports Ray (`notes/ray.md`)."""

import asyncio
import logging
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray reads these when it is imported
os.environ.setdefault("RAY_AUTH_MODE", "token")
os.environ.setdefault("RAY_worker_niceness", "0")
os.environ.setdefault("RAY_DEDUP_LOGS", "0")  # a line that a graph prints twice was printed twice

import ray
from msgspec import Struct
from ray.exceptions import RayActorError, RayError, RayTaskError

from actors.catalog import Catalog, GraphInfo
from actors.client import Client
from actors.directory import Directory, DirectorySettings
from actors.errors import GoneError
from actors.ledger import Ledger
from actors.project import Project, SlotSettings
from actors.remote import RemoteLedger, RemoteSlot
from storage.errors import ServiceError, UnavailableError
from storage.records import Assistant

OBJECT_STORE = 150 * 2**20
"""Bytes. Batches of up to 64 KiB never touch it, so the least that Ray is comfortable with is plenty."""

CALLS = 4096
"""Calls that one actor may have open; each subscriber and each watch is one."""

UNREAD = 8
"""Batches that a stream may be ahead of its reader, before it waits."""

START_WITHIN = 120.0
"""Seconds for the first slot to load the graphs."""

LOOPBACK = "127.0.0.2"
"""Where Ray's processes listen. Given 127.0.0.1, Ray takes an address that others can reach instead."""

SYSTEM_ASSISTANTS = UUID("6ba7b821-9dad-11d1-80b4-00c04fd430c8")
"""The namespace of their ids (`spec/platform.md` §3)."""


class ClusterSettings(Struct, frozen=True):
    project: Project
    data: Path
    """The folder of everything that is kept."""
    warm: int
    most: int
    grace: float
    """Seconds a cancelled run has to stop by itself, before its process is ended."""


class Cluster:
    """Ray on this machine, with our actors in it; ends with `close`."""

    def __init__(self, settings: ClusterSettings) -> None:
        """Take some seconds. Call it in the main thread, before there is an event loop."""
        _start_ray()
        try:
            self._ledger = RayHandle(_create(_LedgerActor, "ledger", str(settings.data / "treadle.duckdb")))
            self._directory = RayHandle(_create(_DirectoryActor, "directory", settings, self._ledger))
            self._ledger.wait("open", START_WITHIN)
            self.catalog: Catalog = self._directory.wait("catalog", START_WITHIN)
        except BaseException:
            self.close()
            raise

    def client(self) -> Client:
        """A way to the threads. Makes the graphs' system assistants known."""
        assistants = [system_assistant(graph, datetime.now(UTC)) for graph in self.catalog.graphs]
        self._ledger.wait("put_assistants", START_WITHIN, assistants)
        lobby = RayHandle(self._directory.actor, "lobby.")
        return Client(RemoteLedger(self._ledger), self._directory, lobby, assistants)

    def close(self) -> None:
        """Commit what is waiting, then end every process. Runs under way go on at the next start."""
        here = ray.get_runtime_context()
        session = Path(here.get_temp_dir(), here.get_session_name())
        if hasattr(self, "_ledger"):
            with suppress_unavailable():
                self._ledger.wait("close", 3.0)
        ray.shutdown()
        shutil.rmtree(session, ignore_errors=True)  # Ray itself never removes it


def system_assistant(graph: GraphInfo, now: datetime) -> Assistant:
    """The assistant that every graph has from the start."""
    return Assistant(
        assistant_id=str(uuid5(SYSTEM_ASSISTANTS, graph.graph_id)),
        graph_id=graph.graph_id,
        name=graph.name,
        description=graph.description,
        metadata={"created_by": "system"},
        created_at=now,
        updated_at=now,
    )


class RayHandle:
    """`actors.remote.Handle`: an actor, or a part of it. Can be sent to other processes."""

    def __init__(self, actor: Any, part: str = "") -> None:
        self.actor = actor
        self._part = part

    async def call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        with _our_own_errors():
            return await self.actor.call.remote(self._part + method, args, kwargs)

    def wait(self, method: str, timeout: float, *args: Any) -> Any:
        """A call that blocks: for the start and the end, where there is no event loop."""
        with _our_own_errors():
            return ray.get(self.actor.call.remote(self._part + method, args, {}), timeout=timeout)

    def tell(self, method: str, *args: Any) -> None:
        self.actor.call.remote(self._part + method, args, {})

    async def stream(self, method: str, *args: Any) -> AsyncGenerator[Any, None]:
        with _our_own_errors():
            async for item in self.actor.stream.remote(self._part + method, args):
                yield await item

    async def outlive(self) -> None:
        with _our_own_errors():
            await self.actor.outlive.remote()

    async def kill(self) -> None:
        ray.kill(self.actor)


class _Server:
    """An actor that answers with the methods of a plain object, which it opens at the first call.

    Ray runs the constructor again when it restarts an actor, and a constructor that raises ends it for good:
    so all that can fail is in `_open`, which is tried again at the next call.
    """

    _name: str

    def __init__(self, *args: Any) -> None:
        self._args = args
        self._object: Any = None
        self._opening = asyncio.Lock()

    async def call(self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return await attrgetter(method)(self._object or await self._opened())(*args, **kwargs)

    @ray.method(num_returns="streaming", _generator_backpressure_num_objects=UNREAD)
    async def stream(self, method: str, args: tuple[Any, ...]) -> AsyncGenerator[Any, None]:
        async for item in attrgetter(method)(self._object or await self._opened())(*args):
            yield item

    async def outlive(self) -> None:
        """Never return: that the call fails is the news of this process's death."""
        await asyncio.Event().wait()

    def __repr__(self) -> str:
        """How Ray names it in front of each line that its process prints."""
        return self._name

    async def _opened(self) -> Any:
        async with self._opening:
            if self._object is None:
                logging.basicConfig(format="%(levelname)s %(name)s: %(message)s")
                self._object = await self._open(*self._args)
        return self._object

    _open: Callable[..., Awaitable[Any]]
    """Makes the object, from what the constructor was given."""


class _LedgerActor(_Server):
    _name = "ledger"

    async def _open(self, path: str) -> Ledger:
        ledger = Ledger(path)
        await ledger.open()
        return ledger


class _DirectoryActor(_Server):
    _name = "directory"

    async def _open(self, settings: ClusterSettings, ledger: RayHandle) -> Directory:
        me = RayHandle(ray.get_runtime_context().current_actor)
        launcher = _Launcher(
            SlotSettings(settings.project, str(settings.data / "checkpoints"), settings.grace), ledger, me
        )
        wanted = DirectorySettings(warm=settings.warm, most=settings.most, grace=settings.grace)
        directory = Directory(wanted, RemoteLedger(ledger), launcher)
        await directory.open()
        return directory


class _SlotActor(_Server):
    _name = "slot"

    async def _open(self, number: int, settings: SlotSettings, ledger: RayHandle, directory: RayHandle) -> Any:
        def rested(thread_id: str) -> None:
            directory.tell("rested", number, thread_id)

        # Only here, because it brings LangGraph along: 90 MB and a second that no other process needs.
        slot = import_module("actors.slot")
        return await slot.open_slot(settings, RemoteLedger(ledger), rested)


class _Launcher:
    """Starts the processes of slots. They belong to the directory's process, and end with it."""

    def __init__(self, settings: SlotSettings, ledger: RayHandle, directory: RayHandle) -> None:
        self._settings = settings
        self._ledger = ledger
        self._directory = directory

    async def launch(self, number: int) -> RemoteSlot:
        options = {"num_cpus": 0, "max_concurrency": CALLS, "max_restarts": 0, "enable_task_events": False}
        actor = ray.remote(_SlotActor).options(**options).remote(number, self._settings, self._ledger, self._directory)
        slot = RemoteSlot(RayHandle(actor))
        await slot.catalog()
        return slot


def _create(server: type[_Server], name: str, *args: Any) -> Any:
    return (
        ray.remote(server)
        .options(
            name=name,
            lifetime="detached",
            num_cpus=0,
            max_concurrency=CALLS,
            max_restarts=-1,
            max_task_retries=0,  # Ray would repeat calls that were executed; ours are repeated by id
            enable_task_events=False,
        )
        .remote(*args)
    )


def _start_ray() -> None:
    """A Ray of our own, whatever else runs on this machine."""
    sessions = Path(tempfile.gettempdir(), f"treadle-{os.getuid()}")  # short: a socket's path has 100 bytes at most
    _remove_dead_sessions(sessions)
    handler = signal.getsignal(signal.SIGTERM)
    ray.init(
        address="local",
        namespace="treadle",
        num_cpus=os.cpu_count(),
        include_dashboard=False,
        log_to_driver=True,  # what graphs print belongs on the terminal of whoever runs them
        logging_level=logging.ERROR,
        object_store_memory=OBJECT_STORE,
        _node_ip_address=LOOPBACK,
        _temp_dir=str(sessions),
    )
    signal.signal(signal.SIGTERM, handler)  # Ray puts one of its own there


def _remove_dead_sessions(sessions: Path) -> None:
    """What servers that were killed have left: Ray itself never removes it. A name ends with its owner's process id."""
    for session in sessions.glob("session_*_*"):
        owner = session.name.rpartition("_")[2]
        if owner.isdigit() and not Path("/proc", owner).exists():
            shutil.rmtree(session, ignore_errors=True)


@contextmanager
def suppress_unavailable() -> Generator[None, None, None]:
    """At the end, what no longer answers need not be waited for."""
    try:
        yield
    except (UnavailableError, RayError) as error:
        logging.getLogger(__name__).warning("At shutdown: %s", error)


@contextmanager
def _our_own_errors() -> Generator[None, None, None]:
    """Ray wraps what an actor raises; callers should meet the original."""
    try:
        yield
    except RayTaskError as error:
        if isinstance(error.cause, ServiceError):
            raise error.cause from None
        raise
    except RayActorError as error:
        raise GoneError from error
