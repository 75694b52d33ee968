"""Spend per project, item and window: what a batch of priced events adds, and the totals that it is added to.

Amounts are linear in quantities, so a `Tally` only adds quantities per event and multiplies once per batch. That is
exact: no rounding happens anywhere, so sums of products and products of sums are the same number.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache
from operator import add
from typing import Any, NamedTuple

from msgspec import UNSET, Struct

from pricing.costs import Cost, NoCost, margin_of
from pricing.money import ZERO, whole
from pricing.pipeline import Priced
from pricing.rating import Rate
from pricing.terms import Terms
from pricing.times import SECOND_NS

HOUR_NS = 3600 * SECOND_NS
DAY_NS = 24 * HOUR_NS
WINDOWS = ("hour", "day", "month")

INSIDE = "\x00"  # stands in no name: strings have no control characters
MEMBERS = ("events", "not_billable_events", "events_without_cost", "tokens", "synapses", "neurons")
OBJECTS = ("quantities", "list", "net", "due", "cost", "margin", "converted", "provider_cost")
OF_COSTS = ("events_without_cost", "cost", "margin")  # there once an event's provider has a cost sheet
_PLACES = {name: place for place, name in enumerate((*MEMBERS, *OBJECTS))}

_LAYOUTS_MAX = 256

Number = int | Decimal


class Sums(Struct, frozen=True, gc=False):
    """What events add up to: numbers, and beside them their paths in the record, such as `list/CHF` with INSIDE for the
    slash, in the record's order. Columns, because adding two of them is what a worker does most after pricing.
    """

    paths: tuple[str, ...]
    numbers: list[Number]

    def plus(self, other: "Sums") -> "Sums":
        """Both together; neither is changed."""
        if self.paths is other.paths:
            return Sums(self.paths, list(map(add, self.numbers, other.numbers)))
        both = self.by_path()
        for path, number in other.by_path().items():
            both[path] = both[path] + number if path in both else number
        return sums_of(both)

    def by_path(self) -> dict[str, Number]:
        """The numbers by their paths."""
        return dict(zip(self.paths, self.numbers, strict=True))


def sums_of(numbers: Mapping[str, Number]) -> Sums:
    """These numbers, by their paths, in the order of the record. Equal paths are one object, for `plus`."""
    paths = _in_order(tuple(numbers))
    return Sums(paths, [numbers[path] for path in paths])


@lru_cache(512)
def _in_order(paths: tuple[str, ...]) -> tuple[str, ...]:
    ordered = tuple(sorted(paths, key=lambda path: (_PLACES[path.partition(INSIDE)[0]], path)))
    return paths if paths == ordered else _in_order(ordered)


class TotalKey(NamedTuple):
    """What a total is of. `start` is in nanoseconds since 1970; without `item` it is the whole project's."""

    organization: str
    project: str
    window: str
    start: int
    item: str | None


class Total(Struct, frozen=True, gc=False):
    """One record of the totals topic; `revision` counts its records, `as_of` is the greatest `priced_at` in it."""

    sums: Sums
    revision: int
    as_of: int

    def plus(self, sums: Sums, now: int) -> "Total":
        """The next revision."""
        return Total(self.sums.plus(sums), self.revision + 1, max(self.as_of, now))


def first_total(sums: Sums, now: int) -> Total:
    """The first revision of a total."""
    return Total(sums, 1, now)


