"""Little memory for what is said, one process for everybody, a disk that refuses: what is promised then."""

import asyncio
import json
import socket
import sqlite3
from contextlib import closing, contextmanager
from http.client import HTTPResponse
from itertools import pairwise
from urllib.parse import urlsplit

import pytest

from tests.server import serving
from tests.system.calls import cancel, create, join, read, stream, wait
from tests.system.sse import names, parse
from tests.system.test_strategies import done, work, working

LONG = {"assistant_id": "tokens", "input": {"messages": ["20000"]}, "stream_mode": "messages-tuple"}
"""What is said in it is more than is kept of a run, in memory and on the disk."""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hard")
    beats = {"TREADLE_PLATFORM_HEARTBEAT": "0.2", "TREADLE_GATEWAY_HEARTBEAT": "0.2"}
    with serving(folder, "--warm", "1", "--max", "1", TREADLE_TAPE_RUN_BYTES="100000", **beats) as server:
        yield server


@pytest.mark.parametrize("verb", ["stream", "join"])
async def test_a_run_that_is_not_due_is_a_heartbeat_now_and_then(http, prefix, thread_id, verb):
    run_id = await create(http, prefix, thread_id, **work("late", after_seconds=3600))
    path = f"{prefix}/threads/{thread_id}/runs/{run_id}/{verb}"
    beat = b": heartbeat\n\n" if prefix else b": heartbeat\r\n"
    async with http.stream("GET", path, headers={"accept": "application/json"}) as answer:
        chunks = answer.aiter_raw()
        assert [await anext(chunks) for _ in range(3)] == [b"\n" if verb == "join" else beat] * 3
        await cancel(http, prefix, thread_id, run_id)
        rest = b"".join([chunk async for chunk in chunks])
    if verb == "stream":
        assert names(parse(rest, prefix)) == ["end"]
    elif prefix:
        expected = {"status": "interrupted", "error": None, "values": None}
        assert {name: json.loads(rest)[name] for name in expected} == expected
    else:
        assert json.loads(rest) == {}


async def test_what_is_kept_no_longer_is_said_to_be_gone_and_the_rest_follows(http, prefix, thread_id):
    said = await stream(http, prefix, thread_id, **LONG)
    run_id = said[0].data["run_id"]
    path = f"{prefix}/threads/{thread_id}/runs/{run_id}/stream"
    gap, *rest = parse((await http.get(path, headers={"Last-Event-ID": said[1].id})).content, prefix)
    newest = parse((await http.get(f"/threads/{thread_id}/runs/{run_id}/stream")).content)[-1].id
    assert gap.name == "gap"
    assert gap.data == {
        "code": "stream_replay_gap",
        "run_id": run_id,
        "requested_event_id": said[1].id,
        "earliest_available_event_id": rest[0].id,
        "latest_available_event_id": newest,
        "recovery": "reload_durable_state",
    }
    assert rest == said[-len(rest) :]
    if prefix:
        assert gap.id is None
        assert parse((await http.get(path)).content, prefix) == rest, "who had nothing has lost nothing"
    assert (await read(http, thread_id, run_id))["status"] == "success"


async def test_a_reader_that_stops_holds_up_nobody_and_is_told_what_it_missed(server, http, prefix, thread_id):
    run_id = await create(http, prefix, thread_id, **LONG, after_seconds=1)
    path = f"{prefix}/threads/{thread_id}/runs/{run_id}/stream"
    with stopped(server, path) as reader:
        other = parse((await http.get(path)).content, prefix)
        assert (await read(http, thread_id, run_id))["status"] == "success"
        late = parse(await asyncio.to_thread(everything, reader), prefix)
    assert "gap" in names(late), "more was said than is kept for a client that does not read"
    for events in (other, late):
        assert events[-1].name == "end"
        in_order(events)


def in_order(events):
    """Nothing is missing, and nothing comes twice, but where a gap says so."""
    for before, after in pairwise([event for event in events if event.name == "gap" or event.id]):
        if "gap" not in {before.name, after.name}:
            assert after.seq == before.seq + 1
        elif before.name != "gap":
            assert after.data["requested_event_id"] == before.id
        elif after.name != "gap":  # else what was said to be there went before it could be read
            assert after.id == before.data["earliest_available_event_id"]


@contextmanager
def stopped(server, path):
    """A client that asks for a stream and reads nothing of it."""
    address = urlsplit(server.url)
    with socket.socket() as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader.connect((address.hostname, address.port))
        reader.sendall(f"GET {path} HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n".encode())
        yield reader


def everything(reader):
    reader.settimeout(60)
    with HTTPResponse(reader) as answer:
        answer.begin()
        return answer.read()


