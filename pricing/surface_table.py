"""The table of surfaces: for each API of each provider, which counts its usage object has and which contain which.

Whether cached, written, reasoning and modality tokens are inside a total is what the provider's documentation says
(`source`), and all of it was held against recorded responses (tests/golden).
"""

from collections.abc import Mapping
from dataclasses import replace

from pricing.response_counts import Paths
from pricing.surface_shapes import (
    CHAT,
    GENERATE_CONTENT,
    MESSAGES,
    REASONING_BESIDE,
    RESPONSES,
    Surface,
    Total,
    chat_where_cached_is,
    modalities,
)

_XAI_TOOLS = {
    unit: f"server_side_tool_usage_details.{calls}"
    for unit, calls in {
        "web_search": "web_search_calls",
        "x_search": "x_search_calls",
        "code_interpreter": "code_interpreter_calls",
        "file_search": "file_search_calls",
        "document_search": "document_search_calls",
    }.items()
}
_OPENROUTER_TOOLS: dict[str, Paths] = {
    "web_search": ("server_tool_use.web_search_requests", "server_tool_use_details.web_search_requests")
}
_OPENROUTER_COUNTS = (
    "https://openrouter.ai/docs/guides/administration/usage-accounting: counts of the model's own tokenizer in "
    "OpenAI's form, whoever answered: cached and written tokens in the prompt, reasoning in the completion, the total "
    "is the 'sum of the above two'; what was billed, in usage.cost_details, agrees with it (openrouter_billed.jsonl)"
)


def _openrouter(surface: Surface) -> Surface:
    """A shape of OpenAI's as OpenRouter fills it: what Gemini writes to a cache, it reads in the same request.

    So it is billed, as read and as stored for five minutes (tests/unit/test_billed.py).
    """
    prompt, *others = surface.totals
    read_back = replace(prompt, nested=("cache_read", "cache_creation"))
    row = replace(surface, source=_OPENROUTER_COUNTS, units=_OPENROUTER_TOOLS)
    return replace(row, models={"google/": replace(row, totals=(read_back, *others))})


