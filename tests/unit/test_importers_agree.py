"""The three market sheets held against each other: where a factor of 10 or more lies between them, who is wrong.

Portkey, genai-prices and LiteLLM are written by different people in different units (cents per token, USD per million,
USD per token). A wrong factor in an importer would make most prices of it differ; what differs are single entries of
the sources, listed in OUTLIERS with a reason. Findings such as these are what `sheets diff` shows before an import.
"""

from collections import Counter
from collections.abc import Iterator
from itertools import combinations
from typing import NamedTuple

import pytest

from pricing.models import Model
from tests.market import GENAI, LITELLM, sheet_in

# Portkey's file, genai-prices' provider, LiteLLM's providers.
PROVIDERS: list[tuple[str, str | None, tuple[str, ...]]] = [
    ("anthropic", "anthropic", ("anthropic",)),
    ("azure-openai", "azure", ("azure",)),
    ("bedrock", "aws", ("bedrock", "bedrock_converse")),
    ("cerebras", "cerebras", ("cerebras",)),
    ("cohere", "cohere", ("cohere_chat", "cohere")),
    ("deepinfra", "deepinfra", ("deepinfra",)),
    ("deepseek", "deepseek", ("deepseek",)),
    ("fireworks-ai", "fireworks", ("fireworks_ai", "fireworks_ai-embedding-models")),
    ("google", "google", ("gemini",)),
    ("groq", "groq", ("groq",)),
    ("minimax", "minimax", ("minimax",)),
    ("mistral-ai", "mistral", ("mistral",)),
    ("moonshot", "moonshotai", ("moonshot",)),
    ("nebius", "huggingface_nebius", ("nebius",)),
    ("novita-ai", "novita", ("novita",)),
    ("openai", "openai", ("openai",)),
    ("openrouter", "openrouter", ()),
    ("oracle", None, ("oci",)),
    ("perplexity-ai", "perplexity", ("perplexity",)),
    ("together-ai", "together", ("together_ai",)),
    ("vertex-ai", "google", ("vertex_ai-language-models", "vertex_ai-anthropic_models", "vertex_ai-embedding-models")),
    ("workers-ai", None, ("cloudflare",)),
    ("x-ai", "x-ai", ("xai",)),
    ("z-ai", "zai", ("zai",)),
]


class Pair(NamedTuple):
    """A price that two sheets have: `who` are P, G and L, `factor` is the dearer by the cheaper."""

    provider: str
    model: str
    kind: str
    who: str
    factor: float


