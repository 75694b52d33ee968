"""What OpenRouter billed for real responses, and what we price: equal to 15 significant digits.

BILLED are the 19 of ../shared/data/provider-usage/openrouter_billed.jsonl, OTHERS are more of the same source. The
bodies have no dates: the recordings that they come from (github.com/pydantic/pydantic-ai, tests/…/cassettes) have, and
they name who answered. PRICES are what was asked then. What was charged beside the tokens is in BESIDE, one by one; the
rules for billing on this surface are in tests/golden/README.md.
"""

import json
from decimal import Context, Decimal
from functools import cache
from typing import Any, NamedTuple

import pytest

from pricing.book import Book
from pricing.errors import InvalidUsage
from pricing.money import ZERO, exact
from pricing.sheets import parse_sheet
from pricing.surfaces import decompose
from tests.market import GENAI, LITELLM, OPENROUTER, book_with, lines_of, responses_in, sheet_in
from tests.usage import Literal

CHAT, RESPONSES = "openrouter.chat_completions", "openrouter.responses"
DIGITS_15 = Context(prec=15)


class Price(NamedTuple):
    """USD per 1M tokens by kind, and where that is published: a file of ../shared/data, and provider and name in it."""

    model: str
    prices: str
    file: str
    provider: str | None = None
    name: str = ""
    until: str = ""


SONNET = "input=3 cache_read=0.3 cache_creation=3.75 output=15"
MINI = "input=0.25 cache_read=0.025 output=2"
PRICES = [
    Price("anthropic/claude-4.5-sonnet-20250929", SONNET, GENAI, "openrouter"),
    Price("anthropic/claude-4.6-sonnet-20260217", SONNET, GENAI, "openrouter"),
    # Of explicit caches OpenRouter bills the storage: 1 USD per 1M tokens and hour, for 5 minutes.
    Price(
        "google/gemini-2.5-flash",
        "input=0.3 cache_read=0.03 cache_creation=0.0833333333333333 output=2.5",
        OPENROUTER,
    ),
    Price("openai/gpt-4o-mini", "input=0.15 cache_read=0.075 output=0.6", OPENROUTER),
    Price("openai/gpt-5-mini", MINI, OPENROUTER),
    Price("openai/gpt-5.1-codex-mini", MINI, GENAI, "openrouter"),
    # OpenAI's from its start on 2026-07-09 until the cut to 4 and 20 of 2026-08-21 (developers.openai.com, changelog).
    # The list of OpenRouter in Portkey is of that later day and has 2.5 and 15.
    Price(
        "openai/gpt-5.6-sol",
        "input=5 cache_read=0.5 cache_creation=6.25 output=30",
        GENAI,
        "openai",
        "gpt-5.6-sol",
        until="2026-08-21T00:00:00Z",
    ),
    # Answered by Weights & Biases, and so at its price; OpenRouter's list has that of another, 0.04815 and 0.19305.
    Price(
        "qwen/qwen3-30b-a3b-instruct-2507",
        "input=0.1 output=0.3",
        LITELLM,
        "wandb",
        "wandb/Qwen/Qwen3-30B-A3B-Instruct-2507",
    ),
    # --- those of OTHERS
    Price("deepseek/deepseek-chat", "input=0.2574 output=1.0287", OPENROUTER),
    # 2026-08-12 by Google; the list of OpenRouter of 2026-08-21 has half of it.
    Price("google/gemini-3.6-flash", "input=1.5 output=7.5", GENAI, "google", "gemini-3.6-flash"),
    Price("openai/gpt-4.1-mini", "input=0.4 cache_read=0.1 output=1.6", OPENROUTER),
    # Nebius is not named in the recording; of the hosts it is the one with these prices.
    Price("openai/gpt-oss-20b", "input=0.05 output=0.2", "portkey-models/pricing/nebius.json"),
    Price("openai/o3", "input=2 cache_read=0.5 output=8", OPENROUTER),
    Price("x-ai/grok-4", "input=3 cache_read=0.75 output=15", OPENROUTER),
    Price("z-ai/glm-4.6", "input=0.6 output=2.2", "portkey-models/pricing/z-ai.json", None, "glm-4.6"),
]


# --- the 19: id, when it was made, model, what prompt and completion cost in USD, who answered

