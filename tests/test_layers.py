"""Imports point one way, web → actors → storage, and each library has few doors."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = sorted(
    file.relative_to(ROOT) for folder in ("storage", "actors", "web") for file in (ROOT / folder).rglob("*.py")
)

LANGGRAPH = {"langgraph", "langgraph_sdk", "langchain_core"}
HOME_OF_GRAPHS = {
    "encoding",
    "execution",
    "executor",
    "factories",
    "graphs",
    "opencalls",
    "recorder",
    "states",
    "streams",
    "unanswered",
    "usage",
}
PURE = {
    "storage/records.py",
    "storage/accounting.py",
    "storage/conversations.py",
    "actors/lane.py",
    "actors/pool.py",
    "actors/usage.py",
}
IMPURE = {"asyncio", "logging", "random", "threading", "time", "uuid"}


def forbidden(file: Path) -> set[str]:
    """What this file must not import: modules, and all below them."""
    folder, name = file.parts[0], str(file)
    match folder:
        case "storage":
            never = {"actors", "web", "ray", "litestar", "uvicorn"} | LANGGRAPH
            never -= {"langgraph", "langchain_core"} if file.stem in {"checkpoints", "checkpoint_ids"} else set()
        case "actors":
            never = {"web", "litestar", "uvicorn", "ray"} | LANGGRAPH
            never -= {"ray"} if name == "actors/cluster.py" else set()
            never -= LANGGRAPH if file.stem in HOME_OF_GRAPHS or "demo" in file.parts else set()
        case _:
            never = {"ray", "duckdb", "aiosqlite"} | LANGGRAPH
    return never | (IMPURE if name in PURE else set())


def allowed_of_ours(file: Path) -> set[str] | None:
    """What of the layers below the web may import; None for the other folders, which may import all of them."""
    if file.parts[0] != "web":
        return None
    doors = {"actors.errors", "actors.runtime", "storage.errors"}
    doors |= {"storage.records", "storage.accounting", "storage.conversations", "storage.questions"}
    own = {
        "web/premises.py": {"actors.project"},
        "web/serving.py": {
            "actors.cluster",
            "actors.clustersettings",
            "actors.project",
            "storage.deployment",
            "storage.pricelists",
        },
        "web/worker.py": {"actors.addresses", "actors.client"},
        "web/asking.py": {"storage.offline"},  # no server runs, so this process may open the database
        "web/sql.py": {"storage.documents"},
        "web/usage/terminal.py": {"storage.panels"},
        "web/exporting.py": {"storage.exports"},
    }
    return doors | own.get(str(file), set())


def imported(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Every module that is imported, wherever it stands, and its line."""
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                yield from ((alias.name, node.lineno) for alias in node.names)
            case ast.ImportFrom(module=str(module)):
                yield module, node.lineno
                if module in {"actors", "storage", "web"}:  # `from storage import records` imports a module
                    yield from ((f"{module}.{alias.name}", node.lineno) for alias in node.names)
            case ast.Call(func=ast.Name(id="import_module"), args=[ast.Constant(value=str(module))]):
                yield module, node.lineno


def within(module: str, packages: set[str]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def faults(file: Path, source: str) -> list[str]:
    """The imports of a file that cross a border."""
    never, doors = forbidden(file), allowed_of_ours(file)
    found: list[str] = []
    for module, line in imported(ast.parse(source)):
        past_the_door = doors is not None and within(module, {"actors", "storage"} - {module}) and module not in doors
        if within(module, never) or past_the_door:
            found.append(f"{file}:{line} imports {module}")
    return found


def dialects_crossed(file: Path, source: str) -> list[str]:
    """Imports of one dialect from the other."""
    others = {"gateway": {"web.platform"}, "platform": {"web.gateway"}}.get(file.parts[1], set())
    return [f"{file}:{line} imports {module}" for module, line in imported(ast.parse(source)) if within(module, others)]


def imports_inside_functions(file: Path, source: str) -> list[str]:
    return [
        f"{file}:{node.lineno}"
        for function in ast.walk(ast.parse(source))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]


@pytest.mark.parametrize("file", FILES, ids=str)
def test_a_file_imports_only_what_its_layer_may(file):
    source = (ROOT / file).read_text()
    assert faults(file, source) == []
    assert dialects_crossed(file, source) == []
    assert imports_inside_functions(file, source) == []


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("storage/runs.py", "from actors.lane import Lane"),
        ("storage/threads.py", "import langgraph.graph"),
        ("actors/thread.py", "import ray"),
        ("actors/thread.py", "def f():\n    from ray import get"),
        ("actors/lane.py", "import time"),
        ("actors/client.py", "from langchain_core.messages import BaseMessage"),
        ("web/app.py", "from storage import database"),
        ("web/app.py", "import_module('actors.cluster')"),
        ("web/cli.py", "import duckdb"),
    ],
    ids=str,
)
def test_a_crossing_is_noticed(file, line):
    assert faults(Path(file), line)


def test_a_dialect_that_borrows_from_the_other_is_noticed():
    assert dialects_crossed(Path("web/gateway/runs.py"), "from web.platform.wire import PlatformWire")


def test_an_import_inside_a_function_is_noticed():
    assert imports_inside_functions(Path("web/app.py"), "async def f():\n    import json")


def test_only_the_ledger_loads_duckdb_and_only_slots_load_langgraph():
    """Each costs memory in every process that has it: 13 and 90 MB."""
    check = "import sys; import actors.cluster, web.worker, {}; print(*{{'duckdb', 'langgraph'}} & set(sys.modules))"
    for module, wanted in {"actors.directory": "", "actors.ledger": "duckdb", "actors.slot": "langgraph"}.items():
        found = subprocess.run(
            [sys.executable, "-c", check.format(module)], cwd=ROOT, check=True, capture_output=True, text=True
        )
        assert found.stdout.split() == wanted.split()
