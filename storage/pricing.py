"""What calls cost, by own prices and then by the price list of `genai-prices`.

Unknown is None, never 0, and says why. The provider is never guessed from the model's name, which a private server may
share with a public one.
"""

import logging
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from importlib import import_module
from typing import Any, Protocol

from storage.accounting import PENDING, Price, Usage, UsageSource
from storage.pricelists import NO_OWN_PRICES, OwnPrice, OwnPrices, PriceList, PriceRange, midnight, own_list

DIGITS = Decimal("1e-10")
"""Of a dollar, that are kept."""

LARGEST_COST = 10**8

MILLION = 1_000_000

NEAR = ("input_audio_mtok", "output_audio_mtok", "cache_audio_read_mtok", "requests_kcount")
"""What an entry may also charge for, and a row of table `prices` does not say."""

MOST_REMEMBERED = 1024
"""Names of models whose entries are remembered; users' code may make up any number of them."""

logger = logging.getLogger(__name__)


class Priceable(Protocol):
    """A model call, as far as its price depends on it."""

    @property
    def provider(self) -> str | None: ...

    @property
    def model(self) -> str: ...

    @property
    def started_at(self) -> datetime: ...

    @property
    def usage(self) -> Usage: ...


class Pricer:
    """Prices any call, in any thread. What own prices do not say is `pending` until `load` is done."""

    def __init__(self, own: OwnPrices = NO_OWN_PRICES) -> None:
        self._own = own
        self._own_prices = own.starting()
        self._own_version = own.version
        self._aliases = {name.lower(): provider for name, provider in own.providers.items()}
        self._package: _Package | None = None

    @property
    def is_loaded(self) -> bool:
        return self._package is not None

    def load(self) -> None:
        """Take half a second."""
        package = _Package()
        for name, provider in self._own.providers.items():
            if provider is not None and not package.knows(provider):
                logger.warning("Prices: %s is said to be %s, which genai-prices does not know", name, provider)
        self._package = package

    def lists(self) -> list[PriceList]:
        """The price lists in force, after `load`."""
        assert self._package, "the price list has been loaded"
        own = [own_list(self._own)] if self._own.prices else []
        return [PriceList(self._package.version, list(self._package.ranges())), *own]

    def price(self, call: Priceable) -> Price:
        """What a call cost, as of its start."""
        if call.usage.from_cache:
            return Price(Decimal(0), None, None, None)
        if call.usage.usage_source == UsageSource.MISSING:
            return _unpriced("no_usage")
        if own := self._own_price(call):
            return _found(_own_cost(own, call.usage), self._own_version, own.name)
        return self._package_price(call) if self._package else PENDING

    def _own_price(self, call: Priceable) -> OwnPrice | None:
        prices = self._own_prices.get((call.provider and call.provider.lower(), call.model.lower()), ())
        started = [price for price in prices if price.starts_at is None or price.starts_at <= call.started_at]
        return started[-1] if started else None

    def _package_price(self, call: Priceable) -> Price:
        assert self._package, "the price list has been loaded"
        name = (call.provider or "").lower()
        provider, entry = self._package.find(self._aliases.get(name, name) or "", call.model)
        if provider is None:
            return _unpriced("unknown_provider")
        return self._package.price(provider, entry, call) if entry else _unpriced("unknown_model")


