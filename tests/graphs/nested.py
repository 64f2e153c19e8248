"""A graph within a graph, which says custom events and the tokens of a model: what `subgraphs` is about.

Custom events are `{"from": "outer"}` and `{"from": "inner"}`; the model says `one two three`.
"""

from collections.abc import Sequence
from typing import Any

from langchain_core.messages import BaseMessage
from langchain_core.runnables import RunnableConfig
from langgraph.config import get_stream_writer
from langgraph.graph import START, MessagesState, StateGraph

from actors.demo.model import DemoModel, Reply


def recite(prompt: Sequence[BaseMessage]) -> Reply:
    return Reply("one two three")


async def speak(state: MessagesState, config: RunnableConfig) -> dict[str, Any]:
    get_stream_writer()({"from": "inner"})
    model = DemoModel(author=recite, model_name="reciter", pace=0).with_config(tags=["subagent:child"])
    return {"messages": [await model.ainvoke(state["messages"], config)]}


def announce(state: MessagesState) -> dict[str, Any]:
    get_stream_writer()({"from": "outer"})
    return {}


child = StateGraph(MessagesState).add_node(speak).add_edge(START, "speak").compile(name="child")

graph = (
    StateGraph(MessagesState)
    .add_node(announce)
    .add_node("child", child)
    .add_edge(START, "announce")
    .add_edge("announce", "child")
    .compile(name="nested")
)
