"""Three nodes in a row, `a`, `b` and `c`, each of which writes its name into `steps`: for static breakpoints."""

import operator
from typing import Annotated, Any, TypedDict

from langgraph.graph import START, StateGraph


class Steps(TypedDict):
    steps: Annotated[list[str], operator.add]


def a(state: Steps) -> dict[str, Any]:
    return {"steps": ["a"]}


def b(state: Steps) -> dict[str, Any]:
    return {"steps": ["b"]}


def c(state: Steps) -> dict[str, Any]:
    return {"steps": ["c"]}


graph = StateGraph(Steps).add_sequence([a, b, c]).add_edge(START, "a").compile(name="stepping")
