"""898 real responses by the prices of genai-prices, and what genai-prices itself says they cost.

`expected` has an input and an output price where its engine finds the model: a second opinion by the same prices (of a
day nearby), not truth. The reader of the body's own surface is asked (READERS of the golden responses), our price is
what the pipeline gives for an `ai.usage.response.v1` with the sheet that is imported from the data.json.
"""

import json
from collections import Counter
from decimal import Context, Decimal
from pathlib import Path
from typing import Any

import pytest

from pricing.errors import InvalidUsage
from pricing.money import ZERO, exact
from pricing.rating import Missing
from tests.market import GENAI, book_in, lines_of, responses_in
from tests.unit.test_golden_responses import READERS

GOLDEN = Path(__file__).parents[1] / "golden" / "responses.jsonl"
DIGITS = Context(prec=12)  # theirs are rounded

# Responses that both price, and differently.
DIFFERENT = {
    "0925694c23d11088": "a compaction is in `iterations` alone: theirs is without it",
    "2a654d589454f217": "a compaction is in `iterations` alone: theirs is without it",
    "d1139e16c2493c50": "thoughts are in total_tokens alone: theirs is without them",
    "gemini-2.5-flash-image": "data.json has 30 for all output, theirs is of a day with 2.5 for text and 30 for images",
}

# What they price and we do not, and why, with the model.
NOT_PRICED = {
    "claude-sonnet-4-5-20250929": "data.json has no price for a web search: theirs leaves it out",
    "claude-sonnet-5": "the advisor's tokens are another model's, to be sent on their own: theirs leaves them out",
    "gemini-2.0-flash-exp": "its name is found by what it contains: a guess",
    "glm-5.2": "theirs falls back on another provider's model",
    "google/gemini-2.0-flash-exp:free": "data.json has no price for it: theirs is 0",
    "gpt-4o-2024-11-20": "theirs falls back on another provider's model",
    "gpt-5.4": "theirs falls back on another provider's model",
    "gpt-5.5": "theirs falls back on another provider's model",
    "gpt-5.6-sol": "theirs falls back on another provider's model",
    "mistral-large-latest": "data.json has no price for what is cached: theirs is that of input",
}


def ours(row: dict[str, Any], surface: str) -> tuple[Decimal, Decimal] | None:
    """What input and output cost; None where the event is rejected or parked."""
    named = {"model": row["model"]} if row.get("model") else {}
    provider = READERS[surface].split("/")[0]
    try:
        lines = lines_of(book_in(GENAI), surface, row["body"], provider=provider, **named)
    except (InvalidUsage, Missing):
        return None
    with exact():
        output = sum((Decimal(line["list"]) for line in lines if line["meter"].startswith("output")), ZERO)
        whole = sum((Decimal(line["list"]) for line in lines), ZERO)
        return DIGITS.plus(whole - output), DIGITS.plus(output)


def theirs(row: dict[str, Any], surface: str) -> tuple[Decimal, Decimal] | None:
    """What the engine's own reader of the surface says; None where it knows no price."""
    for expectation in row["expected"]:
        for one in expectation["extractors"]:
            if f"{one['provider_id']}/{one['api_flavor']}" == READERS[surface] and "input_price" in one:
                return DIGITS.create_decimal(one["input_price"]), DIGITS.create_decimal(one["output_price"])
    return None


@pytest.fixture(scope="module")
def opinions() -> list[tuple[str, str, Any, Any]]:
    """(id, model, ours, theirs) of every response."""
    surfaces = {row["id"]: row["surface"] for row in map(json.loads, GOLDEN.read_text().splitlines())}
    rows = responses_in("bodies.jsonl") + responses_in("openrouter_billed.jsonl")
    return [
        (row["id"], row.get("model") or "", *(opinion(row, surfaces[row["id"]]) for opinion in (ours, theirs)))
        for row in rows
    ]


def test_724_of_731_cost_what_the_other_engine_says(opinions: list[tuple[str, str, Any, Any]]) -> None:
    """The 7 others are in DIFFERENT, by id or model."""
    both = [(id_, model, one == other) for id_, model, one, other in opinions if one and other]
    assert Counter(same for *_, same in both) == {True: 724, False: 7}
    assert {id_ if id_ in DIFFERENT else model for id_, model, same in both if not same} == DIFFERENT.keys()


def test_what_only_the_other_engine_prices_has_a_reason(opinions: list[tuple[str, str, Any, Any]]) -> None:
    """12 of 898; the other way round there is none."""
    only_theirs = [model for _, model, one, other in opinions if other and not one]
    assert len(only_theirs) == 12
    assert set(only_theirs) == NOT_PRICED.keys()
    assert [model for _, model, one, other in opinions if one and not other] == []
