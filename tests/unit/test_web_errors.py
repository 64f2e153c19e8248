"""Kinds of error and what clients are told of them, in both dialects."""

import pytest
from litestar import Litestar, get, post
from litestar.params import FromQuery, JSONBody
from litestar.testing import TestClient
from msgspec import Struct

from actors.errors import GraphError, LineFullError, RunEndedError, ThreadBusyError
from storage.errors import (
    AssistantNotFoundError,
    ConflictError,
    InvalidError,
    NotFoundError,
    RunExistsError,
    RunNotFoundError,
    SenselessError,
    ServiceError,
    StaleError,
    ThreadExistsError,
    ThreadNotFoundError,
    UnavailableError,
    UnsupportedError,
)
from web import errors
from web.errors import wrong

BUSY = "Thread is already running a task. Wait for it to finish or choose a different multitask strategy."


class Body(Struct):
    count: int
    tags: list[str] = []


def answer_to(error, handlers):
    """What a client gets whose handler raises `error`."""

    @get("/")
    async def fail() -> None:
        raise error

    with TestClient(Litestar([fail], exception_handlers=handlers, logging_config=None)) as client:
        return client.get("/")


@pytest.mark.parametrize(
    ("error", "status", "platform", "gateway"),
    [
        (ThreadNotFoundError("t1"), 404, "Thread with ID t1 not found", "Thread t1 not found"),
        (RunNotFoundError("r1"), 404, "Run not found", "Run r1 not found"),
        (AssistantNotFoundError("a1"), 404, "Assistant with ID a1 not found", "Assistant a1 not found"),
        (NotFoundError("Checkpoint c1 not found"), 404, "Checkpoint c1 not found", "Checkpoint c1 not found"),
        (ThreadExistsError("t1"), 409, "Thread with ID t1 already exists", "Thread t1 already exists"),
        (RunExistsError("r1"), 409, "Run with ID r1 already exists", "Run r1 already exists"),
        (ThreadBusyError("t1"), 409, BUSY, "Thread t1 already has an active run"),
        (ConflictError("{odd}"), 409, "{odd}", "{odd}"),
        (SenselessError("no"), 400, "no", "no"),
        (GraphError("no"), 424, "no", "no"),
    ],
)
def test_a_kind_has_a_status_and_each_dialect_its_text(error, status, platform, gateway):
    for handlers, text in ((errors.PLATFORM, platform), (errors.GATEWAY, gateway)):
        answer = answer_to(error, handlers)
        assert (answer.status_code, answer.json()) == (status, {"detail": text})


@pytest.mark.parametrize(
    ("error", "status"), [(UnavailableError("later"), 503), (LineFullError("later"), 429), (StaleError("later"), 503)]
)
@pytest.mark.parametrize("handlers", [errors.PLATFORM, errors.GATEWAY])
def test_what_may_be_tried_again_says_when(error, status, handlers):
    answer = answer_to(error, handlers)
    assert (answer.status_code, answer.json()) == (status, {"detail": "later"})
    assert int(answer.headers["retry-after"]) > 0


@pytest.mark.parametrize("error", [InvalidError("odd"), UnsupportedError("odd")])
def test_what_is_malformed_is_a_text_here_and_a_list_there(error):
    assert answer_to(error, errors.PLATFORM).json() == {"detail": "odd"}
    answer = answer_to(error, errors.GATEWAY)
    assert answer.status_code == 422
    assert answer.json() == {"detail": [{"type": "value_error", "loc": ["body"], "msg": "odd"}]}


@pytest.mark.parametrize("error", [KeyError("secret"), ServiceError("secret")])
def test_a_fault_of_ours_is_logged_and_not_told(error, caplog):
    answer = answer_to(error, errors.GATEWAY)
    assert (answer.status_code, answer.json()) == (500, {"detail": "Internal server error"})
    assert "secret" in caplog.text


@pytest.mark.parametrize("error", [ThreadNotFoundError("t1"), AssistantNotFoundError("a1")])
def test_where_a_run_is_created_either_may_be_missing(error):
    answer = answer_to(error, {**errors.PLATFORM, **errors.PLATFORM_CREATING})
    assert (answer.status_code, answer.json()) == (404, {"detail": "Thread or assistant not found."})


def test_a_run_that_cannot_be_cancelled_is_not_found():
    handlers = {**errors.PLATFORM, **errors.PLATFORM_CANCELLING}
    assert answer_to(RunNotFoundError("r1"), handlers).json() == {"detail": "No runs found to cancel."}
    ended = answer_to(RunEndedError(), handlers)
    assert ended.status_code == 404
    assert ended.json()["detail"].startswith("No matching runs to cancel. Please verify")


def answer_with(handlers, content, query=""):
    """What a client gets who sends that body."""

    @post("/")
    async def take(data: JSONBody[Body], limit: FromQuery[int] = 1) -> None: ...

    with TestClient(
        Litestar([take], exception_handlers=handlers, request_max_body_size=99, logging_config=None)
    ) as client:
        return client.post(f"/{query}", content=content, headers={"content-type": "application/json"})


@pytest.mark.parametrize(
    ("content", "kind", "loc"),
    [
        pytest.param(b"", "value_error", ["body"], id="no body"),
        pytest.param(b"{bad", "json_invalid", ["body"], id="no JSON"),
        pytest.param(b"{", "json_invalid", ["body"], id="half of it"),
        pytest.param(b"[]", "type_error", ["body"], id="no object"),
        pytest.param(b"{}", "missing", ["body", "count"], id="a field missing"),
        pytest.param(b'{"count":"x"}', "type_error", ["body", "count"], id="a wrong type"),
        pytest.param(b'{"count":1,"tags":[1]}', "type_error", ["body", "tags", 0], id="a wrong type inside"),
    ],
)
def test_a_malformed_body_is_422_and_says_where(content, kind, loc):
    assert answer_with(errors.PLATFORM, content).status_code == 422
    assert isinstance(answer_with(errors.PLATFORM, content).json()["detail"], str)
    answer = answer_with(errors.GATEWAY, content)
    [mistake] = answer.json()["detail"]
    assert (answer.status_code, mistake["type"], mistake["loc"]) == (422, kind, loc)


def test_a_malformed_query_says_so():
    answer = answer_with(errors.GATEWAY, b'{"count":1}', "?limit=x")
    assert answer.json()["detail"][0]["loc"] == ["query", "limit"]


def test_a_body_that_is_too_large_is_413():
    answer = answer_with(errors.GATEWAY, b" " * 100)
    assert answer.status_code == 413
    assert isinstance(answer.json()["detail"], str)


def test_a_text_about_a_field_names_it_once():
    assert answer_to(wrong("ttl", "ttl is odd"), errors.PLATFORM).json() == {"detail": "ttl is odd"}
    assert answer_to(wrong("a.b[0]", "odd"), errors.PLATFORM).json() == {"detail": "a.b.0: odd"}
