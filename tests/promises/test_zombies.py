"""A process that stops in the middle of a run, and may wake up again: its run goes on elsewhere, and only there."""

import json
import signal
from itertools import pairwise

import psutil
import pytest

from tests.server import serving
from tests.system.calls import create, read
from tests.system.sse import parse

GONE_WITHIN = 20


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("zombies"), "--warm", "2", "--max", "2") as server:
        yield server


async def test_a_run_whose_process_stops_goes_on_elsewhere_and_what_was_stopped_is_gone(http, thread_id):
    run_id = await create(http, "", thread_id, assistant_id="placed", input={"places": []})
    content, stopped = b"", None
    async with http.stream("GET", f"/threads/{thread_id}/runs/{run_id}/stream") as answer:
        async for chunk in answer.aiter_raw():
            content += chunk
            if stopped is None and (places := said_places(content)):
                stopped = psutil.Process(places[0])
                stopped.send_signal(signal.SIGSTOP)
    assert stopped is not None
    assert psutil.wait_procs([stopped], timeout=GONE_WITHIN)[1] == [], "it will not wake up"
    live = parse(content)
    assert [event.data["attempt"] for event in live if event.name == "metadata"] == [1, 2]
    assert live[-1].name == "end"
    numbers = [event.seq for event in live if event.id]
    assert numbers == sorted(set(numbers)), "nothing is said twice"
    run = await read(http, thread_id, run_id)
    assert (run["status"], run["attempt"], run["error"]) == ("success", 2, None)
    events = (await http.get(f"/api/threads/{thread_id}/runs/{run_id}/events")).json()
    numbers = [event["seq"] for event in events]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    first, *others = (await http.get(f"/threads/{thread_id}/state")).json()["values"]["places"]
    assert first == stopped.pid
    assert len(others) == 2
    assert stopped.pid not in others
    states = (await http.post(f"/threads/{thread_id}/history", json={"limit": 100})).json()
    assert [state["metadata"]["step"] for state in states] == [3, 2, 1, 0, -1]
    assert all(
        newer["parent_checkpoint"]["checkpoint_id"] == older["checkpoint"]["checkpoint_id"]
        for newer, older in pairwise(states)
    ), "each state has one that follows it"


def said_places(content):
    """The processes that a stream has named so far, in its last whole line."""
    lines = [line for line in content.split(b"\r\n") if line.startswith(b"data: {") and b'"places":[' in line]
    return json.loads(lines[-1].removeprefix(b"data: "))["places"] if lines and content.endswith(b"\r\n") else []
