"""Portkey's `calculate`: trees of sums and products over rates and token counts, made into cents for each kind.

A tree is read as what it is, a linear form: so much of each rate for each count. The explicit rates win over it,
and whatever it leaves out or cannot find is noted: taken at its word, it would make that usage free.
"""

from decimal import Decimal
from typing import Any

from pricing.documents import PRICE_DIGITS, shown
from pricing.importers.portkey_prices import IMAGE, KINDS, Entry, Rates
from pricing.importers.reading import Node
from pricing.money import ZERO, NotADecimal, exact, number, within

Term = tuple[str | None, str | None]
"""A kind of token, None where nothing is counted, and the name of a rate, None where there is none."""
Terms = dict[Term, Decimal]

_COUNTS = {
    "input_tokens": "input",
    "audio_input_tokens": "input_audio",
    "request_audio_tokens": "input_audio",
    "cache_read_tokens": "cache_read",
    "cache_read_audio_tokens": "cache_read_audio",
    "cache_write_tokens": "cache_creation",
    "output_tokens": "output",
    "audio_output_tokens": "output_audio",
    "response_audio_tokens": "output_audio",
}
_SIDES = ("request", "response")
_RATE = "rates."
_ONE = number("1", before=1, after=0)
_IMAGES = (None, "image")


class _NotReadError(ValueError):
    """The tree has something that this file does not know; the message names it."""


def read_terms(entry: Entry, node: Node) -> Terms:
    """What a `calculate` adds up; a side of it that has anything unknown is noted and left out."""
    entry.unknown(node, _SIDES, "calculate.")
    terms: Terms = {}
    for side in _SIDES:
        if side not in node.fields:
            continue
        try:
            with exact():
                terms = _sum(terms, _expanded(node.fields[side]))
        except ValueError as error:
            entry.note(f"calculate.{side} is not read, it has {error}")
    for term, factor in terms.items():
        if term[0] is None and term != _IMAGES and factor:
            entry.note("calculate has a part that no tokens are counted for, not read", str(term[1] or factor))
    return terms


def calculated(terms: Terms, rates: Rates) -> Rates:
    """Cents for each kind of token that the tree prices; a kind that a rate is missing for has none."""
    found: Rates = {}
    missing: set[str] = set()
    with exact():
        for (kind, rate), factor in terms.items():
            if kind is None:
                continue
            if rate is not None and rate not in rates:
                missing.add(kind)
            found[kind] = found.get(kind, ZERO) + factor * (_ONE if rate is None else rates.get(rate, ZERO))
    return {kind: cents for kind, cents in found.items() if cents > 0 and kind not in missing}


def check(entry: Entry, terms: Terms, own: Rates, rates: Rates) -> None:
    """Notes where the tree and a model's rates disagree: `own` are the model's, `rates` have the template's too."""
    named = [rate for _, rate in terms if rate is not None]
    there = {*rates, *(("image",) if any(rate.startswith(IMAGE) for rate in rates) else ())}
    for rate in named:
        if rate not in there:
            entry.note(f"calculate names {_RATE}{rate}, which is not there")
    for rate, cents in own.items():
        if rate in KINDS and cents and rate not in named:
            entry.note(f"calculate leaves out {rate}, which is priced all the same")
    explicit = {KINDS[rate]: cents for rate, cents in own.items() if rate in KINDS}
    for kind, cents in calculated(terms, rates).items():
        if kind in explicit and explicit[kind] != cents:
            entry.note(f"calculate has another price for {kind} than its rate, which is taken")


def _expanded(tree: Any) -> Terms:
    if not isinstance(tree, dict):
        raise _NotReadError(f"no object but {shown(tree)}")
    if "value" in tree:
        _only(tree, {"value"})
        return _operand(tree["value"])
    _only(tree, {"operation", "operands"})
    operation, operands = tree.get("operation"), tree.get("operands")
    if operation not in ("sum", "multiply"):
        raise _NotReadError(f"the unknown operation {shown(operation)}")
    if not isinstance(operands, list) or not operands:
        raise _NotReadError(f"no operands but {shown(operands)}")
    found = _expanded(operands[0])
    for operand in operands[1:]:
        found = (_sum if operation == "sum" else _product)(found, _expanded(operand))
    return found


def _only(tree: dict[str, Any], known: set[str]) -> None:
    for key in sorted(tree.keys() - known):
        raise _NotReadError(f"the unknown field {shown(key)}")


def _operand(value: object) -> Terms:
    if not isinstance(value, str):
        raise _NotReadError(f"the unknown operand {shown(value)}")
    if value.startswith(_RATE):
        return {(None, value.removeprefix(_RATE)): _ONE}
    if value in _COUNTS:
        return {(_COUNTS[value], None): _ONE}
    try:
        # The source writes numbers as strings here.
        return {(None, None): number(value, before=PRICE_DIGITS[0], after=PRICE_DIGITS[1], exponent=True)}
    except NotADecimal:
        raise _NotReadError(f"the unknown operand {shown(value)}") from None


def _sum(left: Terms, right: Terms) -> Terms:
    return left | {term: left.get(term, ZERO) + factor for term, factor in right.items()}


def _product(left: Terms, right: Terms) -> Terms:
    found: Terms = {}
    for (kind, rate), factor in left.items():
        for (other_kind, other_rate), other in right.items():
            if (kind and other_kind) or (rate and other_rate):
                raise _NotReadError("two counts or two rates multiplied")
            term = kind or other_kind, rate or other_rate
            factors = within(factor * other, before=PRICE_DIGITS[0], after=PRICE_DIGITS[1])
            found[term] = found.get(term, ZERO) + factors
    return found
