"""Totals: windows of UTC, and what priced events add to them. Section 5 of the contract."""

import json
from collections.abc import Iterable
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing.book import Book, Policy
from pricing.money import exact
from pricing.sheets import parse_sheet
from pricing.times import format_time, parse_time
from pricing.totals import WINDOWS, Tally, Total, TotalKey, first_total, sums_of, window_end, window_start
from streams.total_codec import heading, write_total
from tests.oracle import plain
from tests.product import START, account, book, priced, rate, sheet
from tests.usage import sample_sheet, usage

BOOK = book(sheet(sample_sheet(), image="13.2"), rate(start=START), rate("EUR/USD", "1.0871", START))
STANDARD = account("a", ("tier_standard", START))
LINES = [
    "a ftg-3.0-pro in=1000 cached=200 out=50",
    "a ftg-3.0-pro in=7 priority=high",
    "a ftg-3.0-pro in=7 billable=no",
    "a ftg-3.0-pro seconds=1.5 project=p2",
    "a ftg-3.0-euro in=3 at=2026-11-22T10:59:59.999999999Z",
    "a ftg-3.0-euro in=3 at=2026-11-22T11:00:00Z",
    "a ftg-embed in=3 out=2",
    "a image:generate count=2 at=2026-11-21T23:59:59Z",
    "a code cpu=5.5 mb=512 wall=10",
    "a connector:git/hub executions=3",
    "a terminal egress_bytes=7 cpu_seconds=1.5",
    "b ftg-free in=5",
    "b ftg-3.0-pro in=0",
]


def summed(batches: Iterable[list[Any]], found: Book = BOOK) -> dict[str, dict[str, Any]]:
    """The totals after these batches, as they are written, but for what counts the batches."""
    totals: dict[TotalKey, Total] = {}
    with exact():
        for lines in batches:
            tally = Tally(found.policy.report_currencies)
            for line in lines:
                tally.add(priced(line, found, STANDARD))
            for key, sums in tally.sums().items():
                totals[key] = totals[key].plus(sums, 0) if key in totals else first_total(sums, 0)
        written = {heading(key).name: json.loads(write_total(heading(key), total)) for key, total in totals.items()}
    return {key: {n: v for n, v in value.items() if n not in ("revision", "as_of")} for key, value in written.items()}


def tallied(lines: list[Any], found: Book = BOOK) -> dict[str, dict[str, Any]]:
    """The totals after one batch."""
    return summed([lines], found)


DAY, HOUR = "a/p1/day/2026-11-22T00:00:00Z", "a/p1/hour/2026-11-22T10:00:00Z"


