"""Forgets what tapes were to keep for no longer."""

import asyncio
import time

from storage.tapes import Tapes

EVERY = 600.0
"""Seconds."""


async def prune_for_ever(tapes: Tapes) -> None:
    """Begins at once, so that what a server finds at its start is pruned too."""
    while True:
        await asyncio.to_thread(tapes.prune, time.time_ns() // 1_000_000)
        await asyncio.sleep(EVERY)
