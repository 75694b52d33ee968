"""All 46 files of Portkey Models as they were on 2026-08-21: what becomes of each entry, and known prices."""

import json
import re
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pricing.importers import IMPORTERS, Imported, ImportOptions
from pricing.sheets import Model, parse_sheet, sheet_bytes

FILES = Path(__file__).parents[3] / "shared" / "data" / "portkey-models" / "pricing"
IMPORT_SECONDS_MAX = 10

pytestmark = pytest.mark.skipif(not FILES.is_dir(), reason=f"{FILES} is not there: no real prices are imported")


def read(path: Path) -> Imported:
    return IMPORTERS["portkey"](path.read_bytes(), ImportOptions(path.stem, "1", 0, location=path.name))


@pytest.fixture(scope="module")
def files() -> dict[str, Imported]:
    """The import of each file by its provider."""
    return {path.stem: read(path) for path in sorted(FILES.glob("*.json"))}


def entries(provider: str) -> dict[str, Any]:
    """A file's entries but the template."""
    document = json.loads((FILES / f"{provider}.json").read_text())
    return {name: entry for name, entry in document.items() if name != "default"}


def models(file: Imported) -> dict[str, Model]:
    """A file's models by name."""
    return {} if file.sheet is None else {model.key: model for model in file.sheet.models}


# --- every entry


def test_each_entry_is_imported_or_listed(files: dict[str, Imported]) -> None:
    """3,184 of 46 files; 158 have no positive number: 4 are null, 71 are free by their name, 83 have zeros alone."""
    found: Counter[str] = Counter()
    for provider, file in files.items():
        names, by_name, skipped = entries(provider).keys(), models(file), [name for name, _ in file.skipped]
        assert names - by_name.keys() == {*skipped}
        assert len(skipped) == len({*skipped})
        found["entries"] += len(names)
        found["imported"] += len(names & by_name.keys())
        found["one model of two names"] += len(by_name.keys() - names)
        found.update(reason for _, reason in file.skipped)
    assert len(files) == 46
    assert found == {
        "entries": 3_184,
        "imported": 3_026 + 71,
        "one model of two names": 57,
        "pricing_config is null": 4,
        "no positive price, and zeros say as often that the prices are not known as that they are zero": 83,
    }


def test_two_files_are_empty(files: dict[str, Imported]) -> None:
    """There is nothing to publish, and that is a problem of the file."""
    assert {provider: file.problems for provider, file in files.items() if file.problems} == {
        "sagemaker": ["document: has no model but 'default'"],
        "segmind": ["document: has no model but 'default'"],
    }


def test_only_what_says_so_is_free(files: dict[str, Imported]) -> None:
    """All prices zero: 71 models, each free by its name."""
    free = [
        name
        for file in files.values()
        for name, model in models(file).items()
        if not any(model.prices.values()) and not any(model.units.values())
    ]
    assert len(free) == 71
    assert all(re.search("[:/]free$", name) for name in free)


