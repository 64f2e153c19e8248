"""A demo assistant: a lead who plans and writes, and two subagents who work side by side with tools of their own."""

import operator
from collections.abc import Sequence
from typing import Annotated, Any, TypedDict

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, SystemMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.graph.message import add_messages
from langgraph.graph.state import CompiledStateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import Send

from actors.demo import authors
from actors.demo.library import calculate, known_words, search
from actors.demo.model import Author, DemoModel, pace_of


def gather(kept: list[str], new: list[str] | None) -> list[str]:
    """Add what was found; None begins anew, for the next question of the same thread."""
    return [] if new is None else kept + new


class Research(MessagesState):
    findings: Annotated[list[str], gather]
    summary: str


class Errand(TypedDict):
    """What a subagent is sent with, and does. Only its findings have a place in the state of the research."""

    question: str
    work: Annotated[list[AnyMessage], add_messages]
    findings: Annotated[list[str], operator.add]


async def plan(state: Research, config: RunnableConfig) -> dict[str, Any]:
    _progress("planning", 0)
    prompt = [SystemMessage("You lead a research team. Make a plan."), *state["messages"]]
    said = await _model(authors.plan, config, "lead_agent").ainvoke(prompt, config)
    return {"messages": [said], "findings": None, "summary": ""}


def send_out(state: Research) -> list[Send]:
    errand = {"question": _question(state), "work": [], "findings": []}
    return [Send("librarian", errand), Send("analyst", errand)]


async def summarise(state: Research, config: RunnableConfig) -> dict[str, Any]:
    _progress("summarising", 60)
    prompt = [SystemMessage("Summarise these findings."), HumanMessage("\n".join(state["findings"]))]
    model = _model(authors.condense, config, "middleware:summarize", "demo-small")
    return {"summary": (await model.ainvoke(prompt, config)).text}


async def write(state: Research, config: RunnableConfig) -> dict[str, Any]:
    _progress("writing", 80)
    task = SystemMessage("Answer the question from these notes.")
    prompt = [task, HumanMessage(_question(state)), HumanMessage(state["summary"])]
    said = await _model(authors.conclude, config, "lead_agent").ainvoke(prompt, config)
    _progress("done", 100)
    return {"messages": [said]}


def subagent(name: str, author: Author, tools: Sequence[BaseTool]) -> CompiledStateGraph[Errand]:
    """A graph that thinks and calls its tools in turns, until it has something to report."""

    async def think(state: Errand, config: RunnableConfig) -> dict[str, Any]:
        prompt = [SystemMessage(f"You are the {name} of a research team."), HumanMessage(state["question"])]
        model = _model(author, config, f"subagent:{name}", "demo-small", tools)
        said = await model.ainvoke([*prompt, *state["work"]], config)
        if said.tool_calls:
            return {"work": [said]}
        get_stream_writer()({"type": "finding", "by": name, "text": said.text})
        return {"work": [said], "findings": [said.text]}

    def next_step(state: Errand) -> str:
        last = state["work"][-1]
        return "tools" if isinstance(last, AIMessage) and last.tool_calls else END

    return (
        StateGraph(Errand)
        .add_node("think", think)
        .add_node("tools", ToolNode(tools, messages_key="work"))
        .add_edge(START, "think")
        .add_conditional_edges("think", next_step, ["tools", END])
        .add_edge("tools", "think")
        .compile(name=name)
    )


def _model(
    author: Author, config: RunnableConfig, caller: str, name: str = "demo-large", tools: Sequence[BaseTool] = ()
) -> Any:
    """A model whose calls are tagged with who makes them, so that tokens are counted apart."""
    model = DemoModel(author=author, model_name=name, pace=pace_of(config))
    return (model.bind_tools(tools) if tools else model).with_config(tags=[caller])


def _question(state: Research) -> str:
    said = (message.text for message in reversed(state["messages"]) if isinstance(message, HumanMessage))
    return next(said, "")


def _progress(step: str, percent: int) -> None:
    get_stream_writer()({"type": "progress", "step": step, "percent": percent})


graph = (
    StateGraph(Research)
    .add_node(plan)
    .add_node("librarian", subagent("librarian", authors.librarian, [search]))
    .add_node("analyst", subagent("analyst", authors.analyst, [known_words, calculate]))
    .add_node(summarise)
    .add_node(write)
    .add_edge(START, "plan")
    .add_conditional_edges("plan", send_out, ["librarian", "analyst"])
    .add_edge(["librarian", "analyst"], "summarise")
    .add_edge("summarise", "write")
    .add_edge("write", END)
    .compile(name="research")
)
