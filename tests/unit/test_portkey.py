"""The importer of Portkey's prices: exact, each entry accounted for, and nothing free that does not say so."""

import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from pricing.importers import IMPORTERS, Imported, ImportOptions, format_of
from pricing.sheets import Case, Model, Source, When, parse_sheet, sheet_bytes
from pricing.times import parse_time

AT = parse_time("2026-11-01T00:00:00Z")
OPTIONS = ImportOptions("openai", "2026-11-01", AT, location="https://configs.portkey.ai/pricing/openai.json")
API = "https://api.portkey.ai/model-configs/pricing"

GPT_4O = {"request_token": 0.00025, "response_token": 0.001, "cache_read_input_token": 0.000125}


def imported(document: object, location: str | None = OPTIONS.location) -> Imported:
    """The import of a document; text stands as it is, so that numbers can be written in any way."""
    text = document if isinstance(document, str) else json.dumps(document)
    return IMPORTERS["portkey"](text.encode(), ImportOptions("openai", "2026-11-01", AT, location=location))


def priced(rates: Mapping[str, object]) -> dict[str, object]:
    """Rates as the source has them, each number within `{"price": …}`."""
    return {
        key: {"price": value} if type(value) in (int, float) else priced(value) if isinstance(value, dict) else value
        for key, value in rates.items()
    }


def config(rates: Mapping[str, object], **more: object) -> dict[str, Any]:
    """An entry with these rates."""
    return {"pricing_config": {"pay_as_you_go": priced(rates), **more}}


def model(entry: object, template: object = None, name: str = "m") -> Model:
    """The one model of a file with one entry, and perhaps a template."""
    found = imported({name: entry} | ({} if template is None else {"default": template}))
    assert found.sheet is not None, found
    (only,) = found.sheet.models
    return only


def prices(entry: object, template: object = None) -> dict[str, str]:
    """The plain prices of the one model."""
    return {kind: f"{price:f}" for kind, price in model(entry, template).prices.items()}


def units(entry: object) -> dict[str, str]:
    """The unit prices of the one model."""
    return {unit: f"{price:f}" for unit, price in model(entry).units.items()}


def warnings(entry: object, template: object = None, name: str = "m") -> list[str]:
    """What is noted on a file with one entry, without counts."""
    lines = imported({name: entry} | ({} if template is None else {"default": template})).warnings
    return [line.partition(": 1 entry, such as ")[0] for line in lines]


# --- rates and units


def test_cents_per_token_are_dollars_per_million() -> None:
    """0.00025 cents a token are 2.5 USD per 1M (Portkey, "Understanding Pricing Units")."""
    assert imported({"gpt-4o": config(GPT_4O)}).sheet == parse_sheet(
        json.dumps(
            {
                "id": "openai",
                "version": "2026-11-01",
                "effective_from": "2026-11-01T00:00:00Z",
                "currency": "USD",
                "models": [
                    {
                        "key": "gpt-4o",
                        "category": "direct",
                        "currency": "USD",
                        "prices": {"input": "2.5", "output": "10", "cache_read": "1.25"},
                    }
                ],
                "source": {
                    "format": "portkey",
                    "sha256": sha256_of({"gpt-4o": config(GPT_4O)}),
                    "location": OPTIONS.location,
                },
            }
        ).encode()
    )


def sha256_of(document: object) -> str:
    """What the provenance of a document has."""
    source = imported(document).sheet.source  # type: ignore[union-attr]
    assert isinstance(source, Source)
    return source.sha256


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("request_token", "input"),
        ("request_text_token", "input"),
        ("request_audio_token", "input_audio"),
        ("request_image_token", "input_image"),
        ("cache_read_input_token", "cache_read"),
        ("cache_read_text_input_token", "cache_read"),
        ("cached_text_input_token", "cache_read"),
        ("cache_read_audio_input_token", "cache_read_audio"),
        ("cache_read_image_input_token", "cache_read_image"),
        ("cached_image_input_token", "cache_read_image"),
        ("cache_write_input_token", "cache_creation"),
        ("response_token", "output"),
        ("response_text_token", "output"),
        ("reasoning_token", "output_reasoning"),
        ("response_audio_token", "output_audio"),
        ("response_image_token", "output_image"),
    ],
)
def test_every_kind_of_token_has_its_name(name: str, kind: str) -> None:
    """All of the source's, and none of them is a unit."""
    assert prices(config({name: 0.0003})) == {kind: "3"}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("cache_write_1h", "cache_creation_1h"),
        ("image_token", "output_image"),
        ("thinking_token", "output_reasoning"),
        ("output_video_token", "output_video"),
        ("embedding_text_token", "input"),
        ("embedding_image_token", "input_image"),
        ("response_audio_token", "output_audio"),
    ],
)
def test_tokens_among_the_additional_units_are_tokens(name: str, kind: str) -> None:
    """The source files some prices of tokens under units."""
    assert prices(config({"additional_units": {name: 0.0003}})) == {kind: "3"}