# What is noted on all files, with how often.
NOTED = {
    # Trees that leave out what is priced: the cache reads of 881 models.
    "calculate leaves out cache_read_input_token, which is priced all the same": 881,
    "calculate leaves out cache_write_input_token, which is priced all the same": 280,
    "calculate leaves out request_audio_token, which is priced all the same": 49,
    "calculate leaves out request_image_token, which is priced all the same": 41,
    "calculate leaves out response_audio_token, which is priced all the same": 29,
    "calculate leaves out cache_read_image_input_token, which is priced all the same": 28,
    "calculate leaves out reasoning_token, which is priced all the same": 28,
    "calculate leaves out cache_read_audio_input_token, which is priced all the same": 27,
    "calculate leaves out request_text_token, which is priced all the same": 20,
    "calculate leaves out response_image_token, which is priced all the same": 12,
    "calculate leaves out response_text_token, which is priced all the same": 12,
    "calculate leaves out cached_image_input_token, which is priced all the same": 11,
    "calculate leaves out cached_text_input_token, which is priced all the same": 11,
    "calculate leaves out cache_read_text_input_token, which is priced all the same": 11,
    # Trees of Azure: 431 entries, 8 of which have no price.
    "calculate names rates.cache_read_token, which is not there": 423,
    "calculate names rates.cache_write_token, which is not there": 423,
    "calculate names rates.response_audio_token, which is not there": 244,
    "calculate names rates.request_audio_token, which is not there": 243,
    "number of 12 or more significant digits, kept as written": 106,
    "price of a token above 0.1 cent, probably of another unit": 18,
    "price of a token of a modality above 0.1 cent, probably of another unit": 20,
    "additional_units.default_duration_seconds is no price, not taken for one": 31,
    "additional_units.default_sample_count is no price, not taken for one": 31,
    "additional_units.default_steps is no price, not taken for one": 7,
    "free, as the name says": 71,
    "input of 0, not taken for a price": 63,
    "output of 0, not taken for a price": 68,
    "cache_creation of 0, not taken for a price": 62,
    "cache_read of 0, not taken for a price": 48,
    "output_audio of 0, not taken for a price": 10,
    "input_audio of 0, not taken for a price": 3,
    "search of 0, not taken for a price": 4,
    "web_search of 0, not taken for a price": 4,
    "custom_pricing has other standard prices than pricing_config, they are taken": 21,
    "a situation has no price for cache_read, its usage has no price": 215,
    "a situation has no price for cache_creation, its usage has no price": 142,
    "a situation has no price for cache_creation_1h, its usage has no price": 112,
    "a situation has no price for output_image, the standard price is taken": 13,
    "no prices for a situation (tier, region, context), its usage has no price": 14,
    "models named by their context are also one model, by the name without it": 57,
    "models named by their context do not agree on one bound, and are not one model": 2,
    "unknown field gpt-image-1, not read": 1,
}


def test_everything_noted_is_counted(files: dict[str, Imported]) -> None:
    """No file has more than 30 lines of it."""
    found: Counter[str] = Counter()
    for file in files.values():
        assert len(file.warnings) <= 30
        for line in file.warnings:
            noted = re.fullmatch(r"(.*): ([0-9]+) entr(?:y|ies), such as .*", line)
            assert noted is not None, line
            found[noted[1]] += int(noted[2])
    assert found == NOTED


def test_every_case_of_the_source_is_there(files: dict[str, Imported]) -> None:
    """384 batch_config, 260 custom_pricing, 8 fixed_cost, 30 finetune_config."""
    sections: Counter[str] = Counter()
    for provider, file in files.items():
        by_name = models(file)
        for name, entry in entries(provider).items():
            own, model = entry["pricing_config"] or {}, by_name.get(name)
            found = set() if model is None else {case.when.service_tier for case in model.cases}
            units = set() if model is None else model.units.keys()
            regions = (entry.get("custom_pricing") or {"regions": {}})["regions"]
            modes = {mode for region in regions.values() for mode in region["execution_modes"]} - {"standard"}
            assert modes <= found, name
            assert ("batch" in found) == ("batch_config" in own or "batch" in modes), name
            assert not own.get("finetune_config") or units & {"finetune_token", "finetune_hour"}, name
            assert ("request" in units) == ("fixed_cost" in own), name
            sections.update(own.keys() & {"batch_config", "fixed_cost", "finetune_config"})
            sections.update(entry.keys() & {"custom_pricing"})
    assert sections == {"batch_config": 384, "custom_pricing": 260, "fixed_cost": 8, "finetune_config": 30}


def test_importing_twice_gives_the_same_bytes(files: dict[str, Imported]) -> None:
    """And a sheet reads back as it was, so that every price is within the contract's digits."""
    for provider, file in files.items():
        if file.sheet is not None:
            assert read(FILES / f"{provider}.json") == file
            value = sheet_bytes(file.sheet)
            assert parse_sheet(value) == file.sheet
            assert sheet_bytes(parse_sheet(value)) == value


