"""What executes in a slot's process: the graphs, their checkpoints, and the two loops on which user code runs.

Runs have one loop and reads the other, so that a node that blocks its loop delays no look at the state.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Generator
from contextlib import AbstractAsyncContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

from msgspec.structs import replace

from actors import reporting, states
from actors.contexts import complaint
from actors.encoding import encode
from actors.errors import CheckpointNotFoundError
from actors.execution import execute
from actors.graphs import CompiledGraph, Graphs
from actors.outcomes import Notes, Outcome, Position, Say
from actors.ports import Hold
from actors.recorder import Recorder
from actors.runtime import History, StateUpdate
from actors.userloop import Courier, UserLoop, UserTask
from storage.checkpoints import Checkpoints
from storage.errors import SenselessError, ServiceError
from storage.records import Dialect, Run

T = TypeVar("T")

Access = Literal["threads.read", "threads.update"]
"""What a graph's factory is told that it is opened for."""

logger = logging.getLogger(__name__)


class Executor:
    """Executes runs and reads states, for one thread at a time and for any number of them."""

    def __init__(self, graphs: Graphs, folder: Path) -> None:
        self.graphs = graphs
        self._running, self._reading = UserLoop("runs"), UserLoop("reads")
        self._run_checkpoints, self._read_checkpoints = Checkpoints(folder), Checkpoints(folder)

    def start(self, run: Run, say: Say, hold: Hold, *, after_cancel: bool, human_id: str | None) -> "Execution":
        """Execute a run; what it says comes home in order, and before its end."""
        courier = Courier[tuple[str, bytes]](lambda said: say(*said))
        recorder = Recorder(run, human_id)
        reporting.listen(run, recorder.add)
        send: Say = lambda event, data: courier.send((event, data))  # noqa: E731 - a name for what is handed on
        on_stale = partial(asyncio.get_running_loop().call_soon_threadsafe, hold.on_stale)
        there = replace(hold, on_stale=on_stale)
        work = partial(self._execute, run, send, there, recorder, after_cancel=after_cancel)
        return Execution(self._running.start(work), recorder)

    async def roll_back(self, run: Run, epoch: int) -> None:
        """Undo what a run wrote."""
        await self._reading.run(partial(self._roll_back, run, epoch))

    async def position(self, thread_id: str, graph_id: str) -> Position:
        """Where the thread's checkpoints are. Of a graph that cannot be asked, only which of them is the newest."""
        found = await self._read_if_possible(thread_id, graph_id, states.position)
        return found or await self._reading.run(partial(self._newest, thread_id))

    async def state(self, thread_id: str, graph_id: str | None, at: states.Place, *, subgraphs: bool) -> bytes:
        if graph_id is None:
            return encode(states.empty(at))
        with _as_senseless("The state cannot be read"):
            return await self._read(thread_id, graph_id, partial(states.state, at=at, subgraphs=subgraphs))

    async def history(self, thread_id: str, graph_id: str | None, wanted: History) -> bytes:
        if graph_id is None:
            return b"[]"
        with _as_senseless("The history cannot be read"):
            return await self._read(thread_id, graph_id, partial(states.history, wanted=wanted))

    async def update(self, change: StateUpdate, graph_id: str, epoch: int) -> tuple[bytes, Position]:
        """Write a checkpoint; where it is, as JSON, and where that leaves the thread."""
        with _as_senseless("The state cannot be changed like this"):
            write = partial(self._update, change, epoch)
            return await self._read(change.thread_id, graph_id, write, access="threads.update")

    async def copy(self, thread_id: str, to: str) -> None:
        """Give a new thread the checkpoints of another."""
        await self._reading.run(partial(self._copy, thread_id, to))

    async def values(self, thread_id: str, graph_id: str | None) -> bytes:
        """The values as JSON; `null` also where the graph cannot be asked, so that the thread itself can be read."""
        found = graph_id and await self._read_if_possible(thread_id, graph_id, states.values)
        return found or b"null"

    async def result(self, run: Run) -> bytes | None:
        if run.checkpoint_id is None:
            return None
        read = partial(states.result, checkpoint_id=run.checkpoint_id)
        return await self._read_if_possible(run.thread_id, run.graph_id, read)

    async def check(self, run: Run) -> None:
        """Raise CheckpointNotFoundError if the run starts from one that is not there.

        SenselessError: its context does not fit its graph, and its dialect says so at once.
        """
        if run.request.checkpoint:
            await self._reading.run(partial(self._check, run))
        if run.request.context and run.dialect is Dialect.GATEWAY:
            schema = self.graphs.context_schema(run.graph_id)
            if schema and (wrong := await self._reading.run(partial(_complaint, run, schema))):
                raise SenselessError(f"The context does not fit graph {run.graph_id}: {wrong}")

    async def forget(self, thread_id: str, epoch: int) -> None:
        """Remove a thread's checkpoints."""
        await self._reading.run(partial(self._forget, thread_id, epoch))

    async def close(self) -> None:
        self._running.stop()
        self._reading.stop()
        self._run_checkpoints.close()
        self._read_checkpoints.close()

    async def _read_if_possible(
        self, thread_id: str, graph_id: str, read: Callable[[CompiledGraph, str], Awaitable[T]]
    ) -> T | None:
        try:
            return await self._read(thread_id, graph_id, read)
        except Exception as error:  # noqa: BLE001 - the graph, its factory and its reducers are the user's code
            logger.warning("Graph %s cannot say what thread %s is like: %r", graph_id, thread_id, error)
            return None

    async def _read(
        self,
        thread_id: str,
        graph_id: str,
        read: Callable[[CompiledGraph, str], Awaitable[T]],
        access: Access = "threads.read",
    ) -> T:
        async def there() -> T:
            async with await self._open(thread_id, graph_id, access) as graph:
                return await read(graph, thread_id)

        return await self._reading.run(there)

    async def _open(self, thread_id: str, graph_id: str, access: Access) -> AbstractAsyncContextManager[CompiledGraph]:
        saver = self._read_checkpoints.saver(thread_id)
        config: Any = {"configurable": {"thread_id": thread_id, "graph_id": graph_id}}
        return self.graphs.open(graph_id, config, access=access, context=None, checkpointer=saver)

    async def _execute(self, run: Run, say: Say, hold: Hold, recorder: Recorder, *, after_cancel: bool) -> Outcome:
        saver = self._run_checkpoints.hold(run.thread_id, hold.epoch, hold.on_stale)  # before it looks where it is
        if run.attempt == 1:
            at = (run.request.checkpoint or {}).get("checkpoint_id")
            self._run_checkpoints.mark(run.thread_id, hold.epoch, run.run_id, at)
        try:
            outcome = await execute(self.graphs, saver, run, say, callbacks=[recorder], after_cancel=after_cancel)
        finally:
            saver.note_held(run.thread_id, hold.epoch)  # nobody waits for what its tasks may still write
        return replace(outcome, outputs=recorder.outputs)

    async def _update(
        self, change: StateUpdate, epoch: int, graph: CompiledGraph, thread_id: str
    ) -> tuple[bytes, Position]:
        self._read_checkpoints.hold(thread_id, epoch)
        return await states.update(graph, thread_id, change)

    async def _roll_back(self, run: Run, epoch: int) -> None:
        self._read_checkpoints.roll_back(run.thread_id, epoch, run.run_id)

    async def _copy(self, thread_id: str, to: str) -> None:
        await self._read_checkpoints.copy(thread_id, to)

    async def _newest(self, thread_id: str) -> Position:
        saver = self._read_checkpoints.saver(thread_id)
        newest = await saver.aget_tuple({"configurable": {"thread_id": thread_id, "checkpoint_ns": ""}})
        return Position(checkpoint_id=newest.checkpoint["id"] if newest else None)

    async def _check(self, run: Run) -> None:
        wanted = run.request.checkpoint or {}
        if not (checkpoint_id := wanted.get("checkpoint_id")):
            return
        saver = self._read_checkpoints.saver(run.thread_id)
        place = {"thread_id": run.thread_id, "checkpoint_ns": wanted.get("checkpoint_ns") or ""}
        if await saver.aget_tuple({"configurable": {**place, "checkpoint_id": checkpoint_id}}) is None:
            raise CheckpointNotFoundError(f"Checkpoint {checkpoint_id} not found")

    async def _forget(self, thread_id: str, epoch: int) -> None:
        self._read_checkpoints.forget(thread_id, epoch)


class Execution:
    """A run under way, and who takes down what happens in it."""

    def __init__(self, task: UserTask[Outcome], recorder: Recorder) -> None:
        self._recorder = recorder
        self.cancel = task.cancel
        self.ended = task.ended
        self._task = task

    @property
    def has_ended(self) -> bool:
        return self._task.has_ended

    def told(self) -> Notes:
        return self._recorder.taken()

    def close(self) -> None:
        self._recorder.close()


async def _complaint(run: Run, schema: Any) -> str | None:
    """On the loop of user code: a schema may run anything."""
    return complaint(run, schema)


@contextmanager
def _as_senseless(what: str) -> Generator[None, None, None]:
    """The graph, its reducers and its nodes' names are the user's: what they refuse makes no sense to them."""
    try:
        yield
    except ServiceError:
        raise
    except Exception as error:
        raise SenselessError(f"{what}: {type(error).__name__}: {error}") from error
