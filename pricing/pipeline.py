"""The price of one event: its sheet, its lines, the discount, what is due, the conversion. Section 3 of the contract.

`price` is the only way an amount comes about, in the worker and in `stream-pricing price`. It returns a `Priced` or
raises `Missing`; nothing is rounded, and a price that is missing is never zero.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple

from msgspec import UNSET

from pricing.accounts import Account, tier_at
from pricing.book import Book, Policy, Segment
from pricing.documents import json_text
from pricing.errors import Unpriced
from pricing.events import (
    CodeExecutionUsage,
    ConnectorToolUsage,
    Event,
    ImageUsage,
    ModelUsage,
    TerminalUsage,
)
from pricing.exchange import FxRate
from pricing.money import HUNDRED, ZERO, plain
from pricing.rating import ONE, SECONDS, Missing, Rate, Rates, rates_for, rates_key
from pricing.sheets import Sheet, Tier

# One meter of an event: its rate, quantity, list and net amount, and the line as JSON text. A plain tuple, as four are
# made per event; with its text, as the amounts are at hand where they are computed.
Line = tuple[Rate, int | Decimal, Decimal, Decimal, str]


class Entry(NamedTuple):
    """A rate under an organization's discount: what one unit consumes, lists at and costs net.

    `start`, `unit` and `price` are the constant texts of a line before its quantity, units consumed and list amount.
    """

    name: str
    rate: Rate
    consumed: int | Decimal | None
    list: Decimal
    net: Decimal
    start: str
    unit: str
    price: str


class Conversion(NamedTuple):
    """From the currency of a rate into a reporting one: `rate` is None where none is in force, `fx` its publication."""

    rate: Decimal | None
    fx: FxRate | None


@dataclass(frozen=True, slots=True, eq=False)
class Terms:
    """All that decides the price of a kind of usage in a segment: sheet version, rates, discount, exchange rates.

    `conversions` has one for each reporting currency, by the currency of the rates. `currency` is the only
    one of the rates, None where they have several.
    """

    sheet: Sheet
    tier_id: str | None
    tier: Tier | None
    factor: Decimal
    rates: Rates
    entries: tuple[Entry, ...]
    conversions: Mapping[str, tuple[Conversion, ...]]
    currency: str | None
    tier_is_unknown: bool


class Priced(NamedTuple):
    """A priced event: `lists` and `nets` by currency, `converted` as (list, net) for each reporting currency.

    `consumed` is in the unit of its rates, synapses or neurons.
    """

    event: Event
    terms: Terms
    item: str
    lines: list[Line]
    consumed: int | Decimal
    lists: dict[str, Decimal]
    nets: dict[str, Decimal]
    converted: list[tuple[Decimal, Decimal]]
    fx: list[FxRate]
    billable: bool


def price(event: Event, book: Book, account: Account | None) -> Priced:
    """Price `event` by what is published in `book` and known of its organization. Runs in `money.exact()`.

    Raises Missing with the first reason that keeps it from being priced, in the order of `Unpriced`.
    """
    data = event.data
    terms = _terms_for(event, book, account)
    is_billable = data.billable is not False
    lines, consumed, lists, nets = _lines(data, terms, is_billable)
    if lines and terms.rates.no_multiplier:
        raise Missing(Unpriced.NO_MULTIPLIER, f"priority {data.priority} on sheet {_named(terms.sheet)}")
    converted, fx = _convert(lists, nets, terms, book.policy)
    if terms.tier_is_unknown:
        raise Missing(Unpriced.UNKNOWN_TIER, f"tier {terms.tier_id} on sheet {book.policy.default_sheet}")
    if terms.tier_id is None and book.policy.require_account:
        raise Missing(Unpriced.ACCOUNT_REQUIRED, f"organization {data.organization}")
    item = terms.rates.model or _item(data)
    return Priced(event, terms, item, lines, consumed, lists, nets, converted, fx, is_billable)


def _sums_by_currency(lines: list[Line]) -> tuple[dict[str, Decimal], dict[str, Decimal]]:
    lists: dict[str, Decimal] = {}
    nets: dict[str, Decimal] = {}
    for rate, _, list_amount, net_amount, _ in lines:
        lists[rate.currency] = lists.get(rate.currency, ZERO) + list_amount
        nets[rate.currency] = nets.get(rate.currency, ZERO) + net_amount
    return lists, nets


def _terms_for(event: Event, book: Book, account: Account | None) -> Terms:
    data = event.data
    segment = book.segment_at(event.at)
    tier_id = None if account is None else tier_at(account, event.at)
    sheet_id = book.policy.sheet_for(data.provider)
    key = (sheet_id, tier_id, rates_key(data))
    terms: Terms | None = segment.terms.get(key)
    if terms is None:
        sheet = segment.sheets.get(sheet_id)
        if sheet is None:
            raise Missing(Unpriced.NO_SHEET, f"sheet {sheet_id} at {event.time}")
        terms = _compile(rates_for(sheet, data), sheet, tier_id, segment, book.policy)
        if not (terms.tier_is_unknown or terms.rates.no_multiplier or _is_made_up(data, terms)):
            segment.terms[key] = terms  # the others are not kept: hostile names would fill the memory
    return terms


def _is_made_up(data: Any, terms: Terms) -> bool:
    """Whether an image event was priced without looking for its operation, or without finding its model."""
    if type(data) is not ImageUsage:
        return False
    return bool(data.count == 0 or (data.model is not UNSET and terms.rates.model is None))


def _compile(rates: Rates, sheet: Sheet, tier_id: str | None, segment: Segment, policy: Policy) -> Terms:
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
        currency=currency,
        tier_is_unknown=tier_id is not None and tier is None,
    )


def _entry(name: str, rate: Rate, factor: Decimal) -> Entry:
    start = f'{{"meter":{json_text(rate.meter)},"quantity":"'
    unit = f'","unit":{json_text(rate.unit)},'
    price = f'"price":"{plain(rate.price)}","per":"{rate.per}","currency":"{rate.currency}","list":"'
    if rate.consumed is not None:
        unit, price = f'{unit}"consumed":"', f'","consumed_unit":"{rate.consumed_unit}",{price}'
    return Entry(name, rate, rate.consumed, rate.list, rate.list * factor, start, unit, price)


def _conversion(currency: str, report: str, segment: Segment) -> Conversion:
    if currency == report:
        return Conversion(ONE, None)
    fx = segment.fx.get(f"{currency}/{report}")
    return Conversion(None if fx is None else fx.rate, fx)


def _lines(
    data: Any, terms: Terms, is_billable: bool
) -> tuple[list[Line], int | Decimal, dict[str, Decimal], dict[str, Decimal]]:
    """A line for every quantity above 0, tokens in the order of the sheet; Missing where one has no rate.

    With them units consumed (those of an event are all synapses or all neurons), list and net amounts by currency.
    """
    quantities = _quantities(data, terms.rates)
    entries = terms.entries
    if type(data) is TerminalUsage:  # its dimensions stay in the order given
        by_name = {entry.name: entry for entry in entries}
        entries = tuple(by_name[name] for name in quantities if name in by_name)
    lines: list[Line] = []
    seen = 0
    consumed: int | Decimal = 0
    list_sum = net_sum = ZERO
    for name, rate, units_each, list_price, net_price, start, unit, price_text in entries:
        quantity = quantities.get(name)
        if quantity is None:
            continue
        seen += 1
        if not quantity:
            continue
        units = units_each * quantity if units_each is not None else None
        list_amount, net_amount = list_price * quantity, net_price * quantity
        list_text, net_text = plain(list_amount), plain(net_amount)
        due_text = net_text if is_billable else "0"
        if type(units) is int:  # then so is the quantity, and both print as they should
            middle = f"{start}{quantity}{unit}{units}{price_text}"
        else:
            middle = f"{start}{plain(quantity)}{unit}{'' if units is None else plain(units)}{price_text}"
        text = f'{middle}{list_text}","net":"{net_text}","due":"{due_text}"}}'
        lines.append((rate, quantity, list_amount, net_amount, text))
        consumed += units or 0
        list_sum += list_amount
        net_sum += net_amount
    if seen != len(quantities):
        _refuse_unpriced(quantities, terms)
    if not lines:
        return lines, 0, {}, {}
    if terms.currency is None:
        return lines, consumed, *_sums_by_currency(lines)
    return lines, consumed, {terms.currency: list_sum}, {terms.currency: net_sum}


def _refuse_unpriced(quantities: Mapping[str, Any], terms: Terms) -> None:
    """Missing for the first quantity above 0 that has no rate."""
    for name, quantity in quantities.items():
        if quantity and name not in terms.rates.by_name:
            meter = name.removeprefix(SECONDS[0])
            raise Missing(Unpriced.NO_METER, f"{meter} on sheet {_named(terms.sheet)}")


def _quantities(data: Any, rates: Rates) -> Mapping[str, Any]:
    """What was used, by the name of its rate. Free shares are taken off here."""
    kind = type(data)
    if kind is ModelUsage:
        if data.seconds is UNSET:
            return data.tokens  # type: ignore[no-any-return]
        return {**({} if data.tokens is UNSET else data.tokens), SECONDS: data.seconds}
    if kind is ImageUsage:
        return {"count": 1 if data.count is UNSET else data.count}
    if kind is CodeExecutionUsage:
        cpu = max(ZERO, data.cpu_seconds - (rates.free_cpu_seconds or ZERO))
        memory = max(ZERO, data.memory_mb - (rates.free_memory_mb or ZERO)) * data.wall_seconds
        return {"base": 1, "cpu": cpu, "memory": memory}
    if kind is ConnectorToolUsage:
        return {"executions": 1 if data.executions is UNSET else data.executions}
    return data.dimensions  # type: ignore[no-any-return]


def _convert(
    lists: dict[str, Decimal], nets: dict[str, Decimal], terms: Terms, policy: Policy
) -> tuple[list[tuple[Decimal, Decimal]], list[FxRate]]:
    converted = [(ZERO, ZERO)] * len(policy.report_currencies)
    used = []
    for currency, amount in lists.items():
        if not amount:
            continue  # an amount of 0 needs no rate
        net = nets[currency]
        for index, (rate, fx) in enumerate(terms.conversions[currency]):
            if rate is None:
                raise Missing(Unpriced.NO_RATE, f"{currency}/{policy.report_currencies[index]}")
            if fx is not None:
                used.append(fx)
            list_sum, net_sum = converted[index]
            converted[index] = (list_sum + amount * rate, net_sum + net * rate)
    return converted, used


def _item(data: Any) -> str:
    kind = type(data)
    if kind is ImageUsage:
        return f"image.{data.operation}"
    if kind is ConnectorToolUsage:
        return f"connector.{data.connector}"
    return "code_execution" if kind is CodeExecutionUsage else "terminal"


def _named(sheet: Sheet) -> str:
    return f"{sheet.id} {sheet.version}"
