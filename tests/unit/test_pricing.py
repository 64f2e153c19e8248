"""What a call costs: to the last digit what the package says, and nothing where nobody knows."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import genai_prices
import pytest
from genai_prices import data_snapshot
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from storage import pricelists
from storage.accounting import PENDING, Price, Usage, UsageSource
from storage.pricelists import OwnPrice, OwnPrices, PricesError
from storage.pricing import Pricer

GUIDE = Path(pricelists.__file__).parent / "USAGE.md"
DIGITS = Decimal("1e-10")
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
KNOWN = [
    ("openai", "gpt-4o-2024-08-06"),
    ("openai", "o3"),
    ("anthropic", "claude-sonnet-4-5"),
    ("google_genai", "gemini-2.5-pro"),
    ("groq", "llama-3.1-8b-instant"),
    ("deepseek", "deepseek-chat"),
    ("azure", "gpt-4o"),
]


class Called(Struct):
    provider: str | None = "openai"
    model: str = "gpt-4o"
    started_at: datetime = NOON
    usage: Usage = Usage()


def a_call(provider="openai", model="gpt-4o", at=NOON, source=UsageSource.REPORTED, **tokens):
    return Called(provider, model, at, Usage(usage_source=source, **tokens))


def own(*prices, **providers):
    return OwnPrices(providers=providers, prices=prices)


def a_price(model="gpt-4o", dollars=1, **given):
    return OwnPrice(model=model, input_mtok=Decimal(dollars), output_mtok=Decimal(dollars), **given)


@pytest.fixture(scope="module")
def pricer():
    return loaded()


def loaded(prices=pricelists.NO_OWN_PRICES):
    pricer = Pricer(prices)
    pricer.load()
    return pricer


def said(call):
    """What the package itself says."""
    tokens = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
    usage = genai_prices.Usage(**{name: getattr(call.usage, name) for name in tokens})
    answer = genai_prices.calc_price(
        usage, call.model, provider_id=call.provider, genai_request_timestamp=call.started_at
    )
    return answer.total_price.quantize(DIGITS)


COUNTS = st.integers(0, 400_000)


@given(known=st.sampled_from(KNOWN), counts=st.tuples(COUNTS, COUNTS, COUNTS, COUNTS), hours=st.integers(0, 20_000))
def test_a_known_model_costs_what_the_package_says(pricer, known, counts, hours):
    fresh, read, write, out = counts
    call = a_call(
        *known,
        at=NOON - timedelta(hours=hours, microseconds=1),
        input_tokens=fresh + read + write,
        output_tokens=out,
        cache_read_tokens=read,
        cache_write_tokens=write,
    )
    price = pricer.price(call)
    assert price.cost_usd == said(call)
    assert price.price_version == f"genai-prices {genai_prices.__version__}"
    assert price.unpriced_reason is None


def test_the_entry_that_was_found_is_named(pricer):
    assert pricer.price(a_call(model="gpt-4o-2024-08-06", input_tokens=1)).priced_as == "openai/gpt-4o"
    assert pricer.price(a_call("azure", "claude-opus-4-6", input_tokens=1)).priced_as == "anthropic/claude-opus-4-6"


def test_a_tier_is_crossed_by_one_token(pricer):
    costs = [
        pricer.price(a_call("google_genai", "gemini-2.5-pro", input_tokens=count)).cost_usd
        for count in (200_000, 200_001)
    ]
    assert costs == [Decimal("0.25"), Decimal("0.5000025")]


def test_a_call_is_priced_as_of_its_start(pricer):
    change = datetime(2025, 6, 10, tzinfo=UTC)
    moments = (change - timedelta(microseconds=1), change, NOON)
    costs = [pricer.price(a_call(model="o3", at=at, input_tokens=1_000_000)).cost_usd for at in moments]
    assert costs == [10, 2, 2]


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (a_call(model="none-such", input_tokens=1), "unknown_model"),
        (a_call("groq", "whisper-large-v3", input_tokens=1), "unknown_model"),  # it charges by the hour
        (a_call("voyageai", "voyage-3", input_tokens=1, output_tokens=1), "unknown_model"),  # of its input only
        (a_call("lab", input_tokens=1), "unknown_provider"),
        (a_call(None, input_tokens=1), "unknown_provider"),
        (a_call("", input_tokens=1), "unknown_provider"),
        (a_call("litellm", input_tokens=1), "unknown_provider"),
        (a_call(None, "openai/gpt-4o", input_tokens=1), "unknown_provider"),
        (a_call(source=UsageSource.MISSING), "no_usage"),
        (a_call("lab", source=UsageSource.MISSING), "no_usage"),
        (a_call(input_tokens=10, cache_read_tokens=11), "bad_usage"),
        (
            a_call("anthropic", "claude-opus-4-6", input_tokens=9, cache_read_tokens=5, cache_write_tokens=5),
            "bad_usage",
        ),
        (a_call(input_tokens=10**18), "bad_usage"),
    ],
    ids=str,
)
def test_what_is_unknown_has_no_cost_and_a_reason(pricer, call, reason):
    assert pricer.price(call) == Price(None, None, None, reason)


def test_writes_to_a_cache_that_has_no_price_of_its_own_are_input(pricer):
    call = a_call(input_tokens=10, cache_write_tokens=6)
    assert pricer.price(call).cost_usd == pricer.price(a_call(input_tokens=10)).cost_usd


def test_what_a_local_cache_answers_costs_nothing(pricer):
    for one in (pricer, Pricer()):
        assert one.price(Called("lab", "none", usage=Usage(from_cache=True))) == Price(Decimal(0), None, None, None)


def test_before_the_list_is_loaded_prices_are_pending():
    pricer = Pricer(own(a_price("mine", provider="lab")))
    assert pricer.price(a_call(input_tokens=1)) == PENDING
    assert pricer.price(a_call("lab", "mine", input_tokens=1_000_000)).cost_usd == 1


def test_an_own_price_wins_from_its_day_on():
    prices = own(a_price(provider="openai", dollars=7, starts_on=NOON.date()))
    pricer, midnight = loaded(prices), NOON.replace(hour=0)
    then = pricer.price(a_call(at=midnight - timedelta(microseconds=1), input_tokens=1_000_000))
    since = pricer.price(a_call("OpenAI", "GPT-4o", at=midnight, input_tokens=1_000_000))
    assert (then.cost_usd, then.price_version) == (Decimal("2.5"), f"genai-prices {genai_prices.__version__}")
    assert since == Price(Decimal(7).quantize(DIGITS), prices.version, "openai/gpt-4o", None)
    assert re.fullmatch(r"config [0-9a-f]{12}", prices.version)
    assert own(a_price(dollars=8)).version != own(a_price(dollars=7)).version


def test_own_prices_split_the_input_and_follow_one_another():
    later = OwnPrice(
        model="m",
        provider="lab",
        starts_on=NOON.date(),
        input_mtok=Decimal(10),
        output_mtok=Decimal(100),
        cache_read_mtok=Decimal(1),
    )
    pricer = loaded(own(later, a_price("m", 3, provider="lab")))
    tokens = {"input_tokens": 6, "output_tokens": 4, "cache_read_tokens": 3, "cache_write_tokens": 2}
    assert pricer.price(a_call("lab", "m", **tokens)).cost_usd == Decimal(10 + 3 + 20 + 400) / 10**6
    before = pricer.price(a_call("lab", "m", at=NOON - timedelta(days=1), **tokens))
    assert before.cost_usd == Decimal(30) / 10**6
    assert pricer.price(a_call("lab", "m", input_tokens=2, cache_read_tokens=3)).unpriced_reason == "bad_usage"


def test_a_private_gpt_4o_is_not_priced_as_openai_s():
    private = loaded(own(a_price(dollars=1), openai=None))
    assert private.price(a_call(None, input_tokens=1_000_000)).priced_as == "gpt-4o"
    assert private.price(a_call("lab", input_tokens=1)).unpriced_reason == "unknown_provider"
    assert private.price(a_call(input_tokens=1)).unpriced_reason == "unknown_provider"


def test_a_provider_may_have_another_name_here():
    pricer = loaded(own(**{"Our-Gateway": "openai"}))
    assert pricer.price(a_call("our-gateway", input_tokens=1_000_000)).cost_usd == Decimal("2.5")


def test_a_name_for_a_provider_that_there_is_not_is_said_when_the_list_is_loaded(caplog):
    pricer = loaded(own(lab="opnai"))
    assert "opnai" in caplog.text
    assert pricer.price(a_call("lab", input_tokens=1)).unpriced_reason == "unknown_provider"


def test_fractions_of_a_dollar_are_kept_to_ten_digits():
    pricer = Pricer(own(a_price("m", "0.00025", provider="lab")))
    assert pricer.price(a_call("lab", "m", input_tokens=1)).cost_usd == Decimal("0.0000000002")
    assert pricer.price(a_call("lab", "m", input_tokens=3)).cost_usd == Decimal("0.0000000008")


# The list as rows


def test_where_rows_are_exact_they_say_what_the_package_does(pricer):
    """Of every entry: at each end of each range of dates, and on both sides of each step of the input."""
    by_entry = {}
    (package,) = pricer.lists()
    for row in package.ranges:
        by_entry.setdefault(row.priced_as, []).append(row)
    entries = {
        f"{provider.id}/{entry.id}": (provider, entry)
        for provider in data_snapshot.get_snapshot().providers
        for entry in provider.models
    }
    assert set(by_entry) == set(entries)
    for name, rows in by_entry.items():
        if not all(row.exact for row in rows):
            continue
        provider, entry = entries[name]
        moments = {
            at for row in rows for at in (row.starts_at, row.ends_at and row.ends_at - timedelta(seconds=1)) if at
        }
        counts = {count for row in rows for count in (row.above_input_tokens, row.above_input_tokens + 1)}
        for at in moments or {NOON}:
            for count in counts:
                tokens = {"input_tokens": count, "output_tokens": 7, "cache_read_tokens": count // 3}
                if any(row.output_mtok is None for row in rows):
                    tokens["output_tokens"] = 0
                usage = genai_prices.Usage(**tokens, cache_write_tokens=count // 7)
                expected = entry.calc_price(usage, provider, genai_request_timestamp=at).total_price
                assert by_rows(rows, at, count, tokens["output_tokens"]) == expected, (name, at, count)


def by_rows(rows, at, count, out):
    """As `what_if` does it."""
    (row,) = [
        row
        for row in rows
        if (row.starts_at is None or row.starts_at <= at)
        and (row.ends_at is None or at < row.ends_at)
        and (row.above_input_tokens == 0 or count > row.above_input_tokens)
        and (row.up_to_input_tokens is None or count <= row.up_to_input_tokens)
    ]
    read, write = (row.input_mtok if price is None else price for price in (row.cache_read_mtok, row.cache_write_mtok))
    fresh = count - count // 3 - count // 7
    cost = fresh * row.input_mtok + count // 3 * read + count // 7 * write + out * (row.output_mtok or 0)
    return cost / 10**6


def test_times_of_day_tiers_of_service_and_audio_are_not_exact(pricer):
    (package,) = pricer.lists()
    exact = {row.priced_as: row.exact for row in package.ranges}
    near = ("deepseek/deepseek-chat", "openai/gpt-4o", "openai/gpt-realtime", "groq/whisper-large-v3")
    assert [exact[name] for name in near] == [False] * 4
    assert sum(exact.values()) > 0.9 * len(exact)


def test_own_prices_are_rows_as_well():
    prices = own(a_price("m", 3, provider="lab"), a_price("m", 4, provider="lab", starts_on=NOON.date()), a_price("n"))
    _, rows = loaded(prices).lists()
    midnight = NOON.replace(hour=0)
    assert rows.version == prices.version
    assert [(row.priced_as, row.starts_at, row.ends_at, row.input_mtok) for row in rows.ranges] == [
        ("lab/m", None, midnight, 3),
        ("lab/m", midnight, None, 4),
        ("n", None, None, 1),
    ]


# The file


def test_the_file_in_the_documentation_is_one(tmp_path):
    (example,) = re.findall(r"```json\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    (tmp_path / "prices.json").write_text(example)
    prices = pricelists.read(tmp_path / "prices.json")
    assert prices.providers == {"our-gateway": "openai", "openai": None}
    assert Pricer(prices).price(a_call("lab", "llama-4", input_tokens=1_000_000)).cost_usd == Decimal("0.2")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (None, "No such file"),
        ("{", "malformed|truncated"),
        ("[]", "Expected `object`"),
        ('{"price": []}', "unknown field `price`"),
        ('{"prices": [{"model": "m", "input_mtok": 1}]}', "missing required field `output_mtok`"),
        ('{"prices": [{"model": "m", "input_mtok": -1, "output_mtok": 1}]}', "from 0 to less than .*not -1"),
        ('{"prices": [{"model": "m", "input_mtok": 1e9, "output_mtok": 1}]}', "less than 100000000"),
        ('{"prices": [{"model": "m", "input_mtok": "nan", "output_mtok": 1}]}', "not NaN"),
        ('{"prices": [{"model": "m", "input_mtok": 1, "output_mtok": 1, "reasoning_mtok": 1}]}', "reasoning_mtok"),
        ('{"prices": [{"model": "m", "input_mtok": 1, "output_mtok": 1, "from": "soon"}]}', "date"),
        (
            '{"prices": [%s, %s]}' % (('{"model": "m", "input_mtok": 1, "output_mtok": 1}',) * 2),
            "m has two prices from the same day on",
        ),
        ('{"providers": {"a": "openai", "A": "azure"}}', "a is named twice"),
    ],
    ids=str,
)
def test_a_file_that_cannot_be_used_is_refused_in_one_line(tmp_path, text, fault):
    path = tmp_path / "prices.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(PricesError) as refused:
        pricelists.read(path)
    assert re.search(fault, str(refused.value))
    assert str(refused.value).startswith(f"{path}: ")
    assert "\n" not in str(refused.value)
