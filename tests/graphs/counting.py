"""Keeps the order of its runs: the input `{"run": "x", "seconds": 0.1}` adds `x` to `order` after a while."""

import asyncio
import operator
from typing import Annotated, Any, NotRequired, TypedDict

from langgraph.graph import START, StateGraph


class State(TypedDict):
    run: str
    seconds: NotRequired[float]
    order: Annotated[list[str], operator.add]


async def note(state: State) -> dict[str, Any]:
    await asyncio.sleep(state.get("seconds", 0))
    return {"order": [state["run"]]}


graph = StateGraph(State).add_node(note).add_edge(START, "note").compile(name="counting")
