"""Graphs of every kind are loaded once, opened as copies, and closed again."""

import inspect
import os
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Optional, TypedDict

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.store.memory import InMemoryStore
from langgraph_sdk.runtime import ServerRuntime

from actors.errors import GraphError
from actors.factories import Asked, Factory, examine
from actors.graphs import Graphs, load
from actors.project import DEMO, GraphSpec, Project, ProjectError, read

HERE = Path(__file__).parent.parent / "graphs"
CONFIG: RunnableConfig = {"configurable": {"thread_id": "t", "colour": "red"}}
A_GRAPH = """
from langgraph.graph import START, StateGraph
builder = StateGraph(dict).add_node("n", lambda state: state).add_edge(START, "n")
"""


@pytest.fixture(autouse=True)
def own_path(monkeypatch):
    """Loading extends `sys.path` for good; a test must not do that to its neighbours."""
    monkeypatch.setattr(sys, "path", [*sys.path])


@pytest.fixture
def shared():
    graphs, problems = load(read(HERE / "langgraph.json"))
    assert problems == []
    return graphs


@pytest.fixture
def project(tmp_path):
    """Write these files, and return a project with the graphs a, b, c … at these places."""

    def project(files, *places, **more):
        for name, content in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(content)
        graphs = {graph_id: GraphSpec(place) for graph_id, place in zip("abcdefgh", places, strict=False)}
        return Project(root=str(tmp_path), graphs=graphs, **more)

    return project


def opened(graphs, graph_id, access="threads.create_run", **more):
    return graphs.open(graph_id, CONFIG, access=access, **{"checkpointer": None, "context": None} | more)


async def told(graphs, graph_id, **more):
    async with opened(graphs, graph_id, **more) as graph:
        return await graph.ainvoke({"made": "", "given": None}, CONFIG)


def making(function):
    """Graphs in which `a` is made by this function."""
    return Graphs({"a": examine(function)}, {"a": GraphSpec("m:f")})


class State(TypedDict):
    done: bool


def a_builder():
    return StateGraph(State).add_node("n", lambda state: state).add_edge(START, "n")


def a_graph(**compiled):
    return a_builder().compile(**compiled)


# Loading


def test_the_demo_assistants_can_be_loaded():
    graphs, problems = load(DEMO)
    assert problems == []
    assert [info[:2] for info in graphs.describe()] == [("research", "research"), ("chat", "chat")]


def test_a_graph_is_called_by_its_own_name_or_by_its_id(project):
    code = A_GRAPH + "named = builder.compile(name='Ada')\nunnamed = builder.compile()\ndef make(): return named"
    graphs, _ = load(project({"g.py": code}, "./g.py:named", "./g.py:unnamed", "./g.py:builder", "./g.py:make"))
    assert [info.name for info in graphs.describe()] == ["Ada", "b", "c", "d"]


def test_descriptions_come_from_the_project(shared):
    assert shared.describe()[0] == ("echo", "echo", "Answers with what it was told.")


def test_every_problem_is_told_and_the_other_graphs_are_there(project):
    files = {
        "good.py": A_GRAPH,
        "missing.py": "import nowhere_at_all",
        "broken.py": "def",
        "exits.py": "raise SystemExit('no key')",
        "number.py": "graph = 7",
        "greedy.py": "def make(one, two, three): ...",
    }
    places = [f"./{name}:graph" for name in files if name not in ("good.py", "greedy.py")]
    graphs, problems = load(
        project(files, "./good.py:builder", *places, "./greedy.py:make", "./good.py:graph", "./absent.py:graph")
    )
    assert graphs.ids == ["a"]
    messages = [problem.message for problem in problems]
    assert messages[:6] == [
        "ModuleNotFoundError: No module named 'nowhere_at_all'",
        "SyntaxError: invalid syntax (broken.py, line 1)",
        "SystemExit: no key",
        "GraphError: graph is an object of type int, neither a graph nor a function that makes one",
        "GraphError: a factory may ask for a config and a runtime, and this one asks for one, two, three",
        "AttributeError: ./good.py has no variable 'graph'",
    ]
    assert messages[6].startswith("FileNotFoundError: ")
    assert (problems[0].graph_id, problems[0].path, problems[0].variable) == ("b", "./missing.py", "graph")
    assert "missing.py" in problems[0].trace


def test_a_graph_that_does_not_compile_is_a_problem(project):
    code = "from langgraph.graph import StateGraph\ngraph = StateGraph(dict)"
    _, [problem] = load(project({"g.py": code}, "./g.py:graph"))
    assert problem.message.startswith("ValueError: Graph must have an entrypoint")


def test_a_file_is_executed_once_for_all_its_graphs_and_all_loads(project, tmp_path):
    code = f"with open({str(tmp_path / 'log')!r}, 'a') as log: log.write('x')\n" + A_GRAPH + "graph = builder.compile()"
    both = project({"g.py": code}, "./g.py:builder", "./g.py:graph")
    load(both)
    load(both)
    assert (tmp_path / "log").read_text() == "x"


