"""What no process of ours needs is in none: there may be many slots."""

import pytest


@pytest.mark.parametrize("kind", ["Slot", "Directory"])  # the ledger has them once somebody asks for an Arrow answer
def test_tables_that_nobody_sends_take_no_memory(server, kind):
    processes = server.actors(kind)
    assert processes
    for process in processes:
        assert not [place.path for place in process.memory_maps() if "pyarrow" in place.path]
