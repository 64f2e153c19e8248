"""Price lists as rows, and the costs of calls that were recorded before their price was known."""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
from duckdb import DuckDBPyConnection
from msgspec import Struct

from storage import queries
from storage.accounting import Price, Usage, UsageSource
from storage.pricelists import PriceList
from storage.writer import Writer

PENDING_ONLY = ("pending",)
"""Why a call has no cost, if it came before the price list was loaded."""

WANT_OF_PRICE = (*PENDING_ONLY, "unknown_provider", "unknown_model")
"""Why a call has no cost, if a price would give it one."""

PAGE = 500
"""Calls that are priced together."""

FIRST = "00000000-0000-0000-0000-000000000000"

_SQL = queries.load("prices")
_TOKENS = (
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "input_audio_tokens",
    "output_audio_tokens",
)
"""As the statement `unpriced` gives them, at its end."""


class UnpricedCall(Struct, frozen=True, kw_only=True):
    """A call that has no cost."""

    call_id: str
    run_id: str
    thread_id: str
    provider: str | None
    model: str
    started_at: datetime
    usage: Usage
    reason: str


class Pricing(Struct, frozen=True):
    """A call, and what it cost."""

    call: UnpricedCall
    price: Price


def put(writer: Writer, asked: Sequence[Sequence[PriceList]]) -> list[None]:
    """Keep these lists, those that are new, beside all older ones; they are the ones in force."""
    for lists in asked:
        _put(writer, lists, datetime.now(UTC))
    return [None for _ in asked]


def unpriced(db: DuckDBPyConnection, reasons: Sequence[str], after: str) -> list[UnpricedCall]:
    """A page of the calls that have no cost for one of these reasons, after the one with that id."""
    given = {"reasons": list(reasons), "after": after, "limit": PAGE}
    return [_call(row) for row in db.execute(_SQL["unpriced"], given).fetchall()]


def price(writer: Writer, asked: Sequence[Sequence[Pricing]]) -> list[None]:
    """Give calls a cost, unless they have one, and their runs the sum. Twice is once."""
    for pricings in asked:
        for one in pricings:
            writer.put("prices", "price", [(one.call.thread_id, _row(one))])
        for run_id, thread_id in {one.call.run_id: one.call.thread_id for one in pricings}.items():
            writer.put("calls", "roll_up", [(thread_id, {"run_id": run_id})])
    return [None for _ in asked]


def _put(writer: Writer, lists: Sequence[PriceList], at: datetime) -> None:
    versions = {one.version for one in lists}
    db = writer.db
    in_force, known = ({version for (version,) in db.execute(_SQL[name]).fetchall()} for name in ("in_force", "known"))
    if versions == in_force:
        return
    for one in lists:
        if one.version not in known:
            writer.put("prices", "insert", [(one.version, row) for row in _rows(one, at)])
    if older := sorted(versions & known):
        writer.put("prices", "put_in_force", [("prices", {"price_versions": older, "loaded_at": at})])


def _rows(one: PriceList, at: datetime) -> list[dict[str, Any]]:
    keys = {"price_version": one.version, "loaded_at": at}
    return [keys | {name: _plain(value) for name, value in msgspec.structs.asdict(each).items()} for each in one.ranges]


def _call(row: tuple[Any, ...]) -> UnpricedCall:
    call_id, run_id, thread_id, provider, model, started_at, reason, *tokens = row
    return UnpricedCall(
        call_id=call_id,
        run_id=run_id,
        thread_id=thread_id,
        provider=provider,
        model=model,
        started_at=queries.moment(started_at),
        # One whose usage is missing has another reason, and is not here.
        usage=Usage(usage_source=UsageSource.REPORTED, **dict(zip(_TOKENS, tokens, strict=True))),
        reason=reason,
    )


def _row(one: Pricing) -> dict[str, Any]:
    return {
        "call_id": one.call.call_id,
        "cost_usd": _plain(one.price.cost_usd),
        "price_version": one.price.price_version,
        "priced_as": one.price.priced_as,
        "unpriced_reason": one.price.unpriced_reason,
    }


def _plain(value: Any) -> Any:
    """A decimal as text, which the journal keeps as it is."""
    return str(value) if isinstance(value, Decimal) else value
