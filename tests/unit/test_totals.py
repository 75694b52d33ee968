"""Totals: windows of UTC, and what priced events add to them. Section 5 of the contract."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing.book import Book, Policy
from pricing.money import ZERO, exact
from pricing.times import format_time, parse_time
from pricing.totals import WINDOWS, Sums, Tally, TotalKey, first_total, window_end, window_start
from tests.product import START, account, book, priced, rate, sheet
from tests.usage import sample_sheet

BOOK = book(sheet(sample_sheet(), image="13.2"), rate(start=START), rate("EUR/USD", "1.0871", START))
STANDARD = account("a", ("tier_standard", START))
NOTHING = Sums(0, 0, 0, ZERO, ZERO, {}, {}, {}, {}, {}, {})
LINES = [
    "a ftg-3.0-pro in=1000 cached=200 out=50",
    "a ftg-3.0-pro in=7 priority=high",
    "a ftg-3.0-pro in=7 billable=no",
    "a ftg-3.0-pro seconds=1.5 project=p2",
    "a ftg-3.0-euro in=3 at=2026-11-22T10:59:59.999999999Z",
    "a ftg-3.0-euro in=3 at=2026-11-22T11:00:00Z",
    "a ftg-embed in=3 reasoning=2",
    "a image:generate count=2 at=2026-11-21T23:59:59Z",
    "a code cpu=5.5 mb=512 wall=10",
    "a connector:git/hub executions=3",
    "a terminal egress_bytes=7 cpu_seconds=1.5",
    "b ftg-free in=5",
    "b ftg-3.0-pro in=0",
]


def tallied(lines: Iterable[str | dict[str, Any]], found: Book = BOOK) -> dict[TotalKey, Sums]:
    """What a batch of these events adds."""
    tally = Tally(found.policy.report_currencies)
    with exact():
        for line in lines:
            tally.add(priced(line, found, STANDARD))
        return dict(tally.sums())


def added(parts: Iterable[dict[TotalKey, Sums]]) -> dict[TotalKey, Sums]:
    """Several batches together."""
    sums: dict[TotalKey, Sums] = {}
    with exact():
        for part in parts:
            for key, more in part.items():
                sums[key] = sums[key].plus(more) if key in sums else more
    return sums


def of(organization: str, window: str, start: str, item: str | None = None, project: str = "p1") -> TotalKey:
    """The key of a total."""
    return TotalKey(organization, project, window, parse_time(start), item)


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
    amounts = {"CHF": (Decimal(4000) * Decimal("13.2") + Decimal(800) * Decimal("1.32")) / 10**6}
    net = {"CHF": amounts["CHF"] * Decimal("0.9")}
    usd = (amounts["CHF"] * Decimal("1.1234"), net["CHF"] * Decimal("1.1234"), net["CHF"] * Decimal("1.1234"))
    quantities = {"input": Decimal(1000), "cache_read": Decimal(200)}
    sums = Sums(1, 0, 1200, Decimal(4800), ZERO, quantities, amounts, net, net, {"USD": usd}, {})
    starts = {"hour": "2026-11-22T10:00:00Z", "day": "2026-11-22T00:00:00Z", "month": "2026-11-01T00:00:00Z"}
    assert found == {of("a", window, starts[window], item): sums for window in WINDOWS for item in (None, "ftg-3.0-pro")}


def test_events_that_are_not_billable_count_in_everything_but_due() -> None:
    """They are counted apart, too; `due` is there, as 0."""
    line = "a connector:c/t"
    billed, free = (
        tallied([text])[of("a", "day", "2026-11-22T00:00:00Z")] for text in (line, line + " billable=no")
    )
    assert (free.events, free.not_billable_events) == (1, 1)
    assert (free.list, free.net, free.quantities, free.neurons) == (billed.list, billed.net, billed.quantities, billed.neurons)
    assert (free.due, free.converted["USD"][2]) == ({"CHF": ZERO}, ZERO)
    assert free.converted["USD"][:2] == billed.converted["USD"][:2]


def test_tokens_are_counted_of_every_kind_and_nothing_else() -> None:
    """Also of neuron models; no seconds, images or executions."""
    day = of("a", "day", "2026-11-22T00:00:00Z")
    assert tallied(["a ftg-3.0-pro in=5 cached=4 created=3 out=2 seconds=100", "a ftg-embed in=3 reasoning=2"])[day].tokens == 19
    assert tallied(["a connector:c/t executions=9", "a code cpu=9 mb=9 wall=9"])[day].tokens == 0


def test_what_providers_billed_is_summed_by_currency() -> None:
    """Also of events that are not billable."""
    costs = [("0.1", "USD", True), ("0.2", "USD", False), ("1", "EUR", True)]
    events = []
    for amount, currency, billable in costs:
        from tests.usage import usage

        made = usage(f"a connector:c/t id={amount}")
        made["data"] |= {"provider_cost": {"amount": amount, "currency": currency}, "billable": billable}
        events.append(made)
    found = tallied(events)[of("a", "hour", "2026-11-22T10:00:00Z")]
    assert found.provider_cost == {"USD": Decimal("0.3"), "EUR": Decimal(1)}


def test_a_window_has_the_events_of_its_time_alone() -> None:
    """The last nanosecond of an hour and the first of the next are in one day."""
    found = tallied(["a ftg-3.0-euro in=3 at=2026-11-22T10:59:59.999999999Z", "a ftg-3.0-euro in=5 at=2026-11-22T11:00:00Z"])
    tokens = [found[of("a", window, start)].tokens for window, start in (("hour", "2026-11-22T10:00:00Z"), ("hour", "2026-11-22T11:00:00Z"), ("day", "2026-11-22T00:00:00Z"))]
    assert tokens == [3, 5, 8]


def test_projects_and_organizations_are_apart() -> None:
    """An item is of one project."""
    found = tallied(["a connector:c/t", "a connector:c/t project=p2", "b connector:c/t"])
    days = {(key.organization, key.project): sums.events for key, sums in found.items() if key.window == "day"}
    assert days == {("a", "p1"): 1, ("a", "p2"): 1, ("b", "p1"): 1}


def test_no_reporting_currency_leaves_nothing_converted() -> None:
    """And two have each their own."""
    none = book(sheet(), policy=Policy({"*": "aitronos"}, ()))
    two = book(sheet(), rate(start=START), policy=Policy({"*": "aitronos"}, ("CHF", "USD")))
    found = [next(iter(tallied(["b connector:c/t"], one).values())).converted for one in (none, two)]
    assert found[0] == {}
    assert [amounts[0] for amounts in found[1].values()] == [Decimal("0.000064"), Decimal("0.000064") * Decimal("1.1234")]


@given(st.lists(st.sampled_from(LINES), min_size=1, max_size=8), st.integers(1, 7))
def test_a_batch_adds_what_its_events_add(lines: list[str], cut: int) -> None:
    """However it is cut: sums of products and products of sums are the same numbers."""
    whole = tallied(lines)
    assert whole == added(tallied([line]) for line in lines)
    assert whole == added(tallied(part) for part in (lines[:cut], lines[cut:]) if part)


def test_nothing_is_changed_by_adding() -> None:
    """Sums are values: an overlay may be dropped."""
    [first, *_] = tallied([LINES[0]]).values()
    kept = repr(first)
    with exact():
        assert first.plus(NOTHING) == NOTHING.plus(first) == first
        first.plus(first)
    assert repr(first) == kept


def test_a_revision_counts_records_and_as_of_never_goes_back() -> None:
    """The first is 1; a clock that goes back does not."""
    [sums, *_] = tallied([LINES[0]]).values()
    with exact():
        first = first_total(sums, 100)
        later = first.plus(sums, 90).plus(sums, 120)
    assert [(total.revision, total.as_of) for total in (first, later)] == [(1, 100), (3, 120)]
    assert later.sums.events == 3
