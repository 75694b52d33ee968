"""The price of one event: its sheet, its lines, the discount, what is due, the conversion. Section 3 of the contract.

`price` is the only way an amount comes about, in the worker and in `stream-pricing price`. It returns a `Priced` or
raises `Missing`; nothing is rounded, and a price that is missing is never zero.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, NamedTuple

from msgspec import UNSET

from pricing.accounts import Account, tier_at
from pricing.book import Book, Policy, Segment
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
from pricing.money import HUNDRED, ZERO, whole
from pricing.rating import ONE, SECONDS, Missing, Rate, Rates, rates_for, rates_key
from pricing.sheets import Sheet, Tier


class Line(NamedTuple):
    """One meter of an event. Amounts are in the rate's currency, exact."""

    rate: Rate
    quantity: Decimal
    consumed: Decimal | None
    list: Decimal
    net: Decimal


@dataclass(frozen=True, slots=True, eq=False)
class Terms:
    """All that decides the price of a kind of usage in a segment: sheet version, rates, discount, exchange rates.

    `net` is the list price of a unit after the discount, by rate name; `fx` has, for each currency of the rates, one
    rate per reporting currency: None where none is in force, `ONE` where it is the same currency.
    """

    sheet: Sheet
    tier_id: str | None
    tier: Tier | None
    factor: Decimal
    rates: Rates
    net: Mapping[str, Decimal]
    fx: Mapping[str, tuple["FxRate | Decimal | None", ...]]
    tier_is_unknown: bool


class Priced(NamedTuple):
    """A priced event: `lists` and `nets` by currency, `converted` as (list, net) for each reporting currency."""

    event: Event
    terms: Terms
    item: str
    lines: list[Line]
    synapses: Decimal
    neurons: Decimal
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
    lines = _lines(data, terms)
    if terms.rates.no_multiplier:
        raise Missing(Unpriced.NO_MULTIPLIER, f"priority {data.priority} on sheet {_named(terms.sheet)}")
    synapses = neurons = ZERO
    lists: dict[str, Decimal] = {}
    nets: dict[str, Decimal] = {}
    for rate, _, consumed, list_amount, net_amount in lines:
        currency = rate.currency
        if currency in lists:
            lists[currency] += list_amount
            nets[currency] += net_amount
        else:
            lists[currency] = list_amount
            nets[currency] = net_amount
        if consumed is not None:
            if rate.consumed_unit == "synapse":
                synapses += consumed
            else:
                neurons += consumed
    converted, fx = _convert(lists, nets, terms, book.policy)
    if terms.tier_is_unknown:
        raise Missing(Unpriced.UNKNOWN_TIER, f"tier {terms.tier_id} on sheet {book.policy.default_sheet}")
    if terms.tier_id is None and book.policy.require_account:
        raise Missing(Unpriced.ACCOUNT_REQUIRED, f"organization {data.organization}")
    billable = data.billable is not False
    return Priced(event, terms, _item(data, terms), lines, synapses, neurons, lists, nets, converted, fx, billable)


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
        if not (terms.tier_is_unknown or terms.rates.no_multiplier):  # else hostile names would fill the memory
            segment.terms[key] = terms
    return terms


def _compile(rates: Rates, sheet: Sheet, tier_id: str | None, segment: Segment, policy: Policy) -> Terms:
    default = segment.sheets.get(policy.default_sheet)
    tier = default.tiers.get(tier_id) if default is not None and tier_id is not None else None
    factor = ONE if tier is None else (HUNDRED - tier.discount_percentage) / HUNDRED
    named = dict(rates.by_name)
    if rates.any_token is not None:
        named[""] = rates.any_token
    net = {name: rate.list * factor for name, rate in named.items()}
    fx = {
        rate.currency: tuple(_rate_between(rate.currency, report, segment) for report in policy.report_currencies)
        for rate in named.values()
    }
    return Terms(sheet, tier_id, tier, factor, rates, net, fx, tier_id is not None and tier is None)


def _rate_between(currency: str, report: str, segment: Segment) -> FxRate | Decimal | None:
    return ONE if currency == report else segment.fx.get(f"{currency}/{report}")


def _lines(data: Any, terms: Terms) -> list[Line]:
    """A line for every quantity above 0, tokens in the order of the sheet; Missing where one has no rate."""
    quantities = _quantities(data, terms.rates)
    lines = []
    seen = 0
    net = terms.net
    rates = terms.rates.by_name
    if type(data) is TerminalUsage:
        rates = {name: rates[name] for name in quantities if name in rates}
    for name, rate in rates.items():
        quantity = quantities.get(name)
        if quantity is None:
            continue
        seen += 1
        if quantity:
            exact = whole(quantity)
            consumed = None if rate.consumed is None else rate.consumed * exact
            lines.append(Line(rate, exact, consumed, rate.list * exact, net[name] * exact))
    if seen != len(quantities):
        lines += _other_lines(quantities, terms)
    return lines


def _other_lines(quantities: Mapping[str, Any], terms: Terms) -> list[Line]:
    """Lines of names without a rate of their own: token kinds of a neuron model have one in common."""
    lines = []
    for name, quantity in quantities.items():
        if not quantity or name in terms.rates.by_name:
            continue
        rate = terms.rates.any_token if name != SECONDS else None
        if rate is None or rate.consumed is None:
            raise Missing(Unpriced.NO_METER, f"{name.lstrip(chr(0))} on sheet {_named(terms.sheet)}")
        exact = whole(quantity)
        own = replace(rate, meter=name)
        lines.append(Line(own, exact, rate.consumed * exact, rate.list * exact, terms.net[""] * exact))
    return lines


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
    converted = []
    used = []
    for index, report in enumerate(policy.report_currencies):
        list_amount = net_amount = ZERO
        for currency, amount in lists.items():
            if not amount:
                continue  # an amount of 0 needs no rate
            rate = terms.fx[currency][index]
            if rate is None:
                raise Missing(Unpriced.NO_RATE, f"{currency}/{report}")
            if isinstance(rate, FxRate):
                used.append(rate)
                rate = rate.rate
            list_amount += amount * rate
            net_amount += nets[currency] * rate
        converted.append((list_amount, net_amount))
    return converted, used


def _item(data: Any, terms: Terms) -> str:
    kind = type(data)
    if kind is ModelUsage:
        return terms.rates.model or ""
    if kind is ImageUsage:
        return terms.rates.model or f"image.{data.operation}"
    if kind is ConnectorToolUsage:
        return f"connector.{data.connector}"
    return "code_execution" if kind is CodeExecutionUsage else "terminal"


def _named(sheet: Sheet) -> str:
    return f"{sheet.id} {sheet.version}"
