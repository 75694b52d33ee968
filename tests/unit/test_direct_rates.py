"""What usage of a direct model lists at: its price list by the situation, bands, markup, units. With known answers."""

from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from pricing.errors import Unpriced
from pricing.events import ModelUsage
from pricing.money import ZERO, exact, plain
from pricing.rating import REQUEST, SECONDS, UNITS, Missing, Rates, rates_for
from pricing.selection import choose_list, split
from pricing.sheets import Sheet, parse_sheet
from pricing.times import parse_time


def sheet_of(*models: dict[str, Any], **fields: Any) -> Sheet:
    """A sheet of direct models in USD."""
    full = [{"category": "direct", "currency": "USD", **model} for model in models]
    return parse_sheet(
        orjson.dumps({"id": "s", "version": "1", "effective_from": "2024-01-01T00:00:00Z", "models": full, **fields})
    )


def usage(model: str, tokens: str = "", **fields: Any) -> ModelUsage:
    """`input=1 output=2` as an event's data."""
    counts = {kind: int(count) for kind, _, count in (each.partition("=") for each in tokens.split())}
    return ModelUsage(organization="o", project="p", model=model, tokens=counts, **fields)


def priced(sheet: Sheet, data: ModelUsage, at: str = "2025-06-01T12:00:00Z") -> tuple[Rates, dict[str, Any]]:
    """The price list that the event has, and its quantities by rate."""
    rates = rates_for(sheet, data)
    number = choose_list(rates, data.service_tier, data.region, data.tokens, parse_time(at))  # type: ignore[arg-type]
    chosen = (rates, *rates.in_cases)[number]
    return chosen, dict(split(chosen, data.tokens))  # type: ignore[arg-type]


def listed(sheet: Sheet, data: ModelUsage, at: str = "2025-06-01T12:00:00Z") -> str:
    """What the event lists at."""
    with exact():
        rates, quantities = priced(sheet, data, at)
        return plain(sum((rates.by_name[name].list * count for name, count in quantities.items()), ZERO))


KNOWN = sheet_of(
    {
        "key": "claude-sonnet-4-5",
        "prices": {"input": "3", "output": "15", "cache_read": "0.3", "cache_creation": "3.75"},
        "cases": [
            {
                "when": {"input_over": 200_000},
                "prices": {"input": "6", "output": "22.5", "cache_read": "0.6", "cache_creation": "7.5"},
            }
        ],
    },
    {"key": "gpt-4o", "prices": {"input": "2.5", "cache_read": "1.25", "output": "10"}},
    {
        "key": "o3",
        "prices": {"input": "2", "output": "8"},
        "cases": [{"when": {"until": "2025-06-10T00:00:00Z"}, "prices": {"input": "10", "output": "40"}}],
    },
    {
        "key": "claude-3-7-sonnet",
        "prices": {"input": "3", "output": "15", "cache_read": "0.3", "cache_creation": "3.75"},
    },
)
LONG_CONTEXT = "docs.anthropic.com, pricing, long context: over 200K input tokens all are at $6 and $22.50"
OPENAI = "openai.com/api/pricing: gpt-4o $2.50 and $10"
O3_CUT = "openai.com, o3's price cut by 80 % on 2025-06-10: $10 and $40, then $2 and $8"
CACHE = "docs.anthropic.com, pricing, prompt caching: $3, written for 5 minutes $3.75, output $15"


@pytest.mark.parametrize(
    ("model", "tokens", "day", "answer", "source"),
    [
        ("claude-sonnet-4-5", "input=200000", "2025-10-01", "0.6", LONG_CONTEXT),  # 200000 × 3
        ("claude-sonnet-4-5", "input=200001", "2025-10-01", "1.200006", LONG_CONTEXT),  # 200001 × 6
        ("claude-sonnet-4-5", "input=1 cache_read=200000", "2025-10-01", "0.120006", LONG_CONTEXT),
        ("gpt-4o", "input=1000 output=100", "2025-10-01", "0.0035", OPENAI),  # 1000 × 2.5 + 100 × 10
        ("o3", "input=1000 output=1000", "2025-06-09", "0.05", O3_CUT),
        ("o3", "input=1000 output=1000", "2025-06-10", "0.01", O3_CUT),
        ("claude-3-7-sonnet", "input=3 cache_creation=12304 output=550", "2025-10-01", "0.054399", CACHE),
    ],
)
def test_known_answers(model: str, tokens: str, day: str, answer: str, source: str) -> None:
    """What providers say that it costs, in USD."""
    assert listed(KNOWN, usage(model, tokens), f"{day}T00:00:00Z") == answer, source


