"""What a row of the table of surfaces says, and the shapes of response that several surfaces share.

Totals of one surface are disjoint; what is `inside` a total is part of it, what is not listed stays in it. A count that
has two names is given with both.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from pricing.response_counts import Paths


@dataclass(frozen=True, slots=True)
class Total:
    """A count of the usage object (`path`), and by kind the counts inside it; what they leave is of its own `kind`.

    `shared` are counts inside two of `inside` at once, such as cached audio. `nested` are kinds of `inside` of which
    the smaller count is part of the greater, and billed as both. `rest` is the provider's own count of what is left,
    which has to agree. A total that is not required may be absent or null, which is 0.
    """

    kind: str
    path: Paths
    inside: Mapping[str, Paths] = field(default_factory=dict)
    shared: Mapping[str, Paths] = field(default_factory=dict)
    nested: tuple[str, ...] = ()
    rest: str | None = None
    required: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Surface:
    """One API of one provider. `usage`, `model`, `tiers` and `region` are paths in the body, the others in `usage`.

    `total` is the provider's sum of all totals; `unlisted` the kind of what the sum has beyond them, where it may have
    more. `bounds` are pairs of counts of which the first may not exceed the second. `iterations` is a list of usage
    objects, each perhaps of a model of its own, that replaces the counts beside it. `models` are the surfaces of models
    that are counted otherwise, by how their names start.
    """

    source: str
    totals: tuple[Total, ...]
    usage: str = "usage"
    model: str | None = "model"
    total: str | None = None
    unlisted: str | None = None
    bounds: tuple[tuple[str, str], ...] = ()
    units: Mapping[str, Paths] = field(default_factory=dict)
    tiers: tuple[str, ...] = ("service_tier",)
    region: str | None = None
    iterations: str | None = None
    models: Mapping[str, "Surface"] = field(default_factory=dict)

    @property
    def members(self) -> tuple[str, ...]:
        """The members of a body that are read; a producer may leave out all others."""
        paths = (self.model, self.usage, *self.tiers, self.region)
        return tuple(dict.fromkeys(path.split(".")[0] for path in paths if path))


# --- the shape of OpenAI, which many have taken over, not always with its meaning

_PROMPT = {
    "cache_read": "prompt_tokens_details.cached_tokens",
    "cache_creation": "prompt_tokens_details.cache_write_tokens",
    "input_audio": "prompt_tokens_details.audio_tokens",
    "input_image": "prompt_tokens_details.image_tokens",
    "input_video": "prompt_tokens_details.video_tokens",
}
_COMPLETION = {
    "output_reasoning": "completion_tokens_details.reasoning_tokens",
    "output_audio": "completion_tokens_details.audio_tokens",
    "output_image": "completion_tokens_details.image_tokens",
}
REASONING_BESIDE = (
    Total("output", "completion_tokens", {"output_audio": _COMPLETION["output_audio"]}),
    Total("output_reasoning", _COMPLETION["output_reasoning"], required=False),
)

CHAT = Surface(
    source="https://platform.openai.com/docs/api-reference/chat/object: cached_tokens (and cache_write_tokens, audio) "
    "are 'present in the prompt', reasoning_tokens, audio and rejected predictions count in completion_tokens, "
    "total_tokens is 'prompt + completion'",
    totals=(Total("input", "prompt_tokens", _PROMPT), Total("output", "completion_tokens", _COMPLETION)),
    total="total_tokens",
)
RESPONSES = Surface(
    source="https://platform.openai.com/docs/api-reference/responses/object: input_tokens_details and "
    "output_tokens_details are breakdowns of input_tokens and output_tokens, reasoning 'billed as output tokens'",
    totals=(
        Total(
            "input",
            "input_tokens",
            {
                "cache_read": "input_tokens_details.cached_tokens",
                "cache_creation": "input_tokens_details.cache_write_tokens",
            },
        ),
        Total("output", "output_tokens", {"output_reasoning": "output_tokens_details.reasoning_tokens"}),
    ),
    total="total_tokens",
)


def chat_where_cached_is(path: Paths, source: str, *, rest: str | None = None) -> Surface:
    """Chat completions whose cached tokens have a name of their own too."""
    prompt = Total("input", "prompt_tokens", {**_PROMPT, "cache_read": path}, rest=rest)
    return replace(CHAT, source=source, totals=(prompt, CHAT.totals[1]))


# --- Anthropic

_WRITTEN = Total(
    "cache_creation",
    "cache_creation_input_tokens",
    {"cache_creation_1h": "cache_creation.ephemeral_1h_input_tokens"},
    rest="cache_creation.ephemeral_5m_input_tokens",
    required=False,
)
MESSAGES = Surface(
    source="https://platform.claude.com/docs/en/build-with-claude/prompt-caching: the input is input_tokens + "
    "cache_read_input_tokens + cache_creation_input_tokens, the last split by duration; .../compaction: 'sum across "
    "all entries in usage.iterations' for what is billed; .../advisor-tool: the advisor's 'bill at a different rate'; "
    ".../web-search-tool: billed by web_search_requests (web_fetch_requests are free); .../fast-mode: usage.speed",
    totals=(
        Total("input", "input_tokens"),
        Total("cache_read", "cache_read_input_tokens", required=False),
        _WRITTEN,
        Total("output", "output_tokens", {"output_reasoning": "output_tokens_details.thinking_tokens"}),
    ),
    units={"web_search": "server_tool_use.web_search_requests"},
    tiers=("usage.service_tier", "usage.speed"),
    region="usage.inference_geo",
    iterations="iterations",
)

# --- Google: the tokens of a PDF are those of the images of its pages


def modalities(details: str, prefix: str) -> dict[str, Paths]:
    """The counts of a list by modality, as kinds with a prefix; text is the plain kind and not among them."""
    names = {"audio": "AUDIO", "image": "IMAGE|DOCUMENT", "video": "VIDEO"}
    return {f"{prefix}_{kind}": f"{details}[modality={name}].tokenCount" for kind, name in names.items()}


_CACHED = {"cache_read": "cachedContentTokenCount"}
GENERATE_CONTENT = Surface(
    source="https://ai.google.dev/api/generate-content#UsageMetadata: promptTokenCount 'includes the number of tokens "
    "in the cached content'; totalTokenCount is prompt + tool use + thoughts + candidates; thoughts are billed as "
    "output (.../gemini-api/docs/thinking)",
    totals=(
        Total(
            "input",
            "promptTokenCount",
            {**_CACHED, **modalities("promptTokensDetails", "input")},
            shared=modalities("cacheTokensDetails", "cache_read"),
        ),
        Total(
            "input",
            "toolUsePromptTokenCount",
            modalities("toolUsePromptTokensDetails", "input"),
            required=False,
        ),
        Total(
            "output",
            "candidatesTokenCount",
            modalities("candidatesTokensDetails", "output"),
            required=False,
        ),
        Total("output_reasoning", "thoughtsTokenCount", required=False),
    ),
    usage="usageMetadata",
    model="modelVersion",
    total="totalTokenCount",
    bounds=(
        ("promptTokensDetails[].tokenCount", "promptTokenCount"),
        ("cacheTokensDetails[].tokenCount", "cachedContentTokenCount"),
        ("toolUsePromptTokensDetails[].tokenCount", "toolUsePromptTokenCount"),
        ("candidatesTokensDetails[].tokenCount", "candidatesTokenCount"),
    ),
    tiers=("usageMetadata.serviceTier",),
)