@pytest.mark.parametrize(
    ("rates", "found"),
    [
        ({"additional_units": {"web_search": 1, "file_search": 0.25}}, {"web_search": "0.01", "file_search": "0.0025"}),
        ({"additional_units": {"routing_units": 0.000014}}, {"routing_unit": "0.00000014"}),
        ({"additional_units": {"megapixels": 5, "generated_images": 4}}, {"megapixel": "0.05", "image": "0.04"}),
        ({"additional_units": {"video_seconds": 40, "x_search": 0.5}}, {"video_second": "0.4", "x_search": "0.005"}),
        ({"additional_units": {"video_duration_seconds_1280_720": 10}}, {"video_second/1280x720": "0.1"}),
        (
            {"image": {"default": {"default": 4, "1024x1024": 4}, "hd": {"1024x1792": 12}}},
            {"image": "0.04", "image/default/1024x1024": "0.04", "image/hd/1024x1792": "0.12"},
        ),
    ],
)
def test_cents_per_unit_are_dollars_per_unit(rates: dict[str, object], found: dict[str, str]) -> None:
    """Units have the names of one: `megapixel`, `image/hd/1024x1792`."""
    assert units(config(rates)) == found


def test_fixed_costs_are_per_request_and_fine_tuning_has_its_units() -> None:
    """0.5 cents a request and 0.1 a response are 0.006 USD a request."""
    entry = config(
        {"request_token": 0, "response_token": 0.00003},
        fixed_cost=priced({"request": 0.5, "response": 0.1}),
        finetune_config=priced({"pay_per_token": 0.0025, "pay_per_hour": 10_000}),
    )
    assert units(entry) == {"request": "0.006", "finetune_token": "0.000025", "finetune_hour": "100"}
    # Beside a price per request an input of 0 is one.
    assert prices(entry) == {"input": "0", "output": "0.3"}


def test_what_is_no_price_is_not_taken_for_one() -> None:
    """A default duration of 8 seconds does not cost 8 cents."""
    entry = config({"additional_units": {"video_seconds": 40, "default_duration_seconds": 8}})
    assert units(entry) == {"video_second": "0.4"}
    assert warnings(entry) == ["additional_units.default_duration_seconds is no price, not taken for one"]
    only = imported({"m": config({"additional_units": {"default_duration_seconds": 8}})})
    assert [name for name, _ in only.skipped] == ["m"]


def test_long_numbers_are_kept_as_written_and_warned_of() -> None:
    """Float noise of whoever made the source is his to explain, not ours to round."""
    found = imported(
        '{"m": {"pricing_config": {"pay_as_you_go": {"response_token": {"price": 0.00011550000000000002}}}}}'
    )
    assert found.sheet is not None
    assert found.sheet.models[0].prices == {"output": Decimal("1.1550000000000002")}
    assert found.warnings == [
        "number of 12 or more significant digits, kept as written: 1 entry, such as "
        "m pricing_config.pay_as_you_go.response_token 0.00011550000000000002"
    ]


def test_exponents_are_read_exactly() -> None:
    """JSON writes small prices so."""
    assert prices(config({"request_token": 2.5e-06})) == {"input": "0.025"}


def test_a_token_above_a_tenth_of_a_cent_is_probably_something_else() -> None:
    """Rerankers have their price of a search there, transcribers that of a minute; 0.1 itself is not above."""
    assert warnings(config({"request_token": 0.2})) == ["price of a token above 0.1 cent, probably of another unit"]
    assert warnings(config({"request_audio_token": 0.6, "request_token": 0.1})) == [
        "price of a token of a modality above 0.1 cent, probably of another unit"
    ]


