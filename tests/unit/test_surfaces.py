"""The table of surfaces: what is inside a total and what beside it, row by row, on bodies made by hand."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing.errors import InvalidUsage, Rejected
from pricing.surface_table import SURFACES
from pricing.surfaces import Decomposed, decompose

Body = dict[str, Any]


def chat(prompt: Any, completion: Any, total: Any = None, **usage: Any) -> Body:
    """Chat completions; details are `prompt_details` and `completion_details`."""
    names = {"prompt_details": "prompt_tokens_details", "completion_details": "completion_tokens_details"}
    counts = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total}
    return {"model": "m", "usage": counts | {names.get(name, name): value for name, value in usage.items()}}


def responses(given_in: Any, given_out: Any, total: Any = None, **usage: Any) -> Body:
    """Responses; details are `in_details` and `out_details`."""
    names = {"in_details": "input_tokens_details", "out_details": "output_tokens_details"}
    counts = {"input_tokens": given_in, "output_tokens": given_out, "total_tokens": total}
    return {"model": "m", "usage": counts | {names.get(name, name): value for name, value in usage.items()}}


def messages(given_in: Any, read: Any, written: Any, given_out: Any, **usage: Any) -> Body:
    """Anthropic messages."""
    cached = {"cache_read_input_tokens": read, "cache_creation_input_tokens": written}
    return {"model": "m", "usage": {"input_tokens": given_in, "output_tokens": given_out} | cached | usage}


def converse(given_in: Any, read: Any, written: Any, given_out: Any, **usage: Any) -> Body:
    """Bedrock converse, which names its counts twice."""
    cached = {f"cacheRead{name}": read for name in ("InputTokens", "InputTokenCount")}
    cached |= {f"cacheWrite{name}": written for name in ("InputTokens", "InputTokenCount")}
    return {"usage": {"inputTokens": given_in, "outputTokens": given_out} | cached | usage}


def gemini(prompt: Any, **usage: Any) -> Body:
    """generateContent; lists of (modality, count) become details."""
    lists = {
        name: [{"modality": modality, "tokenCount": count} for modality, count in value]
        for name, value in usage.items()
        if isinstance(value, list)
    }
    return {"modelVersion": "m", "usageMetadata": {"promptTokenCount": prompt} | usage | lists}


def split(short: int, long: int) -> Body:
    """Anthropic's written tokens by duration."""
    return {"ephemeral_5m_input_tokens": short, "ephemeral_1h_input_tokens": long}


def iteration(kind: str, given_in: int, given_out: int, **more: Any) -> Body:
    """One of Anthropic's iterations."""
    return {"type": kind, "input_tokens": given_in, "output_tokens": given_out, **more}


COHERE = {"billed_units": {"input_tokens": 2406, "output_tokens": 2}, "cached_tokens": 2928}