def test_a_file_is_a_module_before_it_runs(project):
    code = "import sys\nassert sys.modules[__name__].__dict__ is globals()\n" + A_GRAPH
    assert load(project({"g.py": code}, "./g.py:builder"))[1] == []


def test_a_file_that_failed_leaves_no_module_behind(project):
    before = set(sys.modules)
    load(project({"half.py": "x = 1\nraise ValueError"}, "./half.py:graph"))
    assert set(sys.modules) == before


def test_a_module_is_called_the_same_wherever_the_project_lies(project, tmp_path):
    names = set()
    for place in ("here", "there"):
        files = {f"{place}/g.py": A_GRAPH + "name = __name__\ndef make(): ..."}
        spec = project(files, "./g.py:make")
        graphs, _ = load(Project(root=str(tmp_path / place), graphs=spec.graphs))
        names.add(graphs._loaded["a"].function.__module__)
    assert len(names) == 1


def test_files_of_the_same_name_in_two_folders_are_two_modules(project):
    files = {f"{folder}/g.py": A_GRAPH + f"def make(): return {folder!r}" for folder in ("one", "two")}
    graphs, _ = load(project(files, "./one/g.py:make", "./two/g.py:make"))
    modules = [sys.modules[graph.function.__module__] for graph in graphs._loaded.values()]
    assert [module.make() for module in modules] == ["one", "two"]


def test_modules_and_files_import_what_lies_in_the_projects_folders(project):
    files = {
        "root_module_of_test.py": "x = 1",
        "src/package_of_test/__init__.py": "",
        "src/package_of_test/g.py": "from root_module_of_test import x\n" + A_GRAPH,
    }
    _, problems = load(project(files, "package_of_test.g:builder", dependencies=("./src", "some-package")))
    assert problems == []


def test_the_environment_is_set_before_the_code_runs_and_what_is_set_already_stays(project, monkeypatch):
    monkeypatch.setenv("TREADLE_TEST_OLD", "old")
    monkeypatch.setenv("TREADLE_TEST_NEW", "removed at the end of the test, whatever load does")
    monkeypatch.delenv("TREADLE_TEST_NEW")
    code = "import os\nassert os.environ['TREADLE_TEST_NEW'] == 'new'\n" + A_GRAPH
    env = {"TREADLE_TEST_OLD": "other", "TREADLE_TEST_NEW": "new"}
    assert load(project({"g.py": code}, "./g.py:builder", env=env))[1] == []
    assert os.environ["TREADLE_TEST_OLD"] == "old"


def test_a_clash_of_names_is_refused_before_anything_is_imported(project):
    with pytest.raises(ProjectError, match=r"storage\.py|storage has the name"):
        load(project({"storage.py": "", "g.py": "raise AssertionError"}, "./g.py:graph"))


# Opening


async def test_what_is_opened_is_a_copy_with_our_checkpointer_store_and_name():
    graph, saver, store = a_graph(), InMemorySaver(), InMemoryStore()
    graphs = Graphs({"a": graph}, {"a": GraphSpec("m:g")})
    async with opened(graphs, "a", checkpointer=saver, store=store) as copy:
        assert (copy.checkpointer, copy.store, copy.name) == (saver, store, "a")
    assert (graph.checkpointer, graph.store, graph.name) == (None, None, "LangGraph")


async def test_a_graph_keeps_its_own_store_if_we_have_none():
    store = InMemoryStore()
    graphs = Graphs({"a": a_graph(store=store)}, {"a": GraphSpec("m:g")})
    async with opened(graphs, "a") as copy:
        assert copy.store is store


async def test_a_copy_is_made_once_for_each_checkpointer():
    graphs = Graphs({"a": a_graph()}, {"a": GraphSpec("m:g")})
    saver = InMemorySaver()
    async with opened(graphs, "a", checkpointer=saver) as one, opened(graphs, "a", checkpointer=saver) as two:
        assert one is two
    async with opened(graphs, "a", checkpointer=InMemorySaver()) as three:
        assert three is not one


async def test_an_unknown_graph_is_named():
    with pytest.raises(GraphError, match="There is no graph 'x'"):
        async with opened(Graphs({}, {}), "x"):
            pass


# Factories


@pytest.mark.parametrize(
    ("graph_id", "made", "given"),
    [
        ("factory_sync", "plain", None),
        ("factory_async", "awaited", None),
        ("factory_context", "context", None),
        ("factory_async_context", "async_context", None),
        ("factory_config", "with_config", "red"),
        ("factory_runtime", "with_runtime", ["threads.create_run", "loud"]),
        ("factory_both", "with_both", ["red", "threads.create_run", "loud"]),
    ],
)
async def test_each_kind_of_factory_makes_its_graph(shared, graph_id, made, given):
    assert await told(shared, graph_id, context={"tone": "loud"}) == {"made": made, "given": given}


