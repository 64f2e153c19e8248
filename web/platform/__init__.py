"""The Platform dialect: what langgraph_sdk, its JavaScript twin and useStream speak.

All of it is served at `/`. Under `/api` runs belong to the gateway dialect, and the rest is the same.
"""

from litestar import Router

from web import errors
from web.platform.assistants import AssistantController
from web.platform.cancelling import CancelController
from web.platform.creation import CreationController
from web.platform.runs import RunController
from web.platform.stateless import StatelessController
from web.platform.states import StateController
from web.platform.threads import ThreadController

ROUTERS = [
    Router(
        "/",
        route_handlers=[
            AssistantController,
            ThreadController,
            StateController,
            CreationController,
            RunController,
            CancelController,
            StatelessController,
        ],
        exception_handlers=errors.PLATFORM,
        tags=["Platform"],
    ),
    Router(
        "/api",
        route_handlers=[AssistantController, ThreadController, StateController, CancelController, StatelessController],
        exception_handlers=errors.PLATFORM,
        tags=["Platform, under /api"],
    ),
]
