"""The oracle on provider responses: what a body used, as each provider documents it, written out for four surfaces.

A surface that is not here cannot be judged: streams hold none. Absent and null are no count; a count is a JSON integer
from 0 to 10^15. Bodies that contradict themselves are refused, never mended.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Count = Callable[[Any], int]


@dataclass(frozen=True)
class Used:
    """Disjoint tokens by kind, units, and what the body says of model, tier and region."""

    tokens: Mapping[str, int]
    units: Mapping[str, int] = field(default_factory=dict)
    model: str | None = None
    tier: str | None = None
    region: str | None = None


class Contradiction(Exception):
    """The body's counts do not reconcile."""


class Malformed(Exception):
    """The body is not of its surface's form."""


def used_by(surface: str, body: Mapping[str, Any], count: Count) -> Used:
    """What a body used; `count` reads a number, and refuses what is none."""
    if surface not in _SURFACES:
        raise Malformed(surface)
    return _SURFACES[surface](_Reader(body, count))


class _Reader:
    """Counts at paths of a body."""

    def __init__(self, body: Mapping[str, Any], count: Count) -> None:
        self._body, self._count = body, count

    def value(self, path: str) -> Any:
        found: Any = self._body
        for name in path.split("."):
            if found is None:
                return None
            if not isinstance(found, Mapping):
                raise Malformed(path)
            found = found.get(name)
        return found

    def text(self, path: str) -> str | None:
        found = self.value(path)
        if found is not None and (not isinstance(found, str) or not found):
            raise Malformed(path)
        return found

    def maybe(self, path: str) -> int | None:
        found = self.value(path)
        return None if found is None else self._count(found)

    def optional(self, path: str) -> int:
        return self.maybe(path) or 0

    def required(self, path: str) -> int:
        found = self.maybe(path)
        if found is None:
            raise Malformed(path)
        return found

    def by_modality(self, path: str) -> dict[str, int]:
        """The sums of a list of Google's, by modality in lower case."""
        sums: dict[str, int] = {}
        for entry in self.value(path) or []:
            modality = entry["modality"].lower()
            sums[modality] = sums.get(modality, 0) + self._count(entry.get("tokenCount"))
        return sums


def _rest(whole: int, *parts: int) -> int:
    if sum(parts) > whole:
        raise Contradiction
    return whole - sum(parts)


def _equal(stated: int | None, found: int) -> None:
    if stated is not None and stated != found:
        raise Contradiction


def _openai_chat(body: _Reader) -> Used:
    """Cached, audio and reasoning tokens are inside the totals."""
    prompt, completion = body.required("usage.prompt_tokens"), body.required("usage.completion_tokens")
    cached = body.optional("usage.prompt_tokens_details.cached_tokens")
    audio_in = body.optional("usage.prompt_tokens_details.audio_tokens")
    reasoning = body.optional("usage.completion_tokens_details.reasoning_tokens")
    audio_out = body.optional("usage.completion_tokens_details.audio_tokens")
    tokens = {
        "input": _rest(prompt, cached, audio_in),
        "cache_read": cached,
        "input_audio": audio_in,
        "output": _rest(completion, reasoning, audio_out),
        "output_reasoning": reasoning,
        "output_audio": audio_out,
    }
    _equal(body.maybe("usage.total_tokens"), prompt + completion)
    return Used(tokens, {}, body.text("model"), body.text("service_tier"))


def _anthropic(body: _Reader) -> Used:
    """The four totals are disjoint; what is written for an hour is a part of what is written."""
    written = body.optional("usage.cache_creation_input_tokens")
    hour = body.optional("usage.cache_creation.ephemeral_1h_input_tokens")
    _equal(body.maybe("usage.cache_creation.ephemeral_5m_input_tokens"), _rest(written, hour))
    tokens = {
        "input": body.required("usage.input_tokens"),
        "cache_read": body.optional("usage.cache_read_input_tokens"),
        "cache_creation": written - hour,
        "cache_creation_1h": hour,
        "output": body.required("usage.output_tokens"),
    }
    searches = body.optional("usage.server_tool_use.web_search_requests")
    tier, region = body.text("usage.service_tier"), body.text("usage.inference_geo")
    return Used(tokens, {"web_search": searches}, body.text("model"), tier, region)


def _google(body: _Reader) -> Used:
    """Cached and modality tokens are inside the prompt, thoughts beside the candidates."""
    usage = "usageMetadata."
    prompt, candidates = body.required(usage + "promptTokenCount"), body.optional(usage + "candidatesTokenCount")
    cached, thoughts = body.optional(usage + "cachedContentTokenCount"), body.optional(usage + "thoughtsTokenCount")
    audio = body.by_modality(usage + "promptTokensDetails").get("audio", 0)
    image = body.by_modality(usage + "candidatesTokensDetails").get("image", 0)
    tokens = {
        "input": _rest(prompt, cached, audio),
        "cache_read": cached,
        "input_audio": audio,
        "output": _rest(candidates, image),
        "output_image": image,
        "output_reasoning": thoughts,
    }
    _equal(body.maybe(usage + "totalTokenCount"), prompt + candidates + thoughts)
    return Used(tokens, {}, body.text("modelVersion"))


def _cohere(body: _Reader) -> Used:
    """Billed units alone count, and the body names no model."""
    units = "usage.billed_units."
    return Used({"input": body.required(units + "input_tokens"), "output": body.required(units + "output_tokens")})


_SURFACES: dict[str, Callable[[_Reader], Used]] = {
    "openai.chat_completions": _openai_chat,
    "anthropic.messages": _anthropic,
    "google.generate_content": _google,
    "cohere.chat": _cohere,
}
