"""Calls a tool that never comes back, unless it is told "bye". Fails like a model at a call without an answer."""

import asyncio
from typing import Any

from langchain_core.messages import AIMessage, ToolMessage
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, MessagesState, StateGraph


async def model(state: MessagesState) -> dict[str, Any]:
    done = {message.tool_call_id for message in state["messages"] if isinstance(message, ToolMessage)}
    spoken = [message for message in state["messages"] if isinstance(message, AIMessage)]
    made = [call["id"] for message in spoken for call in message.tool_calls]
    if missing := [call_id for call_id in made if call_id not in done]:
        raise ValueError(f"calls without an answer: {missing}")
    if state["messages"][-1].content == "bye":
        return {"messages": [AIMessage("Good bye.")]}
    return {"messages": [AIMessage("", tool_calls=[{"name": "wait", "args": {}, "id": f"call-{len(made)}"}])]}


async def tools(state: MessagesState) -> dict[str, Any]:
    get_stream_writer()("at work")
    await asyncio.Event().wait()
    return {}


def after_model(state: MessagesState) -> str:
    last = state["messages"][-1]
    return "tools" if isinstance(last, AIMessage) and last.tool_calls else END


graph = (
    StateGraph(MessagesState)
    .add_node(model)
    .add_node(tools)
    .add_edge(START, "model")
    .add_conditional_edges("model", after_model, ["tools", END])
    .add_edge("tools", "model")
    .compile(name="calling")
)
