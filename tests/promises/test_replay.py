"""What was said is kept over a restart, as a stream for as long as was asked; what is gone then is said to be gone."""

import httpx

from tests.server import serving
from tests.system.sse import names, parse

TALK = {
    "assistant_id": "tokens",
    "stream_mode": ["values", "messages-tuple"],
    "input": {"messages": [{"role": "user", "content": "25"}]},
}


def talk(server, prefix, thread_id=None):
    """Where a run's stream is, and what its creator was told."""
    with httpx.Client(base_url=server.url, timeout=60) as http:
        thread_id = thread_id or http.post("/threads", json={}).json()["thread_id"]
        answer = http.post(f"{prefix}/threads/{thread_id}/runs/stream", json=TALK)
    return prefix + answer.headers["location"], answer.content


def kept(server, path):
    """What was said and what happened on the run's thread, and what that took."""
    run = path.removeprefix("/api").removesuffix("/stream")
    thread = run.rpartition("/runs/")[0]
    paths = (f"{thread}/messages", f"{thread}/token-usage", run, f"{run}/events")
    return [httpx.get(f"{server.url}/api{one}", timeout=60).json() for one in paths]


def replay(server, path, cursor=None):
    return httpx.get(server.url + path, headers={"Last-Event-ID": cursor} if cursor else {}, timeout=60).content


def test_a_run_is_replayed_and_read_after_all_was_killed_and_its_stream_then_forgotten(tmp_path):
    with serving(tmp_path, "--warm", "1", "--max", "2") as server:
        told = {prefix: talk(server, prefix) for prefix in ("", "/api")}
        before = {prefix: kept(server, path) for prefix, (path, _) in told.items()}
        family = server.family()
        for process in family:
            if process.is_running():
                process.kill()
        server.process.wait(30)
    with serving(tmp_path, "--warm", "1", "--max", "2") as server:
        for prefix, (path, content) in told.items():
            assert replay(server, path) == content
            assert kept(server, path) == before[prefix]
            middle = parse(content, prefix)[5]
            assert parse(replay(server, path, middle.id), prefix) == parse(content, prefix)[6:]
            again, _ = talk(server, prefix, thread_id=path.split("/")[-4])
            assert kept(server, again)[-1][0]["seq"] == before[prefix][-1][-1]["seq"] + 1
    with serving(tmp_path, "--warm", "1", "--max", "2", TREADLE_TAPE_HOURS="0") as server:
        for prefix, (path, content) in told.items():
            events = parse(content, prefix)
            while (left := names(parse(replay(server, path, events[1].id), prefix))) != ["gap", "end"]:
                assert left[-1] == "end"  # not pruned yet
            assert parse(replay(server, path), prefix)[-1] == events[-1]
