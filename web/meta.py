"""What the server says about itself."""

from importlib.metadata import version

from litestar import Controller, Response, get
from msgspec import Struct

from web.dependencies import AnyRequest

VERSION = version("treadle")


class Alive(Struct, frozen=True):
    ok: bool = True


class Info(Struct, frozen=True):
    version: str
    langgraph_py_version: str
    flags: dict[str, bool]
    """What of the protocol this server has."""
    host: dict[str, str]


INFO = Info(
    version=VERSION,
    langgraph_py_version=version("langgraph"),
    flags={"assistants": True, "crons": False, "langsmith": False, "strict_resume": False},
    host={"kind": "self-hosted"},
)


class MetaController(Controller):
    path = "/"
    tags = ["Server"]

    @get(["/", "/ok"])
    async def ok(self) -> Alive:
        """The server is ready."""
        return Alive()

    @get("/info")
    async def info(self) -> Info:
        """Versions, and what of the protocol this server has."""
        return INFO


@get("/openapi.json", include_in_schema=False)
async def openapi(request: AnyRequest) -> Response[dict[str, object]]:
    schema = request.app.openapi_schema.to_schema()
    return Response(schema, media_type="application/vnd.oai.openapi+json")
