"""Our plain classes as Ray actors, and the way to them. The only file that imports Ray (`notes/ray.md`)."""

import asyncio
import logging
import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Generator
from concurrent.futures import Future
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray reads these when it is imported
os.environ.setdefault("RAY_AUTH_MODE", "token")
os.environ.setdefault("RAY_worker_niceness", "0")
os.environ.setdefault("RAY_DEDUP_LOGS", "0")  # a line that a graph prints twice was printed twice

import psutil
import ray
import uvloop
from ray._private.services import find_gcs_addresses
from ray._private.worker import global_worker
from ray.exceptions import ActorUnavailableError, RayError

from actors import hidden
from actors.addresses import Addresses
from actors.catalog import Catalog, system_assistant
from actors.client import Client
from actors.clustersettings import ONLY_THERE, ClusterSettings, JoinError, address_here, refuse_others
from actors.directory import Directory, DirectorySettings
from actors.doors import Door
from actors.links import Links
from actors.ports import SlotPort
from actors.project import SlotSettings
from actors.remote import RemoteLedger, RemoteSlot
from storage.errors import ServiceError, UnavailableError
from storage.tapes import Tapes

logger = logging.getLogger(__name__)

OBJECT_STORE = 150 * 2**20
"""Bytes. Nothing of ours goes through it, so the least that Ray is comfortable with is plenty."""

START_WITHIN = 120.0
"""Seconds for the first slot to load the graphs."""

RESTARTING_PAUSE = 0.2
"""Seconds."""

CLOSE_WITHIN = 3.0
"""Seconds for the ledger to commit what is waiting."""

DRAINED_WITHIN = 5.0
"""Seconds, beyond the grace period, for the runs under way to be kept by those who execute them."""

TOLD_WITHIN = 0.3
"""Seconds in which the ends of runs reach those who read along."""

NAMESPACE = "treadle"

LOOPBACK = "127.0.0.2"
"""Where Ray's processes listen. Given 127.0.0.1, Ray takes an address that others can reach instead."""

ON_THE_HEAD = {"node:__internal_head__": 0.0001}
"""Our processes reach one another by sockets in a folder, so all of them are on one node. It is a share of what Ray
counts there; the smallest that it knows."""


PYARROW = "pyarrow"
"""Ray imports it where it is installed, to send tables from actor to actor: 5 MB of each process for what none of ours
does. That is while it reads what an actor's constructor is given, after this file is imported."""

if global_worker.mode == ray.WORKER_MODE:
    hidden.hide(PYARROW)


class Cluster:
    """Our actors in a Ray of this machine; ends with `close`."""

    def __init__(self, settings: ClusterSettings, address: str | None = None) -> None:
        """In a Ray of our own, which takes some seconds; or in the one at `address`, with the actors that are there.

        Call it in the main thread, before there is an event loop. Raises JoinError.
        """
        self._is_ours = address is None
        _start_ray() if address is None else _join_ray(address)
        try:
            self.address: str = ray.get_runtime_context().gcs_address
            self._session = _session()
            self._raylet: str = _node()["RayletSocketName"]
            self.addresses = Addresses.of_session(self._session)
            self._settle_in(settings)
        except RayError as error:
            self.close()
            raise JoinError(f"Ray at {self.address} does not start our actors: {_line(error)}") from error
        except BaseException:
            self.close()
            raise
        if not self._is_ours:
            ray.shutdown()  # what is needed from now on goes past Ray, which would take this process down with it

    def client(self) -> Client:
        """A way to the threads, for the event loop that runs."""
        return Client(self.addresses, self.assistants)

    async def ended(self) -> None:
        """Return when Ray has ended here, in whatever way: its daemon's death is the end of a connection to it."""
        with suppress(OSError):
            reader, writer = await asyncio.open_unix_connection(self._raylet)
            with closing(writer):
                await reader.read()

    async def drain(self) -> None:
        """If Ray is ours, let no run start any more, and return when none is executed: each has ended, or waits again.

        That takes no longer than the grace period and a few seconds. What is still under way then ends with `close`.
        """
        if not self._is_ours:
            return
        with closing(Links()) as links, suppress_unavailable():
            draining = links.to(self.addresses.directory).call("drain")
            if await asyncio.wait_for(draining, self.settings.limits.grace + DRAINED_WITHIN):
                await asyncio.sleep(TOLD_WITHIN)

    def close(self) -> None:
        """If Ray is ours, commit what is waiting, then end every process. Runs under way go on at the next start."""
        if self._is_ours:
            with suppress_unavailable():
                _ask(self.addresses.ledger, "close", within=CLOSE_WITHIN)
        family = psutil.Process().children(recursive=True) if self._is_ours else []
        ray.shutdown()
        for process in family:  # what graphs have started, of which Ray knows nothing
            with suppress(psutil.NoSuchProcess):
                process.kill()
        if self._is_ours:
            shutil.rmtree(self._session, ignore_errors=True)  # Ray itself never removes it

    def _settle_in(self, wanted: ClusterSettings) -> None:
        """Find our actors, or start them; those that were started in vain are taken out of another's Ray again."""
        stay = self._is_ours or bool(ray.util.list_named_actors())
        actors = [_find_or_create(server, self.addresses, wanted) for server in (_LedgerActor, _DirectoryActor)]
        try:
            self.settings: ClusterSettings = _insist(actors[0].settings.remote)
            refuse_others(wanted, self.settings)
            _ask(self.addresses.ledger, "open")
            self.catalog: Catalog = _ask(self.addresses.directory, "catalog")
            now = datetime.now(UTC)
            self.assistants = [system_assistant(graph, now) for graph in self.catalog.graphs]
            _ask(self.addresses.ledger, "put_assistants", self.assistants)
        except BaseException:
            _remove([] if stay else actors)
            raise
        if self.catalog.problems and not stay:
            _remove(actors)


