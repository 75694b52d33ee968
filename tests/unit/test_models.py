"""Models priced directly: what a sheet may say of one, all that is wrong at once, and how it is written."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing.errors import InvalidDocument
from pricing.models import WEEKDAYS
from pricing.sheet_diff import Difference, diff_sheets
from pricing.sheet_review import warnings
from pricing.sheets import Model, Sheet, parse_sheet, sheet_bytes


def document(*models: dict[str, Any], **fields: Any) -> bytes:
    """A sheet of direct models in USD, unless they say otherwise."""
    full = [{"category": "direct", "currency": "USD", **model} for model in models]
    return orjson.dumps(
        {"id": "market", "version": "1", "effective_from": "2025-01-01T00:00:00Z", "models": full, **fields}
    )


def problems(*models: dict[str, Any]) -> list[str]:
    """What is wrong with a sheet of these models."""
    with pytest.raises(InvalidDocument) as refused:
        parse_sheet(document(*models))
    return refused.value.problems


def case(**when: Any) -> dict[str, Any]:
    """A case for this situation."""
    return {"when": when, "prices": {"input": "1"}}


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"neurons_per_token": "2"}, 'neurons_per_token: is not for a direct model, found "2"'),
        ({"synapses_per_second": "2"}, 'synapses_per_second: is not for a direct model, found "2"'),
        ({"category": "synapse", "provider": "openai"},
         'provider: is for direct models, not for one of category synapse, found "openai"'),
        ({"category": "neuron", "prefixes": ["x-"]},
         'prefixes: is for direct models, not for one of category neuron, found ["x-"]'),
        ({"category": "synapse", "units": {"image": "1"}},
         'units: is for direct models, not for one of category synapse, found {"image": "1"}'),
        ({"category": "synapse", "cases": [case(service_tier="batch")]},
         "cases: is for direct models, not for one of category synapse, found "),
        ({"category": "synapse", "prices": {"input": "1"}, "bands": {"input": [{"above": 5, "price": "2"}]}},
         "bands: is for direct models, not for one of category synapse, found "),
        ({"prices": {"input": "1"}, "bands": {"input": []}},
         "bands.input: Tuple should have at least 1 item after validation, not 0, found []"),
        ({"prices": {"input": "1"}, "bands": {"input": [{"above": 5, "price": "2"}, {"above": 5, "price": "3"}]}},
         "bands.input: must ascend from above 0, found "),
        ({"prices": {"input": "1"}, "bands": {"input": [{"above": 0, "price": "2"}]}},
         "bands.input: must ascend from above 0, found "),
        ({"prices": {"output": "1"}, "bands": {"input": [{"above": 5, "price": "2"}]}},
         "bands: prices has none up to the first band of input, found "),
        ({"cases": [case()]}, "cases[0].when: has no condition, found {}"),
        ({"cases": [case(regions=[])]}, "cases[0].when: has no condition, found "),
        ({"cases": [case(service_tier="on_demand")]},
         "cases[0].when: on_demand is the standard tier, which a case is for that names none, found "),
        ({"cases": [case(input_over=5, input_from=6)]}, "cases[0].when.input_from: input_over is given too, found 6"),
        ({"cases": [case(since="2025-02-01T00:00:00Z", until="2025-02-01T01:00:00+01:00")]},
         'cases[0].when.until: is not after since, found "2025-02-01T01:00:00+01:00"'),
        ({"cases": [case(daily={"start": "08:00", "end": "08:00"})]},
         'cases[0].when.daily.end: is also the start, so that it is every hour of every day, found "08:00"'),
        ({"cases": [case(daily={"start": "08:00", "end": "09:00", "weekdays": ["sat", "Sunday"]})]},
         "cases[0].when.daily.weekdays[1]: Input should be 'mon', 'tue', 'wed', 'thu', 'fri', 'sat' or 'sun', "
         'found "Sunday"'),
        ({"cases": [case(daily={"start": "08:00", "end": "08:00", "weekdays": [6]})]},
         "cases[0].when.daily.weekdays[0]: Input should be 'mon', "),
        ({"cases": [case(daily={"start": "08:00", "end": "09:00", "weekdays": "sat"})]},
         "cases[0].when.daily.weekdays: Input should be a valid "),
        ({"cases": [case(daily={"start": "08:00", "end": "09:00", "weekdays": ["sun", "mon"]})]},
         "cases[0].when.daily.weekdays: must be each once, in the order from mon to sun, found "),
        ({"cases": [case(daily={"start": "08:00", "end": "09:00", "weekdays": ["mon", "mon"]})]},
         "cases[0].when.daily.weekdays: must be each once, in the order from mon to sun, found "),
        ({"cases": [case(daily={"start": "08:00", "end": "08:00", "weekdays": list(WEEKDAYS)})]},
         "cases[0].when.daily.weekdays: are all, which is said by none, found "),
        ({"cases": [case(daily={"start": "08:00", "end": "24:00"})]},
         "cases[0].when.daily.end: String should match pattern "),
        ({"cases": [case(input_over=5), case(input_over=5)]},
         "cases: [1] is never reached: it is for the situation of [0], found "),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_a_problem(fields: dict[str, Any], problem: str) -> None:
    """One row for each rule, with the path and what was found there."""
    (found,) = problems({"key": "m", **fields})
    assert found.startswith(f"models[0].{problem}")


@pytest.mark.parametrize(
    "when",
    [
        {"input_over": 0},
        {"input_from": 1},
        {"since": "2025-02-01T00:00:00Z"},
        {"until": "2025-02-01T00:00:00.000000001Z", "since": "2025-02-01T00:00:00Z"},
        {"daily": {"start": "16:30", "end": "00:30"}},
        {"daily": {"start": "16:30", "end": "00:30", "weekdays": ["mon", "sun"]}},
        {"daily": {"start": "00:00", "end": "00:00", "weekdays": ["sat"]}},
        {"regions": ["eu"], "service_tier": "batch"},
    ],
)
def test_what_makes_sense_is_read_and_written_back(when: dict[str, Any]) -> None:
    """Each condition may stand alone."""
    sheet = parse_sheet(document({"key": "m", "cases": [case(**when)]}))
    assert orjson.loads(sheet_bytes(sheet))["models"][0]["cases"] == [case(**when)]
    assert parse_sheet(sheet_bytes(sheet)) == sheet


def test_all_problems_of_all_models_are_listed_at_once() -> None:
    """Several in one model, beside wrong types and names that come twice."""
    assert problems(
        {"key": "a", "neurons_per_token": "2", "prices": {"input": 1}, "cases": [case(), case(input_over=-1)]},
        {"key": "b", "aliases": ["a"]},
    ) == [
        "models[0].prices.input: must be a decimal string, found 1",
        "models[0].cases[0].when: has no condition, found {}",
        "models[0].cases[1].when.input_over: Input should be greater than or equal to 0, found -1",
        'models[0].neurons_per_token: is not for a direct model, found "2"',
        "models[1]: the name 'a' is also a name of models[0]",
    ]


@pytest.mark.parametrize(
    ("one", "other", "is_problem"),
    [
        ({"provider": "p", "key": "m"}, {"provider": "q", "key": "m"}, False),
        ({"provider": "p", "key": "m"}, {"provider": "p", "key": "n", "aliases": ["m"]}, True),
        ({"provider": "p", "key": "m"}, {"key": "m"}, True),
        ({"key": "m"}, {"provider": "p", "key": "n", "id": "m"}, True),
        ({"key": "m", "prefixes": ["m-"]}, {"key": "n", "aliases": ["m-"]}, False),
    ],
)
def test_a_name_is_unique_among_the_models_of_a_provider(
    one: dict[str, Any], other: dict[str, Any], is_problem: bool
) -> None:
    """A model without a provider is every provider's."""
    if is_problem:
        assert problems(one, other) == ["models[1]: the name 'm' is also a name of models[0]"]
    else:
        assert len(parse_sheet(document(one, other)).models) == 2


