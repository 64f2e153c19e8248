"""Any gateway serves any thread, none of them matters, and what one has begun goes on at another."""

import asyncio
import signal
import subprocess
from contextlib import asynccontextmanager, contextmanager, suppress
from itertools import cycle
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import psutil
import pytest
from langgraph_sdk import get_client

from tests.promises.test_shutdown import left_of
from tests.promises.test_webhooks import listening
from tests.server import GRAPHS, command, free_port, ray_of, server_has_moved, serving
from tests.system.calls import HELLO, create, join, read, stream, wait
from tests.system.proxy import broken
from tests.system.sse import parse

SOON = 20
POOL = ("--warm", "2", "--max", "2")
ENV = {"TREADLE_WEBHOOK_ALLOW_LOCAL": "1", "TREADLE_DEMO_PACE": "0.02"}


@contextmanager
def joining(server, folder, *options, **env):
    """A second command, with gateways of its own for the same threads."""
    with serving(folder, "--address", ray_of(server), *options, verb="serve", data=server.data, **ENV, **env) as joined:
        yield joined


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The one that has started Ray; it has one gateway."""
    with serving(tmp_path_factory.mktemp("first"), *POOL, "--workers", "1", verb="serve", **ENV) as server:
        yield server


@pytest.fixture(scope="module")
def other(server, tmp_path_factory):
    """The one that has joined; it has two gateways."""
    with joining(server, tmp_path_factory.mktemp("other"), "--workers", "2") as other:
        yield other


@pytest.fixture
async def elsewhere(other):
    async with httpx.AsyncClient(base_url=other.url, timeout=60) as client:
        yield client


def work(word="x", seconds=0.0, **more):
    return {"assistant_id": "working", "input": {"word": word, "seconds": seconds}, **more}


TALK = {"assistant_id": "tokens", "input": {"messages": ["20000"]}, "stream_mode": "messages-tuple"}
STEPS = ["x: begun", "x: worked", "x: ended"]


async def test_a_run_is_the_same_at_another_gateway(http, elsewhere, prefix, thread_id):
    run_id = await create(http, prefix, thread_id, **work(seconds=0.2))
    await join(elsewhere, thread_id, run_id)
    for path in (f"{prefix}/threads/{thread_id}/runs/{run_id}", f"/threads/{thread_id}", f"/threads/{thread_id}/state"):
        here, there = await http.get(path), await elsewhere.get(path)
        assert here.status_code == there.status_code == 200
        assert here.json() == there.json()


async def test_a_run_is_joined_and_waited_for_at_another_gateway(http, elsewhere, prefix, thread_id):
    run_id = await create(http, prefix, thread_id, **work(seconds=0.5, stream_mode="updates"))
    path = f"{prefix}/threads/{thread_id}/runs/{run_id}"
    streamed, joined = await asyncio.gather(elsewhere.get(f"{path}/stream"), join(elsewhere, thread_id, run_id))
    assert joined["done"] == STEPS
    assert parse(streamed.content, prefix)[-1].name == "end"
    assert streamed.content == (await http.get(f"{path}/stream")).content
    next_one = await wait(elsewhere, prefix, thread_id, **work())
    assert next_one["done"] == STEPS + STEPS


async def test_a_run_is_cancelled_at_another_gateway(http, elsewhere, prefix, thread_id):
    run_id = await create(http, prefix, thread_id, **work(seconds=60))
    answer = await elsewhere.post(f"{prefix}/threads/{thread_id}/runs/{run_id}/cancel", params={"wait": "1"})
    assert answer.status_code == (204 if prefix else 200)
    assert (await read(http, thread_id, run_id))["status"] == "interrupted"


async def test_a_run_is_cancelled_by_a_gateway_that_saw_its_thread_elsewhere(http, elsewhere, prefix, thread_id):
    await wait(elsewhere, prefix, thread_id, **work())  # in a slot, which others take now
    async with busy_slots(http):
        run_id = await create(http, prefix, thread_id, **work(seconds=60))
        assert (await read(http, thread_id, run_id))["status"] == "pending"
        answer = await elsewhere.post(f"{prefix}/threads/{thread_id}/runs/{run_id}/cancel", params={"wait": "1"})
        assert answer.status_code == (204 if prefix else 200)
        assert (await read(http, thread_id, run_id))["status"] == "interrupted"


@asynccontextmanager
async def busy_slots(http):
    """Both slots are taken by other threads."""
    runs = []
    for _ in range(2):
        thread_id = (await http.post("/threads", json={})).json()["thread_id"]
        runs.append((thread_id, await create(http, "", thread_id, **work(seconds=60))))
        while (await read(http, *runs[-1]))["status"] != "running":
            pass
    yield
    for thread_id, run_id in runs:
        await http.post(f"/threads/{thread_id}/runs/{run_id}/cancel", params={"wait": "1"})


async def test_a_stream_that_is_cut_after_each_part_is_whole_over_alternating_gateways(
    http, elsewhere, prefix, thread_id
):
    body = {"assistant_id": "ticking", "input": {"seconds": 1}, "stream_mode": ["custom", "values"]}
    path = f"{prefix}/threads/{thread_id}/runs/{await create(http, prefix, thread_id, **body)}/stream"
    seen = []
    for gateway in cycle((http, elsewhere)):
        event = await next_event(gateway, path, prefix, seen[-1].id if seen else "-1")
        seen.append(event)
        if event.id is None or event.name == "end":
            break
    whole = parse((await http.get(path, headers={"Last-Event-ID": "-1"})).content, prefix)
    assert seen == whole
    assert len(seen) > 20


async def next_event(gateway, path, prefix, cursor):
    """The event after `cursor`; then the client hangs up."""
    said = b""
    async with gateway.stream("GET", path, headers={"Last-Event-ID": cursor}) as answer:
        async for chunk in answer.aiter_bytes():
            said += chunk
            whole = said[: said.rfind(b"\n\n" if prefix else b"\r\n\r\n") + (2 if prefix else 4)]
            if events := parse(whole, prefix):
                return events[0]
    raise AssertionError(f"{path} ended after {cursor}, and said {said!r}")


@pytest.mark.parametrize(("prefix", "number"), [("", signal.SIGKILL), ("/api", signal.SIGTERM)], ids=str)
async def test_the_end_of_a_gateway_cancels_nothing(http, other, elsewhere, prefix, thread_id, number):  # noqa: PLR0917, PLR0913
    gateways = other.gateways()
    assert len(gateways) == 2
    path = f"{prefix}/threads/{thread_id}/runs/stream"
    async with elsewhere.stream("POST", path, json=work(seconds=2, on_disconnect="cancel")) as answer:
        said = answer.aiter_bytes()
        events = parse(await anext(said), prefix)
        for gateway in gateways:
            gateway.send_signal(number)
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            assert [chunk async for chunk in said if b"event: end" in chunk] == []
    assert (await join(http, thread_id, events[0].data["run_id"]))["done"] == STEPS
    assert (await read(http, thread_id, events[0].data["run_id"]))["attempt"] == 1
    while len(now := other.gateways()) < 2 or set(now) & set(gateways):
        server_has_moved(other)


async def test_a_stopped_gateway_holds_up_nobody_and_goes_on_when_it_is_woken(http, other, elsewhere, prefix):
    """What it streams is more than fits in between; its threads, and their slots, are wanted by others."""
    threads = [(await http.post("/threads", json={})).json()["thread_id"] for _ in range(2)]
    readers = [asyncio.create_task(stream(elsewhere, prefix, one, **TALK)) for one in threads]
    gateways = other.gateways()
    for thread_id in threads:
        while not (await http.get(f"/threads/{thread_id}/runs")).json():
            pass
    for gateway in gateways:
        gateway.suspend()
    for thread_id in threads:
        [run] = (await http.get(f"/threads/{thread_id}/runs")).json()
        await join(http, thread_id, run["run_id"])
        assert (await wait(http, prefix, thread_id, **TALK | {"input": {"messages": ["1"]}}))["messages"][-1]
    for _ in range(4):  # for them the slots have to be left
        assert (await wait(http, prefix, str(uuid4()), **work(if_not_exists="create")))["done"] == STEPS
    for gateway in gateways:
        gateway.resume()
    for thread_id, reader in zip(threads, readers, strict=True):
        said, run = await reader, (await http.get(f"/threads/{thread_id}/runs")).json()[-1]
        path = f"{prefix}/threads/{thread_id}/runs/{run['run_id']}/stream"
        assert said == parse((await http.get(path)).content, prefix)
        assert len(said) > 20_000


FEW_FILES = ("prlimit", "--nofile=300:300")
"""For a gateway, of which half are for its clients, and an eighth for those that it refuses."""


@pytest.fixture(scope="module")
def small(server, tmp_path_factory):
    """A gateway that may have few files open."""
    with joining(server, tmp_path_factory.mktemp("small"), "--workers", "1", under=FEW_FILES) as small:
        yield small


async def test_a_gateway_with_few_files_serves_as_many_as_it_has_and_refuses_the_others(small, http, prefix, thread_id):
    run_id = await create(http, prefix, thread_id, **work(seconds=3, stream_mode="updates"))
    path = f"{prefix}/threads/{thread_id}/runs/{run_id}/stream"
    answers = await asyncio.gather(*(anew(small, path) for _ in range(400)))
    kept = parse((await http.get(path)).content, prefix)
    served = [answer for answer in answers if answer and answer.status_code == 200]
    assert [parse(answer.content, prefix) for answer in served] == [kept] * 150
    refused = [answer for answer in answers if answer and answer.status_code == 503]
    assert refused, "and the others were hung up on"
    assert {answer.headers["Retry-After"] for answer in refused} == {"1"}
    assert {answer.json()["detail"] for answer in refused} == {"There is no room for more connections here"}
    assert (await anew(small, path)).status_code == 200, "there is room again"
    assert small.said().count("no room for more") == 1
    assert "Traceback" not in small.said()


async def test_connections_that_ask_for_nothing_do_no_harm(small, http, prefix, thread_id):
    run_id = await create(http, prefix, thread_id, **work(seconds=3, stream_mode="updates"))
    path = f"{prefix}/threads/{thread_id}/runs/{run_id}/stream"
    place = urlsplit(small.url)
    async with httpx.AsyncClient(base_url=small.url, timeout=60) as reader:
        async with reader.stream("GET", path) as stream:
            idle = [await asyncio.open_connection(place.hostname, place.port) for _ in range(400)]
            refused = await anew(small, path)
            said = await stream.aread()
        assert (await wait(reader, prefix, str(uuid4()), **work(if_not_exists="create")))["done"] == STEPS
    assert refused is None or refused.status_code == 503
    assert small.gateways()[0].num_fds() < 300
    assert parse(said, prefix) == parse((await http.get(path)).content, prefix)
    for _, writer in idle:
        writer.close()
    while not (answer := await anew(small, path)) or answer.status_code == 503:
        pass  # until it has noticed
    assert answer.status_code == 200


async def test_a_gateway_has_no_more_connections_than_it_is_told(server, http, tmp_path, thread_id):
    room = {"TREADLE_MAX_CONNECTIONS": "10"}
    with joining(server, tmp_path, "--workers", "1", **room) as full:
        run_id = await create(http, "", thread_id, **work(seconds=2))
        answers = await asyncio.gather(*(anew(full, f"/threads/{thread_id}/runs/{run_id}/stream") for _ in range(30)))
        assert sorted(answer.status_code for answer in answers if answer) == [200] * 10 + [503] * 20


async def anew(server, path):
    """The answer on a connection of its own, which is closed then; None if it is hung up on."""
    async with httpx.AsyncClient(base_url=server.url, timeout=60, verify=False) as one:  # no certificates are loaded
        with suppress(httpx.TransportError):
            return await one.get(path, headers={"Connection": "close"})


async def test_requests_go_on_while_a_gateway_is_replaced(other, thread_id):
    killed = other.gateways()[0]
    said = other.said().count("is started again")
    killed.kill()
    killed.wait(SOON)
    while len(other.gateways()) < 2 or other.said().count("is started again") == said:
        async with httpx.AsyncClient(base_url=other.url, timeout=60) as new:  # which is a new connection
            assert (await new.get(f"/threads/{thread_id}")).status_code == 200
    assert "Gateway 1 ended with SIGKILL, and is started again." in other.said()


async def test_the_sdk_goes_on_at_another_gateway_when_one_is_stopped(server, sdk, tmp_path, thread_id):
    with joining(server, tmp_path, "--workers", "1") as leaving:
        family, parts = leaving.family(), []
        async with broken(leaving.url, server.url) as (url, _), get_client(url=url) as client:
            async for part in client.runs.stream(thread_id, "chat", input=HELLO, stream_mode=["values", "messages"]):
                parts.append(part)
                if len(parts) == 5:
                    leaving.process.terminate()
        assert leaving.process.wait(SOON) == 0
        assert leaving.said().splitlines()[-1] == "Stopped. What was under way goes on without these gateways."
        assert left_of(family) == []
    run_id = parts[0].data["run_id"]
    assert parts[-1].event == "end"
    assert "Traceback" not in leaving.said()
    assert [part.event for part in parts].count("reconnect") == 1
    said = [part for part in parts if part.event != "reconnect"]
    assert said == [part async for part in sdk.runs.join_stream(thread_id, run_id)]
    assert {part.data["attempt"] for part in said if part.event == "metadata"} == {1}


async def test_ten_requests_at_both_gateways_make_one_run(http, elsewhere, prefix, thread_id):
    path, headers = f"{prefix}/threads/{thread_id}/runs", {"Idempotency-Key": str(uuid4())}
    body = work(seconds=0.2, multitask_strategy="enqueue")
    answers = await asyncio.gather(*(one.post(path, json=body, headers=headers) for one in (http, elsewhere) * 5))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["run_id"] for answer in answers}) == 1
    assert len((await elsewhere.get(path)).json()) == 1


async def test_a_webhook_is_called_once_whichever_gateway_goes(server, other, thread_id):
    """The first gateway is killed in the end: it was there first, so it was its turn to call."""
    with listening(other.url) as listener:
        for url in [server.url, other.url] * 2:
            await make_and_see_called(url, thread_id, listener)
        [first] = server.gateways()
        first.kill()
        await make_and_see_called(other.url, thread_id, listener)
        assert listener.calls.empty()


async def make_and_see_called(url, thread_id, listener):
    async with httpx.AsyncClient(base_url=url, timeout=60) as new:  # which is a new connection
        run_id = await create(new, "", thread_id, **work(webhook=listener.url))
    told, seen, _ = await asyncio.to_thread(listener.calls.get, timeout=SOON)
    assert (told["run_id"], seen["status"]) == (run_id, "success")


def refusal(*arguments):
    """The line that a command says which does not serve."""
    asked = command("serve", "--config", GRAPHS, "--port", str(free_port()), *arguments)
    ended = subprocess.run(asked, capture_output=True, text=True, timeout=SOON, check=False)
    assert ended.returncode == 2
    [line] = ended.stderr.splitlines()
    return line


def test_what_cannot_be_joined_is_said_in_a_line(server, tmp_path):
    http = server.url.removeprefix("http://")
    assert f"There is no Ray at {http} on this machine" in refusal("--address", http)
    assert "served with another --data or --max" in refusal(
        "--address", ray_of(server), "--data", tmp_path, "--max", "3"
    )


def test_what_was_acknowledged_is_done_after_ray_and_all_who_joined_it_were_killed(server, other):
    """The last test, because it takes the servers of the others."""
    answer = httpx.post(f"{other.url}/api/threads/t/runs", json=work(seconds=2), timeout=60)
    run_id = answer.raise_for_status().json()["run_id"]
    family = [*server.family(), *other.family()]
    survivors = [*server.gateways(), *other.family()]  # they have to notice
    for process in set(family) - set(survivors):
        with suppress(psutil.NoSuchProcess):  # Ray's own go when those above them have gone
            process.kill()
    assert other.process.wait(SOON) == 1
    assert left_of(family) == []
    [line] = [line for line in other.said().splitlines() if line.startswith("treadle: ")]
    assert line == f"treadle: Ray at {ray_of(server)} has ended, and with it what was served here."
    with serving(server.log.parent, *POOL, "--workers", "1", verb="serve") as again:
        joined = httpx.get(f"{again.url}/threads/t/runs/{run_id}/join", timeout=60)
        assert joined.json()["done"] == STEPS
        run = httpx.get(f"{again.url}/api/threads/t/runs/{run_id}").json()
        assert (run["status"], run["attempt"]) == ("success", 2)
