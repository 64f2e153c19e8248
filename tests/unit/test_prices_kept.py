"""Costs go from unknown to known once, and price lists stay beside one another."""

from contextlib import asynccontextmanager
from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

import genai_prices
import pytest
from msgspec.structs import replace

from actors.ledger import Ledger
from storage import prices
from storage.accounting import CallStatus as Status
from storage.accounting import ModelCall, Origin, Price, Recording, Usage, UsageSource
from storage.database import create_views
from storage.errors import UnavailableError
from storage.pricelists import OwnPrice, OwnPrices, PriceList, PriceRange
from storage.prices import Pricing
from storage.records import Admission
from tests.factories import NOON, a_run, a_thread
from tests.unit.conftest import do
from tests.usage_rows import a_call, insert

PACKAGE = f"genai-prices {genai_prices.__version__}"
LATER_LIST = PriceList(
    "genai-prices 99", [PriceRange(priced_as="openai/gpt-4o", input_mtok=Decimal(50), output_mtok=None)]
)


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "treadle.duckdb")


@pytest.fixture
async def ledger(path):
    async with opened(path) as one:
        yield one


@asynccontextmanager
async def opened(path, **given):
    ledger = Ledger(path, **given)
    await ledger.open()
    yield ledger
    await ledger.close()


async def a_running(ledger):
    """A run of a thread that its actor may write of."""
    binding, run = await ledger.bind("t1", must_exist=False), a_run()
    await ledger.admit(Admission(run=run, epoch=binding.epoch, new_thread=a_thread()))
    return run


def called(run, provider="openai", model="gpt-4o", *, at=NOON, tokens=1_000_000, **given):
    origin = Origin(
        thread_id=run.thread_id,
        run_id=run.run_id,
        user_id=None,
        assistant_id="a1",
        assistant_version=1,
        graph_id="agent",
        tags=[],
        metadata={},
    )
    given = {"usage_source": UsageSource.REPORTED} | given
    usage = Usage(input_tokens=tokens, total_tokens=tokens, **given)
    return ModelCall(
        call_id=str(uuid4()),
        origin=origin,
        attempt=1,
        provider=provider,
        model=model,
        started_at=at,
        usage=usage,
        status=Status.SUCCESS,
    )


async def record(ledger, *calls):
    await ledger.record(Recording(thread_id="t1", epoch=1, calls=calls))


async def rows(ledger, sql):
    return await ledger._database.read(lambda db: db.execute(sql).fetchall())


async def costs(ledger):
    sql = "select model, cost_usd::double, price_version, unpriced_reason from model_calls order by model"
    return await rows(ledger, sql)


async def price_missing(ledger):
    """As the command does it, page by page."""
    found, after = await ledger.price_missing(None)
    while after is not None:
        more, after = await ledger.price_missing(after)
        found += more
    return found


async def roll_up(ledger):
    return await rows(ledger, "select cost_usd::double, unpriced_calls from runs")


async def test_what_came_before_the_list_is_priced_as_of_its_start_and_the_run_follows(ledger):
    run = await a_running(ledger)
    cheaper = NOON.replace(year=2025, month=6, day=9)
    calls = [called(run, model="o3", at=cheaper), called(run), called(run, "lab", "x"), called(run, "openai", "y")]
    await record(ledger, *calls, called(run, model="z", usage_source=UsageSource.MISSING, tokens=0))
    pending = [(model, None, None, "pending") for model in ("gpt-4o", "o3", "x", "y")]
    assert await costs(ledger) == [*pending, ("z", None, None, "no_usage")]
    assert await roll_up(ledger) == [(None, 5)]
    await ledger.load_prices()
    known = [("gpt-4o", 2.5, PACKAGE, None), ("o3", 10.0, PACKAGE, None)]
    unknown = [("x", None, None, "unknown_provider"), ("y", None, None, "unknown_model"), ("z", None, None, "no_usage")]
    assert await costs(ledger) == [*known, *unknown]
    assert await roll_up(ledger) == [(12.5, 3)]
    await record(ledger, called(run, model="o3"))
    assert await roll_up(ledger) == [(14.5, 3)]


