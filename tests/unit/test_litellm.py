"""The importer of LiteLLM's price map: a grammar of keys, whole price lists, nothing silent."""

import json
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET

from pricing.cases import Cases
from pricing.importers import IMPORTERS, Imported, ImportOptions, format_of
from pricing.importers.litellm_keys import STANDARD, Meter, is_price_like, read_key
from pricing.sheets import Model, parse_sheet, sheet_bytes
from pricing.times import parse_time

OPTIONS = ImportOptions("litellm", "2026-11-22", parse_time("2026-11-22T00:00:00Z"))
MAP = Path(__file__).parents[3] / "shared" / "data" / "litellm" / "model_prices_and_context_window.json"
needs_the_map = pytest.mark.skipif(not MAP.exists(), reason=f"the real price map is not there: {MAP}")


def as_written(text: str) -> str:
    """Stands for a number that json.dumps would write in another way."""
    return f"<{text}>"


def imported(entries: dict[str, object]) -> Imported:
    text = json.dumps({"sample_spec": {"input_cost_per_token": 0.0}, **entries})
    return IMPORTERS["litellm"](re.sub('"<(.*?)>"', r"\1", text).encode(), OPTIONS)


def whole(**fields: object) -> Imported:
    """The import of one entry `p/m` of provider `p`."""
    return imported({"p/m": {"litellm_provider": "p", "mode": "chat", **fields}})


def model(**fields: object) -> Model:
    sheet = whole(**fields).sheet
    assert sheet is not None
    return sheet.models[0]


def prices_of(found: Model, number: int | None) -> dict[str, str] | None:
    """Tokens and units of a price list as text, None for none."""
    if number is None:
        return None
    chosen = found if number == 0 else found.cases[number - 1]
    return {name: f"{price:f}" for name, price in {**chosen.prices, **chosen.units}.items()}


def due(
    found: Model, tokens: int = 1000, *, tier: str | None = None, region: str | None = None, at: str = ""
) -> object:
    """The prices of usage with so many input tokens."""
    instant = parse_time(at or "2026-11-18T12:00:00Z")
    given_tier, given_region = (UNSET if text is None else text for text in (tier, region))
    return prices_of(found, Cases(found.cases).choose(given_tier, given_region, {"input": tokens}, instant))


# --- the grammar of the keys

PRICES: tuple[tuple[str, Meter], ...] = (
    ("input_cost_per_token", ("prices", "input")),
    ("input_cost_per_audio_token", ("prices", "input_audio")),
    ("input_cost_per_image_token", ("prices", "input_image")),
    ("input_cost_per_video_token", ("prices", "input_video")),
    ("input_cost_per_token_cache_hit", ("prices", "cache_read")),
    ("cache_read_input_token_cost", ("prices", "cache_read")),
    ("cache_read_input_audio_token_cost", ("prices", "cache_read_audio")),
    ("cache_read_input_image_token_cost", ("prices", "cache_read_image")),
    ("explicit_cache_read_input_token_cost", ("prices", "cache_read_explicit")),
    ("cache_creation_input_token_cost", ("prices", "cache_creation")),
    ("cache_creation_input_token_cost_above_1hr", ("prices", "cache_creation_1h")),
    ("cache_creation_input_token_cost_above_12hr", ("prices", "cache_creation_12h")),
    ("cache_creation_input_audio_token_cost", ("prices", "cache_creation_audio")),
    ("citation_cost_per_token", ("prices", "citation")),
    ("output_cost_per_token", ("prices", "output")),
    ("output_cost_per_reasoning_token", ("prices", "output_reasoning")),
    ("output_cost_per_audio_token", ("prices", "output_audio")),
    ("output_cost_per_image_token", ("prices", "output_image")),
    ("output_cost_per_video_token", ("prices", "output_video")),
    ("cost_per_second", ("units", "second")),
    ("input_cost_per_second", ("units", "second")),
    ("output_cost_per_second", ("units", "second")),
    ("output_cost_per_second_1080p", ("units", "second/1080p")),
    ("output_cost_per_second_4k", ("units", "second/4k")),
    ("output_cost_per_video_per_second", ("units", "video_second")),
    ("input_cost_per_video_per_second", ("units", "input_video_second")),
    ("input_cost_per_video_per_second_above_15s_interval", ("units", "input_video_second/above_15s_interval")),
    ("input_cost_per_audio_per_second", ("units", "input_audio_second")),
    ("input_cost_per_image", ("units", "input_image")),
    ("output_cost_per_image", ("units", "image")),
    ("output_cost_per_image_0.5K", ("units", "image/0.5k")),
    ("output_cost_per_image_1024", ("units", "image/1024")),
    ("input_cost_per_pixel", ("units", "pixel")),
    ("output_cost_per_pixel", ("units", "pixel")),
    ("input_cost_per_character", ("units", "character")),
    ("output_cost_per_character", ("units", "output_character")),
    ("input_cost_per_query", ("units", "query")),
    ("input_cost_per_request", ("units", "request")),
    ("input_cost_per_text_message", ("units", "text_message")),
    ("google_maps_grounding_cost_per_query", ("units", "google_maps_grounding")),
    ("ocr_cost_per_page", ("units", "page")),
    ("annotation_cost_per_page", ("units", "annotation_page")),
    ("ocr_cost_per_credit", ("units", "credit")),
    ("code_interpreter_cost_per_session", ("units", "code_interpreter_session")),
)
ENDINGS = (
    ("", STANDARD, 0),
    ("_batches", "batch", 0),
    ("_priority", "priority", 0),
    ("_flex", "flex", 0),
    ("_balanced", "balanced", 0),
    ("_ultrafast", "ultrafast", 0),
    ("_decisions", "decisions", 0),
    ("_above_200k_tokens", STANDARD, 200_000),
    ("_above_500_tokens", STANDARD, 500),
    ("_above_272k_tokens_priority", "priority", 272_000),
)