def test_two_names_for_one_kind_have_to_agree() -> None:
    """The first is taken; a zero is none."""
    assert prices(config({"request_token": 0.0001, "request_text_token": 0.0002})) == {"input": "1"}
    assert warnings(config({"request_token": 0.0001, "request_text_token": 0.0002})) == [
        "two prices for input, the first is taken"
    ]
    assert prices(config({"request_token": 0, "additional_units": {"embedding_text_token": 0.0001}})) == {"input": "1"}


# --- zeros


@pytest.mark.parametrize(
    ("rates", "found"),
    [
        ({"request_token": 0.0001, "response_token": 0}, {"input": "1", "output": "0"}),
        ({"request_token": 0, "response_token": 0.0001}, {"output": "1"}),
        ({"request_token": 0.0001, "cache_read_input_token": 0, "cache_write_input_token": 0}, {"input": "1"}),
        (
            {"request_token": 0.0002, "cache_read_input_token": 0.0001, "cache_write_input_token": 0},
            {"input": "2", "cache_read": "1", "cache_creation": "0"},
        ),
        ({"request_token": 0.0001, "request_audio_token": 0}, {"input": "1"}),
        (
            {"request_token": 0.0001, "response_token": 0, "response_audio_token": 0.0002},
            {"input": "1", "output_audio": "2"},
        ),
        (
            {"request_token": 0.0002, "cache_read_input_token": 0.0001, "response_token": 0},
            {"input": "2", "cache_read": "1"},
        ),
    ],
)
def test_a_zero_is_a_price_only_where_it_is_plausible(rates: dict[str, object], found: dict[str, str]) -> None:
    """An embedding has no output, speech has, and what caches prompts.

    A cache that fills by itself costs nothing to write; else unknown.
    """
    assert prices(config(rates)) == found


def test_tokens_of_what_is_priced_by_the_image_are_not_free() -> None:
    """A response that counts tokens, but no image, would cost nothing."""
    found = model(config({"request_token": 0, "response_token": 0, "image": {"default": {"default": 4}}}))
    assert (found.prices, found.units) == ({}, {"image": Decimal("0.04")})


def test_a_search_of_zero_is_not_free() -> None:
    """And is said."""
    entry = config({"request_token": 0.0001, "additional_units": {"web_search": 0}})
    assert (units(entry), warnings(entry)) == ({}, ["web_search of 0, not taken for a price"])


@pytest.mark.parametrize(
    ("name", "is_free"),
    [
        ("gemma:free", True),
        ("openrouter/free", True),
        ("gemma", False),
        ("gemma-free", False),
        ("freedom", False),
        ("free/gemma", False),
    ],
)
def test_a_model_without_a_positive_price_is_free_only_if_its_name_says_so(name: str, *, is_free: bool) -> None:
    """All others are listed with the reason."""
    found = imported({"other": config(GPT_4O), name: config({"request_token": 0, "response_token": 0.0})})
    assert found.sheet is not None
    models = {model.key: model.prices for model in found.sheet.models if model.key != "other"}
    assert models == ({name: {"input": 0, "output": 0}} if is_free else {})
    reason = "no positive price, and zeros say as often that the prices are not known as that they are zero"
    assert found.skipped == ([] if is_free else [(name, reason)])


# --- the template


def test_the_template_says_what_others_do_not() -> None:
    """Its zeros are no prices, and what a model says itself stands."""
    template = config({"request_token": 0.0009, "cache_read_input_token": 0, "additional_units": {"web_search": 0.5}})
    found = model(config({"request_token": 0.0001, "response_token": 0.0002}), template)
    assert found.prices == {"input": 1, "output": 2}
    assert found.units == {"web_search": Decimal("0.005")}


def test_the_template_makes_no_model_free_or_priced() -> None:
    """It is no model, and a model of which nothing is known stays one."""
    template = config({"request_token": 0.0009, "response_token": 0})
    found = imported(
        {"default": template, "a": config(GPT_4O), "b": {"pricing_config": {}}, "c": {"pricing_config": None}}
    )
    assert found.sheet is not None
    assert [model.key for model in found.sheet.models] == ["a"]
    assert [name for name, _ in found.skipped] == ["b", "c"]


