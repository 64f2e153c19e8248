"""How the load is made: how long, by how many clients at once, and what goes before it."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from itertools import chain
from time import perf_counter

from msgspec import Struct

from benchmarks.subject import Client, Reading, Subject
from benchmarks.workloads import REPLY, TRIVIAL

WARM_UP = "Before anything is counted, 32 clients at once make one run of each graph, twice."


class Plan(Struct, frozen=True):
    """How much to measure: a time, or a number of runs however long they take."""

    seconds: float = 5
    runs: int | None = None
    """By each client."""

    def rounds(self, *, longer: float = 1, at_most: int = 1_000_000) -> Iterator[int]:
        """One number for each run to make, for as long as there is time; at least one."""
        if self.runs is not None:
            yield from range(self.runs)
            return
        ends = perf_counter() + longer * self.seconds
        for number in range(at_most):
            yield number
            if perf_counter() > ends:
                return


class Load(Struct, frozen=True):
    """What a number of clients did at once."""

    seconds: float
    """From the first request until the last answer's end."""
    readings: list[Reading]

    @property
    def events(self) -> int:
        return sum(reading.events for reading in self.readings)


Run = Callable[[Client], Awaitable[Reading]]


async def together(subject: Subject, clients: int, plan: Plan, run: Run) -> Load:
    """Have clients make runs, each of them one after another."""
    async with AsyncExitStack() as stack:
        connected = [await stack.enter_async_context(subject.connect()) for _ in range(clients)]
        began = perf_counter()
        readings = await asyncio.gather(*(_one_after_another(client, plan, run) for client in connected))
        return Load(perf_counter() - began, list(chain.from_iterable(readings)))


async def warm_up(subject: Subject) -> None:
    """What WARM_UP says; the same for every subject."""
    for run in (streamed_trivial, streamed_reply):
        await together(subject, 32, Plan(runs=2), run)


async def streamed_trivial(client: Client) -> Reading:
    return await client.stream(await client.new_thread(), TRIVIAL)


async def awaited_trivial(client: Client) -> Reading:
    return await client.wait(await client.new_thread(), TRIVIAL)


async def streamed_reply(client: Client) -> Reading:
    return await client.stream(await client.new_thread(), REPLY)


async def _one_after_another(client: Client, plan: Plan, run: Run) -> list[Reading]:
    return [await run(client) for _ in plan.rounds()]
