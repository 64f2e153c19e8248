"""The whole web server, given a way to open the runtime it serves."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

from litestar import Litestar, Router
from litestar.config.cors import CORSConfig
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import SwaggerRenderPlugin
from litestar.types import Message, Scope

from actors.runtime import Runtime
from storage.records import Dialect
from web import dependencies, errors, gateway, platform, query
from web.analytics import AnalyticsController
from web.answers import LongAnswers
from web.dependencies import Gate
from web.gateway import schemas as gateway_schemas
from web.meta import VERSION, MetaController, openapi
from web.platform import schemas as platform_schemas
from web.pricing import PricesController
from web.settings import Settings
from web.stopping import Stopping
from web.usage import UsageController
from web.webhook_rules import WebhookRules
from web.webhooks import Shape, Webhooks

OpenRuntime = Callable[[], AbstractAsyncContextManager[Runtime]]

EXPOSED = [
    "Content-Location",
    "Location",
    "X-Pagination-Total",
    "X-Pagination-Next",
    "X-Request-Id",
    "X-Row-Count",
    "X-Truncated",
]
"""Headers that a page of another origin may read: without them a browser can take up no stream again."""


def create_app(open_runtime: OpenRuntime, settings: Settings, stopping: Stopping | None = None) -> Litestar:
    """`stopping` is for the server that runs the app, to say when it stops: see `web.stopping.Server`."""
    return Litestar(
        route_handlers=[
            *platform.ROUTERS,
            gateway.ROUTER,
            MetaController,
            PricesController,
            AnalyticsController,
            Router("/api", route_handlers=[MetaController, AnalyticsController], include_in_schema=False),
            UsageController,
            openapi,
        ],
        dependencies=dependencies.PROVIDERS,
        exception_handlers=errors.PLATFORM,
        before_request=query.drop_empty,
        before_send=[echo_request_id],
        lifespan=[partial(_serving, open_runtime, settings, stopping or Stopping())],
        request_max_body_size=settings.body_limit,
        cors_config=CORSConfig(expose_headers=EXPOSED),
        openapi_config=OpenAPIConfig(
            "Treadle",
            VERSION,
            path="/docs",
            render_plugins=[SwaggerRenderPlugin(path="/")],
            use_handler_docstrings=True,
        ),
        logging_config=None,
    )


async def echo_request_id(message: Message, scope: Scope) -> None:
    """Say which request this answers, if the client gave it a name."""
    if message["type"] == "http.response.start":
        named = [header for header in scope["headers"] if header[0] == b"x-request-id"]
        message["headers"] = [*message["headers"], *named]


@asynccontextmanager
async def _serving(
    open_runtime: OpenRuntime, settings: Settings, stopping: Stopping, app: Litestar
) -> AsyncGenerator[None, None]:
    async with open_runtime() as runtime:
        answers, webhooks = LongAnswers(stopping), _webhooks(runtime, settings)
        app.state.gate = Gate(runtime, settings, answers, webhooks)
        webhooks.open()
        yield
        await answers.settled()
        await webhooks.close()


def _webhooks(runtime: Runtime, settings: Settings) -> Webhooks:
    closed = not settings.webhook_allow_local
    rules = WebhookRules(disable_loopback=closed, disable_private_ips=closed)
    shapes: dict[Dialect, Shape] = {
        Dialect.PLATFORM: partial(platform_schemas.told_of, mask_errors=settings.mask_errors),
        Dialect.GATEWAY: partial(gateway_schemas.run, mask_errors=settings.mask_errors),
    }
    return Webhooks(runtime, rules, shapes)
