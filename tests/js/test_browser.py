"""`useStream` in a headless Chromium: each case of `browser.test.mjs` against the real server, across origins."""

import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.js.node import cases, node, run_case


@pytest.fixture(scope="session")
def page(modules, tmp_path_factory):
    """Where the page is served, built as its users build theirs."""
    folder = tmp_path_factory.mktemp("page")
    node("node_modules/vite/bin/vite.js", "build", "page", "--outDir", str(folder), "--emptyOutDir")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(folder))) as files:
        thread = threading.Thread(target=files.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{files.server_port}"
        files.shutdown()
        thread.join()


@pytest.mark.parametrize("case", cases("browser.test.mjs"))
def test_the_react_hook(server, page, chromium, case, tmp_path):
    picture = str(tmp_path / "page.png")
    run_case("browser.test.mjs", case, TREADLE_URL=server.url, PAGE_URL=page, CHROMIUM=chromium, PICTURE=picture)
    assert (tmp_path / "page.png").stat().st_size
