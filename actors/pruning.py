"""Forgets what tapes were to keep for no longer."""

import asyncio
import logging
import sqlite3
import time

from storage.tapes import Tapes

EVERY = 600.0
"""Seconds."""

logger = logging.getLogger(__name__)


async def prune_for_ever(tapes: Tapes) -> None:
    """Begins at once, so that what a server finds at its start is pruned too."""
    while True:
        try:
            await asyncio.to_thread(tapes.prune, time.time_ns() // 1_000_000)
        except sqlite3.Error:  # the disk is full, or a file is broken: the tapes stay as they are
            logger.exception("The tapes could not be pruned")
        await asyncio.sleep(EVERY)
