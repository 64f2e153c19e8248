"""Whatever a graph says, as JSON."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage
from langgraph.types import Interrupt, Send
from pydantic import BaseModel

from actors.encoding import encode, kept_text, message_fields


class Model(BaseModel):
    x: int = 1


@dataclass
class Data:
    model: Model


class Broken:
    def dict(self):
        raise RuntimeError("no")


LOOP: list = []
LOOP.append(LOOP)

TABLE = {
    "NaN": (float("nan"), None),
    "infinity": ([float("inf"), -float("inf")], [None, None]),
    "NUL": ("a\0b", "a\ufffdb"),
    "an escaped NUL is no NUL": ("\\u0000", "\\u0000"),
    "a backslash before NUL": ("\\\0", "\\\ufffd"),
    "set": ({1}, [1]),
    "uuid": (UUID(int=7), "00000000-0000-0000-0000-000000000007"),
    "path": (Path("/a/b"), "/a/b"),
    "bytes": (b"hi", "aGk="),
    "decimal": (Decimal("1.5"), 1.5),
    "pydantic": (Model(), {"x": 1}),
    "dataclass": (Data(Model()), {"model": {"x": 1}}),
    "timedelta": (timedelta(seconds=90), 90.0),
    "datetime": (datetime(2026, 11, 22, tzinfo=UTC), "2026-11-22T00:00:00+00:00"),
    "naive datetime": (datetime(2026, 11, 22), "2026-11-22T00:00:00+00:00"),  # noqa: DTZ001 - what users have
    "send": (Send("node", {"a": 1}), {"node": "node", "args": {"a": 1}}),
    "interrupt": (Interrupt(value=1, id="i"), {"value": 1, "id": "i", "response_schema": None}),
    "exception": (ValueError("no"), "ValueError('no')"),
    "unknown": ([1, object(), 2], [1, None, 2]),
    "a class": (Model, None),
    "its own method fails": (Broken(), None),
    "big integers": (2**80, 2**80),
    "odd keys": ({1: "a", (1, 2): "b", None: "c"}, {"1": "a", "(1, 2)": "b", "null": "c"}),
    "half a surrogate": ("\ud800", "?"),
}


@pytest.mark.parametrize(("value", "expected"), TABLE.values(), ids=TABLE.keys())
def test_the_table(value, expected):
    assert json.loads(encode(value)) == expected


def test_a_value_that_contains_itself_ends():
    assert json.loads(encode({"ok": 1, "loop": LOOP}))["ok"] == 1


def test_what_cannot_be_written_is_named(caplog):
    encode({"handle": object()})
    assert "A object cannot be written as JSON" in caplog.text


@pytest.mark.parametrize(
    "message",
    [
        HumanMessage("hi", id="1", name="ann"),
        AIMessage("", tool_calls=[{"name": "t", "args": {"a": 1}, "id": "c", "type": "tool_call"}]),
        AIMessageChunk(content="x", usage_metadata={"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}),
        ToolMessage("x", tool_call_id="c", artifact={"a": 1}),
        AIMessage("x", extra="kept"),
    ],
)
def test_a_message_is_written_as_langchain_dumps_it(message):
    assert message_fields(message) == message.model_dump()
    assert json.loads(encode(message)) == message.model_dump(mode="json")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON)
def test_plain_json_stays_as_it_is(value):
    encoded = encode(value)
    assert b"\n" not in encoded
    expected = json.loads(json.dumps(value).replace("\\u0000", "\\ufffd")) if "\\\\" not in json.dumps(value) else None
    if expected is not None:
        assert json.loads(encoded) == json.loads(json.dumps(expected).encode("utf-8", "replace"))


@pytest.mark.parametrize(("given", "text"), [("ä\N{GRINNING FACE}", "ä\N{GRINNING FACE}"), ("\ud83d!", "?!"), (7, "7")])
def test_any_text_can_be_kept(given, text):
    assert kept_text(given) == text
