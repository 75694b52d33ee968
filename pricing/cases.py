"""Which price list of a direct model an event has: the model's own, or that of the first case that it is in.

What was served decides, and usage of one service tier is never priced as that of another: a tier that no case is for
has no price, and a case that names no tier is for the standard one.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from msgspec import UNSET

from pricing.kinds import input_count
from pricing.models import STANDARD_TIERS, WEEKDAYS, Case, Daily, When
from pricing.times import END_NS, SECOND_NS

_MINUTE_NS = 60 * SECOND_NS
_DAY_NS = 1440 * _MINUTE_NS
# 1970-01-01 was one.
_FIRST_WEEKDAY = WEEKDAYS.index("thu")


class _Stretch(NamedTuple):
    """A `Daily`: from `start` on, for `length` ns, on days that have a number modulo 7 in `days` (1970-01-01: 0)."""

    start: int
    length: int
    days: frozenset[int]


class _Condition(NamedTuple):
    """A `When` as bounds: input from `input_min`, instants from `since` to before `until`."""

    regions: tuple[str, ...]
    input_min: int
    since: int
    until: int
    daily: _Stretch | None


def _condition(when: When) -> _Condition:
    input_min = when.input_from or 0 if when.input_over is None else when.input_over + 1
    daily = None if when.daily is None else _stretch(when.daily)
    until = END_NS if when.until is None else when.until
    return _Condition(when.regions, input_min, when.since or 0, until, daily)


def _stretch(daily: Daily) -> _Stretch:
    start = _time_of_day(daily.start)
    length = (_time_of_day(daily.end) - start) % _DAY_NS or _DAY_NS
    weekdays = daily.weekdays or WEEKDAYS
    return _Stretch(start, length, frozenset((WEEKDAYS.index(day) - _FIRST_WEEKDAY) % 7 for day in weekdays))


def _time_of_day(minute: str) -> int:
    return (int(minute[:2]) * 60 + int(minute[3:])) * _MINUTE_NS


class Cases:
    """The situations of a model's cases, by the service tier that they are for, each with its number from 1 on."""

    def __init__(self, cases: Iterable[Case]) -> None:
        self._of_tier: dict[object, list[tuple[int, _Condition]]] = {}
        for number, case in enumerate(cases, 1):
            self._of_tier.setdefault(case.when.service_tier, []).append((number, _condition(case.when)))

    def choose(self, service_tier: object, region: object, tokens: Mapping[str, int], at: int) -> int | None:
        """The number of the price list: 0 is the model's own, from 1 on the cases'; None: the tier has no price.

        `service_tier` and `region` are strings, or UNSET or None where they are not known, `tokens` the counts by kind,
        `at` the instant of the usage.
        """
        tier = None if service_tier is UNSET or service_tier in STANDARD_TIERS else service_tier
        if conditions := self._of_tier.get(tier):
            total = input_count(tokens)
            for number, condition in conditions:
                if _holds(condition, region, total, at):
                    return number
        return 0 if tier is None else None


def _holds(condition: _Condition, region: object, total: int, at: int) -> bool:
    return (
        total >= condition.input_min
        and condition.since <= at < condition.until
        and (not condition.regions or region in condition.regions)
        and (condition.daily is None or _is_within(at, condition.daily))
    )


def _is_within(at: int, stretch: _Stretch) -> bool:
    # As if days began with the stretch, so that midnight is nowhere special.
    day, time = divmod(at - stretch.start, _DAY_NS)
    return time < stretch.length and day % 7 in stretch.days
