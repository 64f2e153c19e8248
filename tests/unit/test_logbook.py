"""What has happened on a thread, on its way to the ledger: numbered without gap, and kept once."""

import asyncio
import json
from contextlib import suppress

import duckdb
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from msgspec.structs import replace

from actors.logbook import Logbook, closing, opening, origin_of
from actors.outcomes import Notes
from storage import bindings, recordings, runs
from storage.accounting import CallStatus, LogEnd
from storage.bindings import Bind
from storage.database import migrate
from storage.errors import UnavailableError
from storage.records import Admission, Failure, RunRequest, RunStatus
from tests.factories import a_call, a_run, a_thread, an_event
from tests.unit.conftest import a_writer, do

RUN = a_run(attempt=2)


@pytest.fixture
def log():
    return Logbook("t1", 3, LogEnd(7, "h1"))


def an_ai_row(text="", **given):
    return an_event(RUN, content=json.dumps(text), **given)


async def hand_in(log, *last, failing=False):
    """What was handed in; with `failing`, in vain."""
    with suppress(UnavailableError):
        async with log.handing_in(*last) as recording:
            if failing:
                raise UnavailableError
    return recording


def numbers(recording):
    return [(event.seq, json.loads(event.content)) for event in recording.events]


async def test_rows_are_numbered_after_those_that_are_kept(log):
    log.add(Notes(events=(an_ai_row("a"), an_ai_row("b"))))
    recording = await hand_in(log, an_ai_row("last"))
    assert (recording.thread_id, recording.epoch) == ("t1", 3)
    assert numbers(recording) == [(8, "a"), (9, "b"), (10, "last")]
    log.note(an_ai_row("c"))
    assert numbers(await hand_in(log)) == [(11, "c")]
    assert not await hand_in(log)


async def test_what_was_handed_in_in_vain_is_handed_in_again_with_what_came_since(log):
    call, opened = a_call(RUN), a_call(RUN)
    log.add(Notes(events=(an_ai_row("a"),), calls=(call,), opened=(opened,)))
    await hand_in(log, an_ai_row("never admitted"), failing=True)
    log.add(Notes(events=(an_ai_row("b"),), calls=(opened,)))
    recording = await hand_in(log)
    assert numbers(recording) == [(8, "a"), (9, "b")]
    assert (recording.calls, recording.opened) == ((call, opened), (opened,))
    assert not await hand_in(log)


async def test_what_comes_while_something_is_kept_stays(log):
    call = a_call(RUN)
    log.add(Notes(events=(an_ai_row("a"),), calls=(a_call(RUN),), opened=(call,)))
    async with log.handing_in(an_ai_row("last")):
        log.add(Notes(events=(an_ai_row("b"),), calls=(call,), opened=(a_call(RUN),)))
    recording = await hand_in(log)
    assert numbers(recording) == [(10, "b")]
    assert recording.calls == (call,)
    assert len(recording.opened) == 1


async def test_one_is_kept_after_the_other(log):
    log.note(an_ai_row("a"))
    async with log.handing_in():
        second = asyncio.ensure_future(hand_in(log, an_ai_row("last")))
        for _ in range(3):
            await asyncio.sleep(0)
        assert not second.done()
    assert numbers(await second) == [(9, "last")]


async def test_who_is_cancelled_while_it_is_kept_hands_it_in_again(log):
    log.note(an_ai_row("a"))

    async def keep():
        async with log.handing_in():
            await asyncio.Event().wait()

    keeping = asyncio.ensure_future(keep())
    await asyncio.sleep(0)
    keeping.cancel()
    await asyncio.wait([keeping])
    assert numbers(await hand_in(log)) == [(8, "a")]


async def test_the_last_person_who_asked_is_known_before_it_is_kept(log):
    assert log.human_id == "h1"
    log.note(an_ai_row(event_type="llm.human.input", message_id="h2"))
    log.note(an_ai_row())
    assert log.human_id == "h2"


async def test_a_thread_that_is_gone_begins_anew(log):
    log.note(an_ai_row(event_type="llm.human.input", message_id="h2"))
    log.clear()
    assert log.human_id is None
    log.note(an_ai_row("a"))
    assert numbers(await hand_in(log)) == [(1, "a")]


def test_an_attempt_opens_with_its_graph_and_number():
    event = opening(RUN)
    assert (event.event_type, event.category, event.caller) == ("run.start", "trace", "lead_agent")
    assert json.loads(event.content) == {"chain": "agent"}
    assert json.loads(event.metadata) == {"caller": "lead_agent", "attempt": 2}


@pytest.mark.parametrize(
    ("status", "outputs", "event_type", "content"),
    [
        (RunStatus.SUCCESS, '{"x":1}', "run.end", {"x": 1}),
        (RunStatus.SUCCESS, None, "run.end", None),
        (RunStatus.INTERRUPTED, '{"x":1}', "run.end", None),
        (RunStatus.ERROR, '{"x":1}', "run.error", "no"),
        (RunStatus.TIMEOUT, None, "run.error", "no"),
    ],
)
def test_a_run_closes_with_what_became_of_it(status, outputs, event_type, content):
    failure = Failure("ValueError", "no") if event_type == "run.error" else None
    event = closing(replace(RUN, status=status, error=failure), outputs)
    assert (event.event_type, json.loads(event.content)) == (event_type, content)
    assert event.category == ("error" if failure else "outputs")
    facts = {"error_type": "ValueError"} if failure else {}
    assert json.loads(event.metadata) == {"caller": "lead_agent", "status": status, **facts}