RULES: list[tuple[str, str, Body, dict[str, int]]] = [
    ("cached, written and audio are in the prompt, reasoning and audio in the completion", "openai.chat_completions",
     chat(1000, 100, 1100, prompt_details={"cached_tokens": 600, "cache_write_tokens": 200, "audio_tokens": 50},
          completion_details={"reasoning_tokens": 70, "audio_tokens": 10, "rejected_prediction_tokens": 5}),
     {"input": 150, "cache_read": 600, "cache_creation": 200, "input_audio": 50,
      "output": 20, "output_reasoning": 70, "output_audio": 10}),
    ("no details", "openai.chat_completions", chat(10, 5, 15), {"input": 10, "output": 5}),
    ("details that are null", "openai.chat_completions",
     chat(10, 5, 15, prompt_details=None, completion_details=None), {"input": 10, "output": 5}),
    ("a detail that is null", "openai.chat_completions", chat(10, 5, 15, prompt_details={"cached_tokens": None}),
     {"input": 10, "output": 5}),
    ("a detail nobody knows stays where it is", "openai.chat_completions",
     chat(10, 5, 15, prompt_details={"smell_tokens": 3}), {"input": 10, "output": 5}),
    ("without a total there is none to check", "openai.chat_completions", chat(10, 5), {"input": 10, "output": 5}),
    ("all of the prompt is cached", "openai.chat_completions", chat(9, 1, 10, prompt_details={"cached_tokens": 9}),
     {"cache_read": 9, "output": 1}),
    ("text is cached before audio", "openai.chat_completions",
     chat(100, 1, 101, prompt_details={"cached_tokens": 30, "audio_tokens": 60}),
     {"input": 10, "cache_read": 30, "input_audio": 60, "output": 1}),
    ("what text has no room for is cached audio", "openai.chat_completions",
     chat(100, 1, 101, prompt_details={"cached_tokens": 70, "audio_tokens": 60}),
     {"cache_read": 40, "cache_read_audio": 30, "input_audio": 30, "output": 1}),
    ("cached, written and reasoning are inside", "openai.responses",
     responses(4020, 50, 4070, in_details={"cached_tokens": 5, "cache_write_tokens": 4007},
               out_details={"reasoning_tokens": 30}),
     {"input": 8, "cache_read": 5, "cache_creation": 4007, "output": 20, "output_reasoning": 30}),
    ("a compaction has no model", "openai.responses", {"usage": responses(124, 268, 392)["usage"]},
     {"input": 124, "output": 268}),
    ("there is a prompt only", "openai.embeddings", {"model": "m", "usage": {"prompt_tokens": 2, "total_tokens": 2}},
     {"input": 2}),
    ("cached and written stand beside the input, thinking is in the output", "anthropic.messages",
     messages(3, 2074, 297, 61, cache_creation=split(200, 97), output_tokens_details={"thinking_tokens": 40}),
     {"input": 3, "cache_read": 2074, "cache_creation": 200, "cache_creation_1h": 97,
      "output": 21, "output_reasoning": 40}),
    ("written tokens that are not split are of the shortest duration", "anthropic.messages",
     messages(3, None, 297, 61, cache_creation=None), {"input": 3, "cache_creation": 297, "output": 61}),
    ("a compaction is billed beside the counts of the top level", "anthropic.messages",
     messages(180, 0, 0, 8, iterations=[
         iteration("compaction", 100, 82, cache_creation_input_tokens=55096, cache_creation=split(55096, 0)),
         iteration("message", 180, 8)]),
     {"input": 280, "cache_creation": 55096, "output": 90}),
    ("no iterations are none", "anthropic.messages", messages(3, 0, 0, 5, iterations=[]), {"input": 3, "output": 5}),
    ("cached and written stand beside the input", "bedrock.messages", messages(3, 9511, 0, 1944),
     {"input": 3, "cache_read": 9511, "output": 1944}),
    ("cached and written stand beside the input", "bedrock.converse",
     converse(3, 2074, 297, 61, totalTokens=2435, cacheDetails=[{"ttl": "1h", "inputTokens": 97},
                                                               {"ttl": "5m", "inputTokens": 200}]),
     {"input": 3, "cache_read": 2074, "cache_creation": 200, "cache_creation_1h": 97, "output": 61}),
    ("all is written for an hour", "bedrock.converse",
     converse(3, 0, 97, 61, totalTokens=161, cacheDetails=[{"ttl": "1h", "inputTokens": 97}]),
     {"input": 3, "cache_creation_1h": 97, "output": 61}),
    ("nothing says for how long", "bedrock.converse", converse(3, 0, 97, 61, totalTokens=161, cacheDetails=[]),
     {"input": 3, "cache_creation": 97, "output": 61}),
    ("thoughts and tool prompts stand beside, cached tokens are in the prompt", "google.generate_content",
     gemini(373, cachedContentTokenCount=204, candidatesTokenCount=89, thoughtsTokenCount=167,
            toolUsePromptTokenCount=20, totalTokenCount=649, promptTokensDetails=[("TEXT", 115), ("IMAGE", 258)],
            cacheTokensDetails=[("TEXT", 63), ("IMAGE", 141)]),
     {"input": 72, "cache_read": 63, "input_image": 117, "cache_read_image": 141, "output": 89,
      "output_reasoning": 167}),
    ("pages of a document are images", "google.generate_content",
     gemini(345, totalTokenCount=345, promptTokensDetails=[("TEXT", 80), ("DOCUMENT", 258), ("IMAGE", 7)]),
     {"input": 80, "input_image": 265}),
    ("every modality has its kind", "google.generate_content",
     gemini(60, candidatesTokenCount=60, totalTokenCount=120,
            promptTokensDetails=[("TEXT", 10), ("AUDIO", 20), ("VIDEO", 30)],
            candidatesTokensDetails=[("IMAGE", 20), ("AUDIO", 30)]),
     {"input": 10, "input_audio": 20, "input_video": 30, "output": 10, "output_image": 20, "output_audio": 30}),
    ("details that leave something out leave it plain", "google.generate_content",
     gemini(417, thoughtsTokenCount=71, totalTokenCount=488, promptTokensDetails=[("TEXT", 351)]),
     {"input": 417, "output_reasoning": 71}),
    ("an entry without a count has none", "google.generate_content",
     gemini(4, promptTokensDetails=[("TEXT", 4), ("AUDIO", None)]), {"input": 4}),
    ("nothing but a prompt", "google.embed_content",
     {"usageMetadata": {"promptTokenCount": 3, "promptTokenDetails": [{"modality": "TEXT", "tokenCount": 3}]}},
     {"input": 3}),
    ("thoughts are in the total alone", "google.chat_completions", chat(35, 12, 109),
     {"input": 35, "output": 12, "output_reasoning": 62}),
    ("thoughts that have a name are not in the completion either", "google.chat_completions",
     chat(35, 12, 109, completion_details={"reasoning_tokens": 62}),
     {"input": 35, "output": 12, "output_reasoning": 62}),
    ("thoughts stand beside", "vertex.generate_content",
     gemini(22, candidatesTokenCount=15, thoughtsTokenCount=685, totalTokenCount=722),
     {"input": 22, "output": 15, "output_reasoning": 685}),
    ("cached tokens are in the prompt", "mistral.chat_completions",
     chat(801, 2, 803, prompt_details={"cached_tokens": 768}), {"input": 33, "cache_read": 768, "output": 2}),
    ("what the engine reused was no price", "mistral.chat_completions", chat(86, 703, 789, num_cached_tokens=85),
     {"input": 86, "output": 703}),
    ("reasoning is in the completion", "groq.chat_completions",
     chat(254, 174, 428, completion_details={"reasoning_tokens": 147}, queue_time=0.5),
     {"input": 254, "output": 27, "output_reasoning": 147}),
    ("the prompt is hit and miss", "deepseek.chat_completions",
     chat(875, 79, 954, prompt_cache_hit_tokens=800, prompt_cache_miss_tokens=75,
          prompt_details={"cached_tokens": 800}, completion_details={"reasoning_tokens": 26}),
     {"input": 75, "cache_read": 800, "output": 53, "output_reasoning": 26}),
    ("reasoning is not in the completion", "xai.chat_completions",
     chat(10120, 1499, 14428, prompt_details={"cached_tokens": 128}, completion_details={"reasoning_tokens": 2809}),
     {"input": 9992, "cache_read": 128, "output": 1499, "output_reasoning": 2809}),
    ("reasoning is in the output", "xai.responses",
     responses(37423, 1107, 38530, in_details={"cached_tokens": 192}, out_details={"reasoning_tokens": 792}),
     {"input": 37231, "cache_read": 192, "output": 315, "output_reasoning": 792}),
    ("billed units count, not tokens", "cohere.chat",
     {"usage": COHERE | {"tokens": {"input_tokens": 2935, "output_tokens": 4}}}, {"input": 2406, "output": 2}),
    ("text and images are billed apart", "cohere.embed",
     {"meta": {"billed_units": {"input_tokens": 2, "image_tokens": 7}}}, {"input": 2, "input_image": 7}),
    ("cached and written are in the prompt", "openrouter.chat_completions",
     chat(2572, 100, 2672, prompt_details={"cached_tokens": 2240, "cache_write_tokens": 329, "video_tokens": 0}),
     {"input": 3, "cache_read": 2240, "cache_creation": 329, "output": 100}),
    ("written tokens are in the input", "openrouter.responses",
     responses(4020, 5, 4025, in_details={"cache_write_tokens": 4012}, cost=0.025265),
     {"input": 8, "cache_creation": 4012, "output": 5}),
    *[("reasoning is in the completion", f"{host}.chat_completions",
       chat(35, 106, 141, prompt_details={"cached_tokens": 5}, completion_details={"reasoning_tokens": 97}),
       {"input": 30, "cache_read": 5, "output": 9, "output_reasoning": 97})
      for host in ("azure", "bedrock", "cerebras", "huggingface", "zai", "ollama", "heroku")],
    *[("reasoning is in the output", f"{host}.responses",
       responses(35, 106, 141, out_details={"reasoning_tokens": 97}),
       {"input": 35, "output": 9, "output_reasoning": 97}) for host in ("azure", "bedrock")],
]  # fmt: skip