def test_what_of_the_template_is_not_taken_over_is_said() -> None:
    """Its situations would be those of a model that is not there."""
    template = config({"request_token": 0}, batch_config=priced({"request_token": 0.1})) | {"custom_pricing": {}}
    assert warnings(config(GPT_4O), template) == [
        "batch_config is not taken over by other models",
        "custom_pricing is not taken over by other models",
    ]
    assert model(config(GPT_4O), template).cases == ()


# --- calculate


def value(of: object) -> dict[str, object]:
    return {"value": of}


def times(*operands: object) -> dict[str, object]:
    return {
        "operation": "multiply",
        "operands": [value(o) if isinstance(o, str | int | float) else o for o in operands],
    }


def plus(*operands: object) -> dict[str, object]:
    return {"operation": "sum", "operands": [value(o) if isinstance(o, str | int | float) else o for o in operands]}


PLAIN = {
    "request": times("input_tokens", "rates.request_token"),
    "response": times("output_tokens", "rates.response_token"),
}


def test_a_tree_that_leaves_out_a_priced_cache_read_is_warned_of_and_not_followed() -> None:
    """It would make what was cached free."""
    for entry, template in (
        (config(GPT_4O, calculate=PLAIN), None),
        (config(GPT_4O), config({}, calculate=PLAIN)),
    ):
        assert prices(entry, template) == {"input": "2.5", "cache_read": "1.25", "output": "10"}
        assert warnings(entry, template) == [
            "calculate leaves out cache_read_input_token, which is priced all the same"
        ]


def test_a_tree_that_names_a_rate_that_is_not_there_is_warned_of() -> None:
    """As the trees of Azure do."""
    tree = PLAIN | {"request": plus(PLAIN["request"], times("cache_read_tokens", "rates.cache_read_token"))}
    entry = config({"request_token": 0.0001, "response_token": 0.0002}, calculate=tree)
    assert prices(entry) == {"input": "1", "output": "2"}
    assert warnings(entry) == ["calculate names rates.cache_read_token, which is not there"]


@pytest.mark.parametrize(
    ("term", "cache_read"),
    [
        (times("cache_read_tokens", "rates.request_token"), "2"),
        (times("cache_read_tokens", "0.1", "rates.request_token"), "0.2"),
        (times(0.25, times("rates.request_token", "cache_read_tokens")), "0.5"),
        (times("cache_read_tokens", plus("rates.request_token", "rates.response_token", 0.0001)), "7"),
        (times(plus("cache_read_tokens", "cache_write_tokens"), "rates.request_token"), "2"),
        (times("cache_read_tokens", 0.0003), "3"),
        (times(0, "cache_read_tokens"), None),
        (times("cache_read_tokens", "rates.request_token", -1), None),
        (times("cache_read_tokens", plus("rates.request_token", "rates.other")), None),
    ],
)
def test_a_tree_prices_what_has_no_rate_of_its_own(term: object, cache_read: str | None) -> None:
    """Sums and products of rates, counts and numbers; nothing becomes free, negative or a part of its price."""
    tree = PLAIN | {"request": plus(PLAIN["request"], term)}
    entry = config({"request_token": 0.0002, "response_token": 0.0004}, calculate=tree)
    assert prices(entry).get("cache_read") == cache_read


def test_explicit_rates_win_over_a_tree() -> None:
    """And that they differ is said."""
    tree = PLAIN | {"request": times("input_tokens", "rates.request_token", 2)}
    entry = config({"request_token": 0.0001, "response_token": 0.0002}, calculate=tree)
    assert prices(entry) == {"input": "1", "output": "2"}
    assert warnings(entry) == ["calculate has another price for input than its rate, which is taken"]


def test_an_image_for_each_response_is_no_surprise() -> None:
    """The tree of the source's image models."""
    tree = {"request": times("0", "input_tokens"), "response": times("1", "rates.image")}
    entry = config({"image": {"default": {"default": 4}}}, calculate=tree)
    assert (prices(entry), units(entry), warnings(entry)) == ({}, {"image": "0.04"}, [])


