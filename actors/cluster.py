"""Our plain classes as Ray actors, and the way to them. The only file that imports Ray (`notes/ray.md`)."""

import asyncio
import logging
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Awaitable, Callable, Generator
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Self
from uuid import UUID, uuid5

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray reads these when it is imported
os.environ.setdefault("RAY_AUTH_MODE", "token")
os.environ.setdefault("RAY_worker_niceness", "0")
os.environ.setdefault("RAY_DEDUP_LOGS", "0")  # a line that a graph prints twice was printed twice

import ray
import uvloop
from msgspec import Struct
from ray.exceptions import RayError

from actors.catalog import Catalog, GraphInfo
from actors.client import Client
from actors.directory import Directory, DirectorySettings
from actors.doors import Door
from actors.ledger import Ledger
from actors.links import Links
from actors.project import Project, RunLimits, SlotSettings
from actors.pruning import prune_for_ever
from actors.remote import RemoteLedger, RemoteSlot
from storage.deployment import Deployment
from storage.errors import ServiceError, UnavailableError
from storage.records import Assistant, TapeLimits
from storage.tapes import Tapes

logger = logging.getLogger(__name__)

OBJECT_STORE = 150 * 2**20
"""Bytes. Nothing of ours goes through it, so the least that Ray is comfortable with is plenty."""

START_WITHIN = 120.0
"""Seconds for the first slot to load the graphs."""

CLOSE_WITHIN = 3.0
"""Seconds for the ledger to commit what is waiting."""

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
    limits: RunLimits
    tape_limits: TapeLimits
    server: Deployment = Deployment()


class Cluster:
    """Ray on this machine, with our actors in it; ends with `close`."""

    def __init__(self, settings: ClusterSettings) -> None:
        """Take some seconds. Call it in the main thread, before there is an event loop."""
        _start_ray()
        self._addresses = Addresses.of_session(_session())
        try:
            self._actors = [_create(_LedgerActor, self._addresses, settings)]
            self._actors.append(_create(_DirectoryActor, self._addresses, settings))
            _ask(self._addresses.ledger, "open")
            self.catalog: Catalog = _ask(self._addresses.directory, "catalog")
            now = datetime.now(UTC)
            self._assistants = [system_assistant(graph, now) for graph in self.catalog.graphs]
            _ask(self._addresses.ledger, "put_assistants", self._assistants)
        except BaseException:
            self.close()
            raise

    def client(self) -> Client:
        """A way to the threads, for the event loop that runs."""
        addresses = self._addresses
        return Client(Links(), ledger=addresses.ledger, directory=addresses.directory, assistants=self._assistants)

    def close(self) -> None:
        """Commit what is waiting, then end every process. Runs under way go on at the next start."""
        session = _session()
        with suppress_unavailable():
            _ask(self._addresses.ledger, "close", within=CLOSE_WITHIN)
        ray.shutdown()
        shutil.rmtree(session, ignore_errors=True)  # Ray itself never removes it


class Addresses(Struct, frozen=True):
    """Where our processes listen: sockets in a folder that nobody else can enter."""

    folder: str

    @classmethod
    def of_session(cls, session: Path) -> Self:
        folder = session / "links"
        folder.mkdir(mode=0o700, exist_ok=True)
        return cls(str(folder))

    @property
    def ledger(self) -> str:
        return f"{self.folder}/ledger"

    @property
    def directory(self) -> str:
        return f"{self.folder}/directory"

    def slot(self, number: int) -> str:
        """A new one for every process, also when the directory has restarted and counts anew."""
        return f"{self.folder}/slot-{number}-{os.getpid()}"


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


class _Server:
    """An actor that answers with the methods of a plain object, at an address of its own (`actors.doors`).

    Ray runs the constructor again when it restarts an actor, and a constructor that raises ends it for good: so all
    that can fail is in `_open`, which is tried again at the next call. Ray's own event loop has nothing to do here.
    """

    name: str

    def __init__(self, *args: Any) -> None:
        logging.basicConfig(format="%(levelname)s %(name)s: %(message)s")
        self._listening = Future[str]()
        threading.Thread(target=self._live, args=args, name="home", daemon=True).start()

    async def listening(self) -> str:
        """The address, as soon as somebody answers there."""
        return await asyncio.wrap_future(self._listening)

    def __repr__(self) -> str:
        """How Ray names it in front of each line that its process prints."""
        return self.name

    def _live(self, *args: Any) -> None:
        uvloop.run(self._answer(*args))

    async def _answer(self, *args: Any) -> None:
        address = self._address(*args)
        door = Door(address, partial(self._open, *args))
        await door.listen()
        self._listening.set_result(address)
        try:
            await door.opened()
        except ServiceError:  # whoever calls is told, when it fails again
            pass
        except Exception:  # as above, and this says where it was
            logger.exception("The %s could not be opened", self.name)
        await asyncio.Event().wait()

    _address: Callable[..., str]
    """Where it listens, from what the constructor was given."""

    _open: Callable[..., Awaitable[Any]]
    """Makes the object, from what the constructor was given, and the way to others."""


