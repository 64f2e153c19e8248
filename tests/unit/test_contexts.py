"""What of a run's context a graph gets, by its schema."""

from dataclasses import dataclass
from typing import TypedDict

import pytest
from pydantic import BaseModel

from actors.contexts import complaint, fitting
from storage.records import Dialect, RunRequest
from tests.factories import a_run


@dataclass
class Data:
    tone: str = "plain"


class Model(BaseModel):
    tone: str = "plain"


class Typed(TypedDict):
    tone: str


def a_request(context, configurable=None, sent=None):
    return RunRequest(context=context, config={"configurable": configurable or {}}, sent=sent or {})


@pytest.mark.parametrize("schema", [Data, Model, Typed])
def test_what_came_over_from_configurable_is_left_out_where_it_is_not_declared(schema):
    run = a_run(request=a_request({"tone": "loud", "colour": "blue"}, {"tone": "loud", "colour": "blue"}))
    assert fitting(run, schema) == {"tone": "loud"}


def test_what_was_sent_as_context_is_never_left_out():
    run = a_run(request=a_request({"colour": "blue"}, {"colour": "red"}, {"context": {"colour": "blue"}}))
    assert fitting(run, Data) == {"colour": "blue"}
    run = a_run(request=a_request({"colour": "blue"}, {"colour": "red"}, {"config": {"context": {"colour": "blue"}}}))
    assert fitting(run, Data) == {"colour": "blue"}


def test_without_a_schema_everything_goes():
    run = a_run(request=a_request({"colour": "blue"}, {"colour": "blue"}))
    assert fitting(run, None) == {"colour": "blue"}
    assert fitting(a_run(), None) is None


def test_without_a_schema_the_gateways_graphs_are_told_where_they_are():
    run = a_run(dialect=Dialect.GATEWAY)
    assert fitting(run, None) == {"thread_id": run.thread_id, "run_id": run.run_id}
    assert fitting(run, Data) is None


@pytest.mark.parametrize(("schema", "is_wrong"), [(Data, True), (Model, False), (Typed, False), (None, False)])
def test_a_class_is_asked_whether_it_takes_the_context(schema, is_wrong):
    sent = {"context": {"colour": "blue"}}
    wrong = complaint(a_run(request=a_request({"colour": "blue"}, sent=sent)), schema)
    assert ("colour" in (wrong or "")) if is_wrong else wrong is None


def test_a_model_says_what_it_does_not_take():
    sent = {"context": {"tone": 7}}
    assert "tone" in (complaint(a_run(request=a_request({"tone": 7}, sent=sent)), Model) or "")
    assert complaint(a_run(request=a_request({"tone": "loud"})), Model) is None
