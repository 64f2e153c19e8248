"""Model calls and logs in the ledger: each once, whoever dies and whatever is asked again."""

import asyncio
import os
import signal
import sys
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import anyio
import duckdb
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from actors.ledger import Ledger
from storage import bindings, recordings, runs
from storage.accounting import PENDING, CallStatus, LogEnd, Price, Recording, UsageSource
from storage.bindings import Bind
from storage.database import migrate
from storage.deployment import Deployment
from storage.errors import RunNotFoundError, StaleError
from storage.records import Admission, RunRequest, RunStatus, Settlement
from tests.factories import NOON, a_call, a_run, a_thread, an_event
from tests.unit.conftest import a_writer, do

DIES_BEFORE_ITS_ANSWER = """
import asyncio, os, signal, sys
import msgspec
from actors.ledger import Ledger
from storage.accounting import Recording

async def main():
    ledger = Ledger(sys.argv[1])
    await ledger.open()
    await ledger.record(msgspec.json.decode(sys.argv[2], type=Recording))
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""

COLUMNS = (
    "llm_call_count, tool_call_count, total_input_tokens, total_output_tokens, total_tokens, lead_agent_tokens, "
    "subagent_tokens, middleware_tokens, cost_usd, unpriced_calls"
)


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "treadle.duckdb")


@pytest.fixture
async def ledger(path):
    ledger = Ledger(path, Deployment(environment="test", release="1.2"))
    await ledger.open()
    yield ledger
    await ledger.close()


@pytest.fixture
async def run(ledger):
    """A run of thread t1, admitted under epoch 1."""
    return await admitted(ledger)


async def admitted(ledger, thread_id="t1", epoch=1, **given):
    if epoch == 1:
        await ledger.bind(thread_id, must_exist=False)
    run = a_run(thread_id, **given)
    await ledger.admit(Admission(run=run, epoch=epoch, new_thread=a_thread(thread_id)))
    return run


def a_recording(run, *calls, epoch=1, events=(), opened=()):
    return Recording(
        thread_id=run.thread_id, epoch=epoch, calls=tuple(calls), events=tuple(events), opened=tuple(opened)
    )


def a_settlement(run, *calls, epoch=1, status=RunStatus.SUCCESS, **told):
    recording = a_recording(run, *calls, epoch=epoch, **told)
    return Settlement(run=replace(run, status=status), epoch=epoch, recording=recording)


async def asked(ledger, sql, *given):
    return await ledger._read(lambda db: db.execute(sql, given).fetchall())


async def calls_of(ledger, run):
    sql = "SELECT call_id::VARCHAR, status FROM model_calls WHERE run_id = ? ORDER BY call_id"
    return await asked(ledger, sql, run.run_id)


async def events_of(ledger, thread_id="t1"):
    sql = "SELECT seq, run_id::VARCHAR, event_type FROM events WHERE thread_id = ? ORDER BY seq"
    return await asked(ledger, sql, thread_id)


async def roll_up(ledger, run):
    ((calls, tools, *_, total, lead, sub, middle, cost, unpriced),) = await asked(
        ledger, f"SELECT {COLUMNS} FROM runs WHERE run_id = ?", run.run_id
    )
    assert lead + sub + middle == total
    return {"calls": calls, "tools": tools, "total": total, "cost": cost, "unpriced": unpriced}


async def test_a_call_is_a_row_in_which_each_fact_has_its_column(ledger):
    run = await admitted(ledger, user_id="ann", metadata={"team": "blue", "ls_x": 1})
    call = a_call(
        run,
        attempt=2,
        node="search",
        step=3,
        checkpoint_ns="research:9|search:4",
        subgraph="research",
        caller="subagent",
        caller_name="research",
        tool="look_up",
        provider="openai",
        model_requested="gpt-4o",
        model="gpt-4o-2024-08-06",
        first_token_at=NOON,
        finish_reason="stop",
        cache_read_tokens=1,
        cache_write_tokens=2,
        input_audio_tokens=3,
        output_audio_tokens=4,
        reasoning_tokens=5,
        usage_detail={"service_tier": "flex"},
    )
    await ledger.record(a_recording(run, call))
    sql = """
        SELECT * EXCLUDE recorded_at REPLACE (
            call_id::VARCHAR AS call_id, run_id::VARCHAR AS run_id, epoch_us(started_at) AS started_at,
            epoch_us(first_token_at) AS first_token_at, epoch_us(ended_at) AS ended_at
        ) FROM model_calls
    """
    noon = round(NOON.timestamp() * 1_000_000)
    names, (row,) = await ledger._read(lambda db: ([name for name, *_ in db.execute(sql).description], db.fetchall()))
    assert {name: value for name, value in zip(names, row, strict=True) if value is not None} == {
        "thread_id": "t1",
        "attempt": 2,
        "user_id": "ann",
        "assistant_id": "a1",
        "assistant_version": run.assistant_version,
        "graph_id": "agent",
        "node": "search",
        "step": 3,
        "checkpoint_ns": "research:9|search:4",
        "subgraph": "research",
        "caller": "subagent",
        "caller_name": "research",
        "tool": "look_up",
        "provider": "openai",
        "model_requested": "gpt-4o",
        "model": "gpt-4o-2024-08-06",
        "started_at": noon,
        "first_token_at": noon,
        "ended_at": noon,
        "input_tokens": 7,
        "output_tokens": 5,
        "total_tokens": 12,
        "cache_read_tokens": 1,
        "cache_write_tokens": 2,
        "input_audio_tokens": 3,
        "output_audio_tokens": 4,
        "reasoning_tokens": 5,
        "usage_source": "reported",
        "usage_detail": '{"service_tier":"flex"}',
        "from_cache": False,
        "status": "success",
        "finish_reason": "stop",
        "unpriced_reason": "pending",
        "tags": [],
        "metadata": '{"team":"blue"}',
        "environment": "test",
        "release": "1.2",
        "call_id": call.call_id,
        "run_id": run.run_id,
    }


async def test_a_call_that_is_sent_twice_is_one(ledger, run):
    call = a_call(run)
    recording = a_recording(run, call, events=[an_event(run, 1)])
    await ledger.record(recording)
    await ledger.record(recording)
    await asyncio.gather(*[ledger.record(recording) for _ in range(3)])
    await ledger.record(a_recording(run, call, replace(call, status=CallStatus.ERROR), call))
    await ledger.settle(a_settlement(run, call, events=[an_event(run, 1), an_event(run, 2)]))
    assert await calls_of(ledger, run) == [(call.call_id, "success")]
    assert (await roll_up(ledger, run))["total"] == 12
    assert [seq for seq, *_ in await events_of(ledger)] == [1, 2]


async def test_calls_of_two_threads_that_come_together_are_told_apart(ledger, run):
    other = await admitted(ledger, "t2")
    mine, hers = [a_call(run) for _ in range(3)], [a_call(other, total_tokens=100)]
    await asyncio.gather(
        ledger.record(a_recording(run, *mine, mine[0])),
        ledger.record(a_recording(other, *hers, hers[0])),
        ledger.record(a_recording(run, *mine[:2])),
    )
    assert [call_id for call_id, _ in await calls_of(ledger, run)] == sorted(call.call_id for call in mine)
    assert (await roll_up(ledger, run))["total"] == 36
    assert (await roll_up(ledger, other))["total"] == 100


async def test_who_was_replaced_changes_nothing(ledger, run):
    await ledger.bind("t1", must_exist=True)
    late = a_recording(run, a_call(run), events=[an_event(run, 1)], opened=[a_call(run, status=CallStatus.LOST)])
    for write in (ledger.record(late), ledger.settle(a_settlement(run, a_call(run)))):
        with pytest.raises(StaleError):
            await write
    assert await calls_of(ledger, run) == []
    assert await events_of(ledger) == []
    assert await asked(ledger, "SELECT * FROM open_calls") == []
    assert (await roll_up(ledger, run))["calls"] == 0


async def test_calls_under_way_are_lost_with_their_actor_and_only_once(ledger, run):
    ended, lost = [a_call(run, status=CallStatus.LOST, usage_source=UsageSource.ESTIMATED) for _ in range(2)]
    await ledger.record(a_recording(run, opened=[ended, lost]))
    await ledger.record(a_recording(run, replace(ended, status=CallStatus.SUCCESS, was_open=True)))
    for epoch in (2, 3):
        assert (await ledger.bind("t1", must_exist=True)).epoch == epoch
        assert sorted(await calls_of(ledger, run)) == sorted([(ended.call_id, "success"), (lost.call_id, "lost")])
    assert await asked(ledger, "SELECT * FROM open_calls") == []
    assert (await roll_up(ledger, run))["total"] == 24
    await ledger.settle(a_settlement(run, a_call(run, attempt=2), epoch=3))
    assert await roll_up(ledger, run) == {"calls": 3, "tools": 0, "total": 36, "cost": None, "unpriced": 3}


@pytest.mark.parametrize("together", [True, False])
async def test_a_call_that_has_ended_is_no_longer_under_way(ledger, run, together):
    call = a_call(run)
    if together:
        await ledger.record(a_recording(run, replace(call, was_open=True), opened=[call]))
    else:
        await ledger.record(a_recording(run, opened=[call]))
        await ledger.settle(a_settlement(run, replace(call, was_open=True), opened=[call]))
    assert await asked(ledger, "SELECT * FROM open_calls") == []
    assert await calls_of(ledger, run) == [(call.call_id, "success")]


async def test_a_thread_goes_with_its_log_and_leaves_its_calls(ledger, run):
    call = a_call(run)
    await ledger.settle(a_settlement(run, call, events=[an_event(run, 1), an_event(run, 2)]))
    await ledger.delete_thread("t1", epoch=1)
    assert await events_of(ledger) == []
    assert await calls_of(ledger, run) == [(call.call_id, "success")]
    assert (await roll_up(ledger, run))["total"] == 12
    new = await admitted(ledger, epoch=2) if (await ledger.bind("t1", must_exist=False)).epoch == 2 else None
    await ledger.record(a_recording(new, events=[an_event(new, 1)], epoch=2))
    assert await events_of(ledger) == [(1, new.run_id, "llm.ai.response")]


async def test_a_temporary_thread_goes_with_its_log_and_leaves_its_calls(ledger):
    run = await admitted(ledger, request=RunRequest(temporary=True))
    call = a_call(run)
    await ledger.settle(a_settlement(run, call, events=[an_event(run, 1)]))
    assert await events_of(ledger) == []
    assert await calls_of(ledger, run) == [(call.call_id, "success")]


async def test_a_report_after_the_end_is_added_up_and_changes_no_status(ledger, run):
    await ledger.settle(a_settlement(run, a_call(run), status=RunStatus.ERROR))
    before = await ledger.run("t1", run.run_id)
    late = a_call(run, caller="subagent")
    for _ in range(2):
        await ledger.report([late, late])
    assert (await roll_up(ledger, run))["total"] == 24
    after = await ledger.run("t1", run.run_id)
    assert after.totals.total_tokens == 24
    assert replace(after, totals=before.totals) == before
    assert before.status is RunStatus.ERROR


async def test_a_report_for_an_unknown_run_is_refused_alone(ledger, run):
    unknown, known = a_run(), a_call(run)
    outcomes = await asyncio.gather(
        ledger.report([known]),
        ledger.report([a_call(run), a_call(unknown)]),
        return_exceptions=True,
    )
    assert [type(one) for one in outcomes] == [type(None), RunNotFoundError]
    assert await calls_of(ledger, run) == [(known.call_id, "success")]


async def test_an_answer_lost_with_the_ledgers_process_is_asked_for_again(path):
    ledger = Ledger(path)
    await ledger.open()
    run = await admitted(ledger)
    await ledger.close()
    call, opened = a_call(run), a_call(run)
    recording = a_recording(run, call, opened=[opened], events=[an_event(run, 1), an_event(run, 2, "llm.tool.result")])
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    given = msgspec.json.encode(recording).decode()
    died = await anyio.run_process([sys.executable, "-c", DIES_BEFORE_ITS_ANSWER, path, given], check=False, env=env)
    assert died.returncode == -signal.SIGKILL
    await ledger.open()
    assert await calls_of(ledger, run) == [(call.call_id, "success")]
    await ledger.record(recording)
    assert await calls_of(ledger, run) == [(call.call_id, "success")]
    assert [seq for seq, *_ in await events_of(ledger)] == [1, 2]
    assert await roll_up(ledger, run) == {"calls": 1, "tools": 1, "total": 12, "cost": None, "unpriced": 1}
    await ledger.close()


async def test_a_binding_tells_where_the_log_ends(ledger, run):
    asked_for = an_event(run, 1, "llm.human.input", '{"id": "h1"}', message_id="h1")
    await ledger.record(a_recording(run, events=[asked_for, an_event(run, 2)]))
    assert (await ledger.bind("t1", must_exist=True)).log == LogEnd(2, "h1")
    await ledger.close()
    await ledger.open()
    assert (await ledger.bind("t1", must_exist=True)).log == LogEnd(2, "h1")
    assert (await ledger.bind("t2", must_exist=False)).log == LogEnd()


@pytest.mark.parametrize("again", ["admit", "settle"])
async def test_what_comes_with_a_write_that_was_made_before_is_kept_all_the_same(ledger, run, again):
    """Its answer was lost, and more has happened since."""
    call, since = a_call(run), a_call(run)
    if again == "settle":
        await ledger.settle(a_settlement(run, call, events=[an_event(run, 1)]))
        await ledger.settle(a_settlement(run, call, since, events=[an_event(run, 1), an_event(run, 2)]))
    else:
        admission = Admission(run=a_run(), epoch=1, recording=a_recording(run, call, events=[an_event(run, 1)]))
        more = a_recording(run, call, since, events=[an_event(run, 1), an_event(run, 2)])
        await ledger.admit(admission)
        await ledger.admit(replace(admission, recording=more, again=True))
    assert len(await calls_of(ledger, run)) == 2
    assert [seq for seq, *_ in await events_of(ledger)] == [1, 2]


async def test_a_write_that_is_asked_for_again_brings_no_log_back(ledger, run):
    settlement = a_settlement(run, a_call(run), events=[an_event(run, 1)])
    await ledger.settle(settlement)
    await ledger.delete_thread("t1", epoch=1)
    await ledger.settle(settlement)
    assert await events_of(ledger) == []
    assert len(await calls_of(ledger, run)) == 1


# What calls add up to

TOKENS = st.integers(0, 10_000)
COSTS = st.none() | st.decimals(0, 5, places=10)
CALLERS = st.sampled_from(["lead_agent", "subagent", "middleware"])


@st.composite
def a_history(draw):
    """Calls of two runs: each by number, with its tokens, caller and cost; and the writes that bring them."""
    facts = st.tuples(st.integers(0, 1), TOKENS, TOKENS, CALLERS, COSTS, st.booleans())
    calls = draw(st.lists(facts, max_size=8))
    numbers = st.integers(0, len(calls) - 1) if calls else st.nothing()
    writes = draw(st.lists(st.tuples(st.booleans(), st.lists(numbers, max_size=5 if calls else 0))))
    return calls, writes


class Costs(NamedTuple):
    """A price list that knows each call."""

    of: dict[str, Decimal | None]

    def price(self, call):
        cost = self.of[call.call_id]
        return PENDING if cost is None else Price(cost, "1", "a/b", None)


@given(a_history())
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_run_has_what_its_calls_add_up_to(history):
    facts, writes = history
    with duckdb.connect() as db:
        migrate(db)
        writer = a_writer(db)
        do(writer, bindings.bind, [Bind("t1", must_exist=False)])
        both = [a_run(), a_run()]
        do(writer, runs.admit, [Admission(run=run, epoch=1, new_thread=a_thread()) for run in both])
        calls = [
            a_call(
                both[of],
                caller=caller,
                input_tokens=0 if cached else read,
                output_tokens=0 if cached else written,
                total_tokens=0 if cached else read + written,
                from_cache=cached,
            )
            for of, read, written, caller, _, cached in facts
        ]
        writer.pricer = Costs({call.call_id: fact[4] for call, fact in zip(calls, facts, strict=True)})
        for late, numbers in writes:
            given = [calls[number] for number in numbers]
            if given and late:
                do(writer, recordings.report, [given])
            else:
                do(writer, recordings.record, [Recording(thread_id="t1", epoch=1, calls=tuple(given))])
        kept = {number for _, numbers in writes for number in numbers}
        for of, run in enumerate(both):
            mine = [facts[number] for number in kept if facts[number][0] == of]
            assert writer.db.execute(f"SELECT {COLUMNS} FROM runs WHERE run_id = ?", [run.run_id]).fetchone() == (
                _added(mine)
            )


def _added(facts):
    paid = [one for one in facts if not one[5]]

    def total(caller=None):
        return sum(read + written for _, read, written, by, *_ in paid if caller in (None, by))

    costs = [cost for *_, cost, _ in facts if cost is not None]
    return (
        len(paid),
        0,
        sum(one[1] for one in paid),
        sum(one[2] for one in paid),
        total(),
        total("lead_agent"),
        total("subagent"),
        total("middleware"),
        sum(costs) if costs else None,
        len(facts) - len(costs),
    )
