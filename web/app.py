"""The whole web server, given a way to open the runtime it serves."""

import resource
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

import uvicorn
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

BROKEN_OFF_WITHIN = 3
"""Seconds that open answers have to end once they have been told to."""

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


KEPT_ALIVE = 75
"""Seconds that a connection stays open between two requests: longer than those in front of us keep theirs (60, mostly),
so that no request is sent on a connection that is just being closed."""


OWN_FILES = 256
"""Files that a gateway may need beside those of its clients: links to the processes of threads, webhooks, its own."""


def uvicorn_config(app: Litestar, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http="httptools",
        loop="uvloop",
        lifespan="on",
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=BROKEN_OFF_WITHIN,
        timeout_keep_alive=KEPT_ALIVE,
        backlog=2048,
        limit_concurrency=settings.max_connections or most_connections(),
    )


def most_connections() -> int | None:
    """As many as this process may have files open, but for its own: without these, no client could be served."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return None if most == resource.RLIM_INFINITY else max(1, most - OWN_FILES)


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
