"""Pauses at an `interrupt()` and answers with what it was resumed with."""

from typing import Any

from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableLambda
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import interrupt


async def ask(state: MessagesState) -> dict[str, Any]:
    answer = interrupt({"question": "ok?"})
    return {"messages": [AIMessage(f"You said {answer!r}.")]}


graph = StateGraph(MessagesState).add_node(ask).add_edge(START, "ask").compile(name="asking")

hidden = (
    StateGraph(MessagesState)
    .add_node("ask", RunnableLambda(ask).with_config(tags=["langsmith:hidden"]))
    .add_edge(START, "ask")
    .compile(name="hidden")
)
"""The same, in a node of which LangGraph's streams say nothing."""
