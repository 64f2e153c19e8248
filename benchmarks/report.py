"""What was measured, under which conditions; as tables to read, and as JSON."""

import os
import platform
import shlex
import subprocess
from importlib.metadata import version
from pathlib import Path

import psutil
from msgspec import Struct
from rich.console import Console
from rich.table import Table

from benchmarks.figures import Figure, Unit, advantage
from benchmarks.subject import CEILING
from benchmarks.targets import TARGETS, AtLeast, AtMost, Outcome, Target, TimesOwn, TimesSubject, Verdict, judge

_OURS = ("treadle", "langgraph", "langchain-core", "ray", "litestar", "uvicorn", "duckdb")


class Conditions(Struct, frozen=True):
    command: str
    commit: str
    machine: str
    python: str
    versions: dict[str, dict[str, str]]
    """Of what runs here, and of a peer's own environment."""
    notes: list[str]


class Answers(Struct, frozen=True):
    """One question, and what each subject's figures are. The first subject is compared with the others."""

    name: str
    question: str
    figures: dict[str, list[Figure]]


class Report(Struct, frozen=True):
    conditions: Conditions
    answers: list[Answers]
    verdicts: list[Verdict]
    """On the targets of the questions that were asked."""


def verdicts(answers: list[Answers], ours: str) -> list[Verdict]:
    found = {answer.name: answer.figures for answer in answers}
    return [judge(target, found, ours) for target in TARGETS if target.question in found]


def conditions(arguments: list[str], notes: list[str], peers: dict[str, dict[str, str]]) -> Conditions:
    memory = psutil.virtual_memory().total / 2**30
    return Conditions(
        command=shlex.join(["python", "-m", "benchmarks", *arguments]),
        commit=_commit(),
        machine=f"{os.cpu_count()} cores ({_processor()}), {memory:.0f} GiB, {platform.system()} {platform.release()}",
        python=platform.python_version(),
        versions={"here": {name: version(name) for name in _OURS}, **peers},
        notes=notes,
    )


def show(report: Report, console: Console) -> None:
    for answer in report.answers:
        console.print()
        console.print(f"[bold]{answer.name}[/]  {answer.question}", highlight=False)
        console.print(_table(answer.figures))
    given = report.conditions
    console.print()
    if report.verdicts:
        console.print(_judged(report.verdicts))
        console.print()
    console.print("A time is: median / p95 / p99, with a dash where too few were measured.", highlight=False)
    console.print("vs: how many times better the first column is.", highlight=False)
    for note in given.notes:
        console.print(note, highlight=False)
    for where, versions in given.versions.items():
        listed = ", ".join(f"{name} {number}" for name, number in versions.items())
        console.print(f"{where}: {listed}", highlight=False)
    console.print(f"Python {given.python}; {given.machine}; commit {given.commit}", highlight=False)
    console.print(f"$ {given.command}", highlight=False, soft_wrap=True)


def wanted(target: Target) -> str:
    """As a reader says it: `p99 at most 25 ms`."""
    match target.comparison:
        case AtMost(bound, p99):
            return f"{'p99 ' if p99 else ''}at most {bound:,g} {target.unit}"
        case AtLeast(bound):
            return f"at least {bound:,g} {target.unit}"
        case TimesSubject(bound, subject):
            return f"{bound:g} times {subject}"
        case TimesOwn(bound, figure):
            return f"{bound:g} times {figure}"


def reached(verdict: Verdict) -> str:
    if verdict.measured is None:
        return verdict.why
    match verdict.target.comparison:
        case AtMost() | AtLeast():
            return f"{_short(verdict.measured)} {verdict.target.unit}"
        case TimesSubject() | TimesOwn():
            return f"{_short(verdict.measured)} times"


_STYLES = {Outcome.PASS: "green", Outcome.FAIL: "bold red", Outcome.NOT_MEASURED: "yellow"}


def _judged(verdicts: list[Verdict]) -> Table:
    table = Table("", "", "target", "measured", "")
    for verdict in verdicts:
        target, style = verdict.target, _STYLES[verdict.outcome]
        table.add_row(
            target.question, target.figure, wanted(target), reached(verdict), f"[{style}]{verdict.outcome}[/]"
        )
    return table


def _table(figures: dict[str, list[Figure]]) -> Table:
    ours, *others = figures
    compared = [other for other in others if other != CEILING]
    table = Table("", "", *figures, *(f"vs {other}" for other in compared))
    for column in table.columns[2:]:
        column.justify = "right"
    found = {subject: {figure.name: figure for figure in listed} for subject, listed in figures.items()}
    for name in dict.fromkeys(name for listed in found.values() for name in listed):
        row = {subject: listed[name] for subject, listed in found.items() if name in listed}
        values = [_value(row.get(subject)) for subject in figures]
        ratios = [_ratio(row.get(ours), row.get(other)) for other in compared]
        table.add_row(name, next(iter(row.values())).unit, *values, *ratios)
    return table


def _value(figure: Figure | None) -> str:
    if figure is None:
        return "-"
    if figure.unit is not Unit.MILLISECONDS:
        return _short(figure.value)
    return " / ".join("-" if time is None else f"{time:,.1f}" for time in (figure.value, figure.p95, figure.p99))


def _ratio(ours: Figure | None, theirs: Figure | None) -> str:
    better = advantage(ours, theirs) if ours and theirs else None
    if better is None:
        return "-"
    return _short(better)


def _short(value: float) -> str:
    """Three digits, or as many as there are before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _commit() -> str:
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--exclude=*"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return described.stdout.strip() or "unknown"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())
