"""Price sheets in their own format, their differences and what is doubtful in them."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing.errors import InvalidDocument
from pricing.sheet_diff import Difference, diff_sheets
from pricing.sheet_review import warnings
from pricing.sheets import Model, Sheet, Tier, UnitPrice, parse_sheet, sheet_bytes
from pricing.times import parse_time

NOVEMBER = parse_time("2026-11-01T00:00:00Z")

SHEET = """{
  "id": "aitronos", "version": "1", "effective_from": "2026-11-01T00:00:00Z",
  "base_multiplier": "2", "neuron_price": "8", "priorities": {"default": "1", "low": "0.8"},
  "image_price": "20",
  "models": [{"key": "pro", "id": "mdl_pro", "category": "synapse", "currency": "CHF",
    "prices": {"input": "13.2", "output": "66", "cache_read": "1.32", "cache_creation": "16.5"}}],
  "image_operations": {"generate": "100000"},
  "code_execution": {"base": "3", "cpu_per_second": "1", "memory_per_mb_second": "0.01",
    "cpu_free_seconds": "2", "memory_free_mb": "256", "neuron_price": "8"},
  "connector_tools": {"multiplier": "8", "neuron_price": "8"},
  "terminal": {"egress_bytes": {"price": "0.00000000012", "currency": "USD"}},
  "tiers": {"tier_standard": {"id": "tier_standard", "discount_percentage": "10"}}
}"""


def sheet(*changes: tuple[str, str]) -> Sheet:
    """The sheet above with some of its text replaced."""
    text = SHEET
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return parse_sheet(text.encode())


def test_a_sheet_is_read_exactly() -> None:
    """Prices are decimals as written, and instants nanoseconds."""
    found = sheet()
    assert found.effective_from == NOVEMBER
    assert found.models[0].prices["cache_read"] == Decimal("1.32")
    assert found.terminal["egress_bytes"].price == Decimal("1.2E-10")
    assert found.connector_tools is not None
    assert found.models[0].neurons_per_token is None


def test_a_sheet_does_not_change() -> None:
    """A sheet is a value: its fields cannot be set."""
    with pytest.raises(ValueError, match="frozen"):
        sheet().version = "2"


@pytest.mark.parametrize(
    ("old", "new", "problems"),
    [
        ('"13.2"', "13.2", ["models[0].prices.input: must be a decimal string, found 13.2"]),
        ('"13.2"', '"-1"', ['models[0].prices.input: must not be negative, found "-1"']),
        ('"13.2"', '"1e2"', ["models[0].prices.input: '1e2' is not a plain decimal, found \"1e2\""]),
        ('"13.2"', '"1000000000000"',
         ["models[0].prices.input: 1000000000000 has more than 12 digits before the point"]),
        ('"0.8"', '"0.1234567890123"',
         ["priorities.low: 0.1234567890123 has more than 12 digits after the point"]),
        ('"10"}', '"100.1"}',
         ['tiers.tier_standard.discount_percentage: must be from 0 to 100, found "100.1"']),
        ('"CHF"', '"chf"', ["models[0].currency: String should match pattern '^[A-Z]{3}\\z', found \"chf\""]),
        ('"20"', '"model"',
         ["image_price: 'model' is neither a decimal nor model-input nor model-output, found \"model\""]),
        ('"version": "1"', '"version": "1/2"', ["version: String should match pattern "
                                                "'^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\\z', found \"1/2\""]),
        ('"id": "tier_standard"', '"id": "gold"',
         ["document: tiers.tier_standard has the id 'gold', found "]),
        ('"pro"', '"p\\u0000"', ['models[0].key: must not have control characters, found "p\\u0000"']),
        ('"pro"', '"\\ud800"', ["models[0].key: has half of a surrogate pair"]),
        ('"base_multiplier"', '"base"', ['base: Extra inputs are not permitted, found "2"']),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_sheet_is_said_with_path_and_value(old: str, new: str, problems: list[str]) -> None:
    """One row for each rule."""
    with pytest.raises(InvalidDocument) as refused:
        sheet((old, new))
    assert [found[: len(wanted)] for found, wanted in zip(refused.value.problems, problems, strict=True)] == problems


def test_all_problems_of_a_sheet_are_listed_at_once() -> None:
    """Names that two models share are found although prices and categories are wrong too."""
    two = '"models": [{"key": "x", "aliases": ["mdl_pro"], "category": "token", "currency": "CHF"}, '
    with pytest.raises(InvalidDocument) as refused:
        sheet(('"models": [', two), ('"66"', "66"))
    assert refused.value.problems == [
        "models[0].category: Input should be 'synapse', 'neuron' or 'direct', found \"token\"",
        "models[1].prices.output: must be a decimal string, found 66",
        "models[1]: the name 'mdl_pro' is also a name of models[0]",
    ]


def test_no_name_belongs_to_two_models() -> None:
    """Keys, ids and aliases share one space of names, so that an event's model is never a guess."""
    both = [Model(key=key, id="a", category="synapse", currency="CHF") for key in ("a", "b")]
    with pytest.raises(ValueError, match=r"models\[1\]: the name 'a' is also a name of models\[0\]"):
        Sheet(id="s", version="1", effective_from=0, models=tuple(both))