class _Package:
    """The price list that `genai-prices` brings along. Whatever is not typed here is the package's own."""

    def __init__(self) -> None:
        # Only here, because it takes half a second that nobody should wait for.
        package, data, self._types = map(
            import_module, ("genai_prices", "genai_prices.data_snapshot", "genai_prices.types")
        )
        self._providers: list[Any] = data.get_snapshot().providers
        self._find_provider: Any = data.find_provider_by_id
        self.version = f"genai-prices {package.__version__}"
        # By identity: a provider may sell another's models under their entries, as Azure does.
        self._names = {id(model): f"{provider.id}/{model.id}" for provider, model in self._entries()}
        self.find = lru_cache(MOST_REMEMBERED)(self._look)

    def knows(self, provider: str) -> bool:
        return self._find_provider(self._providers, provider) is not None

    def price(self, provider: Any, entry: Any, call: Priceable) -> Price:
        usage = call.usage
        if not _charges(entry.get_prices(call.started_at), usage):
            return _unpriced("unknown_model")
        try:
            counted = self._types.Usage(
                input_tokens=usage.input_tokens,
                output_tokens=usage.output_tokens,
                cache_read_tokens=usage.cache_read_tokens,
                cache_write_tokens=usage.cache_write_tokens,
                input_audio_tokens=usage.input_audio_tokens,
                output_audio_tokens=usage.output_audio_tokens,
            )
            cost: Decimal = entry.calc_price(counted, provider, genai_request_timestamp=call.started_at).total_price
        except ValueError:  # more cache reads than input, and the like
            return _unpriced("bad_usage")
        return _found(cost, self.version, self._names[id(entry)])

    def ranges(self) -> Iterator[PriceRange]:
        """The list as rows."""
        for _, entry in self._entries():
            days = sorted({day for one in _conditional(entry) if (day := getattr(one.constraint, "start_date", None))})
            for start, end in zip([None, *days], [*days, None], strict=True):
                yield from self._on_days(entry, start, end)

    def _on_days(self, entry: Any, start: date | None, end: date | None) -> Iterator[PriceRange]:
        since, until = start and midnight(start), end and midnight(end)
        prices = entry.get_prices(since or (until or datetime.now(UTC)) - timedelta(days=1))
        is_free = not _said(prices)
        steps = sorted({tier.start for price in _said(prices).values() for tier in getattr(price, "tiers", ())})
        for above, up_to in zip([0, *steps], [*steps, None], strict=True):
            mtok = {name: _in_tier(price, above) for name, price in _said(prices).items() if name.endswith("_mtok")}
            yield PriceRange(
                priced_as=self._names[id(entry)],
                starts_at=since,
                ends_at=until,
                above_input_tokens=above,
                up_to_input_tokens=up_to,
                input_mtok=Decimal(0) if is_free else mtok.get("input_mtok"),
                output_mtok=Decimal(0) if is_free else mtok.get("output_mtok"),
                cache_read_mtok=mtok.get("cache_read_mtok"),
                cache_write_mtok=mtok.get("cache_write_mtok"),
                context_window=entry.context_window,
                exact=_is_exact(entry, prices),
            )

    def _entries(self) -> Iterator[tuple[Any, Any]]:
        return ((provider, model) for provider in self._providers for model in provider.models)

    def _look(self, provider_name: str, model: str) -> tuple[Any | None, Any | None]:
        """A provider, and its entry for a model."""
        provider = self._find_provider(self._providers, provider_name) if provider_name else None
        return provider, provider and provider.find_model(model, all_providers=self._providers)


def _charges(prices: Any, usage: Usage) -> bool:
    """Whether an entry has a price for these tokens. One without any price is free; others may charge by the hour."""
    said = _said(prices)
    return not said or ("input_mtok" in said and ("output_mtok" in said or not usage.output_tokens))


def _said(prices: Any) -> dict[str, Any]:
    return {name: price for name, price in vars(prices).items() if price is not None}


def _in_tier(price: Any, above: int) -> Decimal:
    """A price for inputs of more tokens than `above`, as far as the next step."""
    if not hasattr(price, "tiers"):
        return price
    return next((tier.price for tier in reversed(price.tiers) if 0 < tier.start <= above), price.base)


def _is_exact(entry: Any, prices: Any) -> bool:
    said = _said(prices)
    by_day = all(hasattr(one.constraint, "start_date") or one.constraint is None for one in _conditional(entry))
    is_whole = not said or "input_mtok" in said
    return by_day and is_whole and not entry.price_variants and not any(name in said for name in NEAR)


def _conditional(entry: Any) -> Sequence[Any]:
    return entry.prices if isinstance(entry.prices, list) else ()


def _own_cost(price: OwnPrice, usage: Usage) -> Decimal | None:
    fresh = usage.input_tokens - usage.cache_read_tokens - usage.cache_write_tokens
    if fresh < 0:
        return None
    read, write = (price.input_mtok if one is None else one for one in (price.cache_read_mtok, price.cache_write_mtok))
    return (
        fresh * price.input_mtok
        + usage.cache_read_tokens * read
        + usage.cache_write_tokens * write
        + usage.output_tokens * price.output_mtok
    ) / MILLION


def _found(cost: Decimal | None, version: str, name: str) -> Price:
    if cost is None or cost >= LARGEST_COST:
        return _unpriced("bad_usage")
    return Price(cost.quantize(DIGITS), version, name, None)


def _unpriced(reason: str) -> Price:
    return Price(None, None, None, reason)
