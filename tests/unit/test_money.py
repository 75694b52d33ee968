"""Money: text becomes an exact decimal within its bounds, an exact decimal one plain text."""

import time
from decimal import Decimal, Inexact
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing.money import HUNDRED, MILLION, NotADecimal, exact, number, plain, within


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", "0"),
        ("-0", "0"),
        ("0.000", "0"),
        ("12", "12"),
        ("1200", "1200"),
        ("1.50", "1.5"),
        ("0.00000000012", "0.00000000012"),
        ("999999999999.999999999999999999999999", "999999999999.999999999999999999999999"),
        ("-13.2", "-13.2"),
        ("1." + "0" * 24, "1"),
    ],
)
def test_a_plain_decimal_is_read_exactly(text: str, value: str) -> None:
    """Trailing zeros say nothing, and count for no bound."""
    found = number(text, before=12, after=24)
    assert Fraction(found) == Fraction(value)
    assert plain(found) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [("1.2e-10", "0.00000000012"), ("1E3", "1000"), ("1e+3", "1000"), ("5e-0001", None), ("0e999", "0")],
)
def test_an_exponent_is_read_where_it_is_allowed(text: str, value: str | None) -> None:
    """JSON numbers have exponents, decimal strings have none; one of four digits is refused unevaluated."""
    if value is None:
        with pytest.raises(NotADecimal):
            number(text, before=12, after=24, exponent=True)
    else:
        assert plain(number(text, before=12, after=24, exponent=True)) == value
    with pytest.raises(NotADecimal):
        number(text, before=12, after=24)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " 1",
        "1 ",
        "1\n",
        "+1",
        "--1",
        ".5",
        "5.",
        "00",
        "01",
        "1_000",
        "1,5",
        "NaN",
        "Infinity",
        "-inf",
        "0x1",
        "٣",
        "1.٣",
        "½",
        "1e",
        "e1",
        "1e1.5",
        "1e999999999",
        "9" * 401,
        "0." + "1" * 401,
        "1e-1000000",
        "1e400",
    ],
)
@pytest.mark.parametrize("exponent", [False, True])
def test_any_other_text_is_refused(text: str, exponent: bool) -> None:
    """Also what Python would read as a number."""
    with pytest.raises(NotADecimal):
        number(text, before=12, after=24, exponent=exponent)


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("999999.999999999999", True),
        ("1000000", False),
        ("-1000000", False),
        ("0.000000000001", True),
        ("0.0000000000001", False),
        ("1.0000000000001", False),
        ("1e5", True),
        ("1e6", False),
        ("1e-12", True),
        ("1e-13", False),
        ("10e-13", True),
    ],
)
def test_bounds_are_on_digits_before_and_after_the_point(text: str, fits: bool) -> None:
    """A multiplier has 6 and 12."""
    try:
        number(text, before=6, after=12, exponent=True)
    except NotADecimal:
        assert not fits
    else:
        assert fits


@pytest.mark.parametrize("text", ["1e999", "1e-999", "9" * 400, "9" * 60_000, "1e999999999", "0." + "0" * 60_000])
def test_a_bomb_costs_nothing(text: str) -> None:
    """`int(Decimal("1e1000000"))` takes 25 seconds; bounds are checked before anything is evaluated."""
    began = time.thread_time()
    with pytest.raises(NotADecimal):
        number(text, before=16, after=18, exponent=True)
    assert time.thread_time() - began < 0.05


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e12", "1e-25"])
def test_a_decimal_from_elsewhere_has_the_same_bounds(value: str) -> None:
    """`within` takes what importers have made already."""
    with pytest.raises(NotADecimal):
        within(Decimal(value), before=12, after=24)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("0", "0"),
        ("-0", "0"),
        ("0E+5", "0"),
        ("0E-9", "0"),
        ("1E+3", "1000"),
        ("1000", "1000"),
        ("100.50", "100.5"),
        ("1.2E-10", "0.00000000012"),
        ("-0.10", "-0.1"),
        ("10", "10"),
        ("1E-7", "0.0000001"),
        ("123456789012345678901234567890.5", "123456789012345678901234567890.5"),
    ],
)
def test_the_wire_form_is_plain(value: str, text: str) -> None:
    """No exponent, no plus, no trailing zeros after the point, `0` for zero."""
    assert plain(Decimal(value)) == text


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**11), max_value=10**11, places=24))
def test_reading_what_was_written_gives_the_same_number(value: Decimal) -> None:
    """And there is one text for each number."""
    found = number(plain(value), before=12, after=24)
    assert found == value
    assert plain(found) == plain(value)


def test_arithmetic_is_exact_or_an_exception() -> None:
    """A third has no decimal; a context that rounds is never in force."""
    with exact(), pytest.raises(Inexact):
        Decimal(1) / Decimal(3)


def test_the_longest_amount_of_the_contract_is_exact() -> None:
    """Every bound of section 3 at once: quantity, price, base and priority multiplier, percentage, rate."""
    quantity, price = Decimal("9" * 15 + "." + "9" * 18), Decimal("9" * 12 + "." + "9" * 24)
    multiplier, percentage = Decimal("9" * 6 + "." + "9" * 12), Decimal("99." + "9" * 24)
    factors = [quantity, price, multiplier, multiplier, price]
    with exact():
        amount = quantity * multiplier * multiplier * price / MILLION * ((HUNDRED - percentage) / HUNDRED) * price
        billion_times = amount * 10**9
    expected = Fraction(1, 10**6) * (1 - Fraction(percentage) / 100)
    for factor in factors:
        expected *= Fraction(factor)
    assert Fraction(amount) == expected
    assert Fraction(billion_times) == expected * 10**9
