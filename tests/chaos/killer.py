"""Kills processes, or has them stand still, and waits each time until the server does again what it should."""

import asyncio
import random
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress

import httpx
import psutil

from tests.chaos import evidence
from tests.chaos.client import Client, Wanted
from tests.chaos.told import Hit, Recovered, Told, Wronged
from tests.chaos.world import World, stopped

RECOVERY = 90.0
"""Seconds after which what was killed must be back."""

BETWEEN = (0.3, 2.0)
"""Seconds of peace after a recovery."""

STILL = (0.5, 3.0)
"""Seconds that a process stands still, and is missed by nobody."""

ASLEEP = (11.0, 16.0)
"""Seconds that a slot stands still which is missed after ten: its thread is elsewhere when it wakes up."""


class Killer:
    def __init__(self, world: World, seed: int, told: Told, *, thorough: bool) -> None:
        self._world = world
        self._dice = random.Random(f"{seed} killer")
        self._told = told
        self._client = Client(world.urls, random.Random(f"{seed} probe"), told)
        self._probes = 0
        self._blows: dict[Callable[[], Awaitable[None]], int] = {
            self._slot: 6,
            self._slots: 2,
            self._gateway: 3,
            self._ledger: 2,
            self._directory: 2,
            self._second: 1,
            self._still: 3,
        }
        if thorough:
            self._blows |= {self._everything: 1, self._asleep: 1}

    async def go_on(self, until: float) -> None:
        """Every kind of blow once, in any order, and then any, until that moment."""
        order = list(self._blows)
        self._dice.shuffle(order)
        async with aclosing(self._client):
            while time.monotonic() < until:
                blow = order.pop() if order else self._dice.choices(list(self._blows), list(self._blows.values()))[0]
                await blow()
                await asyncio.sleep(self._dice.uniform(*BETWEEN))

    # Blows

    async def _slot(self) -> None:
        """One at work, if there is any."""
        slots, busy = self._world.actors("Slot"), evidence.busy(self._world.trial)
        await self._kill("slot", [slot for slot in slots if slot.pid in busy] or slots)

    async def _slots(self) -> None:
        victims = self._world.actors("Slot")
        for victim in victims:
            _send(victim, signal.SIGKILL)
        await self._recover("all slots", self._hit("all slots", [victim.pid for victim in victims]))

    async def _gateway(self) -> None:
        """At once, or told to."""
        number = self._dice.choice([signal.SIGKILL, signal.SIGTERM])
        await self._kill("gateway", self._world.gateways(), number)

    async def _ledger(self) -> None:
        await self._kill("ledger", self._world.actors("Ledger"))

    async def _directory(self) -> None:
        await self._kill("directory", self._world.actors("Directory"))

    async def _second(self) -> None:
        """The parent of the gateways that have joined, which go with it."""
        self._world.second.process.kill()
        began = self._hit("joined server", [self._world.second.process.pid])
        await asyncio.to_thread(self._world.join)
        await self._recover("joined server", began)

    async def _still(self) -> None:
        kind = self._dice.choice(["slot", "slot", "gateway", "ledger", "directory"])
        among = self._world.gateways() if kind == "gateway" else self._world.actors(kind.capitalize())
        await self._stop(f"{kind} stopped", among, STILL)

    async def _asleep(self) -> None:
        slots, busy = self._world.actors("Slot"), evidence.busy(self._world.trial)
        await self._stop("slot asleep", [slot for slot in slots if slot.pid in busy] or slots, ASLEEP)

    async def _stop(self, kind: str, among: list[psutil.Process], how_long: tuple[float, float]) -> None:
        if among:
            victim = self._dice.choice(among)
            began = self._hit(kind, [victim.pid])
            with suppress(psutil.NoSuchProcess), stopped(victim):
                await asyncio.sleep(self._dice.uniform(*how_long))
            await self._recover(kind, began)

    async def _everything(self) -> None:
        began = self._hit("everything", [process.pid for process in self._world.processes()])
        await asyncio.to_thread(self._world.kill_all)
        await asyncio.to_thread(self._world.start)
        await self._recover("everything", began)

    async def _kill(self, kind: str, among: list[psutil.Process], number: int = signal.SIGKILL) -> None:
        if among:
            victim = self._dice.choice(among)
            _send(victim, number)
            await self._recover(kind, self._hit(kind, [victim.pid]))

    # What follows

    def _hit(self, kind: str, pids: list[int]) -> float:
        self._told.note(Hit(kind=kind, pids=tuple(pids)))
        return time.monotonic()

    async def _recover(self, kind: str, began: float) -> None:
        """Until every server answers, and a run on a thread that nobody knew succeeds."""
        for url in self._world.urls:
            await self._answers(url)
        self._probes += 1
        word = f"probe{self._probes}"
        body = {
            "assistant_id": "trial",
            "input": {"word": word},
            "metadata": {"word": word, "how": "sleep"},
        }
        wanted = Wanted(word=word, thread_id=self._client.uuid(), body=body, key=self._client.uuid())
        if (run := await self._client.create(wanted, "/api", "/wait")) is not None:
            await self._client.status(run)
        self._told.note(Recovered(kind=kind, seconds=time.monotonic() - began))

    async def _answers(self, url: str) -> None:
        until = time.monotonic() + RECOVERY
        while time.monotonic() < until:
            with suppress(httpx.TransportError):
                if (await self._client.http.get(f"{url}/ok", timeout=2)).is_success:
                    return
            await asyncio.sleep(0.05)
        self._told.note(Wronged(what=f"{url} did not answer for {RECOVERY:g} s"))


def _send(process: psutil.Process, number: int) -> None:
    with suppress(psutil.NoSuchProcess):
        process.send_signal(number)
