"""Three steps, each of which writes its name and the run's word; the second takes `{"seconds": 2.0}` of them.

So a run can be stopped with one checkpoint behind it and more before it.
"""

import asyncio
import operator
from typing import Annotated, Any, NotRequired, TypedDict

from langgraph.graph import START, StateGraph


class State(TypedDict):
    word: str
    seconds: NotRequired[float]
    done: Annotated[list[str], operator.add]


def begin(state: State) -> dict[str, Any]:
    return {"done": [f"{state['word']}: begun"]}


async def work(state: State) -> dict[str, Any]:
    await asyncio.sleep(state.get("seconds", 0))
    return {"done": [f"{state['word']}: worked"]}


def end(state: State) -> dict[str, Any]:
    return {"done": [f"{state['word']}: ended"]}


graph = StateGraph(State).add_sequence([begin, work, end]).add_edge(START, "begin").compile(name="working")
