"""The price of one event: its sheet, its lines, the discount, what is due, the conversion. Section 3 of the contract.

`price` is the only way an amount comes about, in the worker and in `stream-pricing price`. It returns a `Priced` or
raises `Missing`; nothing is rounded, and a price that is missing is never zero.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from msgspec import UNSET

from pricing.accounts import Account, tier_at
from pricing.amounts import amounts_text, refuse_unpriced
from pricing.book import Book
from pricing.errors import Unpriced
from pricing.events import (
    CodeExecutionUsage,
    ConnectorToolUsage,
    Event,
    ImageUsage,
    ModelUsage,
)
from pricing.money import ZERO
from pricing.rating import SECONDS, Missing, Rates, rates_for, rates_key
from pricing.terms import Terms, compile_terms


class Priced(NamedTuple):
    """A priced event: what was used, by the name of its rate, and `amounts`: the members of the priced event's JSON
    from `lines` to `billable`, as text, since the numbers are at hand where they are computed."""

    event: Event
    terms: Terms
    item: str
    quantities: Mapping[str, int | Decimal]
    amounts: str
    billable: bool


def price(event: Event, book: Book, account: Account | None) -> Priced:
    """Price `event` by what is published in `book` and known of its organization. Runs in `money.exact()`.

    Raises Missing with the first reason that keeps it from being priced, in the order of `Unpriced`.
    """
    data = event.data
    terms = _terms_for(event, book, account)
    quantities = _quantities(data, terms.rates)
    is_billable = data.billable is not False
    if terms.rates.no_multiplier and any(quantities.values()):
        refuse_unpriced(quantities, terms)
        raise Missing(Unpriced.NO_MULTIPLIER, f"priority {data.priority} on sheet {terms.sheet.named}")
    amounts = amounts_text(quantities, terms, is_billable, book.policy)
    if terms.tier_is_unknown:
        raise Missing(Unpriced.UNKNOWN_TIER, f"tier {terms.tier_id} on sheet {book.policy.default_sheet}")
    if terms.tier_id is None and book.policy.require_account:
        raise Missing(Unpriced.ACCOUNT_REQUIRED, f"organization {data.organization}")
    return Priced(event, terms, terms.rates.model or _item(data), quantities, amounts, is_billable)


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
        terms = compile_terms(rates_for(sheet, data), sheet, tier_id, segment, book.policy)
        if not (terms.tier_is_unknown or terms.rates.no_multiplier or _is_made_up(data, terms)):
            segment.terms[key] = terms  # the others are not kept: hostile names would fill the memory
    return terms


def _is_made_up(data: Any, terms: Terms) -> bool:
    """Whether an image event was priced without looking for its operation, or without finding its model."""
    if type(data) is not ImageUsage:
        return False
    return bool(data.count == 0 or (data.model is not UNSET and terms.rates.model is None))


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


def _item(data: Any) -> str:
    kind = type(data)
    if kind is ImageUsage:
        return f"image.{data.operation}"
    if kind is ConnectorToolUsage:
        return f"connector.{data.connector}"
    return "code_execution" if kind is CodeExecutionUsage else "terminal"
