"""What a measurement comes to: figures, and how two of them compare."""

from collections.abc import Sequence
from enum import StrEnum
from statistics import median

from msgspec import Struct


class Unit(StrEnum):
    MILLISECONDS = "ms"
    SECONDS = "s"
    MICROSECONDS = "µs"
    """Of CPU."""
    MEGABYTES = "MB"
    PERCENT = "%"
    COUNT = "times"
    """Of what should not happen at all."""
    RUNS = "runs/s"
    EVENTS = "events/s"
    BYTES = "bytes"
    """Neither more nor less is better; said so that others can be compared."""


RATES = (Unit.RUNS, Unit.EVENTS)
"""Of these, more is better; of the others, less."""


class Figure(Struct, frozen=True, kw_only=True):
    name: str
    unit: Unit
    value: float
    """The median of the samples, if it is a time."""
    samples: int
    p95: float | None = None
    """None if there are too few samples for one to lie beyond it; so is `p99`."""
    p99: float | None = None


def latency(name: str, seconds: Sequence[float]) -> Figure:
    times = sorted(1000 * second for second in seconds)
    return Figure(
        name=name,
        unit=Unit.MILLISECONDS,
        value=median(times),
        samples=len(times),
        p95=_percentile(times, 95),
        p99=_percentile(times, 99),
    )


def middle(name: str, unit: Unit, values: Sequence[float]) -> Figure:
    """What was measured more than once, and too seldom for percentiles."""
    return Figure(name=name, unit=unit, value=median(values), samples=len(values))


def advantage(ours: Figure, theirs: Figure) -> float | None:
    """How many times better ours is; None where neither is better."""
    better, worse = (ours, theirs) if ours.unit in RATES else (theirs, ours)
    return None if ours.unit is Unit.BYTES or not worse.value else better.value / worse.value


def _percentile(ordered: Sequence[float], percent: int) -> float | None:
    """The smallest sample that `percent` of all do not exceed."""
    if len(ordered) * (100 - percent) < 100:
        return None
    return ordered[-(-len(ordered) * percent // 100) - 1]
