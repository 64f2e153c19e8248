"""What a trial has shown: a line for a table, and the story of each broken promise."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from statistics import median

import msgspec

from tests.chaos.promises.case import Breach
from tests.chaos.told import Accepted, Heard, Hit, Note, Recovered
from tests.chaos.trial import Verdict

MOST = 5
"""Breaches of a promise that are told in full."""

AROUND = 20.0
"""Seconds before and after the story of a run in which blows belong to it."""


def table(verdict: Verdict) -> str:
    """What was done, and what came of it."""
    kills = Counter(note.kind for note in verdict.told.of(Hit))
    statuses = Counter("rolled back" if row.rolled_back else row.status for row in verdict.found.rows)
    attempts = Counter(row.attempt for row in verdict.found.rows if row.attempt > 1)
    by_kind: dict[str, list[float]] = defaultdict(list)
    for note in verdict.told.of(Recovered):
        by_kind[note.kind].append(note.seconds)
    recovery = (f"{kind} {median(took):.1f}/{max(took):.1f}" for kind, took in sorted(by_kind.items()))
    counts = {
        "seed": str(verdict.plan.seed),
        "blows": _counted(kills),
        "runs": f"{len(verdict.found.rows)} ({_counted(statuses)}), {sum(attempts.values())} of more than one attempt",
        "acknowledged": str(len({note.run_id for note in verdict.told.of(Accepted)})),
        "parts heard": f"{sum(1 for _ in verdict.told.of(Heard))} by clients, {_parts(verdict)} once more at the end",
        "model calls": _counted(Counter(call.status for call in verdict.found.calls)),
        "seconds to recover (p50/max)": ", ".join(recovery),
        "broken promises": _counted(Counter({name: len(all_) for name, all_ in verdict.broken.items()})) or "none",
    }
    return "\n".join(f"{name:>29}  {what}" for name, what in counts.items())


def story(verdict: Verdict) -> str:
    """Every promise that was not kept, with what everybody was told of the run, and what was done to the server."""
    lines = [f"seed {verdict.plan.seed}"]
    for name, broken in verdict.broken.items():
        lines.append(f"\n== {name}: {len(broken)}")
        for breach in broken[:MOST]:
            lines += [
                "",
                f"-- {breach.what} (run {breach.run_id}, thread {breach.thread_id})",
                *_history(verdict, breach),
            ]
        lines += [f"-- {breach.what} (run {breach.run_id})" for breach in broken[MOST:]]
    return "\n".join(lines)


def _history(verdict: Verdict, breach: Breach) -> Iterator[str]:
    if breach.run_id is None and breach.thread_id is None:
        return
    first = verdict.told.notes[0].at
    concerned = [
        row for row in verdict.found.rows if (breach.run_id or breach.thread_id) in {row.run_id, row.thread_id}
    ]
    yield from (f"   row   {msgspec.json.encode(row).decode()}" for row in concerned)
    names = (breach.run_id or breach.thread_id, *(row.word for row in concerned))
    for note in _in_short(verdict.told.about(*names)):
        yield f"   {note.at - first:8.3f} {_told(note)}"
    for step in verdict.found.steps.get(breach.thread_id or "", []):
        if breach.run_id in {None, step.run_id}:
            yield f"   step  {msgspec.json.encode(step).decode()}"
    if breach.thread_id in verdict.found.states and breach.run_id:
        done = verdict.found.states[breach.thread_id]
        yield f"   state {[entry for entry in done if entry.startswith(breach.run_id)]}"


def _in_short(notes: list[Note]) -> Iterator[Note]:
    """The blows around the rest, and of what each reader heard the first and the last."""
    moments = [note.at for note in notes if not isinstance(note, Hit | Recovered)]
    last = {note.reading: note for note in notes if isinstance(note, Heard)}
    seen: set[int] = set()
    for note in notes:
        match note:
            case Hit() | Recovered():
                if moments and moments[0] - AROUND < note.at < moments[-1] + AROUND:
                    yield note
            case Heard(reading=reading):
                if reading not in seen or last[reading] is note:
                    yield note
                seen.add(reading)
            case _:
                yield note


def _told(note: Note) -> str:
    fields = {name: getattr(note, name) for name in note.__struct_fields__ if name != "at"}
    return f"{type(note).__name__:<10}" + " ".join(f"{name}={value}" for name, value in fields.items())


def _parts(verdict: Verdict) -> int:
    return sum(1 for _ in verdict.found.replays.of(Heard))


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.most_common())