class Tally:
    """Collects what the priced events of one batch add, by the hour they belong to."""

    def __init__(self, report_currencies: tuple[str, ...]) -> None:
        self._report_currencies = report_currencies
        self._leaves: dict[tuple[str, str, int, str, bool, Terms, type | None], _Leaf] = {}

    def add(self, priced: Priced) -> None:
        """Count one priced event."""
        data = priced.event.data
        at = priced.event.at
        cost = priced.cost
        kind = None if cost is None else type(cost)
        key = (data.organization, data.project, at - at % HOUR_NS, priced.item, priced.billable, priced.terms, kind)
        leaf = self._leaves.get(key)
        if leaf is None:
            leaf = self._leaves[key] = _Leaf()
        leaf.used.append(priced.quantities)
        if data.provider_cost is not UNSET:
            billed = data.provider_cost
            leaf.provider_cost[billed.currency] = leaf.provider_cost.get(billed.currency, ZERO) + billed.amount
        if cost is not None and not isinstance(cost, NoCost):
            leaf.add_cost(cost)

    def sums(self) -> Mapping[TotalKey, Sums]:
        """What the batch adds to every total that it touches."""
        hours: dict[tuple[str, str, int, str | None], Sums] = {}
        for (organization, project, hour, item, billable, terms, kind), leaf in self._leaves.items():
            sums = leaf.sums(billable, terms, self._report_currencies)
            if kind is not None:
                sums = leaf.with_costs(sums, kind, self._report_currencies)
            for found in (item, None):
                place = (organization, project, hour, found)
                known = hours.get(place)
                hours[place] = sums if known is None else known.plus(sums)
        totals: dict[TotalKey, Sums] = {}
        for place, sums in hours.items():
            for key in _keys_of(*place):
                known = totals.get(key)
                totals[key] = sums if known is None else known.plus(sums)
        return totals


class _Leaf:
    """Events that are alike in what decides their sums: the quantities that each used, by the names of its rates;
    `costs` and `converted` are those of events with a cost."""

    __slots__ = ("converted", "costs", "provider_cost", "used")

    def __init__(self) -> None:
        self.used: list[Mapping[str, Number]] = []
        self.costs: dict[str, Decimal] = {}
        self.converted: tuple[Decimal, ...] = ()
        self.provider_cost: dict[str, Decimal] = {}

    def sums(self, billable: bool, terms: Terms, report_currencies: tuple[str, ...]) -> Sums:
        used = _added(self.used)
        key = (tuple(used), report_currencies, tuple(self.provider_cost))
        layout = terms.layouts.get(key) or _remember(terms, key, _layout(terms, *key))
        consumed: Number = 0
        tokens: Number = 0
        quantities: dict[str, Number] = {}
        lists = dict.fromkeys(layout.currencies, ZERO)
        for name, rate, is_of_tokens in layout.rates:
            quantity, meter = used[name], rate.meter
            quantities[meter] = quantities[meter] + quantity if meter in quantities else quantity
            lists[rate.currency] += rate.list * quantity
            if rate.consumed is not None:
                consumed += rate.consumed * quantity
            if is_of_tokens:
                tokens += quantity
        nets = [amount * terms.factor for amount in lists.values()]
        dues = nets if billable else [ZERO] * len(nets)
        converted: list[Decimal] = []
        for index in layout.reports:
            amount = _converted(lists, terms, index)
            net = amount * terms.factor
            converted += (net if billable else ZERO, amount, net)
        events, in_neurons = len(self.used), terms.rates.is_in_neurons
        counts = (
            events,
            0 if billable else events,
            tokens,
            0 if in_neurons else consumed,
            consumed if in_neurons else 0,
        )
        billed = [self.provider_cost[currency] for currency in layout.billed]
        return Sums(layout.paths, [*counts, *quantities.values(), *lists.values(), *nets, *dues, *converted, *billed])

    def add_cost(self, cost: Cost) -> None:
        """Count the cost of one event."""
        for currency, amount in cost.by_currency.items():
            self.costs[currency] = self.costs.get(currency, ZERO) + amount
        self.converted = tuple(map(add, self.converted, cost.converted)) if self.converted else cost.converted

    def with_costs(self, sums: Sums, kind: type, report_currencies: tuple[str, ...]) -> Sums:
        """`sums` and what the costs add to them: all of these events have one, or none has."""
        found = sums.by_path()
        if kind is NoCost:
            return sums_of({**found, "events_without_cost": len(self.used)})
        due = f"due{INSIDE}"
        dues = {path.removeprefix(due): whole(amount) for path, amount in found.items() if path.startswith(due)}
        found["events_without_cost"] = 0
        for currency, amount in self.costs.items():
            found[f"cost{INSIDE}{currency}"] = amount
        for currency, amount in margin_of(dues, self.costs).items():
            found[f"margin{INSIDE}{currency}"] = amount
        for report, amount in zip(report_currencies, self.converted, strict=True):
            inside = f"converted{INSIDE}{report}{INSIDE}"
            found[inside + "cost"], found[inside + "margin"] = amount, found[inside + "due"] - amount
        return sums_of(found)


