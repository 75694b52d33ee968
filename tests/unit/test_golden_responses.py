"""898 real responses: which surface each is of, what it decomposes to, and where another engine disagrees.

`tests/golden/responses.jsonl` has a row for each body of ../shared/data/provider-usage (bodies.jsonl, 879, and
openrouter_billed.jsonl, 19): its surface, named by hand from its shape, its model and the file that it was recorded in;
its disjoint counts; and the reasons why expectations of `expected` differ from these. An expectation is what one of
genai-prices' readers made of the body: the reader of the body's own provider is a second opinion, which differs in 3
bodies; the readers of other providers are tried on every body of a like shape, which is why 268 of the 879 have
expectations that contradict each other: 201 in their input or output totals, 67 in details alone. Who is right, by
class, is in REASONS; each is a claim that the test holds against the numbers.

Compared are totals and finer counts. Text is not a kind of its own, and prompts of tools are input.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from pricing.surfaces import Decomposed, decompose

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "responses.jsonl"
DATA = ROOT.parent / "shared" / "data" / "provider-usage"
FILES = ("bodies.jsonl", "openrouter_billed.jsonl")

Counts = Counter[str]  # by genai-prices' names, without zeros

# The reader that stands for a surface: genai-prices' provider and API flavour. Where it has none of the host's own, it
# is the one of the API that the host has taken over.
READERS = {
    "anthropic.messages": "anthropic/default",
    "azure.chat_completions": "azure/chat",
    "azure.responses": "azure/responses",
    "bedrock.chat_completions": "openai/chat",
    "bedrock.converse": "aws/default",
    "bedrock.messages": "aws/anthropic",
    "bedrock.responses": "openai/responses",
    "cerebras.chat_completions": "cerebras/chat",
    "cohere.chat": "cohere/default",
    "cohere.embed": "cohere/embeddings",
    "deepseek.chat_completions": "deepseek/chat",
    "google.chat_completions": "google/chat",
    "google.embed_content": "google/default",
    "google.generate_content": "google/default",
    "groq.chat_completions": "groq/default",
    "heroku.chat_completions": "openai/chat",
    "huggingface.chat_completions": "huggingface_together/chat",
    "mistral.chat_completions": "mistral/default",
    "ollama.chat_completions": "openai/chat",
    "openai.chat_completions": "openai/chat",
    "openai.embeddings": "openai/embeddings",
    "openai.responses": "openai/responses",
    "openrouter.chat_completions": "openrouter/chat",
    "openrouter.responses": "openai/responses",
    "vertex.generate_content": "google/default",
    "zai.chat_completions": "zai/chat",
}
SAME_TOTALS = ("input_tokens", "output_tokens")


def no_output(ours: Counts, theirs: Counts) -> bool:
    """The input and nothing else."""
    return theirs == Counter(input_tokens=ours["input_tokens"])


def fewer_details(ours: Counts, theirs: Counts) -> bool:
    """Some of our counts, and the totals among them."""
    return theirs.items() < ours.items() and all(theirs[name] == ours[name] for name in SAME_TOTALS)


def reasoning_added(ours: Counts, theirs: Counts) -> bool:
    """The output is ours and the reasoning in it once more."""
    return theirs["output_tokens"] == ours["output_tokens"] + ours["output_reasoning_tokens"]


def cached_missing(ours: Counts, theirs: Counts) -> bool:
    """The input is ours without what was read from and written to the cache."""
    cached = ours["cache_read_tokens"] + ours["cache_write_tokens"]
    return theirs["input_tokens"] == ours["input_tokens"] - cached and not theirs["cache_read_tokens"]


def more_than_billed(ours: Counts, theirs: Counts) -> bool:
    """More input and at least as much output."""
    return theirs["input_tokens"] > ours["input_tokens"] and theirs["output_tokens"] >= ours["output_tokens"]


def less_output(ours: Counts, theirs: Counts) -> bool:
    """Our output without reasoning."""
    return theirs["output_tokens"] == ours["output_tokens"] - ours["output_reasoning_tokens"]


def less_of_all(ours: Counts, theirs: Counts) -> bool:
    """Less input and less output."""
    return theirs["input_tokens"] < ours["input_tokens"] and theirs["output_tokens"] < ours["output_tokens"]


# Why an expectation is wrong, and what it then has to look like.
REASONS: dict[str, tuple[str, Callable[[Counts, Counts], bool]]] = {
    "embeddings_have_no_output": (
        "A reader of embeddings on chat completions: it knows a prompt only. The completion was made and is billed.",
        no_output,
    ),
    "reasoning_twice": (
        "xAI's reader on chat completions of others: at xAI reasoning stands beside completion_tokens, on all these "
        "surfaces it is inside, and total_tokens = prompt + completion shows it.",
        reasoning_added,
    ),
    "details_not_read": (
        "A reader of another provider, which has no such detail: the totals are ours, but cached, written, reasoning "
        "or audio tokens are left among the plain ones. The body's own surface documents them.",
        fewer_details,
    ),
    "cached_input_left_out": (
        "A reader of OpenAI's responses on Anthropic's messages: there input_tokens includes what was cached, here it "
        "does not, so cached and written tokens are in no count.",
        cached_missing,
    ),
    "tokens_are_not_billed_units": (
        "Cohere's `tokens` beside its `billed_units`: Cohere bills by billed_units; tokens also has what it adds.",
        more_than_billed,
    ),
    "no_tokens_of_cohere": (
        "Cohere's reader on chat completions that happen to have cached_tokens: it finds none of its totals.",
        lambda _, theirs: not theirs,
    ),
    "thoughts_under_no_name": (
        "Google's own reader on its OpenAI-compatible API: total_tokens is 109 of 35 + 12. The 62 are Gemini's "
        "thoughts, which are billed as output.",
        less_output,
    ),
    "compaction_left_out": (
        "Anthropic's own reader takes the top level. The compaction is in `iterations` alone, and billed by them.",
        less_of_all,
    ),
}


@pytest.fixture(scope="module")
def golden() -> dict[str, dict[str, Any]]:
    """The rows of the golden table by id."""
    return {row["id"]: row for row in map(json.loads, GOLDEN.read_text().splitlines())}


@pytest.fixture(scope="module")
def bodies() -> list[dict[str, Any]]:
    """The responses. Where they are not, the test says so and is skipped."""
    if not DATA.is_dir():
        pytest.skip(f"no responses in {DATA}: they are shared data and not in the repository")
    return [json.loads(line) for name in FILES for line in (DATA / name).read_text().splitlines()]


def test_the_table_has_every_response_once(golden: dict[str, Any], bodies: list[dict[str, Any]]) -> None:
    """None is left out, and none is made up."""
    assert Counter(body["id"] for body in bodies) == Counter(golden.keys())
    assert {row["surface"] for row in golden.values()} == set(READERS)


def test_every_response_decomposes_to_its_golden_counts(golden: dict[str, Any], bodies: list[dict[str, Any]]) -> None:
    """To the token, with the surface that the table names."""
    expected = {name: (row["tokens"], row.get("units", {}), row.get("others", {})) for name, row in golden.items()}
    found = {body["id"]: decompose(golden[body["id"]]["surface"], body["body"]) for body in bodies}
    assert {name: (used.tokens, used.units, used.others) for name, used in found.items()} == expected


def test_an_expectation_differs_for_a_listed_reason_only(golden: dict[str, Any], bodies: list[dict[str, Any]]) -> None:
    """Each that differs is what one of the row's reasons says, and every reason of a row is needed."""
    for body in bodies:
        row = golden[body["id"]]
        used = decompose(row["surface"], body["body"])
        ours = counts_of(used)
        needed = set()
        for expectation in body["expected"]:
            theirs = without_text(expectation["usage"])
            if theirs != ours:
                reasons = {name for name in row.get("reasons", []) if REASONS[name][1](ours, theirs)}
                assert len(reasons) == 1, (body["id"], row, ours, theirs)
                needed |= reasons
        assert needed == set(row.get("reasons", [])), body["id"]


