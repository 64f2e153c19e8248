"""What threads and their directory need of others, so that they need not know them."""

from collections.abc import AsyncGenerator, Callable
from typing import Protocol

from msgspec import Struct

from actors.catalog import Catalog
from actors.outcomes import Leaving, Notes, Outcome, Position, Say
from actors.runtime import Batch, StateUpdate
from storage.accounting import ModelCall, Recording
from storage.records import Admission, Binding, Parking, Part, Run, Settlement, Stand, Thread, Wish


class Hold(Struct, frozen=True):
    """What a run writes with: the epoch for which its thread is held here."""

    epoch: int
    on_stale: Callable[[], object]
    """Called on the home loop when a write is refused, because another actor holds the thread. The graph is told too,
    and may go on as if nothing had happened."""


class Work(Protocol):
    """An execution under way; `actors.executor.Execution` is one."""

    def cancel(self) -> None: ...

    async def ended(self) -> Outcome:
        """Raises StoppedError when it was cancelled."""
        ...

    @property
    def has_ended(self) -> bool: ...

    def told(self) -> Notes:
        """What has happened in it since this was last asked."""
        ...

    def close(self) -> None:
        """Take nothing more from it: what it has under way is cut off."""
        ...


class ExecutorPort(Protocol):
    """What writes comes with the epoch for which the thread is held; StaleError when we were replaced."""

    def start(self, run: Run, say: Say, hold: Hold, *, after_cancel: bool, human_id: str | None) -> Work:
        """Execute the run; what it says comes on the loop that called this, in order and before its end.

        After a cancelled run, its input is led by an answer to each tool call that was left without one. `human_id`
        is the last human message of which it is known that it was asked.
        """
        ...

    async def roll_back(self, run: Run, epoch: int) -> None:
        """Undo what a run wrote; it must not write any more."""
        ...

    async def position(self, thread_id: str, graph_id: str) -> Position: ...

    async def update(self, change: StateUpdate, graph_id: str, epoch: int) -> tuple[bytes, Position]:
        """Write a checkpoint; where it is, as JSON, and where that leaves the thread."""
        ...

    async def check(self, run: Run) -> None:
        """Raise if the run asks for a checkpoint that does not exist, or has a context that its graph cannot take."""
        ...

    async def forget(self, thread_id: str, epoch: int) -> None:
        """Remove the thread's checkpoints."""
        ...


class ScribePort(Protocol):
    """Keeps what threads say, after they have said it. Of an actor that was replaced it keeps nothing more."""

    def take(self, thread_id: str, epoch: int, part: Part) -> None: ...

    async def flush(self, run_id: str) -> None:
        """Return when all that a run has said is kept."""
        ...

    def read(
        self, thread_id: str, run_id: str, after: int, before: int | None = None, /
    ) -> AsyncGenerator[Batch, None]:
        """What is kept of a run above part `after`, and below part `before`."""
        ...

    def close_run(self, run_id: str) -> None:
        """The run says no more."""
        ...

    async def forget(self, thread_id: str, epoch: int) -> None:
        """Raises StaleError when we were replaced."""
        ...


class LedgerPort(Protocol):
    """Each method returns once its write is committed, and may be repeated; StaleError when we were replaced."""

    async def admit(self, admission: Admission) -> None: ...

    async def wish(self, wish: Wish) -> None: ...

    async def forget_run(self, run: Run, epoch: int) -> None: ...

    async def begin(self, run: Run, epoch: int) -> None: ...

    async def park(self, parking: Parking) -> None: ...

    async def settle(self, settlement: Settlement) -> None: ...

    async def record(self, recording: Recording) -> None: ...

    async def report(self, calls: list[ModelCall]) -> None:
        """Of runs that have ended."""
        ...

    async def stand(self, stand: Stand) -> None: ...

    async def reserve(self, thread_id: str, epoch: int, count: int) -> int: ...

    async def delete_thread(self, thread_id: str, epoch: int) -> None: ...

    async def run_of_key(self, thread_id: str, key: str) -> Run | None: ...

    async def find_run(self, thread_id: str, run_id: str) -> Run | None: ...

    async def find_thread(self, thread_id: str) -> Thread | None: ...


class SlotPort(Protocol):
    """A slot's process."""

    @property
    def address(self) -> str:
        """Where others can call it."""
        ...

    async def catalog(self) -> Catalog: ...

    async def bind(self, binding: Binding) -> None: ...

    async def let_go(self, thread_id: str) -> Leaving: ...

    async def threads(self) -> list[str]:
        """Which threads it has: one or none."""
        ...

    async def ping(self) -> bool:
        """Whether nothing is in hand there."""
        ...

    async def drain(self) -> bool:
        """Start nothing more there, and return when nothing is executed any more; whether anything was."""
        ...

    async def watch(self) -> None:
        """Return, or raise, when the process has ended."""
        ...

    async def kill(self) -> None: ...

    async def position(self, thread_id: str, graph_id: str) -> Position: ...

    async def update(self, change: StateUpdate, graph_id: str, epoch: int) -> tuple[bytes, Position]: ...

    async def roll_back(self, run: Run, epoch: int) -> None: ...

    async def check(self, run: Run) -> None: ...

    async def forget(self, thread_id: str, epoch: int) -> None: ...

    async def forget_tape(self, thread_id: str, epoch: int) -> None: ...
