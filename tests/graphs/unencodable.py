"""Leaves in its state, and says as a custom event, what plain JSON has no form for."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, TypedDict

from langgraph.channels import UntrackedValue
from langgraph.config import get_stream_writer
from langgraph.graph import START, StateGraph
from pydantic import BaseModel


class Opaque:
    """Nobody knows how to write it down, not even a checkpoint."""


class Model(BaseModel):
    name: str
    when: datetime


@dataclass
class Point:
    x: int
    y: int


class State(TypedDict):
    values: dict[str, Any]
    untracked: Annotated[Any, UntrackedValue]


VALUES: dict[str, Any] = {
    "set": {1, 2},
    "bytes": b"\xff\x00",
    "nan": float("nan"),
    "infinity": float("inf"),
    "datetime": datetime(2026, 11, 22, 14, 0, tzinfo=UTC),
    "date": date(2026, 11, 22),
    "duration": timedelta(seconds=90),
    "model": Model(name="m", when=datetime(2026, 11, 22, 14, 0, tzinfo=UTC)),
    "dataclass": Point(1, 2),
    "keys": {1: "one", (2, 3): "pair"},
}
"""What a checkpoint can hold."""


def leave(state: State) -> dict[str, Any]:
    untracked = {"opaque": Opaque(), "complex": complex(1, 2), "big": 2**70}
    get_stream_writer()(VALUES | untracked)
    return {"values": VALUES, "untracked": untracked}


graph = StateGraph(State).add_node(leave).add_edge(START, "leave").compile(name="unencodable")
