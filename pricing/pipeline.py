"""The price of one event: its sheet, its lines, the discount, what is due, the conversion. Section 3 of the contract.

`price` is the only way an amount comes about, in the worker and in `stream-pricing price`. It returns a `Priced` or
raises `Missing`; nothing is rounded, and a price that is missing is never zero.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NoReturn

from msgspec import UNSET, Struct

from pricing.accounts import Account, tier_at
from pricing.amounts import amounts_text, refuse_unpriced
from pricing.book import Book, Policy, Segment
from pricing.costs import Cost, NoCost, Rated, cost_of
from pricing.errors import Unpriced
from pricing.events import (
    CodeExecutionUsage,
    ConnectorToolUsage,
    Event,
    ImageUsage,
    ModelUsage,
    ResponseUsage,
)
from pricing.rating import Missing, priority_of
from pricing.selection import select
from pricing.terms import Terms


class Priced(Struct, frozen=True, gc=False):
    """A priced event: what was used, by the name of its rate, and `amounts`: the members of the priced event's JSON
    from `lines` to `billable`, as text, since the numbers are at hand where they are computed."""

    event: Event
    terms: Terms
    item: str
    quantities: Mapping[str, int | Decimal]
    amounts: str
    billable: bool
    cost: Cost | NoCost | None  # None: its provider has no cost sheet


def price(event: Event, book: Book, account: Account | None) -> Priced:
    """Price `event` by what is published in `book` and known of its organization. Runs in `money.exact()`.

    Raises Missing with the first reason that keeps it from being priced, in the order of `Unpriced`.
    """
    data = event.data
    tier_id = None if account is None else tier_at(account, event.at)
    policy = book.policy
    segment = book.segment_at(event.at)
    terms, quantities = select(event, policy.sheet_for(data.provider), tier_id, segment, policy)
    is_billable = data.billable is not False
    if terms.rates.no_multiplier and any(quantities.values()):
        _refuse_priority(data, quantities, terms)
    cost = _cost(event, Rated(terms, quantities), segment, policy) if policy.cost_sheets else None
    known_cost = None if cost is None or isinstance(cost, NoCost) else cost
    amounts = amounts_text(quantities, terms, is_billable, policy, known_cost)
    if terms.tier_is_unknown:
        raise Missing(Unpriced.UNKNOWN_TIER, f"tier {terms.tier_id} on sheet {policy.default_sheet}")
    if terms.tier_id is None and policy.require_account:
        raise Missing(Unpriced.ACCOUNT_REQUIRED, f"organization {data.organization}")
    return Priced(event, terms, terms.rates.model or _item(data), quantities, amounts, is_billable, cost)


def _cost(event: Event, priced: Rated, segment: Segment, policy: Policy) -> Cost | NoCost | None:
    """The cost of `priced` by the cost sheet of the event's provider: what it would list at there, without a tier."""
    data = event.data
    sheet_id = policy.cost_sheet_for(data.provider)
    if sheet_id is None:
        return None
    try:
        terms, quantities = select(event, sheet_id, None, segment, policy)
        refuse_unpriced(quantities, terms)
        if terms.rates.no_multiplier and any(quantities.values()):
            _refuse_priority(data, quantities, terms)
        return cost_of(priced, Rated(terms, quantities), _tokens(data), policy)
    except Missing as missing:
        return NoCost(missing.reason, missing.detail)


def _refuse_priority(data: Any, quantities: Mapping[str, Any], terms: Terms) -> NoReturn:
    refuse_unpriced(quantities, terms)
    raise Missing(Unpriced.NO_MULTIPLIER, f"priority {priority_of(data)} on sheet {terms.sheet.named}")


def _tokens(data: Any) -> Mapping[str, int]:
    """The counts of tokens by kind, as given."""
    if type(data) is ResponseUsage:
        return data.response.tokens  # type: ignore[no-any-return]
    return data.tokens if type(data) is ModelUsage and data.tokens is not UNSET else {}


def _item(data: Any) -> str:
    kind = type(data)
    if kind is ImageUsage:
        return f"image.{data.operation}"
    if kind is ConnectorToolUsage:
        return f"connector.{data.connector}"
    return "code_execution" if kind is CodeExecutionUsage else "terminal"