CASES = sheet_of(
    {
        "key": "m",
        "prices": {"input": "1"},
        "cases": [
            {"when": {"service_tier": "batch", "regions": ["eu", "us"]}, "prices": {"input": "2"}},
            {"when": {"service_tier": "batch", "input_from": 100}, "prices": {"input": "3"}},
            {"when": {"service_tier": "flex"}, "prices": {"input": "4"}},
            {"when": {"regions": ["eu"], "input_over": 100}, "prices": {"input": "5"}},
            {"when": {"regions": ["eu"]}, "prices": {"input": "6"}},
            {
                "when": {"since": "2025-02-01T00:00:00Z", "until": "2025-03-01T00:00:00Z"},
                "prices": {"input": "7"},
            },
            {"when": {"daily": {"start": "16:30", "end": "00:30"}}, "prices": {"input": "8"}},
            {"when": {"daily": {"start": "06:00", "end": "07:00"}}, "prices": {"input": "9"}},
        ],
    },
    {"key": "plain", "prices": {"input": "1"}},
)


@pytest.mark.parametrize(
    ("tier", "region", "tokens", "at", "price"),
    [
        ("", "", 1, "2025-01-01T12:00:00Z", "1"),
        ("batch", "eu", 1, "2025-01-01T12:00:00Z", "2"),
        ("batch", "us", 100, "2025-01-01T12:00:00Z", "2"),  # the first that holds
        ("batch", "ap", 100, "2025-01-01T12:00:00Z", "3"),
        ("batch", "", 100, "2025-01-01T12:00:00Z", "3"),
        ("batch", "", 99, "2025-01-01T12:00:00Z", None),  # a price of another tier is none
        ("flex", "eu", 1, "2025-01-01T17:00:00Z", "4"),  # a case without a tier is not for this one
        ("priority", "eu", 1, "2025-01-01T12:00:00Z", None),
        ("Batch", "eu", 1, "2025-01-01T12:00:00Z", None),
        ("standard", "eu", 101, "2025-01-01T12:00:00Z", "5"),
        ("default", "eu", 100, "2025-01-01T12:00:00Z", "6"),
        ("auto", "", 1, "2025-01-31T12:00:00Z", "1"),
        ("on_demand", "", 1, "2025-02-01T00:00:00Z", "7"),
        ("ON_DEMAND", "", 1, "2025-02-28T23:59:59.999999999Z", "7"),
        ("standard_only", "", 1, "2025-03-01T00:00:00Z", "8"),  # over midnight, in UTC
        ("", "", 1, "2025-03-01T00:29:59.999999999Z", "8"),
        ("", "", 1, "2025-03-01T00:30:00Z", "1"),
        ("", "", 1, "2025-03-01T16:29:59Z", "1"),
        ("", "", 1, "2025-03-01T17:30:00+01:00", "8"),
        ("", "", 1, "2025-03-01T05:59:59Z", "1"),
        ("", "", 1, "2025-03-01T06:00:00Z", "9"),
        ("", "", 1, "2025-03-01T07:00:00Z", "1"),
    ],
)
def test_the_first_case_that_holds_has_the_price(
    tier: str, region: str, tokens: int, at: str, price: str | None
) -> None:
    """By what was served, where, how much and when; None: parked, with the tier named."""
    given = {name: value for name, value in (("service_tier", tier), ("region", region)) if value}
    data = usage("m", f"input={tokens}", **given)
    if price is None:
        with pytest.raises(Missing, match=f"no_price_for_model: service tier {tier} of model m"):
            priced(CASES, data, at)
    else:
        rates, _ = priced(CASES, data, at)
        assert plain(rates.by_name["input"].price) == price


