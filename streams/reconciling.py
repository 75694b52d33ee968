"""What providers say that they billed against the costs computed: sums for the metrics, lines for the log.

An event is compared where it has a `provider_cost` and its computed cost is in the same currency.
"""

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import NamedTuple

from pricing.costs import Cost
from pricing.money import HUNDRED, ZERO, exact, plain
from pricing.pipeline import Priced

OVER, UNDER = "over", "under"  # billed more, or less, than was computed
OTHER = "other"


class Compared(NamedTuple):
    """One event; `provider` is a label: its name where that has a cost sheet of its own, else `other`."""

    provider: str
    event_id: str
    source: str
    currency: str
    billed: Decimal
    computed: Decimal

    @property
    def difference(self) -> Decimal:
        """Above 0 where more was billed than computed. In `exact()`."""
        return self.billed - self.computed


def compare(priced: Priced, cost: Cost, providers: Mapping[str, object]) -> Compared | None:
    """The comparison of an event that has a `provider_cost`; None where its computed cost is in other currencies."""
    event = priced.event
    billed, provider = event.data.provider_cost, event.data.provider
    computed = cost.by_currency.get(billed.currency)
    if computed is None:
        return None
    label = provider if provider in providers and provider != "*" else OTHER
    return Compared(label, event.id, event.source, billed.currency, billed.amount, computed)


def differences(compared: Iterable[Compared]) -> dict[tuple[str, str, str], Decimal]:
    """The absolute differences by (provider, currency, direction)."""
    found: dict[tuple[str, str, str], Decimal] = {}
    with exact():
        for each in compared:
            if difference := each.difference:
                key = (each.provider, each.currency, OVER if difference > 0 else UNDER)
                found[key] = found.get(key, ZERO) + abs(difference)
    return found


def findings(compared: Iterable[Compared], tolerance_percentage: Decimal) -> Iterator[str]:
    """A line for each provider with events that differ by more than the tolerance, naming the one that differs most."""
    by_provider: dict[str, list[Compared]] = {}
    for each in compared:
        by_provider.setdefault(each.provider, []).append(each)
    for provider, events in by_provider.items():
        with exact():
            far = [one for one in events if abs(one.difference) * HUNDRED > tolerance_percentage * one.computed]
            worst = max(far, key=lambda one: abs(one.difference), default=None)
        if worst is not None:
            yield (
                f"costs billed by {provider}: {len(far)} of {len(events)} events differ by more than "
                f"{plain(tolerance_percentage)} % from the cost sheet; most does event {worst.event_id} from "
                f"{worst.source}: billed {plain(worst.billed)} {worst.currency}, computed {plain(worst.computed)}"
            )
