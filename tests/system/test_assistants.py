"""Assistants, and what the server says about itself."""

from uuid import UUID, uuid5

import pytest

SYSTEM = UUID("6ba7b821-9dad-11d1-80b4-00c04fd430c8")
GRAPHS = 32


async def search(http, prefix, **body):
    answer = await http.post(f"{prefix}/assistants/search", json=body)
    assert answer.status_code == 200, answer.text
    return answer


@pytest.fixture
async def echo(http):
    """The system assistant of the graph `echo`."""
    return (await http.get("/assistants/echo")).json()


async def test_each_graph_has_an_assistant_by_name_and_by_id(http, prefix):
    by_name = await http.get(f"{prefix}/assistants/echo")
    by_id = await http.get(f"{prefix}/assistants/{uuid5(SYSTEM, 'echo')}")
    assert by_name.json() == by_id.json()
    assistant = by_name.json()
    assert assistant == {
        "assistant_id": str(uuid5(SYSTEM, "echo")),
        "graph_id": "echo",
        "config": {},
        "context": {},
        "metadata": {"created_by": "system"},
        "name": "echo",
        "description": "Answers with what it was told.",
        "version": 1,
        "created_at": assistant["created_at"],
        "updated_at": assistant["updated_at"],
    }
    assert assistant["created_at"].endswith("+00:00")


@pytest.mark.parametrize(
    ("name", "status"), [("nobody", 422), ("00000000-0000-4000-8000-000000000000", 404)], ids=["name", "uuid"]
)
async def test_an_unknown_assistant_is_refused(http, prefix, name, status):
    assert (await http.get(f"{prefix}/assistants/{name}")).status_code == status


async def test_a_search_goes_through_all_of_them_page_by_page(http, prefix):
    seen, offset = [], 0
    while True:
        page = await search(http, prefix, limit=7, offset=offset, sort_by="name", sort_order="asc")
        assert page.headers["x-pagination-total"] == str(GRAPHS)
        seen += [assistant["name"] for assistant in page.json()]
        if "x-pagination-next" not in page.headers:
            break
        offset = int(page.headers["x-pagination-next"])
    assert seen == sorted(seen)
    assert len(set(seen)) == GRAPHS


async def test_a_search_gives_ten_if_nothing_else_is_said(http, prefix):
    assert len((await search(http, prefix)).json()) == 10


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"graph_id": "echo"}, ["echo"]),
        ({"graph_id": "nobody"}, []),
        ({"name": "FACTORY_con"}, ["factory_config", "factory_context"]),
        ({"name": "factory_%"}, []),
        ({"metadata": {"created_by": "system"}, "graph_id": "slow"}, ["slow"]),
        ({"metadata": {"created_by": "somebody"}}, []),
        ({"offset": GRAPHS}, []),
    ],
    ids=str,
)
async def test_a_search_obeys_every_filter(http, prefix, given, found):
    answer = await search(http, prefix, limit=1000, **given)
    assert sorted(assistant["graph_id"] for assistant in answer.json()) == found
    if "offset" not in given:
        assert answer.headers["x-pagination-total"] == str(len(found))


@pytest.mark.parametrize("sort_by", ["assistant_id", "created_at", "updated_at", "name", "graph_id"])
async def test_a_search_sorts_both_ways(http, prefix, sort_by):
    up, down = [
        (await search(http, prefix, limit=100, sort_by=sort_by, sort_order=order)).json() for order in ("asc", "desc")
    ]
    keys = [assistant[sort_by] for assistant in up]
    assert keys == sorted(keys)
    assert [assistant[sort_by] for assistant in down] == sorted(keys, reverse=True)


async def test_a_search_gives_the_fields_that_were_asked_for(http, prefix, echo):
    answer = await search(http, prefix, graph_id="echo", select=["assistant_id", "name"])
    assert answer.json() == [{"assistant_id": echo["assistant_id"], "name": "echo"}]


@pytest.mark.parametrize(
    "wrong", [{"limit": 0}, {"limit": 1001}, {"offset": -1}, {"sort_by": "mood"}, {"select": ["mood"]}], ids=str
)
async def test_a_search_that_asks_for_nonsense_is_refused(http, prefix, wrong):
    answer = await http.post(f"{prefix}/assistants/search", json=wrong)
    assert answer.status_code == 422
    assert next(iter(wrong)) in answer.json()["detail"]


async def test_the_server_says_that_it_is_ready(http, prefix):
    for path in ("/ok", "/"):
        answer = await http.get(prefix + path)
        assert (answer.status_code, answer.content) == (200, b'{"ok":true}')


async def test_the_server_says_what_it_is(http, prefix):
    info = (await http.get(f"{prefix}/info")).json()
    assert set(info) == {"version", "langgraph_py_version", "flags", "host"}
    assert (info["flags"]["assistants"], info["flags"]["crons"]) == (True, False)


async def test_the_endpoints_are_described(http):
    schema = (await http.get("/openapi.json")).json()
    assert schema["info"]["title"] == "Treadle"
    assert {
        "/threads/{thread_id}/runs/stream",
        "/api/threads/{thread_id}/runs/stream",
        "/threads/{thread_id}/state",
        "/assistants/search",
        "/ok",
    } <= set(schema["paths"])
    docs = await http.get("/docs")
    assert (docs.status_code, docs.headers["content-type"]) == (200, "text/html; charset=utf-8")


async def test_a_page_of_another_origin_may_ask_for_a_stream_and_take_it_up_again(http, prefix, thread_id):
    wanted = "authorization,content-type,last-event-id,x-api-key"
    headers = {
        "origin": "https://example.com",
        "access-control-request-method": "POST",
        "access-control-request-headers": wanted,
    }
    answer = await http.options(f"{prefix}/threads/{thread_id}/runs/stream", headers=headers)
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "POST" in answer.headers["access-control-allow-methods"]
    allowed = {name.strip().lower() for name in answer.headers["access-control-allow-headers"].split(",")}
    assert set(wanted.split(",")) <= allowed


async def test_a_page_of_another_origin_may_read_where_its_run_is(http, prefix, thread_id):
    body = {"assistant_id": "slow", "input": {"seconds": 0}}
    headers = {"origin": "https://example.com"}
    answer = await http.post(f"{prefix}/threads/{thread_id}/runs/stream", json=body, headers=headers)
    exposed = {name.strip() for name in answer.headers["access-control-expose-headers"].split(",")}
    assert exposed == {
        "Content-Location",
        "Location",
        "X-Pagination-Total",
        "X-Pagination-Next",
        "X-Request-Id",
        "X-Row-Count",
        "X-Truncated",
    }
    assert "access-control-allow-credentials" not in answer.headers


async def test_a_requests_name_comes_back_with_its_answer(http, prefix, thread_id):
    named = {"x-request-id": "request-7"}
    for path in ("/ok", f"/threads/{thread_id}/runs", "/nowhere"):
        assert (await http.get(prefix + path, headers=named)).headers["x-request-id"] == "request-7"
    assert "x-request-id" not in (await http.get(f"{prefix}/ok")).headers