WEEK = sheet_of(
    {
        "key": "m",
        "prices": {"input": "1"},
        "cases": [
            {"when": {"daily": {"start": start, "end": end, "weekdays": weekdays}}, "prices": {"input": price}}
            for start, end, weekdays, price in (
                ("00:00", "00:00", ["sat"], "2"),
                ("22:00", "02:00", ["tue", "sun"], "3"),
                ("08:00", "09:00", ["mon", "wed"], "4"),
                ("06:30", "06:30", ["thu"], "5"),
            )
        ],
    }
)


@pytest.mark.parametrize(
    ("at", "price"),
    [
        ("2026-11-20T23:59:59.999999999Z", "1"),  # Friday
        ("2026-11-21T00:00:00Z", "2"),  # Saturday, all day
        ("2026-11-21T23:59:59.999999999Z", "2"),
        ("2026-11-22T00:00:00Z", "1"),  # Sunday: its first hours are Saturday's stretch, which there is none of
        ("2026-11-22T01:59:00Z", "1"),
        ("2026-11-22T08:30:00Z", "1"),
        ("2026-11-22T21:59:59.999999999Z", "1"),
        ("2026-11-22T22:00:00Z", "3"),
        ("2026-11-22T23:59:00Z", "3"),
        ("2026-11-23T00:00:00Z", "3"),  # Monday, still Sunday's stretch
        ("2026-11-23T01:59:59.999999999Z", "3"),
        ("2026-11-23T02:00:00Z", "1"),
        ("2026-11-23T07:59:59.999999999Z", "1"),
        ("2026-11-23T08:00:00Z", "4"),
        ("2026-11-23T09:00:00Z", "1"),
        ("2026-11-23T22:00:00Z", "1"),
        ("2026-11-24T01:00:00Z", "1"),  # Tuesday, before its own stretch
        ("2026-11-24T08:30:00Z", "1"),
        ("2026-11-24T22:00:00Z", "3"),
        ("2026-11-25T01:59:59Z", "3"),  # Wednesday, still Tuesday's stretch
        ("2026-11-25T08:00:00+08:00", "3"),  # Wednesday, at 00:00 in UTC
        ("2026-11-26T06:29:59.999999999Z", "1"),
        ("2026-11-26T06:30:00Z", "5"),  # Thursday, 24 hours into Friday
        ("2026-11-27T06:29:59.999999999Z", "5"),
        ("2026-11-27T06:30:00Z", "1"),
        ("1970-01-01T00:00:00Z", "1"),  # a Thursday
        ("1970-01-01T06:30:00Z", "5"),
        ("1970-01-03T00:00:00Z", "2"),
        ("9999-12-31T06:30:00Z", "1"),  # a Friday
    ],
)
def test_a_stretch_is_of_the_weekday_on_which_it_starts(at: str, price: str) -> None:
    """In UTC, whatever offset the instant is written with; 24 hours where it ends as it starts."""
    rates, _ = priced(WEEK, usage("m", "input=1"), at)
    assert plain(rates.by_name["input"].price) == price


@pytest.mark.parametrize(("tier", "is_priced"), [("standard", True), ("", True), ("batch", False)])
def test_a_model_without_cases_has_the_standard_tier_alone(tier: str, is_priced: bool) -> None:
    """Nothing else was published for it."""
    data = usage("plain", "input=1", **({"service_tier": tier} if tier else {}))
    if is_priced:
        assert listed(CASES, data) == "0.000001"
    else:
        with pytest.raises(Missing):
            priced(CASES, data)


def test_the_priority_of_aitronos_is_none_of_a_direct_model() -> None:
    """It multiplies synapses, of which there are none here."""
    assert listed(KNOWN, usage("gpt-4o", "input=1000 output=100", priority="whatever")) == "0.0035"


def test_an_event_that_says_neither_tier_nor_region_is_of_the_standard_tier() -> None:
    """Left out or null: responses have both."""
    rates = rates_for(CASES, usage("m"))
    noon = parse_time("2025-01-01T12:00:00Z")
    assert [choose_list(rates, none, none, {"input": 1}, noon) for none in (UNSET, None)] == [0, 0]


