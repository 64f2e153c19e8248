"""What is read of conversations, held against what plain Python makes of the same rows."""

from collections import defaultdict
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct
from msgspec.structs import replace
from uuid_utils import uuid4, uuid7

from storage import bindings, feedback, messages, recordings, runs, threads, usage
from storage.accounting import CallStatus, Event, ModelCall, Origin, Recording, Usage
from storage.bindings import Bind
from storage.conversations import Cursor, Feedback, FeedbackStats, ModelUsage, NoFeedbackError, TokenUsage
from storage.errors import RunNotFoundError
from storage.feedback import Withdrawal
from storage.records import Admission, Run, RunRequest, RunStatus, Settlement, Standing, ThreadStatus, Totals
from storage.runs import Forgetting, Start
from storage.threads import Creation, Deletion
from tests.factories import NOON, a_run, a_thread
from tests.unit.conftest import do
from tests.unit.test_records_kept import thorough

HUMAN, ANSWER, TOOL = "llm.human.input", "llm.ai.response", "llm.tool.result"
UNKNOWN = "00000000-0000-4000-8000-000000000000"
IDLE = Standing(status=ThreadStatus.IDLE)


def an_event(run, seq, event_type=ANSWER, **given):
    fields: dict[str, Any] = {
        "category": "message",
        "caller": "lead_agent",
        "content": f'{{"n": {seq}.50}}',
        "metadata": "{}",
        "created_at": NOON + timedelta(seconds=seq),
    }
    return Event(run_id=run.run_id, seq=seq, event_type=event_type, **{**fields, **given})


def a_call(run, *, model="m1", caller="lead_agent", tokens=(3, 2), **given):
    took = Usage(input_tokens=tokens[0], output_tokens=tokens[1], total_tokens=sum(tokens))
    origin = Origin(
        thread_id=run.thread_id,
        run_id=run.run_id,
        user_id=None,
        assistant_id="a1",
        assistant_version=1,
        graph_id="agent",
        tags=[],
        metadata={},
    )
    fields: dict[str, Any] = {"started_at": NOON, "status": CallStatus.SUCCESS, "attempt": 1}
    return ModelCall(call_id=str(uuid4()), origin=origin, model=model, caller=caller, usage=took, **{**fields, **given})


def say(of, thread_id="t1", **given):
    """Record something under the epoch that `hold` was given."""
    [outcome] = do(of, recordings.record, [Recording(thread_id=thread_id, epoch=1, **given)])
    assert outcome is None


def hold(writer, thread_id="t1"):
    do(writer, threads.create, [Creation(a_thread(thread_id), existing_ok=True)])
    do(writer, bindings.bind, [Bind(thread_id, must_exist=True)])


def admit(writer, *admitted: Run, epoch=1):
    for run in admitted:
        assert do(writer, runs.admit, [Admission(run=run, epoch=epoch)]) == [None]


def settle(writer, run, status=RunStatus.SUCCESS, *, epoch=1, **given):
    ended = replace(run, status=status, ended_at=NOON, **given)
    assert do(writer, runs.settle, [Settlement(run=ended, epoch=epoch, standing=IDLE)]) == [None]


def an_opinion(run, **given):
    fields: dict[str, Any] = {"feedback_id": str(uuid7()), "rating": 1, "created_at": NOON}
    return Feedback(thread_id=run.thread_id, run_id=run.run_id, **{**fields, **given})


# Messages


class Log(Struct, frozen=True):
    """Rows of a thread, and how its runs ended."""

    runs: list[Run]
    events: list[Event]


@st.composite
def logs(draw) -> Log:
    thread_id = str(uuid7())
    made = [a_run(thread_id, rolled_back=draw(st.booleans())) for _ in range(draw(st.integers(1, 3)))]
    kinds = st.tuples(
        st.sampled_from(made),
        st.sampled_from([HUMAN, ANSWER, TOOL]),
        st.sampled_from(["message"] * 5 + ["trace"]),
        st.sampled_from(["lead_agent"] * 5 + ["subagent:x", "middleware:title"]),
    )
    rows = draw(st.lists(kinds, min_size=draw(st.sampled_from([0, 8])), max_size=14))
    return Log(
        made,
        [
            an_event(run, seq, kind, category=category, caller=caller)
            for seq, (run, kind, category, caller) in enumerate(rows, 1)
        ],
    )


