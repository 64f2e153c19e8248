"""Whoever stops Treadle loses nothing: what can end does, and the rest waits for the next start.

Readers hear the end, or that they are to come back, and then their streams are broken rather than ended.
"""

import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from uuid import uuid4

import duckdb
import httpx
import psutil
import pytest
from langgraph_sdk import get_sync_client

from tests.server import Treadle, free_port, serving
from tests.system.calls import HELLO

GONE_WITHIN = 10
DONE_WITHIN = 60
POOL = ("--warm", "4", "--max", "4")
GRACE = {"TREADLE_CANCEL_GRACE": "2"}
BUSY, CHAT, BLOCKED, SHORT = (str(uuid4()) for _ in range(4))


def left_of(family: list[psutil.Process], timeout: float = GONE_WITHIN) -> list[psutil.Process]:
    """Those that live on; what has ended and waits to be reaped by a parent of ours does not."""
    _, alive = psutil.wait_procs([process for process in family if process.is_running()], timeout=timeout)
    return [process for process in alive if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]


@contextmanager
def stopping(server: Treadle, send: Callable[[], None]) -> Generator[None]:
    """What can be done while it stops; in the end, every process is gone."""
    family = server.family()
    assert len(family) > 5, "the server, Ray's daemons, the directory, the ledger and the slots"
    send()
    yield
    assert server.process.wait(GONE_WITHIN) == 0
    assert left_of(family) == []
    assert "Traceback" not in server.said()


def ctrl_c(server: Treadle) -> None:
    """What a terminal does: the whole process group hears it."""
    os.killpg(server.process.pid, signal.SIGINT)


class Reader:
    """Somebody who reads a stream in a thread of its own."""

    def __init__(self, pool: ThreadPoolExecutor, read: Callable[["Reader"], None]) -> None:
        self.said: list = []
        self.has_begun = threading.Event()
        self.ended: Future[None] = pool.submit(read, self)

    def hear(self, what: object) -> None:
        self.said.append(what)
        self.has_begun.set()


def reading(url: str, thread_id: str, **body: object) -> Callable[[Reader], None]:
    """Create a run, and read the lines of its stream."""

    def read(reader: Reader) -> None:
        with httpx.stream("POST", f"{url}/api/threads/{thread_id}/runs/stream", json=body, timeout=60) as answer:
            for line in answer.iter_lines():
                reader.hear(line)

    return read


def chatting(url: str) -> Callable[[Reader], None]:
    """The Python SDK reads a reply of some seconds."""

    def read(reader: Reader) -> None:
        given = {"input": HELLO, "config": {"configurable": {"pace": 0.3}}, "if_not_exists": "create"}
        with get_sync_client(url=url) as client:
            for part in client.runs.stream(CHAT, "chat", stream_mode=["values", "messages-tuple"], **given):
                reader.hear(part)

    return read


@contextmanager
def asking(server: Treadle) -> Generator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=DONE_WITHIN) as http:
        yield http


def work(word: str, seconds: float = 0, **body: object) -> dict[str, object]:
    return {"assistant_id": "working", "input": {"word": word, "seconds": seconds}, **body}


def create(http: httpx.Client, word: str, **body: object) -> str:
    """A run of the busy thread."""
    answer = http.post(f"/threads/{BUSY}/runs", json=work(word, multitask_strategy="enqueue", **body))
    return answer.raise_for_status().json()["run_id"]


def snapshot(http: httpx.Client, thread_id: str) -> list[object]:
    paths = ("", "/state", "/runs")
    return [http.get(f"/threads/{thread_id}{path}").raise_for_status().json() for path in paths]


def kept(server: Treadle, sql: str) -> list[tuple]:
    """What the database says while no server has it."""
    with duckdb.connect(str(server.data / "treadle.duckdb"), read_only=True) as db:
        return db.execute(sql).fetchall()


def test_a_deploy_loses_nothing(tmp_path):
    """At the same port, as behind a name: the Python SDK comes back to it by itself."""
    port = free_port()
    with ThreadPoolExecutor() as pool:
        with serving(tmp_path, *POOL, port=port, **GRACE) as server, asking(server) as http:
            http.post("/api/threads/paused/runs/wait", json=PAUSED)
            before = snapshot(http, "paused")
            last = make_busy(http)
            chat = Reader(pool, chatting(server.url))
            blocked = Reader(pool, reading(server.url, BLOCKED, **BLOCKING))
            short = Reader(pool, reading(server.url, SHORT, **BRIEF))
            for reader in (chat, blocked, short):
                assert reader.has_begun.wait(DONE_WITHIN)
            with stopping(server, server.process.terminate):
                refused_from_now_on(http)
            see_the_end(short)
            see_that_it_is_to_come_back(blocked)
        see_what_waits(server)

        serve = {"verb": "serve", "port": port, **GRACE}
        with serving(tmp_path, *POOL, "--workers", "1", **serve) as server, asking(server) as http:
            assert snapshot(http, "paused") == before
            done = http.get(f"/threads/{BUSY}/runs/{last}/join").json()["done"]
            assert done == [f"{word}: {step}" for word in ("fork", "delayed", "last") for step in STEPS]
            see_that_it_came_back(chat, server)
            answer = http.post("/api/threads/paused/runs/wait", json=PAUSED | {"input": None, "command": {"resume": 1}})
            assert answer.json()["messages"][-1]["content"] == "You said 1."
            begins_again(http)
            short = Reader(pool, reading(server.url, SHORT, **BRIEF))
            assert short.has_begun.wait(DONE_WITHIN)
            with stopping(server, lambda: ctrl_c(server)):
                pass
            see_the_end(short)
        assert kept(server, "SELECT status, attempt, parked FROM runs WHERE graph_id = 'blocking'") == [
            ("running", 2, 0)
        ]
        calls = kept(server, "SELECT attempt, status FROM model_calls ORDER BY attempt")
        assert calls == [(1, "cancelled"), (2, "success")]


