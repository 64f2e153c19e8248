"""What users ask of the ledger, beside the same in plain Python on random rows."""

import math
import re
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from storage import queries, texts
from storage.database import create_views, migrate
from tests.usage_rows import LIST, a_call, history, insert

GUIDE = Path(queries.__file__).parent / "USAGE.md"
GROWTH = [
    {
        "price_version": LIST,
        "priced_as": "openai/gpt-4o",
        "above": 0,
        "up_to": 300,
        "mtok": (3, 15, 1, None),
        "window": 999,
    },
    {
        "price_version": LIST,
        "priced_as": "openai/gpt-4o",
        "above": 300,
        "up_to": None,
        "mtok": (6, 30, 2, None),
        "window": 999,
    },
    {
        "price_version": LIST,
        "priced_as": "openai/o3",
        "above": 0,
        "up_to": None,
        "mtok": (2, 8, None, 3),
        "window": None,
    },
]


@pytest.fixture(scope="module")
def empty():
    with opened() as db:
        yield db


@pytest.fixture(scope="module", params=range(4))
def filled(request):
    """A database, and the runs and calls in it."""
    with opened() as db:
        (today,) = db.execute("select current_date").fetchone()
        runs, calls = history(request.param, today)
        insert(db, "runs", runs)
        insert(db, "model_calls", calls)
        put_prices(db, GROWTH)
        yield db, runs, [derived(call) for call in calls]


def opened():
    db = duckdb.connect()
    db.execute("SET GLOBAL TimeZone = 'UTC'")
    migrate(db)
    create_views(db)
    return db


def put_prices(db, rows, loaded_at=datetime(2026, 11, 1, tzinfo=UTC)):
    names = ("input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok")
    for row in rows:
        insert(
            db,
            "prices",
            [
                {
                    "price_version": row["price_version"],
                    "loaded_at": loaded_at,
                    "priced_as": row["priced_as"],
                    "starts_at": row.get("starts_at"),
                    "ends_at": row.get("ends_at"),
                    "above_input_tokens": row["above"],
                    "up_to_input_tokens": row["up_to"],
                    **dict(zip(names, row["mtok"], strict=True)),
                    "context_window": row["window"],
                    "exact": True,
                }
            ],
        )


def ask(db, sql):
    """The answer as dicts. Times are microseconds since 1970: DuckDB's own need a package to become Python's."""
    db.execute(f"create or replace temp table answer as {sql}")
    columns = db.execute("select column_name, data_type from duckdb_columns() where table_name = 'answer'").fetchall()
    names = [f'epoch_us("{name}")' if kind == "TIMESTAMP WITH TIME ZONE" else f'"{name}"' for name, kind in columns]
    rows = db.execute(f"select {', '.join(names)} from answer").fetchall()
    return [dict(zip([name for name, _ in columns], row, strict=True)) for row in rows]


# The same in Python


def micros(moment):
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def derived(call):
    start, first, end = (call[name] and micros(call[name]) for name in ("started_at", "first_token_at", "ended_at"))
    return call | {
        "day": call["started_at"].date(),
        "hour": start // 3_600_000_000 * 3_600_000_000,
        "fresh_input_tokens": call["input_tokens"] - call["cache_read_tokens"] - call["cache_write_tokens"],
        "duration_ms": None if end is None else (end - start) / 1000,
        "ttft_ms": None if first is None else (first - start) / 1000,
        "tokens_per_s": call["output_tokens"] * 1_000_000 / (end - start) if end not in {None, start} else None,
    }


def grouped(rows, *names):
    groups = defaultdict(list)
    for row in rows:
        groups[tuple(row[name] for name in names)].append(row)
    return [(dict(zip(names, key, strict=True)), group) for key, group in groups.items()]


def added(rows, name):
    """As SQL adds: what is None is left out, and nothing but None is None."""
    known = [row[name] for row in rows if row[name] is not None]
    return sum(known) if known else None


