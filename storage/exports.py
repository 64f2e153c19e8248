"""What an export asks for: the days that there are, and the rows of a day page by page.

It is asked as users ask, so that whoever has the database open opens no other file for it, and there is one place where
it is decided who may see what. A row that comes between two pages is found by the next export, for the day's state has
changed then.
"""

from datetime import date
from typing import Any

from msgspec import Struct

from storage import texts
from storage.questions import LONGEST, MOST_ROWS, Format, Question

SCHEMA_VERSION = 1
"""Of the files. Columns are only added, and then it grows."""

_SQL = texts.load("exports")


class Exported(Struct, frozen=True):
    """A table that is exported by day."""

    name: str
    id: str
    at: str
    """The column of time that says to which day a row belongs; it and the id of a row never change."""


TABLES = (Exported("model_calls", "call_id", "started_at"), Exported("runs", "run_id", "queued_at"))


def days(table: Exported, since: date | None, until: date | None) -> Question:
    """`(day, state)` of each day that has rows, from `since` to `until`, which is included."""
    given = {"since": since and since.isoformat(), "until": until and until.isoformat()}
    return Question(sql=_SQL[f"days_of_{table.name}"], params=given, max_rows=MOST_ROWS, timeout_s=LONGEST)


def page(table: Exported, day: str, last: tuple[str, str] | None, count: int) -> Question:
    """The next `count` rows of a day, after the `last` one's time and id."""
    at, after = last or (None, None)
    given: dict[str, Any] = {"day": day, "at": at, "after": after, "count": count}
    return Question(
        sql=_SQL[f"page_of_{table.name}"],
        params=given,
        format=Format.ARROW,
        max_rows=count,
        timeout_s=LONGEST,
    )