STEPS = ("begun", "worked", "ended")
PAUSED = {"assistant_id": "asking", "input": {"messages": ["hi"]}}
BLOCKING = {"assistant_id": "blocking", "input": {"seconds": 30}, "on_disconnect": "cancel"}
BRIEF = {"assistant_id": "slow", "input": {"seconds": 1}}


def make_busy(http: httpx.Client) -> str:
    """A run that takes its time from an old checkpoint on, between one that was not due and one that waits."""
    http.post(f"/threads/{BUSY}/runs/wait", json=work("old", if_not_exists="create"))
    first = http.get(f"/threads/{BUSY}/history?limit=9").json()[-1]["checkpoint"]
    create(http, "delayed", after_seconds=2)
    create(http, "fork", seconds=12, checkpoint=first)
    return create(http, "last")


def refused_from_now_on(http: httpx.Client) -> None:
    """First where a run is under way, and then everywhere; what is there can be read."""
    while (
        answer := http.post(f"/threads/{BUSY}/runs", json=work("no", multitask_strategy="reject"))
    ).status_code == 409:
        pass
    for path in (f"/threads/{BUSY}/runs", f"/threads/{uuid4()}/runs", "/runs/wait", "/api/threads/new/runs/stream"):
        answer = http.post(path, json=work("no", if_not_exists="create"))
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1"), path
    assert len(http.get(f"/threads/{BUSY}/runs").json()) == 4


def see_the_end(reader: Reader) -> None:
    reader.ended.result(DONE_WITHIN)
    assert reader.said[-3:] == ["event: end", "data: null", ""]


def see_that_it_is_to_come_back(reader: Reader) -> None:
    assert isinstance(reader.ended.exception(DONE_WITHIN), httpx.RemoteProtocolError)
    retry, event, data, _ = reader.said[-4:]
    assert (retry, event) == ("retry: 1000", "event: reconnect")
    assert json.loads(data.removeprefix("data: "))["code"] == "server_stopping"


def see_what_waits(server: Treadle) -> None:
    """What had begun as its next attempt; what took no notice, as after a death; nobody has cancelled any of it."""
    statuses = "SELECT graph_id, status, attempt, parked, cancel_action FROM runs ORDER BY graph_id, admission"
    assert kept(server, statuses) == [
        ("asking", "success", 1, 0, None),
        ("blocking", "running", 1, 0, None),
        ("chat", "pending", 1, 1, None),
        ("slow", "success", 1, 0, None),
        ("working", "success", 1, 0, None),
        ("working", "pending", 0, 0, None),
        ("working", "pending", 1, 1, None),
        ("working", "pending", 0, 0, None),
    ]
    [(status, tokens)] = kept(server, "SELECT status, output_tokens FROM model_calls")
    assert (status, tokens > 0) == ("cancelled", True)


def see_that_it_came_back(chat: Reader, server: Treadle) -> None:
    chat.ended.result(DONE_WITHIN)
    with get_sync_client(url=server.url) as client:
        again = list(client.runs.join_stream(CHAT, chat.said[0].data["run_id"]))
    assert [part for part in chat.said if part.event != "reconnect"] == again
    assert [part.event for part in chat.said].count("reconnect") == 1
    assert [part.data["attempt"] for part in again if part.event == "metadata"] == [1, 2]


def begins_again(http: httpx.Client) -> None:
    """What its process has taken with it."""
    while http.get(f"/api/threads/{BLOCKED}/runs").json()[0]["attempt"] < 2:
        pass


def test_a_second_ctrl_c_ends_it_at_once(tmp_path):
    with serving(tmp_path, "--warm", "1", "--max", "2") as server:
        body = {"assistant_id": "slow", "input": {"seconds": 60}}
        httpx.post(f"{server.url}/api/threads/t/runs", json=body).raise_for_status()
        family = server.family()
        ctrl_c(server)
        while "Stopping" not in server.said():
            with pytest.raises(subprocess.TimeoutExpired):
                server.process.wait(0.01)
        ctrl_c(server)
        assert server.process.wait(1) == 128 + signal.SIGINT
        assert left_of(family) == []