def is_shown(event: Event) -> bool:
    return event.category == "message" and event.caller == "lead_agent"


def page_of(shown: list[Event], cursor: Cursor) -> tuple[list[Event], bool]:
    """The table of `spec/gateway.md` §9.2, word by word."""
    before = float("inf") if cursor.before is None else cursor.before
    if cursor.after is None:
        below = [event for event in shown if event.seq < before]
        page = below[-cursor.limit :]
        return page, any(event not in page for event in below)
    between = [event for event in shown if cursor.after < event.seq < before]
    page = between[: cursor.limit]
    return page, any(event not in page for event in between)


NUMBERS = st.none() | st.integers(0, 16) | st.just(10**60)
CURSORS = st.builds(Cursor, limit=st.integers(1, 4), before=NUMBERS, after=NUMBERS)


@thorough
@given(log=logs(), cursor=CURSORS)
def test_a_page_is_what_its_cursor_says(writer, log, cursor):
    thread_id = log.runs[0].thread_id
    hold(writer, thread_id)
    admit(writer, *log.runs)
    say(writer, thread_id, events=tuple(log.events))
    for run in log.runs:
        settle(writer, run, RunStatus.ERROR)
    undone = {run.run_id for run in log.runs if run.rolled_back}
    shown = [event for event in log.events if is_shown(event) and event.run_id not in undone]
    found = messages.of_thread(writer.db, thread_id, cursor, None)
    assert [one.event for one in found] == page_of(shown, cursor)[0]
    for run in log.runs:
        page = messages.of_run(writer.db, thread_id, run.run_id, cursor)
        own = [event for event in shown if event.run_id == run.run_id]
        assert (page.events, page.has_more) == page_of(own, cursor)


@pytest.mark.parametrize("limit", [1, 3, 5, 10])
@pytest.mark.parametrize("forwards", [True, False], ids=["forwards", "backwards"])
def test_pages_lead_through_a_log_without_gap_or_repeat(writer, limit, forwards):
    hold(writer)
    admit(writer, run := a_run())
    say(writer, events=tuple(an_event(run, seq) for seq in range(1, 11)))
    seen: list[int] = []
    bound = 0 if forwards else None
    for _ in range(10):
        cursor = Cursor(limit=limit, **{"after" if forwards else "before": bound})
        page = messages.of_run(writer.db, "t1", run.run_id, cursor)
        assert [one.event for one in messages.of_thread(writer.db, "t1", cursor, None)] == page.events
        numbers = [event.seq for event in page.events]
        seen = seen + numbers if forwards else numbers + seen
        if not page.has_more:
            break
        bound = numbers[-1] if forwards else numbers[0]
    assert seen == list(range(1, 11))


def test_what_a_row_contains_leaves_as_it_came(writer):
    hold(writer)
    admit(writer, run := a_run())
    content = '{"b": 1.50,  "a": "äö\\u0000", "big": 123456789012345678901234567890}'
    say(writer, events=(an_event(run, 1, content=content, metadata='{ "usage":{} }'),))
    [event] = messages.events(writer.db, "t1", run.run_id, types=[], after=None, limit=9)
    assert (event.content, event.metadata) == (content, '{ "usage":{} }')


def test_messages_of_a_run_that_was_deleted_are_gone(writer):
    hold(writer)
    admit(writer, run := a_run(), other := a_run())
    say(writer, events=(an_event(run, 1), an_event(other, 2)))
    settle(writer, run)
    assert do(writer, runs.forget, [Forgetting(run, 1)]) == [None]
    assert [one.event.seq for one in messages.of_thread(writer.db, "t1", Cursor(limit=9), None)] == [2]
    with pytest.raises(RunNotFoundError):
        messages.of_run(writer.db, "t1", run.run_id, Cursor(limit=9))