@pytest.mark.parametrize(
    ("tree", "found"),
    [
        ({"operation": "divide", "operands": []}, 'the unknown operation "divide"'),
        ({"operation": "sum"}, "no operands but null"),
        (times("minutes", "rates.x"), 'the unknown operand "minutes"'),
        (times("input_tokens", value(None)), "the unknown operand null"),
        (times("input_tokens", None), "no object but null"),
        (value(1) | {"unit": "k"}, 'the unknown field "unit"'),
        (times("input_tokens", "output_tokens"), "two counts or two rates multiplied"),
        (times("rates.request_token", "rates.request_token"), "two counts or two rates multiplied"),
        (times(*[10**9] * 40, "input_tokens"), "1E+18 has more than 12 digits before the point"),
    ],
)
def test_what_a_tree_has_and_nobody_knows_is_named(tree: object, found: str) -> None:
    """And the explicit rates stand."""
    entry = config({"request_token": 0.0001}, calculate={"request": tree})
    assert warnings(entry) == [f"calculate.request is not read, it has {found}"]
    assert prices(entry) == {"input": "1"}


def test_a_part_of_a_tree_that_counts_no_tokens_is_named() -> None:
    """A price of a response by another name than `fixed_cost`; and a third side of the tree."""
    entry = config({"response_token": 0.0001}, calculate=PLAIN | {"request": value(5), "tools": PLAIN["request"]})
    assert prices(entry) == {"output": "1"}
    assert warnings(entry) == [
        "calculate has a part that no tokens are counted for, not read",
        "unknown field calculate.tools, not read",
    ]


# --- situations


def leaf(**rates: object) -> dict[str, object]:
    return config(rates)


def custom(regions: Mapping[str, Mapping[str, object]], **tiers: str) -> dict[str, object]:
    """`custom_pricing` of modes by region, and a map of context tiers."""
    found: dict[str, object] = {"regions": {region: {"execution_modes": modes} for region, modes in regions.items()}}
    return found | ({"context_tier_map": {start[1:]: name for start, name in tiers.items()}} if tiers else {})


def case(when: dict[str, Any], prices: dict[str, str], units: dict[str, str] | None = None) -> Case:
    return Case(
        when=When(**when),
        prices={kind: Decimal(price) for kind, price in prices.items()},
        units={unit: Decimal(price) for unit, price in (units or {}).items()},
    )


def test_batch_has_its_own_prices_and_the_units_of_all() -> None:
    """A cached token of a batch has no price where none is said: it is neither cheap nor dear by a guess."""
    rates = GPT_4O | {"additional_units": {"web_search": 1, "image_token": 0.003}}
    entry = config(rates, batch_config=priced({"request_token": 0.000125, "response_token": 0.0005}))
    batch = {"input": "1.25", "output": "5", "output_image": "30"}
    assert model(entry).cases == (case({"service_tier": "batch"}, batch, {"web_search": "0.01"}),)
    assert warnings(entry) == [
        "a situation has no price for cache_read, its usage has no price",
        "a situation has no price for output_image, the standard price is taken",
    ]


def test_custom_prices_override() -> None:
    """Standard ones those of the model, batch ones those of batch_config, each where it says something."""
    entry = config(
        {"request_token": 0.0005, "response_token": 0.0015, "cache_write_input_token": 0.0001},
        batch_config=priced({"request_token": 0.0003, "cache_read_input_token": 0.0001}),
    ) | {
        "custom_pricing": custom(
            {"default": {"standard": leaf(request_token=0.00025), "batch": leaf(request_token=0.0002)}}
        )
    }
    found = model(entry)
    assert found.prices == {"input": Decimal("2.5"), "output": 15, "cache_creation": 1}
    assert found.cases == (case({"service_tier": "batch"}, {"input": "2", "cache_read": "1"}),)
    assert "custom_pricing has other standard prices than pricing_config, they are taken" in warnings(entry)


def test_cases_are_most_specific_first_and_complete() -> None:
    """Tier, region and context; where the source has no list for all three, that usage has no price."""
    tiers = {"lte-200k": leaf(request_token=0.0003), "gt-200k": leaf(request_token=0.0006)}
    entry = config({"request_token": 0.0001}) | {
        "custom_pricing": custom(
            {
                "default": {"standard": {"context_tiers": tiers}, "fast": leaf(request_token=0.003)},
                "eu, us": {"standard": leaf(request_token=0.0004)},
            },
            _0="lte-200k",
            _200000="gt-200k",
        )
    }
    found = model(entry)
    regions = ("eu", "us")
    assert found.prices == {"input": 3}
    assert found.cases == (
        case({"service_tier": "fast", "regions": regions, "input_over": 200_000}, {}),
        case({"service_tier": "fast", "regions": regions}, {}),
        case({"service_tier": "fast", "input_over": 200_000}, {}),
        case({"service_tier": "fast"}, {"input": "30"}),
        case({"regions": regions, "input_over": 200_000}, {}),
        case({"regions": regions}, {"input": "4"}),
        case({"input_over": 200_000}, {"input": "6"}),
    )


