"""`treadle usage`: what the usage page shows, as tables in the terminal."""

from datetime import UTC, datetime, timedelta
from typing import Any

from rich.console import Console

from storage.panels import PANELS, Panel
from storage.questions import Answer, Question
from web.asking import NobodyError, Place, RefusedError, asking
from web.sql import FAILED, NOBODY, complain, table_of, warn

TIMEOUT = 60.0
"""Seconds for each question."""

ONLY_FOR_THE_PAGE = "assistants"


def run(*, days: int, assistant: str | None, place: Place) -> int:
    """Ask, and print the answers; the exit status."""
    since = (datetime.now(UTC) - timedelta(days=days - 1)).date().isoformat()
    given = {"since": since, "until": None, "assistant_id": assistant}
    printer = Console(highlight=False)
    try:
        with asking(place, warn) as source:
            for panel in PANELS:
                if panel.name != ONLY_FOR_THE_PAGE:
                    _show(printer, panel, source.ask(_question(panel, given)))
    except RefusedError as error:
        return complain(str(error), FAILED)
    except NobodyError as error:
        return complain(str(error), NOBODY)
    return 0


def _question(panel: Panel, given: dict[str, Any]) -> Question:
    params = {name: value for name, value in given.items() if f"${name}" in panel.sql}
    return Question(sql=panel.sql, params=params, timeout_s=TIMEOUT)


def _show(printer: Console, panel: Panel, answer: Answer) -> None:
    if answer.row_count:
        printer.print(table_of(answer, panel.title))
