"""The importer of genai-prices: tiers, dates and hours as cases, names never guessed."""

import json
import re
from collections import Counter
from decimal import Decimal
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from pricing.cases import Cases
from pricing.importers import IMPORTERS, Imported, ImportOptions, format_of
from pricing.sheets import Model, parse_sheet, sheet_bytes
from pricing.times import parse_time

OPTIONS = ImportOptions("genai", "2026-11-22", parse_time("2026-11-22T00:00:00Z"))
DATA = Path(__file__).parents[3] / "shared" / "data" / "genai-prices" / "data.json"
needs_the_data = pytest.mark.skipif(not DATA.exists(), reason=f"the real prices are not there: {DATA}")


def imported(*models: object, **provider: object) -> Imported:
    """The import of the models of one provider `p`."""
    text = json.dumps([{"id": "p", **provider, "models": models}])
    # "<1e-7>" is a number that json.dumps would write in another way.
    return IMPORTERS["genai-prices"](re.sub('"<(.*?)>"', r"\1", text).encode(), OPTIONS)


def whole(prices: object) -> Imported:
    return imported({"id": "m", "prices": prices})


def model(prices: object) -> Model:
    sheet = whole(prices).sheet
    assert sheet is not None
    return sheet.models[0]


def due(found: Model, tokens: int = 1000, at: str = "2026-11-18T12:00:00Z") -> dict[str, str]:
    """The prices of usage with so many input tokens, as text."""
    number = Cases(found.cases).choose(UNSET, UNSET, {"input": tokens}, parse_time(at))
    assert number is not None
    chosen = found if number == 0 else found.cases[number - 1]
    return {name: f"{price:f}" for name, price in {**chosen.prices, **chosen.units}.items()}


# --- prices

KINDS = (
    ("input_mtok", 3, "input", "3"),
    ("output_mtok", 15, "output", "15"),
    ("cache_read_mtok", 0.3, "cache_read", "0.3"),
    ("cache_write_mtok", 3.75, "cache_creation", "3.75"),
    ("cache_write_1h_mtok", 6, "cache_creation_1h", "6"),
    ("input_audio_mtok", 40, "input_audio", "40"),
    ("output_audio_mtok", 80, "output_audio", "80"),
    ("cache_audio_read_mtok", 2.5, "cache_read_audio", "2.5"),
    ("output_image_mtok", 30, "output_image", "30"),
    ("requests_kcount", 12, "request", "0.012"),
    ("web_searches_kcount", "<7.5>", "web_search", "0.0075"),
)


@pytest.mark.parametrize(("key", "given", "name", "price"), KINDS, ids=[key for key, *_ in KINDS])
def test_a_price_is_for_a_kind_of_token_or_for_a_thousand(key: str, given: object, name: str, price: str) -> None:
    assert due(model({key: given})) == {name: price}


@given(st.decimals(min_value=0, max_value=10**6, allow_nan=False, allow_infinity=False, places=12))
def test_prices_are_exactly_those_written(price: Decimal) -> None:
    found = model({"input_mtok": f"<{price:f}>", "output_mtok": f"<{price:E}>", "requests_kcount": f"<{price:f}>"})
    assert found.prices == {"input": price, "output": price}
    assert found.units == {"request": price * Decimal("0.001")}


def test_an_unknown_price_is_named_and_null_is_none() -> None:
    found = whole({"input_mtok": 3, "output_mtok": None, "audio_hours": 1})
    assert found.sheet is not None and found.sheet.models[0].prices == {"input": Decimal(3)}
    assert found.warnings == ["audio_hours: unknown price, not read: 1 entry, such as p/m"]


def test_a_tier_is_for_all_tokens_of_a_request_with_more_input_than_its_start() -> None:
    """What has fewer tiers keeps its price."""
    found = model(
        {
            "input_mtok": {"base": 3, "tiers": [{"start": 500000, "price": 9}, {"start": 200000, "price": 6}]},
            "output_mtok": {"base": 15, "tiers": [{"start": 200000, "price": 22.5}]},
            "cache_read_mtok": 0.3,
        }
    )
    assert [due(found, tokens) for tokens in (1, 200_000, 200_001, 500_000, 500_001)] == [
        {"input": input_, "output": output, "cache_read": "0.3"}
        for input_, output in (("3", "15"), ("3", "15"), ("6", "22.5"), ("6", "22.5"), ("9", "22.5"))
    ]


