"""What threads need that wait in the lobby: they look at checkpoints in any slot, start nothing, and say nothing."""

from collections.abc import AsyncGenerator, Awaitable, Callable

from actors.outcomes import Position
from actors.ports import SlotPort, Work
from actors.runtime import Batch, StateUpdate
from storage.records import Part, Run


class Elsewhere:
    """What a thread in the lobby needs of an executor: looks at its checkpoints, in any slot."""

    def __init__(self, reader: Callable[[str], Awaitable[SlotPort]]) -> None:
        self._reader = reader

    def start(self, *_: object, **__: object) -> Work:
        raise AssertionError("a held thread starts nothing")

    async def roll_back(self, run: Run, epoch: int) -> None:
        await (await self._reader(run.thread_id)).roll_back(run, epoch)

    async def position(self, thread_id: str, graph_id: str) -> Position:
        return await (await self._reader(thread_id)).position(thread_id, graph_id)

    async def update(self, change: StateUpdate, graph_id: str, epoch: int) -> tuple[bytes, Position]:
        return await (await self._reader(change.thread_id)).update(change, graph_id, epoch)

    async def check(self, run: Run) -> None:
        await (await self._reader(run.thread_id)).check(run)

    async def forget(self, thread_id: str, epoch: int) -> None:
        await (await self._reader(thread_id)).forget(thread_id, epoch)


class Silence:
    """What a thread in the lobby needs of a scribe: it says nothing itself."""

    def __init__(self, reader: Callable[[str], Awaitable[SlotPort]]) -> None:
        self._reader = reader

    def take(self, thread_id: str, epoch: int, part: Part) -> None:  # noqa: ARG002 - the port's arguments
        raise AssertionError("a held thread says nothing")

    async def flush(self, run_id: str) -> None:
        """There is nothing."""

    def close_run(self, run_id: str) -> None:
        """It said nothing."""

    def read(self, *_: object) -> AsyncGenerator[Batch, None]:
        """Readers of a run that was said elsewhere find it when the thread is there again."""
        return _nothing()

    async def forget(self, thread_id: str, epoch: int) -> None:
        await (await self._reader(thread_id)).forget_tape(thread_id, epoch)


async def _nothing() -> AsyncGenerator[Batch, None]:
    for batch in ():
        yield batch
