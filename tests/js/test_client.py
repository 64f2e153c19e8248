"""The unmodified JavaScript SDK: each case of `client.test.mjs` against the real server."""

import pytest

from tests.js.node import cases, run_case


@pytest.mark.parametrize("case", cases("client.test.mjs"))
def test_the_javascript_client(server, modules, case):
    run_case("client.test.mjs", case, TREADLE_URL=server.url)