def priced(price: int, **constraint: str) -> dict[str, object]:
    return {"prices": {"input_mtok": price}, **({"constraint": constraint} if constraint else {})}


JUNE, JULY = priced(2, start_date="2025-06-10"), priced(3, start_date="2025-07-01")
HOURS = priced(4, start_time="00:30:00Z", end_time="16:30:00Z")
SITUATIONS = (
    ([priced(1), JUNE], {"2025-06-09T23:59:59Z": "1", "2025-06-10T00:00:00Z": "2", "2025-06-10T01:00:00+02:00": "1"}),
    ([priced(1), JUNE, JULY], {"2025-06-09T00:00:00Z": "1", "2025-06-30T00:00:00Z": "2", "2025-07-01T00:00:00Z": "3"}),
    ([priced(1), JULY, JUNE], {"2025-06-30T00:00:00Z": "2", "2025-07-01T00:00:00Z": "2"}),
    ([JUNE, priced(1), JULY], {"2025-06-30T00:00:00Z": "1", "2025-07-01T00:00:00Z": "3"}),
    ([JUNE, JULY], {"2025-06-01T00:00:00Z": "2", "2025-06-30T00:00:00Z": "2", "2025-07-01T00:00:00Z": "3"}),
    ([priced(1), HOURS], {"2025-01-01T00:29:59Z": "1", "2025-01-01T00:30:00Z": "4", "2025-01-01T16:30:00Z": "1"}),
)  # fmt: skip


@pytest.mark.parametrize(("prices", "expected"), SITUATIONS)
def test_the_last_price_whose_constraint_holds_counts(prices: object, expected: dict[str, str]) -> None:
    """Else the one without a constraint, else the first; dates and hours are in UTC."""
    found = model(prices)
    assert {at: due(found, at=at)["input"] for at in expected} == expected


def test_tiers_and_dates_are_combined() -> None:
    tiers = {"input_mtok": {"base": 3, "tiers": [{"start": 200000, "price": 6}]}}
    found = model([{"prices": tiers}, priced(2, start_date="2026-03-13")])
    rows = ((200_000, "2026-03-12", "3"), (200_001, "2026-03-12", "6"), (200_001, "2026-03-13", "2"))
    assert [due(found, tokens, f"{date}T00:00:00Z")["input"] for tokens, date, _ in rows] == [row[2] for row in rows]


NO_SITUATION = "constraint: must be a start date or a time of day in UTC, found "
REASONS: tuple[tuple[object, str], ...] = (
    ({}, "has no price"),
    ({"input_mtok": None}, "has no price"),
    ({"audio_hours": 1}, "has no price"),
    (None, "prices: must be an object, found null"),
    ([], "prices: must be an object or some, found []"),
    ({"input_mtok": "free"}, 'input_mtok: must be a number, found "free"'),
    ({"input_mtok": -1}, "input_mtok: must not be negative, found -1"),
    ({"requests_kcount": "<1e-23>"}, "requests_kcount: 1E-26 has more than 24 digits after the point"),
    ({"input_mtok": {"base": 1}}, "input_mtok: tiers must be objects, found null"),
    ({"input_mtok": {"tiers": []}}, "input_mtok: must be a number, found null"),
    (
        {"input_mtok": {"base": 1, "tiers": [{"start": 0, "price": 1}]}},
        "input_mtok: a tier must start at a count over 0, found 0",
    ),
    ([priced(1, start_date="2025-02-30")], "constraint: '2025-02-30T00:00:00Z' has no such year, month or day"),
    ([priced(1, start_date="2025")], f'{NO_SITUATION}{{"start_date": "2025"}}'),
    ([priced(1, start_time="16:30:00Z", end_time="00:30:00Z")],
     f'{NO_SITUATION}{{"start_time": "16:30:00Z", "end_time": "00:30:00Z"}}'),
    ([priced(1, start_time="00:30:30Z", end_time="16:30:00Z")],
     f'{NO_SITUATION}{{"start_time": "00:30:30Z", "end_time": "16:30:00Z"}}'),
    ([priced(1, until="2025-01-01")], f'{NO_SITUATION}{{"until": "2025-01-01"}}'),
)  # fmt: skip


