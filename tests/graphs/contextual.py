"""Says in which tone it was asked to speak: its context has a schema."""

from dataclasses import dataclass
from typing import TypedDict

from langgraph.graph import START, StateGraph
from langgraph.runtime import Runtime


class State(TypedDict):
    tone: str


@dataclass
class Context:
    tone: str = "plain"


def speak(_: State, runtime: Runtime[Context]) -> State:
    return {"tone": runtime.context.tone if runtime.context else "none"}


graph = StateGraph(State, context_schema=Context).add_node(speak).add_edge(START, "speak").compile(name="contextual")