BILLED = """
1284b97e994055e7 2026-06-05T19:32:16Z google/gemini-2.5-flash 0.0000657 0.0000525 Google
26d48a361c340158 2026-03-08T23:32:53Z anthropic/claude-4.6-sonnet-20260217 0.00106995 0.0015 Anthropic
32817855d86011fe 2026-05-22T18:35:28Z anthropic/claude-4.5-sonnet-20250929 0.000129 0.000795 Amazon Bedrock
3f7af9c008f54722 2026-05-26T01:50:23Z anthropic/claude-4.5-sonnet-20250929 0.00165 0.000225 Amazon Bedrock
43f09b81aeb7c134 2025-12-03T19:55:28Z google/gemini-2.5-flash 0.0000978 0.0002275 Google AI Studio
50ec5a32f1595a28 2026-07-17T11:05:12Z openai/gpt-5.6-sol 0.025115 0.00015 OpenAI
5dfbc4e6661a90ce 2026-03-08T23:05:58Z anthropic/claude-4.6-sonnet-20260217 0.00140355 0.000795 Anthropic
60c149e3ab6cddd7 2026-03-08T23:05:55Z anthropic/claude-4.6-sonnet-20260217 0.01205025 0.0015 Anthropic
644e8b2b0f303b40 2026-03-08T22:36:12Z anthropic/claude-4.6-sonnet-20260217 0.000051 0.000075 Amazon Bedrock
78c4da0f57a6ac22 2026-06-05T19:32:09Z openai/gpt-5-mini-2025-08-07 0.00001825 0.000324 OpenAI
82d0e69eed980355 2026-02-07T10:54:29Z google/gemini-2.5-flash 0 0.00045 Google AI Studio
90f3cfb39a5c3f1b 2025-12-09T01:10:14Z openai/gpt-5.1-codex-mini 0.00000775 0.00016 OpenAI
94d93b6d241a1daa 2026-06-05T21:29:19Z anthropic/claude-4.6-sonnet-20260217 0.000039 0.000075 Google
a221fa046472304d 2026-07-22T14:09:06Z qwen/qwen3-30b-a3b-instruct-2507 0.000028 0.000012 WandB
b5f93760585a7bbd 2026-06-05T21:27:03Z anthropic/claude-4.6-sonnet-20260217 0.00078 0.00015 Google
bfa99ced1f63ac46 2026-07-24T07:28:26Z openai/gpt-4o-mini 0.000135 0.0000414 OpenAI
c629cb40d69748a7 2026-03-08T22:36:14Z anthropic/claude-4.6-sonnet-20260217 0.001698 0.000405 Amazon Bedrock
d953c916d8284537 2026-06-05T19:32:17Z anthropic/claude-4.6-sonnet-20260217 0.000321 0.00066 Anthropic
f5339347683acb1b 2026-03-08T23:32:56Z anthropic/claude-4.6-sonnet-20260217 0.00191475 0.0015 Anthropic
""".strip().splitlines()

# What OpenRouter charged (`usage.cost`) beside prompt and completion.
BESIDE = {
    "43f09b81aeb7c134": ("-0.0003253", "is_byok: the provider charged the owner of the key, OpenRouter nothing"),
    "90f3cfb39a5c3f1b": ("0.002", "a page of a PDF read by OpenRouter's file parser, 2 USD for 1,000"),
    "bfa99ced1f63ac46": ("0.015885", "the advisor tool: another model was asked, of whose tokens the body has none"),
}

# --- more of that source: made when, model, prompt (with cached and written tokens in it) and completion, costs; test