@pytest.mark.parametrize("run_id", [UNKNOWN, "no uuid"])
def test_an_unknown_run_has_no_log(db, run_id):
    assert messages.of_thread(db, "t1", Cursor(limit=9), None) == []
    with pytest.raises(RunNotFoundError):
        messages.of_run(db, "t1", run_id, Cursor(limit=9))
    with pytest.raises(RunNotFoundError):
        messages.events(db, "t1", run_id, types=[], after=None, limit=9)


def test_a_run_of_another_thread_is_unknown(writer):
    for thread_id in ("t1", "t2"):
        hold(writer, thread_id)
    admit(writer, run := a_run("t2"))
    say(writer, "t2", events=(an_event(run, 1),))
    with pytest.raises(RunNotFoundError):
        messages.of_run(writer.db, "t1", run.run_id, Cursor(limit=9))
    with pytest.raises(RunNotFoundError):
        feedback.stats(writer.db, "t1", run.run_id)


# Events


@pytest.mark.parametrize(
    ("types", "after", "limit", "expected"),
    [
        ([], None, 500, [1, 2, 3, 4]),
        ([], 2, 500, [3, 4]),
        ([], None, 2, [1, 2]),
        ([ANSWER], None, 500, [2, 4]),
        ([ANSWER, HUMAN], 1, 1, [2]),
        (["thoughts"], None, 500, []),
        ([], 10**60, 500, []),
    ],
)
def test_events_are_filtered_by_type_and_number(writer, types, after, limit, expected):
    hold(writer)
    admit(writer, run := a_run(), other := a_run())
    kinds = [HUMAN, ANSWER, "run.start", ANSWER]
    own = [an_event(run, seq, kind, caller="subagent:x", category="trace") for seq, kind in enumerate(kinds, 1)]
    say(writer, events=(*own, an_event(other, 5)))
    found = messages.events(writer.db, "t1", run.run_id, types=types, after=after, limit=limit)
    assert [event.seq for event in found] == expected


def test_a_run_that_was_rolled_back_leaves_the_messages_and_stays_an_event(writer):
    hold(writer)
    admit(writer, run := a_run(rolled_back=True))
    say(writer, events=(an_event(run, 1),))
    settle(writer, run, RunStatus.ERROR)
    assert messages.of_thread(writer.db, "t1", Cursor(limit=9), None) == []
    assert messages.of_run(writer.db, "t1", run.run_id, Cursor(limit=9)).events == []
    assert len(messages.events(writer.db, "t1", run.run_id, types=[], after=None, limit=9)) == 1


# Feedback


def test_feedback_is_given_then_replaced_under_its_id(writer):
    hold(writer)
    admit(writer, run := a_run())
    first, second = an_opinion(run, comment="good"), an_opinion(run, rating=-1, created_at=NOON + timedelta(hours=1))
    assert do(writer, feedback.put, [first]) == [first]
    kept = replace(second, feedback_id=first.feedback_id)
    assert do(writer, feedback.put, [second]) == [kept]
    assert feedback.of_run(writer.db, "t1", run.run_id, None) == [kept]


def test_each_user_has_an_opinion_of_their_own_and_all_are_counted(writer):
    hold(writer)
    admit(writer, run := a_run(), other := a_run())
    given = [an_opinion(run, user_id=user, rating=rating) for user, rating in [(None, 1), ("a", -1), ("b", 1)]]
    for one in [*given, an_opinion(other, rating=-1)]:
        do(writer, feedback.put, [one])
    for one in given:
        assert feedback.of_run(writer.db, "t1", run.run_id, one.user_id) == [one]
    expected = FeedbackStats(run_id=run.run_id, total=3, positive=2, negative=1)
    assert feedback.stats(writer.db, "t1", run.run_id) == expected