@pytest.mark.parametrize(("key", "meter"), PRICES, ids=[key for key, _ in PRICES])
def test_a_key_names_what_it_prices_and_may_end_in_a_threshold_and_a_tier(key: str, meter: Meter) -> None:
    """Every ending after every price."""
    assert [read_key(key + ending) for ending, _, _ in ENDINGS] == [
        (meter, tier, threshold) for _, tier, threshold in ENDINGS
    ]


@pytest.mark.parametrize(
    ("key", "price_like"),
    [
        ("input_cost_per_gadget", True),
        ("input_cost_per_token_standard", True),
        ("input_cost_per_token_above_tokens", True),
        ("input_cost_per_token_above_1.5k_tokens", True),
        ("input_dbu_cost_per_token", True),
        ("regional_endpoint_uplift_multiplier", True),
        ("search_free_requests", True),
        ("max_input_tokens", False),
        ("supports_prompt_caching", False),
        ("tpm", False),
    ],
)
def test_what_the_grammar_has_not_is_no_price_and_named_if_it_may_be_one(key: str, price_like: bool) -> None:
    assert read_key(key) is None
    assert is_price_like(key) is price_like
    found = whole(input_cost_per_token=1e-06, **{key: 2})
    assert [line for line in found.warnings if line.startswith(f"{key}: ")] == found.warnings
    assert len(found.warnings) == price_like


# --- exact numbers

NO_FACTOR = 'regional_processing_uplift_multiplier_eu: must be a number, found "x"'
UNKNOWN_ZERO = "every price is 0, and neither name nor notes say that it is free"


@given(st.decimals(min_value=0, max_value=1000, allow_nan=False, allow_infinity=False, places=14))
def test_a_price_per_token_is_exactly_a_millionth_of_that_in_the_sheet(price: Decimal) -> None:
    """In whatever notation the number is written."""
    for text in (f"{price:f}", f"{price:E}"):
        found = model(input_cost_per_token=as_written(text), output_cost_per_image=1)
        assert found.prices["input"] == price * 1_000_000
        assert model(input_cost_per_second=as_written(text), output_cost_per_image=1).units["second"] == price


def test_numbers_with_the_noise_of_floats_stay_as_written_and_are_named() -> None:
    found = whole(input_cost_per_token=as_written("2.0000000000000002e-07"), output_cost_per_token=4e-07)
    assert found.sheet is not None
    assert found.sheet.models[0].prices == {"input": Decimal("0.20000000000000002"), "output": Decimal("0.4")}
    assert found.warnings == ["input: has 12 or more digits, kept as written: 1 entry, such as p/m"]
    noise = as_written("2.0000000000000002e-07")
    assert whole(input_cost_per_token=noise, input_cost_per_token_flex=noise).warnings == found.warnings


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, "has no price"),
        ({"input_cost_per_token": None}, "has no price"),
        ({"max_tokens": 5}, "has no price"),
        ({"input_dbu_cost_per_token": 1e-06}, "has no price"),
        ({"input_cost_per_token": 0, "output_cost_per_token": 0.0}, UNKNOWN_ZERO),
        ({"input_cost_per_token": 0, "metadata": {"notes": "FreeUnits, freely priced"}}, UNKNOWN_ZERO),
        ({"input_cost_per_token": "free"}, 'input_cost_per_token: must be a number, found "free"'),
        ({"input_cost_per_token": True}, "input_cost_per_token: must be a number, found true"),
        ({"input_cost_per_token": -1}, "input_cost_per_token: must not be negative, found -1"),
        (
            {"ocr_cost_per_page": as_written("1e-31")},
            "ocr_cost_per_page: 1E-31 has more than 30 digits after the point",
        ),
        (
            {"ocr_cost_per_page": as_written("1e13")},
            "ocr_cost_per_page: 1E+13 has more than 12 digits before the point",
        ),
        ({"tiered_pricing": 1}, "tiered_pricing: must be an array, found 1"),
        (
            {"tiered_pricing": [{"range": [0], "input_cost_per_token": 1}]},
            'tiered_pricing: a range must be two counts, found ["0"]',
        ),
        (
            {"tiered_pricing": [{"range": [0, 0.5], "input_cost_per_token": 1}]},
            'tiered_pricing: a range must be two counts, found ["0", "0.5"]',
        ),
        ({"search_context_cost_per_query": 1}, "search_context_cost_per_query: must be an object, found 1"),
        ({"litellm_provider": 1}, "litellm_provider: must be a name, found 1"),
        ({"provider_specific_entry": {"us": 0}}, "us: must be greater than 0, found 0"),
        ({"provider_specific_entry": {"us": as_written("1e-13")}}, "us: 1E-13 has more than 12 digits after the point"),
        ({"regional_processing_uplift_multiplier_eu": "x"}, NO_FACTOR),
        ({"off_peak_pricing": {"hours_utc": "9-5"}}, 'off_peak_pricing: hours_utc must be HH:MM-HH:MM, found "9-5"'),
        (
            {"off_peak_pricing": {"windows": [{"hours_utc": "09:00-10:00", "weekdays": ["sun"]}]}},
            'off_peak_pricing.windows: weekdays must be 1 to 7, found ["sun"]',
        ),
        (
            {
                "off_peak_pricing": {
                    "windows": [{"hours_utc": "09:00-10:00", "weekdays": [1]}],
                    "weekday_timezone": ["UTC"],
                }
            },
            'off_peak_pricing.weekday_timezone: must be a name, found ["UTC"]',
        ),
    ],
)
def test_an_entry_without_a_usable_price_is_skipped_with_its_reason(fields: dict[str, object], reason: str) -> None:
    """And the others are imported: one bad entry of thousands is not the end of the sheet."""
    found = imported({"bad": fields, "good": {"input_cost_per_token": 1e-06}})
    assert found.problems == []
    assert found.skipped == [("bad", reason)]
    assert found.sheet is not None and [model.key for model in found.sheet.models] == ["good"]