def test_no_price_is_a_float(files: dict[str, Imported]) -> None:
    """Anywhere in a sheet."""
    for file in files.values():
        if file.sheet is not None:
            assert {type(leaf) for leaf in leaves(file.sheet.model_dump())}.isdisjoint({float})


def test_all_files_are_imported_fast() -> None:
    """Well within the 20 s for all sources: about 1 s."""
    start = time.monotonic()
    for path in FILES.glob("*.json"):
        read(path)
    assert time.monotonic() - start < IMPORT_SECONDS_MAX


# --- known prices

# USD per 1M tokens and per unit, as the provider publishes them; `@` and a situation for a case.
KNOWN = [
    # openai.com/api/pricing
    ("openai gpt-4o", "input=2.5 cache_read=1.25 cache_creation=0 output=10 web_search=0.01 file_search=0.0025"),
    ("openai gpt-4o @batch", "input=1.25 output=5 web_search=0.01 file_search=0.0025"),
    ("openai gpt-4o @priority", "input=4.25 cache_read=2.125 output=17 web_search=0.01 file_search=0.0025"),
    ("openai gpt-5.4-pro @>272000", "input=60 output=270 web_search=0.01 file_search=0.0025"),
    ("openai gpt-5.4-pro @flex", "input=15 output=90 web_search=0.01 file_search=0.0025"),
    ("openai gpt-5.4 @priority >272000", ""),
    # docs.claude.com/en/docs/about-claude/pricing
    ("anthropic claude-opus-4-6", "input=5 cache_read=0.5 cache_creation=6.25 cache_creation_1h=10 output=25"),
    ("anthropic claude-opus-4-6 @batch", "input=2.5 output=12.5"),
    ("anthropic claude-opus-4-6 @fast", "input=30 cache_read=3 cache_creation=37.5 cache_creation_1h=60 output=150"),
    # cloud.google.com/vertex-ai/generative-ai/pricing
    (
        "vertex-ai claude-sonnet-4-5-20250929 @us-east5 >200000",
        "input=6.6 cache_read=0.33 cache_creation=4.13 cache_creation_1h=6.6 output=24.75",
    ),
    # ai.google.dev/gemini-api/docs/pricing, at the bound that the source has
    ("google gemini-2.5-pro", "input=1.25 cache_read=0.125 output=10 web_search=0.035 search=0.035"),
    ("google gemini-2.5-pro @>128000", "input=2.5 cache_read=0.25 output=15 web_search=0.035 search=0.035"),
    ("google gemini-2.5-pro @batch >128000", "input=1.25 output=7.5 web_search=0.035 search=0.035"),
    ("perplexity-ai pplx-7b-online", "input=0 output=0.28 request=0.005"),
    ("openai sora-2", "video_second/1280x720=0.1 video_second/720x1280=0.1"),
    ("byteplus skylark-embedding-vision-250615", "input=0.00125 input_image=0.00325 output=0"),
    ("openrouter openrouter/free", "input=0 output=0"),
    ("openrouter openai/gpt-5-image", "input=10 output=10 cache_read=1.25 web_search=0.01"),
    ("openai text-moderation-latest", "file_search=0.0025 web_search=0.01"),
]


@pytest.mark.parametrize(("what", "expected"), KNOWN, ids=[what for what, _ in KNOWN])
def test_known_prices(files: dict[str, Imported], what: str, expected: str) -> None:
    """The whole list of a model, or of one of its cases."""
    name, _, situation = what.partition(" @")
    provider, key = name.split(" ")
    model = models(files[provider])[key]
    given = {case_text(case.when): case for case in model.cases}[situation] if situation else model
    prices = {kind: f"{price:f}" for kind, price in (given.prices | given.units).items()}
    assert prices == dict(pair.split("=") for pair in expected.split())


def case_text(when: Any) -> str:
    """`batch us-east5 >200000`."""
    over = [] if when.input_over is None else [f">{when.input_over}"]
    return " ".join([*([when.service_tier] if when.service_tier else []), *when.regions, *over])


def leaves(value: object) -> Iterator[object]:
    """All that is in a value and is no collection."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            yield from leaves(item)
    else:
        yield value
