"""SQL over HTTP: what was answered is seen, in three forms, and what goes wrong has its status."""

import asyncio
import csv
import io

import anyio
import duckdb
import httpx
import pyarrow as pa
import pytest

from storage.analytics import AT_ONCE, MOST_WAITING

ENDLESS = "select count(*) from range(10000000) a, range(10000000) b"


@pytest.fixture
def ask(http, prefix):
    """A way to ask, at both places."""

    async def ask(sql, *, headers=None, **given):
        return await http.post(f"{prefix}/analytics/query", json={"sql": sql, **given}, headers=headers)

    return ask


async def test_what_was_answered_a_moment_ago_is_seen(ask, http):
    thread = (await http.post("/threads", json={"metadata": {"team": "x"}})).json()
    answer = await ask("select metadata->>'team' from threads where thread_id = $1", params=[thread["thread_id"]])
    assert answer.status_code == 200
    assert answer.json()["rows"] == [["x"]]


async def test_the_shape_of_an_answer(ask):
    answer = (await ask("select 1 as n, 'a' as t")).json()
    assert answer.pop("elapsed_ms") > 0
    assert answer == {
        "columns": [{"name": "n", "type": "INTEGER"}, {"name": "t", "type": "VARCHAR"}],
        "rows": [[1, "a"]],
        "row_count": 1,
        "truncated": False,
    }


@pytest.mark.parametrize("chosen", ["by field", "by Accept"])
async def test_the_form_is_chosen_by_field_or_by_accept(ask, chosen):
    for form, media_type in [
        ("json", "application/json"),
        ("csv", "text/csv"),
        ("arrow", "application/vnd.apache.arrow.stream"),
    ]:
        if chosen == "by field":
            answer = await ask("from range(5)", max_rows=3, format=form)
        else:
            answer = await ask("from range(5)", max_rows=3, headers={"Accept": f"{media_type}; q=0.9, */*"})
        assert answer.headers["content-type"].startswith(media_type)
        assert (answer.headers["x-row-count"], answer.headers["x-truncated"]) == ("3", "true")
        match form:
            case "json":
                assert (answer.json()["rows"], answer.json()["truncated"]) == ([[0], [1], [2]], True)
            case "csv":
                assert list(csv.reader(io.StringIO(answer.text))) == [["range"], ["0"], ["1"], ["2"]]
            case _:
                assert pa.ipc.open_stream(answer.content).read_all().column(0).to_pylist() == [0, 1, 2]


async def test_a_large_answer_comes_whole_and_holds_up_nobody(ask, http):
    sql = "select repeat('x', 1000) || range as text from range(30000)"
    large = asyncio.create_task(ask(sql, max_rows=30000, format="csv"))
    while not large.done():
        assert (await http.get("/ok")).status_code == 200
        await anyio.lowlevel.checkpoint()
    answer = await large
    assert len(answer.content) > 30_000_000
    assert answer.text.splitlines()[-1] == "x" * 1000 + "29999"


async def test_a_query_is_explained_and_not_made(ask):
    answer = (await ask("from threads", explain=True)).json()
    assert "threads" in answer["rows"][0][1]


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ({"sql": "select * from nowhere"}, 400, "Table with name nowhere does not exist"),
        ({"sql": "drop table runs"}, 400, "Only SELECT may be asked, not DROP"),
        ({"sql": "with x as (delete from runs returning *) from x", "explain": True}, 400, "Only SELECT"),
        ({"sql": "from read_csv('/etc/passwd')"}, 400, "read_csv may not be used here"),
        ({"sql": "select 1", "params": [1]}, 400, "Parameter"),
        ({"sql": ENDLESS, "timeout_s": 0.1}, 408, "longer than 0.1 s"),
        ({"sql": "select '" + "x" * 70_000 + "'"}, 413, "64 KiB"),
        ({"sql": "select repeat('x', 1000000) from range(40)"}, 413, "32 MiB"),
        ({}, 422, "sql"),
        ({"sql": 1}, 422, "sql"),
        ({"sql": "select 1", "format": "xml"}, 422, "format"),
        ({"sql": "select 1", "max_rows": 0}, 422, "max_rows"),
        ({"sql": "select 1", "max_rows": 1_000_001}, 422, "max_rows"),
        ({"sql": "select 1", "timeout_s": 0}, 422, "timeout_s"),
        ({"sql": "select 1", "timeout_s": 61}, 422, "timeout_s"),
        ({"sql": "select 1", "explain": "yes"}, 422, "explain"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_what_goes_wrong_has_its_status_and_says_why(http, server, body, status, says):
    answer = await http.post("/analytics/query", json=body)
    assert (answer.status_code, says in answer.json()["detail"]) == (status, True), answer.text
    assert str(server.data) not in answer.text


async def test_so_many_are_answered_at_once_so_many_wait_and_the_next_is_told_to_come_again(http):
    query = {"sql": ENDLESS, "timeout_s": 1}
    asking = [http.post("/analytics/query", json=query) for _ in range(AT_ONCE + MOST_WAITING + 4)]
    answers = await asyncio.gather(*asking)
    refused = [answer for answer in answers if answer.status_code == 429]
    assert refused
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
    assert {answer.status_code for answer in answers} == {408, 429}
    assert (await http.post("/analytics/query", json={"sql": "select 1"})).status_code == 200


async def test_runs_go_on_while_two_queries_scan(http, thread_id):
    scanning = [
        asyncio.create_task(http.post("/analytics/query", json={"sql": ENDLESS, "timeout_s": 5}))
        for _ in range(AT_ONCE)
    ]
    body = {"assistant_id": "echo", "input": {"messages": [{"role": "user", "content": "hi"}]}}
    answer = await http.post(f"/threads/{thread_id}/runs/wait", json=body)
    assert answer.status_code == 200
    assert not any(task.done() for task in scanning)
    for task in scanning:
        task.cancel()
    await asyncio.gather(*scanning, return_exceptions=True)


async def test_a_second_process_that_opens_the_live_file_is_refused(server):
    with pytest.raises(duckdb.Error, match="lock"):
        duckdb.connect(server.data / "treadle.duckdb", read_only=True)


async def test_it_is_documented(http: httpx.AsyncClient):
    paths = (await http.get("/openapi.json")).json()["paths"]
    assert set(paths["/analytics/query"]["post"]["responses"]) >= {"200", "400", "408", "413", "429"}