@pytest.mark.parametrize(("rule", "surface", "body", "tokens"), RULES, ids=[f"{row[1]}: {row[0]}" for row in RULES])
def test_a_response_becomes_disjoint_counts(rule: str, surface: str, body: Body, tokens: dict[str, int]) -> None:
    """One row per surface and rule; a count of 0 is left out."""
    assert decompose(surface, body).tokens == tokens


def test_every_surface_has_a_rule_and_a_source() -> None:
    """No row of the table is there on faith."""
    assert {surface for _, surface, _, _ in RULES} == set(SURFACES)
    assert [name for name, row in SURFACES.items() if not row.source.startswith("https://")] == []


@pytest.mark.parametrize(
    ("surface", "body", "model"),
    [
        ("openai.chat_completions", chat(1, 1), "m"),
        ("google.generate_content", gemini(1) | {"modelVersion": "models/gemini-2.5-pro"}, "models/gemini-2.5-pro"),
        ("openai.responses", {"model": None, "usage": responses(1, 1)["usage"]}, None),
        ("bedrock.converse", {"model": "not Bedrock's", **converse(1, 0, 0, 1)}, None),
    ],
)
def test_the_model_is_as_the_body_names_it(surface: str, body: Body, model: str | None) -> None:
    """Or None, where it does not: the event has to say."""
    assert decompose(surface, body).model == model


