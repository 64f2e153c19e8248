"""Says `{"tick": n}` as a custom event each 50 ms, for `{"seconds": 2.0}`, and notes when it began and ended."""

import asyncio
import operator
import time
from typing import Annotated, Any, TypedDict

from langgraph.config import get_stream_writer
from langgraph.graph import START, StateGraph

PACE = 0.05


class State(TypedDict):
    seconds: float
    spans: Annotated[list[list[float]], operator.add]
    """When each run of the thread began and ended, by the clock of this machine."""


async def tick(state: State) -> dict[str, Any]:
    began, say = time.time(), get_stream_writer()
    for number in range(round(state["seconds"] / PACE)):
        say({"tick": number})
        await asyncio.sleep(PACE)
    return {"spans": [[began, time.time()]]}


graph = StateGraph(State).add_node(tick).add_edge(START, "tick").compile(name="ticking")
