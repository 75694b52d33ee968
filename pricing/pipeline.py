"""The price of one event: its sheet, its lines, the discount, what is due, the conversion. Section 3 of the contract.

`price` is the only way an amount comes about, in the worker and in `stream-pricing price`. It returns a `Priced` or
raises `Missing`; nothing is rounded, and a price that is missing is never zero.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple, NoReturn

from msgspec import UNSET

from pricing.accounts import Account, tier_at
from pricing.amounts import amounts_text, refuse_unpriced
from pricing.book import Book
from pricing.costs import Cost, NoCost, Rated, cost_of
from pricing.errors import Unpriced
from pricing.events import (
    CodeExecutionUsage,
    ConnectorToolUsage,
    Event,
    ImageUsage,
    ModelUsage,
)
from pricing.money import ZERO
from pricing.rating import Missing, priority_of
from pricing.selection import select
from pricing.terms import Terms


class Priced(NamedTuple):
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
    terms, quantities = select(event, policy.sheet_for(data.provider), tier_id, book.segment_at(event.at), policy)
    is_billable = data.billable is not False
    if terms.rates.no_multiplier and any(quantities.values()):
        _refuse_priority(data, quantities, terms)
    cost = _cost(event, book, Rated(terms, quantities)) if book.policy.cost_sheets else None
    known_cost = cost if isinstance(cost, Cost) else None
    amounts = amounts_text(quantities, terms, is_billable, book.policy, known_cost)
    if terms.tier_is_unknown:
        raise Missing(Unpriced.UNKNOWN_TIER, f"tier {terms.tier_id} on sheet {book.policy.default_sheet}")
    if terms.tier_id is None and book.policy.require_account:
        raise Missing(Unpriced.ACCOUNT_REQUIRED, f"organization {data.organization}")
    return Priced(event, terms, terms.rates.model or _item(data), quantities, amounts, is_billable, cost)


def _cost(event: Event, book: Book, priced: Rated) -> Cost | NoCost | None:
    """The cost of `priced` by the cost sheet of the event's provider, in all as it would be priced without a tier."""
    data = event.data
    sheet_id = book.policy.cost_sheet_for(data.provider)
    if sheet_id is None:
        return None
    try:
        terms, quantities = select(event, sheet_id, None, book.segment_at(event.at), book.policy)
        refuse_unpriced(quantities, terms)
        if terms.rates.no_multiplier and any(quantities.values()):
            _refuse_priority(data, quantities, terms)
        return cost_of(priced, Rated(terms, quantities), _tokens(data), book.policy)
    except Missing as missing:
        return NoCost(missing.reason, missing.detail)


def _refuse_priority(data: Any, quantities: Mapping[str, Any], terms: Terms) -> NoReturn:
    refuse_unpriced(quantities, terms)
    raise Missing(Unpriced.NO_MULTIPLIER, f"priority {priority_of(data)} on sheet {terms.sheet.named}")


def _tokens(data: Any) -> Mapping[str, int]:
    """The counts of tokens by kind, as given."""
    if type(data) is ResponseUsage:
        return data.response.tokens
    return data.tokens if type(data) is ModelUsage and data.tokens is not UNSET else {}


def _item(data: Any) -> str:
    kind = type(data)
    if kind is ImageUsage:
        return f"image.{data.operation}"
    if kind is ConnectorToolUsage:
        return f"connector.{data.connector}"
    return "code_execution" if kind is CodeExecutionUsage else "terminal"
