"""Takes no notice of being cancelled, as an async node can."""

import asyncio
from typing import Any, TypedDict

from langgraph.graph import START, StateGraph


class State(TypedDict):
    refused: bool


async def refuse(_: State) -> dict[str, Any]:
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            continue


graph = StateGraph(State).add_node(refuse).add_edge(START, "refuse").compile(name="stubborn")
