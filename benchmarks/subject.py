"""What is measured, seen from a question: anything that makes threads and runs graphs on them."""

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from msgspec import Struct

from benchmarks.workloads import Workload


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
    def connect(self) -> AbstractAsyncContextManager[Client]: ...
