"""The graphs of a project: loaded once in each process, opened for each use.

A user's graph is never changed: what is opened is a copy that has our checkpointer, our store and a name.
"""

import hashlib
import importlib
import importlib.util
import os
import sys
import traceback
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import StateGraph
from langgraph.pregel import Pregel
from langgraph.store.base import BaseStore
from langgraph_sdk.runtime import AccessContext

from actors.catalog import GraphInfo, GraphProblem
from actors.errors import GraphError
from actors.factories import Factory, Use, examine
from actors.project import GraphSpec, Project, refuse_clashes

CompiledGraph = Pregel[Any, Any, Any, Any]

UNNAMED = "LangGraph"
"""What LangGraph calls a graph that was compiled without a name."""


class Graphs:
    """The graphs that could be loaded, in the order of the project."""

    def __init__(self, loaded: dict[str, CompiledGraph | Factory], specs: dict[str, GraphSpec]) -> None:
        self._loaded = loaded
        self._specs = specs
        self._copies: dict[tuple[str, int], CompiledGraph] = {}

    @property
    def ids(self) -> list[str]:
        return list(self._loaded)

    def describe(self) -> list[GraphInfo]:
        """A factory's graph has the graph id for a name, because nothing is made only to be asked for one."""
        return [
            GraphInfo(graph_id, _name(graph_id, graph), self._specs[graph_id].description)
            for graph_id, graph in self._loaded.items()
        ]

    @asynccontextmanager
    async def open(  # noqa: PLR0913 - all that a graph can be opened with, by name
        self,
        graph_id: str,
        config: RunnableConfig,
        *,
        access: AccessContext,
        context: Any = None,
        checkpointer: BaseCheckpointSaver[Any] | None,
        store: BaseStore | None = None,
    ) -> AsyncGenerator[CompiledGraph, None]:
        """The graph, ready for one use. Raises GraphError if there is none, and whatever the user's factory raises."""
        graph = self._loaded.get(graph_id)
        if graph is None:
            raise GraphError(f"There is no graph {graph_id!r}.")
        if not isinstance(graph, Factory):
            yield self._copy(graph_id, graph, checkpointer, store)
            return
        use = Use(config=config, access=access, context=context, store=store)
        async with _made(graph_id, graph, use) as made:
            yield _equipped(graph_id, made, checkpointer, store)

    def context_schema(self, graph_id: str) -> Any:
        """Of a graph that stands; what a factory makes is known only when it is made."""
        graph = self._loaded.get(graph_id)
        return None if graph is None or isinstance(graph, Factory) else graph.context_schema

    def _copy(
        self,
        graph_id: str,
        graph: CompiledGraph,
        checkpointer: BaseCheckpointSaver[Any] | None,
        store: BaseStore | None,
    ) -> CompiledGraph:
        """The copy for this checkpointer, made once: a copy costs more than many a run."""
        key = graph_id, id(checkpointer)
        copy = self._copies.get(key)
        if copy is None or copy.checkpointer is not checkpointer or copy.store is not _store(store, graph):
            copy = self._copies[key] = _equipped(graph_id, graph, checkpointer, store)
        return copy


def load(project: Project) -> tuple[Graphs, list[GraphProblem]]:
    """All graphs of the project that can be loaded, and what is wrong with the others.

    Makes the project's modules importable, and its environment this process's; a variable that is set already stays
    as it is. Raises ProjectError if a module of the project has the name of one of ours.
    """
    refuse_clashes(project)
    sys.path.extend(folder for folder in project.folders if folder not in sys.path)
    importlib.invalidate_caches()
    for name, value in project.env.items():
        os.environ.setdefault(name, value)
    loaded: dict[str, CompiledGraph | Factory] = {}
    problems: list[GraphProblem] = []
    for graph_id, spec in project.graphs.items():
        try:
            loaded[graph_id] = _load(project.root, spec)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - importing runs user code, and all faults are collected
            problems.append(_problem(graph_id, spec, error))
    return Graphs(loaded, project.graphs), problems


def _load(root: str, spec: GraphSpec) -> CompiledGraph | Factory:
    module = _from_file(root, spec.source) if spec.is_file else importlib.import_module(spec.source)
    if spec.variable not in vars(module):
        raise AttributeError(f"{spec.source} has no variable {spec.variable!r}")
    found = getattr(module, spec.variable)
    graph = _compiled(found)
    if graph is not None:
        return graph
    if callable(found):
        return examine(found)
    raise GraphError(f"{spec.variable} is {_kind(found)}, neither a graph nor a function that makes one")


def _from_file(root: str, source: str) -> ModuleType:
    """The module in this file: executed once, however many graphs are in it."""
    path = Path(root, source).resolve()
    name = _module_name(path, Path(root))
    known = sys.modules.get(name)
    if known is not None and known.__file__ == str(path):
        return known
    found = importlib.util.spec_from_file_location(name, path)
    assert found is not None, "a project names only .py files"
    assert found.loader is not None, "a .py file has a loader"
    # Dataclasses, pydantic and pickle look a class's module up while it is still being executed.
    module = sys.modules[name] = importlib.util.module_from_spec(found)
    try:
        found.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _module_name(path: Path, root: Path) -> str:
    """The same in every process and after every restart, because checkpoints name the classes they hold by module."""
    relative = Path(os.path.relpath(path, root.resolve())).as_posix()
    return f"{path.stem}_{hashlib.sha256(relative.encode()).hexdigest()[:8]}"


def _problem(graph_id: str, spec: GraphSpec, error: BaseException) -> GraphProblem:
    message = " ".join(f"{type(error).__name__}: {error}".split())
    return GraphProblem(graph_id, spec.source, spec.variable, message, "".join(traceback.format_exception(error)))


@asynccontextmanager
async def _made(graph_id: str, factory: Factory, use: Use) -> AsyncGenerator[CompiledGraph, None]:
    failure: BaseException | None = None
    async with AsyncExitStack() as stack:
        made = await factory.make(use, stack)
        graph = _compiled(made)
        if graph is None:
            raise GraphError(f"The factory of graph {graph_id!r} gave {_kind(made)}, which is no graph.")
        try:
            yield graph
        except BaseException as error:
            failure = error
            raise
    if failure is not None:  # the factory's context manager swallowed it, but a failed run has failed
        raise failure


def _equipped(
    graph_id: str, graph: CompiledGraph, checkpointer: BaseCheckpointSaver[Any] | None, store: BaseStore | None
) -> CompiledGraph:
    update = {"checkpointer": checkpointer, "store": _store(store, graph), "name": _name(graph_id, graph)}
    return graph.copy(update=update)


def _store(ours: BaseStore | None, graph: CompiledGraph) -> BaseStore | None:
    """The graph keeps the store that it was compiled with, if we have none."""
    return graph.store if ours is None else ours


def _name(graph_id: str, graph: CompiledGraph | Factory) -> str:
    return graph_id if isinstance(graph, Factory) or graph.name == UNNAMED else graph.name


def _compiled(found: Any) -> CompiledGraph | None:
    """The compiled graph that this is or can become; None if it is something else."""
    if isinstance(found, StateGraph):
        found = found.compile()
    return found if isinstance(found, Pregel) else None


def _kind(found: Any) -> str:
    return "None" if found is None else f"an object of type {type(found).__name__}"