@pytest.mark.parametrize(("name", "notes"), [("x/beam-free", None), ("m", "Free to use."), ("m", "preview at no cost")])
def test_a_model_whose_prices_are_all_zero_is_free_only_where_the_map_says_so(name: str, notes: str | None) -> None:
    entry = {"input_cost_per_token": 0, "metadata": {"notes": notes}}
    found = imported({name: entry})
    assert found.sheet is not None and found.sheet.models[0].prices == {"input": Decimal(0)}
    assert found.warnings == [
        f"free: every price is 0, and the name or the notes say that it is free: 1 entry, such as {name}"
    ]


def test_a_zero_beside_other_prices_is_kept_and_named() -> None:
    """Such as the output of embeddings."""
    found = whole(input_cost_per_token=1e-07, output_cost_per_token=0.0)
    assert found.sheet is not None
    assert found.sheet.models[0].prices == {"input": Decimal("0.1"), "output": Decimal(0)}
    assert found.warnings == ["output: is 0 beside other prices, kept: 1 entry, such as p/m"]


def test_a_token_price_over_a_thousandth_of_a_dollar_is_named() -> None:
    line = "input: is over 1000 per 1M, probably in another unit, kept: 1 entry, such as p/m"
    assert whole(input_cost_per_token=0.001).warnings == []
    assert whole(input_cost_per_token=0.00101, input_cost_per_page=1).warnings == [
        line, "input_cost_per_page: unknown field, not read: 1 entry, such as p/m"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "prices", "warnings"),
    [
        ({"input_cost_per_second": 1e-4, "output_cost_per_second": 0.0}, {"second": "0.0001"}, []),
        ({"input_cost_per_second": 0.0, "output_cost_per_second": 1e-4}, {"second": "0.0001"}, []),
        ({"input_cost_per_second": 1e-4, "cost_per_second": 1e-4}, {"second": "0.0001"}, []),
        (
            {"input_cost_per_second": 1e-4, "output_cost_per_second": 2e-4},
            {"second": "0.0002"},
            ["second: has two prices, the higher one counts: 1 entry, such as p/m"],
        ),
        ({"mode": "image_generation", "input_cost_per_image": 0.05}, {"image": "0.05"}, []),
        (
            {"mode": "image_generation", "input_cost_per_image": 0.05, "output_cost_per_image": 0.05},
            {"image": "0.05"},
            [],
        ),
        (
            {"mode": "image_edit", "input_cost_per_image": 0.01, "output_cost_per_image": 0.05},
            {"input_image": "0.01", "image": "0.05"},
            [],
        ),
        ({"mode": "image_edit", "input_cost_per_image": 0.01}, {"image": "0.01"}, []),
        ({"mode": "embedding", "input_cost_per_image": 0.01}, {"input_image": "0.01"}, []),
        (
            {"search_context_cost_per_query": {"search_context_size_low": 0.005, "search_context_size_medium": 0.008}},
            {"web_search/low": "0.005", "web_search/medium": "0.008", "web_search": "0.008"},
            [],
        ),
        ({"guardrail_cost_per_unit": {"contentPolicyUnits": 0.00015}}, {"contentPolicyUnits": "0.00015"}, []),
        (
            {"tiered_pricing": [{"max_results_range": [0, 25], "input_cost_per_query": 0.005}]},
            {"query/0-25": "0.005"},
            [],
        ),
    ],
)
def test_units_are_priced_by_one(fields: dict[str, object], prices: dict[str, str], warnings: list[str]) -> None:
    """What two sides are given for is billed once."""
    found = whole(**fields)
    assert found.sheet is not None
    assert due(found.sheet.models[0]) == prices
    assert found.warnings == warnings