def count(rows, **given):
    return sum(all(row[name] == value for name, value in given.items()) for row in rows)


def measures(rows) -> dict[str, Any]:
    sums = ("input_tokens", "output_tokens", "cache_read_tokens", "reasoning_tokens", "total_tokens", "cost_usd")
    return {name: added(rows, name) for name in sums} | {
        "calls": count(rows, from_cache=False),
        "unpriced_calls": count(rows, cost_usd=None),
        "estimated_calls": count(rows, usage_source="estimated"),
    }


def usage(rows, *names):
    return [key | measures(group) for key, group in grouped(rows, *names)]


def percentiles(values):
    """Between neighbours in proportion, as `quantile_cont`."""
    known = sorted(value for value in values if value is not None)
    return [_quantile(known, part) for part in (0.5, 0.95, 0.99)] if known else None


def _quantile(known, part):
    place = (len(known) - 1) * part
    low, high = known[math.floor(place)], known[math.ceil(place)]
    return low + (high - low) * (place - math.floor(place))


def alike(found, expected):
    """Whether these are the same rows in any order, floats as near as floats can be."""
    assert len(found) == len(expected)
    for one, other in zip(sorted(found, key=_key), sorted(expected, key=_key), strict=True):
        assert set(one) == set(other)
        for name, value in other.items():
            near = isinstance(value, float) or (isinstance(value, list) and value and isinstance(value[0], float))
            assert one[name] == (pytest.approx(value, rel=1e-9, abs=1e-9) if near else value), name


def _key(row):
    return sorted((name, str(value)) for name, value in row.items() if not isinstance(value, float | list | Decimal))


# Tokens and cost by what they were for

BY = {
    "usage_by_day": ("day",),
    "usage_by_hour": ("day", "hour"),
    "usage_by_model": ("day", "provider", "model"),
    "usage_by_user": ("day", "user_id", "tenant"),
    "usage_by_run": ("thread_id", "run_id", "user_id"),
    "usage_by_assistant": ("day", "assistant_id", "assistant_version", "graph_id"),
    "usage_by_node": ("day", "graph_id", "subgraph", "node", "caller", "caller_name", "tool"),
    "usage_by_release": ("day", "environment", "release"),
}


@pytest.mark.parametrize("view", BY)
def test_usage_is_added_up_by(filled, view):
    db, _, calls = filled
    alike(ask(db, f"from {view}"), usage(calls, *BY[view]))


def test_what_calls_derives_from_a_call(filled):
    db, _, calls = filled
    names = ("call_id", "day", "hour", "fresh_input_tokens", "duration_ms", "ttft_ms", "tokens_per_s")
    alike(ask(db, f"select {', '.join(names)} from calls"), [{name: call[name] for name in names} for call in calls])


def test_usage_by_thread_counts_its_runs(filled):
    db, _, calls = filled
    expected = [
        key | {"runs": len({call["run_id"] for call in group})} | measures(group)
        for key, group in grouped(calls, "thread_id", "user_id")
    ]
    alike(ask(db, "from usage_by_thread"), expected)


def test_usage_by_tag_has_a_call_once_under_each_of_its_tags(filled):
    db, _, calls = filled
    tagged = [call | {"tag": tag} for call in calls for tag in set(call["tags"])]
    alike(ask(db, "from usage_by_tag"), usage(tagged, "day", "tag"))


@pytest.mark.parametrize("key", ["team", "a/b~c", "$.team", "none"])
def test_usage_by_metadata_is_by_the_value_of_a_key(filled, key):
    db, _, calls = filled
    with_value = [call | {"value": _text(call["metadata"].get(key))} for call in calls]
    alike(ask(db, f"from usage_by_metadata('{key}')"), usage(with_value, "day", "value"))


def _text(value):
    return None if value is None else str(value)