_texts = st.text("abc-_.\u00e9/ ", min_size=1, max_size=6)
_prices = st.decimals(0, "999999999999", places=24, allow_nan=False)
_multipliers = st.decimals(0, 999999, places=12, allow_nan=False)


@st.composite
def sheets(draw: st.DrawFn) -> Sheet:
    keys = draw(st.lists(_texts, unique=True, max_size=4))
    models = tuple(
        Model(
            key=key,
            category=draw(st.sampled_from(["synapse", "neuron"])),
            currency=draw(st.sampled_from(["CHF", "EUR"])),
            prices=draw(st.dictionaries(_texts, _prices, max_size=3)),
            neurons_per_token=draw(st.none() | _multipliers),
        )
        for key in keys
    )
    return Sheet(
        id="s",
        version="v.1",
        effective_from=draw(st.integers(0, 4 * 10**18)),
        base_multiplier=draw(st.none() | _multipliers),
        priorities=draw(st.dictionaries(_texts, _multipliers, max_size=3)),
        models=models,
        image_price=draw(st.none() | _prices | st.just("model-input")),
        terminal={"d": UnitPrice(price=draw(_prices), currency="USD")},
        tiers={"t": Tier(id="t", discount_percentage=draw(st.decimals(0, 100, places=24)))},
    )


def no_floats(value: Any) -> bool:
    """Whether there is no float anywhere in a dumped document."""
    if isinstance(value, dict):
        return all(no_floats(item) for item in [*value.keys(), *value.values()])
    if isinstance(value, list | tuple):
        return all(no_floats(item) for item in value)
    return not isinstance(value, float)


@given(sheets())
def test_reading_what_was_written_gives_the_same_sheet(made: Sheet) -> None:
    """parse_sheet undoes sheet_bytes, the bytes are the same each time, and nothing is a float."""
    assert parse_sheet(sheet_bytes(made)) == made
    assert sheet_bytes(parse_sheet(sheet_bytes(made))) == sheet_bytes(made)
    assert no_floats(made.model_dump())
    assert no_floats(made.model_dump(mode="json"))


@given(sheets())
def test_a_sheet_does_not_differ_from_itself(made: Sheet) -> None:
    """No difference is seen where there is none, and warnings can be given of any valid sheet."""
    assert diff_sheets(made, made) == []
    warnings(made)


