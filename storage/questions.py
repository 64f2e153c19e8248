"""What users may ask in SQL, and how much of it. Imports nothing of ours but errors."""

from enum import StrEnum
from typing import Any

from msgspec import Struct

from storage.errors import SenselessError, ServiceError, TooLargeError, UnavailableError

LARGEST_TEXT = 64 * 1024
"""Bytes of a query."""

LARGEST_ANSWER = 32 * 2**20
"""Bytes."""

MOST_ROWS = 1_000_000

LONGEST = 60.0
"""Seconds."""


class Format(StrEnum):
    JSON = "json"
    CSV = "csv"
    ARROW = "arrow"


class Question(Struct, frozen=True, kw_only=True):
    """A query that somebody asks."""

    sql: str
    params: list[Any] | dict[str, Any] | None = None
    """For `?` and `$1`, or for `$name`."""
    format: Format = Format.JSON
    max_rows: int = 10_000
    timeout_s: float = 10.0
    explain: bool = False
    """Whether to tell how it would be answered."""

    def check(self) -> None:
        """Raises TooLargeError, and SenselessError for what is no text."""
        try:
            size = len(self.sql.encode())
        except UnicodeEncodeError:
            raise SenselessError("The query is not valid Unicode") from None
        if size > LARGEST_TEXT:
            raise TooLargeError(f"The query is longer than {LARGEST_TEXT // 1024} KiB")


class Answer(Struct, frozen=True, kw_only=True):
    """The body, in the form that was asked for, and what it says of itself."""

    body: bytes
    row_count: int
    truncated: bool
    """Whether there were more rows than were asked for."""


class TimeLimitError(ServiceError):
    """The query took longer than it may."""


class TooManyQueriesError(UnavailableError):
    """As many queries wait as may wait. Ask again in a moment."""