@pytest.mark.parametrize(
    ("macro", "names"),
    [
        ("top_threads", ("thread_id", "user_id")),
        ("top_runs", ("thread_id", "run_id", "user_id")),
        ("top_users", ("user_id", "tenant")),
    ],
)
def test_the_dearest_come_first(filled, macro, names):
    db, _, calls = filled
    since = datetime.combine(max(call["day"] for call in calls) - timedelta(days=2), datetime.min.time(), UTC)
    found = ask(db, f"from {macro}('{since.isoformat()}'::timestamptz, n := 3)")
    everything = usage([call for call in calls if call["started_at"] >= since], *names)
    assert [row["cost_usd"] for row in found] == sorted(
        (row["cost_usd"] for row in everything), key=lambda cost: (cost is None, -(cost or 0))
    )[:3]
    assert all(row in everything for row in found)


# Single questions


def test_cache_savings_are_at_the_price_of_each_call(filled):
    db, _, calls = filled
    expected = []
    for key, group in grouped(calls, "day", "provider", "model"):
        saved = [_saved(call) for call in group if call["cost_usd"] is not None and not call["from_cache"]]
        names = ("input_tokens", "cache_read_tokens", "cache_write_tokens")
        expected.append(
            key
            | {name: added(group, name) for name in names}
            | {"calls": count(group, from_cache=False), "unpriced_calls": count(group, cost_usd=None)}
            | {"saved_usd": sum(saved).quantize(Decimal("1e-10")) if saved else None}
        )
    alike(ask(db, "from cache_savings"), expected)


def _saved(call):
    read, write = call["cache_read_tokens"], call["cache_write_tokens"]
    if call["priced_as"] == "openai/o3":  # writing is dearer, reading costs what input does
        return Decimal(-write) / 10**6
    return Decimal(read * (4 if call["input_tokens"] > 300 else 2)) / 10**6


def test_token_shape_is_of_usage_by_model(filled):
    db, _, calls = filled
    shares = [
        {
            **{name: row[name] for name in ("day", "provider", "model", "calls", "estimated_calls")},
            **{name: row[name] for name in ("input_tokens", "output_tokens", "reasoning_tokens", "total_tokens")},
            "reasoning_share": row["reasoning_tokens"] / row["output_tokens"] if row["output_tokens"] else None,
            "output_per_input": row["output_tokens"] / row["input_tokens"] if row["input_tokens"] else None,
        }
        for row in usage(calls, "day", "provider", "model")
    ]
    alike(ask(db, "from token_shape"), shares)


def test_spend_by_outcome_knows_the_run_and_whether_a_later_attempt_repeated_it(filled):
    db, runs, calls = filled
    by_id = {run["run_id"]: run for run in runs}
    joined = [
        call
        | {"run_status": by_id[call["run_id"]]["status"], "call_status": call["status"]}
        | {"repeated": call["attempt"] < by_id[call["run_id"]]["attempt"]}
        for call in calls
    ]
    alike(ask(db, "from spend_by_outcome"), usage(joined, "day", "run_status", "repeated", "call_status"))


def test_latency_by_model_is_of_calls_that_succeeded(filled):
    db, _, calls = filled
    succeeded = [call for call in calls if call["status"] == "success" and not call["from_cache"]]
    expected = [
        key
        | {"calls": len(group)}
        | {name: percentiles(call[name] for call in group) for name in ("ttft_ms", "duration_ms", "tokens_per_s")}
        for key, group in grouped(succeeded, "day", "provider", "model")
    ]
    alike(ask(db, "from latency_by_model"), expected)


def test_steps_per_run_name_the_busiest_node(filled):
    db, runs, calls = filled
    found = {row["run_id"]: row for row in ask(db, "from steps_per_run")}
    assert set(found) == {run["run_id"] for run in runs}
    for run in runs:
        row = found[run["run_id"]]
        nodes = [call["node"] for call in calls if call["run_id"] == run["run_id"] and not call["from_cache"]]
        assert row["day"] == run["queued_at"].date()
        same = ("status", "llm_call_count", "tool_call_count", "user_id", "assistant_id", "graph_id", "thread_id")
        assert [row[name] for name in same] == [run[name] for name in same]
        assert row["busiest_node_calls"] == (max(map(nodes.count, nodes)) if nodes else None)
        busiest = max(nodes, key=lambda node: (nodes.count(node), node or ""), default=None)
        assert row["busiest_node"] == busiest