TIERS: list[tuple[str, Body, str | None]] = [
    ("openai.chat_completions", chat(1, 1), None),
    ("openai.chat_completions", chat(1, 1) | {"service_tier": None}, None),
    ("openai.chat_completions", chat(1, 1) | {"service_tier": "default"}, "standard"),
    ("openai.chat_completions", chat(1, 1) | {"service_tier": "flex"}, "flex"),
    ("openai.responses", responses(1, 1) | {"service_tier": "priority"}, "priority"),
    ("openai.responses", responses(1, 1) | {"service_tier": "auto"}, None),
    ("groq.chat_completions", chat(1, 1) | {"service_tier": "on_demand"}, "standard"),
    ("groq.chat_completions", chat(1, 1) | {"service_tier": "performance"}, "performance"),
    ("anthropic.messages", messages(1, 0, 0, 1, service_tier="standard"), "standard"),
    ("anthropic.messages", messages(1, 0, 0, 1, service_tier="batch"), "batch"),
    ("anthropic.messages", messages(1, 0, 0, 1, service_tier="standard", speed="fast"), "fast"),
    ("bedrock.converse", converse(1, 0, 0, 1) | {"serviceTier": {"type": "flex"}}, "flex"),
    ("bedrock.converse", converse(1, 0, 0, 1) | {"serviceTier": {"type": "default"}}, "standard"),
    ("google.generate_content", gemini(1, serviceTier="standard"), "standard"),
    ("google.generate_content", gemini(1, serviceTier="priority"), "priority"),
    ("vertex.generate_content", gemini(1, trafficType="ON_DEMAND"), "standard"),
    ("vertex.generate_content", gemini(1, trafficType="ON_DEMAND_PRIORITY"), "priority"),
    ("vertex.generate_content", gemini(1, trafficType="ON_DEMAND_FLEX"), "flex"),
    ("vertex.generate_content", gemini(1, trafficType="PROVISIONED_THROUGHPUT"), "provisioned_throughput"),
]