async def test_a_run_whose_process_dies_goes_on_and_after_three_deaths_it_has_failed(server, http, thread_id):
    await wait(http, "", thread_id, **work("before"))
    run_id = await create(http, "", thread_id, **work("x", 600))
    path, content, attempts = f"/threads/{thread_id}/runs/{run_id}/stream", b"", 0
    async with http.stream("GET", path) as answer:
        async for chunk in answer.aiter_raw():
            content += chunk
            if content.count(b"event: metadata") > attempts:
                attempts += 1
                await dies(server, http, thread_id, run_id, attempts)
    text = f"Run {run_id} exceeded max attempts (3)"
    failed = {"error": "RuntimeError", "message": text}
    ends = {"": [failed], "/api": [{"message": text, "name": "RuntimeError"}, None]}
    live = parse(content)
    assert [event.data["attempt"] for event in live if event.name == "metadata"] == [1, 2, 3]
    for door in ("", "/api"):  # what a process had said in its last moments may have gone with it
        events = live if not door else parse((await http.get(door + path)).content, door)
        assert [event.data for event in events[-len(ends[door]) :]] == ends[door]
        numbers = [event.seq for event in events if event.id]
        assert numbers == sorted(set(numbers))
    run = await read(http, thread_id, run_id)
    assert (run["status"], run["attempt"], run["error"]) == ("error", 3, text)
    assert (await join(http, thread_id, run_id))["__error__"] == failed
    assert (await wait(http, "", thread_id, **work("after")))["done"][-1] == "after: ended"


async def test_a_reader_who_comes_back_after_a_death_has_what_it_lacks_and_nothing_twice(
    server, http, prefix, thread_id
):
    ticking = {"assistant_id": "ticking", "input": {"seconds": 1}, "stream_mode": ["custom", "values"]}
    run_id = await create(http, prefix, thread_id, **ticking)
    path, content = f"{prefix}/threads/{thread_id}/runs/{run_id}/stream", b""
    async with http.stream("GET", path) as answer:
        async for chunk in answer.aiter_raw():
            content += chunk
            if content.count(b"event: custom") == 10:
                break
    await dies(server, http, thread_id, run_id, 1)
    third = parse(content, prefix)[2]
    during = parse((await http.get(path, headers={"Last-Event-ID": third.id})).content, prefix)
    after = parse((await http.get(path, headers={"Last-Event-ID": third.id})).content, prefix)
    whole = parse((await http.get(path)).content, prefix)
    assert [event.data["attempt"] for event in whole if event.name == "metadata"] == [1, 2]
    assert during == after == whole[3:]


@pytest.mark.parametrize("action", ["interrupt", "rollback"])
async def test_a_run_that_lost_its_process_and_waits_for_another_ends_as_it_is_asked(
    server, http, thread_id, new_id, action
):
    before = await wait(http, "", thread_id, **work("before"))
    run_id = await working(http, "", thread_id, "x")
    other = await create(http, "/api", new_id, **work("other", 600))
    while not is_on_disk(server, run_id):
        pass
    await dies(server, http, thread_id, run_id, 1)
    while (await read(http, new_id, other))["status"] != "running":
        pass  # it has waited for longer, and has the only process
    path = f"/api/threads/{thread_id}/runs/{run_id}"
    reading = asyncio.create_task(http.get(f"{path}/stream"))
    answer = await http.post(f"{path}/cancel", params={"wait": "1", "action": action})
    assert answer.status_code == 204
    run, thread = await read(http, thread_id, run_id), (await http.get(f"/threads/{thread_id}")).json()
    kept = {"interrupt": ["x: begun"], "rollback": []}[action]
    assert run["status"] == {"interrupt": "interrupted", "rollback": "error"}[action]
    assert thread["status"] == {"interrupt": "interrupted", "rollback": "idle"}[action]
    assert await done(http, "", thread_id) == before["done"] + kept
    assert (await reading).content == (await http.get(f"{path}/stream")).content
    assert names(parse((await reading).content, "/api"))[:2] == ["metadata", "values"]
    await cancel(http, "", new_id, other)
    assert (await wait(http, "", thread_id, **work("after")))["done"][len(before["done"] + kept)] == "after: begun"


def is_on_disk(server, run_id):
    """Whether anything that the run has said can be read again when its process is gone."""
    for path in server.data.glob("tapes/*.sqlite"):
        with closing(sqlite3.connect(path, timeout=30)) as db:
            if db.execute("SELECT 1 FROM chunks WHERE run_id = ?", (run_id,)).fetchone():
                return True
    return False


async def dies(server, http, thread_id, run_id, attempt):
    """Have the only process die in which graphs run, once the start of the attempt is written down."""
    while (await read(http, thread_id, run_id))["attempt"] < attempt:
        pass
    for process in server.actors("Slot"):
        process.kill()


@contextmanager
def refusing(server):
    """Nothing can be written down."""
    with closing(sqlite3.connect(server.data / "treadle.duckdb.journal", timeout=30)) as db:
        with db:
            db.execute("CREATE TRIGGER refuse BEFORE INSERT ON entries BEGIN SELECT raise(ABORT, 'full'); END")
        try:
            yield
        finally:
            with db:
                db.execute("DROP TRIGGER refuse")


@pytest.mark.parametrize("strategy", ["interrupt", "rollback"])
async def test_a_run_that_cannot_be_admitted_is_503_and_leaves_the_old_one_alone(
    server, http, prefix, thread_id, strategy
):
    first = await working(http, prefix, thread_id)
    path, body = f"{prefix}/threads/{thread_id}/runs", work("second", multitask_strategy=strategy)
    with refusing(server):
        for verb in ("", "/stream", "/wait"):
            refused = await http.post(path + verb, json=body)
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert (await http.post(f"{path}/{first}/cancel")).status_code == 503, "a wish that is not kept is none"
        assert (await read(http, thread_id, first))["status"] == "running"
    [run] = (await http.get(path)).json()
    assert run["run_id"] == first
    assert (await cancel(http, prefix, thread_id, first)).is_success
    assert (await wait(http, prefix, thread_id, **body))["done"][:2] == ["first: begun", "second: begun"]
