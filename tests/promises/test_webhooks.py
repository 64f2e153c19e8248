"""A webhook is called once the end of its run can be read; the run never depends on it; and none is forgotten."""

import json
import queue
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from tests.server import serving

SOON = 20
"""Seconds that a call may take to come, with all its tries."""


class Listener(BaseHTTPRequestHandler):
    """Reads the run first, and then says what the test wants it to say."""

    def do_POST(self):
        told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        seen = httpx.get(f"{self.server.gateway}/api/threads/{told['thread_id']}/runs/{told['run_id']}").json()
        self.server.calls.put((told, seen, self.headers["Host"]))
        self.send_response(self.server.answers.pop(0) if self.server.answers else 200)
        self.send_header("Location", f"http://{self.headers['Host']}/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format, *args):  # noqa: A002 - the name that it has there
        """Not on the terminal."""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("webhooks")
    with serving(folder, "--warm", "2", "--max", "3", TREADLE_WEBHOOK_ALLOW_LOCAL="1") as server:
        yield server


@pytest.fixture
def listener(server):
    with listening(server.url) as listener:
        yield listener


def listening(gateway):
    listener = ThreadingHTTPServer(("127.0.0.1", 0), Listener)
    listener.gateway, listener.calls, listener.answers = gateway, queue.Queue(), []
    listener.url = f"http://localhost:{listener.server_port}/hook"
    threading.Thread(target=listener.serve_forever, daemon=True).start()
    return Closing(listener)


class Closing:
    def __init__(self, listener):
        self.listener = listener

    def __enter__(self):
        return self.listener

    def __exit__(self, *_):
        self.listener.shutdown()
        self.listener.server_close()


def work(listener, **more):
    return {"assistant_id": "working", "input": {"word": "x"}, "webhook": listener.url, **more}


async def test_it_is_told_the_run_and_its_values_when_they_can_be_read(http, prefix, thread_id, listener):
    await http.post(f"{prefix}/threads/{thread_id}/runs/wait", json=work(listener))
    told, seen, host = listener.calls.get(timeout=SOON)
    assert (told["status"], seen["status"]) == ("success", "success")
    assert told["values"]["done"] == ["x: begun", "x: worked", "x: ended"]
    assert told["run_started_at"] <= told["run_ended_at"] <= told["webhook_sent_at"]
    assert host == f"localhost:{listener.server_port}"
    shown = (await http.get(f"{prefix}/threads/{thread_id}/runs/{told['run_id']}")).json()
    assert {name: told[name] for name in shown} == shown
    assert listener.calls.empty()


async def test_each_way_of_creating_a_run_calls_it(http, prefix, thread_id, listener):
    paths = ["/runs", "/runs/stream", "/runs/wait"] if not prefix else []
    for path in [*paths, *(f"{prefix}/threads/{thread_id}{path}" for path in ("/runs", "/runs/stream", "/runs/wait"))]:
        await http.post(path, json=work(listener, multitask_strategy="enqueue"))
        assert listener.calls.get(timeout=SOON)[0]["status"] == "success"


async def test_it_is_told_what_the_run_took_by_the_gateway(http, thread_id, listener):
    body = work(listener, assistant_id="tokens", input={"messages": ["3"]})
    await http.post(f"/api/threads/{thread_id}/runs/wait", json=body)
    told, _, _ = listener.calls.get(timeout=SOON)
    assert told["total_tokens"] == told["total_input_tokens"] + told["total_output_tokens"] > 0


@pytest.mark.parametrize("action", ["interrupt", "rollback"])
async def test_it_is_told_of_a_cancel(http, prefix, thread_id, listener, action):
    body = work(listener, input={"word": "x", "seconds": 60})
    run = (await http.post(f"{prefix}/threads/{thread_id}/runs", json=body)).json()
    await http.post(f"{prefix}/threads/{thread_id}/runs/{run['run_id']}/cancel", params={"action": action})
    told, _, _ = listener.calls.get(timeout=SOON)
    expected = {"interrupt": "interrupted", "rollback": "error" if prefix else "rollback"}
    assert told["status"] == expected[action]


async def test_it_is_told_of_a_failure(http, prefix, thread_id, listener):
    body = work(listener, assistant_id="failing", input={"where": "sync"})
    await http.post(f"{prefix}/threads/{thread_id}/runs/wait", json=body)
    told, _, _ = listener.calls.get(timeout=SOON)
    assert told["status"] == "error"
    assert told["error"]


async def test_a_server_that_is_out_of_order_is_called_again_and_no_redirect_is_followed(http, thread_id, listener):
    listener.answers += [500, 503, 302]
    await http.post(f"/threads/{thread_id}/runs/wait", json=work(listener))
    for _ in range(3):
        assert listener.calls.get(timeout=SOON)[1]["status"] == "success"
    await http.post(f"/threads/{thread_id}/runs/wait", json=work(listener, input={"word": "next"}))
    assert listener.calls.get(timeout=SOON)[0]["values"]["done"][-1] == "next: ended"


async def test_nobody_at_the_url_is_no_concern_of_the_run(http, prefix, thread_id):
    body = {"assistant_id": "working", "input": {"word": "x"}, "webhook": "http://localhost:1/hook"}
    assert (await http.post(f"{prefix}/threads/{thread_id}/runs/wait", json=body)).json()["done"][-1] == "x: ended"


def test_a_webhook_that_is_owed_is_called_after_a_restart(tmp_path):
    with listening("http://127.0.0.1:1") as listener:
        listener.calls = queue.Queue()
        env = {"TREADLE_WEBHOOK_ALLOW_LOCAL": "1"}
        with serving(tmp_path, "--warm", "1", "--max", "2", **env) as server:
            thread_id = httpx.post(f"{server.url}/threads", json={}).json()["thread_id"]
            body = work(listener, input={"word": "x", "seconds": 2}, after_seconds=3)
            httpx.post(f"{server.url}/threads/{thread_id}/runs", json=body)
        with serving(tmp_path, "--warm", "1", "--max", "2", **env) as server:
            listener.gateway = server.url
            assert listener.calls.get(timeout=2 * SOON)[0]["status"] == "success"
