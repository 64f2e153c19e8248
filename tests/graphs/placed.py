"""Notes in `places` in which process each of its three steps is; the second stays long in the process of the first."""

import asyncio
import operator
import os
from typing import Annotated, Any, TypedDict

from langgraph.graph import START, StateGraph


class State(TypedDict):
    places: Annotated[list[int], operator.add]


def begin(state: State) -> dict[str, Any]:
    return {"places": [os.getpid()]}


async def stay(state: State) -> dict[str, Any]:
    await asyncio.sleep(600 if state["places"][-1] == os.getpid() else 0)
    return {"places": [os.getpid()]}


graph = StateGraph(State).add_sequence([begin, stay, ("end", begin)]).add_edge(START, "begin").compile(name="placed")