SURFACES: Mapping[str, Surface] = {
    "openai.chat_completions": CHAT,
    "openai.responses": RESPONSES,
    "openai.embeddings": replace(
        CHAT,
        source="https://platform.openai.com/docs/api-reference/embeddings/object: prompt_tokens is all there is",
        totals=(Total("input", "prompt_tokens"),),
    ),
    "azure.chat_completions": replace(
        CHAT,
        source="https://learn.microsoft.com/azure/ai-foundry/openai/reference: OpenAI's models and usage object",
    ),
    "azure.responses": replace(
        RESPONSES,
        source="https://learn.microsoft.com/azure/ai-foundry/openai/how-to/responses: OpenAI's models and usage object",
    ),
    "anthropic.messages": MESSAGES,
    "bedrock.messages": replace(
        MESSAGES,
        source="https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-anthropic-claude-messages.html: "
        "InvokeModel returns Anthropic's own body",
    ),
    "bedrock.converse": Surface(
        source="https://docs.aws.amazon.com/bedrock/latest/userguide/prompt-caching.html: inputTokens are those "
        "neither read from nor written to the cache, totalTokens has all four; .../APIReference/API_runtime_TokenUsage"
        ".html: cacheDetails are the written ones by TTL, 5m or 1h. The body does not name the model",
        totals=(
            Total("input", "inputTokens"),
            Total("cache_read", ("cacheReadInputTokens", "cacheReadInputTokenCount"), required=False),
            Total(
                "cache_creation",
                ("cacheWriteInputTokens", "cacheWriteInputTokenCount"),
                {"cache_creation_1h": "cacheDetails[ttl=1h].inputTokens"},
                rest="cacheDetails[ttl=5m].inputTokens",
                required=False,
            ),
            Total("output", "outputTokens"),
        ),
        model=None,
        total="totalTokens",
        tiers=("serviceTier.type",),
    ),
    "bedrock.chat_completions": replace(
        CHAT,
        source="https://docs.aws.amazon.com/bedrock/latest/userguide/bedrock-mantle.html: OpenAI's API as it is",
    ),
    "bedrock.responses": replace(
        RESPONSES,
        source="https://docs.aws.amazon.com/bedrock/latest/userguide/bedrock-mantle.html: OpenAI's API as it is",
    ),
    "google.generate_content": GENERATE_CONTENT,
    "google.embed_content": Surface(
        source="https://ai.google.dev/api/embeddings: usageMetadata has promptTokenCount and promptTokenDetails (not "
        "promptTokensDetails). The body does not name the model",
        totals=(Total("input", "promptTokenCount", modalities("promptTokenDetails", "input")),),
        usage="usageMetadata",
        model=None,
        bounds=(("promptTokenDetails[].tokenCount", "promptTokenCount"),),
        tiers=(),
    ),
    "google.chat_completions": replace(
        CHAT,
        source="https://ai.google.dev/gemini-api/docs/openai, thinking: thoughts are in total_tokens, not in "
        "completion_tokens, and mostly under no name of their own",
        totals=(CHAT.totals[0], *REASONING_BESIDE),
        unlisted="output_reasoning",
    ),
    "vertex.generate_content": replace(
        GENERATE_CONTENT,
        source="https://cloud.google.com/vertex-ai/generative-ai/docs/reference/rest/v1/GenerateContentResponse"
        "#UsageMetadata: totalTokenCount is 'the sum of promptTokenCount, candidatesTokenCount, "
        "toolUsePromptTokenCount, and thoughtsTokenCount'; trafficType is what was served",
        tiers=("usageMetadata.trafficType",),
    ),
    "mistral.chat_completions": chat_where_cached_is(
        ("prompt_tokens_details.cached_tokens", "prompt_token_details.cached_tokens"),
        "https://docs.mistral.ai/studio-api/conversations/advanced/prompt-caching: cached_tokens are prompt tokens, "
        "'billed at 10% of the standard input token price', in blocks of 64. The num_cached_tokens of older responses "
        "(9 of 10, 85 of 86) is what the engine reused before that was a price: it stays in the input",
    ),
    "groq.chat_completions": replace(
        CHAT,
        source="https://console.groq.com/docs/prompt-caching: cached_tokens are part of prompt_tokens; "
        ".../docs/reasoning: reasoning_tokens are part of completion_tokens",
    ),
    "deepseek.chat_completions": chat_where_cached_is(
        ("prompt_cache_hit_tokens", "prompt_tokens_details.cached_tokens"),
        "https://api-docs.deepseek.com/api/create-chat-completion: prompt_tokens 'equals prompt_cache_hit_tokens + "
        "prompt_cache_miss_tokens'; reasoning_tokens break down completion_tokens",
        rest="prompt_cache_miss_tokens",
    ),
    "xai.chat_completions": replace(
        CHAT,
        source="https://docs.x.ai/docs/key-information/consumption-and-rate-limits: reasoning tokens are 'counted "
        "separately from completion_tokens, but will be counted in the total_tokens'; cost_in_usd_ticks bills them",
        totals=(CHAT.totals[0], *REASONING_BESIDE),
        units=_XAI_TOOLS,
    ),
    "xai.responses": replace(
        RESPONSES,
        source="https://docs.x.ai/developers/advanced-api-usage/prompt-caching/usage-and-pricing, .../tools/"
        "tool-usage-details: unlike xAI's chat completions, reasoning is inside output_tokens (total_tokens and "
        "cost_in_usd_ticks of published responses); tools are billed by successful call",
        units=_XAI_TOOLS,
    ),
    "cohere.chat": Surface(
        source="https://docs.cohere.com/v2/docs/how-does-cohere-pricing-work: billed_units is what is billed; "
        "usage.tokens and cached_tokens also count what Cohere adds to the prompt. The body does not name the model",
        totals=(Total("input", "input_tokens"), Total("output", "output_tokens")),
        usage="usage.billed_units",
        model=None,
        units={"search_unit": "search_units", "classification": "classifications"},
        tiers=(),
    ),
    "cohere.embed": Surface(
        source="https://docs.cohere.com/reference/embed: meta.billed_units has input_tokens and image_tokens, each "
        "billed. The body does not name the model",
        totals=(Total("input", "input_tokens"), Total("input_image", "image_tokens", required=False)),
        usage="meta.billed_units",
        model=None,
        tiers=(),
    ),
    "openrouter.chat_completions": _openrouter(CHAT),
    "openrouter.responses": _openrouter(RESPONSES),
    "cerebras.chat_completions": replace(
        CHAT,
        source="https://inference-docs.cerebras.ai/api-reference/chat-completions: OpenAI's usage object",
    ),
    "huggingface.chat_completions": replace(
        CHAT,
        source="https://huggingface.co/docs/inference-providers/tasks/chat-completion: the usage object of the "
        "provider that answered, in OpenAI's form",
    ),
    "zai.chat_completions": replace(
        CHAT,
        source="https://docs.z.ai/guides/capabilities/cache: cached_tokens are part of prompt_tokens; reasoning of "
        "completion_tokens",
    ),
    "ollama.chat_completions": replace(
        CHAT, source="https://docs.ollama.com/api/openai-compatibility: prompt, completion and total, no details"
    ),
    "heroku.chat_completions": replace(
        CHAT,
        source="https://devcenter.heroku.com/articles/heroku-inference-api-v1-chat-completions: prompt, completion and "
        "total, no details",
    ),
}
