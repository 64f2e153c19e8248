"""Runs without a thread of their client's: they are streamed, waited for, batched; and gone when they have ended."""

import asyncio
from uuid import uuid4

import pytest

from tests.system.calls import wait
from tests.system.sse import names, parse
from tests.system.test_strategies import work

MOUNTS = ["", "/api"]


@pytest.fixture(params=MOUNTS, ids=["root", "api"])
def mount(request):
    """Where the Platform's own paths are found: under `/api` too, for the gateway claims none of them."""
    return request.param


async def gone(http, run_id, thread_id):
    paths = (f"/threads/{thread_id}", f"/threads/{thread_id}/runs/{run_id}", f"/threads/{thread_id}/state")
    return {(await http.get(path)).status_code for path in paths} == {404}


async def test_a_wait_gives_the_result_and_leaves_nothing(http, mount):
    answer = await http.post(f"{mount}/runs/wait", json=work("x"))
    assert answer.json()["done"] == ["x: begun", "x: worked", "x: ended"]
    run_id = answer.headers["content-location"].removeprefix("/runs/")
    thread_id = answer.headers["location"].split("/")[2]
    assert answer.headers["location"] == f"/threads/{thread_id}/runs/{run_id}/join"
    assert await gone(http, run_id, thread_id)
    again = await http.get(answer.headers["location"])  # a client that lost the last bytes
    assert again.json() == answer.json()


async def test_a_stream_says_where_it_is_and_can_be_joined_just_after_its_end(http, mount):
    answer = await http.post(f"{mount}/runs/stream", json=work("x"))
    assert names(parse(answer.content)) == ["metadata", *["values"] * 4, "end"]
    run_id = answer.headers["content-location"].removeprefix("/runs/")
    assert answer.headers["location"] == f"/runs/{run_id}/stream"
    again = await http.get(mount + answer.headers["location"])
    assert again.content == answer.content
    middle = parse(answer.content)[2]
    rest = await http.get(mount + answer.headers["location"], headers={"Last-Event-ID": middle.id})
    assert parse(rest.content) == parse(answer.content)[3:]


async def test_a_background_run_can_be_joined_while_it_runs_and_is_gone_afterwards(http, mount):
    answer = await http.post(f"{mount}/runs", json=work("x", 0.3))
    run = answer.json()
    assert answer.headers["content-location"] == f"/runs/{run['run_id']}"
    assert run["kwargs"]["temporary"] is True
    told = await http.get(f"{mount}/runs/{run['run_id']}/stream")
    assert names(parse(told.content))[-1] == "end"
    assert await gone(http, run["run_id"], run["thread_id"])


async def test_a_run_that_is_kept_leaves_an_ordinary_thread(http, mount):
    run = (await http.post(f"{mount}/runs", json=work("x", on_completion="keep"))).json()
    await http.get(f"{mount}/runs/{run['run_id']}/stream")
    assert (await http.get(f"/threads/{run['thread_id']}/runs/{run['run_id']}")).json()["status"] == "success"
    values = await wait(http, "", run["thread_id"], **work("y"))
    assert values["done"][3:] == ["y: begun", "y: worked", "y: ended"]


async def test_a_batch_starts_all_or_none(http, mount):
    runs = (await http.post(f"{mount}/runs/batch", json=[work("a"), work("b", on_completion="keep")])).json()
    assert len({run["thread_id"] for run in runs}) == 2
    await asyncio.gather(*(http.get(f"/runs/{run['run_id']}/stream") for run in runs))
    assert (await http.get(f"/threads/{runs[1]['thread_id']}")).json()["values"]["done"][0] == "b: begun"
    assert (await http.post(f"{mount}/runs/batch", json=[])).status_code == 422
    assert (await http.post(f"{mount}/runs/batch", json=[work("a"), {"input": {}}])).status_code == 422


async def test_a_client_never_chooses_the_thread(http, mount, thread_id):
    body = work("x", config={"configurable": {"thread_id": thread_id}}, on_completion="keep")
    run = (await http.post(f"{mount}/runs", json=body)).json()
    assert run["thread_id"] != thread_id


async def test_a_thread_is_needed_to_resume(http, mount):
    answer = await http.post(f"{mount}/runs/wait", json={"assistant_id": "asking", "command": {"resume": "yes"}})
    assert answer.status_code == 400
    assert answer.json()["detail"] == "You must provide a thread_id when resuming."


