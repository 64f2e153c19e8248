"""The usage page in a headless Chromium: each case of `usage.test.mjs` against the real server."""

import pytest

from tests.js.node import cases, run_case


@pytest.mark.parametrize("case", cases("usage.test.mjs"))
def test_the_usage_page(server, modules, chromium, case, tmp_path):
    run_case("usage.test.mjs", case, TREADLE_URL=server.url, CHROMIUM=chromium, PICTURES=str(tmp_path))
    assert all(picture.stat().st_size for picture in tmp_path.iterdir())