def test_what_is_empty_is_not_written() -> None:
    """A sheet of thousands of models has no room for fields that say nothing."""
    sheet = parse_sheet(document({"key": "m", "provider": "p", "aliases": [], "prices": {"input": "1"}, "cases": []}))
    assert orjson.loads(sheet_bytes(sheet))["models"] == [
        {"category": "direct", "currency": "USD", "key": "m", "prices": {"input": "1"}, "provider": "p"}
    ]


_prices = st.dictionaries(st.sampled_from(["input", "output", "output_audio"]), st.just("0.5"), max_size=3)


@given(st.lists(st.tuples(_prices, st.lists(_prices, max_size=3)), max_size=3), st.none() | st.just("7.5"))
def test_a_sheet_is_read_back_as_it_was(models: list[tuple[dict[str, str], list[dict[str, str]]]], markup: Any) -> None:
    """Empty or not."""
    sheet = parse_sheet(
        document(
            *(
                {
                    "key": f"m{number}",
                    "prices": own,
                    "units": own,
                    "bands": {kind: [{"above": 9, "price": "1"}] for kind in own},
                    "cases": [{"when": {"input_over": bound}, "prices": other} for bound, other in enumerate(in_cases)],
                }
                for number, (own, in_cases) in enumerate(models)
            ),
            markup_percentage=markup,
            dated_snapshots=bool(models),
        )
    )
    assert parse_sheet(sheet_bytes(sheet)) == sheet
    assert diff_sheets(sheet, sheet) == []


