"""A target is met, missed, or not measured; and what was not compared is never a pass."""

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.figures import Figure, Unit, advantage, latency
from benchmarks.questions import NAMES, question
from benchmarks.report import Answers, reached, verdicts, wanted
from benchmarks.subject import BARE, PEER
from benchmarks.targets import (
    TARGETS,
    AtLeast,
    AtMost,
    Comparison,
    Outcome,
    Target,
    TimesOwn,
    TimesSubject,
    Verdict,
    judge,
)

OURS = "treadle"


def figure(name: str, value: float, unit: Unit = Unit.EVENTS, p99: float | None = None) -> Figure:
    return Figure(name=name, unit=unit, value=value, samples=40, p99=p99)


def judged(comparison: Comparison, unit: Unit = Unit.EVENTS) -> Verdict:
    """On what a small benchmark has found: rates of 32 clients, and a time."""
    found = {
        "streaming": {
            OURS: [
                figure("rate", 8000),
                figure("rate of more", 7200),
                figure("time", 10, Unit.MILLISECONDS, p99=30),
                figure("time of few", 10, Unit.MILLISECONDS),
                figure("never", 0, Unit.COUNT),
            ],
            PEER: [figure("rate", 2000), figure("time", 1000, Unit.MILLISECONDS)],
        }
    }
    name = {Unit.EVENTS: "rate", Unit.MILLISECONDS: "time", Unit.COUNT: "never", Unit.RUNS: "rate of more"}[unit]
    return judge(Target("streaming", name, unit, comparison), found, OURS)


@pytest.mark.parametrize(
    ("comparison", "unit", "outcome", "measured"),
    [
        (AtLeast(8000), Unit.EVENTS, Outcome.PASS, 8000),
        (AtLeast(8001), Unit.EVENTS, Outcome.FAIL, 8000),
        (AtMost(10), Unit.MILLISECONDS, Outcome.PASS, 10),
        (AtMost(9.9), Unit.MILLISECONDS, Outcome.FAIL, 10),
        (AtMost(30, p99=True), Unit.MILLISECONDS, Outcome.PASS, 30),
        (AtMost(25, p99=True), Unit.MILLISECONDS, Outcome.FAIL, 30),
        (AtMost(0), Unit.COUNT, Outcome.PASS, 0),
        (TimesSubject(4, PEER), Unit.EVENTS, Outcome.PASS, 4),
        (TimesSubject(4.1, PEER), Unit.EVENTS, Outcome.FAIL, 4),
        (TimesSubject(50, PEER), Unit.MILLISECONDS, Outcome.PASS, 100),
        (TimesSubject(101, PEER), Unit.MILLISECONDS, Outcome.FAIL, 100),
        (TimesOwn(0.9, "rate"), Unit.RUNS, Outcome.PASS, 0.9),
        (TimesOwn(0.91, "rate"), Unit.RUNS, Outcome.FAIL, 0.9),
    ],
)
def test_a_figure_passes_at_its_bound_and_fails_beyond(comparison, unit, outcome, measured):
    verdict = judged(comparison, unit)
    assert (verdict.outcome, verdict.measured) == (outcome, pytest.approx(measured))


@pytest.mark.parametrize(
    ("target", "why"),
    [
        (Target("streaming", "rate", Unit.EVENTS, TimesSubject(0.1, BARE)), "bare was not measured"),
        (Target("streaming", "rate of more", Unit.EVENTS, TimesSubject(0.1, PEER)), "langgraph-dev has no such figure"),
        (Target("streaming", "none", Unit.EVENTS, AtLeast(0)), "treadle has no such figure"),
        (Target("streaming", "rate", Unit.EVENTS, TimesOwn(0.1, "none")), "treadle has no such figure"),
        (Target("runs", "rate", Unit.RUNS, AtLeast(0)), "runs was not asked"),
        (Target("streaming", "time of few", Unit.MILLISECONDS, AtMost(99, p99=True)), "40 samples have no p99"),
    ],
    ids=str,
)
def test_what_was_not_measured_does_not_pass(target, why):
    ours = [figure("rate", 8000), figure("rate of more", 9), figure("time of few", 10, Unit.MILLISECONDS)]
    verdict = judge(target, {"streaming": {OURS: ours, PEER: [figure("rate", 2000)]}}, OURS)
    assert verdict == Verdict(target, Outcome.NOT_MEASURED, why=why)
    assert reached(verdict) == why


positive = st.floats(min_value=1e-3, max_value=1e9)


@given(positive, positive, st.sampled_from([unit for unit in Unit if unit is not Unit.BYTES]))
def test_an_advantage_is_the_others_disadvantage(ours, theirs, unit):
    ahead = advantage(figure("a", ours, unit), figure("a", theirs, unit))
    behind = advantage(figure("a", theirs, unit), figure("a", ours, unit))
    assert ahead is not None
    assert behind is not None
    assert math.isclose(ahead * behind, 1)
    assert (ahead > 1) == ((ours > theirs) if unit in (Unit.RUNS, Unit.EVENTS) else (ours < theirs))


def test_a_p99_needs_a_hundred_samples():
    assert latency("few", [0.001] * 99).p99 is None
    assert latency("enough", [0.001] * 98 + [0.5, 0.9]).p99 == 500


@pytest.mark.parametrize(
    ("comparison", "text"),
    [
        (AtMost(25, p99=True), "p99 at most 25 ms"),
        (AtMost(10), "at most 10 ms"),
        (AtLeast(6500), "at least 6,500 ms"),
        (TimesSubject(0.9, BARE), "0.9 times bare"),
        (TimesOwn(0.9, "clients: 32"), "0.9 times clients: 32"),
    ],
)
def test_a_target_reads_as_a_sentence(comparison, text):
    assert wanted(Target("any", "any", Unit.MILLISECONDS, comparison)) == text


def test_only_targets_of_what_was_asked_are_judged():
    answers = [Answers("runs", "How many?", {OURS: [figure("clients: 10, waited for", 250, Unit.RUNS)]})]
    found = verdicts(answers, OURS)
    assert [(verdict.target.question, verdict.outcome) for verdict in found] == [
        ("runs", Outcome.PASS),
        ("runs", Outcome.NOT_MEASURED),
    ]
    assert msgspec.json.decode(msgspec.json.encode(found), type=list[Verdict]) == found


def test_every_target_belongs_to_a_question_that_asks_whom_it_is_compared_with():
    for target in TARGETS:
        assert target.question in NAMES
        if isinstance(target.comparison, TimesSubject):
            assert target.comparison.subject in question(target.question).beside
