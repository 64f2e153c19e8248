"""How the load is made: how long, by how many clients at once, and what goes before it."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from itertools import chain
from time import perf_counter
from typing import TypeVar

from msgspec import Struct

from benchmarks.client import HttpClient
from benchmarks.servers import Server
from benchmarks.subject import Client, MeasuringError, Reading, Subject
from benchmarks.workloads import PACE, PACED, REPLY, TOKENS, TRIVIAL

WARM_UP = "Before anything is counted, 32 clients at once make one run of each graph, twice."


USUAL = 5.0
"""Seconds of a measurement."""

ROUNDS = 40
"""More than slots need to start, two at a time."""


class Plan(Struct, frozen=True):
    """How much to measure: a time, or a number of runs however long they take."""

    seconds: float = USUAL
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

    def shorter(self, times: float) -> "Plan":
        """For what says little about anybody's speed."""
        return Plan(self.seconds / times, self.runs)

    def part_of(self, count: int) -> int:
        """What of a fixed number to do in this time; `runs` does not change it."""
        return max(1, round(count * min(1, self.seconds / USUAL)))


class Load(Struct, frozen=True):
    """What a number of clients did at once."""

    seconds: float
    """From the first request until the last answer's end."""
    readings: list[Reading]

    @property
    def events(self) -> int:
        return sum(reading.events for reading in self.readings)


Item = TypeVar("Item")
Run = Callable[[Client], Awaitable[Reading]]


async def together(subject: Subject, clients: int, plan: Plan, run: Run) -> Load:
    """Have clients make runs, each of them one after another."""
    async with AsyncExitStack() as stack:
        connected = [await stack.enter_async_context(subject.connect()) for _ in range(clients)]
        began = perf_counter()
        readings = await asyncio.gather(*(_one_after_another(client, plan, run) for client in connected))
        return Load(perf_counter() - began, list(chain.from_iterable(readings)))


async def share(
    server: Server, clients: int, items: Iterator[Item], do: Callable[[HttpClient, Item], Awaitable[object]]
) -> None:
    """Have clients take from the items until there are none left."""

    async def take(client: HttpClient) -> None:
        for item in items:
            await do(client, item)

    async with AsyncExitStack() as stack:
        connected = [await stack.enter_async_context(server.connect()) for _ in range(clients)]
        await asyncio.gather(*map(take, connected))


async def many_threads(server: Server, count: int) -> list[str]:
    """New threads, in any order."""
    made: list[str] = []

    async def make(client: HttpClient, _: int) -> None:
        made.append(await client.new_thread())

    await share(server, 32, iter(range(count)), make)
    return made


async def all_at_once(server: Server, clients: int) -> None:
    """Return when so many paced streams were under way at once: then all slots that they need have started."""
    for _ in range(ROUNDS):
        load = await together(server, clients, Plan(runs=1), streamed_at_pace)
        if load.seconds < 1.5 * TOKENS * PACE:
            return
    raise MeasuringError(f"{clients} streams were never under way at once.")


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


async def streamed_at_pace(client: Client) -> Reading:
    return await client.stream(await client.new_thread(), PACED)


async def _one_after_another(client: Client, plan: Plan, run: Run) -> list[Reading]:
    return [await run(client) for _ in plan.rounds()]
