"""The connections of a gateway: how many it has at a time, and what becomes of those that it has no room for.

uvicorn's own limit looks at all that are open whenever a request comes: in a burst that is everybody, and nobody is
served; and who connects and asks for nothing is never looked at. Here a connection is let in or not as it comes, and
has to ask in time.
"""

import asyncio
import logging
import resource
import sys
import time
from typing import Any

import msgspec
import uvicorn
from litestar import Litestar
from litestar.response.base import ASGIResponse
from msgspec import Struct
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from web.errors import RETRY_AFTER, Problem
from web.settings import Settings

KEPT_ALIVE = 75
"""Seconds that a connection stays open between two requests: longer than those in front of us keep theirs (60, mostly),
so that no request is sent on a connection that is just being closed."""

ASKED_WITHIN = 75.0
"""Seconds that a connection has for its first request, and any request for its headers."""

REFUSED_WITHIN = 5.0
"""The same where the answer is that there is no room."""

BROKEN_OFF_WITHIN = 3
"""Seconds that open answers have to end once they have been told to."""

OWN_FILES = 256
"""Files that a gateway may need beside those of its clients: links to the processes of threads, webhooks, its own."""

SAID_EVERY = 60.0
"""Seconds between two lines in the log that say that there is no room."""

logger = logging.getLogger(__name__)

NO_ROOM = ASGIResponse(
    status_code=503,
    body=msgspec.json.encode(Problem("There is no room for more connections here")),
    headers={"connection": "close", **RETRY_AFTER},
)
"""What those that are refused are answered, whatever they ask for."""


class Room(Struct, frozen=True):
    """Of a gateway, in connections."""

    served: int
    refused: int
    """That may be open beyond those, to be told so; further ones are hung up on."""


def room_for(wanted: int | None, files: int | None) -> Room:
    """For as many as are `wanted` (None: as many as can be), in a process that may have so many `files` open (None: as
    many as it likes). However few these are, half of them are for clients."""
    files = sys.maxsize if files is None else files
    own = min(OWN_FILES, files // 2)
    served = files - own if wanted is None else min(wanted, files - own)
    return Room(served, max(1, own // 4))


class Config(uvicorn.Config):
    """How a gateway is served; and what its connections share."""

    def __init__(self, app: Litestar, settings: Settings) -> None:
        super().__init__(
            app,
            http=Connection,
            loop="uvloop",
            lifespan="on",
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=BROKEN_OFF_WITHIN,
            timeout_keep_alive=KEPT_ALIVE,
            backlog=2048,
        )
        self.room = room_for(settings.max_connections, _most_files())
        self._said_at = -SAID_EVERY

    def note_full(self) -> None:
        """Say so in the log, but not for everybody who comes."""
        now = time.monotonic()
        if now - self._said_at >= SAID_EVERY:
            self._said_at = now
            logger.warning("There are %d connections, and no room for more: they are answered 503.", self.room.served)


class Connection(HttpToolsProtocol):
    """One of a gateway's; in or not from its first moment on, as there is room."""

    def __init__(self, config: Config, *shared: Any, **more: Any) -> None:
        super().__init__(config, *shared, **more)
        self._gateway = config
        self._hurry: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        before, room = len(self.connections), self._gateway.room
        super().connection_made(transport)
        if before >= room.served:
            self._gateway.note_full()
            self.app = NO_ROOM
        if before >= room.served + room.refused:
            transport.abort()
        self._hurry_up()

    def connection_lost(self, exc: Exception | None) -> None:
        self._take_your_time()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._hurry_up()

    def on_headers_complete(self) -> None:
        self._take_your_time()
        super().on_headers_complete()

    def _hurry_up(self) -> None:
        self._take_your_time()
        seconds = REFUSED_WITHIN if self.app is NO_ROOM else ASKED_WITHIN
        self._hurry = self.loop.call_later(seconds, self.transport.abort)

    def _take_your_time(self) -> None:
        if self._hurry:
            self._hurry.cancel()


def _most_files() -> int | None:
    """That this process may have open, now that it has asked for as many as it can get."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return None if most == resource.RLIM_INFINITY else most
