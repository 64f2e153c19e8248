"""Streams as many tokens as the last message says (`"25"`), `t1 t2 …`, without any delay, and one chunk for usage."""

from collections.abc import Sequence
from typing import Any

from langchain_core.messages import BaseMessage
from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, MessagesState, StateGraph

from actors.demo.model import DemoModel, Reply


def count(prompt: Sequence[BaseMessage]) -> Reply:
    return Reply(" ".join(f"t{number}" for number in range(1, int(prompt[-1].text) + 1)))


async def answer(state: MessagesState, config: RunnableConfig) -> dict[str, Any]:
    model = DemoModel(author=count, model_name="counter", pace=0)
    return {"messages": [await model.ainvoke(state["messages"][-1:], config)]}


graph = StateGraph(MessagesState).add_node(answer).add_edge(START, "answer").compile(name="tokens")
