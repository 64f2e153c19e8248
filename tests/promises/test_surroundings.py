"""Graphs that misbehave, a broken file, a full disk: one thread may suffer; the others, and the server, do not."""

import asyncio
import subprocess
import zlib
from contextlib import contextmanager
from uuid import uuid4

import pytest

from storage.checkpoints import FILES
from tests.server import serving
from tests.system.calls import create, join, read, wait
from tests.system.sse import names, parse
from tests.system.test_strategies import work

DISK = "48m"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bad")
    data = folder / "data"
    data.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "none", data], check=True)
    try:
        with serving(folder, "--warm", "2", "--max", "3", data=data) as server:
            yield server
    finally:
        subprocess.run(["umount", "--lazy", data], check=True)


def misbehaving(how, **given):
    return {"assistant_id": "misbehaving", "input": {"how": how, **given}}


@pytest.mark.parametrize("how", ["is killed", "forks", "closes", "is terminated"])
async def test_a_graph_that_ends_its_process_goes_on_in_another(http, thread_id, tmp_path, how):
    other = (await http.post("/threads", json={})).json()["thread_id"]
    beside = asyncio.create_task(wait(http, "", other, **work("beside", 1)))
    run_id = await create(http, "", thread_id, **misbehaving(how, once=str(tmp_path / "done")))
    assert (await asyncio.wait_for(join(http, thread_id, run_id), 45))["survived"]
    assert (await read(http, thread_id, run_id))["attempt"] == 2
    assert (await beside)["done"][-1] == "beside: ended"


async def test_a_graph_that_always_ends_its_process_has_failed_after_three_attempts(http, thread_id):
    run_id = await create(http, "", thread_id, **misbehaving("exits"))
    await asyncio.wait_for(join(http, thread_id, run_id), 50)
    run = await read(http, thread_id, run_id)
    assert (run["status"], run["error"]) == ("error", f"Run {run_id} exceeded max attempts (3)")
    assert (await wait(http, "", thread_id, **work("after")))["done"][-1] == "after: ended"


@pytest.mark.parametrize(
    ("how", "error"),
    [
        ("allocates", "MemoryError"),
        ("interrupts", "KeyboardInterrupt"),
        ("leaves", "SystemExit: I leave"),
        ("chatters", None),
        ("starves", None),
    ],
)
async def test_what_a_graph_does_to_its_process_is_its_own_fault_alone(http, thread_id, how, error):
    run_id = await create(http, "", thread_id, **misbehaving(how))
    answer = await asyncio.wait_for(join(http, thread_id, run_id), 30)
    run = await read(http, thread_id, run_id)
    assert run["attempt"] == 1
    if error is None:
        assert answer["survived"]
    else:
        assert (run["status"], error in str(answer["__error__"])) == ("error", True), answer
    assert (await wait(http, "", thread_id, **work("after")))["done"][-1] == "after: ended"


def a_thread_in(number):
    """The id of a new thread whose checkpoints and tape are in the files of that number."""
    while zlib.crc32((thread_id := str(uuid4())).encode()) % FILES != number:
        pass
    return thread_id


@contextmanager
def filled(folder):
    """Nothing more has room on the disk."""
    ballast = folder / "ballast"
    with ballast.open("wb", 0) as file:
        for size in (2**20, 4096, 1):
            try:
                while True:
                    file.write(b"0" * size)
            except OSError:
                pass
    try:
        yield
    finally:
        ballast.unlink()


async def test_a_full_disk_refuses_writes_and_loses_nothing(server, http, thread_id):
    await wait(http, "", thread_id, **work("before"))
    other = (await http.post("/threads", json={})).json()["thread_id"]
    under_way = await create(http, "", other, assistant_id="ticking", input={"seconds": 2})
    with filled(server.data):
        until_refused = []
        while not until_refused or until_refused[-1].is_success:  # pages that a log has already are written once more
            until_refused.append(await http.post("/threads", json={"metadata": {"long": "x" * 5_000}}))
        refused = until_refused.pop()
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        for path in (f"/threads/{thread_id}", f"/threads/{thread_id}/runs", f"/threads/{other}/runs/{under_way}"):
            assert (await http.get(path)).status_code == 200
        for made in until_refused:
            assert (await http.get(f"/threads/{made.json()['thread_id']}")).status_code == 200
        async with asyncio.timeout(20):
            while f"The end of run {under_way} waits" not in server.said():
                assert (await http.get("/ok")).is_success
        assert (await http.get(f"/threads/{other}/runs/{under_way}")).json()["status"] == "running"
    await asyncio.wait_for(join(http, other, under_way), 20)
    run = await read(http, other, under_way)
    assert run["status"] in {"success", "error"}
    assert run["attempt"] == 1
    for made in until_refused:
        assert (await http.get(f"/threads/{made.json()['thread_id']}")).status_code == 200
    assert (await wait(http, "", thread_id, **work("after")))["done"][-1] == "after: ended"
    assert (await wait(http, "", other, **work("after")))["done"][-1] == "after: ended"


async def test_a_broken_file_is_named_and_concerns_its_own_threads_only(server, http):
    broken, sound = a_thread_in(7), a_thread_in(6)
    for kind in ("checkpoints", "tapes"):
        for path in (server.data / kind).glob(f"{kind}-7.sqlite*"):
            path.unlink()
        (server.data / kind / f"{kind}-7.sqlite").write_bytes(b"garbage" * 1_000)
    for slot in server.actors("Slot"):  # one that has a file open still has it as it was
        slot.kill()
    run_id = await create(http, "", broken, **work("x"), if_not_exists="create")
    await asyncio.wait_for(join(http, broken, run_id), 30)
    run = await read(http, broken, run_id)
    assert run["status"] == "error"
    assert "checkpoints-7.sqlite" in run["error"]
    state = await http.get(f"/threads/{broken}/state")
    assert (state.status_code, "checkpoints-7.sqlite" in state.text) == (500, True)
    said = parse((await http.get(f"/threads/{broken}/runs/{run_id}/stream")).content)
    assert names(said)[-1] in {"end", "error"}
    assert (await wait(http, "", sound, **work("y"), if_not_exists="create"))["done"][-1] == "y: ended"
