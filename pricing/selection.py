"""By which terms an event is priced, and what it used by the names of their rates: all that comes before multiplying.

Compiled terms are kept in the segment for which they hold, by what events say of themselves. Names, providers and
priorities that make no difference are without end: what they lead to is compiled once, and no more is remembered than
TERMS_MAX says.
"""

from collections.abc import Mapping
from typing import Any

from msgspec import UNSET

from pricing.book import Policy, Segment
from pricing.errors import Unpriced
from pricing.events import (
    CodeExecutionUsage,
    ConnectorToolUsage,
    Event,
    ImageUsage,
    ModelUsage,
    ResponseUsage,
    UnitsUsage,
)
from pricing.kinds import folded
from pricing.money import ZERO
from pricing.rating import (
    REQUEST,
    SECONDS,
    UNITS,
    Missing,
    Rates,
    find_model,
    priority_of,
    rates_for,
)
from pricing.sheets import Sheet
from pricing.terms import Terms, compile_terms

TERMS_MAX = 20_000

Quantities = Mapping[str, Any]
Key = tuple[Any, ...]


def select(
    event: Event, sheet_id: str, tier_id: str | None, segment: Segment, policy: Policy
) -> tuple[Terms, Quantities]:
    """The terms of an event by a sheet in a segment of time, and what it used by the names of their rates.

    Missing where there is no sheet, model, operation or service tier; whether all quantities have a rate is not asked.
    """
    data = event.data
    key = (sheet_id, tier_id, _as_given(data))
    terms: Terms | None = segment.terms.get(key)
    if terms is None:
        terms = _terms_of(event, key, segment, policy)
    if terms.rates.cases is None:
        return terms, _quantities(data, terms.rates)
    return _select_list(event, terms)


def _select_list(event: Event, terms: Terms) -> tuple[Terms, Quantities]:
    """Which of a direct model's price lists the event has, and its quantities by that."""
    data = event.data
    tier, region, tokens = data.service_tier, data.region, {}
    kind = type(data)
    if kind is ResponseUsage:
        tier, region, tokens = _served_tier(data), data.response.region or region, data.response.tokens
    elif kind is ModelUsage and data.tokens is not UNSET:
        tokens = data.tokens
    number = choose_list(terms.rates, tier, region, tokens, event.at)
    if number:
        terms = terms.in_cases[number - 1]
    quantities = _quantities(data, terms.rates)
    return terms, quantities if kind is UnitsUsage else split(terms.rates, quantities)


def choose_list(rates: Rates, service_tier: object, region: object, tokens: Mapping[str, int], at: int) -> int:
    """Which of a direct model's price lists usage at `at` has: 0 is `rates`, from 1 on those in its cases.

    `service_tier` is what was served, `region` where; neither needs to be known. Missing (`no_price_for_model`) where
    that tier has no price.
    """
    assert rates.cases is not None
    number = rates.cases.choose(service_tier, region, tokens, at)
    if number is None:
        raise Missing(Unpriced.NO_MODEL, f"service tier {service_tier} of model {rates.model}")
    return number


def split(rates: Rates, quantities: Mapping[str, Any]) -> Mapping[str, Any]:
    """The quantities of one request by the rates of a direct model: cut at its bands, and the request itself."""
    found: dict[str, Any] = {}
    for name, quantity in quantities.items():
        left = quantity
        for band, above in reversed(rates.bands.get(name, ())):
            if left > above:
                found[band], left = left - above, above
        found[name] = left
    if REQUEST in rates.by_name:
        found.setdefault(REQUEST, 1)
    return found


def _served_tier(data: ResponseUsage) -> Any:
    """What the body says was served, else what the event says.

    A batch is a way of sending requests, which not all bodies of those requests tell of: they say `default`.
    """
    served = data.response.service_tier
    if served is None or (served == "standard" and data.service_tier == "batch"):
        return data.service_tier
    return served