# --- price lists

GEMINI = {
    "input_cost_per_token": 1e-06,
    "output_cost_per_token": 4e-06,
    "cache_read_input_token_cost": 1e-07,
    "output_cost_per_reasoning_token": 4e-06,
    "input_cost_per_token_above_200k_tokens": 2e-06,
    "output_cost_per_token_above_200k_tokens": 6e-06,
    "cache_read_input_token_cost_above_200k_tokens": 2e-07,
    "output_cost_per_image": 0.03,
    "input_cost_per_token_priority": 3e-06,
    "output_cost_per_token_priority": 8e-06,
    "input_cost_per_token_above_200k_tokens_priority": 5e-06,
    "input_cost_per_token_batches": 5e-07,
    "output_cost_per_token_batches": 2e-06,
    "input_cost_per_token_above_200k_tokens_flex": 1.5e-06,
}
# input, cache_read, output, output_reasoning
LISTS = (
    (200_000, None, "1 0.1 4 4", "up to the threshold"),
    (200_001, None, "2 0.2 6 4", "above it: all tokens, but what is not named keeps its price"),
    (200_000, "priority", "3 0.1 8 8", "what the tier leaves out is standard, reasoning costs what its output does"),
    (200_001, "priority", "5 0.2 6 6", "above the threshold the standard price above it comes before the tier's below"),
    (200_000, "batch", "0.5 0.1 2 2", "batches"),
    (200_001, "batch", "0.5 0.2 2 2", "the price of batches comes before the standard one above the threshold"),
    (200_000, "flex", "1 0.1 4 4", "a tier that is priced only above the threshold is standard below"),
    (200_001, "flex", "1.5 0.2 6 4", "and has its own price above"),
)


@pytest.mark.parametrize(("tokens", "tier", "expected", "why"), LISTS, ids=[why for *_, why in LISTS])
def test_a_tier_and_a_threshold_choose_a_whole_list(tokens: int, tier: str | None, expected: str, why: str) -> None:
    kinds = ("input", "cache_read", "output", "output_reasoning")
    assert due(model(**GEMINI), tokens, tier=tier) == {
        **dict(zip(kinds, expected.split(), strict=True)),
        "image": "0.03",
    }


def test_reasoning_of_a_tier_has_its_own_price_where_there_is_one() -> None:
    found = model(**GEMINI, output_cost_per_reasoning_token_priority=9e-06)
    assert [due(found, tokens, tier="priority") for tokens in (200_000, 200_001)] == [
        {"input": "3", "cache_read": "0.1", "output": "8", "output_reasoning": "9", "image": "0.03"},
        {"input": "5", "cache_read": "0.2", "output": "6", "output_reasoning": "9", "image": "0.03"},
    ]


def test_a_tier_that_the_entry_does_not_price_has_no_list() -> None:
    assert due(model(**GEMINI), tier="ultrafast") is None


def test_kinds_that_a_tier_leaves_out_are_named() -> None:
    assert whole(**GEMINI).warnings == [
        f"service tier {tier}: has no price of {kind}, the standard one counts: 1 entry, such as p/m"
        for tier, kind in (
            ("batch", "cache_read"), ("flex", "cache_read"), ("flex", "output"), ("flex", "output_reasoning"),
            ("priority", "cache_read"),
        )
    ]  # fmt: skip


def test_xai_bills_the_higher_price_from_the_threshold_on() -> None:
    """The others above it."""
    fields = {"input_cost_per_token": 1e-06, "input_cost_per_token_above_128k_tokens": 2e-06}
    assert due(model(**fields), 128_000) == {"input": "1"}
    assert due(model(**fields, litellm_provider="xai"), 127_999) == {"input": "1"}
    assert due(model(**fields, litellm_provider="xai"), 128_000) == {"input": "2"}


def test_of_several_thresholds_the_highest_counts() -> None:
    found = model(
        input_cost_per_token=1e-06,
        cache_read_input_token_cost=1e-07,
        input_cost_per_token_above_32k_tokens=2e-06,
        input_cost_per_token_above_256k_tokens=3e-06,
        cache_read_input_token_cost_above_32k_tokens=2e-07,
    )
    assert [due(found, tokens) for tokens in (32_000, 32_001, 256_000, 256_001)] == [
        {"input": "1", "cache_read": "0.1"},
        {"input": "2", "cache_read": "0.2"},
        {"input": "2", "cache_read": "0.2"},
        {"input": "3", "cache_read": "0.1"},
    ]