class _Layout(NamedTuple):
    """Where the sums of usage stand: `paths` in the record's order, and in the same order what they are made of.

    The rates have their names and whether they are of tokens, `reports` are the places of the reporting currencies.
    """

    paths: tuple[str, ...]
    rates: tuple[tuple[str, Rate, bool], ...]
    currencies: tuple[str, ...]
    reports: tuple[int, ...]
    billed: tuple[str, ...]


def _remember(terms: Terms, key: Any, layout: _Layout) -> _Layout:
    if len(terms.layouts) >= _LAYOUTS_MAX:  # hostile currencies are without end
        terms.layouts.clear()
    terms.layouts[key] = layout
    return layout


def _layout(
    terms: Terms, names: tuple[str, ...], report_currencies: tuple[str, ...], billed: tuple[str, ...]
) -> _Layout:
    """The layout for usage by these rates of the terms, of which providers have billed in these currencies."""
    rates = sorted([(name, terms.rates.by_name[name]) for name in names], key=lambda each: each[1].meter)
    currencies = sorted({rate.currency for _, rate in rates})
    reports = sorted(report_currencies)
    paths = [name for name in MEMBERS if name not in OF_COSTS]
    paths += dict.fromkeys(f"quantities{INSIDE}{rate.meter}" for _, rate in rates)
    paths += [f"{name}{INSIDE}{currency}" for name in ("list", "net", "due") for currency in currencies]
    paths += [f"converted{INSIDE}{report}{INSIDE}{name}" for report in reports for name in ("due", "list", "net")]
    paths += [f"provider_cost{INSIDE}{currency}" for currency in sorted(billed)]
    return _Layout(
        _in_order(tuple(paths)),
        tuple((name, rate, rate.is_of_tokens) for name, rate in rates),
        tuple(currencies),
        tuple(report_currencies.index(report) for report in reports),
        tuple(sorted(billed)),
    )


def _added(used: Sequence[Mapping[str, Number]]) -> Mapping[str, Number]:
    """The quantities of events by name, those above 0."""
    added = dict(used[0])
    for quantities in used[1:]:
        for name, quantity in quantities.items():
            added[name] = added.get(name, 0) + quantity
    return {name: quantity for name, quantity in added.items() if quantity}


def _converted(lists: dict[str, Decimal], terms: Terms, index: int) -> Decimal:
    total = ZERO
    for currency, amount in lists.items():
        rate = terms.conversions[currency][index].rate
        if amount and rate is not None:
            total += amount * rate
    return total


@lru_cache(16_384)
def _keys_of(organization: str, project: str, hour: int, item: str | None) -> tuple[TotalKey, ...]:
    """The totals that usage of an hour belongs to."""
    return tuple(TotalKey(organization, project, window, window_start(window, hour), item) for window in WINDOWS)


def window_start(window: str, at: int) -> int:
    """The start of the UTC hour, day or month that `at` lies in."""
    if window == "hour":
        return at - at % HOUR_NS
    day = at - at % DAY_NS
    return day if window == "day" else _month_start(day)


def window_end(window: str, start: int) -> int:
    """The first instant after a window."""
    if window == "month":
        return _month_start(start + 32 * DAY_NS)
    return start + (HOUR_NS if window == "hour" else DAY_NS)


@lru_cache(4096)
def _month_start(day: int) -> int:
    found = datetime.fromtimestamp(day // SECOND_NS, UTC)
    return (date(found.year, found.month, 1) - date(1970, 1, 1)).days * DAY_NS