def test_feedback_is_taken_back_once_and_only_ones_own(writer):
    hold(writer)
    admit(writer, run := a_run())
    for user_id in ("a", "b"):
        do(writer, feedback.put, [an_opinion(run, user_id=user_id)])
    mine = Withdrawal("t1", run.run_id, "a")
    assert do(writer, feedback.delete, [mine]) == [None]
    [error] = do(writer, feedback.delete, [mine])
    assert isinstance(error, NoFeedbackError)
    assert str(error) == "No feedback found for this run"
    assert feedback.stats(writer.db, "t1", run.run_id).total == 1


def test_feedback_on_an_unknown_run_is_refused(writer):
    hold(writer)
    [kept] = do(writer, feedback.put, [an_opinion(a_run())])
    [gone] = do(writer, feedback.delete, [Withdrawal("t1", "no uuid", None)])
    assert isinstance(kept, RunNotFoundError)
    assert isinstance(gone, RunNotFoundError)


def test_feedback_can_be_given_again_after_it_was_taken_back(writer):
    hold(writer)
    admit(writer, run := a_run())
    second = an_opinion(run)
    do(writer, feedback.put, [an_opinion(run)])
    do(writer, feedback.delete, [Withdrawal("t1", run.run_id, None)])
    assert do(writer, feedback.put, [second]) == [second]
    assert feedback.of_run(writer.db, "t1", run.run_id, None) == [second]


def count_feedback(db):
    return db.execute("SELECT count(*) FROM feedback").fetchone()[0]


def test_feedback_goes_with_its_run_and_with_its_thread(writer):
    for thread_id in ("t1", "t2"):
        hold(writer, thread_id)
    first, second, third = a_run(), a_run(), a_run("t2")
    admit(writer, first, second, third)
    for run in (first, second, third):
        do(writer, feedback.put, [an_opinion(run)])
        settle(writer, run)
    do(writer, runs.forget, [Forgetting(first, 1)])
    assert count_feedback(writer.db) == 2
    do(writer, threads.delete, [Deletion("t1", 1)])
    assert count_feedback(writer.db) == 1


def test_feedback_goes_with_a_thread_that_goes_with_its_run(writer):
    hold(writer)
    admit(writer, run := a_run(request=RunRequest(temporary=True)))
    do(writer, feedback.put, [an_opinion(run)])
    settle(writer, run)
    assert count_feedback(writer.db) == 0


def test_feedback_stands_with_the_last_answer_of_its_run_also_if_that_is_on_another_page(writer):
    hold(writer)
    first, second = a_run(), a_run()
    admit(writer, first, second)
    kinds = [HUMAN, ANSWER, TOOL, ANSWER, TOOL]
    rows = [an_event(first, seq, kind) for seq, kind in enumerate(kinds, 1)]
    rows += [an_event(first, 6, ANSWER, caller="subagent:x"), an_event(second, 7), an_event(second, 8)]
    say(writer, events=tuple(rows))
    mine = an_opinion(first, user_id="me")
    for one in (mine, an_opinion(second, user_id="you")):
        do(writer, feedback.put, [one])

    def with_feedback(**cursor):
        found = messages.of_thread(writer.db, "t1", Cursor(**{"limit": 9, **cursor}), "me")
        return {one.event.seq: one.feedback for one in found if one.feedback}

    assert with_feedback() == {4: mine}
    assert with_feedback(before=4) == {}
    assert with_feedback(after=3, limit=1) == {4: mine}


# Tokens

CALLS = st.lists(
    st.tuples(
        st.sampled_from(["m1", "m2", "unknown"]),
        st.sampled_from(["lead_agent", "subagent", "middleware"]),
        st.tuples(st.integers(0, 9), st.integers(0, 9)),
    ),
    max_size=4,
)
FATES = st.sampled_from([*RunStatus, "rolled back", "deleted"])


