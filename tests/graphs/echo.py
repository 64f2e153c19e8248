"""Answers at once with the text of the last message, without a model. Not compiled: the server does that."""

from typing import Any

from langchain_core.messages import AIMessage
from langgraph.graph import START, MessagesState, StateGraph


def answer(state: MessagesState) -> dict[str, Any]:
    return {"messages": [AIMessage(state["messages"][-1].text)]}


graph = StateGraph(MessagesState).add_node(answer).add_edge(START, "answer")
