"""The hours of LiteLLM's `off_peak_pricing`, as `Daily` has them.

`hours_utc` are for every day, those in `windows` for their weekdays; there may be several, and a stretch may reach
over midnight; where it ends as it starts it is the whole day (github.com/BerriAI/litellm,
litellm_core_utils/llm_cost_calc/utils.py, `_is_off_peak`; litellm-docs, proxy/off_peak_pricing.md).

The hours are always UTC, and the weekday is that of the very instant, not of the stretch's start: by the calendar of
`weekday_timezone`, else UTC.
"""

import re
from collections.abc import Iterator, Set
from typing import Any

from pricing.documents import NumberText, shown
from pricing.importers.entries import UnusableEntry
from pricing.models import WEEKDAYS

_WINDOW = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-([01][0-9]|2[0-3]):([0-5][0-9])")
_WEEKDAYS = {str(day): day for day in range(1, 8)}
_DAY = 1440
# Minutes ahead of UTC, in China since 1991; a timezone that changes its clocks has no weekly hours in UTC.
_AHEAD = {"UTC": 0, "Asia/Shanghai": 480}

Window = dict[str, Any]
"""The fields of a `Daily`."""


def off_peak_windows(rules: list[dict[str, Any]], timezone: object) -> tuple[list[Window], bool]:
    """The stretches in UTC in which any of `rules` holds, and whether those are all. Raises UnusableEntry.

    In a timezone that is not known they are those that do not depend on the weekday. Stretches may overlap.
    """
    local: list[set[int]] = [set() for _ in WEEKDAYS]
    for rule in rules:
        weekdays = _weekdays(rule.get("weekdays"))
        for start, end in _hours(rule.get("hours_utc")):
            minutes = {minute % _DAY for minute in range(start, end if end > start else end + _DAY)}
            for weekday in weekdays:
                local[weekday - 1] |= minutes
    always = set.intersection(*local)
    # What never ends has no start either: it is cut in two.
    windows = [_window(stretch) for stretch in _stretches(always, {0, _DAY // 2} if len(always) == _DAY else set())]
    if all(minutes == always for minutes in local):
        return windows, True
    ahead = _ahead(timezone)
    if ahead is None:
        return windows, False
    week = [{m for m in range(_DAY) if m in local[(day + (m + ahead) // _DAY) % 7]} for day in range(7)]
    for kind in dict.fromkeys(map(frozenset, week)):
        alike = tuple(name for name, minutes in zip(WEEKDAYS, week, strict=True) if minutes == kind)
        stretches = [stretch for stretch in _stretches(kind, {0}) if not always.issuperset(stretch)]
        windows += ({"weekdays": alike, **_window(stretch)} for stretch in stretches)
    return windows, True


def _stretches(minutes: Set[int], cuts: set[int]) -> Iterator[range]:
    """The unbroken stretches, also over midnight, where another one begins at each of `cuts`."""
    starts = {minute for minute in minutes if (minute - 1) % _DAY not in minutes or minute in cuts}
    for start in sorted(starts):
        ends = range(start + 1, start + _DAY + 1)
        yield range(start, next(end for end in ends if end % _DAY not in minutes or end % _DAY in starts))


def _window(stretch: range) -> Window:
    return {"start": _clock(stretch.start), "end": _clock(stretch.stop % _DAY)}


def _ahead(timezone: object) -> int | None:
    if timezone is not None and not isinstance(timezone, str):
        raise UnusableEntry(f"off_peak_pricing.weekday_timezone: must be a name, found {shown(timezone)}")
    return _AHEAD.get(timezone or "UTC")


def _clock(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"


def _weekdays(value: object) -> frozenset[int]:
    if value is None:
        return frozenset(_WEEKDAYS.values())
    days = value if isinstance(value, list) else []
    if not days or not all(isinstance(day, NumberText) and day in _WEEKDAYS for day in days):
        raise UnusableEntry(f"off_peak_pricing.windows: weekdays must be 1 to 7, found {shown(value)}")
    return frozenset(_WEEKDAYS[day] for day in days)


def _hours(value: object) -> list[tuple[int, int]]:
    found = []
    for text in value if isinstance(value, list) else [value]:
        match = _WINDOW.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            raise UnusableEntry(f"off_peak_pricing: hours_utc must be HH:MM-HH:MM, found {shown(text)}")
        start, start_minute, end, end_minute = map(int, match.groups())
        found.append((start * 60 + start_minute, end * 60 + end_minute))
    return found
