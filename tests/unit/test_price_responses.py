"""`stream-pricing price --surface`: a provider's response, priced by hand."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from pricing.model_names import ModelNames
from pricing.models import Model
from streams.cli import main

RESPONSE = {
    "id": "chatcmpl-1",
    "model": "gpt-x-2026-01-02",
    "choices": [{"message": {"content": "hi"}}],
    "usage": {
        "prompt_tokens": 1200,
        "completion_tokens": 100,
        "total_tokens": 1300,
        "prompt_tokens_details": {"cached_tokens": 200},
    },
}
BATCH = {"when": {"service_tier": "batch"}, "prices": {"input": "1", "cache_read": "1", "output": "1"}}
NIGHT = {"when": {"since": "2027-01-01T00:00:00Z"}, "prices": {"input": "0", "cache_read": "0", "output": "0"}}


def model(key: str, provider: str | None, price: int, *cases: object) -> dict[str, object]:
    prices = {"input": str(price), "cache_read": "0.5", "output": "10"}
    given = {} if provider is None else {"provider": provider}
    return {"key": key, "category": "direct", "currency": "USD", "prices": prices, "cases": cases, **given}


def sheet(*models: dict[str, object]) -> dict[str, object]:
    return {
        "id": "mine",
        "version": "7",
        "effective_from": "2026-11-01T00:00:00Z",
        "dated_snapshots": True,
        "models": models,
    }


SHEET = sheet(model("gpt-x", "openai", 2, BATCH, NIGHT), model("gpt-x", "azure", 4), model("grok-x", "x-ai", 3))


@pytest.fixture
def places(tmp_path: Path) -> tuple[str, str]:
    """Files with a sheet and with another one, of what the same costs."""
    prices, costs = tmp_path / "sheet.json", tmp_path / "costs.json"
    prices.write_text(json.dumps(SHEET))
    costs.write_text(json.dumps(sheet(model("gpt-x", None, 1))))
    return str(prices), str(costs)


def price(places: tuple[str, str], *options: str, response: object = RESPONSE) -> Result:
    """The command with a response on stdin, on the surface of OpenAI unless another one is named."""
    how = ("--sheet", places[0], "--surface", "openai.chat_completions", *options, "-")
    return CliRunner().invoke(main, ["price", *how], input=json.dumps(response).encode())


def data(places: tuple[str, str], *options: str, response: object = RESPONSE) -> Any:
    """What --json prints of it."""
    result = price(places, "--json", *options, response=response)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_a_response_is_explained(places: tuple[str, str]) -> None:
    """1,200 prompt tokens are 1,000 and 200 from the cache; amounts in a reporting currency are not said twice."""
    assert price(places, "--cost-sheet", places[1]).stdout.splitlines() == [
        "event response from by-hand, ai.usage.response.v1",
        "  any / any, item gpt-x, sheet mine 7, list prices",
        "  surface openai.chat_completions, 1000 input, 200 cache_read, 100 output",
        "",
        "  input       1000 tokens; × 2 USD / 1,000,000 = 0.002 USD; costs 0.001 USD",
        "  cache_read  200 tokens; × 0.5 USD / 1,000,000 = 0.0001 USD; costs 0.0001 USD",
        "  output      100 tokens; × 10 USD / 1,000,000 = 0.001 USD; costs 0.001 USD",
        "",
        "  list      0.0031 USD",
        "  net       0.0031 USD",
        "  due       0.0031 USD",
        "  cost      0.0021 USD",
        "  margin    0.001 USD",
    ]


@pytest.mark.parametrize(
    ("options", "due"),
    [
        ((), "0.0031"),
        (("--time", "2026-12-31T23:59:59Z"), "0.0031"),
        (("--time", "2027-01-01T00:00:00Z"), "0"),
        (("--provider", "azure"), "0.0051"),
        (("--service-tier", "batch"), "0.0013"),
        (("--surface", "groq.chat_completions", "--model", "grok-x"), "0.0041"),
    ],
)
def test_what_the_response_does_not_say_is_an_option(
    places: tuple[str, str], options: tuple[str, ...], due: str
) -> None:
    """The provider is the surface's where the sheet has that one, and otherwise any."""
    options = options if "--time" in options else (*options, "--time", "2026-11-22T10:00:00Z")
    assert data(places, *options)["due"] == {"USD": due}


def test_a_response_without_a_model_needs_one_said(places: tuple[str, str]) -> None:
    """Bedrock's does not name it."""
    response = {"usage": {"inputTokens": 1_000_000, "outputTokens": 0, "totalTokens": 1_000_000}}
    how = ("--surface", "bedrock.converse", "--provider", "azure")
    assert data(places, *how, response=response)["rejected"] == "invalid_field"
    assert data(places, *how, "--model", "gpt-x", response=response)["due"] == {"USD": "4"}


def test_a_whole_response_may_be_large(places: tuple[str, str]) -> None:
    """What is not read of it is left out, as a producer does; the amounts are the same."""
    large = RESPONSE | {"choices": [{"message": {"content": "x" * 100_000}}]}
    assert data(places, response=large) == data(places)


def test_several_responses_are_priced_one_a_line(places: tuple[str, str]) -> None:
    """As events are."""
    how = ["price", "--sheet", places[0], "--surface", "openai.chat_completions", "--json", "-"]
    text = f"{json.dumps(RESPONSE)}\n\n{json.dumps(RESPONSE | {'usage': None})}\n"
    lines = CliRunner().invoke(main, how, input=text.encode()).stdout.splitlines()
    assert ["due" in json.loads(line) for line in lines] == [True, False]


def test_an_unknown_model_is_parked_with_those_that_are_called_alike(places: tuple[str, str]) -> None:
    """As xAI is called otherwise on the sheet than on the surface."""
    result = price(places, "--model", "grok-x")
    assert result.stdout.splitlines() == [
        "event number 1 is parked: no_price_for_model: model grok-x on sheet mine 7",
        "  the sheet has x-ai/grok-x",
    ]


@pytest.mark.parametrize(
    ("options", "text", "code", "said"),
    [
        (("--surface", "openai.chat_completions"), "[]", 1, "a response has to be a JSON object"),
        (("--surface", "openai.chat_completions"), "{", 1, "a response has to be a JSON object"),
        (("--model", "x"), "{}", 2, "with --surface only"),
        (("--time", "2026-11-22T10:00:00Z"), "{}", 2, "with --surface only"),
        (("--cost-sheet", "/nowhere"), "{}", 1, "/nowhere cannot be read"),
    ],
)
def test_what_cannot_be_meant_is_one_line(
    places: tuple[str, str], options: tuple[str, ...], text: str, code: int, said: str
) -> None:
    """Without a traceback."""
    result = CliRunner().invoke(main, ["price", "--sheet", places[0], *options, "-"], input=text.encode())
    assert (result.exit_code, said in result.output) == (code, True)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("gpt-x", ["openai/gpt-x", "azure/gpt-x"]),
        ("GPT-X", ["openai/gpt-x", "azure/gpt-x"]),
        ("gptx", ["openai/gpt-x", "azure/gpt-x"]),
        ("grok", ["x-ai/grok-x"]),
        ("claude", []),
    ],
)
def test_similar_names_are_found_for_people(name: str, found: list[str]) -> None:
    """Whatever their case; nothing is priced by them."""
    names = ModelNames([Model.model_validate_json(json.dumps(each)) for each in SHEET["models"]], dated_snapshots=False)  # type: ignore[attr-defined]
    assert [each.label for each in names.similar(name)] == found