def usage_of(taken: dict[str, list[ModelCall]], thread_id: str = "t1") -> TokenUsage:
    """By run: its calls."""
    models: dict[str, set[str]] = defaultdict(set)
    tokens: dict[str, int] = defaultdict(int)
    callers = {"lead_agent": 0, "subagent": 0, "middleware": 0}
    calls = [call for some in taken.values() for call in some]
    for call in calls:
        models[call.model].add(call.origin.run_id)
        tokens[call.model] += call.usage.total_tokens
        callers[call.caller] += call.usage.total_tokens
    return TokenUsage(
        thread_id=thread_id,
        total_tokens=sum(call.usage.total_tokens for call in calls),
        total_input_tokens=sum(call.usage.input_tokens for call in calls),
        total_output_tokens=sum(call.usage.output_tokens for call in calls),
        total_runs=len(taken),
        by_model={model: ModelUsage(tokens[model], len(models[model])) for model in models},
        by_caller=callers,
    )


def end(writer, run, fate):
    """Whatever becomes of a run that has begun."""
    match fate:
        case RunStatus.RUNNING:
            return
        case "rolled back":
            settle(writer, run, RunStatus.ERROR, rolled_back=True)
        case "deleted":
            settle(writer, run)
            do(writer, runs.forget, [Forgetting(run, 1)])
        case _:
            settle(writer, run, fate)


@thorough
@given(fates=st.lists(st.tuples(FATES, CALLS), max_size=4))
def test_tokens_of_all_ends_count_and_models_and_callers_add_up(writer, fates):
    hold(writer, thread_id := str(uuid7()))
    ended: dict[str, list[ModelCall]] = {}
    active: dict[str, list[ModelCall]] = {}
    for fate, asked in fates:
        admit(writer, run := a_run(thread_id))
        if fate is RunStatus.PENDING:
            continue
        made = [a_call(run, model=model, caller=caller, tokens=tokens) for model, caller, tokens in asked]
        (active if fate is RunStatus.RUNNING else ended)[run.run_id] = made
        do(writer, runs.begin, [Start(replace(run, attempt=1, started_at=NOON), 1)])
        say(writer, thread_id, calls=tuple(made))
        end(writer, run, fate)
        if fate != "deleted":
            own = usage_of({run.run_id: made})
            totals = Totals(own.total_input_tokens, own.total_output_tokens, own.total_tokens)
            assert runs.get(writer.db, thread_id, run.run_id).totals == totals
    assert usage.of_thread(writer.db, thread_id, include_active=False) == usage_of(ended, thread_id)
    assert usage.of_thread(writer.db, thread_id, include_active=True) == usage_of(ended | active, thread_id)


def test_an_unknown_thread_took_nothing(db):
    assert usage.of_thread(db, "t1", include_active=True) == usage_of({})


def test_what_an_earlier_thread_of_the_same_id_took_is_not_this_ones(writer):
    hold(writer)
    admit(writer, run := a_run())
    say(writer, calls=(a_call(run),))
    settle(writer, run)
    do(writer, threads.delete, [Deletion("t1", 1)])
    assert usage.of_thread(writer.db, "t1", include_active=True) == usage_of({})
    later = NOON + timedelta(minutes=1)
    do(writer, threads.create, [Creation(a_thread(created_at=later), existing_ok=False)])
    do(writer, bindings.bind, [Bind("t1", must_exist=True)])
    admit(writer, new := a_run(created_at=later), epoch=2)
    settle(writer, new, epoch=2)
    assert usage.of_thread(writer.db, "t1", include_active=True) == usage_of({new.run_id: []})


def test_totals_are_listed_with_runs(writer):
    hold(writer)
    admit(writer, run := a_run(), silent := a_run())
    say(writer, calls=(a_call(run, tokens=(5, 4)), a_call(run, tokens=(1, 1))))
    listed = {one.run_id: one.totals for one in runs.of_thread(writer.db, "t1", 9, 0, None)}
    assert listed == {run.run_id: Totals(6, 5, 11), silent.run_id: Totals()}
