"""What priced usage costs its seller: the same usage by the rates of a cost sheet, without a discount.

A cost stands beside the price and never in its way: where it is not known, the event is priced all the same. Lines are
those of the price sheet, so each gets the cost of its own usage, also where the cost sheet cuts that usage otherwise.
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from pricing.book import Policy
from pricing.errors import Unpriced
from pricing.kinds import nearest
from pricing.money import ZERO, whole
from pricing.rating import SECONDS, Missing, Rates
from pricing.terms import Terms

LineCost = tuple[Decimal, str]  # with its currency


class Rated(NamedTuple):
    """Usage by the rates that it has on one sheet: `quantities` go by the names of the rates."""

    terms: Terms
    quantities: Mapping[str, Any]


class Cost(NamedTuple):
    """What an event costs: by currency, in each reporting currency, and by the name of a line's rate."""

    terms: Terms
    by_currency: Mapping[str, Decimal]
    converted: tuple[Decimal, ...]
    by_line: Mapping[str, LineCost]


class NoCost(NamedTuple):
    """Why the cost of an event is not known."""

    reason: Unpriced
    detail: str


def cost_of(priced: Rated, cost: Rated, tokens: Mapping[str, int], policy: Policy) -> Cost:
    """The cost of usage that is `priced` by one sheet and costs by another; `tokens` are its counts as given.

    All of `cost.quantities` above 0 have a rate. Missing (`no_rate_at_time`) where an amount cannot be converted.
    """
    rates = cost.terms.rates.by_name
    by_name = {name: rates[name].list * used for name, used in cost.quantities.items() if used}
    by_currency: dict[str, Decimal] = {}
    for name, amount in by_name.items():
        currency = rates[name].currency
        by_currency[currency] = by_currency.get(currency, ZERO) + amount
    converted = tuple(
        sum((_converted(cost.terms, each, amount, index, report) for each, amount in by_currency.items()), ZERO)
        for index, report in enumerate(policy.report_currencies)
    )
    if cost.quantities.keys() == priced.quantities.keys():
        by_line = {name: (by_name.get(name, ZERO), rates[name].currency) for name in cost.quantities if name in rates}
    else:
        by_line = dict(_by_line(priced, cost, tokens))
    return Cost(cost.terms, by_currency, converted, by_line)


def margin_of(dues: Mapping[str, Decimal], costs: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """What is left of the amounts due, by currency; below 0 where they do not cover the costs."""
    return {currency: dues.get(currency, ZERO) - costs.get(currency, ZERO) for currency in {**dues, **costs}}


def _converted(terms: Terms, currency: str, amount: Decimal, index: int, report: str) -> Decimal:
    if not amount:  # an amount of 0 needs no rate
        return ZERO
    rate = terms.conversions[currency][index].rate
    if rate is None:
        raise Missing(Unpriced.NO_RATE, f"{currency}/{report}")
    return amount * rate


def _by_line(priced: Rated, cost: Rated, tokens: Mapping[str, int]) -> Iterator[tuple[str, LineCost]]:
    """The cost of each line where the sheets fold token kinds or cut bands otherwise.

    Tokens fill lines and bands in the same order, so those of a line are known. What only one of the sheets has, such
    as a fee per request, has no line, or the line no cost.
    """
    rates = cost.terms.rates
    costs: dict[str, Decimal] = {
        name: rates.by_name[name].list * used
        for name, used in cost.quantities.items()
        if used and name in priced.quantities and name.startswith(SECONDS[0])
    }
    in_lines, at_rates = dict(priced.quantities), dict(cost.quantities)
    for kind, count in tokens.items():
        left = count
        for line in _filled_by(kind, priced.terms.rates):
            for name in _filled_by(kind, rates):
                both = min(left, in_lines.get(line, 0), at_rates.get(name, 0))
                if both:
                    costs[line] = costs.get(line, ZERO) + rates.by_name[name].list * whole(both)
                    in_lines[line], at_rates[name], left = in_lines[line] - both, at_rates[name] - both, left - both
    for name, amount in costs.items():
        assert cost.terms.currency is not None  # only dimensions have several, and no sheet cuts those
        yield name, (amount, cost.terms.currency)


def _filled_by(kind: str, rates: Rates) -> list[str]:
    """The names of the rates that tokens of a kind go by, in the order in which they fill them."""
    name = nearest(kind, rates.by_name)
    return [name, *(band for band, _ in rates.bands.get(name, ()))]
