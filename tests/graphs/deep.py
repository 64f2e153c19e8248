"""A graph within a graph, of which the inner one pauses at an `interrupt()`, and says what it was told."""

from typing import Any

from langchain_core.messages import AIMessage
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import interrupt


async def ask(state: MessagesState) -> dict[str, Any]:
    return {"messages": [AIMessage(f"Told {interrupt({'question': 'how deep?'})!r}.")]}


inner = StateGraph(MessagesState).add_node(ask).add_edge(START, "ask").compile(name="inner")
graph = StateGraph(MessagesState).add_node("inner", inner).add_edge(START, "inner").compile(name="deep")
