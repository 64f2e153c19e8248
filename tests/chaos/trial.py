"""One trial: load and kills for some seconds, and the verdict."""

import asyncio
import time
from pathlib import Path

from msgspec import Struct

from tests.chaos import evidence
from tests.chaos.evidence import Evidence
from tests.chaos.killer import Killer
from tests.chaos.load import Load
from tests.chaos.promises import breaches
from tests.chaos.promises.case import Breach
from tests.chaos.told import Told
from tests.chaos.world import World, a_world


class Plan(Struct, frozen=True, kw_only=True):
    seed: int
    seconds: float
    clients: int = 6
    threads: int = 4
    thorough: bool = False
    """Whether all processes are killed at once now and then, and at the end; and slots sleep until they are missed."""


class Verdict(Struct, frozen=True, kw_only=True):
    plan: Plan
    told: Told
    found: Evidence
    broken: dict[str, list[Breach]]


def hold(plan: Plan, folder: Path) -> Verdict:
    """Blocks until all is over."""
    told = Told()
    with a_world(folder) as world:
        replays, states = asyncio.run(_happen(plan, world, told))
        if plan.thorough:
            world.kill_all()
        else:
            world.close()
        left = [str(process) for process in world.processes()]
    found = Evidence(
        **evidence.on_disk(world.data, world.trial),
        replays=replays,
        states=states,
        left=left,
        tracebacks=[error for server in world.servers for error in evidence.tracebacks(server.said())],
    )
    return Verdict(plan=plan, told=told, found=found, broken=breaches(told, found))


async def _happen(plan: Plan, world: World, told: Told) -> tuple[Told, dict[str, list[str]]]:
    load = Load(world.urls, plan.seed, told, clients=plan.clients, threads=plan.threads)
    killer = Killer(world, plan.seed, told, thorough=plan.thorough)
    living = asyncio.create_task(load.go_on())
    await killer.go_on(time.monotonic() + plan.seconds)
    load.stop()
    await living
    await evidence.settled(world.urls, told)
    return await evidence.streams(world.urls, told), await evidence.states(world.urls, told)