def test_the_own_provider_s_reader_differs_in_three(golden: dict[str, Any], bodies: list[dict[str, Any]]) -> None:
    """Two compactions and the thoughts of one response: `compaction_left_out` and `thoughts_under_no_name`."""
    differing = Counter()
    for body in bodies:
        surface = golden[body["id"]]["surface"]
        (own,) = expected_by(READERS[surface], body)
        differing[surface] += own != counts_of(decompose(surface, body["body"]))
    assert +differing == {"anthropic.messages": 2, "google.chat_completions": 1}


def test_contradictions_are_counted(bodies: list[dict[str, Any]]) -> None:
    """As many as the table of reasons speaks of."""
    kinds = Counter()
    for body in bodies[:879]:
        totals = {tuple(one["usage"].get(name, 0) for name in SAME_TOTALS) for one in body["expected"]}
        kinds["totals" if len(totals) > 1 else "details" if len(body["expected"]) > 1 else "none"] += 1
    assert kinds == {"totals": 201, "details": 67, "none": 611}


def expected_by(reader: str, body: Mapping[str, Any]) -> Iterator[Counts]:
    """What a reader made of a body."""
    for expectation in body["expected"]:
        if reader in {f"{one['provider_id']}/{one['api_flavor']}" for one in expectation["extractors"]}:
            yield without_text(expectation["usage"])


def without_text(usage: Mapping[str, int]) -> Counts:
    """An expectation without what is no kind here; the 5 minutes are what 1 hour leaves."""
    left_out = ("text", "tool", "5m")
    return +Counter({name: count for name, count in usage.items() if not any(part in name for part in left_out)})


def counts_of(used: Decomposed) -> Counts:
    """Disjoint counts as totals and counts inside them, under the names of the expectations."""
    counts: Counts = Counter()
    for kind, count in used.tokens.items():
        side = "output" if kind.startswith("output") else "input"
        counts[f"{side}_tokens"] += count
        if kind == "output_reasoning":
            counts["output_reasoning_tokens"] += count
        if kind.startswith("cache_"):
            counts[{"read": "cache_read_tokens", "creation": "cache_write_tokens"}[kind.split("_")[1]]] += count
        if kind == "cache_creation_1h":
            counts["cache_write_1h_tokens"] += count
        if (modality := kind.rsplit("_", 1)[-1]) in ("audio", "image", "video"):
            counts[f"{side}_{modality}_tokens"] += count
            if kind.startswith("cache_read"):
                counts[f"cache_{modality}_read_tokens"] += count
    counts["web_searches"] = used.units.get("web_search", 0)
    return +counts
