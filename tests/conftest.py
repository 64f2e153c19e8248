"""Fixtures for every test: one real server for the session, with a pool of four, and its users' clients."""

from collections.abc import AsyncGenerator, Generator
from uuid import uuid4

import httpx
import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient

from tests.server import Treadle, serving


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Generator[Treadle]:
    folder = tmp_path_factory.mktemp("treadle")
    with serving(
        folder,
        "--warm",
        "4",
        "--max",
        "4",
        TREADLE_BODY_LIMIT="1000000",
        TREADLE_CANCEL_GRACE="2",
        TREADLE_DEMO_PACE="0",
    ) as server:
        yield server


@pytest.fixture
async def http(server: Treadle) -> AsyncGenerator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
        yield client


@pytest.fixture(params=["", "/api"], ids=["platform", "gateway"])
def prefix(request: pytest.FixtureRequest) -> str:
    """Where each dialect is mounted."""
    return request.param


@pytest.fixture
async def sdk(server: Treadle) -> AsyncGenerator[LangGraphClient]:
    async with get_client(url=server.url) as client:
        yield client


@pytest.fixture
async def thread_id(http: httpx.AsyncClient) -> str:
    """A thread that exists."""
    return (await http.post("/threads", json={})).json()["thread_id"]


@pytest.fixture
def new_id() -> str:
    """The id of a thread that does not exist."""
    return str(uuid4())