@pytest.mark.parametrize(
    ("window", "at", "start", "end"),
    [
        ("hour", "2026-11-22T10:00:00Z", "2026-11-22T10:00:00Z", "2026-11-22T11:00:00Z"),
        ("hour", "2026-11-22T10:59:59.999999999Z", "2026-11-22T10:00:00Z", "2026-11-22T11:00:00Z"),
        ("hour", "2026-11-22T11:30:00+05:30", "2026-11-22T06:00:00Z", "2026-11-22T07:00:00Z"),
        ("day", "2026-11-22T23:59:59.999999999Z", "2026-11-22T00:00:00Z", "2026-11-23T00:00:00Z"),
        ("day", "2026-11-23T00:30:00+01:00", "2026-11-22T00:00:00Z", "2026-11-23T00:00:00Z"),
        ("month", "2026-11-30T23:59:59.999999999Z", "2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z"),
        ("month", "2026-12-31T23:59:59Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"),
        ("month", "2028-02-29T12:00:00Z", "2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z"),
        ("month", "2027-02-28T12:00:00Z", "2027-02-01T00:00:00Z", "2027-03-01T00:00:00Z"),
        ("month", "1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "1970-02-01T00:00:00Z"),
    ],
)
def test_windows_are_utc_hours_days_and_months(window: str, at: str, start: str, end: str) -> None:
    """An instant on a border belongs to the later one."""
    found = window_start(window, parse_time(at))
    assert (format_time(found), format_time(window_end(window, found))) == (start, end)


@given(st.integers(0, 10**10 * 10**9), st.sampled_from(WINDOWS))
def test_every_instant_lies_in_one_window(at: int, window: str) -> None:
    """From its start to before its end, where the next one starts."""
    start = window_start(window, at)
    end = window_end(window, start)
    assert start <= at < end
    assert window_start(window, end) == end
    assert window_start(window, end - 1) == start


def test_an_event_counts_in_three_windows_by_project_and_by_item() -> None:
    """Six totals, all of them the same."""
    found = tallied(["a ftg-3.0-pro in=1000 cached=200 priority=high"])
    amount = (Fraction(4000) * Fraction("13.2") + Fraction(800) * Fraction("1.32")) / 10**6
    usd = {name: plain(amount * Fraction("1.1234") * share) for name, share in SHARES.items()}
    sums = {
        "organization": "a",
        "project": "p1",
        "events": 1,
        "not_billable_events": 0,
        "tokens": "1200",
        "synapses": "4800",
        "neurons": "0",
        "quantities": {"input": "1000", "cache_read": "200"},
        **{name: {"CHF": plain(amount * share)} for name, share in SHARES.items()},
        "converted": {"USD": usd},
        "provider_cost": {},
    }
    windows = [
        {"window": "hour", "start": "2026-11-22T10:00:00Z", "end": "2026-11-22T11:00:00Z"},
        {"window": "day", "start": "2026-11-22T00:00:00Z", "end": "2026-11-23T00:00:00Z"},
        {"window": "month", "start": "2026-11-01T00:00:00Z", "end": "2026-12-01T00:00:00Z"},
    ]
    assert found == {
        f"a/p1/{window['window']}/{window['start']}" + (f"/{item}" if item else ""): sums
        | window
        | ({"item": item} if item else {})
        for window in windows
        for item in (None, "ftg-3.0-pro")
    }


SHARES = {"list": Fraction(1), "net": Fraction(9, 10), "due": Fraction(9, 10)}


def test_events_that_are_not_billable_count_in_everything_but_due() -> None:
    """They are counted apart, too; `due` is there, as 0."""
    billed, free = (tallied([text])[DAY] for text in ("a connector:c/t", "a connector:c/t billable=no"))
    free_usd = billed["converted"]["USD"] | {"due": "0"}
    assert free == billed | {"not_billable_events": 1, "due": {"CHF": "0"}, "converted": {"USD": free_usd}}


def test_tokens_are_counted_of_every_kind_and_nothing_else() -> None:
    """Also of neuron models; no seconds, images or executions."""
    lines = ["a ftg-3.0-pro in=5 cached=4 created=3 out=2 seconds=100", "a ftg-embed in=3 out=2"]
    assert tallied(lines)[DAY]["tokens"] == "19"
    assert tallied(["a connector:c/t executions=9", "a code cpu=9 mb=9 wall=9"])[DAY]["tokens"] == "0"


def test_a_unit_that_is_called_token_counts_no_tokens() -> None:
    """Tokens are those of models; a unit may have any name."""
    units = {"key": "api", "category": "direct", "currency": "CHF", "units": {"token": "2"}}
    fields = {"id": "aitronos", "version": "units", "effective_from": "2026-01-01T00:00:00Z", "models": [units]}
    fields["tiers"] = {"tier_standard": {"id": "tier_standard", "discount_percentage": "0"}}
    total = tallied(["a units:api token=3"], book(parse_sheet(json.dumps(fields).encode()), rate()))[DAY]
    assert (total["tokens"], total["quantities"], total["list"]) == ("0", {"units.token": "3"}, {"CHF": "6"})


def test_what_providers_billed_is_summed_by_currency() -> None:
    """Also of events that are not billable."""
    costs = [("0.1", "USD", True), ("0.2", "USD", False), ("1", "EUR", True)]
    events = [usage(f"a connector:c/t id={amount}") for amount, _, _ in costs]
    for made, (amount, currency, billable) in zip(events, costs, strict=True):
        made["data"] |= {"provider_cost": {"amount": amount, "currency": currency}, "billable": billable}
    assert tallied(events)[HOUR]["provider_cost"] == {"USD": "0.3", "EUR": "1"}


def test_a_window_has_the_events_of_its_time_alone() -> None:
    """The last nanosecond of an hour and the first of the next are in one day."""
    times = {"3": "2026-11-22T10:59:59.999999999Z", "5": "2026-11-22T11:00:00Z"}
    found = tallied([f"a ftg-3.0-euro in={count} at={at}" for count, at in times.items()])
    keys = [HOUR, "a/p1/hour/2026-11-22T11:00:00Z", DAY]
    assert [found[key]["tokens"] for key in keys] == ["3", "5", "8"]


def test_projects_and_organizations_are_apart() -> None:
    """An item is of one project."""
    found = tallied(["a connector:c/t", "a connector:c/t project=p2", "b connector:c/t"])
    days = {key: total["events"] for key, total in found.items() if "/day/" in key and "item" not in total}
    assert days == {DAY: 1, DAY.replace("p1", "p2"): 1, DAY.replace("a/", "b/", 1): 1}


def test_no_reporting_currency_leaves_nothing_converted() -> None:
    """And two have each their own."""
    none = book(sheet(), policy=Policy({"*": "aitronos"}, ()))
    two = book(sheet(), rate(start=START), policy=Policy({"*": "aitronos"}, ("CHF", "USD")))
    found = [tallied(["b connector:c/t"], one)[DAY.replace("a/", "b/", 1)]["converted"] for one in (none, two)]
    assert found[0] == {}
    assert [amounts["list"] for amounts in found[1].values()] == ["0.000064", "0.0000718976"]


@given(st.lists(st.sampled_from(LINES), min_size=1, max_size=8), st.integers(1, 7))
def test_a_batch_adds_what_its_events_add(lines: list[str], cut: int) -> None:
    """However it is cut: sums of products and products of sums are the same numbers."""
    whole = tallied(lines)
    assert whole == summed([line] for line in lines)
    assert whole == summed(part for part in (lines[:cut], lines[cut:]) if part)


def test_nothing_is_changed_by_adding() -> None:
    """Totals are values: an overlay may be dropped."""
    tally = Tally(("USD",))
    with exact():
        tally.add(priced(LINES[0], BOOK))
        for _, sums in tally.sums().items():
            total, kept = first_total(sums, 0), repr(sums)
            total.plus(sums, 0).plus(sums, 0)
            assert (repr(sums), repr(total)) == (kept, repr(first_total(sums, 0)))


def test_sums_of_one_kind_share_their_paths() -> None:
    """However they came about: as events added up, or read back in the order of a record. `plus` relies on it."""
    forth = sums_of({"events": 1, "tokens": 2, "list\x00CHF": 3})
    back = sums_of({"list\x00CHF": 3, "tokens": 2, "events": 1})
    assert forth == back
    assert forth.paths is back.paths


def test_a_revision_counts_records_and_as_of_never_goes_back() -> None:
    """The first is 1; a clock that goes back does not."""
    tally = Tally(("USD",))
    with exact():
        tally.add(priced(LINES[0], BOOK))
        sums = next(iter(tally.sums().values()))
        first = first_total(sums, 100)
        later = first.plus(sums, 90).plus(sums, 120)
    assert [(total.revision, total.as_of) for total in (first, later)] == [(1, 100), (3, 120)]
