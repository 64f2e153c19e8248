"""Fails where the input says: `{"where": "first" | "sync" | "async" | "subgraph"}`; `nowhere` it does not.

`first` fails in the first step, the others in the second, when there is a checkpoint with `steps` already.
"""

import operator
from typing import Annotated, Any, TypedDict

from langgraph.graph import START, StateGraph


class State(TypedDict):
    where: str
    steps: Annotated[list[str], operator.add]


def _fail(state: State, here: str) -> None:
    if state["where"] == here:
        raise ValueError(f"failed in {here}")


def begin(state: State) -> dict[str, Any]:
    _fail(state, "first")
    return {"steps": ["begin"]}


def sync_node(state: State) -> dict[str, Any]:
    _fail(state, "sync")
    return {"steps": ["sync"]}


async def async_node(state: State) -> dict[str, Any]:
    _fail(state, "async")
    return {"steps": ["async"]}


async def inner(state: State) -> dict[str, Any]:
    _fail(state, "subgraph")
    return {"steps": ["subgraph"]}


def route(state: State) -> str:
    return {"async": "async_node", "subgraph": "subgraph"}.get(state["where"], "sync_node")


subgraph = StateGraph(State).add_node(inner).add_edge(START, "inner").compile(name="subgraph")

graph = (
    StateGraph(State)
    .add_node(begin)
    .add_node(sync_node)
    .add_node(async_node)
    .add_node("subgraph", subgraph)
    .add_edge(START, "begin")
    .add_conditional_edges("begin", route, ["sync_node", "async_node", "subgraph"])
    .compile(name="failing")
)
