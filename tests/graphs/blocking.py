"""Blocks its event loop for `{"seconds": 2.0}`, as no async node should."""

import time
from typing import Any, TypedDict

from langgraph.graph import START, StateGraph


class State(TypedDict):
    seconds: float
    done: bool


async def block(state: State) -> dict[str, Any]:
    time.sleep(state["seconds"])  # noqa: ASYNC251 - this is what the graph is for
    return {"done": True}


graph = StateGraph(State).add_node(block).add_edge(START, "block").compile(name="blocking")
