"""Waits for `{"seconds": 2.0}` in the way that an async node should, and can be cancelled."""

import asyncio
from typing import Any, TypedDict

from langgraph.graph import START, StateGraph


class State(TypedDict):
    seconds: float
    done: bool


async def wait(state: State) -> dict[str, Any]:
    await asyncio.sleep(state["seconds"])
    return {"done": True}


graph = StateGraph(State).add_node(wait).add_edge(START, "wait").compile(name="slow")
