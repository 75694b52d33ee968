"""The hours of LiteLLM's `off_peak_pricing`, as `Daily` has them.

`hours_utc` are for every day, those in `windows` for their weekdays; there may be several, and a stretch may reach
over midnight (github.com/BerriAI/litellm, litellm_core_utils/llm_cost_calc/utils.py, `_is_off_peak`).
"""

import re
from typing import Any

from pricing.documents import NumberText, shown
from pricing.importers.entries import UnusableEntry

_WINDOW = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-([01][0-9]|2[0-3]):([0-5][0-9])")
_WEEKDAYS = {str(day): day for day in range(1, 8)}
_DAY = 1440


def daily_windows(rules: list[dict[str, Any]]) -> tuple[list[dict[str, str]], bool]:
    """The stretches of every day that `rules` name, and whether those are all. Raises UnusableEntry.

    What some weekdays alone have is left out, so it does not matter whose calendar the weekdays are of.
    """
    days: dict[int, set[int]] = {day: set() for day in range(1, 8)}
    for rule in rules:
        weekdays = _weekdays(rule.get("weekdays"))
        for start, end in _hours(rule.get("hours_utc")):
            # Equal ends are the whole day.
            minutes = {minute % _DAY for minute in range(start, end if end > start else end + _DAY)}
            for day in weekdays:
                days[day] |= minutes
    common = set.intersection(*days.values())
    found = []
    for start in sorted(minute for minute in common if (minute - 1) % _DAY not in common):
        length = next(length for length in range(1, _DAY) if (start + length) % _DAY not in common)
        found.append({"start": _clock(start), "end": _clock((start + length) % _DAY)})
    return found, bool(found) and all(minutes == common for minutes in days.values())


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
