"""Instants: RFC 3339 text in, whole nanoseconds since 1970 (UTC) inside, RFC 3339 with `Z` out.

Integers, because they compare and add exactly and keep nanoseconds, which datetime does not. Refused:
everything that RFC 3339 does not allow (a space for the `T`, week dates, commas, no offset), instants after 9999,
and before 1970 all but those of usage, and leap seconds (`:60`), for which this time scale has no number. Digits
finer than a nanosecond are dropped.
"""

import re
from datetime import date
from functools import lru_cache

SECOND_NS = 1_000_000_000
END_NS = 253_402_300_800 * SECOND_NS  # 10000-01-01T00:00:00Z

_EPOCH_DAY = date(1970, 1, 1).toordinal()
START_NS = (1 - _EPOCH_DAY) * 86_400 * SECOND_NS  # 0001-01-01T00:00:00Z
_TIME = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})"
    r"(?:\.([0-9]+))?(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))",
    re.ASCII,
)
_MILLISECONDS = {f"{count:03d}": count * 1_000_000 for count in range(1000)}


def parse_time(text: str) -> int:
    """Nanoseconds since 1970 of an RFC 3339 date-time from then on. Raises ValueError, naming the text, for others."""
    at = usage_time(text)
    if at < 0:
        raise ValueError(f"{text[:60]!r} is not between 1970 and 9999")
    return at


def usage_time(text: str) -> int:
    """Like parse_time, but from year 1 on and below 0 before 1970: a clock that was never set dates usage there."""
    # Usage arrives more or less in order of time: with the seconds remembered, its usual form costs half a
    # microsecond instead of three. A text whose first 19 characters are no date and time fails either way.
    if text[19:20] == "." and text[-1] == "Z":
        fraction = _MILLISECONDS.get(text[20:-1])
        if fraction is not None:
            return _second_ns(text[:19]) + fraction
    return _parse(text)


def format_time(at: int) -> str:
    """RFC 3339 in UTC with `Z`, without trailing zeros in the fraction; `at` is in the years 1 to 9999."""
    second, fraction = divmod(at, SECOND_NS)
    if fraction == 0:
        return _second_text(second) + "Z"
    return f"{_second_text(second)}.{f'{fraction:09d}'.rstrip('0')}Z"


@lru_cache(maxsize=8192)
def _second_ns(second: str) -> int:
    return _parse(second + "Z")


def _parse(text: str) -> int:
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError(f"{text[:60]!r} is not an RFC 3339 time")
    year, month, day, hour, minute, second, fraction, sign, ahead_hours, ahead_minutes = match.groups()
    if hour > "23" or minute > "59" or second > "59" or (sign and (ahead_hours > "23" or ahead_minutes > "59")):
        raise ValueError(f"{text[:60]!r} has no such hour, minute or second")
    try:
        days = date(int(year), int(month), int(day)).toordinal() - _EPOCH_DAY
    except ValueError:
        raise ValueError(f"{text[:60]!r} has no such year, month or day") from None
    minutes = days * 1440 + int(hour) * 60 + int(minute)
    if sign:
        ahead = int(ahead_hours) * 60 + int(ahead_minutes)
        minutes += ahead if sign == "-" else -ahead
    at = (minutes * 60 + int(second)) * SECOND_NS
    if fraction:
        at += int(fraction.ljust(9, "0")[:9])
    if not START_NS <= at < END_NS:
        raise ValueError(f"{text[:60]!r} is not in the years 1 to 9999")
    return at


@lru_cache(maxsize=8192)
def _second_text(second: int) -> str:
    minutes, second = divmod(second, 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    return f"{date.fromordinal(_EPOCH_DAY + days).isoformat()}T{hour:02d}:{minute:02d}:{second:02d}"
