"""What decides the price of a kind of usage, compiled once: rates, discount, exchange rates, and the constant JSON text
around the numbers.

Terms are kept for a segment of time in which nothing that they are made of changes; `amounts` multiplies by them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

from pricing.book import Policy, Segment
from pricing.documents import json_text
from pricing.exchange import FxRate
from pricing.money import HUNDRED, plain
from pricing.rating import ONE, Rate, Rates
from pricing.sheets import Sheet, Tier
from pricing.times import format_time

# A rate under an organization's discount: its name, what one unit consumes, lists at and costs net, and the constant
# JSON texts of a line before its quantity, units consumed and list amount. A plain tuple: four are unpacked per event.
Entry = tuple[str, int | Decimal | None, Decimal, Decimal, str, str, str]


class Conversion(NamedTuple):
    """From the currency of a rate into a reporting one: `rate` is None where none is in force, `fx` its publication."""

    rate: Decimal | None
    fx: FxRate | None


@dataclass(frozen=True, slots=True, eq=False)
class Terms:
    """All that decides the price of a kind of usage in a segment: sheet version, rates, discount, exchange rates.

    `conversions` has one for each reporting currency, by the currency of the rates, `fx` their publications as JSON.
    `currency` is the only one of the rates, None where they have several. `in_cases` are those of a direct model's
    other price lists, in their order. `texts` and `layouts` are what writer and totals make of these terms once: here,
    so that it goes with them when a book takes the place of another.
    """

    sheet: Sheet
    tier_id: str | None
    tier: Tier | None
    factor: Decimal
    rates: Rates
    entries: tuple[Entry, ...]
    conversions: Mapping[str, tuple[Conversion, ...]]
    fx: Mapping[str, str]
    currency: str | None
    tier_is_unknown: bool
    in_cases: tuple["Terms", ...] = ()
    texts: dict[Any, str] = field(default_factory=dict)
    layouts: dict[Any, Any] = field(default_factory=dict)


def compile_terms(rates: Rates, sheet: Sheet, tier_id: str | None, segment: Segment, policy: Policy) -> Terms:
    """The terms of `rates` for organizations of a tier, in a segment."""
    default = segment.sheets.get(policy.default_sheet)
    tier = default.tiers.get(tier_id) if default is not None and tier_id is not None else None
    factor = ONE if tier is None else (HUNDRED - tier.discount_percentage) / HUNDRED
    entries = tuple(_entry(name, rate, factor) for name, rate in rates.by_name.items())
    currencies = {rate.currency for rate in rates.by_name.values()}
    conversions = {
        currency: tuple(_conversion(currency, report, segment) for report in policy.report_currencies)
        for currency in currencies
    }
    currency = currencies.pop() if len(currencies) == 1 else None
    return Terms(
        sheet=sheet,
        tier_id=tier_id,
        tier=tier,
        factor=factor,
        rates=rates,
        entries=entries,
        conversions=conversions,
        fx={currency: _fx_text(found) for currency, found in conversions.items()},
        currency=currency,
        tier_is_unknown=tier_id is not None and tier is None,
        in_cases=tuple(compile_terms(each, sheet, tier_id, segment, policy) for each in rates.in_cases),
    )


def _entry(name: str, rate: Rate, factor: Decimal) -> Entry:
    start = f'{{"meter":{json_text(rate.meter)},"quantity":"'
    unit = f'","unit":{json_text(rate.unit)},'
    price = f'"price":"{plain(rate.price)}","per":"{rate.per}","currency":"{rate.currency}","list":"'
    if rate.consumed is not None:
        unit, price = f'{unit}"consumed":"', f'","consumed_unit":"{rate.consumed_unit}",{price}'
    return name, rate.consumed, rate.list, rate.list * factor, start, unit, price


def _fx_text(conversions: tuple[Conversion, ...]) -> str:
    return ",".join(
        f'{{"pair":"{fx.pair}","rate":"{plain(fx.rate)}","from":"{format_time(fx.from_ns)}"}}'
        for _, fx in conversions
        if fx is not None
    )


def _conversion(currency: str, report: str, segment: Segment) -> Conversion:
    if currency == report:
        return Conversion(ONE, None)
    fx = segment.fx.get(f"{currency}/{report}")
    return Conversion(None if fx is None else fx.rate, fx)
