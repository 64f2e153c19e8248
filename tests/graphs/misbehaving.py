"""Does in its node what no node should, such as `{"how": "forks"}`; with `once`, only until there is a file there."""

import asyncio
import os
import resource
import signal
import sys
import time
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from langgraph.graph import START, StateGraph


class State(TypedDict):
    how: str
    once: NotRequired[str]
    survived: NotRequired[bool]


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def fork() -> None:
    if os.fork() == 0:
        while True:
            time.sleep(60)
    die()


def allocate() -> None:
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + 300 * 2**20, before[1]))
    try:
        bytearray(2**30)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def chatter() -> None:
    for _ in range(2_000):
        sys.stdout.write("x" * 1_000 + "\n")


def interrupt() -> None:
    raise KeyboardInterrupt


def leave() -> None:
    sys.exit("I leave")


def hold_the_lock() -> None:
    sum(range(10**8))


HOW = {
    "exits": lambda: os._exit(3),
    "is killed": die,
    "forks": fork,
    "closes": lambda: os.closerange(3, 10_000),
    "is terminated": lambda: os.kill(os.getpid(), signal.SIGTERM),
    "allocates": allocate,
    "chatters": chatter,
    "interrupts": interrupt,
    "leaves": leave,
    "starves": hold_the_lock,
}


async def misbehave(state: State) -> dict[str, Any]:
    if is_wanted(state.get("once")):
        HOW[state["how"]]()
        if state["how"] in {"closes", "is terminated"}:
            await asyncio.sleep(60)
    return {"survived": True}


def is_wanted(once: str | None) -> bool:
    if once is None:
        return True
    was_there = Path(once).exists()
    Path(once).touch()
    return not was_there


graph = StateGraph(State).add_node(misbehave).add_edge(START, "misbehave").compile(name="misbehaving")