async def test_a_run_that_fails_says_so_and_is_gone(http, mount):
    answer = await http.post(f"{mount}/runs/wait", json={"assistant_id": "failing", "input": {"where": "sync"}})
    assert answer.json()["__error__"]["error"]
    assert (await http.get(f"/threads/{answer.headers['location'].split('/')[2]}")).status_code == 404


async def test_an_unknown_run_is_404_and_no_id_is_422(http, mount):
    assert (await http.get(f"{mount}/runs/{uuid4()}/stream")).status_code == 404
    assert (await http.get(f"{mount}/runs/nonsense/stream")).status_code == 422


async def test_a_request_that_is_made_again_finds_its_run(http, mount):
    headers = {"Idempotency-Key": str(uuid4())}
    body = work("x", on_completion="keep")
    first, again = [(await http.post(f"{mount}/runs", json=body, headers=headers)).json() for _ in range(2)]
    assert first["run_id"] == again["run_id"]


@pytest.mark.parametrize("verb", ["", "/wait", "/stream"])
async def test_a_request_that_is_made_again_finds_its_run_also_when_it_has_gone(http, mount, verb):
    headers = {"Idempotency-Key": str(uuid4())}
    first = await http.post(f"{mount}/runs{verb or '/wait'}", json=work("x"), headers=headers)
    again = await http.post(f"{mount}/runs{verb}", json=work("x"), headers=headers)
    assert again.headers["content-location"] == first.headers["content-location"]
    if verb:
        assert again.content == first.content


async def test_a_thread_that_has_gone_with_its_run_can_be_made_again(http, new_id):
    for word in "xy":
        answer = await http.post(f"/api/threads/{new_id}/runs/wait", json=work(word, on_completion="delete"))
        assert answer.json()["done"][-1] == f"{word}: ended"


async def test_a_thread_that_was_made_again_and_deleted_is_gone_with_the_names_of_its_requests(http, new_id):
    headers = {"Idempotency-Key": str(uuid4())}
    body, path = work("x", on_completion="delete"), f"/api/threads/{new_id}/runs/wait"
    first = await http.post(path, json=body, headers=headers)
    await http.post(path, json=work("y"))
    await http.delete(f"/threads/{new_id}")
    again = await http.post(path, json=body, headers=headers)
    assert again.json()["done"] == first.json()["done"]
    assert again.headers["content-location"] != first.headers["content-location"]


async def test_a_cancelled_run_is_gone_too(http, mount):
    run = (await http.post(f"{mount}/runs", json=work("x", 60))).json()
    await http.post(f"/threads/{run['thread_id']}/runs/{run['run_id']}/cancel", params={"wait": "1"})
    assert await gone(http, run["run_id"], run["thread_id"])


async def test_the_sdk_runs_without_a_thread(sdk):
    values = await sdk.runs.wait(None, "working", input={"word": "x"})
    assert values["done"][-1] == "x: ended"
    events = [part.event async for part in sdk.runs.stream(None, "working", input={"word": "x"})]
    assert events[-1] == "end"
    assert (await sdk.runs.create(None, "working", input={"word": "x"}))["status"] in {"pending", "running"}
    runs = await sdk.runs.create_batch([{"assistant_id": "working", "input": {"word": "x"}}])
    assert len(runs) == 1


async def test_the_gateway_deletes_a_thread_that_its_request_made_and_no_other(http, thread_id, new_id):
    body = work("x", on_completion="delete")
    answer = await http.post(f"/api/threads/{new_id}/runs/wait", json=body)
    assert answer.json()["done"][-1] == "x: ended"
    assert (await http.get(f"/threads/{new_id}")).status_code == 404
    await http.post(f"/api/threads/{thread_id}/runs/wait", json=body)
    assert (await http.get(f"/threads/{thread_id}")).json()["status"] == "idle"
    assert len((await http.get(f"/api/threads/{thread_id}/runs")).json()) == 1


async def test_a_thread_with_another_run_in_flight_stays(http, new_id):
    path = f"/api/threads/{new_id}/runs"
    await http.post(path, json=work("x", 0.3, on_completion="delete", multitask_strategy="enqueue"))
    other = (await http.post(path, json=work("y", 0.3, multitask_strategy="enqueue"))).json()
    await http.get(f"/threads/{new_id}/runs/{other['run_id']}/join")
    assert (await http.get(f"/threads/{new_id}")).json()["status"] == "idle"