class _Server:
    """An actor that answers with the methods of a plain object, at an address of its own (`actors.doors`).

    Ray runs the constructor again when it restarts an actor, and a constructor that raises ends it for good: so all
    that can fail is in `_open`, which is tried again at the next call. None of its methods is a coroutine: so Ray calls
    them in its main thread, and starts no event loop of its own.
    """

    name: str

    def __init__(self, *args: Any) -> None:
        hidden.show(PYARROW)  # for whoever needs it
        logging.basicConfig(format="%(levelname)s %(name)s: %(message)s")
        self._settings = args[-1]
        self._listening = Future[str]()
        threading.Thread(target=self._live, args=args, name="home", daemon=True).start()

    def listening(self) -> str:
        """The address, as soon as somebody answers there."""
        return self._listening.result()

    def settings(self) -> Any:
        """What it was started with."""
        return self._settings

    def __repr__(self) -> str:
        """How Ray names it in front of each line that its process prints."""
        return self.name

    def _live(self, *args: Any) -> None:
        address = self._address(*args)
        door = Door(address, partial(self._open, *args))
        uvloop.run(_answer(door, self.name, partial(self._listening.set_result, address)))

    _address: Callable[..., str]
    """Where it listens, from what the constructor was given."""

    _open: Callable[..., Awaitable[Any]]
    """Makes the object, from what the constructor was given, and the way to others."""


async def _answer(door: Door, name: str, on_listening: Callable[[], object]) -> None:
    await door.listen()
    on_listening()
    try:
        await door.opened()
    except ServiceError:  # whoever calls is told, when it fails again
        pass
    except Exception:  # as above, and this says where it was
        logger.exception("The %s could not be opened", name)
    await asyncio.Event().wait()


class _LedgerActor(_Server):
    name = "ledger"

    def _address(self, addresses: Addresses, _: ClusterSettings) -> str:
        return addresses.ledger

    def _open(self, _: Addresses, settings: ClusterSettings, __: Links) -> Awaitable[Any]:
        # Only here, because it brings DuckDB along: 13 MB that no other process needs.
        ledger = import_module("actors.ledger")
        return ledger.open_ledger(settings.data, settings.server, settings.own_prices)


class _DirectoryActor(_Server):
    name = "directory"

    def _address(self, addresses: Addresses, _: ClusterSettings) -> str:
        return addresses.directory

    def _open(self, addresses: Addresses, settings: ClusterSettings, links: Links) -> Awaitable[Directory]:
        return _open_directory(addresses, settings, links)


async def _open_directory(addresses: Addresses, settings: ClusterSettings, links: Links) -> Directory:
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
    directory.begin_to_prune(Tapes(settings.data / "tapes", settings.tape_limits))
    return directory


class _SlotActor(_Server):
    name = "slot"

    def stay(self) -> None:
        """Never return. Ray's main thread looks for signals a hundred times a second while it has nothing to do, which
        takes 0.8 % of a core and disturbs user code; and slots are many."""
        threading.Event().wait()

    def _address(self, number: int, addresses: Addresses, _: SlotSettings) -> str:
        return addresses.slot(number)

    def _open(self, number: int, addresses: Addresses, settings: SlotSettings, links: Links) -> Awaitable[Any]:
        directory = links.to(addresses.directory)
        # Only here, because it brings LangGraph along: 35 MB and a second that no other process needs; and httpx, whose
        # command line would bring rich and pygments: 4 MB for what nobody calls here.
        with hidden.hiding("httpx._main"):
            slot = import_module("actors.slot")
        ledger = RemoteLedger(links.to(addresses.ledger))
        return slot.open_slot(settings, ledger, partial(directory.tell, "rested", number))


