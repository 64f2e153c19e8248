"""The shapes of what each dialect answers."""

import json
from datetime import datetime, timedelta, timezone

import msgspec
import pytest
from litestar.exceptions import ValidationException

from storage.records import Durability, Failure, RunRequest, RunStatus
from tests.factories import NOON, a_run, a_thread, an_assistant
from web.gateway import schemas as gateway
from web.platform import schemas as platform
from web.settings import Settings
from web.shapes import failure_in, moment

SECRET = Failure("DatabaseError", "password is hunter2")


def as_json(shape):
    return json.loads(msgspec.json.encode(shape))


def test_moments_are_in_utc_with_offset_and_microseconds():
    there = datetime(2026, 11, 22, 14, 0, 0, tzinfo=timezone(timedelta(hours=2)))
    assert moment(there) == "2026-11-22T12:00:00.000000+00:00"


def test_an_assistant_of_the_platform():
    shape = as_json(platform.assistant(an_assistant()))
    assert shape == {
        "assistant_id": "a1",
        "graph_id": "agent",
        "config": {},
        "context": {},
        "metadata": {},
        "name": "agent",
        "description": None,
        "version": 1,
        "created_at": moment(NOON),
        "updated_at": moment(NOON),
    }


def test_a_thread_of_the_platform_has_its_values_as_they_were_read():
    shape = as_json(platform.thread(a_thread(error=SECRET), b'{"n":1.50}', mask_errors=False))
    assert shape == {
        "thread_id": "t1",
        "created_at": moment(NOON),
        "updated_at": moment(NOON),
        "state_updated_at": None,
        "status": "idle",
        "metadata": {},
        "config": {},
        "values": {"n": 1.5},
        "interrupts": {},
        "error": {"error": "DatabaseError", "message": "password is hunter2"},
    }


def test_a_run_of_the_platform_shows_what_it_was_asked_to_do():
    request = RunRequest(input={"a": 1}, config={"tags": ["t"], "configurable": {"m": 1}}, durability=Durability.EXIT)
    record = a_run(run_id="r1", request=request)
    shape = as_json(platform.run(record))
    assert set(shape) == {
        *("run_id", "thread_id", "assistant_id", "created_at", "updated_at", "status"),
        *("metadata", "kwargs", "multitask_strategy", "cancel_reason"),
    }
    assert shape["kwargs"] == {
        "input": {"a": 1},
        "command": None,
        "config": {
            "tags": ["t"],
            "configurable": {"m": 1, "run_id": "r1", "thread_id": "t1", "graph_id": "agent", "assistant_id": "a1"},
        },
        "context": {},
        "stream_mode": ["values"],
        "interrupt_before": None,
        "interrupt_after": None,
        "webhook": None,
        "feedback_keys": None,
        "temporary": False,
        "subgraphs": False,
        "resumable": False,
        "checkpoint_during": False,
        "durability": "exit",
    }


def test_a_run_of_the_gateway_has_its_fourteen_fields():
    sent = {
        "assistant_id": "research",
        "metadata": {"tab": 2},
        "multitask_strategy": "enqueue",
        "on_disconnect": "continue",
    }
    record = a_run(run_id="r1", request=RunRequest(input={"a": 1}, sent=sent), metadata={"tab": 2, "more": 1})
    assert as_json(gateway.run(record, mask_errors=False)) == {
        "run_id": "r1",
        "thread_id": "t1",
        "assistant_id": "research",
        "status": "pending",
        "metadata": {"tab": 2},
        "kwargs": {"input": {"a": 1}, "config": None, "on_disconnect": "continue"},
        "multitask_strategy": "enqueue",
        "created_at": moment(NOON),
        "updated_at": moment(NOON),
        "error": None,
        "attempt": 0,
        "total_input_tokens": 0,
        "total_output_tokens": 0,
        "total_tokens": 0,
    }


def test_errors_are_masked_wherever_they_are_told():
    record = a_run(status=RunStatus.ERROR, error=SECRET)
    told = [
        platform.thread(a_thread(error=SECRET), b"null", mask_errors=True),
        gateway.run(record, mask_errors=True),
        gateway.outcome(record, None, mask_errors=True),
        platform.Outcome(failure_in(record, mask=True)),
    ]
    for shape in told:
        assert b"hunter2" not in msgspec.json.encode(shape)


def test_a_failed_wait_of_the_gateway_says_how_and_what_was_reached():
    record = a_run(status=RunStatus.TIMEOUT, error=Failure("TimeoutError", "too long"))
    assert as_json(gateway.outcome(record, b'{"a":1}', mask_errors=False)) == {
        "status": "timeout",
        "error": "too long",
        "values": {"a": 1},
        "__error__": {"error": "TimeoutError", "message": "too long"},
    }


def test_a_cancelled_wait_of_the_gateway_has_no_error_of_its_own():
    record = a_run(status=RunStatus.INTERRUPTED, cancel_reason="enough")
    assert as_json(gateway.outcome(record, None, mask_errors=False)) == {
        "status": "interrupted",
        "error": None,
        "values": None,
        "__error__": {"error": "UserInterrupt", "message": "enough"},
    }


def test_only_the_fields_asked_for_are_shown():
    shapes = [platform.assistant(an_assistant())]
    assert platform.selected(shapes, platform.Assistant, ["name"]) == [{"name": "agent"}]
    assert platform.selected(shapes, platform.Assistant, []) == shapes
    with pytest.raises(ValidationException):
        platform.selected([], platform.Assistant, ["nome"])


def test_settings_are_read_from_the_environment():
    settings = Settings.from_env({"TREADLE_BODY_LIMIT": "10", "TREADLE_MASK_ERRORS": "true", "TREADLE_ODD": "1"})
    assert settings == Settings(body_limit=10, mask_errors=True)


def test_a_wrong_setting_is_refused_by_name():
    with pytest.raises(msgspec.ValidationError, match="body_limit"):
        Settings.from_env({"TREADLE_BODY_LIMIT": "much"})
