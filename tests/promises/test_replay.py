"""What was said is kept over a restart, for as long as was asked; what is no longer kept is said to be gone."""

import signal

import httpx
import pytest

from tests.server import serving
from tests.system.sse import names, parse

TALK = {
    "assistant_id": "tokens",
    "stream_mode": ["values", "messages-tuple"],
    "input": {"messages": [{"role": "user", "content": "25"}]},
}


def talk(server, prefix):
    """Where a run's stream is, and what its creator was told."""
    with httpx.Client(base_url=server.url, timeout=60) as http:
        thread_id = http.post("/threads", json={}).json()["thread_id"]
        answer = http.post(f"{prefix}/threads/{thread_id}/runs/stream", json=TALK)
    return prefix + answer.headers["location"], answer.content


def replay(server, path, cursor=None):
    return httpx.get(server.url + path, headers={"Last-Event-ID": cursor} if cursor else {}, timeout=60).content


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
def test_a_run_is_replayed_after_a_restart_and_then_forgotten(tmp_path, end):
    with serving(tmp_path, "--warm", "1", "--max", "2") as server:
        told = {prefix: talk(server, prefix) for prefix in ("", "/api")}
        family = server.family()
        server.process.send_signal(end)
        server.process.wait(30)
        if end is signal.SIGKILL:
            for process in family[1:]:
                if process.is_running():
                    process.kill()
    with serving(tmp_path, "--warm", "1", "--max", "2") as server:
        for prefix, (path, content) in told.items():
            assert replay(server, path) == content
            middle = parse(content, prefix)[5]
            assert parse(replay(server, path, middle.id), prefix) == parse(content, prefix)[6:]
    with serving(tmp_path, "--warm", "1", "--max", "2", TREADLE_TAPE_HOURS="0") as server:
        for prefix, (path, content) in told.items():
            events = parse(content, prefix)
            while (left := names(parse(replay(server, path, events[1].id), prefix))) != ["gap", "end"]:
                assert left[-1] == "end"  # not pruned yet
            assert parse(replay(server, path), prefix)[-1] == events[-1]
