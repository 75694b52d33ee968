"""Reads the prices of one entry of LiteLLM's price map: its single rates, its uplifts and its off-peak prices."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from typing import Any

from pricing.documents import MULTIPLIER_DIGITS, PRICE_DIGITS, NumberText, shown
from pricing.importers.entries import Grouped, UnusableEntry
from pricing.importers.litellm_hours import Window, off_peak_windows
from pricing.importers.litellm_keys import STANDARD, Meter, PriceKey, is_price_like, read_key
from pricing.importers.litellm_lists import Lists, Prices, Rates, left_out, multiplied, price_lists, replaced
from pricing.money import MILLION, NotADecimal, exact, number, within

# LiteLLM bills their higher price from the threshold on (_INCLUSIVE_THRESHOLD_PROVIDERS).
_THRESHOLD_IS_INCLUSIVE = frozenset({"xai"})
_NOT_READ = {
    "input_dbu_cost_per_token": "is in Databricks units, the price in USD counts",
    "output_dbu_cost_per_token": "is in Databricks units, the price in USD counts",
    "regional_endpoint_uplift_multiplier": "is not read, a sheet cannot name every region but global",
    "search_free_requests": "is not read, free searches are charged as others",
}
_REGIONAL = "regional_processing_uplift_multiplier_"
# Numbers this long are results of an arithmetic with floats, not prices that a provider publishes.
_DIGITS_OF_NOISE = 12
_TOKEN_PRICE_MAX = 1000


@dataclass(frozen=True, slots=True)
class Entry:
    """What one entry says of prices; `name` is its key in the map, `notes` take what is left out or doubtful."""

    name: str
    fields: dict[str, Any]
    notes: Grouped
    rates: Rates = field(default_factory=dict)
    uplifts: list[tuple[dict[str, Any], Decimal]] = field(default_factory=list)
    off_peak: Prices = field(default_factory=dict)
    windows: list[Window] = field(default_factory=list)

    def prices(self) -> Iterator[Decimal]:
        """Every price that was read."""
        for prices in self.rates.values():
            yield from prices.values()

    def lists(self) -> Lists:
        """The whole price lists, the model's own last."""
        for tier, kind in left_out(self.rates):
            self.notes.add(f"service tier {tier}: has no price of {kind}, the standard one counts", self.name)
        inclusive = self.fields.get("litellm_provider") in _THRESHOLD_IS_INCLUSIVE
        lists = price_lists(self.rates, threshold_is_inclusive=inclusive)
        try:
            for when, factor in self.uplifts:
                lists = multiplied(lists, when, factor)
        except NotADecimal as error:
            raise UnusableEntry(str(error)) from None
        for window in reversed(self.windows):
            lists = replaced(lists, {"daily": window}, self.off_peak)
        return lists


def read_entry(name: str, fields: dict[str, Any], notes: Grouped) -> Entry:
    """The prices of an entry; null is no price. Raises UnusableEntry."""
    entry = Entry(name, fields, notes)
    plain: dict[str, Any] = {}
    for key, value in fields.items():
        if value is None:
            continue
        if key in _BLOCKS:
            _BLOCKS[key](entry, value)
        elif key.startswith(_REGIONAL):
            entry.uplifts.append(({"regions": (key.removeprefix(_REGIONAL),)}, _factor(key, value)))
        else:
            plain[key] = value
    for priced, price in _priced(entry, plain):
        _put(entry, priced, price)
    _name_images(entry)
    _note_doubts(entry)
    return entry


def _priced(entry: Entry, fields: dict[str, Any], path: str = "") -> Iterator[tuple[PriceKey, Decimal]]:
    """The prices among `fields`, null is none; what may be another is noted."""
    for key, value in fields.items():
        priced = read_key(key)
        if value is None:
            continue
        if priced is not None:
            yield priced, _price(path + key, value, priced.meter)
        elif is_price_like(key):
            entry.notes.add(f"{path}{key}: {_NOT_READ.get(key, 'unknown field, not read')}", entry.name)


def _put(entry: Entry, priced: PriceKey, price: Decimal) -> None:
    """Takes a price; of two of one thing, such as a second of input and of output, the one that is not 0."""
    prices = entry.rates.setdefault((priced.tier, priced.threshold), {})
    other = prices.get(priced.meter)
    if other and price and other != price:
        entry.notes.add(f"{priced.meter[1]}: has two prices, the higher one counts", entry.name)
    prices[priced.meter] = price if other is None else max(price, other)


def _name_images(entry: Entry) -> None:
    """Where images are made and only `input_cost_per_image` is there, that is the price of those made.

    So LiteLLM charges it (default_image_cost_calculator).
    """
    if not str(entry.fields.get("mode")).startswith("image"):
        return
    for prices in entry.rates.values():
        price = prices.get(("units", "input_image"))
        if price is not None and prices.get(("units", "image"), price) == price:
            prices["units", "image"] = prices.pop(("units", "input_image"))


def _note_doubts(entry: Entry) -> None:
    if not any(entry.prices()):
        return
    lists = [(f" of service tier {tier}" if tier else "", prices) for (tier, _), prices in entry.rates.items()]
    for of, prices in [*lists, (" off-peak", entry.off_peak)]:
        for (field_, name), price in prices.items():
            if not price:
                entry.notes.add(f"{name}{of}: is 0 beside other prices, kept", entry.name)
            elif len(price.as_tuple().digits) >= _DIGITS_OF_NOISE:
                entry.notes.add(f"{name}: has {_DIGITS_OF_NOISE} or more digits, kept as written", entry.name)
            if field_ == "prices" and price > _TOKEN_PRICE_MAX:
                entry.notes.add(
                    f"{name}: is over {_TOKEN_PRICE_MAX} per 1M, probably in another unit, kept", entry.name
                )


