"""Runs and model calls as random as they may be, and where they are kept."""

import random
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec

BORDERS = (time(0), time(23, 59, 59, 999_000), time(23, 59, 59, 999_999), time(0, 59, 59, 999_999), time(12, 30))
LIST = "genai-prices 1"


def a_call(**given):
    """A row of `model_calls`."""
    row: dict[str, Any] = {
        "call_id": UUID(int=random.getrandbits(128)),
        "recorded_at": datetime(2026, 11, 22, tzinfo=UTC),
        "thread_id": "t1",
        "run_id": UUID(int=1),
        "attempt": 1,
        "user_id": None,
        "tenant": None,
        "assistant_id": "a1",
        "assistant_version": 1,
        "graph_id": "agent",
        "node": None,
        "step": None,
        "subgraph": None,
        "caller": "lead_agent",
        "caller_name": None,
        "tool": None,
        "provider": "openai",
        "model": "gpt-4o",
        "started_at": datetime(2026, 11, 22, 12, tzinfo=UTC),
        "first_token_at": None,
        "ended_at": None,
        "input_tokens": 0,
        "output_tokens": 0,
        "cache_read_tokens": 0,
        "cache_write_tokens": 0,
        "input_audio_tokens": 0,
        "output_audio_tokens": 0,
        "reasoning_tokens": 0,
        "usage_source": "reported",
        "from_cache": False,
        "status": "success",
        "finish_reason": None,
        "error_type": None,
        "cost_usd": None,
        "price_version": None,
        "priced_as": None,
        "unpriced_reason": None,
        "tags": [],
        "metadata": {},
        "environment": None,
        "release": None,
    } | given
    row.setdefault("total_tokens", row["input_tokens"] + row["output_tokens"])
    return row


def a_run_row(**given):
    """A row of `runs`."""
    queued_at = datetime(2026, 11, 22, 12, tzinfo=UTC)
    return {
        "run_id": UUID(int=1),
        "thread_id": "t1",
        "user_id": None,
        "assistant_id": "a1",
        "assistant_version": 1,
        "graph_id": "agent",
        "status": "success",
        "multitask_strategy": "reject",
        "attempt": 1,
        "queued_at": queued_at,
        "started_at": None,
        "ended_at": None,
        "tags": [],
        "metadata": {},
        "dialect": "platform",
        "updated_at": queued_at,
        "due_at": None,
        "llm_call_count": 0,
        "tool_call_count": 0,
    } | given


def insert(db, table, rows):
    """Rows that all have the same columns."""
    for row in rows:
        values = [msgspec.json.encode(value).decode() if isinstance(value, dict) else value for value in row.values()]
        db.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", values)


def history(seed: int, today: date):
    """Runs and calls of the last forty days, of which many lie at the border of a day or an hour."""
    dice = random.Random(seed)
    runs = [_run(dice, number, today) for number in range(25)]
    return runs, [_call(dice, run) for run in runs for _ in range(dice.randrange(8))]


def _run(dice, number, today):
    queued_at = _moment(dice, today)
    started_at = dice.choice((None, queued_at + timedelta(milliseconds=2000 + dice.randrange(9000))))
    thread = dice.randrange(6)
    return a_run_row(
        run_id=_id(dice, number),
        thread_id=f"t{thread}",
        user_id=None if thread == 0 else f"u{thread % 3}",
        assistant_id=dice.choice(("a1", "a2")),
        assistant_version=dice.choice((1, 2)),
        status=dice.choice(("success", "error", "timeout", "interrupted", "running")),
        attempt=dice.choice((1, 1, 2)),
        queued_at=queued_at,
        due_at=dice.choice((None, queued_at + timedelta(seconds=1), queued_at - timedelta(seconds=1))),
        started_at=started_at,
        ended_at=started_at and dice.choice((None, started_at + timedelta(milliseconds=dice.randrange(99_000)))),
        tags=dice.sample(("red", "blue", "red"), dice.randrange(4)),
        metadata=dice.choice(({}, {"team": "x"}, {"team": "y", "a/b~c": "z"}, {"team": None}, {"team": 3})),
        llm_call_count=dice.randrange(9),
        tool_call_count=dice.randrange(9),
    )


def _call(dice, run):
    started_at = _moment(dice, run["queued_at"].date())
    streamed = dice.choice((True, False))
    shared = ("run_id", "thread_id", "user_id", "assistant_id", "assistant_version", "tags", "metadata")
    caller, caller_name = dice.choice((("lead_agent", None), ("subagent", "helper"), ("middleware", "titles")))
    return a_call(
        **{name: run[name] for name in shared},
        **_spent(dice),
        call_id=_id(dice, 0),
        attempt=dice.randrange(1, run["attempt"] + 1),
        tenant=dice.choice((None, "acme")),
        node=dice.choice((None, "plan", "work")),
        subgraph=dice.choice((None, "research")),
        caller=caller,
        caller_name=caller_name,
        tool=dice.choice((None, "search")),
        provider=dice.choice((None, "openai", "acme")),
        model=dice.choice(("gpt-4o", "o3")),
        started_at=started_at,
        first_token_at=started_at + timedelta(microseconds=dice.randrange(900_000)) if streamed else None,
        ended_at=dice.choice((None, started_at, started_at + timedelta(microseconds=1 + dice.randrange(5_000_000)))),
        status=dice.choice(("success", "success", "error", "cancelled", "lost")),
        finish_reason=dice.choice((None, "stop", "length")),
        error_type=dice.choice((None, "TimeoutError")),
        environment=dice.choice((None, "production")),
        release=dice.choice(("1", "2")),
    )


def _spent(dice):
    """Tokens, and what they cost."""
    if dice.random() < 0.1:
        return {"from_cache": True, "cost_usd": Decimal(0)}
    if dice.random() < 0.1:
        return {"usage_source": "missing", "unpriced_reason": "no_usage"}
    read, write, fresh, out = (dice.randrange(200) for _ in range(4))
    tokens = {
        "input_tokens": fresh + read + write,
        "output_tokens": out,
        "total_tokens": fresh + read + write + out + dice.choice((0, 0, 7)),
        "cache_read_tokens": read,
        "cache_write_tokens": write,
        "reasoning_tokens": dice.randrange(out + 1),
        "usage_source": dice.choice(("reported", "reported", "estimated")),
    }
    if dice.random() < 0.2:
        return tokens | {"unpriced_reason": dice.choice(("pending", "unknown_model", "unknown_provider"))}
    cost = Decimal(dice.randrange(10**12)).scaleb(-10)
    return tokens | {"cost_usd": cost, "price_version": LIST, "priced_as": dice.choice(("openai/gpt-4o", "openai/o3"))}


def _moment(dice, today):
    """Of the last days, and often of the last microseconds of one."""
    day = today - timedelta(days=dice.choice((0, 0, 1, 1, 2, 3, 9, 30, 40)))
    return datetime.combine(day, dice.choice(BORDERS), UTC)


def _id(dice, number):
    return UUID(int=dice.getrandbits(64) << 64 | number)
