"""SQL about everything that is kept: `POST /analytics/query`, the same for both dialects.

This is the one way to the database for those who ask over HTTP, so a permission is to be checked here and nowhere else.
There is none yet: a query sees the rows of all users.
"""

from typing import Annotated, Any

from litestar import Controller, Response, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import JSONBody
from msgspec import Meta, Struct

from storage.questions import LONGEST, MOST_ROWS, Answer, Format, Question
from web.bodies import strictly
from web.dependencies import AnyRequest, TheGate
from web.errors import Problem

MEDIA_TYPES = {
    Format.JSON: "application/json",
    Format.CSV: "text/csv",
    Format.ARROW: "application/vnd.apache.arrow.stream",
}


class Query(Struct, frozen=True):
    """A SELECT, and how to answer it."""

    sql: str
    params: list[Any] | dict[str, Any] | None = None
    """For `?` and `$1`, or for `$name`."""
    format: Format | None = None
    """Unset, the Accept header decides, and else it is JSON."""
    max_rows: Annotated[int, Meta(ge=1, le=MOST_ROWS)] = 10_000
    timeout_s: Annotated[float, Meta(gt=0, le=LONGEST)] = 10.0
    explain: bool = False
    """Tell how it would be answered."""


class AnalyticsController(Controller):
    path = "/analytics"
    tags = ["Analytics"]

    @post(
        "/query",
        status_code=200,
        responses={
            status: ResponseSpec(Problem, description=about)
            for status, about in {
                400: "The query is refused, or fails",
                408: "It took too long",
                413: "It is too long, or needs too much memory, or its answer is too large",
                429: "Too many queries wait",
            }.items()
        },
    )
    async def query(self, data: JSONBody[Query], request: AnyRequest, gate: TheGate) -> Response[bytes]:
        """Ask in SQL (DuckDB's). One SELECT, which sees one moment of all runs, model calls and conversations."""
        query, _ = await strictly(request, data)
        question = Question(
            sql=query.sql,
            params=query.params,
            format=query.format or accepted(request.headers.get("accept", "")),
            max_rows=query.max_rows,
            timeout_s=query.timeout_s,
            explain=query.explain,
        )
        return _response(question.format, await gate.answers.promptly(gate.runtime.ask(question)))


def accepted(accept: str) -> Format:
    """The first of our forms that an Accept header names; JSON if it names none."""
    formats = {media_type: form for form, media_type in MEDIA_TYPES.items()}
    named = (part.partition(";")[0].strip().lower() for part in accept.split(","))
    return next((formats[name] for name in named if name in formats), Format.JSON)


def _response(form: Format, answer: Answer) -> Response[bytes]:
    about = {"X-Row-Count": str(answer.row_count), "X-Truncated": str(answer.truncated).lower()}
    return Response(answer.body, media_type=MEDIA_TYPES[form], headers=about)