# Models by what is wrong in which source; the prices that differ are those of tokens.
OUTLIERS = {
    "P has dollars where it has cents": ["minimax MiniMax-M2.7", "minimax MiniMax-M2.7-highspeed"],
    "P has the price of a minute or of an image as that of a token": [
        "azure-openai gpt-4o-mini-transcribe",
        "azure-openai gpt-4o-mini-tts",
        "azure-openai gpt-4o-transcribe",
        "google gemini-2.5-flash-image-preview",
        "openai gpt-4o-mini-transcribe",
        "openai gpt-4o-transcribe",
    ],
    "P has the output's prices for what is cached": [
        "azure-openai gpt-realtime",
        "azure-openai gpt-realtime-1.5",
        "azure-openai gpt-realtime-2025-08-28",
        "openai gpt-realtime",
        "openai gpt-realtime-2025-08-28",
    ],
    "P has read and written exchanged": ["bedrock anthropic.claude-3-7-sonnet-20250219-v1:0"],
    "P has the point elsewhere": [
        "azure-openai gpt-4o-mini-audio-preview-2024-12-17",
        "azure-openai gpt-4o-mini-realtime-preview-2024-12-17",
        "azure-openai gpt-audio-mini",
        "deepinfra moonshotai/Kimi-K2-Instruct",
        "fireworks-ai kimi-k3",
        "nebius meta-llama/Llama-Guard-3-8B",
        "openai gpt-4o-mini-realtime-preview",
        "openai gpt-4o-mini-realtime-preview-2024-12-17",
        "openai gpt-audio-mini",
        "together-ai Qwen/Qwen3.5-397B-A17B",
    ],
    "P has embeddings per 1,000 characters": ["vertex-ai multimodalembedding"],
    "L has the input's price for what is cached": [
        "x-ai grok-code-fast",
        "x-ai grok-code-fast-1",
        "x-ai grok-code-fast-1-0825",
    ],
    "L has another model's price": ["oracle xai.grok-code-fast-1"],
    "G has the text's price for audio": ["openai gpt-4o-audio-preview", "openai gpt-4o-mini-audio-preview"],
    "G has the image's price for all output": [
        "google gemini-2.5-flash-image",
        "google gemini-3-pro-image-preview",
        "google gemini-3.1-flash-image-preview",
        "vertex-ai gemini-2.5-flash-image",
        "vertex-ai gemini-2.5-flash-image-preview",
        "vertex-ai gemini-3-pro-image-preview",
        "vertex-ai gemini-3.1-flash-image-preview",
    ],
    "a price changed, and one of them has the old one": [
        "azure-openai davinci",
        "azure-openai text-davinci-002",
        "deepseek deepseek-chat",
        "deepseek deepseek-reasoner",
        "deepseek deepseek-v4-pro",
        "openrouter meta-llama/llama-3.2-1b-instruct",
        "openrouter meta-llama/llama-3.2-3b-instruct",
        "openrouter meta-llama/llama-guard-3-8b",
        "openrouter nvidia/llama-3.1-nemotron-70b-instruct",
        "openrouter qwen/qwen-2.5-coder-32b-instruct",
        "openrouter qwen/qwen3-235b-a22b-thinking-2507",
        "workers-ai @cf/mistral/mistral-7b-instruct-v0.1",
    ],
}


def named(models: list[Model]) -> dict[str, Model]:
    """By key and alias, the first of a name."""
    found: dict[str, Model] = {}
    for model in models:
        for name in (model.key, *model.aliases):
            found.setdefault(name, model)
    return found


@pytest.fixture(scope="module")
def pairs() -> list[Pair]:
    """Every price of tokens that two sheets have for one name at one provider, at the model's own prices."""
    return [pair for row in PROVIDERS for pair in compared(*row)]


def compared(file: str, genai: str | None, litellm: tuple[str, ...]) -> Iterator[Pair]:
    sources = {
        "P": named(list(sheet_in(f"portkey-models/pricing/{file}.json").models)),
        "G": named([model for model in sheet_in(GENAI).models if genai and model.provider == genai]),
        "L": named([model for model in sheet_in(LITELLM).models if model.provider in litellm]),
    }
    for one, other in combinations(sources, 2):
        for name in sources[one].keys() & sources[other].keys():
            ours, theirs = sources[one][name].prices, sources[other][name].prices
            for kind in ours.keys() & theirs.keys():
                low, high = sorted((ours[kind], theirs[kind]))
                if low:
                    yield Pair(file, name, kind, one + other, round(float(high / low), 6))


def test_three_of_four_prices_are_the_same(pairs: list[Pair]) -> None:
    """Of each two sources; so no importer has a factor wrong, or a kind for another."""
    counts = Counter(pair.who for pair in pairs)
    same = Counter(pair.who for pair in pairs if pair.factor == 1)
    assert {who: count > 700 for who, count in counts.items()} == {"PG": True, "PL": True, "GL": True}
    assert {who: same[who] / count for who, count in counts.items() if same[who] / count < 0.75} == {}


def test_factors_of_10_are_errors_of_the_sources(pairs: list[Pair]) -> None:
    """Each model of which two sources differ so much has its reason."""
    found = sorted({f"{pair.provider} {pair.model}" for pair in pairs if pair.factor >= 10})
    listed = sorted(model for models in OUTLIERS.values() for model in models)
    assert found == listed
