"""LiteLLM's single rates as whole price lists, each with its situation, the most specific first.

As github.com/BerriAI/litellm prices (litellm_core_utils/llm_cost_calc/utils.py, read in November 2026):

- A threshold is of all prompt tokens and a cliff: above it (`xai`: from it on) every token of the request has the
  other price (`_get_token_base_cost`); of several thresholds the highest counts.
- What a service tier leaves out has the standard price: above a threshold the standard price above it, even where the
  tier has a price of its own below (`_get_cost_per_unit`). Not so with batches, whose own price comes first
  (`get_batch_cost_rates`), and with reasoning, which then costs what the tier's output does
  (`_resolve_reasoning_token_cost`).
- `tiered_pricing` is the same cliff: `start < input <= end`, and beyond the last range the last
  (`select_tier_for_input`).
- Uplifts multiply every token price, and those of a region and of `fast` mode multiply each other.
- Off-peak prices replace whatever price would be due.

Two things differ, since nothing is made up here: what a batch has no price for LiteLLM bills as batch input (cached
tokens) or at half price, here it has the standard price; and cached tokens that `tiered_pricing` has no price for,
LiteLLM bills as input, here they have none.
"""

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

from pricing.documents import PRICE_DIGITS
from pricing.importers.litellm_keys import STANDARD, Meter
from pricing.money import exact, within

Prices = dict[Meter, Decimal]
"""A price list: per 1M tokens, per 1 of other units."""

Rates = dict[tuple[str, int], Prices]
"""Prices by (service tier, threshold), as far as the source has them."""

Lists = list[tuple[dict[str, Any], Prices]]
"""Whole price lists with the fields of their `When`; the last one is the model's own."""

_OUTPUT: Meter = ("prices", "output")
_REASONING: Meter = ("prices", "output_reasoning")


def price_lists(rates: Rates, *, threshold_is_inclusive: bool) -> Lists:
    """A list for each pair of tier and threshold that `rates` has any price for."""
    tiers = sorted({tier for tier, _ in rates} - {STANDARD})
    thresholds = sorted({threshold for _, threshold in rates} | {0}, reverse=True)
    bound = "input_from" if threshold_is_inclusive else "input_over"
    lists: Lists = []
    for tier in (*tiers, STANDARD):
        for threshold in thresholds:
            when: dict[str, Any] = {"service_tier": tier} if tier else {}
            if threshold:
                when[bound] = threshold
            lists.append((when, _completed(rates, tier, threshold)))
    return lists


def left_out(rates: Rates) -> Iterator[tuple[str, str]]:
    """Each (tier, kind of token) that has no price, though the standard tier has one."""
    standard = _kinds(rates, STANDARD)
    for tier in sorted({tier for tier, _ in rates} - {STANDARD}):
        own = _kinds(rates, tier)
        follows = {_REASONING[1]} if _OUTPUT[1] in own else set()
        yield from ((tier, kind) for kind in sorted(standard - own - follows))


def multiplied(lists: Lists, when: dict[str, Any], factor: Decimal) -> Lists:
    """`lists` and before them the same with every token price times `factor`, in the situation `when`.

    Raises NotADecimal for a product with too many digits.
    """

    def change(prices: Prices) -> Prices:
        with exact():
            return {
                meter: within(price * factor, before=PRICE_DIGITS[0], after=PRICE_DIGITS[1])
                if meter[0] == "prices"
                else price
                for meter, price in prices.items()
            }

    return _varied(lists, when, change)


def replaced(lists: Lists, when: dict[str, Any], prices: Prices) -> Lists:
    """`lists` and before them the same with `prices` in place of theirs, in the situation `when`."""
    return _varied(lists, when, lambda own: {**own, **prices})


def _varied(lists: Lists, when: dict[str, Any], change: Callable[[Prices], Prices]) -> Lists:
    # A list that is for another service tier is not for this one as well.
    varied = [({**own, **when}, change(prices)) for own, prices in lists if own.keys().isdisjoint(when)]
    return varied + lists


def _completed(rates: Rates, tier: str, threshold: int) -> Prices:
    nearest_last = [(STANDARD, 0), (tier, 0), (STANDARD, threshold), (tier, threshold)]
    if tier == "batch":
        nearest_last[1:3] = [(STANDARD, threshold), (tier, 0)]
    prices: Prices = {}
    for key in nearest_last:
        prices.update(rates.get(key, {}))
    own = rates.get((tier, 0), {}).keys() | rates.get((tier, threshold), {}).keys()
    if tier and _REASONING in prices and _OUTPUT in own and _REASONING not in own:
        prices[_REASONING] = prices[_OUTPUT]
    return prices


def _kinds(rates: Rates, tier: str) -> set[str]:
    return {name for (of, _), prices in rates.items() if of == tier for field, name in prices if field == "prices"}
