"""RFC 3339 text to nanoseconds and back."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing.times import END_NS, SECOND_NS, START_NS, format_time, parse_time, usage_time

NOON = (datetime(2026, 11, 22, 12, tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1) * SECOND_NS


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("9999-12-31T23:59:59.999999999Z", END_NS - 1),
        ("2026-11-22T12:00:00Z", NOON),
        ("2026-11-22t12:00:00z", NOON),
        ("2026-11-22T12:00:00.123Z", NOON + 123_000_000),
        ("2026-11-22T12:00:00.1Z", NOON + 100_000_000),
        ("2026-11-22T12:00:00.000000001Z", NOON + 1),
        ("2026-11-22T12:00:00.0000000019Z", NOON + 1),
        ("2026-11-22T12:00:00." + "9" * 200 + "Z", NOON + SECOND_NS - 1),
        ("2026-11-22T13:30:00+01:30", NOON),
        ("2026-11-22T01:00:00.5-11:00", NOON + SECOND_NS // 2),
        ("2026-11-22T12:00:00-00:00", NOON),
        ("2026-11-23T11:59:00+23:59", NOON),
        ("2024-02-29T00:00:00Z", 1709164800 * SECOND_NS),
    ],
)
def test_a_time_is_read_to_the_nanosecond(text: str, at: int) -> None:
    """Every form that RFC 3339 allows gives its instant; digits beyond the nanosecond are dropped."""
    assert (parse_time(text), usage_time(text)) == (at, at)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("1969-12-31T23:59:59Z", -SECOND_NS),
        ("1969-12-31T23:59:59.999Z", -1_000_000),
        ("1969-12-31T23:59:59.999999999Z", -1),
        ("1970-01-01T00:00:00+00:01", -60 * SECOND_NS),
        ("1600-02-29T00:00:00Z", -11_670_998_400 * SECOND_NS),
        ("0001-01-01T00:00:00Z", START_NS),
    ],
)
def test_usage_may_be_dated_before_1970_and_nothing_else_may(text: str, at: int) -> None:
    """An old event is told from one that is ill-written; no sheet, rate or account starts that early."""
    assert usage_time(text) == at
    assert usage_time(format_time(at)) == at
    with pytest.raises(ValueError, match="is not between 1970 and 9999"):
        parse_time(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-11-22",
        "2026-11-22 12:00:00Z",
        "2026-11-22T12:00:00",
        "2026-11-22T12:00Z",
        "20261122T120000Z",
        "2026-W47-7T12:00:00Z",
        "2026-W47-7T12:00:00.123Z",
        "2026-11-22T12:00:00,123Z",
        "2026-11-22T12:00:00.Z",
        "2026-11-22T12:00:00.12 Z",
        "2026-11-22T12:00:00+0100",
        "2026-11-22T12:00:00+01",
        "2026-11-22T12:00:00+24:00",
        "2026-11-22T12:00:00+00:60",
        "2026-11-22T24:00:00Z",
        "2026-11-22T24:00:00.000Z",
        "2026-11-22T12:60:00Z",
        "2026-11-22T12:00:60Z",
        "2026-11-22T12:00:60.123Z",
        "2026-13-01T12:00:00Z",
        "2026-02-29T12:00:00Z",
        "2026-02-29T12:00:00.123Z",
        "2026-00-01T12:00:00Z",
        "0000-12-31T23:59:59Z",
        "0001-01-01T00:00:00+00:01",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-00:01",
        "+2026-11-22T12:00:00Z",
        "2026-11-22T12:00:00Z\n",
        " 2026-11-22T12:00:00Z",
        "２026-11-22T12:00:00Z",
        "2026-11-22T12:00:00.１２３Z",
        "2026-11-22T12:00:0_.123Z",
    ],
)
def test_what_is_no_rfc_3339_time_is_refused(text: str) -> None:
    """Neither ISO 8601's other forms nor impossible dates pass, in the fast path or the slow one."""
    for parse in (parse_time, usage_time):
        with pytest.raises(ValueError):
            parse(text)


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (START_NS, "0001-01-01T00:00:00Z"),
        (-1, "1969-12-31T23:59:59.999999999Z"),
        (0, "1970-01-01T00:00:00Z"),
        (NOON + 410_000_000, "2026-11-22T12:00:00.41Z"),
        (NOON + 1, "2026-11-22T12:00:00.000000001Z"),
        (END_NS - 1, "9999-12-31T23:59:59.999999999Z"),
    ],
)
def test_a_time_is_written_without_trailing_zeros(at: int, text: str) -> None:
    """The fraction has as many digits as it needs."""
    assert format_time(at) == text


@given(st.integers(START_NS, END_NS - 1))
def test_reading_what_was_written_gives_the_same_instant(at: int) -> None:
    """usage_time undoes format_time, and parse_time does from 1970 on."""
    assert usage_time(format_time(at)) == at
    if at >= 0:
        assert parse_time(format_time(at)) == at


@given(
    st.datetimes(datetime(1, 1, 3), datetime(9998, 1, 1)),  # noqa: DTZ001
    st.integers(-1439, 1439),
)
def test_reading_agrees_with_datetime(local: datetime, offset_minutes: int) -> None:
    """The standard library's arithmetic, which shares no code, gives the same microsecond."""
    sign, ahead = "-" if offset_minutes < 0 else "+", abs(offset_minutes)
    text = f"{local.isoformat()}{sign}{ahead // 60:02d}:{ahead % 60:02d}"
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    assert usage_time(text) == (datetime.fromisoformat(text) - epoch) // timedelta(microseconds=1) * 1000
