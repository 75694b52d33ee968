"""A provider's response becomes disjoint counts: by the table of surfaces, never by what the payload looks like.

A surface is one API of one provider. Its row in `surface_table` says which totals its usage object has, which counts
are inside them, and what the provider's own sum is made of; this module does the arithmetic and checks every sum that
the response states. Nothing is clipped or filled in: what does not add up is refused.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from pricing.errors import InvalidUsage, Rejected
from pricing.response_counts import Body, find_count, find_text, find_value, invalid, irreconcilable
from pricing.surface_shapes import Surface, Total
from pricing.surface_table import SURFACES

# What was served at the price of the model itself, under every name that it has, and what says nothing of it.
STANDARD_TIERS = frozenset({"standard", "standard_only", "default", "on_demand"})
NO_TIERS = frozenset({"auto", "unspecified", "traffic_type_unspecified"})
# Vertex writes the tier behind the way of paying; OpenRouter bills capacity that it has rented itself like any other.
TIER_NAMES = {"on_demand_priority": "priority", "on_demand_flex": "flex", "provisioned": "standard"}

NO_REGION = "not_available"


@dataclass(frozen=True, slots=True)
class Decomposed:
    """What a response used: counts of tokens by kind, disjoint, and of units; kinds with a count of 0 are left out.

    `model` is None where the body does not name it. `service_tier` is what the body says was served (`standard` for
    all names that this has), `region` where; None where it does not say. `others` are tokens that further models took
    inside the same response (Anthropic's advisor), by model: billed at those models' prices.
    """

    model: str | None
    tokens: dict[str, int]
    units: dict[str, int]
    service_tier: str | None = None
    region: str | None = None
    others: dict[str, dict[str, int]] = field(default_factory=dict)


def decompose(surface: str, body: Body) -> Decomposed:
    """The counts of a decoded response; of it only the model, the usage object and the tier have to be there.

    Raises InvalidUsage: `invalid_field` for a surface that is not in the table, a usage object that is missing and a
    count that is none (a bool, a string, a float); `token_counts_do_not_reconcile` where sums contradict their parts.
    """
    row = SURFACES.get(surface)
    if row is None:
        raise InvalidUsage(Rejected.INVALID_FIELD, f"surface: {surface[:80]!r} is none of {', '.join(SURFACES)}")
    usage = find_value(body, row.usage)
    if not isinstance(usage, dict):
        raise invalid(f"{row.usage} is {usage!r:.60}, no object")
    model = find_text(body, row.model) if row.model else None
    row = next((other for start, other in row.models.items() if model and model.startswith(start)), row)
    tokens = _tokens(row, usage)
    others: dict[str, dict[str, int]] = {}
    if row.iterations and (iterations := usage.get(row.iterations)):
        tokens, others = _over_iterations(row, iterations, model, tokens)
    units = {unit: count for unit, path in row.units.items() if (count := find_count(usage, path))}
    region = find_text(body, row.region) if row.region else None
    return Decomposed(model, tokens, units, _tier(row, body), None if region == NO_REGION else region, others)


def _tokens(row: Surface, usage: Body) -> dict[str, int]:
    tokens: dict[str, int] = {}
    whole = 0
    for total in row.totals:
        count, parts = _parts(total, usage)
        whole += count
        _add(tokens, parts)
    for part, limit in row.bounds:
        listed, most = find_count(usage, part) or 0, find_count(usage, limit) or 0
        if listed > most:
            raise irreconcilable(f"{part} adds up to {listed}, {limit} is {most}")
    stated = find_count(usage, row.total) if row.total else None
    if stated is not None and stated != whole:
        if row.unlisted is None or stated < whole:
            raise irreconcilable(f"{row.total} is {stated}, its parts add up to {whole}")
        _add(tokens, {row.unlisted: stated - whole})
    return {kind: count for kind, count in tokens.items() if count}


def _parts(total: Total, usage: Body) -> tuple[int, dict[str, int]]:
    """A total and what it falls into: the kinds inside, and the rest as the total's own kind."""
    name = total.path if isinstance(total.path, str) else " or ".join(total.path)
    whole = find_count(usage, total.path)
    if whole is None:
        if total.required:
            raise invalid(f"{name} is missing")
        whole = 0
    parts = {kind: find_count(usage, path) or 0 for kind, path in total.inside.items()}
    for kind, path in total.shared.items():
        count = find_count(usage, path) or 0
        parts[kind] = count
        for parent in _parents(kind):
            parts[parent] -= count
    rest = whole - sum(parts.values()) + min((parts[kind] for kind in total.nested), default=0)
    if rest < 0:
        rest += _let_overlap(parts, -rest)
    if rest < 0 or (total.shared and min(parts.values()) < 0):
        inside = ", ".join(f"{kind} {count}" for kind, count in parts.items() if count)
        raise irreconcilable(f"{name} is {whole}, inside it are {whole - rest}: {inside}")
    own = find_count(usage, total.rest) if total.rest else None
    if own is not None and own != rest:
        raise irreconcilable(f"{total.rest} is {own}, {name} leaves {rest}")
    return whole, {total.kind: rest, **parts}


@cache
def _parents(kind: str) -> tuple[str, str]:
    """`cache_read` and `input_audio` of `cache_read_audio`: the two kinds whose counts both have it."""
    cached, _, modality = kind.rpartition("_")
    return cached, f"input_{modality}"


def _let_overlap(parts: dict[str, int], excess: int) -> int:
    """Cached tokens of no stated modality are text; what text has no room for is of another one. How many these are."""
    left = excess
    for cached in [kind for kind in parts if kind in ("cache_read", "cache_creation")]:
        for part in [kind for kind in parts if kind.startswith("input_")]:
            both = min(left, parts[cached], parts[part])
            if both > 0:
                _add(parts, {cached: -both, part: -both, f"{cached}_{part.removeprefix('input_')}": both})
                left -= both
    return excess - left


def _over_iterations(
    row: Surface, iterations: Any, model: str | None, top: dict[str, int]
) -> tuple[dict[str, int], dict[str, dict[str, int]]]:
    """The sum of all iterations by model. Of the top level only the reasoning is taken, which iterations do not have.

    Compaction is in no top-level count; the output of all other own iterations has to be the top-level output. Their
    input need not be the top level's, which was that of the first iteration alone before it was that of all.
    """
    if not isinstance(iterations, list) or not all(isinstance(entry, dict) for entry in iterations):
        raise invalid(f"{row.usage}.{row.iterations} is no list of objects")
    by_model: dict[str | None, dict[str, int]] = {model: {}}
    answered = 0
    for entry in iterations:
        who = find_text(entry, "model") or model
        tokens = _tokens(row, entry)
        _add(by_model.setdefault(who, {}), tokens)
        if who == model and entry.get("type") != "compaction":
            answered += tokens.get("output", 0)
    reasoning = top.get("output_reasoning", 0)
    if answered != (output := top.get("output", 0) + reasoning):
        raise irreconcilable(f"output of the iterations adds up to {answered}, of {row.usage} it is {output}")
    own = by_model.pop(model)
    if reasoning:
        _add(own, {"output": -reasoning, "output_reasoning": reasoning})
    return {kind: count for kind, count in own.items() if count}, {str(who): used for who, used in by_model.items()}


def _tier(row: Surface, body: Body) -> str | None:
    """The first tier stated that is not the standard one, else that if it is stated."""
    found = None
    for path in row.tiers:
        tier = (find_text(body, path) or "auto").lower()
        if tier in STANDARD_TIERS:
            found = "standard"
        elif tier not in NO_TIERS:
            return TIER_NAMES.get(tier, tier)
    return found


def _add(tokens: dict[str, int], more: Mapping[str, int]) -> None:
    for kind, count in more.items():
        tokens[kind] = tokens.get(kind, 0) + count