def test_a_bound_is_above_or_from_as_the_source_says() -> None:
    """`gt` is more than, `gte` at least; another word is not guessed."""
    tiers = {"low": leaf(request_token=0.0003), "gte-8k": leaf(request_token=0.0006), "over-9k": leaf(request_token=1)}
    mode = {"standard": {"context_tiers": tiers}}
    entry = config({"request_token": 0.0001}) | {
        "custom_pricing": custom({"default": mode}, _0="low", _8000="gte-8k", _9000="over-9k")
    }
    assert model(entry).cases == (case({"input_from": 8000}, {"input": "6"}),)
    assert warnings(entry) == [
        "context tier over-9k has no bound, not read",
        'context_tier_map has 9000: "over-9k", which is no bound',
        "custom_pricing has other standard prices than pricing_config, they are taken",
    ]


@pytest.mark.parametrize(
    ("low", "high", "base", "found"),
    [
        (1, 2, None, {"m": ("1", (case({"input_over": 128_000}, {"input": "2"}),))}),
        (1, 1, None, {"m": ("1", ())}),
        (1, 2, 1, {"m": ("1", (case({"input_over": 128_000}, {"input": "2"}),))}),
        (1, 2, 3, {"m": ("3", ())}),
        (1, None, None, {}),
        (None, 2, None, {}),
    ],
)
def test_models_named_by_their_context_are_also_one_model(
    low: int | None, high: int | None, base: int | None, found: dict[str, object]
) -> None:
    """No provider and no response knows the names; a model that is there and says otherwise is left as it is."""
    entries = {"m-lte-128k": low, "m-gt-128k": high, "m": base}
    document = {name: config({"request_token": price / 10_000}) for name, price in entries.items() if price}
    sheet = imported(document).sheet
    assert sheet is not None
    by_name = {model.key: (f"{model.prices['input']:f}", model.cases) for model in sheet.models}
    assert by_name == {name: (str(price), ()) for name, price in entries.items() if price} | found


def test_names_with_two_bounds_are_not_one_model() -> None:
    """One of them is wrong, and nothing says which."""
    document = {f"m-{sign}-{bound}k": config(GPT_4O) for sign in ("lte", "gt") for bound in (128, 200)}
    found = imported(document)
    assert found.sheet is not None
    assert [model.key for model in found.sheet.models] == [*document]
    assert found.warnings == [
        "models named by their context do not agree on one bound, and are not one model: 1 entry, such as m"
    ]


def test_a_name_with_a_context_and_cases_for_another_are_not_one_model() -> None:
    """The bounds would have to be combined, and nothing says how."""
    mode = {"standard": {"context_tiers": {"gt-8k": config(GPT_4O)}}}
    high = config(GPT_4O) | {"custom_pricing": custom({"default": mode}, _8000="gt-8k")}
    found = imported({"m-lte-128k": config(GPT_4O), "m-gt-128k": high})
    assert found.sheet is not None
    assert [model.key for model in found.sheet.models] == ["m-lte-128k", "m-gt-128k"]


# --- one model's document


@pytest.mark.parametrize(
    ("location", "name"),
    [
        (f"{API}/openai/gpt-4o", "gpt-4o"),
        (f"{API}/openai/gpt-4o?x=1", "gpt-4o"),
        (f"{API}/openrouter/openai/gpt-4o", "openai/gpt-4o"),
        (f"{API}/bedrock/anthropic.claude%3A0", "anthropic.claude:0"),
        ("/tmp/pricing/openai/gpt-4.1.json", "gpt-4.1"),
        ("pricing/openai/gpt-4o", "gpt-4o"),
        ("gpt-4.1.json", "gpt-4.1"),
        ("openai%2Fgpt-4o.json", "openai/gpt-4o"),
    ],
)
def test_the_document_of_one_model_is_named_by_its_location(location: str, name: str) -> None:
    """It has no name inside: its URL has, or the file, of which only the name is known."""
    document = {"pay_as_you_go": priced(GPT_4O), "calculate": PLAIN, "currency": "USD", "params": [], "isDefault": True}
    found = imported(document, location)
    sheet = found.sheet
    assert sheet is not None
    assert [model.key for model in sheet.models] == [name]
    assert f"the document has no name, the model has that of its place: 1 entry, such as {name}" in found.warnings
    assert sheet.models[0].prices == {"input": Decimal("2.5"), "cache_read": Decimal("1.25"), "output": 10}