def test_ranges_of_the_prompt_are_thresholds() -> None:
    """With the first range for the shortest prompts and the last for all longer ones."""
    ranges = [[0, 32000.0], [32000.0, 128000.0], [128000.0, 252000.0]]
    found = model(
        tiered_pricing=[
            {"range": bounds, "input_cost_per_token": price, "output_cost_per_reasoning_token": 2 * price}
            for bounds, price in zip(ranges, (1e-06, 2e-06, 3e-06), strict=True)
        ]
    )
    assert [due(found, tokens) for tokens in (1, 32_000, 32_001, 128_000, 128_001, 10**9)] == [
        {"input": price, "output_reasoning": reasoning}
        for price, reasoning in (("1", "2"), ("1", "2"), ("2", "4"), ("2", "4"), ("3", "6"), ("3", "6"))
    ]


def test_uplifts_of_regions_multiply_the_prices_of_tokens() -> None:
    """Of every tier; units cost the same, and a region without an uplift what none costs."""
    found = model(
        input_cost_per_token=1e-06,
        input_cost_per_token_flex=5e-07,
        output_cost_per_image=0.01,
        regional_processing_uplift_multiplier_eu=1.1,
        regional_processing_uplift_multiplier_us=as_written("1.05"),
    )
    rows = (
        (None, None, "1"), (None, "eu", "1.1"), (None, "us", "1.05"), (None, "jp", "1"),
        ("flex", None, "0.5"), ("flex", "eu", "0.55"),
    )  # fmt: skip
    assert [due(found, tier=tier, region=region) for tier, region, _ in rows] == [
        {"input": price, "image": "0.01"} for *_, price in rows
    ]


def test_fast_mode_and_the_region_of_the_inference_multiply_each_other() -> None:
    found = model(
        input_cost_per_token=5e-06,
        input_cost_per_token_batches=2.5e-06,
        provider_specific_entry={"us": 1.1, "fast": 2.0, "bedrock_invocation_schema": "titan_v2"},
    )
    rows = ((None, None, "5"), (None, "us", "5.5"), ("fast", None, "10"), ("fast", "us", "11"), ("batch", "us", "2.75"))
    assert [due(found, tier=tier, region=region) for tier, region, _ in rows] == [
        {"input": price} for *_, price in rows
    ]


def test_off_peak_prices_replace_those_due_in_the_hours_that_are_off_peak() -> None:
    """Of every day, and of weekdays, here at a weekend by the calendar of Shanghai."""
    weekdays = {"hours_utc": ["00:00-01:00", "04:00-06:00", "10:00-00:00"], "weekdays": [1, 2, 3, 4, 5]}
    weekend = {"hours_utc": "00:00-00:00", "weekdays": [6, 7]}
    block = {"input_cost_per_token": 1.5e-07, "windows": [weekdays, weekend], "weekday_timezone": "Asia/Shanghai"}
    found = whole(input_cost_per_token=3e-07, output_cost_per_token=6e-07, off_peak_pricing=block)
    assert found.sheet is not None
    off_peak, full = {"input": "0.15", "output": "0.6"}, {"input": "0.3", "output": "0.6"}
    times = {"18T00:59": off_peak, "18T01:00": full, "18T03:59": full, "18T04:00": off_peak, "18T06:00": full}
    times |= {"18T09:59": full, "18T10:00": off_peak, "18T23:59": off_peak, "20T09:59": full, "20T23:59": off_peak}
    times |= {"21T00:00": off_peak, "21T01:00": off_peak, "22T09:59": off_peak, "23T00:59": off_peak, "23T01:00": full}
    for time, expected in times.items():
        assert due(found.sheet.models[0], at=f"2026-11-{time}:00Z") == expected, time
    assert found.warnings == []
    assert parse_sheet(sheet_bytes(found.sheet)) == found.sheet
    every_day = whole(input_cost_per_token=3e-07, off_peak_pricing={**block, "windows": [], "hours_utc": "22:00-02:00"})
    assert every_day.sheet is not None and every_day.warnings == []
    assert due(every_day.sheet.models[0], at="2026-11-18T01:59:00Z") == {"input": "0.15"}


ALL_DAY = "00:00-00:00"