def test_context_growth_is_of_the_lead_agent_in_order_of_turns(filled):
    db, _, calls = filled
    lead = [
        call
        for call in calls
        if call["caller"] == "lead_agent" and not call["from_cache"] and call["usage_source"] != "missing"
    ]
    expected = []
    for _, of_thread in grouped(lead, "thread_id"):
        of_runs = [(min(map(_time, group)), key["run_id"], group) for key, group in grouped(of_thread, "run_id")]
        for turn, (started_at, run_id, group) in enumerate(sorted(of_runs, key=lambda one: (one[0], one[1].int)), 1):
            largest = max(group, key=lambda call: (call["input_tokens"], call["call_id"].int))
            known = largest["priced_as"] == "openai/gpt-4o"
            expected.append(
                {
                    "thread_id": largest["thread_id"],
                    "run_id": run_id,
                    "turn": turn,
                    "started_at": started_at,
                    "model": largest["model"],
                    "first_input_tokens": min(group, key=lambda call: (_time(call), call["call_id"].int))[
                        "input_tokens"
                    ],
                    "largest_input_tokens": largest["input_tokens"],
                    "window_used": largest["input_tokens"] / 999 if known else None,
                }
            )
    alike(ask(db, "from context_growth"), expected)


def _time(call):
    return micros(call["started_at"])


def test_errors_by_model_count_each_bad_end(filled):
    db, _, calls = filled
    names = ("day", "provider", "model", "error_type", "finish_reason")
    expected = [
        key
        | {"calls": len(group), "errors": count(group, status="error")}
        | {"cancelled": count(group, status="cancelled"), "lost": count(group, status="lost")}
        for key, group in grouped([call for call in calls if not call["from_cache"]], *names)
    ]
    alike(ask(db, "from errors_by_model"), expected)


def test_spend_anomalies_compare_a_day_with_the_rows_before(filled):
    db, _, calls = filled
    before, expected = [], []
    for row in sorted(usage(calls, "day"), key=lambda row: row["day"]):
        known = [float(one) for one in before[-28:] if one is not None]
        cost = row["cost_usd"]
        mean: Any = sum(known) / len(known) if known else None
        spread = math.sqrt(sum((one - mean) ** 2 for one in known) / (len(known) - 1)) if len(known) > 1 else None
        z = (float(cost) - mean) / spread if spread and cost is not None else None
        expected.append(
            {name: row[name] for name in ("day", "cost_usd", "unpriced_calls")} | {"mean_usd": mean, "z": z}
        )
        before.append(cost)
    alike(ask(db, "from spend_anomalies"), expected)


def test_the_forecast_goes_on_like_the_last_28_days(filled):
    db, _, calls = filled
    db.begin()
    (now,) = db.execute("select epoch_us(now())").fetchone()
    (found,) = ask(db, "from spend_forecast()")
    db.rollback()
    now = datetime.fromtimestamp(now / 1_000_000, UTC)
    month = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    this_month = [call for call in calls if call["started_at"] >= month]
    lately = [call for call in calls if call["started_at"] > now - timedelta(days=28)]
    age = (now - min(call["started_at"] for call in calls)) / timedelta(days=1)
    daily = float(added(lately, "cost_usd")) / min(28, max(1, age))
    left = ((month + timedelta(days=32)).replace(day=1) - now) / timedelta(days=1)
    assert (found["month"], found["unpriced_calls"]) == (month.date(), count(this_month, cost_usd=None))
    assert found["spent_usd"] == (added(this_month, "cost_usd") if this_month else 0)
    assert found["daily_usd"] == pytest.approx(daily)
    assert found["days_left"] == pytest.approx(left)
    assert found["forecast_usd"] == pytest.approx(float(found["spent_usd"] or 0) + daily * left)


