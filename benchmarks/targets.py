"""How fast it has to be, and whether it is. Pure: figures go in, verdicts come out.

A ratio says how many times better ours is, measured in one run beside the other: rates by rates, times the other way
round.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum

from msgspec import Struct

from benchmarks.figures import Figure, Unit, advantage
from benchmarks.subject import BARE, PEER

Found = Mapping[str, Mapping[str, Sequence[Figure]]]
"""Figures by question and subject."""


class AtMost(Struct, frozen=True, tag=True):
    """The figure itself, or its p99."""

    bound: float
    p99: bool = False


class AtLeast(Struct, frozen=True, tag=True):
    """The figure itself."""

    bound: float


class TimesSubject(Struct, frozen=True, tag=True):
    """At least so many times better than the same figure of somebody else."""

    bound: float
    subject: str


class TimesOwn(Struct, frozen=True, tag=True):
    """At least so many times as good as another figure of ours."""

    bound: float
    figure: str


Comparison = AtMost | AtLeast | TimesSubject | TimesOwn


class Target(Struct, frozen=True):
    question: str
    figure: str
    unit: Unit
    comparison: Comparison


class Outcome(StrEnum):
    PASS = "pass"
    FAIL = "FAIL"
    NOT_MEASURED = "not measured"


class Verdict(Struct, frozen=True):
    target: Target
    outcome: Outcome
    measured: float | None = None
    """In the target's unit, or a ratio."""
    why: str = ""
    """What is missing, if nothing was measured."""


class MissingError(Exception):
    """Something that a target is about was not measured. The message says what."""


TARGETS = (
    Target("first_event", "warm thread: first event", Unit.MILLISECONDS, AtMost(10)),
    Target("first_event", "warm thread: first event", Unit.MILLISECONDS, AtMost(25, p99=True)),
    Target("first_event", "warm thread: first event", Unit.MILLISECONDS, TimesSubject(50, PEER)),
    Target("first_event", "new thread: first event", Unit.MILLISECONDS, AtMost(20)),
    Target("runs", "clients: 10, waited for", Unit.RUNS, AtLeast(200)),
    Target("runs", "clients: 10, waited for", Unit.RUNS, TimesSubject(4, PEER)),
    Target("streaming", "clients: 32", Unit.EVENTS, AtLeast(6500)),
    Target("streaming", "clients: 32", Unit.EVENTS, TimesSubject(2, PEER)),
    Target("streaming", "clients: 32", Unit.EVENTS, TimesSubject(0.9, BARE)),
    Target("streaming", "clients: 128", Unit.EVENTS, TimesOwn(0.9, "clients: 32")),
    Target("streaming", "clients: 128, refused or broken off", Unit.COUNT, AtMost(0)),
    Target("streaming", "gateway's CPU per event", Unit.MICROSECONDS, AtMost(25)),
    Target("fan_out", "CPU of a further reader, of the first", Unit.PERCENT, AtMost(15)),
    Target("busy", "token to socket, 32 streams", Unit.MILLISECONDS, AtMost(60, p99=True)),
    Target("busy", "background run accepted, 32 streams", Unit.MILLISECONDS, AtMost(25, p99=True)),
    Target("rest", "private memory of an actor", Unit.MEGABYTES, AtMost(95)),
    Target("rest", "private memory of a thread at rest", Unit.MEGABYTES, AtMost(0.01)),
    Target("rest", "threads: 10,000", Unit.RUNS, TimesOwn(0.9, "threads: 10")),
    Target("start", "treadle dev to /ok", Unit.SECONDS, AtMost(8)),
    Target("start", "treadle --help", Unit.SECONDS, AtMost(0.3)),
    Target("memory", "gateway: 4,500 further threads", Unit.MEGABYTES, AtMost(30)),
    Target("memory", "directory: 4,500 further threads", Unit.MEGABYTES, AtMost(30)),
    Target("memory", "ledger: 4,500 further threads", Unit.MEGABYTES, AtMost(30)),
)
"""On two cores with the client on them too, everything durable. Figures of one run differ from those of the next: `no
slower` is 0.9, and memory is 0 when it is 0 to the hundredth of a megabyte."""


def judge(target: Target, found: Found, ours: str) -> Verdict:
    """Whether the subject `ours` meets a target; never a pass of what nothing was compared with."""
    try:
        figure = _figure(found, target.question, ours, target.figure)
        measured, is_met = _compared(target, figure, found, ours)
    except MissingError as missing:
        return Verdict(target, Outcome.NOT_MEASURED, why=str(missing))
    return Verdict(target, Outcome.PASS if is_met else Outcome.FAIL, measured)


def _compared(target: Target, figure: Figure, found: Found, ours: str) -> tuple[float, bool]:
    match target.comparison:
        case AtMost(bound, p99):
            value = figure.p99 if p99 else figure.value
            if value is None:
                raise MissingError(f"{figure.samples} samples have no p99")
            return value, value <= bound
        case AtLeast(bound):
            return figure.value, figure.value >= bound
        case TimesSubject(bound, subject):
            times = _times(figure, _figure(found, target.question, subject, target.figure))
            return times, times >= bound
        case TimesOwn(bound, name):
            times = _times(figure, _figure(found, target.question, ours, name))
            return times, times >= bound


def _times(figure: Figure, other: Figure) -> float:
    times = advantage(figure, other)
    if times is None:
        raise MissingError(f"{figure.name} and {other.name} have no ratio")
    return times


def _figure(found: Found, question: str, subject: str, name: str) -> Figure:
    if question not in found:
        raise MissingError(f"{question} was not asked")
    figures = found[question].get(subject)
    if figures is None:
        raise MissingError(f"{subject} was not measured")
    figure = next((figure for figure in figures if figure.name == name), None)
    if figure is None:
        raise MissingError(f"{subject} has no such figure")
    return figure
