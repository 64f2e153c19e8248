"""Every token is counted once, however its run ends: the rows agree with what the model's server has served."""

import asyncio
import os
import signal
import subprocess

import httpx
import pytest

from tests.openai_server import CACHED, REASONED, WORDS, openai_server
from tests.server import GRAPHS, command, serving
from tests.system.calls import cancel, create

BILLING = GRAPHS.parent / "billing" / "langgraph.json"
ASK = "how much is it"
READ = len(ASK.split()) + 3
PLAIN = {"model": "plain"}
ENDLESS = {"model": "endless", "stream": True}


@pytest.fixture(scope="module")
def models():
    with openai_server() as (url, served):
        yield url, served


@pytest.fixture(scope="module")
def server(tmp_path_factory, models):
    folder = tmp_path_factory.mktemp("billing")
    options = ("--config", BILLING, "--warm", "2", "--max", "3")
    limits = {"TREADLE_CANCEL_GRACE": "2", "TREADLE_ENVIRONMENT": "testing", "TREADLE_RELEASE": "r1"}
    with serving(folder, *options, FAKE_OPENAI=models[0], **limits) as running:
        yield running


@pytest.fixture
async def http(server):
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
        yield client


def asking(*calls, **given):
    return {
        "assistant_id": "billing",
        "input": {"messages": [{"role": "user", "content": ASK}], "calls": calls, **given},
    }


