"""The unmodified Python SDK, async and sync, at both mounts."""

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.pregel.remote import RemoteException, RemoteGraph
from langgraph.types import Command
from langgraph_sdk import get_client, get_sync_client
from langgraph_sdk.errors import ConflictError, NotFoundError, UnprocessableEntityError

from tests.system.calls import HELLO

MODES = ["values", "updates", "messages", "messages-tuple", "custom", "debug", "tasks", "checkpoints", "events"]
JSON = {"accept": "application/json"}
"""What `runs.join` needs at the gateway's door, where a join is a stream otherwise."""


@pytest.fixture
async def sdk(server, prefix):
    async with get_client(url=server.url + prefix) as client:
        yield client


@pytest.fixture
async def thread_id(sdk):
    return (await sdk.threads.create())["thread_id"]


async def parts_of(stream):
    return [part async for part in stream]


def texts(values):
    return [message["content"] for message in values["messages"]]


async def test_a_thread_is_made_read_and_deleted(sdk, new_id):
    thread = await sdk.threads.create(thread_id=new_id, metadata={"owner": "me"})
    assert (thread["thread_id"], thread["metadata"]) == (new_id, {"owner": "me"})
    assert await sdk.threads.get(new_id) == thread
    assert await sdk.threads.create(thread_id=new_id, if_exists="do_nothing") == thread
    with pytest.raises(ConflictError, match="already exists"):
        await sdk.threads.create(thread_id=new_id)
    assert (await sdk.threads.get_state(new_id))["checkpoint"] is None
    await sdk.threads.delete(new_id)
    with pytest.raises(NotFoundError, match=new_id):
        await sdk.threads.get(new_id)


async def test_a_run_is_streamed_and_says_where_it_is(sdk, thread_id):
    created = []
    parts = await parts_of(sdk.runs.stream(thread_id, "echo", input=HELLO, on_run_created=created.append))
    assert [part.event for part in parts] == ["metadata", "values", "values", "end"]
    assert texts(parts[2].data) == ["hello", "hello"]
    assert created == [{"run_id": parts[0].data["run_id"], "thread_id": thread_id}]
    assert texts((await sdk.threads.get_state(thread_id))["values"]) == ["hello", "hello"]


@pytest.mark.parametrize("mode", MODES)
async def test_every_stream_mode_can_be_read(sdk, thread_id, mode, prefix):
    parts = await parts_of(sdk.runs.stream(thread_id, "nested", input=HELLO, stream_mode=mode))
    said = {part.event.partition("/")[0] for part in parts[1:-1]}
    assert said == {"messages" if mode == "messages-tuple" else mode}
    assert any("/" in part.event for part in parts) == (mode == "messages" and not prefix)


async def test_subgraphs_are_told_apart(sdk, thread_id):
    stream = sdk.runs.stream(thread_id, "nested", input=HELLO, stream_mode=["updates", "custom"], stream_subgraphs=True)
    events = [part.event for part in await parts_of(stream)]
    assert {"updates", "custom"} < set(events)
    inner = [event for event in events if "|" in event]
    assert inner
    assert all(event.split("|")[1].startswith("child:") for event in inner)


async def test_a_run_is_waited_for(sdk, thread_id):
    assert texts(await sdk.runs.wait(thread_id, "echo", input=HELLO)) == ["hello", "hello"]


async def test_a_background_run_is_joined_listed_and_read(sdk, thread_id, prefix):
    run = await sdk.runs.create(thread_id, "echo", input=HELLO, metadata={"number": 1})
    assert texts(await sdk.runs.join(thread_id, run["run_id"], headers=JSON)) == ["hello", "hello"]
    parts = await parts_of(sdk.runs.join_stream(thread_id, run["run_id"]))
    assert [part.event for part in parts] == ["metadata", "values", "values", "end"]
    [listed] = await sdk.runs.list(thread_id)
    assert await sdk.runs.get(thread_id, run["run_id"]) == listed
    assert (listed["status"], listed["metadata"]["number"]) == ("success", 1)
    assert await sdk.runs.list(thread_id, status="error") == []


async def test_a_stream_is_taken_up_from_an_event(sdk, thread_id):
    seen = await parts_of(
        sdk.runs.stream(thread_id, "tokens", input={"messages": ["20"]}, stream_mode="messages-tuple")
    )
    rest = sdk.runs.join_stream(thread_id, seen[0].data["run_id"], last_event_id=seen[10].id)
    assert await parts_of(rest) == seen[11:]


async def test_an_interrupt_is_answered(sdk, thread_id):
    paused = await sdk.runs.wait(thread_id, "asking", input=HELLO)
    assert paused["__interrupt__"][0]["value"] == {"question": "ok?"}
    thread = await sdk.threads.get(thread_id)
    assert thread["status"] == "interrupted"
    answered = await parts_of(sdk.runs.stream(thread_id, "asking", command={"resume": "yes"}))
    assert texts(answered[-2].data)[-1] == "You said 'yes'."
    assert (await sdk.threads.get(thread_id))["status"] == "idle"


async def test_a_busy_thread_rejects(sdk, thread_id):
    run = await sdk.runs.create(thread_id, "slow", input={"seconds": 30})
    with pytest.raises(ConflictError):
        await sdk.runs.create(thread_id, "slow", input={"seconds": 0}, multitask_strategy="reject")
    await sdk.runs.cancel(thread_id, run["run_id"], wait=True)
    assert (await sdk.runs.get(thread_id, run["run_id"]))["status"] == "interrupted"


