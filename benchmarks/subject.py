"""What is measured, seen from a question: anything that makes threads and runs graphs on them."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from msgspec import Struct

from benchmarks.workloads import Workload

PEER = "langgraph-dev"
"""The reference server."""
BARE = "bare"
"""The graphs without a server."""
CEILING = "ceiling"
"""The measuring client with a server that does nothing."""


class MeasuringError(Exception):
    """A server did not do what it was asked, so that there is nothing to measure."""


class Reading(Struct, frozen=True):
    """What one run looked like to its client. Times are of `time.perf_counter`, in seconds."""

    first: float | None
    """The first event, whoever said it; None if nothing was streamed."""
    spoke: float | None
    """The first event of the graph."""
    events: int
    bytes: int
    delays: Sequence[float] = ()
    """Seconds from when the model said a token until it was here, of tokens that say when."""


class Client(Protocol):
    """One client: it does one thing after another."""

    async def new_thread(self) -> str: ...

    async def stream(self, thread_id: str, workload: Workload) -> Reading:
        """Run the graph, and take everything it says to the end."""
        ...

    async def wait(self, thread_id: str, workload: Workload) -> Reading:
        """Run the graph, and take its result."""
        ...


class Subject(Protocol):
    @property
    def pid(self) -> int | None:
        """The first process of a server, if it was started here."""
        ...

    def connect(self) -> AbstractAsyncContextManager[Client]: ...
