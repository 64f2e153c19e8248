"""A rollback that cannot restore the state says so to everybody who asks; the thread goes on with what is there."""

import sqlite3
from contextlib import closing, contextmanager

import pytest

from tests.system.calls import join, read, wait
from tests.system.sse import names, parse
from tests.system.test_strategies import done, work, working

FAILED = "Rollback failed: the disk says no"


@contextmanager
def unrestorable(server, thread_id):
    """The checkpoints of a thread cannot be deleted: the file that has them refuses."""
    files = list((server.data / "checkpoints").glob("*.sqlite"))
    for file in files:
        change(file, REFUSE.format(thread_id))
    try:
        yield
    finally:
        for file in files:
            change(file, "DROP TRIGGER refuse")


REFUSE = """
CREATE TRIGGER refuse BEFORE DELETE ON checkpoints WHEN old.thread_id = '{}'
BEGIN SELECT raise(ABORT, 'the disk says no'); END
"""


def change(file, statement):
    with closing(sqlite3.connect(file, timeout=30)) as db, db:
        db.execute(statement)


@pytest.fixture
async def written(server, http, prefix, thread_id):
    """A run that has written a checkpoint which cannot be taken back, on a thread that had a state before."""
    await wait(http, prefix, thread_id, **work("before"))
    run_id = await working(http, prefix, thread_id)
    with unrestorable(server, thread_id):
        yield run_id


async def as_it_failed(http, thread_id, run_id):
    run = await read(http, thread_id, run_id)
    assert (run["status"], run["error"]) == ("error", FAILED)
    shown = (await http.get(f"/threads/{thread_id}/runs/{run_id}")).json()
    assert shown["status"] == "error", "what was not undone is not gone"
    assert (await join(http, thread_id, run_id))["__error__"]["message"] == FAILED
    for prefix, last in (("", ["error"]), ("/api", ["error", "end"])):
        events = parse((await http.get(f"{prefix}/threads/{thread_id}/runs/{run_id}/stream")).content, prefix)
        assert names(events)[-len(last) :] == last
        assert next(event for event in events if event.name == "error").data["message"] == FAILED


async def test_a_cancel_that_waits_is_told(http, prefix, thread_id, written):
    path = f"{prefix}/threads/{thread_id}/runs/{written}/cancel"
    answer = await http.post(path, params={"action": "rollback", "wait": "1"})
    if prefix:
        assert (answer.status_code, answer.json()) == (500, {"detail": FAILED})
        again = await http.post(path, params={"wait": "1"})
        assert (again.status_code, again.json()) == (500, {"detail": FAILED}), "it was ended by a cancel, this way"
        assert (await http.post(path)).status_code == 202
    else:  # its answer had begun before anybody could know
        assert (answer.status_code, answer.json()) == (200, {})
    await as_it_failed(http, thread_id, written)
    thread = (await http.get(f"/threads/{thread_id}")).json()
    assert (thread["status"], thread["error"]["message"]) == ("error", FAILED)
    assert (await done(http, prefix, thread_id))[-1] == "first: begun"


async def test_a_run_that_displaces_another_goes_on_from_what_is_there(http, prefix, thread_id, written):
    values = await wait(http, prefix, thread_id, **work("after", multitask_strategy="rollback"))
    assert values["done"][3:] == ["first: begun", "after: begun", "after: worked", "after: ended"]
    await as_it_failed(http, thread_id, written)
    assert (await http.get(f"/threads/{thread_id}")).json()["status"] == "idle"
