"""Functions of users that make a graph when one is needed: what they ask for, and what they give back.

As on the LangGraph server, a factory takes nothing, the run's config, a `ServerRuntime`, or both. Which parameter is
which is told by its annotation, then by its name, then by its position, where the config comes first.
"""

import inspect
import re
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager, AsyncExitStack
from dataclasses import is_dataclass
from enum import StrEnum
from inspect import Parameter, Signature
from typing import Any, cast, get_args, get_origin

from langchain_core.runnables import RunnableConfig
from langgraph.store.base import BaseStore
from langgraph.store.memory import InMemoryStore
from langgraph_sdk.runtime import (
    AccessContext,
    ServerRuntime,
    _ExecutionRuntime,  # pyright: ignore[reportPrivateUsage] - a server has to construct it, and there is no other way
    _ReadRuntime,  # pyright: ignore[reportPrivateUsage] - as above
)
from msgspec import Struct
from pydantic import BaseModel

from actors.errors import GraphError


class Asked(StrEnum):
    """What a factory can ask for; the values are what its parameters are usually called."""

    CONFIG = "config"
    RUNTIME = "runtime"


class Use(Struct, frozen=True, kw_only=True):
    """What a graph is wanted for."""

    config: RunnableConfig
    access: AccessContext
    context: Any = None
    """The run's context; or a function that gives it, for the schema that the factory names."""
    store: BaseStore | None = None


class Factory(Struct, frozen=True):
    """A function that makes a graph, and which of its parameters is what."""

    function: Callable[..., Any]
    signature: Signature
    asks: dict[str, Asked]

    async def make(self, use: Use, stack: AsyncExitStack) -> Any:
        """Whatever the function gives, awaited and entered. What was entered stays open as long as the stack."""
        given = self.signature.bind_partial()
        for name, asked in self.asks.items():
            is_config = asked is Asked.CONFIG
            given.arguments[name] = use.config if is_config else _runtime(use, self.signature.parameters[name])
        made = self.function(*given.args, **given.kwargs)
        if inspect.isawaitable(made):
            made = await made
        if isinstance(made, AbstractAsyncContextManager):
            return await stack.enter_async_context(made)
        if isinstance(made, AbstractContextManager):
            return stack.enter_context(made)
        return made


def examine(function: Callable[..., Any]) -> Factory:
    """The factory that this function is. Raises GraphError if it asks for more than there is."""
    signature = _signature(function)
    parameters = [p for p in signature.parameters.values() if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    asks = _recognised(parameters)
    strangers = [p for p in parameters if p.name not in asks and (p.default is p.empty or len(parameters) == 1)]
    left = [asked for asked in Asked if asked not in asks.values()]
    if len(strangers) > len(left):
        names = ", ".join(p.name for p in strangers)
        raise GraphError(f"a factory may ask for a config and a runtime, and this one asks for {names}")
    return Factory(function, signature, asks | {p.name: asked for p, asked in zip(strangers, left, strict=False)})


def _signature(function: Callable[..., Any]) -> Signature:
    try:
        return inspect.signature(function, eval_str=True)
    except Exception:  # noqa: BLE001 - an annotation is user code; one that cannot be evaluated is read as text
        return inspect.signature(function)


def _recognised(parameters: list[Parameter]) -> dict[str, Asked]:
    """What is told by annotation, then by name; each thing goes to the first that asks for it."""
    asks: dict[str, Asked] = {}
    for recognise in (_by_annotation, _by_name):
        for parameter in parameters:
            asked = recognise(parameter)
            if asked and parameter.name not in asks and asked not in asks.values():
                asks[parameter.name] = asked
    return asks


def _by_annotation(parameter: Parameter) -> Asked | None:
    if _mentions(parameter.annotation, ServerRuntime):
        return Asked.RUNTIME
    if _mentions(parameter.annotation, RunnableConfig):
        return Asked.CONFIG
    return None


def _by_name(parameter: Parameter) -> Asked | None:
    return Asked(parameter.name) if parameter.name in list(Asked) else None


def _mentions(annotation: Any, wanted: Any) -> bool:
    """Whether the annotation is the wanted type, has parameters of its own, or is a union or an Annotated with it."""
    if isinstance(annotation, str):
        return wanted.__name__ in re.findall(r"\w+", annotation)
    if annotation is wanted or get_origin(annotation) is wanted:
        return True
    return any(_mentions(part, wanted) for part in get_args(annotation) if not isinstance(part, str))


def _runtime(use: Use, parameter: Parameter) -> Any:
    store = use.store if use.store is not None else InMemoryStore()
    if use.access == "threads.create_run":
        context = _typed(use.context, parameter.annotation)
        return _ExecutionRuntime(access_context=use.access, store=store, context=context)
    return _ReadRuntime(access_context=use.access, store=store)


def _typed(context: Any, annotation: Any) -> Any:
    """The context as the type that `ServerRuntime[...]` names, by the rule that LangGraph has for `context_schema`."""
    schema: Any = next(iter(get_args(annotation)), None) if get_origin(annotation) is ServerRuntime else None
    if callable(context):
        context = context(schema)
    is_class = isinstance(schema, type) and (issubclass(schema, BaseModel) or is_dataclass(schema))
    return cast("type[Any]", schema)(**context) if is_class and isinstance(context, Mapping) else context