def _tiered_pricing(entry: Entry, value: object) -> None:
    """Ranges of the prompt (from over the first to the second number), or of the results asked for."""
    for tier in _objects("tiered_pricing", value):
        prompt, results = tier.get("range"), tier.get("max_results_range")
        start = 0 if prompt is None else _range(prompt)[0]
        variant = "" if results is None else "/{}-{}".format(*_range(results))
        for priced, price in _priced(entry, tier, "tiered_pricing."):
            field_, name = priced.meter
            _put(entry, PriceKey((field_, name + variant), priced.tier, max(start, priced.threshold)), price)


def _off_peak_pricing(entry: Entry, value: object) -> None:
    block = _object("off_peak_pricing", value)
    for priced, price in _priced(entry, block, "off_peak_pricing."):
        if priced.tier == STANDARD and not priced.threshold:
            entry.off_peak[priced.meter] = price
        else:
            entry.notes.add("off_peak_pricing: prices by service tier or threshold are not read", entry.name)
    rules = [block] if "hours_utc" in block else []
    rules += _objects("off_peak_pricing.windows", block.get("windows", []))
    windows, are_all = off_peak_windows(rules, block.get("weekday_timezone"))
    entry.windows.extend(windows)
    if not are_all:
        entry.notes.add("off_peak_pricing: hours by the weekdays of this timezone are not read", entry.name)
    elif not windows:
        entry.notes.add("off_peak_pricing: has no hours", entry.name)


def _search_cost(entry: Entry, value: object) -> None:
    """By how much context a search brings; `web_search` is a medium one, as LiteLLM has it for who does not say."""
    for key, price in _object("search_context_cost_per_query", value).items():
        if price is None:
            continue
        size = key.removeprefix("search_context_size_")
        for name in (f"web_search/{size}", *(("web_search",) if size == "medium" else ())):
            meter: Meter = ("units", name)
            _put(entry, PriceKey(meter, STANDARD, 0), _price(key, price, meter))


def _guardrail_cost(entry: Entry, value: object) -> None:
    """By the unit as AWS counts it in the usage of a guardrail."""
    for key, price in _object("guardrail_cost_per_unit", value).items():
        _put(entry, PriceKey(("units", key), STANDARD, 0), _price(key, price, ("units", key)))


def _specific(entry: Entry, value: object) -> None:
    """Anthropic's factors, by the region of the inference (`us`) and for `fast` mode; the rest is no price."""
    for key, factor in _object("provider_specific_entry", value).items():
        if not isinstance(factor, NumberText):
            continue
        if key == "fast":
            entry.uplifts.append(({"service_tier": "fast"}, _factor(key, factor)))
        elif len(key) == 2:
            entry.uplifts.append(({"regions": (key,)}, _factor(key, factor)))
        else:
            entry.notes.add(f"provider_specific_entry.{key}: unknown field, not read", entry.name)


_BLOCKS: dict[str, Callable[[Entry, object], None]] = {
    "guardrail_cost_per_unit": _guardrail_cost,
    "off_peak_pricing": _off_peak_pricing,
    "provider_specific_entry": _specific,
    "search_context_cost_per_query": _search_cost,
    "tiered_pricing": _tiered_pricing,
}


def _price(key: str, value: object, meter: Meter) -> Decimal:
    if not isinstance(value, NumberText):
        raise UnusableEntry(f"{key}: must be a number, found {shown(value)}")
    try:
        return _amount(value, meter[0] == "prices")
    except NotADecimal as error:
        raise UnusableEntry(f"{key}: {error}") from None


@lru_cache(16_384)
def _amount(text: str, per_token: bool) -> Decimal:
    """The price per 1M tokens or per unit, exactly. Raises NotADecimal."""
    before, after = PRICE_DIGITS
    found = number(text, before=before, after=after + 6, exponent=True)
    if found < 0:
        raise NotADecimal(f"must not be negative, found {text[:60]}")
    with exact():
        return within(found * MILLION if per_token else found, before=before, after=after)


def _factor(key: str, value: object) -> Decimal:
    if not isinstance(value, NumberText):
        raise UnusableEntry(f"{key}: must be a number, found {shown(value)}")
    before, after = MULTIPLIER_DIGITS
    try:
        factor = number(value, before=before, after=after, exponent=True)
    except NotADecimal as error:
        raise UnusableEntry(f"{key}: {error}") from None
    if factor <= 0:
        raise UnusableEntry(f"{key}: must be greater than 0, found {shown(value)}")
    return factor


def _range(value: object) -> tuple[int, int]:
    if isinstance(value, list) and len(value) == 2 and all(isinstance(bound, NumberText) for bound in value):
        try:
            first, last = (number(bound, before=15, after=12, exponent=True) for bound in value)
        except NotADecimal as error:
            raise UnusableEntry(f"tiered_pricing: {error}") from None
        # Some are written 32000.0.
        if first == int(first) and last == int(last):
            return int(first), int(last)
    raise UnusableEntry(f"tiered_pricing: a range must be two counts, found {shown(value)}")


def _object(key: str, value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UnusableEntry(f"{key}: must be an object, found {shown(value)}")
    return value


def _objects(key: str, value: object) -> list[dict[str, Any]]:
    if not isinstance(value, list):
        raise UnusableEntry(f"{key}: must be an array, found {shown(value)}")
    return [_object(key, item) for item in value]