class _Launcher:
    """Starts the processes of slots. They are nobody's, so that they outlive the directory, and are found by name."""

    def __init__(self, addresses: Addresses, settings: SlotSettings, links: Links) -> None:
        self._addresses = addresses
        self._settings = settings
        self._links = links

    async def launch(self, number: int) -> RemoteSlot:
        actor = await asyncio.to_thread(self._create, number)
        slot = self._slot(actor, await actor.listening.remote())
        actor.stay.remote()
        await slot.catalog()
        return slot

    async def survivors(self) -> dict[int, SlotPort]:
        slots: dict[int, SlotPort] = {}
        for number, actor in (await asyncio.to_thread(_slots_there)).items():
            if address := self._addresses.of_slot(number):
                slots[number] = self._slot(actor, address)
            else:  # it has only just been launched
                ray.kill(actor)
        return slots

    def _create(self, number: int) -> Any:
        options = {
            "name": f"{_SlotActor.name}-{number}",
            "lifetime": "detached",
            "num_cpus": 0,
            "resources": ON_THE_HEAD,
            "max_restarts": 0,
            "enable_task_events": False,
        }
        return ray.remote(_SlotActor).options(**options).remote(number, self._addresses, self._settings)

    def _slot(self, actor: Any, address: str) -> RemoteSlot:
        return RemoteSlot(address, self._links.to(address), partial(ray.kill, actor))


def _slots_there() -> dict[int, Any]:
    """The slots of this cluster, by number, as Ray knows them; some may just be ending."""
    names = [name for name in ray.util.list_named_actors() if name.startswith(f"{_SlotActor.name}-")]
    found: dict[int, Any] = {}
    for name in names:
        with suppress(ValueError):  # it has ended since
            found[int(name.rpartition("-")[2])] = ray.get_actor(name)
    return found


def _find_or_create(server: type[_Server], addresses: Addresses, settings: ClusterSettings) -> Any:
    """The actor, as soon as it listens. Of those who come together, one creates it."""
    options = {
        "name": server.name,
        "get_if_exists": True,
        "lifetime": "detached",
        "num_cpus": 0,
        "resources": ON_THE_HEAD,
        "max_restarts": -1,
        "max_task_retries": 0,  # Ray would repeat calls that were executed; ours are repeated by id
        "enable_task_events": False,
    }
    actor: Any = ray.remote(server).options(**options).remote(addresses, settings)
    _insist(actor.listening.remote)
    return actor


def _insist(ask: Callable[[], Any]) -> Any:
    """The answer of an actor, which may be restarting just now."""
    until = time.monotonic() + START_WITHIN
    while True:
        try:
            return ray.get(ask(), timeout=START_WITHIN)
        except ActorUnavailableError:
            if time.monotonic() > until:
                raise
            time.sleep(RESTARTING_PAUSE)


def _ask(address: str, method: str, *args: Any, within: float = START_WITHIN) -> Any:
    """A call that blocks: for the start and the end, where there is no event loop."""

    async def ask() -> Any:
        links = Links()
        try:
            return await asyncio.wait_for(links.to(address).call(method, *args), within)
        finally:
            links.close()

    return asyncio.run(ask())


def _remove(actors: list[Any]) -> None:
    for actor in [*actors, *(_slots_there().values() if actors else ())]:
        ray.kill(actor)


def _node() -> dict[str, Any]:
    """What Ray knows of this machine."""
    here = ray.get_runtime_context().get_node_id()
    return next(node for node in ray.nodes() if node["NodeID"] == here)


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
        namespace=NAMESPACE,
        num_cpus=os.cpu_count(),
        include_dashboard=False,
        log_to_driver=True,  # what graphs print belongs on the terminal of whoever runs them
        logging_level=logging.ERROR,
        object_store_memory=OBJECT_STORE,
        _node_ip_address=LOOPBACK,
        _temp_dir=str(sessions),
    )
    signal.signal(signal.SIGTERM, handler)  # Ray puts one of its own there


def _join_ray(address: str) -> None:
    """A Ray that runs already. Its token is asked for also if nobody said so: whoever reaches Ray can run code."""
    if os.environ["RAY_AUTH_MODE"] != "token":
        raise JoinError("RAY_AUTH_MODE is not `token`: whoever reaches Ray's ports could run code here.")
    at = address_here(address, find_gcs_addresses())
    handler = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address=at, namespace=NAMESPACE, log_to_driver=False, logging_level=logging.ERROR)
    except (RayError, RuntimeError, ValueError, OSError) as error:
        raise JoinError(f"Ray at {at} cannot be joined: {_line(error)}") from error
    signal.signal(signal.SIGTERM, handler)
    if not ON_THE_HEAD.keys() <= _node()["Resources"].keys():
        ray.shutdown()
        raise JoinError(f"The head of the Ray at {at} is another machine. {ONLY_THERE}")


def _line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


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
