"""Each kind of function that makes a graph. The graph says in `made` by which it was made, and in `given` from what."""

from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph_sdk.runtime import ServerRuntime

open_now: list[str] = []
"""Which context managers are open, by the name of their function."""


class State(TypedDict):
    made: str
    given: Any


@dataclass
class Context:
    tone: str = "plain"


def _graph(made: str, given: Any = None) -> CompiledStateGraph[State]:
    def tell(state: State) -> State:
        return {"made": made, "given": given}

    return StateGraph(State).add_node(tell).add_edge(START, "tell").compile()


def plain() -> CompiledStateGraph[State]:
    return _graph("plain")


async def awaited() -> CompiledStateGraph[State]:
    return _graph("awaited")


@contextmanager
def context() -> Generator[CompiledStateGraph[State]]:
    open_now.append("context")
    try:
        yield _graph("context")
    finally:
        open_now.remove("context")


@asynccontextmanager
async def async_context() -> AsyncGenerator[CompiledStateGraph[State]]:
    open_now.append("async_context")
    try:
        yield _graph("async_context")
    finally:
        open_now.remove("async_context")


def with_config(config: RunnableConfig) -> CompiledStateGraph[State]:
    return _graph("with_config", config.get("configurable", {}).get("colour"))


def with_runtime(runtime: ServerRuntime[Context]) -> CompiledStateGraph[State]:
    return _graph("with_runtime", _told(runtime))


async def with_both(runtime: "ServerRuntime[Context]", config: RunnableConfig) -> CompiledStateGraph[State]:
    return _graph("with_both", [config.get("configurable", {}).get("colour"), *_told(runtime)])


def wrong() -> str:
    return "no graph"


def _told(runtime: ServerRuntime[Context]) -> list[Any]:
    execution = runtime.execution_runtime
    return [runtime.access_context, execution.context.tone if execution and execution.context else None]