OTHERS = [
    (CHAT, "2026-03-08T23:11:33Z", "google/gemini-2.5-flash", "2168 2161 2161", 100, "0.000247013333333333", "0.00025"),
    (CHAT, "2026-03-08T23:11:35Z", "google/gemini-2.5-flash", "2167 2161 0", 99, "0.00006663", "0.0002475"),
    (CHAT, "2026-03-08T23:32:51Z", "anthropic/claude-4.6-sonnet-20260217", "2572 0 2569", 63, "0.00964275", "0.000945"),
    (RESPONSES, "2026-07-17T11:05:13Z", "openai/gpt-5.6-sol", "4020 4012 0", 5, "0.002046", "0.00015"),
    (RESPONSES, "2025-11-27T17:43:31Z", "openai/gpt-oss-20b", "78 0 0", 37, "0.0000039", "0.0000074"),
    (CHAT, "2025-11-02T05:41:37Z", "x-ai/grok-4", "687 679 0", 187, "0.00053325", "0.002805"),
    (CHAT, "2025-11-03T03:41:57Z", "openai/o3", "9 0 0", 104, "0.000018", "0.000832"),
    (CHAT, "2025-11-10T15:48:54Z", "openai/gpt-5-mini", "17 0 0", 2177, "0.00000425", "0.004354"),
    (CHAT, "2026-05-23T00:26:10Z", "z-ai/glm-4.6", "16 0 0", 2, "0.0000096", "0.0000044"),
    (CHAT, "2026-08-11T16:17:04Z", "openai/gpt-4.1-mini", "8174 0 0", 30, "0.0032696", "0.000048"),
    (CHAT, "2026-08-12T00:25:53Z", "google/gemini-3.6-flash", "30 0 0", 26, "0.000045", "0.000195"),
    (CHAT, "2026-08-14T04:12:36Z", "deepseek/deepseek-chat", "2315 0 0", 40, "0.000595881", "0.000041148"),
]


@cache
def published() -> Book:
    """PRICES as a sheet in a book; dated snapshots are found by the model's name."""
    models = []
    for each in PRICES:
        prices = {"prices": dict(one.split("=") for one in each.prices.split())}
        cases = [{"when": {"until": each.until}, **prices}] if each.until else []
        models.append({"key": each.model, "category": "direct", "currency": "USD", "cases": cases, **prices})
    fields = {"id": "openrouter", "version": "1", "effective_from": "2025-11-01T00:00:00Z", "dated_snapshots": True}
    return book_with(parse_sheet(json.dumps({**fields, "models": models}).encode()))


def costs(lines: list[dict[str, Any]]) -> tuple[Decimal, Decimal]:
    """What prompt and completion cost, to 15 significant digits, by the lines of the tokens."""
    found = {"input": ZERO, "output": ZERO}
    with exact():
        for line in lines:
            if line["unit"] == "token":
                found["output" if line["meter"].startswith("output") else "input"] += Decimal(line["list"])
    return DIGITS_15.plus(found["input"]), DIGITS_15.plus(found["output"])


def billed_in(body: dict[str, Any]) -> tuple[Decimal, Decimal]:
    """What prompt and completion cost, by the body, to 15 significant digits."""
    found = body["usage"]["cost_details"]
    prompt = found.get("upstream_inference_prompt_cost", found.get("upstream_inference_input_cost"))
    completion = found.get("upstream_inference_completions_cost", found.get("upstream_inference_output_cost"))
    return amount(prompt), amount(completion)


def amount(number: Literal | int) -> Decimal:
    """A number of a body to 15 significant digits: they carry the noise of floats."""
    return DIGITS_15.create_decimal(number.text if isinstance(number, Literal) else number)


def surface_of(body: dict[str, Any]) -> str:
    return RESPONSES if "input_tokens" in body["usage"] else CHAT


# --- the 19


@pytest.mark.parametrize("row", BILLED, ids=lambda row: row[:16])
def test_prompt_and_completion_cost_what_was_billed(row: str) -> None:
    """To 15 significant digits, by prices in force when the response was made; and so the table says."""
    id_, at, model, prompt, completion, *_ = row.split(" ")
    (body,) = [each["body"] for each in responses_in("openrouter_billed.jsonl") if each["id"] == id_]
    assert billed_in(body) == (Decimal(prompt), Decimal(completion))
    assert body["model"] == model
    assert costs(lines_of(published(), surface_of(body), body, at=at)) == billed_in(body)


def test_all_19_are_in_the_table() -> None:
    """Each once."""
    assert [row[:16] for row in BILLED] == sorted(each["id"] for each in responses_in("openrouter_billed.jsonl"))


def test_what_was_charged_beside_the_tokens_is_known() -> None:
    """The charge is prompt + completion in 16 of 19; the other three differ by what BESIDE says."""
    differing = {}
    for each in responses_in("openrouter_billed.jsonl"):
        with exact():
            beside = amount(each["body"]["usage"]["cost"]) - sum(billed_in(each["body"]), ZERO)
        if beside:
            differing[each["id"]] = beside
    assert differing == {id_: Decimal(amount) for id_, (amount, _) in BESIDE.items()}


# --- others


