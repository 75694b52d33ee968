"""`sheets show`: what a model costs in every situation, as a table and as JSON, from a file."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from pricing.models import When
from pricing.sheets import parse_sheet
from streams.cli import main

AITRONOS = str(Path(__file__).parents[1] / "data" / "aitronos.json")
SHEET = {
    "id": "mine",
    "version": "7",
    "effective_from": "2026-11-01T00:00:00Z",
    "markup_percentage": "10",
    "models": [
        {
            "key": "gpt-x",
            "provider": "openai",
            "aliases": ["x"],
            "prefixes": ["gpt-x-"],
            "category": "direct",
            "currency": "USD",
            "prices": {"output": "10", "input": "2", "input_audio": "40"},
            "bands": {"input": [{"above": 128000, "price": "1"}]},
            "units": {"web_search": "0.01", "second": "0.5"},
            "cases": [
                {"when": {"service_tier": "batch", "input_over": 200000}, "prices": {"input": "3"}},
                {"when": {"regions": ["eu", "ch"]}, "prices": {"input": "4"}, "units": {"second": "1"}},
            ],
        },
        {"key": "gpt-x", "provider": "azure", "category": "direct", "currency": "USD", "prices": {"input": "5"}},
        {"key": "bare", "category": "direct", "currency": "EUR"},
    ],
}


@pytest.fixture
def place(tmp_path: Path) -> str:
    """A file with the sheet."""
    path = tmp_path / "sheet.json"
    path.write_text(json.dumps(SHEET))
    return str(path)


def show(*args: str) -> Result:
    return CliRunner().invoke(main, ["sheets", "show", *args], prog_name="stream-pricing")


def rows(*args: str) -> list[Any]:
    result = show(*args, "--json")
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_a_model_s_prices_are_a_table(place: str) -> None:
    """With the markup, by situation and beyond bands; other units beneath."""
    assert show("gpt-x", "--sheet", place, "--provider", "openai").stdout.splitlines() == [
        "gpt-x of openai, sheet mine@7 from 2026-11-01T00:00:00Z",
        "also called x",
        "and what begins with gpt-x-",
        "prices with a markup of 10 %",
        "",
        "USD per 1M tokens",
        "situation                        input  output  input_audio",
        "standard                         2.2    11      44",
        "standard, beyond 128,000 tokens  1.1",
        "batch, input over 200,000        3.3",
        "in eu or ch                      4.4",
        "",
        "USD per unit",
        "unit        situation    price",
        "second      standard     0.55",
        "web_search  standard     0.011",
        "second      in eu or ch  1.1",
    ]


def test_a_model_s_prices_are_rows_of_json(place: str) -> None:
    """Each with what it is the price of."""
    found = rows("gpt-x", "--sheet", place, "--provider", "openai")
    assert len(found) == 9
    assert found[1] == {
        "sheet": {"id": "mine", "version": "7"},
        "model": "gpt-x",
        "provider": "openai",
        "situation": "standard",
        "meter": "input",
        "above": 128000,
        "unit": "token",
        "price": "1.1",
        "per": "1000000",
        "currency": "USD",
    }
    assert (found[-1]["meter"], found[-1]["price"], found[-1]["per"]) == ("units.second", "1.1", "1")


def test_a_name_of_several_providers_shows_each(place: str) -> None:
    """As an event that says no provider might mean any."""
    assert [line for line in show("gpt-x", "--sheet", place).stdout.splitlines() if ", sheet " in line] == [
        "gpt-x of openai, sheet mine@7 from 2026-11-01T00:00:00Z",
        "gpt-x of azure, sheet mine@7 from 2026-11-01T00:00:00Z",
    ]


def test_synapses_are_multiplied_out() -> None:
    """13.2 per 1M synapses at the base multiplier 2 and priority high 2 are 52.8 per 1M tokens."""
    found = {
        (row["situation"], row["meter"]): (row["price"], row["per"]) for row in rows("ftg-3.0-pro", "--sheet", AITRONOS)
    }
    assert found["priority default", "input"] == ("26.4", "1000000")
    assert found["priority high", "input"] == ("52.8", "1000000")
    assert found["priority high", "seconds"] == ("0.0000264", "1")


def test_a_model_without_a_price_says_so(place: str) -> None:
    """Which is another thing than a price of 0."""
    lines = show("bare", "--sheet", place).stdout.splitlines()
    assert (lines[0], lines[-1]) == ("bare, sheet mine@7 from 2026-11-01T00:00:00Z", "it has no price")


def test_a_price_of_one_token_stands_under_no_million(tmp_path: Path) -> None:
    """As fal bills some endpoints: the unit is a token, and its price that of one."""
    model = {"key": "fal-x", "category": "direct", "currency": "USD", "units": {"token": "0.000002"}}
    place = tmp_path / "sheet.json"
    place.write_text(json.dumps({**SHEET, "markup_percentage": "0", "models": [model]}))
    lines = show("fal-x", "--sheet", str(place)).stdout.splitlines()
    assert lines[-1].split() == ["token", "standard", "0.000002"]
    assert not [line for line in lines if "1M" in line]


def test_a_whole_file_is_shown_without_a_model(place: str) -> None:
    """A line a model; columns that nobody fills are left out."""
    assert show("--sheet", place).stdout.splitlines() == [
        "sheet mine@7 from 2026-11-01T00:00:00Z",
        "provider  model  category  currency  input  output  input_audio  others              situations",
        "openai    gpt-x  direct    USD       2      10      40           web_search, second  3",
        "azure     gpt-x  direct    USD       5",
        "          bare   direct    EUR",
        "",
        "field              value",
        "markup_percentage  10",
    ]
    assert parse_sheet(show("--sheet", place, "--json").stdout.encode()) == parse_sheet(json.dumps(SHEET).encode())


def test_a_whole_file_may_be_shown_for_one_provider(place: str) -> None:
    """Its models and those of any."""
    lines = show("--sheet", place, "--provider", "azure").stdout.splitlines()
    assert lines[1:4] == [
        "provider  model  category  currency  input",
        "azure     gpt-x  direct    USD       5",
        "          bare   direct    EUR",
    ]


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (("--sheet", "{place}", "--provider", "groq"), 1, "no provider 'groq' in sheet mine 7; there is azure, openai"),
        (("--sheet", AITRONOS, "--provider", "groq"), 1, "all models there are of any provider"),
        (("mine@v1", "v2"), 2, "'mine@v1' has a version already: 'v2' is one argument too many"),
        (
            ("gpt-x", "v1", "--sheet", "mine@v2"),
            2,
            "'v1' is one argument too many: the sheet is that of --sheet, 'mine@",
        ),
        (("mine", "--format", "litellm"), 2, "--format litellm is that of a --sheet, and 'mine' is published"),
        ((), 2, "give the ID of a sheet or a MODEL, or a --sheet"),
        (("gpt-y", "--sheet", "{place}"), 1, "no model 'gpt-y' on sheet mine 7; there is openai/gpt-x, azure/gpt-x"),
        (("zzz", "--sheet", "{place}"), 1, "Error: no model 'zzz' on sheet mine 7\n"),
        (("gpt-x", "--sheet", "{place}", "--provider", "groq"), 1, "no model 'gpt-x' on sheet mine 7; there is"),
        (("gpt-x", "--sheet", "nowhere.json"), 1, "nowhere.json cannot be read"),
        (("gpt-x", "--sheet", "{place}", "--format", "litellm"), 1, "problem: document: no model has a price"),
    ],
)
def test_what_is_not_there_is_one_line(place: str, args: tuple[str, ...], code: int, said: str) -> None:
    """With what there is in its place."""
    result = show(*(arg.format(place=place) for arg in args))
    assert (result.exit_code, said.format(place=place) in result.stderr) == (code, True), result.stderr


@pytest.mark.parametrize(
    ("when", "label"),
    [
        ({"service_tier": "flex", "regions": ["eu"]}, "flex, in eu"),
        ({"input_from": 0}, "input from 0"),
        ({"input_over": 1_000_000}, "input over 1,000,000"),
        (
            {"since": "2026-01-01T00:00:00Z", "until": "2026-02-01T00:00:00Z"},
            "since 2026-01-01T00:00:00Z, until 2026-02-01T00:00:00Z",
        ),
        ({"daily": {"start": "16:30", "end": "00:30"}}, "16:30 to 00:30 UTC"),
        ({"daily": {"start": "22:00", "end": "02:00", "weekdays": ["fri"]}}, "22:00 to 02:00 UTC on fri"),
        (
            {"daily": {"start": "00:00", "end": "00:00", "weekdays": ["sat", "sun"]}},
            "24 hours from 00:00 UTC on sat or sun",
        ),
    ],
)
def test_a_situation_is_said_in_words(when: dict[str, object], label: str) -> None:
    """Every condition of it."""
    assert When.model_validate_json(json.dumps(when)).label == label
