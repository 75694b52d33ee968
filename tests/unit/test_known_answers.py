"""Known answers by the prices that are published: from an event's bytes to the amount due, with each market sheet.

Amounts are worked out by hand from what the provider's own page says, named in `source`; the sheets are imported from
../shared/data as they are. A sheet that has no dates has the price of its day (2026-08-21).
"""

from decimal import Decimal
from typing import Any

import pytest

from pricing.money import ZERO, exact, plain
from tests.market import GENAI, LITELLM, book_in, lines_of, lines_of_event

ANTHROPIC, OPENAI = "portkey-models/pricing/anthropic.json", "portkey-models/pricing/openai.json"
LONG = "docs.anthropic.com, pricing, long context: over 200K input tokens all are at 6 and 22.50"
GPT_4O = "openai.com/api/pricing: gpt-4o 2.50 and 10"
O3 = "openai.com: o3 is 80 % cheaper from 2025-06-10 on, 10 and 40 became 2 and 8"
CACHE = "docs.anthropic.com, prompt caching: 3, written for 5 minutes 3.75, 15"

AWS = "aws.amazon.com/bedrock/pricing: as Anthropic's own"

SONNET_45, SONNET_37 = "claude-sonnet-4-5", "claude-3-7-sonnet-20250219"
AWS_45, AWS_37 = f"anthropic.{SONNET_45}-20250929-v1:0", f"anthropic.{SONNET_37}-v1:0"
WRITTEN = "input=3 cache_creation=12304 output=550"
BOTH = "input=1000 output=1000"
MODEL_EVENTS = [
    # file, provider, model, tokens, day, due, source; LiteLLM has no long context and no 3.7 at Anthropic any more
    (GENAI, "anthropic", SONNET_45, "input=200000", "2025-10-01", "0.6", LONG),
    (GENAI, "anthropic", SONNET_45, "input=200001", "2025-10-01", "1.200006", LONG),
    (LITELLM, "bedrock_converse", AWS_45, "input=200000", "2025-10-01", "0.6", AWS),
    (LITELLM, "bedrock_converse", AWS_45, "input=200001", "2025-10-01", "1.200006", AWS),
    (GENAI, "openai", "gpt-4o", "input=1000 output=100", "2026-08-21", "0.0035", GPT_4O),
    (LITELLM, "openai", "gpt-4o", "input=1000 output=100", "2026-08-21", "0.0035", GPT_4O),
    (OPENAI, "openai", "gpt-4o", "input=1000 output=100", "2026-08-21", "0.0035", GPT_4O),
    (GENAI, "openai", "o3", BOTH, "2025-06-09", "0.05", O3),
    (GENAI, "openai", "o3", BOTH, "2025-06-10", "0.01", O3),
    (LITELLM, "openai", "o3", BOTH, "2025-06-10", "0.01", O3),
    (OPENAI, "openai", "o3", BOTH, "2025-06-10", "0.01", O3),
    (GENAI, "anthropic", SONNET_37, WRITTEN, "2025-06-01", "0.054399", CACHE),
    (LITELLM, "bedrock_converse", AWS_37, WRITTEN, "2025-06-01", "0.054399", AWS),
    (ANTHROPIC, "anthropic", SONNET_37, WRITTEN, "2025-06-01", "0.054399", CACHE),
]


@pytest.mark.parametrize(("file", "provider", "model", "counts", "day", "due", "source"), MODEL_EVENTS)
def test_tokens_by_a_market_sheet(
    file: str, provider: str, model: str, counts: str, day: str, due: str, source: str
) -> None:
    """As `ai.usage.model.v1`."""
    tokens = {kind: int(count) for kind, _, count in (each.partition("=") for each in counts.split())}
    fields = {"provider": provider, "model": model, "tokens": tokens}
    assert total(lines_of_event(book_in(file), "ai.usage.model.v1", f"{day}T00:00:00Z", **fields)) == due


def test_the_day_before_o3_became_cheaper_ends_at_midnight() -> None:
    """In UTC, to the nanosecond."""
    fields = {"provider": "openai", "model": "o3", "tokens": {"input": 1000, "output": 1000}}
    found = [
        total(lines_of_event(book_in(GENAI), "ai.usage.model.v1", at, **fields))
        for at in ("2025-06-09T23:59:59.999999999Z", "2025-06-10T00:00:00Z")
    ]
    assert found == ["0.05", "0.01"]


RESPONSES = [
    # file, provider, surface, usage (and what is beside it), due: the same usage as providers send it
    (
        GENAI,
        "anthropic",
        "anthropic.messages",
        {
            "model": "claude-3-7-sonnet-20250219",
            "usage": {"input_tokens": 3, "cache_creation_input_tokens": 12304, "output_tokens": 550},
        },
        "0.054399",
    ),
    (
        LITELLM,
        "openai",
        "openai.chat_completions",
        {
            "model": "gpt-4o-2024-08-06",
            "usage": {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100},
        },
        "0.0035",
    ),
    (
        OPENAI,
        "openai",
        "openai.responses",
        {"model": "gpt-4o-2024-08-06", "usage": {"input_tokens": 1000, "output_tokens": 100, "total_tokens": 1100}},
        "0.0035",
    ),
]


@pytest.mark.parametrize(("file", "provider", "surface", "body", "due"), RESPONSES)
def test_responses_by_a_market_sheet(file: str, provider: str, surface: str, body: dict[str, Any], due: str) -> None:
    """As `ai.usage.response.v1`."""
    assert total(lines_of(book_in(file), surface, body, provider=provider)) == due


def total(lines: list[dict[str, Any]]) -> str:
    """What the lines list at."""
    with exact():
        return plain(sum((Decimal(line["list"]) for line in lines), ZERO))
