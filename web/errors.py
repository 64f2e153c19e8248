"""The only place where a kind of error meets an HTTP status, and where each dialect has its texts."""

import logging
import re
from collections.abc import Callable, Mapping
from functools import partial
from http import HTTPStatus
from typing import Any

from litestar import Request, Response
from litestar.enums import ParamType
from litestar.exceptions import HTTPException, ValidationException
from litestar.types import ExceptionHandlersMap
from msgspec import Struct

from actors.errors import GraphError, LineFullError, RollbackFailedError, RunEndedError, ThreadBusyError
from storage.errors import (
    AssistantNotFoundError,
    ConflictError,
    DamagedError,
    InvalidError,
    NotFoundError,
    RunExistsError,
    RunNotFoundError,
    SenselessError,
    ServiceError,
    StaleError,
    ThreadExistsError,
    ThreadNotFoundError,
    TooLargeError,
    UnavailableError,
    UnsupportedError,
)
from storage.questions import TimeLimitError, TooManyQueriesError

STATUS: dict[type[ServiceError], int] = {
    NotFoundError: 404,
    ConflictError: 409,
    InvalidError: 422,
    UnsupportedError: 422,
    SenselessError: 400,
    GraphError: 424,
    LineFullError: 429,
    TooLargeError: 413,
    TimeLimitError: 408,
    TooManyQueriesError: 429,
    UnavailableError: 503,
    StaleError: 503,
}

RETRY_AFTER = {"Retry-After": "1"}
"""Seconds, with each 503 and 429: what restarts here is back in about so long, and a full line moves on."""

logger = logging.getLogger(__name__)

Texts = Mapping[type[ServiceError], str]
"""What a dialect says where an error's detail is only an id; `{}` stands for the id."""


class Problem(Struct, frozen=True):
    """The body of every error."""

    detail: Any


class Mistake(Struct, frozen=True):
    """What is wrong with a request, and where."""

    type: str
    loc: list[str | int]
    msg: str


Malformed = Callable[[list[Mistake]], Problem]


def wrong(field: str, message: str, source: str = "body") -> ValidationException:
    """To be raised for a field of the wrong form; `field` is its path, such as `config.tags[0]`."""
    return ValidationException("Validation failed", extra=[{"key": field, "message": message, "source": source}])


def mistakes(error: HTTPException) -> list[Mistake]:
    """What Litestar, or `wrong`, found."""
    if isinstance(error.extra, list):
        return [_mistake(**found) for found in error.extra]
    return [Mistake("json_invalid", ["body"], error.detail)]  # the body could not be read at all


def _mistake(message: str, key: str = "", source: ParamType | str = "body") -> Mistake:
    loc: list[str | int] = [source.value if isinstance(source, ParamType) else source]
    if (source, key) == ("body", "data"):  # Litestar's name for the body as a whole
        key = ""
        message = "A JSON body is required" if message == "'data'" else message
    loc += [int(step) if step.isdigit() else step for step in re.findall(r"[^.\[\]]+", key)]
    if missing := re.fullmatch(r"Object missing required field `(\w+)`", message):
        return Mistake("missing", [*loc, missing[1]], "Field required")
    return Mistake("type_error" if message.startswith("Expected") else "value_error", loc, message)


def _as_text(found: list[Mistake]) -> Problem:
    return Problem("; ".join(map(_sentence, found)))


def _sentence(mistake: Mistake) -> str:
    """A mistake's message, after its field if it does not begin with that itself."""
    field = ".".join(map(str, mistake.loc[1:]))
    return mistake.msg if mistake.msg.startswith(field) else f"{field}: {mistake.msg}"


def _as_list(found: list[Mistake]) -> Problem:
    return Problem(found)


def _of_ours(
    texts: Texts, malformed: Malformed, request: Request[Any, Any, Any], error: ServiceError
) -> Response[Problem]:
    status = next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)
    if status == HTTPStatus.INTERNAL_SERVER_ERROR and not isinstance(error, RollbackFailedError | DamagedError):
        return _unforeseen(request, error)
    text = texts.get(type(error), "{}").format(error)
    if isinstance(error, InvalidError | UnsupportedError):
        return Response(malformed([Mistake("value_error", ["body"], text)]), status_code=status)
    retry = RETRY_AFTER if isinstance(error, UnavailableError | StaleError) else {}
    return Response(Problem(text), status_code=status, headers=retry)


def _of_litestar(malformed: Malformed, request: Request[Any, Any, Any], error: HTTPException) -> Response[Problem]:
    if error.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return _unforeseen(request, error)
    if error.status_code == HTTPStatus.BAD_REQUEST:  # both dialects say 422 where Litestar does so
        return Response(malformed(mistakes(error)), status_code=422)
    return Response(Problem(error.detail), status_code=error.status_code, headers=error.headers)


def _unforeseen(request: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
    logger.error("%s %s failed", request.method, request.scope["path"], exc_info=error)
    return Response(Problem("Internal server error"), status_code=500)


def _always(status: int, text: str, _: Request[Any, Any, Any], __: Exception) -> Response[Problem]:
    return Response(Problem(text), status_code=status)


def _handlers(texts: Texts, malformed: Malformed) -> ExceptionHandlersMap:
    return {
        ServiceError: partial(_of_ours, texts, malformed),
        HTTPException: partial(_of_litestar, malformed),
        Exception: _unforeseen,
    }


PLATFORM = _handlers(
    {
        ThreadNotFoundError: "Thread with ID {} not found",
        RunNotFoundError: "Run not found",
        AssistantNotFoundError: "Assistant with ID {} not found",
        ThreadExistsError: "Thread with ID {} already exists",
        RunExistsError: "Run with ID {} already exists",
        ThreadBusyError: "Thread is already running a task. "
        "Wait for it to finish or choose a different multitask strategy.",
    },
    _as_text,
)

PLATFORM_CREATING: ExceptionHandlersMap = {
    ThreadNotFoundError: partial(_always, 404, "Thread or assistant not found."),
    AssistantNotFoundError: partial(_always, 404, "Thread or assistant not found."),
}
"""Where a run is created, which of the two is missing is not said."""

PLATFORM_CANCELLING: ExceptionHandlersMap = {
    ThreadNotFoundError: partial(_always, 404, "No runs found to cancel."),
    RunNotFoundError: partial(_always, 404, "No runs found to cancel."),
    RunEndedError: partial(
        _always,
        404,
        "No matching runs to cancel. Please verify the thread ID and run IDs are correct, "
        "and the runs haven't been deleted or completed.",
    ),
}

GATEWAY = _handlers(
    {
        ThreadNotFoundError: "Thread {} not found",
        RunNotFoundError: "Run {} not found",
        AssistantNotFoundError: "Assistant {} not found",
        ThreadExistsError: "Thread {} already exists",
        RunExistsError: "Run {} already exists",
        ThreadBusyError: "Thread {} already has an active run",
    },
    _as_list,
)