@pytest.mark.parametrize("access", ["threads.read", "threads.update", "assistants.read"])
async def test_whoever_only_looks_has_no_context(shared, access):
    out = await told(shared, "factory_runtime", access=access, context={"tone": "loud"})
    assert out["given"] == [access, None]


@pytest.mark.parametrize("graph_id", ["factory_context", "factory_async_context"])
async def test_a_context_manager_is_open_as_long_as_the_graph(shared, graph_id):
    open_now = inspect.unwrap(shared._loaded[graph_id].function).__globals__["open_now"]
    async with opened(shared, graph_id):
        assert open_now == [graph_id.removeprefix("factory_")]
    assert open_now == []
    with pytest.raises(ValueError, match="the run failed"):
        async with opened(shared, graph_id):
            raise ValueError("the run failed")
    assert open_now == []


async def test_a_failure_is_not_swallowed_by_the_factorys_context_manager():
    @contextmanager
    def swallowing():
        with suppress(ValueError):
            yield a_graph()

    with pytest.raises(ValueError, match="the run failed"):
        async with opened(making(swallowing), "a"):
            raise ValueError("the run failed")


async def test_a_factory_may_give_what_is_not_compiled_yet_or_is_opened_later():
    @contextmanager
    def opening():
        yield a_builder()

    async def later():
        return opening()

    async with opened(making(later), "a") as graph:
        assert graph.name == "a"


@pytest.mark.parametrize(("result", "kind"), [(None, "None"), ("text", "an object of type str")])
async def test_a_result_that_is_no_graph_is_named(result, kind):
    with pytest.raises(GraphError, match=f"The factory of graph 'a' gave {kind}, which is no graph"):
        async with opened(making(lambda: result), "a"):
            pass


async def test_a_factorys_own_error_comes_through():
    def fails():
        raise KeyError("API_KEY")

    with pytest.raises(KeyError, match="API_KEY"):
        async with opened(making(fails), "a"):
            pass


async def test_a_runtime_has_the_servers_store_or_one_of_its_own():
    stores = []

    def make(runtime: ServerRuntime):
        stores.append(runtime.store)
        return a_graph()

    ours = InMemoryStore()
    for store in (ours, None):
        async with opened(making(make), "a", store=store):
            pass
    assert stores[0] is ours
    assert isinstance(stores[1], InMemoryStore)


def no_parameter(): ...
def any_name(anything): ...
def called_runtime(runtime): ...
def by_position(first, second): ...
def by_name_reversed(runtime, config): ...
def annotated_config(c: RunnableConfig): ...
def annotated_runtime(r: ServerRuntime): ...
def annotated_generic(r: ServerRuntime[int]): ...
def annotated_optional(r: Optional[ServerRuntime] = None): ...  # noqa: UP045 - the older way to write it
def annotated_reversed(r: ServerRuntime, c: RunnableConfig): ...
def annotation_beats_name(config: ServerRuntime, runtime: RunnableConfig): ...
def one_annotated(r: ServerRuntime, other: dict[str, Any]): ...
def as_text(r: "ServerRuntime[int]"): ...
def as_text_unknown(r: "ServerRuntime[NotImported]", c: "RunnableConfig"): ...  # noqa: F821 # pyright: ignore[reportUndefinedVariable] - the case
def with_a_default(config: RunnableConfig, temperature=0.2): ...
def lone_default(cfg=None): ...
def keyword_only(*, config): ...
def positional_only(anything, /): ...
def the_rest(config, *more, **others): ...


@pytest.mark.parametrize(
    ("function", "asks"),
    [
        (no_parameter, {}),
        (any_name, {"anything": "config"}),
        (called_runtime, {"runtime": "runtime"}),
        (by_position, {"first": "config", "second": "runtime"}),
        (by_name_reversed, {"runtime": "runtime", "config": "config"}),
        (annotated_config, {"c": "config"}),
        (annotated_runtime, {"r": "runtime"}),
        (annotated_generic, {"r": "runtime"}),
        (annotated_optional, {"r": "runtime"}),
        (annotated_reversed, {"r": "runtime", "c": "config"}),
        (annotation_beats_name, {"config": "runtime", "runtime": "config"}),
        (one_annotated, {"r": "runtime", "other": "config"}),
        (as_text, {"r": "runtime"}),
        (as_text_unknown, {"r": "runtime", "c": "config"}),
        (with_a_default, {"config": "config"}),
        (lone_default, {"cfg": "config"}),
        (keyword_only, {"config": "config"}),
        (positional_only, {"anything": "config"}),
        (the_rest, {"config": "config"}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_a_factory_asks_for(function, asks):
    assert examine(function).asks == {name: Asked(asked) for name, asked in asks.items()}


async def test_arguments_arrive_where_they_were_asked_for():
    seen = []

    def make(anything, /, *, runtime, temperature=0.2):
        seen.append((anything, runtime.access_context, temperature))
        return a_graph()

    assert isinstance(examine(make), Factory)
    async with opened(making(make), "a"):
        pass
    assert seen == [(CONFIG, "threads.create_run", 0.2)]
