"""The sample books, as what is published and as the oracles that know them."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

from pricing.book_records import publication_bytes, publication_of
from pricing.exchange import FxRate
from pricing.money import number
from pricing.times import parse_time
from tests import oracle
from tests.oracle import Event, Oracle
from tests.product import sheet_of
from tests.simulation import (
    EPOCH_MS,
)
from tests.simulation.audit import Memory
from tests.usage_samples import sample_accounts, sample_rates, sample_sheets

LATE_ACCOUNT = {
    "organization": "list-price",
    "version": 3,
    "tiers": [{"tier": "tier_third", "from": "2025-01-01T00:00:00Z"}],
}

# Of the providers of a stream one has costs, on the sheet of the prices itself, one a sheet that is never published.
COST_SHEETS = {"acme": "aitronos", "openai": "unpublished"}


@lru_cache
def publications(cured: bool) -> list[tuple[bytes, bytes]]:
    """The sample book as keys and values of its topic; `cured`: what is published later only."""
    made = [sheet_of(each) for each in sample_sheets(EPOCH_MS, cured)]
    made += [
        FxRate(
            pair=each.pair, rate=number(str(each.rate), before=12, after=24), from_ns=parse_time(each.effective_from)
        )
        for each in sample_rates(EPOCH_MS, cured)
    ]
    wrapped = [publication_of(each, published_at=EPOCH_MS * 10**6, retroactive=True) for each in made]
    rows = [(each.key.encode(), publication_bytes(each)) for each in wrapped]
    return [row for row in rows if not cured or row not in publications(False)]


class SharedOracle:
    """An oracle that judges and prices what it knows already from memory.

    Sound within a run: no event of a stream comes closer to a limit of age than the run lasts.
    """

    def __init__(self, inner: Oracle) -> None:
        self._inner = inner
        self.settings = inner.settings
        self._verdicts: dict[Any, Any] = {}
        self._prices: dict[Any, Any] = {}

    def judge(self, record: oracle.Record) -> Any:
        key = record.value, record.headers
        if key not in self._verdicts:
            self._verdicts[key] = self._inner.judge(record)
        verdict = self._verdicts[key]
        return replace(verdict, origin=record.origin) if isinstance(verdict, Event) else verdict

    def price(self, event: Event) -> Any:
        key = event.identity, event.content, repr(event.data)  # some lines stand as the event has them
        if key not in self._prices:
            self._prices[key] = self._inner.price(event)
        return self._prices[key]


@lru_cache(maxsize=64)
def oracles(stream_seed: int, require_account: bool, late_account: bool) -> tuple[list[SharedOracle], Memory]:
    """The books in force during a run, in their order. One cache for each stream: verdicts are looked up by value."""
    settings = oracle.Settings(require_account=require_account, cost_sheets=COST_SHEETS)
    known = sample_accounts(EPOCH_MS)
    accounts = [known, {**known, "list-price": LATE_ACCOUNT}] if late_account else [known]
    found = []
    for cured in (False, True):
        for each in accounts:
            sheets, rates = sample_sheets(EPOCH_MS, cured), sample_rates(EPOCH_MS, cured)
            found.append(SharedOracle(Oracle(sheets, rates, each, settings)))
    return found, Memory()
