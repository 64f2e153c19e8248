"""What people think of runs, over HTTP."""

import pytest

from tests.system.calls import HELLO, stream
from tests.system.test_messages import messages_of, ran

UNKNOWN = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
async def run_id(http, new_id):
    """A run with an answer, on a thread of its own."""
    return await ran(http, new_id, "look")


@pytest.fixture
def path(new_id, run_id):
    return f"/api/threads/{new_id}/runs/{run_id}/feedback"


async def give(http, path, **body):
    answer = await http.put(path, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_feedback_is_given_then_replaced_then_taken_back_once(http, new_id, run_id, path):
    assert (await http.get(path)).json() == []
    first = await give(http, path, rating=1, comment="gut äöü", message_id="m1")
    assert first == {
        "feedback_id": first["feedback_id"],
        "run_id": run_id,
        "thread_id": new_id,
        "user_id": None,
        "message_id": "m1",
        "rating": 1,
        "comment": "gut äöü",
        "created_at": first["created_at"],
    }
    assert first["created_at"].endswith("+00:00")
    second = await give(http, path, rating=-1)
    assert second == first | {"message_id": None, "rating": -1, "comment": None, "created_at": second["created_at"]}
    assert second["created_at"] > first["created_at"]
    assert (await http.get(path)).json() == [second]
    stats = {"run_id": run_id, "total": 1, "positive": 0, "negative": 1}
    assert (await http.get(f"{path}/stats")).json() == stats
    gone = await http.delete(path)
    assert (gone.status_code, gone.json()) == (200, {"success": True})
    again = await http.delete(path)
    assert (again.status_code, again.json()) == (404, {"detail": "No feedback found for this run"})
    assert (await http.get(path)).json() == []
    assert (await http.get(f"{path}/stats")).json() == stats | {"total": 0, "negative": 0}


@pytest.mark.parametrize("rating", [0, 5, -2, 10**30])
async def test_a_rating_is_up_or_down(http, path, rating):
    answer = await http.put(path, json={"rating": rating})
    assert (answer.status_code, answer.json()) == (400, {"detail": "rating must be +1 or -1"})
    assert (await http.get(path)).json() == []


@pytest.mark.parametrize(
    ("body", "loc"),
    [
        ({}, ["rating"]),
        ({"rating": None}, ["rating"]),
        ({"rating": "1"}, ["rating"]),
        ({"rating": True}, ["rating"]),
        ({"rating": 0.5}, ["rating"]),
        ({"rating": 1, "comment": 5}, ["comment"]),
        ({"rating": 1, "message_id": []}, ["message_id"]),
        ([], []),
    ],
    ids=str,
)
async def test_a_body_of_the_wrong_form_is_refused_by_name(http, path, body, loc):
    answer = await http.put(path, json=body)
    assert (answer.status_code, [one["loc"] for one in answer.json()["detail"]]) == (422, [["body", *loc]])


@pytest.mark.parametrize("run_id", [UNKNOWN, "no-uuid"])
async def test_an_unknown_run_is_not_found_whatever_is_asked(http, thread_id, run_id):
    path = f"/api/threads/{thread_id}/runs/{run_id}/feedback"
    answers = [
        await http.put(path, json={"rating": 5}),
        await http.get(path),
        await http.delete(path),
        await http.get(f"{path}/stats"),
    ]
    for answer in answers:
        assert (answer.status_code, answer.json()) == (404, {"detail": f"Run {run_id} not found"})


async def test_an_unknown_thread_is_not_found_where_it_must_be_known(http, new_id):
    path = f"/api/threads/{new_id}/runs/{UNKNOWN}/feedback"
    for answer in (await http.put(path, json={"rating": 1}), await http.delete(path)):
        assert (answer.status_code, answer.json()) == (404, {"detail": f"Thread {new_id} not found"})
    for answer in (await http.get(path), await http.get(f"{path}/stats")):
        assert (answer.status_code, answer.json()) == (404, {"detail": f"Run {UNKNOWN} not found"})


async def test_it_stands_with_the_last_answer_of_its_run_also_when_the_page_ends_before(http, new_id, run_id, path):
    await ran(http, new_id, "talk")
    given = await give(http, path, rating=1, comment="well done")
    own = {name: given[name] for name in ("feedback_id", "rating", "comment")}
    rows = await messages_of(http, new_id)
    mine = [row for row in rows if row["run_id"] == run_id]
    assert [row["feedback"] for row in rows] == [own if row is mine[-1] else None for row in rows]
    assert [row["feedback"] for row in await messages_of(http, new_id, before_seq=mine[-1]["seq"])] == [None] * 3


async def test_a_run_that_failed_can_be_judged_too(http, new_id):
    events = await stream(http, "/api", new_id, assistant_id="failing", input={"where": "first"} | HELLO)
    path = f"/api/threads/{new_id}/runs/{events[0].data['run_id']}/feedback"
    assert (await give(http, path, rating=-1))["rating"] == -1
    assert (await http.get(f"{path}/stats")).json()["negative"] == 1
