"""Exchange rates: one published number for one direction of one pair, from an instant on.

No rate is ever inverted: CHF/USD says how many USD one CHF is, and nothing about the way back.
"""

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from pricing.documents import Document, Instant, PositivePrice, parse_document

FX_BYTES_MAX = 4096

_PAIR = re.compile(r"([A-Z]{3})/([A-Z]{3})")


def parse_pair(text: str) -> tuple[str, str]:
    """("CHF", "USD") of "CHF/USD". Raises ValueError, which names the text, for what is no pair."""
    match = _PAIR.fullmatch(text)
    if match is None:
        raise ValueError(f"{text[:60]!r} is not a pair of currencies such as CHF/USD")
    base, quote = match.groups()
    if base == quote:
        raise ValueError(f"{text!r} is a pair of the same currency")
    return base, quote


def _pair(text: str) -> str:
    parse_pair(text)
    return text


class FxRate(Document):
    """One unit of the base is `rate` units of the quote, from `from_ns` (`from` on the wire) on."""

    pair: Annotated[str, AfterValidator(_pair)]
    rate: PositivePrice
    from_ns: Instant = Field(alias="from")

    @property
    def base(self) -> str:
        """The currency that is converted."""
        return self.pair[:3]

    @property
    def quote(self) -> str:
        """The currency that comes out."""
        return self.pair[4:]


def parse_fx(value: bytes) -> FxRate:
    """The rate in `{"pair", "rate", "from"}`. Raises InvalidDocument with every problem."""
    return parse_document(FxRate, value, name="fx rate", bytes_max=FX_BYTES_MAX)
