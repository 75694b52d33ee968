"""Estimates as fal's API has them: quantity x unit price, exactly."""

import json
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from pricing.errors import Unpriced
from pricing.estimates import Estimate, endpoint_quantity, estimate, total_of
from pricing.rating import Missing
from pricing.sheets import Sheet, parse_sheet
from streams.cli import main

FLUX, VIDEO, EURO, MANY, NONE = "fal-ai/flux/dev", "fal-ai/wan", "euro", "many", "none"


def model(key: str, currency: str = "USD", **units: str) -> dict[str, object]:
    return {"key": key, "category": "direct", "currency": currency, "units": units}


def sheet(**fields: object) -> Sheet:
    """Prices of fal and of others."""
    models = [
        model(FLUX, image="0.025"),
        model(VIDEO, second="0.000123"),
        model(EURO, "EUR", image="0.5"),
        model(MANY, image="1", second="2"),
        model(NONE),
    ]
    document = {"id": "s", "version": "1", "effective_from": "2026-11-01T00:00:00Z", "models": models, **fields}
    return parse_sheet(json.dumps(document).encode())


SHEET = sheet()


def test_an_estimate_is_quantity_times_unit_price() -> None:
    """50 images from flux/dev, the example in fal's documentation, at the price of its other example."""
    assert estimate(SHEET, FLUX, Decimal(50)) == Estimate(
        FLUX, "image", Decimal(50), Decimal("0.025"), "USD", Decimal("1.25")
    )


def test_the_total_is_over_all_endpoints() -> None:
    """50 x 0.025 + 5.5 x 0.000123."""
    assert total_of([estimate(SHEET, FLUX, Decimal(50)), estimate(SHEET, VIDEO, Decimal("5.5"))]) == (
        Decimal("1.2506765"),
        "USD",
    )


def test_a_markup_is_part_of_the_price() -> None:
    """0.025 x (1 + 10/100) x 50."""
    found = estimate(sheet(markup_percentage="10"), FLUX, Decimal(50))
    assert (found.price, found.cost) == (Decimal("0.0275"), Decimal("1.375"))


@given(st.decimals(0, "999999999999999", places=18), st.decimals(0, "999999999999", places=24))
def test_every_digit_counts(quantity: Decimal, price: Decimal) -> None:
    """The longest product has 57 digits or more, which the usual arithmetic would round."""
    models = [model(FLUX, image=f"{price:f}")]
    found = estimate(sheet(models=models), FLUX, quantity)
    assert Fraction(found.cost) == Fraction(quantity) * Fraction(price)


def test_every_digit_of_the_total_counts() -> None:
    """10^15 x 0.025 and 10^-18 x 0.025 are 35 digits apart."""
    large, small = endpoint_quantity(f"{FLUX}={10**15}"), endpoint_quantity(f"{FLUX}=0.{'0' * 17}1")
    found, _ = total_of([estimate(SHEET, *large), estimate(SHEET, *small)])
    assert Fraction(found) == Fraction(25, 1000) * (10**15 + Fraction(1, 10**18))


@pytest.mark.parametrize(
    ("endpoint", "reason", "detail"),
    [
        ("fal-ai/flux", Unpriced.NO_MODEL, "endpoint fal-ai/flux"),
        (NONE, Unpriced.NO_METER, "endpoint none should have the price of one unit, and has of: none"),
        (MANY, Unpriced.NO_METER, "endpoint many should have the price of one unit, and has of: image, second"),
    ],
)
def test_what_has_no_one_price_has_no_estimate(endpoint: str, reason: Unpriced, detail: str) -> None:
    """Never a guess, and never zero."""
    with pytest.raises(Missing) as missing:
        estimate(SHEET, endpoint, Decimal(1))
    assert (missing.value.reason, missing.value.detail) == (reason, detail)


def test_two_currencies_have_no_sum() -> None:
    """The API's answer has one."""
    with pytest.raises(ValueError, match="costs in EUR and USD have no sum"):
        total_of([estimate(SHEET, FLUX, Decimal(1)), estimate(SHEET, EURO, Decimal(1))])


@pytest.mark.parametrize(
    ("text", "found"),
    [("a/b=50", ("a/b", Decimal(50))), ("a=b=0.5", ("a=b", Decimal("0.5"))), ("a=0", ("a", Decimal(0)))],
)
def test_an_endpoint_and_its_quantity_are_one_argument(text: str, found: tuple[str, Decimal]) -> None:
    """The quantity stands after the last equals sign."""
    assert endpoint_quantity(text) == found


@pytest.mark.parametrize("text", ["a", "=1", "a=", "a=-1", "a=1e3", "a=NaN", f"a={10**16}", f"a=0.{'1' * 19}"])
def test_anything_else_is_none(text: str) -> None:
    """Wrong usage of the command."""
    with pytest.raises(ValueError):
        endpoint_quantity(text)


def run(tmp_path: Path, *args: str) -> Result:
    """The command on fal's document."""
    file = tmp_path / "prices.json"
    prices = [
        {"endpoint_id": FLUX, "unit_price": 0.025, "unit": "images", "currency": "USD"},
        {"endpoint_id": VIDEO, "unit_price": 0.000123, "unit": "seconds", "currency": "USD"},
    ]
    file.write_text(json.dumps({"prices": prices, "next_cursor": None, "has_more": False}))
    return CliRunner().invoke(main, ["sheets", "estimate", str(file), *args])


def test_the_command_shows_each_endpoint_and_the_total(tmp_path: Path) -> None:
    """As a table."""
    assert run(tmp_path, f"{FLUX}=50", f"{VIDEO}=5.5").output == (
        "endpoint         unit    quantity  price     cost       currency\n"
        "fal-ai/flux/dev  image   50        0.025     1.25       USD\n"
        "fal-ai/wan       second  5.5       0.000123  0.0006765  USD\n"
        "total                                        1.2506765  USD\n"
    )


def test_the_command_has_the_api_s_answer_as_json(tmp_path: Path) -> None:
    """The total is a JSON number with every digit."""
    assert run(tmp_path, "--json", f"{FLUX}=50", f"{VIDEO}=5.5").output == (
        '{"estimate_type": "unit_price", "total_cost": 1.2506765, "currency": "USD"}\n'
    )


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["fal-ai/flux=1"], 1, "Error: no_price_for_model: endpoint fal-ai/flux\n"),
        (["fal-ai/flux"], 2, "'fal-ai/flux' is not ENDPOINT=QUANTITY\n"),
        ([], 2, "Missing argument 'ENDPOINT=QUANTITY...'."),
    ],
)
def test_what_cannot_be_estimated_is_said_in_one_line(tmp_path: Path, args: list[str], code: int, said: str) -> None:
    """With the exit code of its kind."""
    found = run(tmp_path, *args)
    assert found.exit_code == code
    assert said in found.output
