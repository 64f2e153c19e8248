"""The Python SDK takes up a stream whose connection broke. `tests/js` shows the same of the JavaScript one."""

from langgraph_sdk import get_client

from tests.system.calls import HELLO
from tests.system.proxy import broken

MODES = ["values", "messages-tuple", "updates"]


async def test_a_stream_whose_connection_breaks_goes_on_without_loss_or_duplicate(server, sdk, thread_id):
    parts, cuts = [], []
    async with broken(server.url) as (url, cut), get_client(url=url) as client:
        paced = {"configurable": {"pace": 0.02}}
        async for part in client.runs.stream(thread_id, "chat", input=HELLO, stream_mode=MODES, config=paced):
            parts.append(part)
            if len(parts) in {5, 20}:
                cuts.append(cut())
    assert all(cuts)
    assert len(cuts) == 2
    run_id = parts[0].data["run_id"]
    assert parts[-1].event == "end"
    assert parts == [part async for part in sdk.runs.join_stream(thread_id, run_id)]