def test_a_copy_with_other_models_finds_those() -> None:
    """What a sheet keeps of its models does not go along."""
    old = parse_sheet(document({"key": "old"}))
    assert old.names.find("old", None) is not None
    new = old.model_copy(update={"models": (Model(category="direct", key="new", currency="USD"),)})
    assert [new.names.find(name, None) is None for name in ("old", "new")] == [True, False]
    assert old == parse_sheet(document({"key": "old"}))


def changed(**fields: Any) -> Sheet:
    """A sheet of one model of a provider."""
    return parse_sheet(document({"key": "m", "provider": "p", **fields}))


def test_differences_reach_into_cases_and_bands() -> None:
    """By their situations and beginnings; the order of cases is a field too, as the first that holds counts."""
    old = changed(prices={"input": "1"}, cases=[case(input_over=5), case(regions=["eu", "us"])])
    new = changed(
        prices={"input": "1"},
        bands={"input": [{"above": 9, "price": "2"}]},
        cases=[{"when": {"regions": ["eu", "us"]}, "prices": {"input": "1.5"}}, case(input_over=5)],
    )
    assert diff_sheets(old, new) == [
        Difference("models.p/m.bands.input[9]", None, "2", None),
        Difference("models.p/m.cases", "input over 5; in eu or us", "in eu or us; input over 5", None),
        Difference("models.p/m.cases[in eu or us].prices.input", "1", "1.5", "50.00"),
    ]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"prices": {"input": "0.02"}}, []),
        ({"prices": {"input": "0.00002"}},
         ["models.p/m.prices: 0.00002 is under 0.001 and looks like a wrong unit: prices per token or per 1,000?"]),
        ({"prices": {"input": "0"}},
         ["models.p/m.prices.input: is 0, so it costs nothing; a price that is not known is left out"]),
        ({"units": {"image": "0.04"}}, []),
        ({}, ["models.p/m: has no price of its own, usage outside of its cases is parked"]),
    ],
)  # fmt: skip
def test_a_market_sheet_is_warned_of_what_is_odd_about_a_market_sheet(fields: dict[str, Any], said: list[str]) -> None:
    """Not of sections that it need not have."""
    assert warnings(changed(**fields)) == said
