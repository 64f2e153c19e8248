"""The usage page: static files, and the questions that it asks at `/analytics/query` as anybody can."""

from importlib.util import find_spec
from pathlib import Path

from litestar import Controller, get
from litestar.datastructures import ResponseHeader
from litestar.enums import MediaType
from litestar.response import File

from actors.runtime import Panel
from web.dependencies import TheGate

HERE = Path(__file__).parent
POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Nothing comes from another host. The charts set the style of what they draw."""

ONLY_FROM_HERE = ResponseHeader(name="Content-Security-Policy", value=POLICY)
KEPT_A_DAY = {"Cache-Control": "max-age=86400"}


class UsageController(Controller):
    path = "/usage"
    include_in_schema = False

    @get(
        "/", media_type=MediaType.HTML, response_headers=[ResponseHeader(name="Content-Security-Policy", value=POLICY)]
    )
    async def page(self) -> str:
        return (HERE / "page.html").read_text(encoding="utf-8")

    @get("/page.css", media_type="text/css")
    async def style(self) -> str:
        return (HERE / "page.css").read_text(encoding="utf-8")

    @get("/page.js", media_type="text/javascript")
    async def script(self) -> str:
        return (HERE / "page.js").read_text(encoding="utf-8")

    @get("/plotly.js")
    async def plotly(self) -> File:
        """From its package: it is found, and never imported."""
        return File(
            _plotly(),
            media_type="text/javascript",
            content_disposition_type="inline",
            headers={"Cache-Control": "max-age=86400"},
        )

    @get("/panels")
    async def panels(self, gate: TheGate) -> list[Panel]:
        """The questions, in the order in which they are shown."""
        return gate.runtime.panels


def _plotly() -> Path:
    spec = find_spec("plotly")
    assert spec is not None, "it is installed with Treadle"
    assert spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0]) / "package_data" / "plotly.min.js"
