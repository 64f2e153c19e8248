"""What a client does, in a line each: stream a run, wait for one, cancel one."""

from typing import Any

from tests.system.sse import parse

HELLO: dict[str, Any] = {"messages": [{"role": "user", "content": "hello"}]}


async def stream(http, prefix, thread_id, **body):
    async with http.stream("POST", f"{prefix}/threads/{thread_id}/runs/stream", json=body) as answer:
        content = await answer.aread()
    assert answer.status_code == 200, content
    return parse(content, prefix)


async def create(http, prefix, thread_id, **body):
    answer = await http.post(f"{prefix}/threads/{thread_id}/runs", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()["run_id"]


async def wait(http, prefix, thread_id, **body):
    answer = await http.post(f"{prefix}/threads/{thread_id}/runs/wait", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def join(http, thread_id, run_id):
    return (await http.get(f"/threads/{thread_id}/runs/{run_id}/join")).json()


async def read(http, thread_id, run_id):
    """A run, with its attempt and its error."""
    return (await http.get(f"/api/threads/{thread_id}/runs/{run_id}")).json()


async def last_run(http, prefix, thread_id):
    return (await http.get(f"{prefix}/threads/{thread_id}/runs")).json()[0]


async def cancel(http, prefix, thread_id, run_id):
    return await http.post(f"{prefix}/threads/{thread_id}/runs/{run_id}/cancel", params={"wait": "1"})
