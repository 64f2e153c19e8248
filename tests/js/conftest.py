"""What the JavaScript tests stand on: Node, the packages of package.json, and a browser. `make test` installs them."""

import shutil

import pytest

from tests.js.node import HERE

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
def modules() -> None:
    """The packages are there; Node came with Python's."""
    assert (HERE / "node_modules" / ".installed").exists(), "The JavaScript tests need their packages: make javascript"


@pytest.fixture(scope="session")
def chromium() -> str:
    """Where the browser is."""
    found = next(filter(None, map(shutil.which, CHROMIUM)), None)
    assert found, "The browser tests need Chromium: apt-get install chromium"
    return found