async def test_runs_wait_in_line(sdk, thread_id):
    runs = [
        await sdk.runs.create(thread_id, "counting", input={"run": name}, multitask_strategy="enqueue")
        for name in "abc"
    ]
    values = await sdk.runs.join(thread_id, runs[-1]["run_id"], headers=JSON)
    assert values["order"] == list("abc")
    assert [run["status"] for run in await sdk.runs.list(thread_id)] == ["success"] * 3


async def test_a_failure_is_raised_from_a_wait_and_said_in_a_stream(sdk, thread_id):
    given = {"where": "sync", "steps": []}
    with pytest.raises(Exception, match="ValueError: failed in sync"):
        await sdk.runs.wait(thread_id, "failing", input=given)
    assert (await sdk.runs.wait(thread_id, "failing", input=given, raise_error=False))["__error__"]
    parts = await parts_of(sdk.runs.stream(thread_id, "failing", input=given))
    [error] = [part.data for part in parts if part.event == "error"]
    assert error["message"] == "failed in sync"


async def test_what_is_wrong_with_a_request_has_its_own_exception(sdk, thread_id, new_id):
    with pytest.raises(UnprocessableEntityError):
        await sdk.runs.create(thread_id, "echo", input=HELLO, stream_mode="thoughts")
    with pytest.raises(NotFoundError):
        await sdk.runs.get(thread_id, new_id)
    with pytest.raises(NotFoundError):
        await sdk.runs.create(new_id, "echo", input=HELLO, if_not_exists="reject")


async def test_a_run_can_make_its_thread(sdk, new_id):
    await sdk.runs.wait(new_id, "echo", input=HELLO, if_not_exists="create")
    assert (await sdk.threads.get(new_id))["status"] == "idle"


async def test_assistants_are_found(sdk):
    [found] = await sdk.assistants.search(graph_id="echo")
    assert found == await sdk.assistants.get("echo") == await sdk.assistants.get(found["assistant_id"])
    page = await sdk.assistants.search(limit=5, response_format="object")
    assert (len(page["assistants"]), page["next"]) == (5, "5")


async def test_an_assistants_id_starts_a_run(sdk, thread_id):
    assistant = await sdk.assistants.get("echo")
    assert texts(await sdk.runs.wait(thread_id, assistant["assistant_id"], input=HELLO)) == ["hello", "hello"]


def test_the_sync_client_does_the_same(server, prefix):
    with get_sync_client(url=server.url + prefix) as sdk:
        thread_id, created = sdk.threads.create()["thread_id"], []
        parts = list(sdk.runs.stream(thread_id, "echo", input=HELLO, on_run_created=created.append))
        assert [part.event for part in parts] == ["metadata", "values", "values", "end"]
        run_id = created[0]["run_id"]
        assert list(sdk.runs.join_stream(thread_id, run_id)) == parts
        assert texts(sdk.runs.join(thread_id, run_id, headers=JSON)) == ["hello", "hello"]
        assert sdk.runs.get(thread_id, run_id)["status"] == "success"
        assert len(texts(sdk.runs.wait(thread_id, "echo", input=HELLO))) == 4
        assert len(sdk.runs.list(thread_id)) == 2
        with pytest.raises(Exception, match="ValueError: failed in first"):
            sdk.runs.wait(thread_id, "failing", input={"where": "first", "steps": []})
        sdk.threads.delete(thread_id)
        with pytest.raises(NotFoundError):
            sdk.threads.get_state(thread_id)


def test_a_sync_client_that_leaves_its_stream_leaves_the_run_alone(server):
    with get_sync_client(url=server.url) as sdk:
        thread_id = sdk.threads.create()["thread_id"]
        first = next(iter(sdk.runs.stream(thread_id, "slow", input={"seconds": 0.5})))
        assert sdk.runs.join(thread_id, first.data["run_id"])["done"] is True


async def test_a_graph_of_this_server_is_a_node_of_another(server, new_id):
    async with get_client(url=server.url) as client:
        far = {name: RemoteGraph(name, client=client) for name in ("asking", "failing")}
        graph = StateGraph(MessagesState).add_node("far", far["asking"]).add_edge(START, "far")
        near, config = graph.compile(checkpointer=InMemorySaver()), {"configurable": {"thread_id": new_id}}
        paused = await near.ainvoke(HELLO, config)
        assert [each.value for each in paused["__interrupt__"]] == [{"question": "ok?"}]
        answered = await far["asking"].ainvoke(Command(resume="yes"), config)
        assert answered["messages"][-1]["content"] == "You said 'yes'."
        said = [values async for values in far["asking"].astream(HELLO, stream_mode="values")]
        assert said[0]["messages"][0]["content"] == "hello"
        with pytest.raises(RemoteException, match="failed in sync"):
            await far["failing"].ainvoke({"where": "sync", "steps": []})


async def test_the_sdk_needs_no_accept_header_for_a_join_at_the_platforms_door(server):
    async with get_client(url=server.url) as sdk:
        thread_id = (await sdk.threads.create())["thread_id"]
        run = await sdk.runs.create(thread_id, "echo", input=HELLO)
        assert texts(await sdk.runs.join(thread_id, run["run_id"])) == ["hello", "hello"]