def _quantities(data: Any, rates: Rates) -> Quantities:
    """What was used, by the name of its rate. Free shares are taken off here."""
    kind = type(data)
    if kind is ModelUsage:
        if data.seconds is UNSET:
            return data.tokens  # type: ignore[no-any-return]
        return {**({} if data.tokens is UNSET else data.tokens), SECONDS: data.seconds}
    if kind is ResponseUsage:
        used = data.response
        return folded(used.tokens, rates.by_name) | {UNITS + unit: count for unit, count in used.units.items()}
    if kind is ImageUsage:
        return {"count": 1 if data.count is UNSET else data.count}
    if kind is CodeExecutionUsage:
        cpu = max(ZERO, data.cpu_seconds - (rates.free_cpu_seconds or ZERO))
        memory = max(ZERO, data.memory_mb - (rates.free_memory_mb or ZERO)) * data.wall_seconds
        return {"base": 1, "cpu": cpu, "memory": memory}
    if kind is ConnectorToolUsage:
        return {"executions": 1 if data.executions is UNSET else data.executions}
    if kind is UnitsUsage:
        return {UNITS + unit: quantity for unit, quantity in data.units.items()}
    return data.dimensions  # type: ignore[no-any-return]


# --- terms that are kept


def _terms_of(event: Event, key: Key, segment: Segment, policy: Policy) -> Terms:
    """The terms for a key that is not known: those of the same rates, else new ones."""
    sheet_id, tier_id, _ = key
    data = event.data
    sheet = segment.sheets.get(sheet_id)
    if sheet is None:
        raise Missing(Unpriced.NO_SHEET, f"sheet {sheet_id} at {event.time}")
    same = (sheet_id, tier_id, _as_meant(sheet, data))
    terms: Terms | None = segment.terms.get(same)
    if terms is None:
        terms = compile_terms(rates_for(sheet, data), sheet, tier_id, segment, policy)
        if terms.tier_is_unknown or _is_made_up(data, terms):
            return terms  # without being kept: hostile names would push the others out
    if len(segment.terms) >= TERMS_MAX:
        segment.terms.clear()
    segment.terms[same] = terms
    if not terms.rates.no_multiplier:  # else by what is meant alone, for the same reason
        segment.terms[key] = terms
    return terms


def _is_made_up(data: Any, terms: Terms) -> bool:
    """Whether an image event was priced without looking for its operation, or without finding its model."""
    if type(data) is not ImageUsage:
        return False
    return bool(data.count == 0 or (data.model is not UNSET and terms.rates.model is None))


def _as_given(data: Any) -> Key:
    """What of the usage decides its rates on any sheet."""
    kind = type(data)
    if kind is ModelUsage:
        return (data.model, priority_of(data), data.provider)
    if kind is ResponseUsage:
        return (data.model, "default", data.provider)
    if kind is ImageUsage:
        return ("image", data.operation, priority_of(data), data.model, data.provider)
    if kind is UnitsUsage:
        return ("units", "", data.endpoint, data.provider)
    return (kind.__name__, "", "")


def _as_meant(sheet: Sheet, data: Any) -> Key:
    """What of the usage decides its rates on this sheet: the model, whatever it is called. As many as it has prices."""
    kind = type(data)
    name = data.endpoint if kind is UnitsUsage else getattr(data, "model", UNSET)
    model = None if name is UNSET else find_model(sheet, name, data.provider)
    if kind is ImageUsage:
        return (kind, data.operation, _known_priority(sheet, data), model and (model.provider, model.key))
    if model is None:
        return _as_given(data)
    if kind is UnitsUsage:
        return (kind, model.provider, model.key)
    return (ModelUsage, model.provider, model.key, _known_priority(sheet, data) if model.category == "synapse" else "")


def _known_priority(sheet: Sheet, data: Any) -> str | None:
    """None for every priority without a multiplier: their rates are the same."""
    priority = priority_of(data)
    return priority if priority in sheet.priorities else None
