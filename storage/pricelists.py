"""What tokens cost, as lists say it: own prices, read from a file, and the rows that SQL sees."""

from collections.abc import Hashable, Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Struct, field

from storage.errors import ServiceError

T = TypeVar("T", bound=Hashable)

HIGHEST = 10**8
"""Dollars for a million tokens; a column of table `prices` holds less."""


class PricesError(ServiceError):
    """The file of own prices cannot be used."""


class OwnPrice(Struct, frozen=True, forbid_unknown_fields=True):
    """What a model costs, from a day on; until that day, what another price of its says, or else the package."""

    model: str
    """As calls name it; capitals do not matter."""
    input_mtok: Decimal
    """Dollars for a million tokens of input, and so on."""
    output_mtok: Decimal
    provider: str | None = None
    """As calls name it. None: of calls that name none."""
    starts_on: date | None = field(default=None, name="from")
    """The day (UTC). None: since ever."""
    cache_read_mtok: Decimal | None = None
    """None: as other input."""
    cache_write_mtok: Decimal | None = None
    context_window: Annotated[int, Meta(ge=1)] | None = None
    """Tokens of input that the model takes, for `context_growth`."""

    def __post_init__(self) -> None:
        for price in (self.input_mtok, self.output_mtok, self.cache_read_mtok, self.cache_write_mtok):
            if price is not None and not (price.is_finite() and 0 <= price < HIGHEST):
                raise ValueError(f"A price is from 0 to less than {HIGHEST} dollars, not {price}")

    @property
    def key(self) -> tuple[str | None, str]:
        return self.provider and self.provider.lower(), self.model.lower()

    @property
    def name(self) -> str:
        """As `priced_as` says it."""
        return f"{self.provider}/{self.model}" if self.provider else self.model

    @property
    def starts_at(self) -> datetime | None:
        return self.starts_on and midnight(self.starts_on)


class OwnPrices(Struct, frozen=True, forbid_unknown_fields=True):
    """The file that `TREADLE_PRICES` names."""

    providers: dict[str, str | None] = {}
    """Providers as calls name them, and as the package does. None: its models are not priced by the package."""
    prices: tuple[OwnPrice, ...] = ()

    def __post_init__(self) -> None:
        if twice := _first_twice(name.lower() for name in self.providers):
            raise ValueError(f"Provider {twice} is named twice")
        if twice := _first_twice((*price.key, price.starts_on) for price in self.prices):
            raise ValueError(f"Model {twice[1]} has two prices from the same day on")

    @property
    def version(self) -> str:
        return f"config {sha256(msgspec.json.encode(self.prices)).hexdigest()[:12]}"

    def starting(self) -> dict[tuple[str | None, str], list[OwnPrice]]:
        """The prices of each model, by the day from which they hold."""
        found: dict[tuple[str | None, str], list[OwnPrice]] = {}
        for price in sorted(self.prices, key=lambda price: price.starts_on or date.min):
            found.setdefault(price.key, []).append(price)
        return found


class PriceRange(Struct, frozen=True, kw_only=True):
    """A row of table `prices`."""

    priced_as: str
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    above_input_tokens: int = 0
    up_to_input_tokens: int | None = None
    input_mtok: Decimal | None
    output_mtok: Decimal | None
    cache_read_mtok: Decimal | None = None
    cache_write_mtok: Decimal | None = None
    context_window: int | None = None
    exact: bool = True


class PriceList(Struct, frozen=True):
    version: str
    ranges: Sequence[PriceRange]


def read(path: Path) -> OwnPrices:
    """The own prices in this JSON file. Raises PricesError, in one line that names the file."""
    try:
        own = msgspec.json.decode(path.read_bytes(), type=OwnPrices)
    except OSError as error:
        raise PricesError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise PricesError(f"{path}: {error}") from error
    return own


def own_list(own: OwnPrices) -> PriceList:
    return PriceList(own.version, [found for prices in own.starting().values() for found in _ranges(prices)])


def midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _first_twice(things: Iterable[T]) -> T | None:
    seen: set[T] = set()
    for thing in things:
        if thing in seen:
            return thing
        seen.add(thing)
    return None


def _ranges(prices: Sequence[OwnPrice]) -> Iterator[PriceRange]:
    """Of one model, in order."""
    ends = [price.starts_at for price in prices[1:]]
    for price, end in zip(prices, [*ends, None], strict=True):
        yield PriceRange(
            priced_as=prices[0].name,
            starts_at=price.starts_at,
            ends_at=end,
            input_mtok=price.input_mtok,
            output_mtok=price.output_mtok,
            cache_read_mtok=price.cache_read_mtok,
            cache_write_mtok=price.cache_write_mtok,
            context_window=price.context_window,
        )


NO_OWN_PRICES = OwnPrices()