async def wait(http, thread_id, body):
    answer = await http.post(f"/api/threads/{thread_id}/runs/wait", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def query(http, sql, *params):
    answer = await http.post("/analytics/query", json={"sql": sql, "params": list(params)})
    assert answer.status_code == 200, answer.text
    told = answer.json()
    names = [column["name"] for column in told["columns"]]
    return [dict(zip(names, row, strict=True)) for row in told["rows"]]


async def calls_of(http, thread_id):
    return await query(http, "select * from model_calls where thread_id = ? order by started_at, call_id", thread_id)


async def agreed(http, thread_id):
    """The rows' sum, which is also what the runs' roll-ups and the thread's token usage say."""
    rows = await calls_of(http, thread_id)
    told = (await http.get(f"/api/threads/{thread_id}/token-usage")).json()
    (runs,) = await query(
        http,
        "select sum(total_tokens)::bigint t, sum(llm_call_count)::bigint n from runs where thread_id = ?",
        thread_id,
    )
    total = sum(row["total_tokens"] for row in rows)
    assert told["total_tokens"] == runs["t"] == total
    assert sum(one["tokens"] for one in told["by_model"].values()) == sum(told["by_caller"].values()) == total
    assert runs["n"] == len(rows)
    return total


ENDINGS = {
    "success": (None, {}, "success"),
    "error": ("raise", {}, "error"),
    "pause": ("ask", {}, "success"),
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("ending", ENDINGS)
async def test_what_was_served_is_what_is_in_the_rows(http, ending, stream):
    thread_id = f"served-{ending}-{stream}"
    how, _, status = ENDINGS[ending]
    call = {**PLAIN, "stream": stream}
    await wait(http, thread_id, asking(call, call, **({"ending": how} if how else {})))
    rows = await calls_of(http, thread_id)
    assert [(row["input_tokens"], row["output_tokens"], row["usage_source"]) for row in rows] == [
        (READ, WORDS, "reported")
    ] * 2
    assert {(row["provider"], row["model"], row["model_requested"]) for row in rows} == {
        ("openai", "plain-v1", "plain")
    }
    assert {(row["environment"], row["release"], row["graph_id"]) for row in rows} == {("testing", "r1", "billing")}
    assert all((row["first_token_at"] is not None) == stream for row in rows)
    assert await agreed(http, thread_id) == 2 * (READ + WORDS)
    (run,) = (await http.get(f"/api/threads/{thread_id}/runs")).json()
    assert (run["status"], run["total_tokens"]) == (status, 2 * (READ + WORDS))


async def test_parts_of_tokens_have_their_columns(http):
    await wait(http, "parts", asking({"model": "caching"}, {"model": "caching", "stream": True}))
    rows = await calls_of(http, "parts")
    assert [(row["cache_read_tokens"], row["reasoning_tokens"], row["total_tokens"]) for row in rows] == [
        (CACHED, REASONED, READ + WORDS)
    ] * 2


async def test_a_stream_that_says_nothing_of_its_usage_is_estimated(http):
    await wait(http, "silent", asking({"model": "silent", "stream": True, "usage": False}))
    (row,) = await calls_of(http, "silent")
    assert (row["usage_source"], row["status"]) == ("estimated", "success")
    assert row["output_tokens"] > 0
    assert [gap["model"] for gap in await query(http, "select distinct model from usage_gaps")] == ["silent-v1"]
    await agreed(http, "silent")


async def test_tools_are_counted_with_the_calls_that_asked_for_them(http):
    await wait(http, "tools", asking({"model": "calling", "tag": "subagent:scout"}))
    rows = await calls_of(http, "tools")
    assert [row["finish_reason"] for row in rows] == ["tool_calls", "stop"]
    assert {(row["caller"], row["caller_name"]) for row in rows} == {("subagent", "scout")}
    (run,) = await query(
        http, "select tool_call_count, subagent_tokens, total_tokens from runs where thread_id = 'tools'"
    )
    assert run["tool_call_count"] == 1
    assert run["subagent_tokens"] == run["total_tokens"] == await agreed(http, "tools")


@pytest.mark.parametrize(
    ("model", "source"), [("refusing", "missing"), ("breaking", "estimated")], ids=["before a token", "in mid-stream"]
)
async def test_a_call_that_fails_is_a_row(http, model, source):
    await wait(http, model, asking({"model": model, "stream": True, "ignored": True}, PLAIN))
    failed, whole = await calls_of(http, model)
    assert (failed["status"], failed["usage_source"], failed["total_tokens"] > 0) == (
        "error",
        source,
        source != "missing",
    )
    assert failed["error_type"]
    assert whole["status"] == "success"
    await agreed(http, model)


@pytest.mark.parametrize("how", ["interrupt", "rollback", "displaced"])
async def test_a_call_that_is_cut_off_is_one_row_and_its_run_counts(http, models, how):
    thread_id, before = f"cut-{how}", models[1].requests
    run_id = await create(http, "/api", thread_id, **asking(PLAIN, ENDLESS), stream_mode="messages-tuple")
    await asyncio.to_thread(models[1].wait_for, before + 2)
    await said(http, thread_id, run_id, "more ")
    if how == "displaced":
        await wait(http, thread_id, {**asking(PLAIN), "multitask_strategy": "rollback"})
    elif how == "rollback":
        await http.post(f"/api/threads/{thread_id}/runs/{run_id}/cancel", params={"wait": "1", "action": "rollback"})
    else:
        await cancel(http, "/api", thread_id, run_id)
    rows = [row for row in await calls_of(http, thread_id) if row["run_id"] == run_id]
    assert [(row["model_requested"], row["status"], row["usage_source"]) for row in rows] == [
        ("plain", "success", "reported"),
        ("endless", "cancelled", "estimated"),
    ]
    assert rows[1]["output_tokens"] >= WORDS
    await agreed(http, thread_id)


async def said(http, thread_id, run_id, text):
    """Until the run's stream has said it."""
    params = {"stream_mode": "messages-tuple"}
    async with http.stream("GET", f"/api/threads/{thread_id}/runs/{run_id}/stream", params=params) as answer:
        async for line in answer.aiter_lines():
            if text in line:
                return
    raise AssertionError(f"{run_id} did not say {text}")


async def test_a_pause_and_its_resume_count_what_each_has_called(http):
    await wait(http, "resumed", asking(PLAIN, ending="ask"))
    before = await calls_of(http, "resumed")
    await wait(http, "resumed", {"assistant_id": "billing", "command": {"resume": "yes"}})
    assert await calls_of(http, "resumed") == before
    assert len(before) == 1


async def test_what_is_reported_from_outside_counts_once(http):
    await wait(http, "reported", asking(ending="report"))
    (row,) = await calls_of(http, "reported")
    assert (row["model"], row["input_tokens"], row["output_tokens"]) == ("elsewhere", 5, 2)
    assert await agreed(http, "reported") == 7


async def test_the_terminal_shows_what_was_used(http, server):
    await wait(http, "shown", asking(PLAIN, {"model": "plain", "tag": "subagent:scout"}))
    shown = treadle("usage", "--days", "1", "--url", server.url)
    assert (shown.returncode, shown.stderr) == (0, "")
    for words in ("By day and model", "plain-v1", "By caller", "scout", "Dearest threads"):
        assert words in shown.stdout
    none = treadle("usage", "--assistant", "nobody", "--url", server.url)
    assert (none.returncode, "plain-v1" in none.stdout) == (0, False)
    lost = treadle("usage", "--url", "http://127.0.0.1:9")
    assert (lost.returncode, lost.stderr) == (2, "treadle: No server answers at http://127.0.0.1:9\n")


def treadle(*arguments):
    env = {**os.environ, "COLUMNS": "200"}
    return subprocess.run(command(*arguments), capture_output=True, timeout=60, check=False, env=env, text=True)


async def test_thirty_two_runs_at_once_lose_no_call(http, models):
    before = {model: list(tokens) for model, tokens in models[1].tokens.items()}
    calls = [{"model": "plain", "stream": number % 2 == 0} for number in range(4)]
    threads = [f"parallel-{number}" for number in range(32)]
    await asyncio.gather(*(wait(http, thread_id, asking(*calls, together=True)) for thread_id in threads))
    (sums,) = await query(
        http,
        "select sum(input_tokens)::bigint i, sum(output_tokens)::bigint o, count(*) n from model_calls"
        " where thread_id like 'parallel-%'",
    )
    assert sums["n"] == 32 * 4
    served = [after - earlier for after, earlier in zip(models[1].tokens["plain"], before["plain"], strict=True)]
    assert [sums["i"], sums["o"]] == served


async def test_a_process_that_is_killed_in_mid_call_leaves_a_lost_row_and_its_attempt_the_rest(http, server, models):
    before = models[1].requests
    run_id = await create(http, "/api", "killed", **asking(PLAIN, ENDLESS, on_disconnect="continue"))
    await asyncio.to_thread(models[1].wait_for, before + 2)
    await told_of_open_call(http, run_id)
    os.kill(slot_of(server, models[1].last_port), signal.SIGKILL)
    await asyncio.to_thread(models[1].wait_for, before + 4)
    await cancel(http, "/api", "killed", run_id)
    rows = await calls_of(http, "killed")
    assert sorted((row["attempt"], row["model_requested"], row["status"]) for row in rows) == [
        (1, "endless", "lost"),
        (1, "plain", "success"),
        (2, "endless", "cancelled"),
        (2, "plain", "success"),
    ]
    await agreed(http, "killed")


async def told_of_open_call(http, run_id):
    """Until the ledger knows of a call under way: reading is how one asks."""
    while not await query(http, "select 1 from open_calls where run_id = ?::uuid", run_id):
        pass


def slot_of(server, port):
    """The process that has this port: the one that asked the models' server."""
    (slot,) = [process for process in server.family() if port in {one.laddr.port for one in process.net_connections()}]
    return slot.pid