@pytest.mark.parametrize(("prices", "reason"), REASONS)
def test_a_model_without_a_usable_price_is_skipped_with_its_reason(prices: object, reason: str) -> None:
    """And the others are imported."""
    found = imported({"id": "bad", "prices": prices}, {"id": "good", "prices": {"input_mtok": 1}})
    assert found.problems == []
    assert found.skipped == [("p/bad", reason)]
    assert found.sheet is not None and [model.key for model in found.sheet.models] == ["good"]


@pytest.mark.parametrize(
    ("models", "problem"),
    [((), "document: has no models"), (({"id": "m", "prices": {}},), "document: no model has a price")],
)
def test_data_that_come_to_no_model_are_refused(models: tuple[object, ...], problem: str) -> None:
    found = imported(*models)
    assert (found.sheet, found.problems) == (None, [problem])


# --- names

PRICE = {"input_mtok": 1}
NAMES: tuple[tuple[object, tuple[str, ...], tuple[str, ...], list[str]], ...] = (
    ({"equals": "m"}, (), (), []),
    ({"equals": "m-1"}, ("m-1",), (), []),
    ({"starts_with": "m-"}, (), ("m-",), []),
    ({"or": [{"equals": "a"}, {"or": [{"starts_with": "b"}, {"equals": "c"}]}]}, ("a", "c"), ("b",), []),
    ({"or": [{"equals": "a"}, {"equals": "a"}, {"equals": "m"}]}, ("a",), (), []),
    ({"contains": "m"}, (), (), ["match.contains"]),
    ({"or": [{"regex": "^m"}, {"ends_with": "m"}, {"equals": "a"}]}, ("a",), (), ["match.ends_with", "match.regex"]),
    ({"and": [{"starts_with": "m"}, {"contains": "x"}]}, (), (), ["match.and"]),
    ({"equals": ""}, (), (), ["match.equals"]),
    (None, (), (), []),
)  # fmt: skip


@pytest.mark.parametrize(("match", "aliases", "prefixes", "not_read"), NAMES)
def test_names_that_are_exact_or_begin_alike_are_taken_over(
    match: object, aliases: tuple[str, ...], prefixes: tuple[str, ...], not_read: list[str]
) -> None:
    """What contains or matches something would be a guess."""
    found = imported({"id": "m", "name": "M", "match": match, "prices": PRICE})
    assert found.sheet is not None
    (made,) = found.sheet.models
    assert (made.key, made.name, made.provider) == ("m", "M", "p")
    assert (made.aliases, made.prefixes) == (aliases, prefixes)
    assert found.warnings == [
        f"{clause}: is not read, a name has to be exact or a prefix: 1 entry, such as p/m" for clause in not_read
    ]


def test_a_name_is_of_one_model() -> None:
    """A key before an alias, the first model of an alias before a later one; of equal keys neither is meant."""
    found = imported(
        {"id": "a", "match": {"or": [{"equals": "b"}, {"equals": "c"}]}, "prices": PRICE},
        {"id": "b", "match": {"equals": "c"}, "prices": PRICE},
        *({"id": "twice", "prices": PRICE} for _ in range(2)),
    )
    assert found.sheet is not None
    assert [(made.key, made.aliases) for made in found.sheet.models] == [("a", ("c",)), ("b", ())]
    assert found.skipped == [("p/twice", "another model of the provider has the same id")] * 2
    assert found.warnings == ["match.equals: is not read where another model has the name: 2 entries, such as p/a"]


def test_the_models_of_other_providers_are_not_taken_over() -> None:
    found = imported(fallback_model_providers=["openai"])
    assert found.warnings == [
        "fallback_model_providers: is not read, the models of other providers are not taken over: 1 entry, such as p"
    ]


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (b"{}", "providers: must be an array, found {}"),
        (b"[1]", "providers[0]: must be an object, found 1"),
        (b'[{"models": []}]', "providers[0].id: is missing"),
        (b'[{"id": "p"}]', "providers[0].models: is missing"),
        (b"[", "document: not JSON: Expecting value: line 1 column 2 (char 1)"),
    ],
)
def test_another_document_is_refused(value: bytes, problem: str) -> None:
    found = IMPORTERS["genai-prices"](value, OPTIONS)
    assert (found.sheet, found.problems) == (None, [problem])


