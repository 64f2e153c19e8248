"""What a process found when it loaded a project's graphs, as others are told of it."""

from typing import NamedTuple

from msgspec import Struct


class GraphProblem(Struct, frozen=True):
    """Why a graph could not be loaded."""

    graph_id: str
    path: str
    variable: str
    message: str
    """One line: the exception's class and text."""
    trace: str
    """The whole traceback, for whoever has to find the line."""


class GraphInfo(NamedTuple):
    """What can be said of a graph without running it."""

    graph_id: str
    name: str
    description: str | None


class Catalog(Struct, frozen=True):
    """Every graph of the project is in one of the two."""

    graphs: list[GraphInfo]
    problems: list[GraphProblem]