@pytest.mark.parametrize(
    ("block", "labels", "warning"),
    [
        ({"hours_utc": ALL_DAY}, ["00:00 to 12:00 UTC", "12:00 to 00:00 UTC"], None),
        ({"windows": [{"hours_utc": ALL_DAY, "weekdays": [6]}]}, ["24 hours from 00:00 UTC on sat"], None),
        (
            {"windows": [{"hours_utc": ALL_DAY, "weekdays": [1]}], "weekday_timezone": "Asia/Shanghai"},
            ["00:00 to 16:00 UTC on mon", "16:00 to 00:00 UTC on sun"],
            None,
        ),
        (
            {"windows": [{"hours_utc": "15:00-20:00", "weekdays": [6, 7]}], "weekday_timezone": "Asia/Shanghai"},
            ["16:00 to 20:00 UTC on fri", "15:00 to 20:00 UTC on sat", "15:00 to 16:00 UTC on sun"],
            None,
        ),
        (
            # LiteLLM looks at the weekday of the instant, not at that of the start.
            {"windows": [{"hours_utc": "22:00-06:00", "weekdays": [5]}], "weekday_timezone": "UTC"},
            ["00:00 to 06:00 UTC on fri", "22:00 to 00:00 UTC on fri"],
            None,
        ),
        (
            {"hours_utc": "01:00-02:00", "windows": [{"hours_utc": "01:30-03:00", "weekdays": [7]}]},
            ["01:00 to 02:00 UTC", "01:00 to 03:00 UTC on sun"],
            None,
        ),
        (
            {
                "hours_utc": "01:00-02:00",
                "windows": [{"hours_utc": ALL_DAY, "weekdays": [6, 7]}],
                "weekday_timezone": "Europe/Paris",
            },
            ["01:00 to 02:00 UTC"],
            "hours by the weekdays of this timezone are not read",
        ),
        ({"hours_utc": "23:00-02:00", "weekday_timezone": "Europe/Paris"}, ["23:00 to 02:00 UTC"], None),
        ({"windows": []}, [], "has no hours"),
    ],
)
def test_off_peak_hours_are_stretches_in_utc(block: dict[str, object], labels: list[str], warning: str | None) -> None:
    """Those of every day first; a timezone that changes its clocks has no weekly hours in UTC."""
    found = whole(input_cost_per_token=3e-07, off_peak_pricing={"input_cost_per_token": 1e-07, **block})
    assert found.sheet is not None
    assert [case.when.label for case in found.sheet.models[0].cases] == labels
    assert found.warnings == ([f"off_peak_pricing: {warning}: 1 entry, such as p/m"] if warning else [])


def is_off_peak(block: dict[str, Any], at: datetime) -> bool:
    """As LiteLLM's documents have it: the time of day in UTC, the weekday by the calendar of a timezone."""
    local = at.astimezone(ZoneInfo(block.get("weekday_timezone", "UTC")))
    time = f"{at:%H:%M}"
    for rule in [{"hours_utc": block.get("hours_utc", [])}, *block.get("windows", [])]:
        hours = rule["hours_utc"] if isinstance(rule["hours_utc"], list) else [rule["hours_utc"]]
        for start, end in (each.split("-") for each in hours):
            is_in = start <= time < end if start < end else time >= start or time < end
            if is_in and local.isoweekday() in rule.get("weekdays", range(1, 8)):
                return True
    return False


def assert_off_peak_as_litellm_has_it(found: Model, block: dict[str, Any], every_minutes: int) -> int:
    """At steps of a week and just before each, through the compiled cases; the number that are off-peak."""
    cases, monday, off_peak = Cases(found.cases), datetime(2026, 11, 16, tzinfo=UTC), 0
    for minute in range(0, 7 * 1440, every_minutes):
        for before in (0, 1):
            at = monday + timedelta(minutes=minute, microseconds=-before)
            chosen = cases.choose(UNSET, UNSET, {"input": 1}, parse_time(at.isoformat()))
            expected = is_off_peak(block, at)
            assert (chosen != 0) is expected, (found.key, at)
            off_peak += expected and not before
    return off_peak


_clocks = st.builds(lambda hour, quarter: f"{hour:02d}:{quarter * 15:02d}", st.integers(0, 23), st.integers(0, 3))
_hours = st.builds(lambda start, end: f"{start}-{end}", _clocks, _clocks)
_windows = st.fixed_dictionaries(
    {"hours_utc": _hours | st.lists(_hours, min_size=1, max_size=3)},
    optional={"weekdays": st.lists(st.integers(1, 7), min_size=1, unique=True)},
)


@settings(max_examples=40)
@given(st.lists(_windows, min_size=1, max_size=3), st.sampled_from([{}, {"weekday_timezone": "Asia/Shanghai"}]))
def test_any_weekly_hours_are_those_of_litellm(windows: list[dict[str, Any]], timezone: dict[str, str]) -> None:
    """In both calendars, at the edges of every quarter of an hour of a week."""
    block = {"windows": windows, **timezone}
    found = model(input_cost_per_token=3e-07, off_peak_pricing={"input_cost_per_token": 1e-07, **block})
    assert_off_peak_as_litellm_has_it(found, block, 15)


