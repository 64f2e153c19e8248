"""Asks at an `interrupt()`, notes the answer, and then takes `{"seconds": 2.0}` over it."""

import asyncio
import operator
from typing import Annotated, Any, NotRequired, TypedDict

from langgraph.graph import START, StateGraph
from langgraph.types import interrupt


class State(TypedDict):
    seconds: NotRequired[float]
    told: Annotated[list[str], operator.add]


def ask(state: State) -> dict[str, Any]:
    return {"told": [interrupt({"question": "ok?"})]}


async def ponder(state: State) -> dict[str, Any]:
    await asyncio.sleep(state.get("seconds", 0))
    return {"told": ["pondered"]}


graph = StateGraph(State).add_sequence([ask, ponder]).add_edge(START, "ask").compile(name="pausing")
