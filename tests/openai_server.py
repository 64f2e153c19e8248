"""What speaks OpenAI's chat completions, and counts what it has served. The model's name says how it behaves.

`plain` reports its usage, `silent` never does, `caching` reports cached and reasoning tokens, `calling` wants a tool
once, `refusing` answers 400, `breaking` breaks off in mid-stream, `endless` goes on until its client leaves.
"""

import json
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

WORDS = 6
CACHED, REASONED = 4, 3


class Served:
    """Prompt and completion tokens of what was answered whole, by model."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.tokens: dict[str, list[int]] = {}
        self.requests = 0
        self.last_port = 0
        """From which the last request came."""
        self.began = threading.Condition(self.lock)

    def begin(self, port: int) -> None:
        with self.began:
            self.requests += 1
            self.last_port = port
            self.began.notify_all()

    def wait_for(self, requests: int, timeout: float = 30) -> None:
        """Until so many requests have come."""
        with self.began:
            assert self.began.wait_for(lambda: self.requests >= requests, timeout)

    def add(self, model: str, usage: dict[str, Any]) -> None:
        with self.lock:
            total = self.tokens.setdefault(model, [0, 0])
            total[0] += usage["prompt_tokens"]
            total[1] += usage["completion_tokens"]


@contextmanager
def openai_server() -> Generator[tuple[str, Served]]:
    """Its base URL, and what it has served."""
    served = Served()
    handler = type("Handler", (_Handler,), {"served": served})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", served
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    served: Served
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.served.begin(self.client_address[1])
        model = body["model"]
        if model == "refusing":
            self._json(400, {"error": {"message": "no", "type": "invalid_request_error"}})
        elif body.get("stream"):
            self._stream(model, body)
        else:
            usage = _usage(model, body)
            self._json(200, _completion(model, body, None if model == "silent" else usage))
            self.served.add(model, usage)

    def _stream(self, model: str, body: dict[str, Any]) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        self.close_connection = True
        try:
            for delta in _deltas(model, body):
                self._event(_chunk(model, delta))
            self._event(_chunk(model, {}, "tool_calls" if _wants_tool(model, body) else "stop"))
            usage = _usage(model, body)
            if body.get("stream_options", {}).get("include_usage") and model != "silent":
                self._event({**_chunk(model, None), "choices": [], "usage": usage})
            self.wfile.write(b"data: [DONE]\n\n")
            self.served.add(model, usage)
        except OSError:
            return  # its client has left

    def _event(self, chunk: dict[str, Any]) -> None:
        if chunk.get("choices") and chunk["choices"][0]["delta"] == {"break": True}:
            self.wfile.write(b'data: {"error": {"message": "overloaded", "type": "server_error"}}\n\n')
            raise ConnectionAbortedError
        self.wfile.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
        self.wfile.flush()

    def _json(self, status: int, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its base's name
        """Nothing: the tests say what went wrong."""


def _wants_tool(model: str, body: dict[str, Any]) -> bool:
    return model == "calling" and body["messages"][-1]["role"] != "tool"


def _deltas(model: str, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield {"role": "assistant", "content": ""}
    if _wants_tool(model, body):
        yield {
            "tool_calls": [
                {"index": 0, "id": "call_1", "type": "function", "function": {"name": "look", "arguments": ""}}
            ]
        }
        yield {"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}
        return
    for number in range(WORDS):
        yield {"content": f"word{number} "}
    if model == "breaking":
        yield {"break": True}
    while model == "endless":
        time.sleep(0.02)
        yield {"content": "more "}


def _usage(model: str, body: dict[str, Any]) -> dict[str, Any]:
    read = sum(len(str(message.get("content") or "").split()) + 3 for message in body["messages"])
    usage: dict[str, Any] = {"prompt_tokens": read, "completion_tokens": WORDS, "total_tokens": read + WORDS}
    if model == "caching":
        usage["prompt_tokens_details"] = {"cached_tokens": CACHED}
        usage["completion_tokens_details"] = {"reasoning_tokens": REASONED}
    return usage


def _chunk(model: str, delta: dict[str, Any] | None, reason: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": f"{model}-v1", "choices": [choice]}


def _completion(model: str, body: dict[str, Any], usage: dict[str, Any] | None) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": " ".join(f"word{number}" for number in range(WORDS))}
    if _wants_tool(model, body):
        function = {"name": "look", "arguments": "{}"}
        message = {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "call_1", "type": "function", "function": function}],
        }
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if _wants_tool(model, body) else "stop"}
    return {
        "id": "c1",
        "object": "chat.completion",
        "created": 1,
        "model": f"{model}-v1",
        "choices": [choice],
        **({"usage": usage} if usage else {}),
    }