def test_differences_have_paths_values_and_percent() -> None:
    """A changed price, a model that went and another that came, and a price that is new."""
    old = sheet(('"cache_read": "1.32", ', ""))
    new = sheet(('"13.2"', '"11"'), ('"generate"', '"edit"'), ('"0.8"', '"0.85"'))
    assert diff_sheets(old, new) == [
        Difference("image_operations.edit", None, "100000", None),
        Difference("image_operations.generate", "100000", None, None),
        Difference("models.pro.prices.cache_read", None, "1.32", None),
        Difference("models.pro.prices.input", "13.2", "11", "-16.67"),
        Difference("priorities.low", "0.8", "0.85", "6.25"),
    ]


@given(_prices.filter(bool), _prices)
def test_percent_is_right_to_two_digits(old: Decimal, new: Decimal) -> None:
    """The printed change is within half a hundredth of the exact one."""
    models = [(Model(key="m", category="synapse", currency="CHF", prices={"input": p}),) for p in (old, new)]
    before, after = (Sheet(id="s", version="1", effective_from=0, models=each) for each in models)
    for difference in diff_sheets(before, after):
        exact = (Fraction(new) - Fraction(old)) / Fraction(old) * 100
        assert difference.percent is not None
        assert abs(Fraction(difference.percent) - exact) <= Fraction(1, 200)


def test_a_complete_and_usual_sheet_has_no_warnings() -> None:
    """The magnitudes of the real sheet are credible."""
    assert warnings(sheet()) == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"multiplier": "8", "neuron_price": "8"', '"multiplier": "8", "neuron_price": "9"',
         "differs between sections"),
        ('"13.2"', '"0.0000132"', "models.pro.prices.input: 0.0000132 is under 0.001"),
        ('"13.2"', '"13200"', "models.pro.prices.input: 13200 is over 10000"),
        ('"66"', '"0.066"', "models.pro.prices.output: 0.066 beside an input price of 13.2"),
        ('"1.32"', '"1320"', "models.pro.prices.cache_read: 1320 beside an input price of 13.2"),
        ('"13.2", "output": "66", "cache_read": "1.32", "cache_creation": "16.5"',
         '"0.0132", "output": "0.066", "cache_read": "0.00132", "cache_creation": "0.0165"',
         "models.pro.prices: 0.066 is under 0.1 and looks like a wrong unit: prices per token or per 1,000?"),
        ('"neuron_price": "8", "priorities"', '"neuron_price": "0.008", "priorities"',
         "neuron_price: 0.008 is under"),
        ('"0.00000000012"', '"0.12"', "terminal.egress_bytes.price: 0.12 is over 0.00000001"),
        ('"0.00000000012"', '"0.00000012"', "terminal.egress_bytes.price: 0.00000012 is over 0.00000001"),
        ('"100000"', '"0.04"', "image_operations.generate: 0.04 is under 1"),
        ('"20"', '"0.00002"', "image_price: 0.00002 is under 0.001"),
        ('"2", "neuron_price"', '"200", "neuron_price"', "base_multiplier: 200 is over 100"),
        ('"0.01"', '"10"', "code_execution.memory_per_mb_second: 10 is over 1"),
        ('"13.2"', '"0"', "models.pro.prices.input: is 0"),
        ('"10"}', '"100"}', "tiers.tier_standard.discount_percentage: is 100"),
        ('"cache_read": "1.32", ', "", "models.pro.prices: no price for cache_read"),
        ('"image_price": "20",', "", "image_price: is missing"),
        ('"default": "1", ', "", "priorities.default: is missing"),
        ('"memory_free_mb": "256", ', "", "code_execution.memory_free_mb: is missing"),
        ('"category": "synapse"', '"category": "neuron"', "models.pro.neurons_per_token: is missing"),
        ('"category": "synapse"', '"category": "neuron"', "models.pro.prices: not used, since its category is neuron"),
        ('"category": "synapse"', '"category": "synapse", "neurons_per_token": "1"',
         "models.pro.neurons_per_token: not used, since its category is synapse"),
    ],
)  # fmt: skip
def test_what_is_probably_wrong_is_warned_of(old: str, new: str, said: str) -> None:
    """One row for each rule."""
    assert [warning for warning in warnings(sheet((old, new))) if said in warning]