@pytest.mark.parametrize(("surface", "body", "tier"), TIERS)
def test_the_tier_is_the_one_that_was_served(surface: str, body: Body, tier: str | None) -> None:
    """`standard` under all the names that this has; None where the body does not say."""
    assert decompose(surface, body).service_tier == tier


@pytest.mark.parametrize(("geo", "region"), [(None, None), ("global", "global"), ("not_available", None), ("us", "us")])
def test_a_region_is_where_the_response_says_that_it_was_computed(geo: str | None, region: str | None) -> None:
    """Anthropic charges more for inference that stays in a country."""
    assert decompose("anthropic.messages", messages(1, 0, 0, 1, inference_geo=geo)).region == region


@pytest.mark.parametrize(
    ("surface", "body", "units"),
    [
        ("anthropic.messages",
         messages(1, 0, 0, 1, server_tool_use={"web_search_requests": 3, "web_fetch_requests": 2}), {"web_search": 3}),
        ("anthropic.messages", messages(1, 0, 0, 1, server_tool_use={"web_search_requests": 0}), {}),
        ("anthropic.messages", messages(1, 0, 0, 1, server_tool_use=None), {}),
        ("xai.responses",
         responses(1, 1, server_side_tool_usage_details={"x_search_calls": 12, "web_search_calls": 0}),
         {"x_search": 12}),
        ("openrouter.chat_completions", chat(1, 1, server_tool_use={"web_search_requests": 1}), {"web_search": 1}),
        ("cohere.chat", {"usage": {"billed_units": COHERE["billed_units"] | {"search_units": 2, "classifications": 0}}},
         {"search_unit": 2}),
    ],
)  # fmt: skip
def test_tools_of_the_provider_are_units(surface: str, body: Body, units: dict[str, int]) -> None:
    """What is billed by use; a fetch of Anthropic's is free."""
    assert decompose(surface, body).units == units


def test_tokens_of_an_advisor_are_the_other_model_s() -> None:
    """They are in no count of the top level and bill at their own model's prices."""
    advisor = iteration("advisor_message", 2529, 38, model="claude-opus-4-8")
    rounds = [iteration("message", 1128, 121), advisor, iteration("message", 1289, 12, model="m")]
    body = messages(2417, 0, 0, 133, iterations=rounds, output_tokens_details={"thinking_tokens": 55})
    assert decompose("anthropic.messages", body) == Decomposed(
        "m",
        {"input": 2417, "output": 78, "output_reasoning": 55},
        {},
        others={"claude-opus-4-8": {"input": 2529, "output": 38}},
    )