def test_what_if_prices_the_same_tokens_tier_by_tier(filled):
    db, _, calls = filled
    found = ask(db, "from what_if('openai/gpt-4o', '2000-01-01'::timestamptz)")
    expected = [
        key
        | {"calls": count(group, from_cache=False), "total_tokens": added(group, "total_tokens")}
        | {"cost_usd": added(group, "cost_usd"), "unpriced_calls": count(group, cost_usd=None)}
        | {"what_if_usd": sum(map(_as_gpt_4o, group)).quantize(Decimal("1e-10"))}
        for key, group in grouped(calls, "provider", "model")
    ]
    alike(found, expected)
    unknown = ask(db, "from what_if('openai/none', '2000-01-01'::timestamptz)")
    alike(unknown, [row | {"what_if_usd": None} for row in expected])


def _as_gpt_4o(call):
    dollars = (
        (call["fresh_input_tokens"] + call["cache_write_tokens"]) * 3
        + call["cache_read_tokens"]
        + call["output_tokens"] * 15
    )
    return Decimal(dollars * (2 if call["input_tokens"] > 300 else 1)) / 10**6


def test_unpriced_models_say_why(filled):
    db, _, calls = filled
    sums = ("input_tokens", "output_tokens", "total_tokens")
    expected = [
        key
        | {name: added(group, name) for name in sums}
        | {"calls": len(group), "first_at": min(map(_time, group)), "last_at": max(map(_time, group))}
        for key, group in grouped(
            [call for call in calls if call["cost_usd"] is None], "provider", "model", "unpriced_reason"
        )
    ]
    alike(ask(db, "from unpriced_models"), expected)


def test_usage_gaps_are_models_that_do_not_say_what_they_took(filled):
    db, _, calls = filled
    given = [call | {"call_status": call["status"]} for call in calls if not call["from_cache"]]
    expected = [
        key
        | {"calls": len(group), "estimated_calls": count(group, usage_source="estimated")}
        | {"missing_calls": count(group, usage_source="missing")}
        | {"estimated_tokens": added([one for one in group if one["usage_source"] == "estimated"], "total_tokens")}
        for key, group in grouped(given, "day", "provider", "model", "call_status")
        if any(call["usage_source"] != "reported" for call in group)
    ]
    alike(ask(db, "from usage_gaps"), expected)


def test_active_users_are_distinct_and_have_their_share_of_the_cost(filled):
    db, _, calls = filled
    expected = []
    for key, group in grouped(calls, "day"):
        users = {call["user_id"] for call in group} - {None}
        threads = {call["thread_id"] for call in group}
        cost = added(group, "cost_usd")
        shares = [cost and (cost / len(some)).quantize(Decimal("1e-10")) if some else None for some in (users, threads)]
        expected.append(
            key
            | {"users": len(users), "threads": len(threads), "cost_usd": cost}
            | {"unpriced_calls": count(group, cost_usd=None), "cost_per_user": shares[0], "cost_per_thread": shares[1]}
        )
    found = ask(db, "from active_users")
    for row in (*found, *expected):  # a division is of floats: ten digits of such sums are the most they have
        for name in ("cost_per_user", "cost_per_thread"):
            row[name] = None if row[name] is None else float(row[name])
    alike(found, expected)


def test_a_run_waits_from_when_it_is_due(filled):
    db, runs, _ = filled
    started = [run | {"day": run["queued_at"].date()} for run in runs if run["started_at"]]
    expected = [
        key
        | {"runs": len(group)}
        | {
            "wait_ms": percentiles(
                _ms(max(run["queued_at"], run["due_at"] or run["queued_at"]), run["started_at"]) for run in group
            )
        }
        | {"run_ms": percentiles(run["ended_at"] and _ms(run["started_at"], run["ended_at"]) for run in group)}
        for key, group in grouped(started, "day")
    ]
    alike(ask(db, "from run_waits"), expected)


