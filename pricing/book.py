"""What is published, as one immutable value: every sheet version and every exchange rate, and which are in force when.

A `Book` is swapped whole when something is published. Time is cut at every `from`, so that within a `Segment` nothing
changes and what has been compiled there can be kept.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, NamedTuple

from pricing.exchange import FxRate
from pricing.sheets import Sheet


class Policy(NamedTuple):
    """The operator's settings that decide prices: which provider is priced by which sheet (`*` is the default one), the
    currencies to report in, whether an organization without an account is parked, and which sheets have the costs."""

    sheets: Mapping[str, str]
    report_currencies: tuple[str, ...] = ("USD",)
    require_account: bool = False
    cost_sheets: Mapping[str, str] = {}

    @property
    def default_sheet(self) -> str:
        return self.sheets["*"]

    def sheet_for(self, provider: object) -> str:
        """The sheet id for an event's provider, which may be unset."""
        return self.sheets.get(provider, self.default_sheet) if isinstance(provider, str) else self.default_sheet

    def cost_sheet_for(self, provider: object) -> str | None:
        """The id of the sheet with the costs of an event's provider, which may be unset; None: nobody asks for them."""
        default = self.cost_sheets.get("*")
        return self.cost_sheets.get(provider, default) if isinstance(provider, str) else default


class Segment(NamedTuple):
    """A stretch of time in which the same sheets and rates are in force. `terms` keeps what was compiled for it."""

    sheets: Mapping[str, Sheet]
    fx: Mapping[str, FxRate]
    terms: dict[Any, Any]


class Book:
    """All sheet versions and rates in the order of their publication; immutable."""

    def __init__(self, policy: Policy, sheets: tuple[Sheet, ...] = (), fx: tuple[FxRate, ...] = ()) -> None:
        self.policy = policy
        self.sheets = sheets
        self.fx = fx
        self._segments: dict[int, Segment] = {}

    def with_publications(self, published: Iterable[Sheet | FxRate]) -> "Book":
        """A book that holds all of `published` too, in their order; the caller has made sure that they are new."""
        sheets, fx = list(self.sheets), list(self.fx)
        for one in published:
            if isinstance(one, Sheet):
                sheets.append(one)
            else:
                fx.append(one)
        return Book(self.policy, tuple(sheets), tuple(fx))

    def segment_at(self, at: int) -> Segment:
        """What is in force at `at` (nanoseconds since 1970)."""
        index = bisect_right(self._cuts, at)
        segment = self._segments.get(index)
        if segment is None:
            segment = self._segments[index] = self._in_force(self._cuts[index - 1] if index else -1)
        return segment

    @cached_property
    def _cuts(self) -> list[int]:
        return sorted({sheet.effective_from for sheet in self.sheets} | {rate.from_ns for rate in self.fx})

    def _in_force(self, at: int) -> Segment:
        """The versions with the greatest `from` not after `at`; of equals the later published: sorting is stable."""
        by_from = sorted(self.sheets, key=lambda sheet: sheet.effective_from)
        sheets = {sheet.id: sheet for sheet in by_from if sheet.effective_from <= at}
        rates = sorted(self.fx, key=lambda rate: rate.from_ns)
        fx = {rate.pair: rate for rate in rates if rate.from_ns <= at}
        return Segment(sheets, fx, {})
