"""The oracle: what the worker must make of a stream, worked out again from the contract, with no code shared.

    oracle = Oracle(sheets, rates, accounts, Settings())
    verdict = oracle.judge(record)            # Event | Rejected(reasons)
    data = oracle.price(event)                # dict | Parked(reason)

    ledger = Ledger(oracle)                   # the same with memory: identities, parked events, totals
    ledger.take(record)                       # Outcome("priced" | "duplicate" | "parked" | "rejected", ...)
    ledger.publish(other_oracle)              # -> the outcomes of the parked events that it cures
    ledger.totals()                           # {"organization/project/window/start[/item]": value}

    problems = account(Found(...), [oracle, other_oracle])    # what outside readers found, against it

The ledger goes by the order in which it is fed. For forwarded records only the worker knows that order;
`account` needs none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.oracle_account import Found, account
from tests.oracle_costs import Costs
from tests.oracle_pricing import Parked, Pricer, Rate, Settings, Sheet, plain
from tests.oracle_reading import Event, Origin, Record, Rejected, judge, read_time
from tests.oracle_totals import Totals, murmur2, partition_of

__all__ = [
    "Event",
    "Found",
    "Ledger",
    "Oracle",
    "Outcome",
    "Parked",
    "Rate",
    "Record",
    "Rejected",
    "Settings",
    "Sheet",
    "account",
    "murmur2",
    "partition_of",
    "plain",
    "read_time",
]


class Oracle:
    """One state of the book: sheets and rates in the order of publication, and accounts by organization."""

    def __init__(
        self,
        sheets: Sequence[Sheet],
        rates: Sequence[Rate] = (),
        accounts: Mapping[str, Any] | None = None,
        settings: Settings | None = None,
    ) -> None:
        self.settings = settings or Settings()
        self._pricer = Pricer(sheets, rates, accounts or {}, self.settings)
        self._costs = Costs(sheets, rates, self.settings)

    def judge(self, record: Record) -> Event | Rejected:
        """The stateless verdict on one raw record, with every reason that the contract allows."""
        return judge(record, self.settings.too_late_days)

    def price(self, event: Event) -> dict[str, Any] | Parked:
        """The `data` of the priced event but `origin`, `parked`, `priced_at`; or why the event is parked."""
        return self._costs.added(event, self._pricer.price(event))


@dataclass(frozen=True)
class Outcome:
    """What becomes of a raw record; `data` where priced, `reasons` (any of them will do) where not."""

    kind: str
    event: Event | None = None
    reasons: frozenset[str] = frozenset()
    data: Mapping[str, Any] | None = None


@dataclass
class Ledger:
    """The oracle with a memory, fed in the order in which the worker sees the records."""

    oracle: Oracle
    outcomes: dict[Origin, Outcome] = field(default_factory=dict)
    _contents: dict[tuple[str, str, str], Any] = field(default_factory=dict)

    def take(self, record: Record) -> Outcome:
        """Judges the next record, remembers it and says what becomes of it."""
        outcome = self.outcomes[record.origin] = self._outcome(record)
        return outcome

    def take_all(self, records: Iterable[Record]) -> list[Outcome]:
        """`take` for each of them."""
        return [self.take(record) for record in records]

    def publish(self, oracle: Oracle) -> list[Outcome]:
        """Goes on with another state of the book; the outcomes of the parked events that are priced now."""
        self.oracle = oracle
        parked = {origin: old.event for origin, old in self.outcomes.items() if old.kind == "parked"}
        again = {origin: self._priced_or_parked(event) for origin, event in parked.items() if event}
        self.outcomes |= again
        return [outcome for outcome in again.values() if outcome.kind == "priced"]

    def totals(self) -> dict[str, dict[str, Any]]:
        """The expected values by key, without `revision` and `as_of`, which depend on the run."""
        totals = Totals(self.oracle.settings)
        for outcome in self.outcomes.values():
            if outcome.kind == "priced" and outcome.event and outcome.data:
                totals.add(outcome.data, outcome.event.at_ns)
        return totals.values()

    def _outcome(self, record: Record) -> Outcome:
        event = self.oracle.judge(record)
        if isinstance(event, Rejected):
            return Outcome("rejected", reasons=event.reasons)
        first = event.identity not in self._contents
        if self._contents.setdefault(event.identity, event.content) != event.content:
            return Outcome("rejected", event, frozenset({"id_reused_with_other_content"}))
        return self._priced_or_parked(event) if first else Outcome("duplicate", event)

    def _priced_or_parked(self, event: Event) -> Outcome:
        answer = self.oracle.price(event)
        if isinstance(answer, Parked):
            return Outcome("parked", event, frozenset({answer.reason}))
        return Outcome("priced", event, data=answer)
