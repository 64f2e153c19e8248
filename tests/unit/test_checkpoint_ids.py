"""New checkpoints lie above those that their thread has."""

import time

import pytest
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.base import id as langgraph_ids
from langgraph.checkpoint.base.id import uuid6

from storage import checkpoint_ids
from storage.checkpoint_ids import LAST


@pytest.fixture(autouse=True)
def _own_time(monkeypatch):
    """What a test does to the ids of this process ends with it."""
    monkeypatch.setattr(langgraph_ids, LAST, None)


def id_in(monkeypatch, hours):
    """What LangGraph would make, so many hours from now."""
    with monkeypatch.context() as patch:
        later = time.time_ns() + int(hours * 3_600e9)
        patch.setattr(langgraph_ids, LAST, None)
        patch.setattr(time, "time_ns", lambda: later)
        return str(uuid6())


def test_ids_are_above_one_of_the_future(monkeypatch):
    later = id_in(monkeypatch, 1)
    assert empty_checkpoint()["id"] < later
    checkpoint_ids.exceed(later)
    first, second = empty_checkpoint()["id"], empty_checkpoint()["id"]
    assert later < first < second < id_in(monkeypatch, 1.001)


def test_one_of_the_past_changes_nothing(monkeypatch):
    later, earlier = id_in(monkeypatch, 2), id_in(monkeypatch, 1)
    checkpoint_ids.exceed(later)
    checkpoint_ids.exceed(earlier)
    assert empty_checkpoint()["id"] > later


@pytest.mark.parametrize("other", ["", "mine", "ffffffff-ffff-4fff-bfff-ffffffffffff"])
def test_ids_of_other_kinds_are_left_alone(other, monkeypatch):
    checkpoint_ids.exceed(other)
    assert empty_checkpoint()["id"] < id_in(monkeypatch, 0.001)