CONTRADICTIONS: list[tuple[str, Body, str]] = [
    ("openai.chat_completions", chat(10, 5, 15, prompt_details={"cached_tokens": 11}),
     "prompt_tokens is 10, inside it are 11: cache_read 11"),
    ("openai.chat_completions", chat(10, 5, 15, prompt_details={"cached_tokens": 6, "cache_write_tokens": 5}),
     "prompt_tokens is 10, inside it are 11: cache_read 6, cache_creation 5"),
    ("openai.chat_completions", chat(10, 5, 15, prompt_details={"audio_tokens": 6, "image_tokens": 5}),
     "prompt_tokens is 10, inside it are 11: input_audio 6, input_image 5"),
    ("openai.chat_completions", chat(10, 5, 15, completion_details={"reasoning_tokens": 6}),
     "completion_tokens is 5, inside it are 6: output_reasoning 6"),
    ("openai.chat_completions", chat(10, 5, 16), "total_tokens is 16, its parts add up to 15"),
    ("openai.chat_completions", chat(35, 12, 109), "total_tokens is 109, its parts add up to 47"),
    ("xai.chat_completions", chat(12, 2, 14, completion_details={"reasoning_tokens": 317}),
     "total_tokens is 14, its parts add up to 331"),
    ("google.chat_completions", chat(35, 12, 46), "total_tokens is 46, its parts add up to 47"),
    ("openai.responses", responses(10, 5, 16), "total_tokens is 16, its parts add up to 15"),
    ("openai.responses", responses(10, 5, 15, out_details={"reasoning_tokens": 6}),
     "output_tokens is 5, inside it are 6: output_reasoning 6"),
    ("anthropic.messages", messages(1, 0, 10, 1, cache_creation=split(4, 5)),
     "cache_creation.ephemeral_5m_input_tokens is 4, cache_creation_input_tokens leaves 5"),
    ("anthropic.messages", messages(1, 0, None, 1, cache_creation=split(0, 5)),
     "cache_creation_input_tokens is 0, inside it are 5: cache_creation_1h 5"),
    ("anthropic.messages", messages(1, 0, 0, 9, iterations=[iteration("message", 1, 8)]),
     "output of the iterations adds up to 8, of usage it is 9"),
    ("bedrock.converse", converse(3, 10, 0, 1, totalTokens=4), "totalTokens is 4, its parts add up to 14"),
    ("bedrock.converse", converse(3, 10, 0, 1, cacheReadInputTokenCount=9),
     "cacheReadInputTokens is 10 but cacheReadInputTokenCount is 9"),
    ("bedrock.converse", converse(3, 0, 10, 1, cacheDetails=[{"ttl": "12h", "inputTokens": 10}]),
     "cacheDetails[ttl=5m].inputTokens is 0, cacheWriteInputTokens or cacheWriteInputTokenCount leaves 10"),
    ("google.generate_content", gemini(10, thoughtsTokenCount=5, totalTokenCount=10),
     "totalTokenCount is 10, its parts add up to 15"),
    ("google.generate_content", gemini(10, cachedContentTokenCount=11),
     "promptTokenCount is 10, inside it are 11: cache_read 11"),
    ("google.generate_content", gemini(10, promptTokensDetails=[("TEXT", 6), ("TEXT", 5)]),
     "promptTokensDetails[].tokenCount adds up to 11, promptTokenCount is 10"),
    ("google.generate_content", gemini(10, candidatesTokensDetails=[("TEXT", 1)]),
     "candidatesTokensDetails[].tokenCount adds up to 1, candidatesTokenCount is 0"),
    ("deepseek.chat_completions", chat(10, 1, 11, prompt_cache_hit_tokens=4, prompt_cache_miss_tokens=5),
     "prompt_cache_miss_tokens is 5, prompt_tokens leaves 6"),
]  # fmt: skip


@pytest.mark.parametrize(("surface", "body", "detail"), CONTRADICTIONS)
def test_counts_that_contradict_each_other_are_refused_with_both(surface: str, body: Body, detail: str) -> None:
    """Nothing is clipped and no side is believed."""
    with pytest.raises(InvalidUsage) as refusal:
        decompose(surface, body)
    assert (refusal.value.reason, refusal.value.detail) == (Rejected.DO_NOT_RECONCILE, f"response: {detail}")


