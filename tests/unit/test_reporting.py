"""Calls that user code reports: what is counted, for whom, and what is refused."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

import pytest

from actors import reporting
from actors.reporting import report_usage
from storage.accounting import MOST_TOKENS, CallStatus, Usage, UsageSource
from tests.factories import NOON, a_run

CALL = "01a218eb-f6b9-77e0-a346-a39ef626afb4"
RECORD = {"source_run_id": CALL, "input_tokens": 7, "output_tokens": 5}


@pytest.fixture(autouse=True)
def late(monkeypatch):
    """What came after its run had ended; a process of which nothing was heard before."""
    taken = []
    monkeypatch.setattr(reporting, "_runs", {})
    monkeypatch.setattr(reporting, "_late", [taken.extend])
    return taken


class Taker:
    """A run that is executed, until it has ended."""

    def __init__(self, **given):
        self.run = a_run(**{"attempt": 1, **given})
        self.taken = []
        self.has_ended = False
        reporting.listen(self.run, self.take)

    def take(self, calls):
        if not self.has_ended:
            self.taken += calls
        return not self.has_ended

    @property
    def call(self):
        (call,) = self.taken
        return call


def report(**more):
    return report_usage([{**RECORD, **more}])


def test_a_record_is_a_call_of_the_run_that_is_executed():
    going_on = Taker(user_id="ann", attempt=2)
    report(caller="subagent:research", model="gpt-4o", provider="openai", started_at=NOON)
    call = going_on.call
    assert (call.call_id, call.attempt, call.status) == (CALL, 2, CallStatus.SUCCESS)
    assert (call.origin.run_id, call.origin.user_id) == (going_on.run.run_id, "ann")
    assert (call.caller, call.caller_name) == ("subagent", "research")
    assert (call.provider, call.model_requested, call.model) == ("openai", "gpt-4o", "gpt-4o")
    assert call.started_at == call.ended_at == NOON
    assert call.usage == Usage(input_tokens=7, output_tokens=5, total_tokens=12, usage_source=UsageSource.REPORTED)


def test_what_is_not_said_is_not_known():
    going_on, before = Taker(), datetime.now(UTC)
    report()
    call = going_on.call
    assert (call.caller, call.caller_name, call.provider, call.model) == ("lead_agent", None, None, "unknown")
    assert before <= call.started_at == call.ended_at <= datetime.now(UTC)


@pytest.mark.parametrize(
    ("caller", "found"),
    [
        (None, ("lead_agent", None)),
        ("lead_agent", ("lead_agent", None)),
        ("subagent", ("subagent", None)),
        ("subagent:a:b", ("subagent", "a:b")),
        ("middleware:title", ("middleware", "title")),
    ],
)
def test_who_called_is_a_kind_and_a_name(caller, found):
    going_on = Taker()
    report(caller=caller)
    assert (going_on.call.caller, going_on.call.caller_name) == found


@pytest.mark.parametrize(
    ("given", "total"), [({}, 12), ({"total_tokens": None}, 12), ({"total_tokens": 0}, 12), ({"total_tokens": 20}, 20)]
)
def test_a_total_is_as_reported_or_input_and_output(given, total):
    going_on = Taker()
    report(**given)
    assert going_on.call.usage.total_tokens == total


@pytest.mark.parametrize(
    ("started_at", "ended_at", "seconds"),
    [
        (NOON, NOON + timedelta(seconds=3), 3),
        (NOON, NOON - timedelta(seconds=3), 0),
        (NOON.replace(tzinfo=None), NOON, 0),
        (NOON.isoformat(), (NOON + timedelta(seconds=2)).isoformat(), 2),
    ],
)
def test_times_are_utc_unless_they_say_otherwise_and_durations_are_never_negative(started_at, ended_at, seconds):
    going_on = Taker()
    report(started_at=started_at, ended_at=ended_at)
    assert going_on.call.started_at == NOON
    assert going_on.call.ended_at - NOON == timedelta(seconds=seconds)


def test_an_id_that_is_no_uuid_becomes_one_and_always_the_same():
    going_on, other = Taker(), None
    for _ in range(2):
        report(source_run_id="call 7")
    assert {call.call_id for call in going_on.taken} == {str(uuid5(UUID(going_on.run.run_id), "call 7"))}
    other = Taker()
    report(source_run_id="call 7")
    assert other.call.call_id != going_on.taken[0].call_id
    report(source_run_id=UUID(CALL))
    report(source_run_id=CALL.upper())
    assert [call.call_id for call in other.taken[1:]] == [CALL, CALL]


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"source_run_id": None}, "source_run_id"),
        ({"source_run_id": ""}, "source_run_id"),
        ({"source_run_id": 7}, "source_run_id"),
        ({"input_tokens": -1}, "input_tokens"),
        ({"output_tokens": -1}, "output_tokens"),
        ({"total_tokens": -1}, "total_tokens"),
        ({"input_tokens": None}, "input_tokens"),
        ({"input_tokens": True}, "input_tokens"),
        ({"input_tokens": 1.5}, "input_tokens"),
        ({"output_tokens": "5"}, "output_tokens"),
        ({"input_tokens": MOST_TOKENS + 1}, "input_tokens"),
        ({"caller": "somebody"}, "caller"),
        ({"caller": "subagents"}, "caller"),
        ({"caller": "middleware-title"}, "caller"),
        ({"caller": "lead_agent:x"}, "caller"),
        ({"caller": 7}, "caller"),
        ({"caller": "subagent:\ud83d"}, "caller"),
        ({"model": 4}, "model"),
        ({"model": "\ud83d"}, "model"),
        ({"provider": ["openai"]}, "provider"),
        ({"started_at": 1763812819}, "started_at"),
        ({"started_at": "yesterday"}, "started_at"),
        ({"ended_at": {}}, "ended_at"),
    ],
)
def test_a_record_that_makes_no_sense_is_refused_with_all_that_came_with_it(given, reason):
    going_on = Taker()
    with pytest.raises(ValueError, match=reason):
        report_usage([RECORD, {**RECORD, **given}])
    assert going_on.taken == []


def test_a_record_without_an_id_or_a_number_is_refused():
    going_on = Taker()
    for missing in RECORD:
        with pytest.raises(ValueError, match=missing):
            report_usage([{key: value for key, value in RECORD.items() if key != missing}])
    assert going_on.taken == []


def test_a_report_is_for_the_run_that_was_begun_last_unless_it_says_for_which():
    first, second = Taker(), Taker()
    report()
    report_usage([RECORD], run_id=first.run.run_id)
    assert (first.call.origin.run_id, second.call.origin.run_id) == (first.run.run_id, second.run.run_id)
    reporting.listen(first.run, first.take)  # its next attempt
    report()
    assert len(first.taken) == 2


def test_what_comes_after_a_runs_end_is_taken_elsewhere(late):
    ended = Taker()
    ended.has_ended = True
    report()
    assert (ended.taken, [call.origin.run_id for call in late]) == ([], [ended.run.run_id])


def test_what_comes_after_a_runs_end_is_refused_where_nobody_takes_it(monkeypatch):
    monkeypatch.setattr(reporting, "_late", [])
    ended = Taker()
    ended.has_ended = True
    with pytest.raises(LookupError, match=ended.run.run_id):
        report()


def test_a_run_that_this_process_knows_nothing_of_is_refused(late):
    with pytest.raises(LookupError, match="no run"):
        report()
    Taker()
    with pytest.raises(LookupError, match="someone's"):
        report_usage([RECORD], run_id="someone's")
    assert late == []


def test_a_report_of_nothing_is_nothing(late):
    ended = Taker()
    ended.has_ended = True
    report_usage([])
    assert late == []


def test_runs_that_ended_long_ago_are_forgotten():
    first = Taker()
    for _ in range(reporting.MOST_REMEMBERED):
        last = Taker()
    with pytest.raises(LookupError):
        report_usage([RECORD], run_id=first.run.run_id)
    report()
    assert last.call.call_id == CALL
