"""Whom the command line asks: the server that runs, or the database itself when none does."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from http import HTTPStatus
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import httpx
from msgspec import Struct, structs

from storage.errors import ServiceError, TooLargeError
from storage.questions import Answer, Question

URL = "http://127.0.0.1:2024"
DATA = Path(".treadle")

SLACK = 30.0
"""Seconds for a query to wait for its turn, and its answer to travel, beyond the time that it may take itself."""


class RefusedError(Exception):
    """What was asked is refused, or failed; the message is for the user."""


class BusyError(RefusedError):
    """Too many ask; it may be asked again in a moment."""


class TooLargeRefusalError(RefusedError):
    """The answer is too large; less may be asked for."""


class NobodyError(Exception):
    """There is nobody to ask; the message is for the user."""


class Source(Protocol):
    def ask(self, question: Question) -> Answer: ...


class Place(Struct, frozen=True):
    """Where to ask, as the command line says it."""

    url: str | None
    data: Path | None


@contextmanager
def asking(place: Place, say: Callable[[str], object]) -> Generator[Source, None, None]:
    """A server that answers; the database in the data folder where none does. Raises NobodyError.

    Whoever names a folder means that one, and whoever names a server that one.
    """
    if place.url or not place.data:
        server = Server(place.url or URL)
        if server.answers():
            yield server
            return
        if place.url and not place.data:
            raise NobodyError(f"No server answers at {place.url}")
    with _offline(place.data or DATA, say) as source:
        yield source


class Server:
    """`POST /analytics/query` of a server."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")

    def answers(self) -> bool:
        """Whether anybody listens there; if it is somebody else, that is said when it is asked."""
        try:
            httpx.get(f"{self._url}/ok", timeout=5)
        except httpx.HTTPError:
            return False
        return True

    def ask(self, question: Question) -> Answer:
        try:
            said = httpx.post(
                f"{self._url}/analytics/query",
                json={**structs.asdict(question), "format": question.format.value},
                timeout=question.timeout_s + SLACK,
            )
        except httpx.HTTPError as error:
            raise NobodyError(f"The server at {self._url} went away: {error}") from None
        if said.status_code != HTTPStatus.OK:
            raise _refusal(self._url, said)
        return Answer(
            body=said.content,
            row_count=int(said.headers["x-row-count"]),
            truncated=said.headers["x-truncated"] == "true",
        )


_REFUSALS: dict[int, type[RefusedError]] = {413: TooLargeRefusalError, 429: BusyError}


class _Offline:
    def __init__(self, source: Any) -> None:
        self._source = source

    def ask(self, question: Question) -> Answer:
        try:
            return self._source.ask(question)
        except TooLargeError as error:
            raise TooLargeRefusalError(str(error)) from None
        except ServiceError as error:
            raise RefusedError(str(error)) from None


@contextmanager
def _offline(data: Path, say: Callable[[str], object]) -> Generator[Source, None, None]:
    try:
        source = import_module("storage.offline").Offline(data)  # brings DuckDB along, which asking a server needs not
    except ServiceError as error:
        raise NobodyError(f"No server was asked. {error}") from None
    try:
        if source.missing:
            say(f"The last moment is missing: {source.missing}")
        yield _Offline(source)
    finally:
        source.close()


def _refusal(url: str, said: httpx.Response) -> Exception:
    try:
        detail = said.json()["detail"]
    except (ValueError, TypeError, KeyError):
        detail = None
    if said.status_code == HTTPStatus.NOT_FOUND or detail is None:
        return NobodyError(f"What answers at {url} is no Treadle that can be asked in SQL (HTTP {said.status_code})")
    return _REFUSALS.get(said.status_code, RefusedError)(str(detail))
