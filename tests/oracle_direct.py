"""The oracle on models that are priced directly: which price list an event has, and what its usage is by that.

From the sheet's own format, with every number a Fraction. Lines come out as plain tuples: (meter, quantity, unit,
price, per).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any

from tests.oracle_reading import read_time

Tokens = Mapping[str, int]
Piece = tuple[str, Fraction, str, Fraction, int]

COARSE = ("input", "cache_read", "cache_creation", "output")
STANDARD = ("standard", "default", "auto", "on_demand", "ON_DEMAND", "standard_only")
DATED = re.compile(r"(.+)(?:-20[0-9]{2}-[0-9]{2}-[0-9]{2}|[-@]20[0-9]{6})")
MILLION = 10**6


def find_model(models: Iterable[Mapping[str, Any]], name: str, provider: str | None, dated: bool) -> Any:
    """By key or id, by alias, by the longest prefix, by what a dated name is a snapshot of; two are none."""
    mine = [m for m in models if None in (provider, m.get("provider")) or m["provider"] == provider]
    found = _named(mine, name)
    if not found:
        longest = max((len(p) for m in mine for p in m.get("prefixes", ()) if name.startswith(p)), default=None)
        found = [m for m in mine if any(name.startswith(p) and len(p) == longest for p in m.get("prefixes", ()))]
    if not found and dated and (snapshot := DATED.fullmatch(name)):
        found = _named(mine, snapshot[1])
    return found[0] if len(found) == 1 else None


def _named(models: list[Mapping[str, Any]], name: str) -> list[Mapping[str, Any]]:
    return [m for m in models if name in (m["key"], m.get("id"))] or [m for m in models if name in m.get("aliases", ())]


def price_list(model: Mapping[str, Any], tier: str | None, region: str | None, tokens: Tokens, at_ns: int) -> Any:
    """The first case that holds, else the model's own prices; None where the tier has none."""
    served = None if tier is None or tier in STANDARD else tier
    total = sum(count for kind, count in tokens.items() if not kind.startswith("output"))
    for case in model.get("cases", ()):
        when = case["when"]
        if when.get("service_tier") == served and _holds(when, region, total, at_ns):
            return case
    return model if served is None else None


def _holds(when: Mapping[str, Any], region: str | None, total: int, at_ns: int) -> bool:
    minute = at_ns // (60 * 10**9) % 1440
    return (
        (not when.get("regions") or region in when["regions"])
        and ("input_over" not in when or total > when["input_over"])
        and ("input_from" not in when or total >= when["input_from"])
        and ("since" not in when or at_ns >= (read_time(when["since"]) or 0))
        and ("until" not in when or at_ns < (read_time(when["until"]) or 0))
        and ("daily" not in when or _within(minute, _minute(when["daily"]["start"]), _minute(when["daily"]["end"])))
    )


def _minute(text: str) -> int:
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)


def _within(minute: int, start: int, end: int) -> bool:
    return start <= minute < end if start < end else not end <= minute < start


def fold(tokens: Tokens, priced: Iterable[str]) -> dict[str, int]:
    """Modalities and reasoning that have no price count as what they are a part of."""
    known = set(priced)
    folded: dict[str, int] = {}
    for kind, count in tokens.items():
        name = kind
        while name not in known and re.search("_(audio|image|video|reasoning)$", name):
            name = name[: name.rindex("_")]
        name = name if name in known else kind
        folded[name] = folded.get(name, 0) + count
    return folded


def token_pieces(prices: Mapping[str, Any], tokens: Tokens) -> Iterable[Piece | None]:
    """What tokens cost, band by band; None for a kind that has no price."""
    order = [*(kind for kind in COARSE if kind in tokens), *sorted(kind for kind in tokens if kind not in COARSE)]
    for kind in order:
        if kind not in prices.get("prices", {}):
            yield None if tokens[kind] else ("", Fraction(0), "", Fraction(0), 1)
            continue
        bands = [(0, prices["prices"][kind])]
        bands += [(int(band["above"]), band["price"]) for band in prices.get("bands", {}).get(kind, ())]
        ends = [above for above, _ in bands[1:]] + [max(tokens[kind], bands[-1][0])]
        for (above, price), end in zip(bands, ends, strict=True):
            yield kind, Fraction(max(0, min(tokens[kind], end) - above)), "token", Fraction(price), MILLION


def unit_pieces(prices: Mapping[str, Any], units: Mapping[str, Any]) -> Iterable[Piece | None]:
    """What units cost; None for one that has no price."""
    for unit, quantity in units.items():
        price = prices.get("units", {}).get(unit)
        if quantity:
            yield None if price is None else (f"units.{unit}", Fraction(quantity), unit, Fraction(price), 1)


def seconds_pieces(prices: Mapping[str, Any], seconds: Fraction) -> Iterable[Piece | None]:
    """What time costs: the price of the unit second, under a meter of its own."""
    for piece in unit_pieces(prices, {"second": seconds}):
        yield piece and ("seconds", *piece[1:])