def test_what_is_in_a_block_and_not_read_is_named_too() -> None:
    """A range of the prompt may be of a service tier; off-peak prices may not, and are for some hours of a day."""
    found = whole(
        input_cost_per_token=1e-06,
        input_cost_per_token_flex=5e-07,
        tiered_pricing=[
            {"range": [1000, 2000], "input_cost_per_token_flex": 7e-07, "output_cost_per_token": None, "dbu_cost": 1},
            {"input_cost_per_token_above_3k_tokens": 2e-06},
        ],
        off_peak_pricing={
            "input_cost_per_token": 0,
            "input_cost_per_token_flex": 3e-07,
            "hidden_cost": 1,
            "hours_utc": "00:00-01:00",
        },
    )
    assert found.sheet is not None
    (made,) = found.sheet.models
    assert [due(made, tokens, tier=tier) for tokens in (1000, 1001) for tier in (None, "flex")] == [
        {"input": "1"}, {"input": "0.5"}, {"input": "1"}, {"input": "0.7"}
    ]  # fmt: skip
    assert due(made, 3001) == {"input": "2"}
    assert found.warnings == [
        "input off-peak: is 0 beside other prices, kept: 1 entry, such as p/m",
        "off_peak_pricing.hidden_cost: unknown field, not read: 1 entry, such as p/m",
        "off_peak_pricing: prices by service tier or threshold are not read: 1 entry, such as p/m",
        "tiered_pricing.dbu_cost: unknown field, not read: 1 entry, such as p/m",
    ]


# --- names


@pytest.mark.parametrize(
    ("keys", "aliases"),
    [
        ({"azure/gpt-4o": "azure", "gpt-4o": "openai"}, [("gpt-4o",), ()]),
        ({"azure/eu/gpt-4o": "azure"}, [("eu/gpt-4o",)]),
        ({"vertex_ai/gemini": "vertex_ai-language-models"}, [("gemini",)]),
        ({"vertex_ai/gemini": "vertex_ai-language-models", "gemini": "vertex_ai-language-models"}, [(), ()]),
        ({"vertex_ai/x": "vertex_ai-a", "vertex_ai-a/x": "vertex_ai-a"}, [(), ()]),
        ({"1024-x-1024/dall-e-2": "openai"}, [()]),
    ],
)
def test_what_follows_the_provider_is_an_alias_unless_another_has_it(
    keys: dict[str, str], aliases: list[tuple[str, ...]]
) -> None:
    """Within the provider: the names of other providers' models do not matter."""
    sheet = imported({key: {"litellm_provider": of, "input_cost_per_token": 1} for key, of in keys.items()}).sheet
    assert sheet is not None
    assert [(model.key, model.provider, model.aliases) for model in sheet.models] == [
        (key, of, names) for (key, of), names in zip(keys.items(), aliases, strict=True)
    ]


@pytest.mark.parametrize(("value", "problem"), [(b"[]", "document: must be an object, found []"), (b"{", "document: ")])
def test_another_document_is_refused(value: bytes, problem: str) -> None:
    found = IMPORTERS["litellm"](value, OPTIONS)
    assert found.sheet is None and len(found.problems) == 1 and found.problems[0].startswith(problem)


@pytest.mark.parametrize(
    ("entries", "problem"),
    [({}, "document: has no models"), ({"gpt-4o": {"pricing_config": {}}}, "document: no model has a price")],
)
def test_a_map_that_comes_to_no_model_is_refused(entries: dict[str, object], problem: str) -> None:
    """Such as another source's document, which would be published as a sheet without a price."""
    found = imported(entries)
    assert (found.sheet, found.problems) == (None, [problem])
    assert found.skipped == [(name, "has no price") for name in entries]


# --- the whole map


@pytest.fixture(scope="module")
def whole_map() -> Imported:
    return IMPORTERS["litellm"](MAP.read_bytes(), OPTIONS)


@needs_the_map
def test_every_entry_of_the_map_is_imported_or_listed(whole_map: Imported) -> None:
    """147 entries have no plain number as price; of these 52 have ranges of the prompt or prices by unit."""
    sheet = whole_map.sheet
    assert sheet is not None and whole_map.problems == []
    assert Counter(reason for _, reason in whole_map.skipped) == {
        "has no price": 95,
        UNKNOWN_ZERO: 116,
    }
    assert len(sheet.models) == 4341
    assert [*sorted(model.key for model in sheet.models), *sorted(name for name, _ in whole_map.skipped)] == [
        *sorted({model.key for model in sheet.models}),
        *sorted({name for name, _ in whole_map.skipped}),
    ]
    assert len(sheet.models) + len(whole_map.skipped) == 4552 == len(json.loads(MAP.read_bytes())) - 1
    assert sum(len(model.cases) for model in sheet.models) == 2207
    assert sum(1 for model in sheet.models if model.aliases) == 3590
    assert sheet.source is not None and sheet.source.sha256 == sha256(MAP.read_bytes()).hexdigest()
    assert format_of(MAP.read_bytes()) == "litellm"


@needs_the_map
def test_what_the_map_says_beyond_its_prices_is_named(whole_map: Imported) -> None:
    """No warning but these is about what was not read."""
    assert [line for line in whole_map.warnings if re.search(r"not read|^input_dbu|^output_dbu", line)] == [
        "input_dbu_cost_per_token: is in Databricks units, the price in USD counts: "
        "79 entries, such as databricks/databricks-bge-large-en",
        "output_dbu_cost_per_token: is in Databricks units, the price in USD counts: "
        "76 entries, such as databricks/databricks-bge-large-en",
        "provider_specific_entry.minimax_free_input_images: unknown field, not read: "
        "2 entries, such as minimax/MiniMax-H3",
        "regional_endpoint_uplift_multiplier: is not read, a sheet cannot name every region but global: "
        "38 entries, such as vertex_ai/gemini-3.5-flash",
        "search_free_requests: is not read, free searches are charged as others: 47 entries, such as gemini-2.5-flash",
    ]
    assert len(whole_map.warnings) == 50


