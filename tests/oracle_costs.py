"""The oracle's costs: what an event lists at on the cost sheet of its provider, and what that leaves of its due.

A cost is a price without a tier, so it is asked of a second `Pricer`, whose sheets are the cost sheets. Where that one
would park the event, the event has no cost.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

from tests.oracle_pricing import Parked, Pricer, Rate, Settings, Sheet, plain
from tests.oracle_reading import Event


def is_asked(provider: str | None, settings: Settings) -> bool:
    """Whether events of a provider should have a cost."""
    return "*" in settings.cost_sheets or provider in settings.cost_sheets


class Costs:
    """Adds to a priced event what it costs by one state of the book."""

    def __init__(self, sheets: Sequence[Sheet], rates: Sequence[Rate], settings: Settings) -> None:
        self._settings = settings
        at_cost = replace(settings, sheets=settings.cost_sheets, require_account=False, cost_sheets={})
        self._pricer = Pricer(sheets, rates, {}, at_cost)

    def added(self, event: Event, data: dict[str, Any] | Parked) -> dict[str, Any] | Parked:
        """The `data` with cost and margin; as it is where there are none."""
        if isinstance(data, Parked) or not is_asked(event.data.get("provider"), self._settings):
            return data
        cost = self._pricer.price(event)
        return data if isinstance(cost, Parked) else _with_cost(data, cost)


def _with_cost(data: Mapping[str, Any], cost: Mapping[str, Any]) -> dict[str, Any]:
    converted = {
        report: {**amounts, **_margin({"": amounts["due"]}, {"": cost["converted"][report]["list"]}, flat=True)}
        for report, amounts in data["converted"].items()
    }
    pairs = {one["pair"]: one for one in (*data["fx"], *cost["fx"])}
    return {
        **data,
        **_margin(data["due"], cost["list"]),
        "cost_sheet": cost["sheet"],
        "lines": _lines(data["lines"], cost["lines"]),
        "converted": converted,
        "fx": list(pairs.values()),
    }


def _margin(due: Mapping[str, str], cost: Mapping[str, str], flat: bool = False) -> dict[str, Any]:
    margin = {c: plain(Fraction(due.get(c, 0)) - Fraction(cost.get(c, 0))) for c in due.keys() | cost.keys()}
    return {"cost": cost[""], "margin": margin[""]} if flat else {"cost": dict(cost), "margin": margin}


def _lines(lines: list[dict[str, Any]], costs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """With the cost of each line, where both sheets have one line for its meter; other lines are in test_costs.py."""
    meters = Counter(line["meter"] for line in lines)
    by_meter = {line["meter"]: line for line in costs}
    if meters.keys() != by_meter.keys() or any(count > 1 for count in meters.values()) or len(costs) > len(by_meter):
        return lines
    found = [(line, by_meter[line["meter"]]) for line in lines]
    return [{**line, "cost": cost["list"], "cost_currency": cost["currency"]} for line, cost in found]
