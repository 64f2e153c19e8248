"""Keeps the gateways of `treadle serve` alive: as many processes as wanted, all on one listening socket.

The socket is this process's, and is shared rather than bound once more by each gateway (`SO_REUSEPORT`): a port in use
is said at once, connections wait while a gateway is started again, and those that one had not accepted yet when it
died are accepted by the others.
"""

import asyncio
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from contextlib import suppress

import msgspec

from web.premises import UnusableError
from web.worker import READY, Posting

AGAIN_AFTER = 1.0
"""Seconds before a gateway that did not even become ready is started once more."""

ENDED_WITHIN = 10.0
"""Seconds that gateways have for their ends, before they are killed."""


class Workers:
    def __init__(self, count: int, posting: Posting, listener: socket.socket, say: Callable[[str], None]) -> None:
        self.count = count
        self._posting = msgspec.json.encode(posting) + b"\n"
        self._listener = listener
        self._say = say
        self._processes: dict[int, Process] = {}
        self._ready: set[int] = set()
        self._all_ready = asyncio.Event()
        self._stopping = False

    async def keep(self) -> None:
        """Start them, and each one again that ends, until `stop`. Raises UnusableError if none gets ready."""
        self._listener.listen(2048)
        await asyncio.gather(*(self._keep(number) for number in range(1, self.count + 1)))

    async def ready(self) -> None:
        """Return when all have been ready."""
        await self._all_ready.wait()

    async def stop(self) -> None:
        """Have them break off what they answer, and end."""
        self._stopping = True
        self._listener.close()
        for process in self._processes.values():
            with suppress(ProcessLookupError):
                process.terminate()
        ends = [asyncio.create_task(process.wait()) for process in self._processes.values()]
        if ends:
            await asyncio.wait(ends, timeout=ENDED_WITHIN)
        self.kill()

    def kill(self) -> None:
        for process in self._processes.values():
            with suppress(ProcessLookupError):
                process.kill()

    async def _keep(self, number: int) -> None:
        while not self._stopping:
            process = self._processes[number] = await self._start()
            assert process.stdout is not None, "it is a pipe"
            is_ready = await process.stdout.readline() == READY
            if is_ready:
                self._note_ready(number)
            status = await process.wait()
            if self._stopping:
                return
            if not self._ready:
                raise UnusableError(f"A gateway could not be started: it ended with {_shown(status)}")
            self._say(f"Gateway {number} ended with {_shown(status)}, and is started again.")
            if not is_ready:
                await asyncio.sleep(AGAIN_AFTER)

    async def _start(self) -> Process:
        # -P: what lies in the folder that the command was started in is none of ours.
        command = (sys.executable, "-P", "-m", "web.worker")
        pass_fds = (self._listener.fileno(),)
        process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, pass_fds=pass_fds)
        if self._stopping:  # since it was begun
            process.kill()
        assert process.stdin is not None, "it is a pipe"
        process.stdin.write(self._posting)  # and stays open: that it closes is how a gateway notices our end
        return process

    def _note_ready(self, number: int) -> None:
        self._ready.add(number)
        if len(self._ready) == self.count:
            self._all_ready.set()


def _shown(status: int) -> str:
    return signal.Signals(-status).name if status < 0 else f"status {status}"
