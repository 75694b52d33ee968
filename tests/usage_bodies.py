"""Bodies of provider responses for the usage streams: four surfaces, whole and in parts, consistent and not.

response(rng, count)            # the fields of an ai.usage.response.v1, `count` rolls a count
shuffled(rng, body)             # the same body with its keys in another order
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from tests.usage_samples import CURED_DIRECT, CURED_MODEL, Literal

Count = Callable[[], int]
NAMES = {
    "openai.chat_completions": ["gpt-4o", "gpt-4o-2024-08-06", "ft:gpt-4o-mini:acme::x", "ftg-3.0-pro", "ftg-embed"],
    "anthropic.messages": ["claude-sonnet-4-5-20250929", "sonnet", "claude-sonnet-4-5", CURED_MODEL],
    "google.generate_content": ["gemini-2.5-pro", "ftg-3.0-mini", CURED_DIRECT["key"], "ghost-9"],
    "cohere.chat": ["gpt-4o-latest", "gemini-2.5-pro", "mdl_ftg30pro"],
}


def response(rng: random.Random, count: Count) -> dict[str, Any]:
    """Surface, body, and where the body names no model, or now and then, a model."""
    surface = rng.choice(list(NAMES))
    model = rng.choice(NAMES[surface])
    body = _BODIES[surface](rng, count)
    named = {} if surface == "cohere.chat" else {_MODEL.get(surface, "model"): model}
    given = {"model": rng.choice(NAMES[surface])} if not named or rng.random() < 0.15 else {}
    extra = {
        "id": "chatcmpl-1: {[",
        "choices": [{"message": {"content": 'say "é: \\n"', "refusal": None}, "logprobs": [Literal("-0.10"), {}]}],
        "cost": Literal(rng.choice(["0.000041400000000000003", "1E-7", "12345678901234567890123"])),
    }
    return {"surface": surface, **given, "response": named | body | (extra if rng.random() < 0.3 else {})}


def shuffled(rng: random.Random, value: Any) -> Any:
    """Every object's keys in another order; lists stay."""
    if isinstance(value, list):
        return [shuffled(rng, part) for part in value]
    if not isinstance(value, dict):
        return value
    names = list(value)
    rng.shuffle(names)
    return {name: shuffled(rng, value[name]) for name in names}


def _openai(rng: random.Random, count: Count) -> dict[str, Any]:
    cached, audio, reasoning, spoken = (count() if rng.random() < 0.4 else 0 for _ in range(4))
    prompt, completion = count() + cached + audio, count() + reasoning + spoken
    usage: dict[str, Any] = {"prompt_tokens": prompt, "completion_tokens": completion}
    if cached or audio or rng.random() < 0.2:
        usage["prompt_tokens_details"] = {"cached_tokens": cached, "audio_tokens": audio}
    if reasoning or spoken:
        usage["completion_tokens_details"] = {"reasoning_tokens": reasoning, "audio_tokens": spoken or None}
    if rng.random() < 0.7:
        usage["total_tokens"] = prompt + completion + (rng.random() < 0.04)
    tier = rng.choice(["default", "priority", "flex", "auto", None])
    return {"usage": usage} | ({"service_tier": tier} if rng.random() < 0.3 else {})


def _anthropic(rng: random.Random, count: Count) -> dict[str, Any]:
    usage: dict[str, Any] = {"input_tokens": count(), "output_tokens": count()}
    if rng.random() < 0.4:
        usage["cache_read_input_tokens"] = count()
    if rng.random() < 0.4:
        short, long = count(), count() if rng.random() < 0.3 else 0
        usage["cache_creation_input_tokens"] = short + long
        usage["cache_creation"] = {"ephemeral_5m_input_tokens": short, "ephemeral_1h_input_tokens": long}
    if rng.random() < 0.3:
        usage["server_tool_use"] = {"web_search_requests": rng.choice([0, 1, 3])}
    if rng.random() < 0.4:
        usage |= {"service_tier": "standard", "inference_geo": rng.choice(["us", "global", "eu-1"])}
    return {"usage": usage}


def _google(rng: random.Random, count: Count) -> dict[str, Any]:
    heard, cached, text, drawn, thoughts = (count() if rng.random() < 0.5 else 0 for _ in range(5))
    usage: dict[str, Any] = {"promptTokenCount": heard + cached + text, "candidatesTokenCount": text + drawn}
    prompt = [{"modality": "TEXT", "tokenCount": cached + text}, {"modality": "AUDIO", "tokenCount": heard}]
    usage |= {"promptTokensDetails": prompt} if heard else {}
    drawings = [{"modality": "IMAGE", "tokenCount": drawn}, {"modality": "TEXT", "tokenCount": text}]
    usage |= {"candidatesTokensDetails": drawings} if drawn else {}
    usage |= {"cachedContentTokenCount": cached} if cached else {}
    usage |= {"thoughtsTokenCount": thoughts} if thoughts else {}
    return {"usageMetadata": usage | {"totalTokenCount": heard + cached + text + text + drawn + thoughts}}


def _cohere(rng: random.Random, count: Count) -> dict[str, Any]:
    billed = {"input_tokens": count(), "output_tokens": count()}
    return {"usage": {"billed_units": billed, "tokens": {"input_tokens": Literal("70.5"), "output_tokens": 3}}}


_MODEL = {"google.generate_content": "modelVersion"}
_BODIES: dict[str, Callable[[random.Random, Count], dict[str, Any]]] = {
    "openai.chat_completions": _openai,
    "anthropic.messages": _anthropic,
    "google.generate_content": _google,
    "cohere.chat": _cohere,
}
