"""The same graphs without any server: `graph.astream` in one process, with checkpoints in memory.

What is streamed is encoded as JSON, as every server must. `python -m benchmarks.bare QUESTION PLAN` prints its figures.
"""

import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Any
from uuid import uuid4

import msgspec
import orjson
import uvloop
from langchain_core.messages import BaseMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver

from benchmarks.figures import Figure
from benchmarks.load import Plan, warm_up
from benchmarks.questions import question
from benchmarks.subject import MeasuringError, Reading
from benchmarks.workloads import REPLY, TRIVIAL, Workload, tokens, trivial


class Bare:
    """The graphs, compiled; a subject whose clients are all the same."""

    def __init__(self) -> None:
        saver = InMemorySaver()
        self._graphs: dict[str, Any] = {
            TRIVIAL.graph: trivial.compile(checkpointer=saver),
            REPLY.graph: tokens.compile(checkpointer=saver),
        }

    @property
    def pid(self) -> None:
        """It is no server."""

    @asynccontextmanager
    async def connect(self) -> AsyncGenerator["Bare", None]:
        yield self

    async def new_thread(self) -> str:
        return str(uuid4())

    async def stream(self, thread_id: str, workload: Workload) -> Reading:
        first: float | None = None
        events = size = 0
        async for _, part in self._parts(thread_id, workload):
            size += len(_encode(part))
            events += 1
            first = first or perf_counter()
        assert events >= workload.least, "a graph says all it has to say"
        return Reading(first, first, events, size)

    async def wait(self, thread_id: str, workload: Workload) -> Reading:
        result: Any = None
        async for _, part in self._parts(thread_id, workload):
            result = part
        return Reading(None, None, 0, len(_encode(result)))

    def _parts(self, thread_id: str, workload: Workload) -> Any:
        config: RunnableConfig = {"configurable": {"thread_id": thread_id}}
        mode = workload.stream_mode.removesuffix("-tuple")
        return self._graphs[workload.graph].astream(workload.input, config, stream_mode=[mode])


async def bare_figures(name: str, plan: Plan) -> list[Figure]:
    """Ask a question of the bare graphs, in a process of their own."""
    arguments = ["-m", "benchmarks.bare", name, msgspec.json.encode(plan).decode()]
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=asyncio.subprocess.PIPE)
    try:
        printed, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise MeasuringError("The bare graphs could not be measured.")
    return msgspec.json.decode(printed, type=list[Figure])


def _encode(part: Any) -> bytes:
    return orjson.dumps(part, default=_plain)


def _plain(value: Any) -> Any:
    if isinstance(value, BaseMessage):
        return value.model_dump()
    raise TypeError(f"{type(value).__name__} does not occur in these graphs")


async def _answer(name: str, plan: Plan) -> list[Figure]:
    subject = Bare()
    await warm_up(subject)
    return await question(name).ask(subject, plan)


def _main(name: str, plan: str) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        figures = runner.run(_answer(name, msgspec.json.decode(plan, type=Plan)))
    print(msgspec.json.encode(figures).decode())


if __name__ == "__main__":
    _main(*sys.argv[1:])
