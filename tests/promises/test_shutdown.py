"""Whoever stops Treadle stops all of it, breaks streams rather than ending them, and loses nothing."""

import os
import signal
import subprocess
import time
from collections.abc import Callable

import httpx
import psutil
import pytest

from tests.server import Treadle, serving

GONE_WITHIN = 10
DONE_WITHIN = 60
POOL = ("--warm", "2", "--max", "2")


def left_of(family: list[psutil.Process], timeout: float = GONE_WITHIN) -> list[psutil.Process]:
    """Those that live on; what has ended and waits to be reaped by a parent of ours does not."""
    _, alive = psutil.wait_procs([process for process in family if process.is_running()], timeout=timeout)
    return [process for process in alive if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]


def stop(server: Treadle, send: Callable[[], None]) -> float:
    """Seconds until every process was gone."""
    family, began = server.family(), time.monotonic()
    assert len(family) > 5, "the server, Ray's daemons, the directory, the ledger and the slots"
    send()
    assert server.process.wait(GONE_WITHIN) == 0
    assert left_of(family) == []
    return time.monotonic() - began


def ctrl_c(server: Treadle) -> None:
    """What a terminal does: the whole process group hears it."""
    os.killpg(server.process.pid, signal.SIGINT)


def create(http: httpx.Client, thread_id: str, **body: object) -> str:
    body = {"assistant_id": "counting", "multitask_strategy": "enqueue", **body}
    return http.post(f"/api/threads/{thread_id}/runs", json=body).raise_for_status().json()["run_id"]


def snapshot(http: httpx.Client, thread_id: str) -> list[object]:
    paths = ("", "/state", "/runs")
    return [http.get(f"/threads/{thread_id}{path}").raise_for_status().json() for path in paths]


def test_what_a_stop_interrupts_goes_on_at_the_next_start(tmp_path):
    with serving(tmp_path, *POOL) as server, httpx.Client(base_url=server.url, timeout=DONE_WITHIN) as http:
        http.post("/api/threads/done/runs/wait", json={"assistant_id": "counting", "input": {"run": "x"}})
        paused = {"assistant_id": "asking", "input": {"messages": ["hi"]}}
        http.post("/api/threads/paused/runs/wait", json=paused)
        before = [snapshot(http, thread_id) for thread_id in ("done", "paused")]
        body = {"assistant_id": "counting", "input": {"run": "a", "seconds": 6}, "on_disconnect": "cancel"}
        with http.stream("POST", "/api/threads/busy/runs/stream", json=body) as answer:
            lines = answer.iter_lines()
            assert next(lines) == "event: metadata"
            waiting = [create(http, "busy", input={"run": name}) for name in "bc"]
            assert stop(server, server.process.terminate) < GONE_WITHIN
            with pytest.raises(httpx.RemoteProtocolError):
                assert "event: end" not in list(lines)

    with serving(tmp_path, *POOL) as server, httpx.Client(base_url=server.url, timeout=DONE_WITHIN) as http:
        assert [snapshot(http, thread_id) for thread_id in ("done", "paused")] == before
        values = http.get(f"/threads/busy/runs/{waiting[-1]}/join").json()
        assert values["order"] == ["a", "b", "c"]
        runs = http.get("/api/threads/busy/runs").json()
        assert [(run["status"], run["attempt"]) for run in reversed(runs)] == [
            ("success", 2),
            ("success", 1),
            ("success", 1),
        ]
        answered = http.post("/api/threads/paused/runs/wait", json=paused | {"input": None, "command": {"resume": 1}})
        assert answered.json()["messages"][-1]["content"] == "You said 1."
        assert stop(server, lambda: ctrl_c(server)) < GONE_WITHIN
        assert "Traceback" not in server.said()


def test_a_second_ctrl_c_ends_it_at_once(tmp_path):
    with serving(tmp_path, *POOL) as server:
        family = server.family()
        ctrl_c(server)
        while "Stopping" not in server.said():
            with pytest.raises(subprocess.TimeoutExpired):
                server.process.wait(0.01)
        ctrl_c(server)
        assert server.process.wait(1) == 128 + signal.SIGINT
        assert left_of(family) == []