async def test_more_calls_than_fit_a_page_are_all_priced(ledger):
    run = await a_running(ledger)
    for _ in range(3):
        await record(ledger, *(called(run) for _ in range(prices.PAGE // 2)))
    await ledger.load_prices()
    assert await roll_up(ledger) == [(2.5 * 3 * (prices.PAGE // 2), 0)]


async def test_missing_prices_are_looked_for_again_on_request_and_only_those(path):
    async with opened(path) as ledger:
        run = await a_running(ledger)
        await ledger.load_prices()
        await record(ledger, called(run, "lab", "m"), called(run, "openai", "n"), called(run))
        await record(
            ledger,
            called(run, "lab", "o", tokens=1, cache_read_tokens=2),
            called(run, usage_source=UsageSource.MISSING),
        )
    mine = [
        OwnPrice(provider="lab", model=name, input_mtok=Decimal(7), output_mtok=Decimal(1)) for name in ("m", "gpt-4o")
    ]
    own = OwnPrices(prices=(*mine, replace(mine[0], provider="openai", model="gpt-4o")))
    async with opened(path, own_prices=own) as ledger:
        before = await costs(ledger)
        with pytest.raises(UnavailableError, match="still being loaded"):
            await ledger.price_missing(None)
        await ledger.load_prices()
        assert await costs(ledger) == before
        assert await price_missing(ledger) == 1
        after = await costs(ledger)
        assert set(after) - set(before) == {("m", 7.0, own.version, None)}
        assert await roll_up(ledger) == [(9.5, 3)]
        assert await price_missing(ledger) == 0
        assert await costs(ledger) == after


async def test_a_cost_that_is_known_stays(ledger):
    run = await a_running(ledger)
    await ledger.load_prices()
    await record(ledger, called(run))
    (call,) = await rows(ledger, "select call_id::varchar, run_id::varchar from model_calls")
    other = prices.UnpricedCall(
        call_id=call[0],
        run_id=call[1],
        thread_id="t1",
        provider=None,
        model="gpt-4o",
        started_at=NOON,
        usage=Usage(),
        reason="pending",
    )
    for _ in range(2):  # alone, and many together
        await ledger._write(prices.price, [Pricing(other, Price(Decimal(99), "other", "x", None))] * 2, "prices")
        await ledger._write(prices.price, [Pricing(other, Price(Decimal(99), "other", "x", None))], "prices")
    assert await costs(ledger) == [("gpt-4o", 2.5, PACKAGE, None)]
    assert await roll_up(ledger) == [(2.5, 0)]


async def test_a_new_list_stands_beside_the_older_and_changes_no_cost(ledger):
    run = await a_running(ledger)
    await ledger.load_prices()
    await record(ledger, called(run, at=NOON))
    what_if = "select what_if_usd::double, cost_usd::double from what_if('openai/gpt-4o', '2000-01-01'::timestamptz)"
    assert await rows(ledger, what_if) == [(2.5, 2.5)]
    await ledger._write(prices.put, [LATER_LIST], "prices")
    assert await rows(ledger, what_if) == [(50.0, 2.5)]
    assert await costs(ledger) == [("gpt-4o", 2.5, PACKAGE, None)]
    versions = "select price_version, count(*) > 1000 from prices group by all order by all"
    assert await rows(ledger, versions) == [(PACKAGE, True), ("genai-prices 99", False)]
    await ledger.load_prices()  # an older package again
    assert await rows(ledger, what_if) == [(2.5, 2.5)]


def test_a_list_is_kept_once(writer, db):
    create_views(db)
    for _ in range(2):
        do(writer, prices.put, [[LATER_LIST]])
    assert writer.db.execute("select count(*) from prices").fetchone() == (1,)
    assert db.execute("select price_version, input_mtok::int, exact from prices_now").fetchall() == [
        ("genai-prices 99", 50, True)
    ]


async def test_own_prices_are_in_force_until_they_are_taken_out(path):
    sql = "select distinct price_version from prices_now order by all"
    own = OwnPrices(
        prices=(OwnPrice(model="m", input_mtok=Decimal("0.1"), output_mtok=Decimal(1), starts_on=NOON.date()),)
    )
    async with opened(path, own_prices=own) as ledger:
        await ledger.load_prices()
        assert await rows(ledger, sql) == [(own.version,), (PACKAGE,)]
        (row,) = await rows(
            ledger, "select priced_as, starts_at = '2026-11-22', input_mtok from prices_now where priced_as = 'm'"
        )
        assert row == ("m", True, Decimal("0.1000000000"))
    async with opened(path) as ledger:
        await ledger.load_prices()
        assert await rows(ledger, sql) == [(PACKAGE,)]
        assert await rows(ledger, "select count(distinct price_version) from prices") == [(2,)]


def test_pages_go_through_all_calls_in_the_order_of_their_ids(db):
    calls = [a_call(unpriced_reason="pending", started_at=NOON + timedelta(seconds=number)) for number in range(5)]
    insert(db, "model_calls", [*calls, a_call(unpriced_reason="no_usage"), a_call(cost_usd=Decimal(0))])
    found, after = [], prices.FIRST
    while page := prices.unpriced(db, prices.WANT_OF_PRICE, after)[:2]:
        found += [one.call_id for one in page]
        after = page[-1].call_id
    assert found == sorted(str(call["call_id"]) for call in calls)
