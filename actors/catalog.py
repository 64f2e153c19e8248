"""What a process found when it loaded a project's graphs, as others are told of it."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID, uuid5

from msgspec import Struct

from storage.records import Assistant

SYSTEM_ASSISTANTS = UUID("6ba7b821-9dad-11d1-80b4-00c04fd430c8")
"""The namespace of their ids (`spec/platform.md` §3)."""


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


def system_assistant(graph: GraphInfo, now: datetime) -> Assistant:
    """The assistant that every graph has from the start."""
    return Assistant(
        assistant_id=str(uuid5(SYSTEM_ASSISTANTS, graph.graph_id)),
        graph_id=graph.graph_id,
        name=graph.name,
        description=graph.description,
        metadata={"created_by": "system"},
        created_at=now,
        updated_at=now,
    )
