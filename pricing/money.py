"""Exact decimals: the only place that makes one from text, and the only place that writes one.

Every factor of a price is a finite decimal, so sums and products are exact; `exact()` is the arithmetic in which
they are computed, and it traps whatever would have to be rounded. Nothing here accepts a float.
"""

import decimal
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from decimal import Decimal

# 1,000 digits hold the longest product of the contract's bounds (quantity 34, price 36, multipliers 2 x 18,
# percentage 27, rate 36) summed over any number of events that a Kafka log can hold.
EXACT = decimal.Context(
    prec=1000,
    Emin=-2000,
    Emax=2000,
    # Rounded is left out: normalize() drops trailing zeros, which is exact.
    traps=[
        decimal.Inexact,
        decimal.InvalidOperation,
        decimal.DivisionByZero,
        decimal.Overflow,
        decimal.Underflow,
    ],
)

ZERO = Decimal(0)
HUNDRED = Decimal(100)
MILLION = Decimal(1_000_000)

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,399})(?:\.[0-9]{1,399})?(?:[eE][+-]?[0-9]{1,3})?", re.ASCII)
_PLAIN = re.compile(r"-?(?:0|[1-9][0-9]{0,399})(?:\.[0-9]{1,399})?", re.ASCII)
# What these refuse though it is a number: nothing that long is evaluated.
_LONG = re.compile(r"-?[0-9][0-9.eE+-]{400,}", re.ASCII)
_LONG_EXPONENT = re.compile(r"-?[0-9.]+[eE][+-]?[0-9]{4,}", re.ASCII)


class NotADecimal(ValueError):
    """The text is not a decimal within the bounds; the message names the text and the bound."""


def exact() -> AbstractContextManager[decimal.Context]:
    """The arithmetic of money: exact or an exception. Everything that multiplies or adds amounts runs in it."""
    return decimal.localcontext(EXACT)


def number(text: str, *, before: int, after: int, exponent: bool = False) -> Decimal:
    """A decimal of at most `before` digits before and `after` digits after the point, exactly as written.

    `exponent` allows JSON's notation (`1.2e-10`); bounds are checked before anything is evaluated. A minus sign is
    read. Raises NotADecimal for any other text: a plus sign, spaces, underscores, NaN and infinity among it.
    """
    if not (_NUMBER if exponent else _PLAIN).fullmatch(text):
        raise NotADecimal(f"{text[:60]!r} {_refused(text, exponent)}")
    if "e" not in text.lower() and len(text.partition(".")[2]) > after:
        raise NotADecimal(f"{text[:60]} has more than {after} digits after the point")
    return within(Decimal(text), before=before, after=after)


def _refused(text: str, exponent: bool) -> str:
    if exponent and _LONG_EXPONENT.fullmatch(text):
        return "has an exponent of over three digits"
    if _LONG.fullmatch(text):
        return "has over 400 characters"
    return f"is not a {'JSON number' if exponent else 'plain decimal'}"


def within(value: Decimal, *, before: int, after: int) -> Decimal:
    """`value` without trailing zeros, or NotADecimal where it needs more digits than allowed."""
    if not value.is_finite() or len(value.as_tuple().digits) > 800:
        raise NotADecimal(f"{str(value)[:60]} has too many digits")
    if not value:
        return ZERO
    if value.adjusted() >= before:
        raise NotADecimal(f"{str(value)[:60]} has more than {before} digits before the point")
    if value.adjusted() < -after:
        raise NotADecimal(f"{str(value)[:60]} has more than {after} digits after the point")
    value = value.normalize(EXACT)
    exponent = value.as_tuple().exponent
    assert isinstance(exponent, int)
    if -exponent > after:
        raise NotADecimal(f"{str(value)[:60]} has more than {after} digits after the point")
    return value


def plain(value: int | Decimal) -> str:
    """The wire form: plain notation, no exponent, no `+`, no trailing zeros after the point, `0` for zero."""
    text = str(value)
    # str() is four times faster than format() and already plain for most amounts.
    if (text[-1] != "0" and "E" not in text) or type(value) is int:
        return text
    if "E" in text:
        text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").removesuffix(".")
    return text if text != "-0" else "0"


def as_count(value: Decimal) -> int | Decimal:
    """`value` as an int where it is one, for speed: both multiply exactly."""
    count = int(value)
    return count if count == value else value


whole: Callable[[int | Decimal], Decimal] = Decimal
"""The decimal of a count: exact for every int."""