@pytest.mark.parametrize(("surface", "at", "model", "prompt", "completion", "input_cost", "output_cost"), OTHERS)
def test_others_cost_what_was_billed(
    surface: str, at: str, model: str, prompt: str, completion: int, input_cost: str, output_cost: str
) -> None:
    """Cached and written tokens are in the prompt; what Gemini writes to a cache it also reads, and both are billed."""
    count, cached, written = map(int, prompt.split())
    body = response(surface, model, count, completion, cached_tokens=cached, cache_write_tokens=written)
    assert costs(lines_of(published(), surface, body, at=at)) == (Decimal(input_cost), Decimal(output_cost))


def response(surface: str, model: str, prompt: int, completion: int, **details: int) -> dict[str, Any]:
    """A response as OpenRouter sends it on this surface; `details` are those of the prompt."""
    names = ("input_tokens", "output_tokens") if surface == RESPONSES else ("prompt_tokens", "completion_tokens")
    usage = {
        names[0]: prompt,
        names[1]: completion,
        f"{names[0]}_details": details,
        "total_tokens": prompt + completion,
    }
    return {"model": model, "usage": usage}


@pytest.mark.parametrize(
    ("model", "prompt", "tokens"),
    [
        ("google/gemini-2.5-flash", "100 60 60", {"input": 40, "cache_read": 60, "cache_creation": 60}),
        ("google/gemini-2.5-flash", "100 60 20", {"input": 40, "cache_read": 60, "cache_creation": 20}),
        ("google/gemini-2.5-flash", "100 0 60", {"input": 40, "cache_creation": 60}),
        ("google/gemini-2.5-flash", "100 60 101", None),
        ("google/gemini-2.5-flash", "100 101 0", None),
        ("anthropic/claude-4.6-sonnet-20260217", "100 60 40", {"cache_read": 60, "cache_creation": 40}),
        ("anthropic/claude-4.6-sonnet-20260217", "100 60 41", None),
    ],
)
@pytest.mark.parametrize("surface", [CHAT, RESPONSES])
def test_only_gemini_s_written_tokens_are_read_ones(
    surface: str, model: str, prompt: str, tokens: dict[str, int] | None
) -> None:
    """Of all others they are apart; None: the counts cannot be, and the response is refused."""
    count, cached, written = map(int, prompt.split())
    body = response(surface, model, count, 0, cached_tokens=cached, cache_write_tokens=written)
    if tokens is None:
        with pytest.raises(InvalidUsage, match="token_counts_do_not_reconcile"):
            decompose(surface, body)
    else:
        assert decompose(surface, body).tokens == tokens


def test_modalities_and_reasoning_without_a_price_of_their_own_cost_what_the_others_do() -> None:
    """A video of 258 tokens (2026-02-11, gemini-2.5-flash) was billed as so much prompt, thoughts as completion."""
    body = response(CHAT, "google/gemini-2.5-flash", 270, 28, video_tokens=258)
    body["usage"]["completion_tokens_details"] = {"reasoning_tokens": 20}
    assert costs(lines_of(published(), CHAT, body, at="2026-02-11T09:16:06Z")) == (
        Decimal("0.000081"),
        Decimal("0.00007"),
    )


@pytest.mark.parametrize("tier", ["provisioned", "default", "auto", None])
def test_capacity_that_openrouter_has_rented_is_billed_like_any_other(tier: str | None) -> None:
    """`provisioned` on 2026-06-05, gemini-2.5-flash: 211 and 15 tokens."""
    body = response(CHAT, "google/gemini-2.5-flash", 211, 15) | {"service_tier": tier}
    lines = lines_of(published(), CHAT, body, at="2026-06-05T19:32:12Z")
    assert costs(lines) == (Decimal("0.0000633"), Decimal("0.0000375"))


# --- the prices


@pytest.mark.parametrize("price", PRICES, ids=lambda price: price.model)
def test_the_prices_are_published(price: Price) -> None:
    """Those of PRICES stand in the file that it names, to 15 digits: some there have the noise of floats."""
    found = sheet_in(price.file).names.find(price.name or price.model, price.provider)
    assert found is not None
    assert {kind: DIGITS_15.plus(found.prices[kind]) for kind in prices_of(price)} == prices_of(price)


def prices_of(price: Price) -> dict[str, Decimal]:
    return {kind: Decimal(text) for kind, _, text in (one.partition("=") for one in price.prices.split())}