# --- the whole data


@pytest.fixture(scope="module")
def whole_data() -> Imported:
    return IMPORTERS["genai-prices"](DATA.read_bytes(), OPTIONS)


@needs_the_data
def test_every_model_of_the_data_is_imported_or_listed(whole_data: Imported) -> None:
    """34 providers, 1,442 models."""
    sheet = whole_data.sheet
    assert sheet is not None and whole_data.problems == []
    assert Counter(reason for _, reason in whole_data.skipped) == {"has no price": 157}
    assert len(sheet.models) == 1285 == 1442 - 157
    assert len({model.provider for model in sheet.models}) == 34
    assert sum(len(model.cases) for model in sheet.models) == 29
    assert sum(len(model.aliases) for model in sheet.models) == 742
    assert sum(len(model.prefixes) for model in sheet.models) == 126
    assert whole_data.warnings == [
        "fallback_model_providers: is not read, the models of other providers are not taken over: "
        "2 entries, such as azure",
        "match.contains: is not read, a name has to be exact or a prefix: 101 entries, such as anthropic/claude-2",
        "match.ends_with: is not read, a name has to be exact or a prefix: 1 entry, such as google/gemini-2.0-flash",
        "match.regex: is not read, a name has to be exact or a prefix: 5 entries, such as google/gemini-3.5-flash",
    ]
    assert sheet.source is not None and sheet.source.sha256 == sha256(DATA.read_bytes()).hexdigest()
    assert format_of(DATA.read_bytes()) == "genai-prices"


KNOWN = (
    ("anthropic", "claude-sonnet-4-5", "2025-11-01T00:00:00Z", {"input": 200_000}, "0.6"),
    ("anthropic", "claude-sonnet-4-5", "2025-11-01T00:00:00Z", {"input": 200_001}, "1.200006"),
    ("openai", "gpt-4o", "2025-11-01T00:00:00Z", {"input": 1000, "output": 100}, "0.0035"),
    ("openai", "o3", "2025-06-09T23:59:59Z", {"input": 1000, "output": 1000}, "0.05"),
    ("openai", "o3", "2025-06-10T00:00:00Z", {"input": 1000, "output": 1000}, "0.01"),
    ("anthropic", "claude-3-7-sonnet-20250219", "2025-11-01T00:00:00Z",
     {"input": 3, "cache_creation": 12_304, "output": 550}, "0.054399"),
    ("deepseek", "deepseek-chat", "2025-05-01T00:29:59Z", {"input": 1_000_000}, "0.135"),
    ("deepseek", "deepseek-chat", "2025-05-01T00:30:00Z", {"input": 1_000_000}, "0.27"),
    ("perplexity", "sonar", "2025-11-01T00:00:00Z", {"input": 1000, "output": 1000, "request": 1}, "0.014"),
)  # fmt: skip


@needs_the_data
@pytest.mark.parametrize(("provider", "name", "at", "usage", "amount"), KNOWN)
def test_known_amounts(
    whole_data: Imported, provider: str, name: str, at: str, usage: dict[str, int], amount: str
) -> None:
    """As genai-prices itself has them in its tests and its calculator."""
    assert whole_data.sheet is not None
    found = whole_data.sheet.names.find(name, provider)
    assert found is not None
    prices = due(found, sum(count for kind, count in usage.items() if kind not in {"output", "request"}), at)
    millionths = sum(
        Decimal(prices[kind]) * count * (10**6 if kind == "request" else 1) for kind, count in usage.items()
    )
    assert millionths / 1_000_000 == Decimal(amount)


@needs_the_data
def test_importing_the_data_twice_gives_the_same_bytes_without_a_float(whole_data: Imported) -> None:
    """And what is written is read back to the same sheet."""
    again = IMPORTERS["genai-prices"](DATA.read_bytes(), OPTIONS)
    assert whole_data.sheet is not None and again.sheet is not None
    assert sheet_bytes(whole_data.sheet) == sheet_bytes(again.sheet)
    assert parse_sheet(sheet_bytes(again.sheet)) == whole_data.sheet
    assert "float" not in {type(price).__name__ for made in again.sheet.models for price in made.prices.values()}