def test_large_outputs_are_cut_and_say_so():
    event = closing(replace(RUN, status=RunStatus.SUCCESS), json.dumps(["x" * 20_000]))
    assert json.loads(event.content).startswith('["xxx')
    assert json.loads(event.metadata)["original_byte_length"] == 20_004


@pytest.mark.parametrize(
    ("tags", "kept"), [(None, []), ("mine", []), (["mine", 7, "seq:step:1", "yours"], ["mine", "yours"])]
)
def test_tags_are_the_users_own(tags, kept):
    config = {} if tags is None else {"tags": tags}
    assert origin_of(replace(RUN, request=RunRequest(config=config))).tags == kept


class Keeping(RuleBasedStateMachine):
    """A thread in the hands of one actor after the other, and a ledger whose answers get lost."""

    def __init__(self):
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.db = duckdb.connect()
        migrate(self.db)
        self.writer = a_writer(self.db)
        self.count = 0
        self.sent, self.kept, self.calls, self.ended = [], set(), {}, set()

    def teardown(self):
        self.look()
        self.loop.close()
        self.db.close()

    @initialize()
    def begin(self):
        self.bind()
        self.run = a_run()
        do(self.writer, runs.admit, [Admission(run=self.run, epoch=1, new_thread=a_thread())])

    def bind(self):
        (binding,) = do(self.writer, bindings.bind, [Bind("t1", must_exist=False)])
        self.epoch, self.log, self.open = binding.epoch, Logbook("t1", binding.epoch, binding.log), []

    @rule()
    def another_actor(self):
        """What the last one had not handed in went with it; what it had under way is lost."""
        self.look()
        self.bind()
        self.calls = {call_id: status or "lost" for call_id, status in self.calls.items()}

    @rule(tools=st.booleans())
    def something_is_said(self, tools):
        self.count += 1
        self.log.note(an_event(self.run, 0, "llm.tool.result" if tools else "llm.ai.response", str(self.count)))

    @rule(is_told=st.booleans())
    def a_call_begins(self, is_told):
        call = a_call(self.run)
        self.open.append(replace(call, was_open=is_told))
        if is_told:
            self.log.add(Notes(opened=(replace(call, status=CallStatus.LOST),)))

    @precondition(lambda self: self.open)
    @rule()
    def a_call_ends(self):
        self.log.add(Notes(calls=(self.open.pop(),)))

    @rule(
        is_last=st.booleans(),
        fate=st.sampled_from(["kept", "kept, and the answer is lost", "never heard"]),
        meanwhile=st.booleans(),
    )
    def it_is_handed_in(self, is_last, fate, meanwhile):
        self.count += 1
        last = [an_event(self.run, 0, "run.end", str(self.count))] if is_last else []
        self.loop.run_until_complete(self.hand_in(last, fate, meanwhile))

    async def hand_in(self, last, fate, meanwhile):
        with suppress(UnavailableError):
            async with self.log.handing_in(*last) as recording:
                if fate != "never heard":
                    self.record(recording)
                if meanwhile:
                    self.something_is_said(tools=True)
                if last and fate != "never heard":
                    self.record(recording)  # whoever waits for an end asks until there is an answer
                elif fate != "kept":
                    raise UnavailableError

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def it_comes_again(self, data):
        """From a connection that was slow, also of an actor that was replaced."""
        self.record(data.draw(st.sampled_from(self.sent)))

    def record(self, recording):
        (refused,) = do(self.writer, recordings.record, [recording])
        assert (refused is None) == (recording.epoch == self.epoch)
        self.sent.append(recording)
        if refused is None:
            self.kept |= {int(event.content) for event in recording.events}
            for call in recording.opened:
                self.calls.setdefault(call.call_id, None)
            self.calls |= {call.call_id: "success" for call in recording.calls}

    def look(self):
        """Each is there once, the log in its order; and tools are counted as they are told."""
        db = self.writer.db
        rows = db.execute("SELECT seq, content::INT FROM events ORDER BY seq").fetchall()
        assert [seq for seq, _ in rows] == list(range(1, len(rows) + 1))
        assert sorted(content for _, content in rows) == sorted(self.kept)
        calls = db.execute("SELECT call_id::VARCHAR, status FROM model_calls").fetchall()
        assert len(calls) == len(dict(calls))
        assert dict(calls) == {call_id: status for call_id, status in self.calls.items() if status}
        told = db.execute("SELECT count(*) FROM events WHERE event_type = 'llm.tool.result'").fetchone()
        assert db.execute("SELECT coalesce(sum(tool_call_count), 0) FROM runs").fetchone() == told


Keeping.TestCase.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
TestKeeping = Keeping.TestCase