class _LedgerActor(_Server):
    name = "ledger"

    def _address(self, addresses: Addresses, _: ClusterSettings) -> str:
        return addresses.ledger

    async def _open(self, _: Addresses, settings: ClusterSettings, __: Links) -> Ledger:
        ledger = Ledger(str(settings.data / "treadle.duckdb"), settings.server)
        await ledger.open()
        return ledger


class _DirectoryActor(_Server):
    name = "directory"

    def _address(self, addresses: Addresses, _: ClusterSettings) -> str:
        return addresses.directory

    async def _open(self, addresses: Addresses, settings: ClusterSettings, links: Links) -> Directory:
        slots = SlotSettings(
            project=settings.project,
            checkpoints=str(settings.data / "checkpoints"),
            limits=settings.limits,
            tapes=str(settings.data / "tapes"),
            tape_limits=settings.tape_limits,
        )
        wanted = DirectorySettings(warm=settings.warm, most=settings.most, limits=settings.limits)
        directory = Directory(wanted, RemoteLedger(links.to(addresses.ledger)), _Launcher(addresses, slots, links))
        await directory.open()
        self._pruning = asyncio.create_task(prune_for_ever(Tapes(settings.data / "tapes", settings.tape_limits)))
        return directory


class _SlotActor(_Server):
    name = "slot"

    def _address(self, number: int, addresses: Addresses, _: SlotSettings) -> str:
        return addresses.slot(number)

    async def _open(self, number: int, addresses: Addresses, settings: SlotSettings, links: Links) -> Any:
        directory = links.to(addresses.directory)
        # Only here, because it brings LangGraph along: 90 MB and a second that no other process needs.
        slot = import_module("actors.slot")
        ledger = RemoteLedger(links.to(addresses.ledger))
        return await slot.open_slot(settings, ledger, partial(directory.tell, "rested", number))


class _Launcher:
    """Starts the processes of slots. They belong to the directory's process, and end with it."""

    def __init__(self, addresses: Addresses, settings: SlotSettings, links: Links) -> None:
        self._addresses = addresses
        self._settings = settings
        self._links = links

    async def launch(self, number: int) -> RemoteSlot:
        options = {"num_cpus": 0, "max_restarts": 0, "enable_task_events": False}
        actor: Any = ray.remote(_SlotActor).options(**options).remote(number, self._addresses, self._settings)
        address: str = await actor.listening.remote()
        slot = RemoteSlot(address, self._links.to(address), partial(ray.kill, actor))
        await slot.catalog()
        return slot


def _create(server: type[_Server], addresses: Addresses, settings: ClusterSettings) -> Any:
    """The actor, as soon as it listens."""
    options = {
        "name": server.name,
        "lifetime": "detached",
        "num_cpus": 0,
        "max_restarts": -1,
        "max_task_retries": 0,  # Ray would repeat calls that were executed; ours are repeated by id
        "enable_task_events": False,
    }
    actor: Any = ray.remote(server).options(**options).remote(addresses, settings)
    ray.get(actor.listening.remote(), timeout=START_WITHIN)
    return actor


def _ask(address: str, method: str, *args: Any, within: float = START_WITHIN) -> Any:
    """A call that blocks: for the start and the end, where there is no event loop."""

    async def ask() -> Any:
        links = Links()
        try:
            return await asyncio.wait_for(links.to(address).call(method, *args), within)
        finally:
            links.close()

    return asyncio.run(ask())


def _session() -> Path:
    """Ray's folder of this cluster."""
    here = ray.get_runtime_context()
    return Path(here.get_temp_dir(), here.get_session_name())


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
    except (UnavailableError, TimeoutError, RayError) as error:
        logger.warning("At shutdown: %s", error)