@pytest.mark.parametrize(
    ("surface", "body", "detail"),
    [
        ("openai.chat", chat(1, 1), "surface: 'openai.chat' is none of openai.chat_completions, openai.responses, "),
        ("openai.chat_completions", {}, "response: usage is None, no object"),
        ("openai.chat_completions", {"usage": []}, "response: usage is [], no object"),
        ("cohere.chat", {"usage": {}}, "response: usage.billed_units is None, no object"),
        ("cohere.chat", {"usage": 3}, "response: usage.billed_units leads through 3, no object"),
        ("openai.chat_completions", {"usage": {"prompt_tokens": 1}}, "response: completion_tokens is missing"),
        ("openai.chat_completions", chat(None, 1), "response: prompt_tokens is missing"),
        ("google.generate_content", {"usageMetadata": {}}, "response: promptTokenCount is missing"),
        ("openai.chat_completions", chat(True, 1), "response: prompt_tokens is True, no count from 0 to "),
        ("openai.chat_completions", chat("1", 1), "response: prompt_tokens is '1', no count from 0 to "),
        ("openai.chat_completions", chat(1.0, 1), "response: prompt_tokens is 1.0, no count from 0 to "),
        ("openai.chat_completions", chat(10, -5, 5), "response: completion_tokens is -5, no count from 0 to "),
        ("openai.chat_completions", chat(10**15 + 1, 1), "response: prompt_tokens is 1000000000000001, no count"),
        ("openai.chat_completions", chat(1, 1, prompt_details=3),
         "response: prompt_tokens_details.cached_tokens leads through 3, no object"),
        ("google.generate_content", gemini(1, promptTokensDetails={}),
         "response: promptTokensDetails[modality=AUDIO].tokenCount leads through {}, no list"),
        ("google.generate_content", {"usageMetadata": {"promptTokenCount": 1, "promptTokensDetails": [3]}},
         "response: promptTokensDetails[modality=AUDIO].tokenCount leads through 3, no object"),
        ("anthropic.messages", messages(1, 0, 0, 1, iterations={"a": 1}),
         "response: usage.iterations is no list of objects"),
        ("openai.chat_completions", chat(1, 1) | {"model": 4}, "response: model is 4, no text"),
        ("openai.chat_completions", chat(1, 1) | {"model": ""}, "response: model is '', no text"),
        ("openai.chat_completions", chat(1, 1) | {"service_tier": 4}, "response: service_tier is 4, no text"),
    ],
)  # fmt: skip
def test_what_is_not_of_the_surface_s_form_is_refused(surface: str, body: Body, detail: str) -> None:
    """As an invalid field, named with what was found."""
    with pytest.raises(InvalidUsage) as refusal:
        decompose(surface, body)
    assert refusal.value.reason == Rejected.INVALID_FIELD
    assert refusal.value.detail.startswith(detail)


# --- for all counts

Tokens = Mapping[str, int]


def chat_of(n: Tokens, *, beside: int = 0) -> Body:
    """A body of chat completions that used `n`; `beside` of its reasoning is not in the completion."""
    prompt = n["input"] + n["cache_read"] + n["cache_creation"]
    completion = n["output"] + n["output_reasoning"]
    return chat(
        prompt,
        completion - beside,
        prompt + completion,
        prompt_details={"cached_tokens": n["cache_read"], "cache_write_tokens": n["cache_creation"]},
        completion_details={"reasoning_tokens": n["output_reasoning"]},
    )


def responses_of(n: Tokens) -> Body:
    """A body of responses that used `n`."""
    prompt = n["input"] + n["cache_read"] + n["cache_creation"]
    completion = n["output"] + n["output_reasoning"]
    details = {"cached_tokens": n["cache_read"], "cache_write_tokens": n["cache_creation"]}
    return responses(
        prompt,
        completion,
        prompt + completion,
        in_details=details,
        out_details={"reasoning_tokens": n["output_reasoning"]},
    )


def messages_of(n: Tokens) -> Body:
    """A body of Anthropic messages that used `n`."""
    written = n["cache_creation"] + n["cache_creation_1h"]
    return messages(
        n["input"],
        n["cache_read"],
        written,
        n["output"] + n["output_reasoning"],
        cache_creation=split(n["cache_creation"], n["cache_creation_1h"]),
        output_tokens_details={"thinking_tokens": n["output_reasoning"]},
    )


