"""What a user wants served: `langgraph.json`, read and checked. Nothing here imports user code.

Obeyed are `graphs`, `dependencies` and `env`. A dependency that is a local folder is put on `sys.path`; the name of
a package is ignored, because this server does not install: packages must be in its own environment. Keys about
building images are ignored too. Keys that a server would have to obey, and this one cannot, are refused by name.
"""

import json
import os
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

import msgspec
from dotenv import dotenv_values
from msgspec import Struct

from storage.errors import ServiceError
from storage.records import TapeLimits

NOT_OBEYED = ("auth", "checkpointer", "encryption", "http", "store", "ui", "webhooks")
"""Keys of `langgraph.json` that change what a server does, and that this one cannot honour."""

OURS = Path(__file__).resolve().parent.parent
"""The folder that this server's own packages are imported from."""


class ProjectError(ServiceError):
    """The project cannot be served."""


class GraphSpec(Struct, frozen=True):
    """Where a graph is found."""

    path: str
    """`./file.py:variable`, or `package.module:variable`."""
    description: str | None = None

    @property
    def source(self) -> str:
        """The file, relative to the project's root, or the module's dotted name."""
        return self.path.rpartition(":")[0]

    @property
    def variable(self) -> str:
        return self.path.rpartition(":")[2]

    @property
    def is_file(self) -> bool:
        return "/" in self.source or self.source.endswith(".py")


class Project(Struct, frozen=True, kw_only=True):
    """Graphs, and what they need around them. Plain values, so that it can be sent to other processes."""

    root: str
    """The folder that paths are relative to: where `langgraph.json` lies."""
    graphs: dict[str, GraphSpec]
    dependencies: tuple[str, ...] = ()
    """As they were written: local folders, and names of packages."""
    env: dict[str, str] = {}

    @property
    def folders(self) -> list[str]:
        """Where the project's modules are imported from: its root, then the dependencies that are folders."""
        places = [Path(self.root), *(Path(self.root, name) for name in self.dependencies)]
        return list(dict.fromkeys(str(place.resolve()) for place in places if place.is_dir()))


class RunLimits(Struct, frozen=True):
    """What holds for every run."""

    grace: float
    """Seconds a cancelled run has to stop by itself, before its process is ended."""
    timeout: float
    """Seconds of execution that an attempt may take."""
    waiting: int
    """Runs that may wait on one thread; the next is refused."""


class SlotSettings(Struct, frozen=True):
    project: Project
    checkpoints: str
    """The folder of the checkpoint files."""
    limits: RunLimits
    tapes: str
    """The folder of the tapes."""
    tape_limits: TapeLimits


DEMO = Project(
    root=str(OURS),
    graphs={
        "research": GraphSpec("actors.demo.research:graph", "Plans, sends two subagents to work, and writes it up."),
        "chat": GraphSpec("actors.demo.chat:graph", "Talks, remembers, and asks before it does what you must approve."),
    },
)
"""The built-in assistants. They need neither a key nor a network."""


def read(path: Path) -> Project:
    """The project that this `langgraph.json` describes. Raises ProjectError, in one line that names the file."""
    try:
        project = _project(path)
        refuse_clashes(project)
    except (ProjectError, OSError, ValueError) as error:
        raise ProjectError(f"{path}: {_fault(error)}") from error
    return project


def refuse_clashes(project: Project) -> None:
    """Raise ProjectError if a module of the project has the name of one of ours: the import would find the other."""
    for folder in project.folders:
        for name in ("actors", "storage", "web"):
            if Path(folder) != OURS and _has_module(folder, name):
                raise ProjectError(
                    f"{Path(folder, name)} has the name of one of this server's own packages. "
                    f"Rename it, or put it inside a package of the project."
                )


def _has_module(folder: str, name: str) -> bool:
    """Whether `import name` would find something in this folder. A folder without Python in it, it would not."""
    found = PathFinder.find_spec(name, [folder])
    return found is not None and (found.origin is not None or any(Path(folder, name).glob("*.py")))


class _Described(Struct, frozen=True):
    path: str
    description: str | None = None


class _File(Struct, frozen=True):
    """`langgraph.json`, as far as it is obeyed."""

    graphs: dict[str, str | _Described]
    dependencies: tuple[str, ...] = ()
    env: str | dict[str, str] | None = None


def _project(path: Path) -> Project:
    content = json.loads(path.read_bytes())
    file = msgspec.convert(content, _File)
    _refuse_what_is_not_obeyed(content)
    if not file.graphs:
        raise ProjectError("it names no graphs")
    root = path.resolve().parent
    return Project(
        root=str(root),
        graphs={graph_id: _spec(graph_id, value) for graph_id, value in file.graphs.items()},
        dependencies=_existing(root, file.dependencies),
        env=_environment(root, file.env),
    )


def _refuse_what_is_not_obeyed(content: dict[str, Any]) -> None:
    if refused := [f"`{key}`" for key in NOT_OBEYED if content.get(key)]:
        raise ProjectError(f"this server cannot honour {', '.join(refused)}; remove what is not needed")


def _spec(graph_id: str, value: str | _Described) -> GraphSpec:
    spec = GraphSpec(value) if isinstance(value, str) else GraphSpec(value.path, value.description)
    if not spec.source or not spec.variable.isidentifier():
        raise ProjectError(f"graph {graph_id!r}: {spec.path!r} is not of the form './file.py:variable'")
    if spec.is_file and not spec.source.endswith(".py"):
        raise ProjectError(f"graph {graph_id!r}: {spec.source!r} is not a Python file")
    return spec


def _existing(root: Path, dependencies: tuple[str, ...]) -> tuple[str, ...]:
    """The dependencies, if those that are written as paths are there."""
    for name in dependencies:
        if name.startswith((".", os.sep)) and not (root / name).exists():
            raise ProjectError(f"dependency {name!r} does not exist")
    return dependencies


def _environment(root: Path, env: str | dict[str, str] | None) -> dict[str, str]:
    if not isinstance(env, str):
        return env or {}
    if not (root / env).is_file():
        raise ProjectError(f"env: there is no file {env!r}")
    return {name: value for name, value in dotenv_values(root / env).items() if value is not None}


def _fault(error: Exception) -> str:
    match error:
        case json.JSONDecodeError(msg=reason, lineno=line, colno=column):
            return f"not JSON: {reason} (line {line}, column {column})"
        case FileNotFoundError():
            return "there is no such file"
        case OSError(strerror=str(reason)):
            return reason
        case _:
            return str(error)
