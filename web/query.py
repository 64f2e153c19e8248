"""How query strings are read: lists in three forms, booleans in many, and an empty value is not given."""

from collections.abc import Iterable
from typing import Annotated, Any

import msgspec
from litestar import Request
from litestar.params import QueryParameter

from web.errors import wrong

TRUE = frozenset({"true", "1", "yes", "on"})
FALSE = frozenset({"false", "0", "no", "off"})

Flag = Annotated[str | None, QueryParameter(description="`true` or `false`, `1` or `0`, `yes` or `no`")]
Names = Annotated[list[str] | None, QueryParameter(description="Repeated, separated by commas, or a JSON array")]


async def drop_empty(request: Request[Any, Any, Any]) -> None:
    """Before anything reads the query: SDKs send `limit=` for what their caller did not give."""
    if query := request.scope["query_string"]:
        request.scope["query_string"] = b"&".join(pair for pair in query.split(b"&") if pair.partition(b"=")[2])


def flag(name: str, value: str | None) -> bool:
    """A boolean of the query; False if it is not given."""
    match (value or "false").lower():
        case text if text in TRUE:
            return True
        case text if text in FALSE:
            return False
        case _:
            raise wrong(name, f"Expected a boolean, got {value!r}", "query")


def names(name: str, values: Iterable[str] | None) -> list[str]:
    """A list of the query: `a=x&a=y`, `a=x,y` or `a=["x","y"]`."""
    return [found for value in values or () for found in _split(name, value)]


def commas(values: Iterable[str] | None) -> list[str]:
    """A list of the query in which no form but `a=x,y` means anything."""
    return [found for value in values or () for part in value.split(",") if (found := part.strip())]


def refuse_query(**given: object) -> None:
    """Refuse parameters whose work this server cannot do yet."""
    for name, value in given.items():
        if value:
            raise wrong(name, f"{name} is not supported yet", "query")


def _split(name: str, value: str) -> list[str]:
    if not value.startswith("["):
        return commas([value])
    try:
        return msgspec.json.decode(value, type=list[str])
    except msgspec.DecodeError as error:
        raise wrong(name, f"Expected a JSON array of strings, got {value!r}", "query") from error
