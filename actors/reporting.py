"""Calls of models that were made where no callback sees them: in a loop, a process or a service of their own.

User code reports them, and they count like all others: `from actors.reporting import report_usage`.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, TypeGuard
from uuid import UUID, uuid5

from actors.logbook import origin_of
from storage.accounting import MOST_TOKENS, CallStatus, ModelCall, Usage, UsageSource
from storage.records import Run

MOST_REMEMBERED = 100
"""Runs of this process that may be reported on after they have ended."""

CALLER = re.compile(r"lead_agent|(subagent|middleware)(:.*)?")

NUMBERS = ("input_tokens", "output_tokens", "total_tokens")

Take = Callable[[Sequence[ModelCall]], bool]
"""Takes calls in while their run goes on; False when it has ended."""

_runs: dict[str, tuple[Run, Take]] = {}
_late: list[Callable[[list[ModelCall]], object]] = []


def report_usage(records: Sequence[Mapping[str, Any]], run_id: str | None = None) -> None:
    """Count calls of models that Treadle cannot see by itself.

    Each record has `source_run_id`, `input_tokens` and `output_tokens`; it may have `caller`, `total_tokens`, `model`,
    `provider`, `started_at` and `ended_at` (datetimes). The same `source_run_id` is the same call, and counts once. By
    default they belong to the run that this process executes; one that has ended here lately can be named by its id.

    Raises ValueError for a record that says too little or makes no sense, and LookupError for an unknown run; then
    nothing is counted.
    """
    wanted = run_id or next(reversed(_runs), None)
    if wanted is None or wanted not in _runs:
        raise LookupError(f"this process has not executed run {run_id}" if run_id else "no run is executed here")
    run, take = _runs[wanted]
    calls = [_call(run, record) for record in records]
    if not calls or take(calls):
        return
    if not _late:
        raise LookupError(f"run {wanted} has ended, and nobody takes late reports here")
    _late[-1](calls)


def listen(run: Run, take: Take) -> None:
    """This process executes a run from now on."""
    _runs.pop(run.run_id, None)
    _runs[run.run_id] = (run, take)
    if len(_runs) > MOST_REMEMBERED:
        del _runs[next(iter(_runs))]


def take_late(take: Callable[[list[ModelCall]], object]) -> None:
    """Who gets the calls of runs that have ended."""
    _late.append(take)


def _call(run: Run, record: Mapping[str, Any]) -> ModelCall:
    source = record.get("source_run_id")
    if not isinstance(source, str | UUID) or not str(source):
        raise ValueError("a record of usage needs a source_run_id")
    read, written, total = (_tokens(record, name) for name in NUMBERS)
    kind, _, name = _caller(record).partition(":")
    model, provider = (_name(record, name) for name in ("model", "provider"))
    started_at = _moment(record, "started_at") or datetime.now(UTC)
    return ModelCall(
        call_id=_id(run, str(source)),
        origin=origin_of(run),
        attempt=run.attempt,
        caller=kind,
        caller_name=name or None,
        provider=provider,
        model_requested=model,
        model=model or "unknown",
        started_at=started_at,
        ended_at=max(_moment(record, "ended_at") or started_at, started_at),
        usage=Usage(
            input_tokens=read,
            output_tokens=written,
            total_tokens=total or read + written,
            usage_source=UsageSource.REPORTED,
        ),
        status=CallStatus.SUCCESS,
    )


def _id(run: Run, source: str) -> str:
    """One that is no UUID becomes one, and the same one every time (`spec/usage.md` §1.1)."""
    try:
        return str(UUID(source))
    except ValueError:
        return str(uuid5(UUID(run.run_id), source))


def _tokens(record: Mapping[str, Any], name: str) -> int:
    value = record.get(name)
    if value is None and name == "total_tokens":
        return 0
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST_TOKENS:
        raise ValueError(f"{name} is a number of tokens, not {value!r}")
    return value


def _caller(record: Mapping[str, Any]) -> str:
    caller = record.get("caller") or "lead_agent"
    if not _is_text(caller) or not CALLER.fullmatch(caller):
        raise ValueError(f"caller is lead_agent, subagent:<name> or middleware:<name>, not {caller!r}")
    return caller


def _name(record: Mapping[str, Any], name: str) -> str | None:
    value = record.get(name)
    if value is None or _is_text(value):
        return value
    raise ValueError(f"{name} is a name, not {value!r}")


def _is_text(value: Any) -> TypeGuard[str]:
    """That can be kept: not half a surrogate pair."""
    return isinstance(value, str) and value == value.encode(errors="replace").decode()


def _moment(record: Mapping[str, Any], name: str) -> datetime | None:
    value = record.get(name)
    if value is None:
        return None
    with suppress(ValueError):
        value = datetime.fromisoformat(value) if isinstance(value, str) else value
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    raise ValueError(f"{name} is a time, not {value!r}")