@needs_the_map
def test_the_off_peak_hours_of_the_map_are_those_of_litellm(whole_map: Imported) -> None:
    """All but 35 hours from Monday to Friday: outside of them the off-peak price is due, in them the full one."""
    assert whole_map.sheet is not None
    entries = json.loads(MAP.read_bytes(), parse_float=Decimal)
    found = [model for model in whole_map.sheet.models if "off_peak_pricing" in entries[model.key]]
    assert len(found) == 10
    for each in found:
        full, block = entries[each.key], entries[each.key]["off_peak_pricing"]
        assert assert_off_peak_as_litellm_has_it(each, block, 10) == (7 * 24 - 35) * 6
        for prices, at in ((full, "2026-11-20T09:59:59Z"), (block, "2026-11-21T09:59:59Z")):
            charged = due(each, at=at)
            assert isinstance(charged, dict)
            assert Decimal(charged["input"]) == prices["input_cost_per_token"] * 1_000_000
            assert Decimal(charged["output"]) == prices["output_cost_per_token"] * 1_000_000


@needs_the_map
def test_every_plain_token_price_of_the_map_is_due_where_its_key_says(whole_map: Imported) -> None:
    """Read again from the JSON with a shorter rule, and looked up as an event would be."""
    assert whole_map.sheet is not None
    models = {model.key: model for model in whole_map.sheet.models}
    rule = re.compile(
        r"(input|output|cache_read|cache_creation)_(?:cost_per_token|input_token_cost)"
        r"(?:_above_(\d+)k_tokens)?(?:_(flex|priority|batches))?"
    )
    checked: Counter[str] = Counter()
    for key, entry in json.loads(MAP.read_bytes(), parse_float=Decimal, parse_int=Decimal).items():
        if key not in models or "off_peak_pricing" in entry or "tiered_pricing" in entry:
            continue
        for field, price in entry.items():
            match = rule.fullmatch(field)
            if match is None:
                continue
            tokens, tier = int(match[2] or 0) * 1000 + 1, {"batches": "batch"}.get(match[3], match[3])
            prices = due(models[key], tokens, tier=tier)
            assert isinstance(prices, dict)
            assert Decimal(prices[match[1]]) == price * 1_000_000, (key, field)
            checked[match[1]] += 1
    assert checked == {"input": 5209, "output": 5168, "cache_read": 2737, "cache_creation": 887}


KNOWN = (
    ("openai", "gpt-4o", None, {"input": 1000, "output": 100}, "0.0035"),
    ("openai", "gpt-4o", "batch", {"input": 1000, "output": 100}, "0.00175"),
    ("anthropic", "claude-sonnet-4-5", None, {"input": 200_000}, "0.6"),
    ("bedrock_converse", "anthropic.claude-sonnet-4-5-20250929-v1:0", None, {"input": 200_000}, "0.6"),
    ("bedrock_converse", "anthropic.claude-sonnet-4-5-20250929-v1:0", None, {"input": 200_001}, "1.200006"),
    ("openai", "o3", None, {"input": 1000, "output": 1000}, "0.01"),
)


@needs_the_map
@pytest.mark.parametrize(("provider", "name", "tier", "tokens", "amount"), KNOWN)
def test_known_amounts(
    whole_map: Imported, provider: str, name: str, tier: str | None, tokens: dict[str, int], amount: str
) -> None:
    """As the providers publish them (openai.com/api/pricing, docs.anthropic.com "Pricing")."""
    assert whole_map.sheet is not None
    (found,) = [model for model in whole_map.sheet.models if (model.provider, model.key) == (provider, name)]
    prices = due(found, sum(count for kind, count in tokens.items() if kind != "output"), tier=tier)
    assert isinstance(prices, dict)
    assert sum(Decimal(prices[kind]) * count for kind, count in tokens.items()) / 1_000_000 == Decimal(amount)


@needs_the_map
def test_importing_the_map_twice_gives_the_same_bytes_without_a_float(whole_map: Imported) -> None:
    """And what is written is read back to the same sheet."""
    again = IMPORTERS["litellm"](MAP.read_bytes(), OPTIONS)
    assert whole_map.sheet is not None and again.sheet is not None
    assert sheet_bytes(whole_map.sheet) == sheet_bytes(again.sheet)
    assert parse_sheet(sheet_bytes(again.sheet)) == whole_map.sheet
    assert floats(whole_map.sheet.model_dump()) == []


def floats(value: Any) -> list[float]:
    """Every float in a value."""
    if isinstance(value, dict | list | tuple):
        return [found for item in (value.values() if isinstance(value, dict) else value) for found in floats(item)]
    return [value] if isinstance(value, float) else []