def _ms(start, end):
    return (end - start) / timedelta(milliseconds=1)


def test_invoice_lines_are_of_a_month_and_split_the_input(filled):
    db, _, calls = filled
    for month in {call["day"].replace(day=1) for call in calls}:
        of_month = [call for call in calls if call["day"].replace(day=1) == month and not call["from_cache"]]
        names = ("fresh_input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "cost_usd")
        expected = [
            key
            | {name: added(group, name) for name in names}
            | {"calls": len(group), "unpriced_calls": count(group, cost_usd=None)}
            | {"not_reported_calls": len(group) - count(group, usage_source="reported")}
            for key, group in grouped(of_month, "provider", "model")
        ]
        alike(ask(db, f"from invoice_lines('{month}')"), expected)
        alike(ask(db, f"from invoice_lines('{month.replace(day=17)}')"), expected)


# Days, prices in force, and speed


def test_days_are_utc_and_end_with_their_last_microsecond():
    with opened() as db:
        moments = ["23:59:59.999", "23:59:59.999999"]
        calls = [
            *(
                a_call(started_at=datetime.fromisoformat(f"2026-11-30T{moment}+00:00"), input_tokens=1)
                for moment in moments
            ),
            a_call(started_at=datetime.fromisoformat("2026-12-01T00:00:00+00:00"), input_tokens=5),
            a_call(started_at=datetime.fromisoformat("2026-12-01T00:30:00+01:00"), input_tokens=7),
            a_call(started_at=datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC), input_tokens=9),
        ]
        insert(db, "model_calls", calls)
        db.execute("SET TimeZone = 'America/New_York'")  # whatever a session is set to
        rows = db.execute("select day, input_tokens from usage_by_day order by day").fetchall()
        months = [
            db.execute(f"select sum(fresh_input_tokens)::int from invoice_lines('2026-{month}-01')").fetchone()
            for month in (11, 12)
        ]
    assert rows == [(date(1969, 12, 31), 9), (date(2026, 11, 30), 9), (date(2026, 12, 1), 5)]
    assert months == [(9,), (5,)]


def test_a_day_skips_the_rows_of_others(tmp_path):
    with duckdb.connect(str(tmp_path / "t.duckdb")) as db:
        migrate(db)
        create_views(db)
        row = a_call()
        insert(db, "model_calls", [row])
        given = {"call_id": "uuid()", "started_at": "'2026-01-01'::timestamptz + to_seconds(n * 10)"}
        chosen = ", ".join(given.get(name, name) for name in row)
        db.execute(
            f"insert into model_calls ({', '.join(row)}) select {chosen} from model_calls, range(300_000) as r(n)"
        )
        db.checkpoint()
        for view in (
            "usage_by_day",
            "usage_by_hour",
            "usage_by_model",
            "latency_by_model",
            "active_users",
            "token_shape",
        ):
            ((_, plan),) = db.execute(f"explain analyze from {view} where day >= '2026-02-01'::date").fetchall()
            scans = re.findall(r"Row Groups Scanned: (\d+) / (\d+)", plan)
            assert scans
            assert all(int(scanned) < int(total) for scanned, total in scans), view
        ((_, plan),) = db.execute("explain analyze from invoice_lines('2026-02-01')").fetchall()
        assert all(int(scanned) < int(total) for scanned, total in re.findall(r"Scanned: (\d+) / (\d+)", plan))


