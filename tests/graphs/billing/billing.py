"""Calls the models that its input names, through OpenAI's real client; and then ends as its input says."""

import asyncio
import os
from typing import Annotated, Any

from langchain_core.messages import AnyMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import interrupt
from typing_extensions import TypedDict

from actors.reporting import report_usage


class Billing(TypedDict, total=False):
    messages: Annotated[list[AnyMessage], add_messages]
    calls: list[dict[str, Any]]
    """Each `{"model", "stream"?, "usage"?, "tag"?, "ignored"?}`."""
    together: bool
    ending: str


@tool
def look() -> str:
    """Look around."""
    return "seen"


async def work(state: Billing, config: RunnableConfig) -> dict[str, Any]:
    calls = [_call(one, state, config) for one in state.get("calls", [])]
    if state.get("together"):
        answers = await asyncio.gather(*calls)
    else:
        answers = [await call for call in calls]
    return {"messages": [message for said in answers for message in said]}


async def end(state: Billing) -> dict[str, Any]:
    match state.get("ending"):
        case "raise":
            raise ValueError("as its input says")
        case "sleep":
            await asyncio.Event().wait()
        case "ask":
            interrupt("go on?")
        case "report":
            report_usage([{"source_run_id": "outside", "input_tokens": 5, "output_tokens": 2, "model": "elsewhere"}])
            report_usage([{"source_run_id": "outside", "input_tokens": 5, "output_tokens": 2, "model": "elsewhere"}])
        case _:
            pass
    return {}


async def _call(one: dict[str, Any], state: Billing, config: RunnableConfig) -> list[AnyMessage]:
    model = ChatOpenAI(
        model=one["model"],
        base_url=os.environ["FAKE_OPENAI"],
        api_key="none",  # type: ignore[arg-type]
        max_retries=0,
        streaming=one.get("stream", False),
        stream_usage=one.get("usage", True),
    )
    prompt: list[AnyMessage] = [message for message in state.get("messages", []) if message.type == "human"]
    tags = [one["tag"]] if "tag" in one else []
    asked = model.bind_tools([look]) if one["model"] == "calling" else model
    try:
        answer: Any = await asked.ainvoke(prompt, {**config, "tags": tags})
    except Exception:
        if one.get("ignored"):
            return []
        raise
    if not answer.tool_calls:
        return [answer]
    seen = await look.ainvoke(answer.tool_calls[0], config)
    assert isinstance(seen, ToolMessage)
    return [answer, seen, await model.ainvoke([*prompt, answer, seen], {**config, "tags": tags})]


graph = (
    StateGraph(Billing)
    .add_node("work", work)
    .add_node("end", end)
    .add_edge(START, "work")
    .add_edge("work", "end")
    .compile(name="billing")
)
