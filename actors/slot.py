"""A process of the warm pool: the graphs are loaded, and it is bound to one thread at a time, or to none."""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import msgspec

from actors import reporting
from actors.catalog import Catalog
from actors.executor import Executor
from actors.graphs import load
from actors.host import Host
from actors.outcomes import Position
from actors.ports import LedgerPort
from actors.project import RunLimits, SlotSettings
from actors.recalling import recalled
from actors.runtime import History, StateUpdate
from actors.scribe import Scribe
from storage.records import Run
from storage.tapes import Tapes

LATE_WITHIN = 60.0
"""Seconds for the ledger to take a late report of usage; whoever reports waits in user code's thread meanwhile."""

EXIT_LOST = 70
"""Exit status of a process that ends itself because user code would not stop."""


class Slot(Host):
    """A host for one thread, with everything that a run needs."""

    def __init__(  # noqa: PLR0913 - what a process has, by name
        self,
        *,
        catalog: Catalog,
        executor: Executor,
        scribe: Scribe,
        ledger: LedgerPort,
        limits: RunLimits,
        rested: Callable[[str], None],
    ) -> None:
        super().__init__(ledger, executor, scribe, held=False, limits=limits, on_quiet=rested, on_lost=_end_process)
        self._catalog = catalog
        self._executor: Executor = executor
        self._scribe: Scribe = scribe

    async def catalog(self) -> Catalog:
        return self._catalog

    async def outlive(self) -> None:
        """Never return: that the call fails is the news of this process's death."""
        await asyncio.Event().wait()

    async def group(self) -> int | None:
        """The process group of this process and of what user code has started from it; None if others are in it."""
        return os.getpid() if os.getpgrp() == os.getpid() else None

    async def ping(self) -> bool:
        """Whether no run is in hand."""
        return self.is_idle

    # Reading: any slot can, whichever thread it is bound to

    async def state(self, thread_id: str, graph_id: str | None, at: dict[str, Any] | None, *, subgraphs: bool) -> bytes:
        return await self._executor.state(thread_id, graph_id, at, subgraphs=subgraphs)

    async def history(self, thread_id: str, graph_id: str | None, wanted: History) -> bytes:
        return await self._executor.history(thread_id, graph_id, wanted)

    async def update(self, change: StateUpdate, graph_id: str, epoch: int) -> tuple[bytes, Position]:
        return await self._executor.update(change, graph_id, epoch)

    async def copy(self, thread_id: str, to: str) -> None:
        await self._executor.copy(thread_id, to)

    async def values(self, thread_id: str, graph_id: str | None) -> bytes:
        return await self._executor.values(thread_id, graph_id)

    async def result(self, run: Run) -> bytes | None:
        return await self._executor.result(run)

    async def left_by(self, run: Run) -> bytes | None:
        return await self.result(run)

    async def recall(self, run: Run, after: int) -> AsyncGenerator[bytes, None]:
        """The parts of a run that has ended, above `after`, from the disk; each batch in MessagePack."""
        async for batch in recalled(self._scribe, run, after):
            yield msgspec.msgpack.encode(batch)

    async def forget_tape(self, thread_id: str, epoch: int) -> None:
        await self._scribe.forget(thread_id, epoch)

    async def position(self, thread_id: str, graph_id: str) -> Position:
        return await self._executor.position(thread_id, graph_id)

    async def roll_back(self, run: Run, epoch: int) -> None:
        await self._executor.roll_back(run, epoch)

    async def check(self, run: Run) -> None:
        await self._executor.check(run)

    async def forget(self, thread_id: str, epoch: int) -> None:
        await self._executor.forget(thread_id, epoch)


async def open_slot(settings: SlotSettings, ledger: LedgerPort, rested: Callable[[str], None]) -> Slot:
    """Load the graphs, in a thread without an event loop: a module may run one of its own while it is imported."""
    graphs, problems = await asyncio.to_thread(load, settings.project)
    executor = Executor(graphs, Path(settings.checkpoints))
    scribe = Scribe(Tapes(Path(settings.tapes), settings.tape_limits))
    loop = asyncio.get_running_loop()
    reporting.take_late(lambda calls: asyncio.run_coroutine_threadsafe(ledger.report(calls), loop).result(LATE_WITHIN))
    return Slot(
        catalog=Catalog(graphs.describe(), problems),
        executor=executor,
        scribe=scribe,
        ledger=ledger,
        limits=settings.limits,
        rested=rested,
    )


def _end_process() -> None:
    """Nothing is lost: what was acknowledged is committed, and the directory brings the thread back elsewhere."""
    os._exit(EXIT_LOST)
