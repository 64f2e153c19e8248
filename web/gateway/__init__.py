"""The gateway dialect: paths, defaults, texts and shapes of the deer-flow gateway, under `/api/threads`."""

from litestar import Router

from web import errors
from web.gateway.creation import CreationController
from web.gateway.feedback import FeedbackController
from web.gateway.log import LogController
from web.gateway.runs import RunController

ROUTER = Router(
    "/api/threads",
    route_handlers=[CreationController, RunController, LogController, FeedbackController],
    exception_handlers=errors.GATEWAY,
    tags=["Gateway"],
)
