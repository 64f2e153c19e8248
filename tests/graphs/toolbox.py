"""Calls the tools that it is told, by their names: `"look note"`. A helper and a middleware ask models before that.

`look` answers, `note` answers with a Command, `wait` never does. Without a tool to call the agent only talks.
"""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any

from langchain_core.callbacks import adispatch_custom_event
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool, InjectedToolCallId, tool
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import Command

from actors.demo.model import Call, DemoModel, Reply, pace_of


@tool
async def look() -> str:
    """Look something up."""
    return "found"


@tool
def note(tool_call_id: Annotated[str, InjectedToolCallId]) -> Command[Any]:
    """Note something down."""
    return Command(update={"messages": [ToolMessage("noted", tool_call_id=tool_call_id)]})


@tool
async def wait() -> str:
    """Never come back."""
    get_stream_writer()("waiting")
    await asyncio.Event().wait()
    return "never"


TOOLS: dict[str, BaseTool] = {one.name: one for one in (look, note, wait)}


def decide(prompt: Sequence[BaseMessage]) -> Reply:
    if isinstance(prompt[-1], ToolMessage):
        return Reply("All done.")
    wanted = tuple(Call(word, {}) for word in prompt[-1].text.split() if word in TOOLS)
    return Reply("", wanted) if wanted else Reply("There is nothing to do, and so I talk.")


async def helper(state: MessagesState, config: RunnableConfig) -> dict[str, Any]:
    await _model("small").with_config(tags=["subagent:helper"]).ainvoke([HumanMessage("Think along.")], config)
    return {}


async def title(state: MessagesState, config: RunnableConfig) -> dict[str, Any]:
    said = await _model("small").with_config(tags=["middleware:title"]).ainvoke([HumanMessage("A title?")], config)
    changes = {"name": "title", "hook": "before", "action": "set", "changes": {"title": said.text}}
    await adispatch_custom_event("middleware:title", changes, config=config)
    return {}


async def agent(state: MessagesState, config: RunnableConfig) -> dict[str, Any]:
    model = _model("large", pace_of(config)).bind_tools(list(TOOLS.values()))
    return {"messages": [await model.ainvoke(state["messages"], config)]}


def after_agent(state: MessagesState) -> str:
    last = state["messages"][-1]
    return "tools" if isinstance(last, AIMessage) and last.tool_calls else END


def _model(name: str, pace: float = 0) -> DemoModel:
    return DemoModel(author=decide, model_name=name, pace=pace)


graph = (
    StateGraph(MessagesState)
    .add_node(helper)
    .add_node(title)
    .add_node(agent)
    .add_node("tools", ToolNode(list(TOOLS.values())))
    .add_edge(START, "helper")
    .add_edge("helper", "title")
    .add_edge("title", "agent")
    .add_conditional_edges("agent", after_agent, ["tools", END])
    .add_edge("tools", "agent")
    .compile(name="toolbox")
)