@pytest.mark.parametrize("location", [None, "gpt-4o", "/tmp/gpt-4o.json", "/pricing/gpt-4o", f"{API}/openai/"])
def test_a_document_without_a_name_says_how_to_give_one(location: str | None) -> None:
    """In one line."""
    (problem,) = imported({"pay_as_you_go": priced(GPT_4O)}, location).problems
    assert problem.startswith("document: has one model's prices and not its name")
    assert problem.endswith(f"import it from {API}/{{provider}}/{{model}} or from a file {{model}}.json")


@pytest.mark.parametrize("document", [{"default": config({}), "m": config(GPT_4O)}, {"pay_as_you_go": {}}])
def test_the_format_is_known_by_its_fields(document: object) -> None:
    """Every provider's file has a template."""
    assert format_of(json.dumps(document).encode()) == "portkey"


# --- what is wrong


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ("[]", "document: must be an object, found []"),
        ("{}", "document: is no price list of Portkey: no pricing_config, but nothing"),
        ('{"success": false}', 'document: is no price list of Portkey: no pricing_config, but "success"'),
        ({"default": config({"request_token": 0})}, "document: has no model but 'default'"),
        ({"a": config({"request_token": 0})}, "document: no model has a price"),
        (
            {"default": config({"request_token": -1}), "a": config(GPT_4O)},
            "pricing_config.pay_as_you_go.request_token.price: must not be negative, found -1",
        ),
        ({"default": 5, "a": config(GPT_4O)}, "default: must be an object, found 5"),
    ],
)
def test_a_document_without_prices_is_a_problem(document: object, problem: str) -> None:
    """Of a template too, which others would inherit."""
    found = imported(document)
    assert (found.sheet, found.problems) == (None, [problem])


AT_PRICE = "pricing_config.pay_as_you_go.request_token.price: "


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (None, "m: must be an object, found null"),
        ({}, "pricing_config is null"),
        ({"pricing_config": None}, "pricing_config is null"),
        ({"pricing_config": 1}, "pricing_config: must be an object, found 1"),
        (config({"request_token": 0.1}, currency="EUR"), 'currency is "EUR", only USD is known'),
        (config({"request_token": "1"}), 'pricing_config.pay_as_you_go.request_token: must be an object, found "1"'),
        (config({"request_token": {"price": "1"}}), AT_PRICE + 'must be a number, found "1"'),
        (config({"request_token": {"price": True}}), AT_PRICE + "must be a number, found true"),
        (config({"request_token": -1}), AT_PRICE + "must not be negative, found -1"),
        (config({"request_token": 1e9}), AT_PRICE + "1000000000.0 has more than 8 digits before the point"),
        (config({"request_token": 1e-29}), AT_PRICE + "1E-29 has more than 28 digits after the point"),
        (
            config(GPT_4O) | {"custom_pricing": {"regions": {"a,": {"execution_modes": {"fast": config(GPT_4O)}}}}},
            'regions[1]: must be 1 to 256 bytes, found ""',
        ),
        (config({"additional_units": {"a\nb": 1}}), 'units."a\\nb".[key]: must not have control characters'),
    ],
)
def test_an_entry_that_cannot_be_read_is_left_out_with_its_reason(entry: object, reason: str) -> None:
    """One bad entry of 500 does not keep the others' new prices away."""
    found = imported({"m": entry, "good": config(GPT_4O)})
    assert found.sheet is not None
    assert [model.key for model in found.sheet.models] == ["good"]
    assert [name for name, _ in found.skipped] == ["m"]
    assert found.skipped[0][1].startswith(reason)


def test_unknown_fields_are_said_once_for_all_entries() -> None:
    """With how many have them, and one of them."""
    entry = config(
        GPT_4O | {"dream_token": {"price": 1}, "image": {"hd": {"x": {"price": 1, "unit": "k"}}}},
        discount=5,
        currency="USD",
    ) | {"gpt-image-1": {}, "custom_pricing": {"x": 1}}
    assert imported({"a": entry, "b": entry}).warnings == [
        "unknown field custom_pricing.x, not read: 2 entries, such as a",
        "unknown field gpt-image-1, not read: 2 entries, such as a",
        "unknown field of a price: unit, not read: 2 entries, such as a",
        "unknown field pay_as_you_go.dream_token, not read: 2 entries, such as a",
        "unknown field pricing_config.discount, not read: 2 entries, such as a",
    ]


