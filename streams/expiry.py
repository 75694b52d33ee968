"""What stream time makes forgettable: ids that are too old to come again, totals of windows long past.

Stream time is the greatest append time read from raw, so no worker's clock decides.
"""

from collections.abc import Iterable, Iterator

from pricing.times import format_time, parse_time
from pricing.totals import DAY_NS, WINDOWS, window_end, window_start
from streams.state import ParkedEvent, State

# Ids outlive what is accepted: an event may be dated 5 minutes after the append time that its id is filed under.
SEEN_SLACK_DAYS = 2
KEPT_DAYS = {"hour": 62, "day": 400}


def known_since(now: int, max_age_ns: int) -> int:
    """The first append day of which all ids are still kept at `now`."""
    return (now - max_age_ns) // DAY_NS - SEEN_SLACK_DAYS


def expired_days(state: State, now: int, max_age_ns: int) -> list[int]:
    """The append days whose ids are all too late at `now`."""
    oldest = known_since(now, max_age_ns)
    return [day for day in state.days() if day < oldest]


def expired_totals(state: State, parked: Iterable[ParkedEvent], now: int) -> Iterator[str]:
    """The keys of totals whose window ended long before `now`, but for those that a `parked` event belongs to."""
    held = {
        (event.organization, event.project, window, format_time(window_start(window, event.at)))
        for event in parked
        for window in WINDOWS
    }
    return (
        key
        for window, start in state.totals.windows()
        if _is_past(window, start, now)
        for key in state.totals.keys_of((window, start))
        if tuple(key.split("/", 4)[:4]) not in held
    )


def _is_past(window: str, start: str, now: int) -> bool:
    kept = KEPT_DAYS.get(window)
    return kept is not None and window_end(window, parse_time(start)) + kept * DAY_NS <= now
