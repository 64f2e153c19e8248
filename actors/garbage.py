"""What threads have left that are gone: their checkpoints and their tapes, which the ledger knows to be garbage."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from actors.ports import SlotPort
from storage.errors import ServiceError, StaleError, UnavailableError

logger = logging.getLogger(__name__)

COLLECT_EVERY = 30.0
"""Seconds."""


class GarbageLedger(Protocol):
    async def garbage(self) -> list[tuple[str, int]]:
        """Threads that are gone, and the last epoch in which each was held."""
        ...

    async def swept(self, thread_id: str) -> None:
        """Nothing of the thread is left."""
        ...


class Collector:
    """Has it removed by a slot, any, in the name of whoever held the thread last."""

    def __init__(
        self,
        ledger: GarbageLedger,
        reader: Callable[[str], Awaitable[SlotPort]],
        is_awake: Callable[[str], bool],
    ) -> None:
        self._ledger = ledger
        self._reader = reader
        self._is_awake = is_awake

    async def collect_for_ever(self) -> None:
        while True:
            await asyncio.sleep(COLLECT_EVERY)
            try:
                for thread_id, epoch in await self._ledger.garbage():
                    await self.remove(thread_id, epoch)
            except UnavailableError as error:  # it is still there the next time
                logger.info("Garbage could not be collected: %s", error)

    async def remove(self, thread_id: str, epoch: int) -> None:
        """If the thread has been made again since, it is in the hands of a later epoch, and what it has stays.

        While it is awake it may be made again in the same hands; then this is for later.
        """
        slot = await self._reader(thread_id)
        if self._is_awake(thread_id):
            return
        try:
            await slot.forget(thread_id, epoch)
            await slot.forget_tape(thread_id, epoch)
        except StaleError:
            logger.info("Thread %s has been made again, and is not garbage", thread_id)
        except UnavailableError:
            raise
        except ServiceError as error:  # its files may be broken, and those of others sound
            logger.warning("What thread %s has left could not be removed: %s", thread_id, error)
        else:
            await self._ledger.swept(thread_id)
