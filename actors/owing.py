"""Which gateway calls which webhook: each is one's, and another's when that one has gone or does not get to it."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from time import monotonic

Owed = tuple[str, str]
"""A thread, and its run that has ended."""

CALLED_WITHIN = 60.0
"""Seconds for a gateway to call a webhook, with all its tries, and say so. One that takes longer has been stopped."""


class Owing:
    """Belongs to one event loop."""

    def __init__(self, read: Callable[[], Awaitable[Sequence[Owed]]]) -> None:
        """`read` says which webhooks are still to be called."""
        self._read = read
        self._given: dict[Owed, float] = {}  # until when they are somebody's
        self._news = asyncio.Event()

    def tell(self) -> None:
        """A run has ended whose webhook is to be called, or is given back."""
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def hand_out(self) -> AsyncGenerator[list[Owed], None]:
        """What one gateway is to call, and so on as more comes. What it has not called when it goes is for others."""
        own: set[Owed] = set()
        try:
            while True:
                news = self._news
                owed = await self._read()
                own.intersection_update(owed)
                if free := self._take(owed):
                    own.update(free)
                    yield free
                await _wait_for(news)
        finally:
            for one in own:
                self._given.pop(one, None)
            self.tell()

    def _take(self, owed: Sequence[Owed]) -> list[Owed]:
        now = monotonic()
        self._given = {one: until for one in owed if (until := self._given.get(one, 0.0)) > now}
        free = [one for one in owed if one not in self._given]
        self._given |= dict.fromkeys(free, now + CALLED_WITHIN)
        return free


async def _wait_for(news: asyncio.Event) -> None:
    """Or until what somebody else has not called is free again."""
    try:
        async with asyncio.timeout(CALLED_WITHIN):
            await news.wait()
    except TimeoutError:
        return