def test_the_lists_loaded_last_are_in_force_and_own_prices_cut_the_package_s_short():
    own, day = "config 0a", datetime(2026, 11, 10, tzinfo=UTC)
    base = {"above": 0, "up_to": None, "window": None}
    with opened() as db:
        put_prices(db, [base | {"price_version": "genai-prices 0", "priced_as": "a/old", "mtok": (1, 1, 1, 1)}])
        now = [
            base | {"price_version": LIST, "priced_as": "a/kept", "mtok": (1, 1, 1, 1)},
            base | {"price_version": LIST, "priced_as": "a/cut", "mtok": (2, 2, 2, 2)},
            base | {"price_version": LIST, "priced_as": "a/gone", "mtok": (3, 3, 3, 3)},
            base | {"price_version": own, "priced_as": "a/cut", "mtok": (4, 4, 4, 4), "starts_at": day},
            base | {"price_version": own, "priced_as": "a/gone", "mtok": (5, 5, 5, 5)},
        ]
        put_prices(db, now, loaded_at=datetime(2026, 11, 2, tzinfo=UTC))
        found = ask(db, "select priced_as, price_version, ends_at, input_mtok::int as mtok from prices_now")
    alike(
        found,
        [
            {"priced_as": "a/kept", "price_version": LIST, "ends_at": None, "mtok": 1},
            {"priced_as": "a/cut", "price_version": LIST, "ends_at": micros(day), "mtok": 2},
            {"priced_as": "a/cut", "price_version": own, "ends_at": None, "mtok": 4},
            {"priced_as": "a/gone", "price_version": own, "ends_at": None, "mtok": 5},
        ],
    )


# What the documentation says


def names(path):
    return re.findall(r"^CREATE OR REPLACE (?:VIEW|MACRO) (\w+)", path.read_text(), re.MULTILINE)


def examples(text):
    return re.findall(r"^-- Example: (.*)$", text, re.MULTILINE)


DOCUMENTED = [example for path in texts.views() for example in examples(path.read_text())]
ANSWERS = re.findall(r"^\| \d+ \|.*\| `([^`]*)` \|$", GUIDE.read_text(), re.MULTILINE)
SHOWN = [
    sql
    for block in re.findall(r"```sql\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    for sql in block.split(";\n")
    if sql.strip()
]


def test_there_are_22_questions():
    assert len(ANSWERS) == 22


@pytest.mark.parametrize("example", dict.fromkeys([*DOCUMENTED, *ANSWERS, *SHOWN]))
def test_an_example_runs(empty, filled, example):
    ask(empty, example)
    ask(filled[0], example)


@pytest.mark.parametrize("view", [name for path in texts.views() for name in names(path)])
def test_a_view_is_documented(view):
    assert f"`{view}" in GUIDE.read_text()


@pytest.mark.parametrize("path", texts.views(), ids=lambda path: path.stem)
def test_a_file_begins_with_what_it_is_and_an_example_of_each(path):
    text = path.read_text()
    doc = text.partition("CREATE")[0]
    assert doc.startswith(f"-- {names(path)[0]}")
    assert all(line.startswith("-- ") for line in doc.splitlines())
    assert all(any(re.search(rf"\b{name}\b", example) for example in examples(text)) for name in names(path))


def test_views_on_empty_tables_are_empty(empty):
    for path in texts.views():
        for name in names(path):
            if not re.search(rf"MACRO {name}\b", path.read_text()):
                assert ask(empty, f"from {name}") == []
    (forecast,) = ask(empty, "from spend_forecast()")
    assert (forecast["spent_usd"], forecast["unpriced_calls"]) == (0, 0)


def test_sums_of_tokens_are_integers_and_not_decimals(empty):
    wide = empty.execute(
        "select table_name, column_name from duckdb_columns() where data_type = 'HUGEINT' and not internal"
    ).fetchall()
    assert wide == []


def test_views_are_made_anew_at_each_opening(tmp_path):
    path = str(tmp_path / "t.duckdb")
    for _ in range(2):
        with duckdb.connect(path) as db:
            migrate(db)
            db.execute("create or replace view usage_by_day as select 1 as older")
            create_views(db)
            assert "older" not in ask(db, "from usage_by_day")
            assert {"day", "calls"} <= {name for name, *_ in db.execute("describe usage_by_day").fetchall()}
