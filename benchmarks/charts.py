"""Draws how cost grows, from the figures that a run wrote: `python -m benchmarks.charts FIGURES.json FOLDER`.

A chart is text (SVG) and a pure function of its lines. Both axes are of one of two kinds: equal steps for equal
differences, or for equal factors.
"""

import math
import re
from collections.abc import Sequence
from enum import Enum
from html import escape
from pathlib import Path

import click
import msgspec
from msgspec import Struct

from benchmarks.figures import Figure
from benchmarks.report import Answers, Report

WIDTH, HEIGHT = 720, 420
LEFT, RIGHT, TOP, BOTTOM = 80, 130, 50, 55
"""Room around the lines: for the numbers, the lines' names, the title, and the name of the axis."""

COLOURS = ("#0b6e99", "#c4622d", "#5b8c3a", "#7a4fa3")
INK, GRID = "#444", "#ddd"


class Scale(Enum):
    DIFFERENCES = "equal differences"
    FACTORS = "equal factors"


class Axis(Struct, frozen=True):
    name: str
    scale: Scale


class Line(Struct, frozen=True):
    name: str
    points: tuple[tuple[float, float], ...]


class Chart(Struct, frozen=True):
    title: str
    x: Axis
    y: Axis
    lines: tuple[Line, ...]


class Source(Struct, frozen=True):
    """Where a chart's lines are found: figures of one question, whose names hold what is on its x axis."""

    question: str
    file: str
    name: re.Pattern[str]
    title: str
    x: Axis
    y: Axis
    p99: bool = False


_CLIENTS = Axis("clients", Scale.FACTORS)

SOURCES = (
    Source(
        "growth",
        "events",
        re.compile(r"clients: (\d+)"),
        "Events a second, replies of 200 tokens",
        _CLIENTS,
        Axis("events/s", Scale.DIFFERENCES),
    ),
    Source(
        "growth",
        "first-event",
        re.compile(r"clients: (\d+), first event"),
        "Time until the first event, p99",
        _CLIENTS,
        Axis("ms", Scale.FACTORS),
        p99=True,
    ),
    Source(
        "awake",
        "memory",
        re.compile(r"awake: (\d+)"),
        "Private memory of all processes",
        Axis("awake threads", Scale.DIFFERENCES),
        Axis("MB", Scale.DIFFERENCES),
    ),
)


def chart_of(source: Source, answers: Answers) -> Chart:
    """A line for each subject. A p99 that too few samples have leaves out its point."""
    lines = (Line(subject, _points(source, figures)) for subject, figures in answers.figures.items())
    return Chart(source.title, source.x, source.y, tuple(line for line in lines if line.points))


def draw(chart: Chart) -> str:
    """SVG. Raises ValueError if there is nothing to draw."""
    points = [point for line in chart.lines for point in line.points]
    if not points:
        raise ValueError(f"{chart.title}: there is nothing to draw")
    xs, ys = ticks(chart.x.scale, [x for x, _ in points]), ticks(chart.y.scale, [y for _, y in points])
    across = _Span(chart.x.scale, xs, LEFT, WIDTH - RIGHT)
    up = _Span(chart.y.scale, ys, HEIGHT - BOTTOM, TOP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        _text(LEFT, TOP - 25, chart.title, size=16),
        _text(LEFT, TOP - 8, chart.y.name),
        _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 15, chart.x.name, anchor="middle"),
        *(_rule(LEFT, up.at(y), WIDTH - RIGHT, up.at(y)) for y in ys),
        *(_text(LEFT - 8, up.at(y) + 4, f"{y:,g}", anchor="end") for y in ys),
        *(_text(across.at(x), HEIGHT - BOTTOM + 18, f"{x:,g}", anchor="middle") for x in xs),
        *(_line(line, colour, across, up) for line, colour in zip(chart.lines, COLOURS, strict=False)),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def ticks(scale: Scale, values: Sequence[float]) -> list[float]:
    """Round numbers around all values: from 0 in equal steps, or powers of two or ten."""
    if scale is Scale.DIFFERENCES:
        step = _round_step(max(values) / 5)
        return [step * number for number in range(math.ceil(max(values) / step) + 1)] if step else [0, 1]
    least, most = min(values), max(values)
    base = 10 if most / least > 1000 or least < 1 else 2
    first, last = math.floor(math.log(least, base) + 1e-9), math.ceil(math.log(most, base) - 1e-9)
    return [float(base) ** power for power in range(first, max(last, first + 1) + 1)]


def _round_step(about: float) -> float:
    """1, 2 or 5 times a power of ten; at least `about`."""
    if about <= 0:
        return 0
    power = 10.0 ** math.floor(math.log10(about))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= about)


class _Span(Struct, frozen=True):
    """Where the values of an axis lie on the drawing."""

    scale: Scale
    ticks: list[float]
    begin: float
    end: float

    def at(self, value: float) -> float:
        first, last = self._placed(self.ticks[0]), self._placed(self.ticks[-1])
        return self.begin + (self.end - self.begin) * (self._placed(value) - first) / (last - first)

    def _placed(self, value: float) -> float:
        return math.log(value) if self.scale is Scale.FACTORS else value


def _points(source: Source, figures: Sequence[Figure]) -> tuple[tuple[float, float], ...]:
    return tuple(
        (float(found[1]), value)
        for figure in figures
        if (found := source.name.fullmatch(figure.name))
        if (value := figure.p99 if source.p99 else figure.value) is not None
    )


def _line(line: Line, colour: str, across: _Span, up: _Span) -> str:
    places = [(across.at(x), up.at(y)) for x, y in line.points]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places)
    name = _text(places[-1][0] + 8, places[-1][1] + 4, line.name, colour=colour)
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>{dots}{name}'


def _rule(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{GRID}"/>'


def _text(  # noqa: PLR0913 - as many as SVG has
    x: float, y: float, said: str, *, size: int = 12, anchor: str = "start", colour: str = INK
) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}"'
    return f'<text {place} fill="{colour}">{escape(said)}</text>'


@click.command()
@click.argument("figures", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def main(figures: Path, folder: Path) -> None:
    """Draw what the answers in FIGURES (of `--json`) say about growth, into FOLDER."""
    report = msgspec.json.decode(figures.read_bytes(), type=Report)
    answers = {answer.name: answer for answer in report.answers}
    wanted = [source for source in SOURCES if source.question in answers]
    if not wanted:
        raise click.UsageError(f"{figures} has no answer to growth or awake.")
    folder.mkdir(parents=True, exist_ok=True)
    for source in wanted:
        chart = chart_of(source, answers[source.question])
        if not chart.lines:
            raise click.ClickException(f"{source.title}: too little was measured to draw it.")
        path = folder / f"{source.file}.svg"
        path.write_text(draw(chart), encoding="utf-8")
        print(path)


if __name__ == "__main__":
    main()