# --- properties


NUMBERS = st.one_of(st.integers(-2, 10**14), st.sampled_from([0.00025, 0.1, 1e-30, 0.00011550000000000002, 0]))
FIELDS = (
    "default m m-lte-128k m-gt-128k m:free pricing_config pay_as_you_go batch_config custom_pricing regions eu,us"
    " execution_modes standard batch context_tiers context_tier_map gt-200k 0 200000 additional_units image price"
    " request_token response_token cache_read_input_token calculate request operation operands value fixed_cost \0"
)
NAMES = st.sampled_from(["", *FIELDS.split()])
VALUES = st.sampled_from(["sum", "multiply", "rates.request_token", "input_tokens", "gt-200k", "lte-200k", "USD", ""])
ANYTHING = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, VALUES),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=4)),
    max_leaves=30,
)


def entries_with(other: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Entries as the source has them, but for `other` in some places."""
    price = st.fixed_dictionaries({"price": st.sampled_from([0, 0.0001, 0.00025, 0.3, 0.00011550000000000002])})
    names = st.sampled_from([*GPT_4O, "additional_units", "image", "x"])
    inner = st.dictionaries(NAMES, price | st.dictionaries(NAMES, price, max_size=2), max_size=2)
    rates = st.fixed_dictionaries(
        {"request_token": price | other}, optional={"additional_units": inner, "image": inner, "x": other}
    ) | st.dictionaries(names, price, max_size=4)
    config = {"pay_as_you_go": rates}
    leaf = st.fixed_dictionaries({"pricing_config": st.fixed_dictionaries(config) | other})
    tiers = st.dictionaries(st.sampled_from(["lte", "gt", "gte"]), leaf)
    modes = st.dictionaries(
        st.sampled_from(["standard", "batch", "fast"]), leaf | st.fixed_dictionaries({"context_tiers": tiers}) | other
    )
    region = st.fixed_dictionaries({"execution_modes": modes})
    bounds = st.just({"0": "lte", "8": "gt", "9": "gte"})
    custom = {"regions": st.dictionaries(st.sampled_from(["default", "eu", "us, ch"]), region)}
    return st.fixed_dictionaries(
        {"pricing_config": st.fixed_dictionaries(config, optional={"calculate": ANYTHING, "batch_config": rates})},
        optional={"custom_pricing": st.fixed_dictionaries(custom, optional={"context_tier_map": bounds | other})},
    )


PRICE = st.fixed_dictionaries({"price": st.just(1)})
ENTRIES = entries_with(PRICE) | entries_with(ANYTHING)


@given(st.dictionaries(NAMES, ENTRIES | ANYTHING, max_size=4))
def test_every_entry_of_any_document_is_a_model_or_listed(document: dict[str, object]) -> None:
    """Nothing breaks the importer, nothing is lost, and no price is a float."""
    found = imported(document)
    assert found == imported(document)
    assert (found.sheet is None) == bool(found.problems)
    event(f"{len(found.sheet.models) if found.sheet else 'no'} models")
    if found.sheet is not None:
        accounted = {model.key for model in found.sheet.models} | {name for name, _ in found.skipped}
        assert document.keys() - {"default"} <= accounted
        assert parse_sheet(sheet_bytes(found.sheet)) == found.sheet
        assert not [value for value in leaves(found.sheet.model_dump()) if isinstance(value, float)]


@given(st.decimals(0, 10_000, allow_nan=False, places=20))
def test_a_price_is_exactly_ten_thousand_times_the_cents(cents: Decimal) -> None:
    """In every digit, and back."""
    text = f'{{"m:free": {{"pricing_config": {{"pay_as_you_go": {{"request_token": {{"price": {cents:f}}}}}}}}}}}'
    sheet = imported(text).sheet
    assert sheet is not None
    assert sheet.models[0].prices["input"] == cents.scaleb(4)


def leaves(value: object) -> Iterator[object]:
    """All that is in a value and is no collection."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            yield from leaves(item)
    else:
        yield value
