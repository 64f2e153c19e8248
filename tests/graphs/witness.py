"""Notes in the file `log` when it begins and ends, whatever ends it; adds its word to `done` if it is let finish."""

import asyncio
import operator
from pathlib import Path
from typing import Annotated, Any, TypedDict

from langgraph.graph import START, StateGraph


class State(TypedDict):
    log: str
    word: str
    seconds: float
    done: Annotated[list[str], operator.add]


def note(state: State, what: str) -> None:
    with Path(state["log"]).open("a") as log:
        log.write(f"{what} {state['word']}\n")


async def work(state: State) -> dict[str, Any]:
    note(state, "begins")
    try:
        await asyncio.sleep(state["seconds"])
    finally:
        note(state, "ends")
    return {"done": [state["word"]]}


graph = StateGraph(State).add_node(work).add_edge(START, "work").compile(name="witness")