def converse_of(n: Tokens) -> Body:
    """A body of Bedrock converse that used `n`."""
    written = [("5m", n["cache_creation"]), ("1h", n["cache_creation_1h"])]
    return converse(
        n["input"],
        n["cache_read"],
        n["cache_creation"] + n["cache_creation_1h"],
        n["output"],
        totalTokens=sum(n.values()),
        cacheDetails=[{"ttl": ttl, "inputTokens": count} for ttl, count in written],
    )


def gemini_of(n: Tokens) -> Body:
    """A body of generateContent that used `n`."""
    cached = [("TEXT", n["cache_read"]), ("AUDIO", n["cache_read_audio"])]
    prompt = [("TEXT", n["input"] + n["cache_read"]), ("AUDIO", n["input_audio"] + n["cache_read_audio"])]
    answer = [("TEXT", n["output"]), ("IMAGE", n["output_image"])]
    return gemini(
        sum(count for _, count in prompt),
        cachedContentTokenCount=sum(count for _, count in cached),
        candidatesTokenCount=sum(count for _, count in answer),
        thoughtsTokenCount=n["output_reasoning"],
        totalTokenCount=sum(n.values()),
        promptTokensDetails=prompt,
        cacheTokensDetails=cached,
        candidatesTokensDetails=answer,
    )


OPENAI = ("input", "cache_read", "cache_creation", "output", "output_reasoning")
CLAUDE = ("input", "cache_read", "cache_creation", "cache_creation_1h", "output", "output_reasoning")
GEMINI = ("input", "cache_read", "input_audio", "cache_read_audio", "output", "output_image", "output_reasoning")
MADE: dict[str, tuple[tuple[str, ...], Callable[[Tokens], Body]]] = {
    "openai.chat_completions": (OPENAI, chat_of),
    "openai.responses": (OPENAI, responses_of),
    "xai.chat_completions": (OPENAI, lambda n: chat_of(n, beside=n["output_reasoning"])),
    "xai.responses": (OPENAI, responses_of),
    "anthropic.messages": (CLAUDE, messages_of),
    "bedrock.converse": (CLAUDE[:-1], converse_of),
    "google.generate_content": (GEMINI, gemini_of),
}
TOTALS = {"totalTokens", "total_tokens", "totalTokenCount"}


@given(st.sampled_from(sorted(MADE)), st.data())
def test_the_disjoint_counts_are_what_was_used(surface: str, data: st.DataObject) -> None:
    """Their sum is the total that the surface states; one token more or less there is refused."""
    kinds, make = MADE[surface]
    used = {kind: data.draw(st.integers(0, 10**6), kind) for kind in kinds}
    body = make(used)
    tokens = decompose(surface, body).tokens
    assert tokens == {kind: count for kind, count in used.items() if count}
    usage = body.get("usage") or body["usageMetadata"]
    for name in TOTALS & set(usage):
        assert sum(tokens.values()) == usage[name]
        usage[name] += data.draw(st.sampled_from([-1, 1]))
        with pytest.raises(InvalidUsage):
            decompose(surface, body)


@given(st.integers(0, 1000), st.integers(0, 1000), st.integers(0, 1000))
def test_cached_audio_is_counted_once(text: int, audio: int, cached: int) -> None:
    """However cached tokens and audio lie over each other, each kind keeps its sum, and the prompt its own."""
    body = chat(text + audio, 0, prompt_details={"cached_tokens": cached, "audio_tokens": audio})
    if cached > text + audio:
        with pytest.raises(InvalidUsage):
            decompose("openai.chat_completions", body)
        return
    tokens = decompose("openai.chat_completions", body).tokens
    assert sum(tokens.values()) == text + audio
    assert tokens.get("cache_read", 0) + tokens.get("cache_read_audio", 0) == cached
    assert tokens.get("input_audio", 0) + tokens.get("cache_read_audio", 0) == audio
    assert min(tokens.values(), default=1) > 0
