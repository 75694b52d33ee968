"""The keys of LiteLLM's price map as a grammar: what is priced, above which prompt, at which service tier.

    <what>[_above_<n>k_tokens][_<tier>]

`<what>` is a kind of token (`input_cost_per_audio_token`, `cache_creation_input_token_cost_above_1hr`) or another unit,
maybe in a variant (`output_cost_per_second_1080p`). Source: the map's own `sample_spec` and the cost calculator of
github.com/BerriAI/litellm (litellm_core_utils/llm_cost_calc/utils.py), which reads the keys in this way.
"""

import re
from functools import lru_cache
from typing import Literal, NamedTuple

Meter = tuple[Literal["prices", "units"], str]
"""Where a sheet has a price, and its name there: the token kind, or the unit."""

STANDARD = ""
"""The tier of the prices that name none."""

_TIERS = {
    "": STANDARD,
    "balanced": "balanced",
    "batches": "batch",
    "decisions": "decisions",
    "flex": "flex",
    "priority": "priority",
    "ultrafast": "ultrafast",
}
_KEY = re.compile(rf"(.+?)(?:_above_([0-9]{{1,9}})(k?)_tokens)?(?:_({'|'.join(filter(None, _TIERS))}))?")
_CACHE = re.compile(r"(cache_read|cache_creation)_input(_audio|_image|_video)?_token_cost(?:_above_([0-9]+)hr)?")
_TOKEN = re.compile(r"(input|output)_cost_per(_audio|_image|_video|_reasoning)?_token")
_OTHER_TOKENS = {
    "citation_cost_per_token": "citation",
    "explicit_cache_read_input_token_cost": "cache_read_explicit",
    "input_cost_per_token_cache_hit": "cache_read",
}
# A second, a pixel and an image are billed once, whichever side LiteLLM books them on.
_UNITS = {
    "annotation_cost_per_page": "annotation_page",
    "code_interpreter_cost_per_session": "code_interpreter_session",
    "cost_per_second": "second",
    "google_maps_grounding_cost_per_query": "google_maps_grounding",
    "input_cost_per_audio_per_second": "input_audio_second",
    "input_cost_per_character": "character",
    "input_cost_per_image": "input_image",
    "input_cost_per_pixel": "pixel",
    "input_cost_per_query": "query",
    "input_cost_per_request": "request",
    "input_cost_per_second": "second",
    "input_cost_per_text_message": "text_message",
    "input_cost_per_video_per_second": "input_video_second",
    "ocr_cost_per_credit": "credit",
    "ocr_cost_per_page": "page",
    "output_cost_per_character": "output_character",
    "output_cost_per_image": "image",
    "output_cost_per_pixel": "pixel",
    "output_cost_per_second": "second",
    "output_cost_per_video_per_second": "video_second",
}
_VARIANT = re.compile(r"(.+?)_((?:above_)?[0-9.]+[A-Za-z]*(?:_interval)?)")
_PRICE_LIKE = re.compile(r"cost|pric|multiplier|free_requests")


class PriceKey(NamedTuple):
    """What a key prices; `threshold` 0 is any prompt."""

    meter: Meter
    tier: str
    threshold: int


@lru_cache(4096)
def read_key(key: str) -> PriceKey | None:
    """What `key` prices, None for a key that is not of the grammar."""
    match = _KEY.fullmatch(key)
    if match is None:
        return None
    meter = _meter(match[1])
    if meter is None:
        return None
    threshold = int(match[2] or 0) * (1000 if match[3] else 1)
    return PriceKey(meter, _TIERS[match[4] or ""], threshold)


@lru_cache(4096)
def is_price_like(key: str) -> bool:
    """Whether a key that was not read may have had to do with money."""
    return _PRICE_LIKE.search(key) is not None


def _meter(what: str) -> Meter | None:
    if what in _OTHER_TOKENS:
        return "prices", _OTHER_TOKENS[what]
    if cache := _CACHE.fullmatch(what):
        return "prices", cache[1] + (cache[2] or "") + (f"_{cache[3]}h" if cache[3] else "")
    if token := _TOKEN.fullmatch(what):
        return "prices", token[1] + (token[2] or "")
    if what in _UNITS:
        return "units", _UNITS[what]
    variant = _VARIANT.fullmatch(what)
    if variant is not None and variant[1] in _UNITS:
        return "units", f"{_UNITS[variant[1]]}/{variant[2].lower()}"
    return None
