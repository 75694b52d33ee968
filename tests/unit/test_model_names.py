"""Which model an event means."""

import time

import pytest

from pricing.model_names import ModelNames
from pricing.models import Model


def model(key: str, provider: str | None = None, **names: tuple[str, ...]) -> Model:
    """A direct model."""
    return Model(category="direct", key=key, provider=provider, currency="USD", **names)  # type: ignore[arg-type]


MODELS = [
    model("gpt-4o", "openai", aliases=("omni", "shared")),
    model("gpt-4o-2024-05-13", "openai"),
    model("gpt-4o", "azure", aliases=("az-omni",)),
    model("omni", "azure"),
    model("o3", "openai", prefixes=("o3-",)),
    model("o3-mini", "openai", prefixes=("o3-mini-",)),
    model("claude-sonnet-4", "anthropic", aliases=("sonnet", "shared")),
    model("grok", "xai", prefixes=("grok-",)),
    model("grok-fast", "xai", prefixes=("grok-",)),
    model("anyones", aliases=("gpt",)),
    model("llama", "groq", prefixes=("meta-",)),
    model("llama-3", "meta", prefixes=("meta-",)),
]


@pytest.mark.parametrize(
    ("name", "provider", "found"),
    [
        ("gpt-4o", "openai", "openai/gpt-4o"),
        ("gpt-4o", "azure", "azure/gpt-4o"),
        ("gpt-4o", "google", None),
        ("gpt-4o", None, None),  # two providers have it
        ("omni", "openai", "openai/gpt-4o"),
        ("omni", None, "azure/omni"),  # a key comes before an alias
        ("az-omni", None, "azure/gpt-4o"),
        ("shared", None, None),
        ("shared", "anthropic", "anthropic/claude-sonnet-4"),
        ("anyones", "openai", "anyones"),
        ("gpt", "whoever", "anyones"),
        ("GPT-4o", "openai", None),
        ("", "openai", None),
        # prefixes: the longest, never one of two
        ("o3-pro", "openai", "openai/o3"),
        ("o3-mini-high", None, "openai/o3-mini"),
        ("o3-mini", None, "openai/o3-mini"),
        ("o3-", "openai", "openai/o3"),
        ("o3-pro", "azure", None),
        ("grok-5", "xai", None),
        ("meta-4", "groq", "groq/llama"),
        ("meta-4", None, None),
        # dated snapshots
        ("gpt-4o-2024-08-06", "openai", "openai/gpt-4o"),
        ("gpt-4o-2024-05-13", "openai", "openai/gpt-4o-2024-05-13"),
        ("gpt-4o-2024-08-06", None, None),
        ("claude-sonnet-4-20250514", None, "anthropic/claude-sonnet-4"),
        ("claude-sonnet-4@20250514", "anthropic", "anthropic/claude-sonnet-4"),
        ("sonnet@20250514", "anthropic", "anthropic/claude-sonnet-4"),
        ("o3-2025-04-16", "openai", "openai/o3"),
        ("grok-20250514", "xai", None),  # begins with a prefix of two
        ("gpt-4o-2024-13-06", "openai", None),
        ("gpt-4o-20240800", "openai", None),
        ("gpt-4o@2024-08-06", "openai", None),
        ("gpt-4o-0806", "openai", None),  # a day, or a month?
        ("gpt-4o-2408", "openai", None),
        ("gpt-4o-2024-08-06-20240806", "openai", None),
        ("-20240806", "openai", None),
    ],
)
def test_a_name_means_one_model_or_none(name: str, provider: str | None, found: str | None) -> None:
    """Exact before alias, alias before prefix, prefix before snapshot."""
    meant = ModelNames(MODELS, dated_snapshots=True).find(name, provider)
    assert (meant and meant.label) == found


def test_snapshots_are_found_only_where_the_sheet_says_so() -> None:
    """Snapshots of one name can have prices of their own."""
    names = ModelNames(MODELS, dated_snapshots=False)
    assert names.find("claude-sonnet-4-20250514", None) is None
    assert names.find("o3-2025-04-16", None) is not None


def test_a_name_that_nobody_has_costs_next_to_nothing() -> None:
    """Even if it is as long as may be and there are prefixes of every length: hostile producers choose names."""
    models = [model(f"m{number}", prefixes=("p" * (number % 240 + 1) + f"{number}",)) for number in range(10_000)]
    names = ModelNames(models, dated_snapshots=True)
    start = time.perf_counter()
    for number in range(1000):
        assert names.find("p" * 240 + f"-{number}-20240806", "openai") is None
    assert time.perf_counter() - start < 1  # a millisecond each; it takes some 50 microseconds
