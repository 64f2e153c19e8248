"""What handlers may ask for by name."""

from typing import Annotated, Any

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.di import NamedDependency, Provide
from litestar.handlers import BaseRouteHandler
from litestar.params import HeaderParameter, SkipValidation
from msgspec import Struct

from actors.runtime import Runtime
from web.answers import LongAnswers
from web.errors import wrong
from web.settings import Settings


class Gate(Struct, frozen=True):
    """One gateway: what it asks, how it is set, and its answers under way."""

    runtime: Runtime
    settings: Settings
    answers: LongAnswers


TheGate = NamedDependency[SkipValidation[Gate]]
AnyRequest = Request[Any, Any, Any]
LastEventId = Annotated[str | None, HeaderParameter(name="Last-Event-ID")]


def provide_gate(state: State) -> Gate:
    return state.gate


PROVIDERS = {"gate": Provide(provide_gate, sync_to_thread=False)}


def no_idempotency_key(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """A guard: a client that sends a key relies on it, so it is told that nobody would look at it."""
    if "idempotency-key" in connection.headers:
        raise wrong("Idempotency-Key", "Idempotency-Key is not supported yet", "header")
