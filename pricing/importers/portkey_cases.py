"""Portkey's prices for situations: batch, custom prices by region, execution mode and context, names by context.

Every situation gets a complete price list. What a list does not say is taken over from the model's standard prices
where the situation has no say in it (units, such as a web search) or where leaving it out would price it as
something cheaper (a modality's tokens); input, output and cache prices never are. Where the source knows a tier, a
region and a context, but has no list for them together, the list is empty: such usage has no price, instead of
that of another situation.
"""

import re
from collections.abc import Collection, Iterator
from itertools import product

from pricing.documents import key_text, shown
from pricing.importers.entries import Grouped
from pricing.importers.portkey_prices import Entry, PriceList, Rates, read_rates
from pricing.importers.reading import Node
from pricing.kinds import parent_of
from pricing.sheets import Case, When

STANDARD = When()
BATCH = When(service_tier="batch")

RatesBySituation = dict[When, Rates]
Priced = dict[When, PriceList]
"""A model's price lists; that of STANDARD are its own prices."""

Context = tuple[str, int] | None
"""`input_over` or `input_from` and a count of tokens; None is any context."""

_ANY, _STANDARD_MODE = "default", "standard"
_BOUNDS = {"gt": "input_over", "gte": "input_from"}
_COUNT = re.compile(r"[0-9]{1,15}")
_NAMED = re.compile(r"(.+)-(lte?|gte?)-([1-9][0-9]{0,6})k")


def read_custom(entry: Entry, node: Node) -> RatesBySituation:
    """The rates in a `custom_pricing`, by their situations."""
    entry.unknown(node, ("regions", "context_tier_map"), "custom_pricing.")
    contexts = _contexts(entry, node)
    found: RatesBySituation = {}
    for region, modes in _children(entry, entry.child(node, "regions")):
        entry.unknown(modes, ("execution_modes",), "of a region: ")
        regions = () if region == _ANY else tuple(name.strip() for name in region.split(","))
        for mode, leaf in _children(entry, entry.child(modes, "execution_modes")):
            entry.unknown(leaf, ("pricing_config", "context_tiers"), "of an execution mode: ")
            tier = None if mode == _STANDARD_MODE else mode
            _read_leaf(entry, leaf, When(service_tier=tier, regions=regions), found)
            for name, context_leaf in _children(entry, entry.child(leaf, "context_tiers")):
                entry.unknown(context_leaf, ("pricing_config",), "of a context tier: ")
                if name not in contexts:
                    entry.note(f"context tier {key_text(name)} has no bound, not read")
                    continue
                _read_leaf(entry, context_leaf, situation(tier, regions, contexts[name]), found)
    return found


def situation(tier: str | None, regions: tuple[str, ...], context: Context) -> When:
    """The situation of a tier, regions and a context; None and () are no condition."""
    bounds = dict([context] if context else [])
    over, start = bounds.get("input_over"), bounds.get("input_from")
    return When(service_tier=tier, regions=regions, input_over=over, input_from=start)


def completed(entry: Entry, own: PriceList, lists: Priced) -> Priced:
    """All of a model's price lists, from its own and those that a situation has."""
    found = {STANDARD: own}
    for when, given in lists.items():
        kept = {kind: price for kind, price in own.prices.items() if parent_of(kind) is not None}
        for kind in [kind for kind, price in own.prices.items() if price and kind not in given.prices]:
            fate = "the standard price is taken" if kind in kept else "its usage has no price"
            entry.note(f"a situation has no price for {kind}, {fate}")
        found[when] = PriceList(kept | given.prices, own.units | given.units)
    return found


def cases_of(entry: Entry, lists: Priced) -> Iterator[Case]:
    """A case for every situation but STANDARD, most specific first, also for those without a list."""
    tiers = dict.fromkeys([*(when.service_tier for when in lists if when.service_tier), None])
    regions = dict.fromkeys([*(when.regions for when in lists if when.regions), ()])
    contexts = sorted({_context(when) for when in lists}, key=_bound, reverse=True)
    for tier, region, context in product(tiers, regions, contexts):
        when = situation(tier, region, context)
        if when not in lists:
            entry.note("no prices for a situation (tier, region, context), its usage has no price")
        if when != STANDARD:
            priced = lists.get(when, PriceList())
            yield Case(when=when, prices=priced.prices, units=priced.units)


def by_context(models: dict[str, Priced], names: Collection[str], notes: Grouped) -> dict[str, Priced]:
    """The models that `name-lte-128k` and `name-gt-128k` are together, by `name`; `names` are all of the source's.

    The source has prices of contexts under such names too, which no provider and no response knows. Where it has
    `name` as well, that has to have the prices of `name-lte-128k`; otherwise it is left as it is.
    """
    families: dict[str, list[tuple[str, int, Priced]]] = {}
    for full, lists in models.items():
        named = _NAMED.fullmatch(full)
        if named is not None:
            families.setdefault(named[1], []).append((named[2], 1000 * int(named[3]), lists))
    found = {}
    for name, members in families.items():
        entry = Entry(name, notes)
        joined = _joined(entry, members)
        if joined is None:
            continue
        if name not in names:
            found[name] = joined
            entry.note("models named by their context are also one model, by the name without it")
        elif name in models and models[name] == {when: joined[when] for when in joined if _context(when) is None}:
            found[name] = joined
    return found


def _joined(entry: Entry, members: list[tuple[str, int, Priced]]) -> Priced | None:
    low = [lists for sign, _, lists in members if sign not in _BOUNDS]
    high = [(_BOUNDS[sign], count, lists) for sign, count, lists in members if sign in _BOUNDS]
    bounds = {count for _, count, _ in members} | {_context(when) for _, _, lists in members for when in lists}
    if len(low) != 1 or len(high) != 1 or len(bounds - {None}) != 1:
        entry.note("models named by their context do not agree on one bound, and are not one model")
        return None
    bound, count, above = high[0]
    if above == low[0]:
        return low[0]
    return low[0] | {
        situation(when.service_tier, when.regions, (bound, count)): priced for when, priced in above.items()
    }


def _contexts(entry: Entry, node: Node) -> dict[str, Context]:
    found: dict[str, Context] = {}
    bounds = entry.child(node, "context_tier_map")
    for text, name in () if bounds is None else bounds.fields.items():
        count = int(text) if _COUNT.fullmatch(text) else None
        bound = _BOUNDS.get(name.partition("-")[0]) if isinstance(name, str) else None
        if count == 0:
            found[str(name)] = None
        elif count is not None and bound is not None:
            found[str(name)] = (bound, count)
        else:
            entry.note(f"context_tier_map has {key_text(text)}: {shown(name)}, which is no bound")
    return found


def _context(when: When) -> Context:
    if when.input_over is not None:
        return "input_over", when.input_over
    return None if when.input_from is None else ("input_from", when.input_from)


def _bound(context: Context) -> tuple[int, str]:
    # More than a count is more specific than from that count on.
    return (-1, "") if context is None else (context[1], context[0])


def _read_leaf(entry: Entry, leaf: Node, when: When, found: RatesBySituation) -> None:
    config = entry.child(leaf, "pricing_config")
    if config is None:
        return
    entry.unknown(config, ("pay_as_you_go",), "of a custom pricing_config: ")
    rates = entry.child(config, "pay_as_you_go")
    if rates is not None:
        found[when] = read_rates(entry, rates, "pay_as_you_go")


def _children(entry: Entry, node: Node | None) -> Iterator[tuple[str, Node]]:
    for key in () if node is None else node.fields:
        child = None if node is None else entry.child(node, key)
        if child is not None:
            yield key, child