def test_markup_is_on_every_price() -> None:
    """list = price × (1 + 10/100), exactly, and the line's price is what it was multiplied with."""
    sheet = sheet_of(
        {
            "key": "m",
            "prices": {"input": "0.15"},
            "bands": {"input": [{"above": 10, "price": "0.1"}]},
            "units": {"image": "0.04"},
            "cases": [{"when": {"service_tier": "batch"}, "prices": {"input": "0.07"}}],
        },
        markup_percentage="12.5",
    )
    with exact():
        rates = rates_for(sheet, usage("m"))
        found = [rate for each in (rates, *rates.in_cases) for rate in each.by_name.values()]
    assert [(rate.meter, plain(rate.price), rate.per, plain(rate.list)) for rate in found] == [
        ("input", "0.16875", "1000000", "0.00000016875"),
        ("input", "0.1125", "1000000", "0.0000001125"),
        ("units.image", "0.045", "1", "0.045"),
        ("input", "0.07875", "1000000", "0.00000007875"),
    ]


UNIT_SHEET = sheet_of(
    {"key": "v", "prices": {"output": "1"}, "units": {"request": "0.01", "second": "0.5", "web_search": "0.02"}}
)


def test_units_have_their_own_meters_and_names() -> None:
    """No token kind can be taken for a unit, whatever a producer calls it; nothing is consumed."""
    rates = rates_for(UNIT_SHEET, usage("v"))
    assert [(name, r.meter, r.unit, r.per, plain(r.price), r.consumed) for name, r in rates.by_name.items()] == [
        ("output", "output", "token", "1000000", "1", None),
        (REQUEST, "units.request", "request", "1", "0.01", None),
        (f"{UNITS}second", "units.second", "second", "1", "0.5", None),
        (f"{UNITS}web_search", "units.web_search", "web_search", "1", "0.02", None),
        (SECONDS, "seconds", "second", "1", "0.5", None),
    ]
    assert {REQUEST[0], SECONDS[0], UNITS[0]} == {"\x00"}


@pytest.mark.parametrize(
    ("quantities", "found"),
    [
        ({"output": 1}, {"output": 1, REQUEST: 1}),
        ({}, {REQUEST: 1}),
        ({REQUEST: 3}, {REQUEST: 3}),
        ({SECONDS: Decimal("1.5")}, {SECONDS: Decimal("1.5"), REQUEST: 1}),
    ],
)
def test_a_request_is_counted_once_where_it_has_a_price(quantities: dict[str, Any], found: dict[str, Any]) -> None:
    """Unless the event counts requests itself."""
    assert split(rates_for(UNIT_SHEET, usage("v")), quantities) == found


BANDS = sheet_of(
    {
        "key": "m",
        "prices": {"input": "1", "output": "5"},
        "bands": {"input": [{"above": 100, "price": "2"}, {"above": 250, "price": "4"}]},
    }
)


@pytest.mark.parametrize(
    ("tokens", "pieces"),
    [
        ("input=0", {"input": 0}),
        ("input=100", {"input": 100}),
        ("input=101 output=300", {"input": 100, "input\x00100": 1, "output": 300}),
        ("input=250", {"input": 100, "input\x00100": 150}),
        ("input=1000", {"input": 100, "input\x00100": 150, "input\x00250": 750}),
    ],
)
def test_a_kind_fills_its_bands_one_after_the_other(tokens: str, pieces: dict[str, int]) -> None:
    """Marginal: what lies below a bound costs what it did."""
    assert priced(BANDS, usage("m", tokens))[1] == pieces


@given(st.integers(0, 10**15), st.integers(0, 10**15))
def test_bands_lose_no_token_and_never_make_more_cost_less(one: int, more: int) -> None:
    """The quantities of the lines of a kind add up to its count."""
    rates, quantities = priced(BANDS, usage("m", f"input={one}"))
    assert sum(quantities.values()) == one
    assert {rates.by_name[name].meter for name in quantities} == {"input"}
    less, greater = (Decimal(listed(BANDS, usage("m", f"input={count}"))) for count in sorted((one, one + more)))
    assert less <= greater


def test_an_unknown_model_is_none() -> None:
    """And another provider's is one that is not there."""
    sheet = sheet_of({"key": "m", "provider": "openai", "prices": {"input": "1"}})
    assert rates_for(sheet, usage("m", provider="openai")).model == "m"
    for data in (usage("m", provider="azure"), usage("n")):
        with pytest.raises(Missing) as missing:
            rates_for(sheet, data)
        assert missing.value.reason is Unpriced.NO_MODEL
