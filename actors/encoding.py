"""Whatever a graph says, as JSON: encode what can be, null for what cannot, and say in the log what that was.

The rules are those of `spec/platform.md` §2.4: NaN is null, U+0000 is U+FFFD, sets are lists, bytes are base64,
a timedelta is seconds, pydantic models and dataclasses are objects, a `Send` is `{"node", "args"}`.
"""

import base64
import dataclasses
import json
import logging
import math
import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from decimal import Decimal
from pathlib import PurePath
from typing import Any

import orjson
from langchain_core.messages import BaseMessage
from langgraph.types import Send
from pydantic import BaseModel

logger = logging.getLogger(__name__)

OPTIONS = orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NAIVE_UTC
DEEPEST = 200
"""Levels of nesting; what lies deeper is null. Also the end of values that contain themselves."""

_NUL = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")


def encode(value: Any) -> bytes:
    """One line of JSON. Never raises on account of the value."""
    try:
        encoded = orjson.dumps(value, _simpler, OPTIONS)
    except (TypeError, ValueError, RecursionError) as error:
        logger.info("A value needs the slow way to JSON: %s", error)
        encoded = json.dumps(_plain(value, 0), ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    return _NUL.sub(rb"\1\\ufffd", encoded) if rb"\u0000" in encoded else encoded


def kept_text(value: Any) -> str:
    """A text that any column takes: what is no Unicode (half a surrogate pair, for one) is a question mark."""
    return str(value).encode("utf-8", "replace").decode()


def message_fields(message: BaseMessage) -> dict[str, Any]:
    """What `model_dump` gives for a message, without its cost: its fields are plain already."""
    return {**message.__dict__, **(message.__pydantic_extra__ or {})}


def _simpler(value: Any) -> Any:  # noqa: C901, PLR0911 - one case for each kind of value
    """The next simpler form of what orjson does not know."""
    match value:
        case BaseMessage():
            return message_fields(value)
        case BaseModel():
            return value.model_dump()
        case Send():
            return {"node": value.node, "args": value.arg}
        case bytes() | bytearray() | memoryview():
            return base64.b64encode(value).decode()
        case set() | frozenset():
            return list(value)
        case tuple() if hasattr(value, "_asdict"):
            return list(value)
        case timedelta():
            return value.total_seconds()
        case Decimal():
            return float(value)
        case PurePath():
            return str(value)
        case BaseException():
            return repr(value)
        case Mapping():
            return dict(value)
        case _:
            return _by_attributes(value)


def _by_attributes(value: Any) -> Any:
    """Objects that say how they want to be written, else null."""
    for name in ("model_dump", "dict", "_asdict", "tolist"):
        method = getattr(value, name, None)
        if callable(method) and not isinstance(value, type):
            try:
                return method()
            except Exception as error:  # noqa: BLE001 - the method is the user's, and may do anything
                logger.warning("%s.%s() failed: %r", type(value).__qualname__, name, error)
    if isinstance(value, Iterable) and not isinstance(value, type) and hasattr(value, "__len__"):
        return list(value)
    logger.warning("A %s cannot be written as JSON; null stands in its place", type(value).__qualname__)
    return None


def _plain(value: Any, depth: int) -> Any:  # noqa: PLR0911 - one case for each kind of value
    """A tree of what the standard encoder takes, for values that orjson gives up on as a whole."""
    if depth > DEEPEST:
        logger.warning("A value is nested more than %s levels deep, or contains itself; null ends it", DEEPEST)
        return None
    match value:
        case None | bool() | int():
            return value
        case float():
            return value if math.isfinite(value) else None
        case str():
            return value.encode("utf-8", "replace").decode()
        case Mapping():
            return {_plain_key(key): _plain(item, depth + 1) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_plain(item, depth + 1) for item in value]
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return {f.name: _plain(getattr(value, f.name), depth + 1) for f in dataclasses.fields(value)}
        case _:
            return _plain(_once(value), depth + 1)


def _plain_key(key: Any) -> str:
    match key:
        case str():
            return key.encode("utf-8", "replace").decode()
        case None | bool() | int() | float():
            return json.dumps(key)
        case _:
            return str(key)


def _once(value: Any) -> Any:
    """Through orjson if it takes this value alone, else its simpler form."""
    try:
        return orjson.loads(orjson.dumps(value, option=OPTIONS))
    except (TypeError, ValueError, RecursionError):
        return _simpler(value)
