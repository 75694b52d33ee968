"""Exchange rates: read strictly, written in one way."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing.documents import document_bytes
from pricing.errors import InvalidDocument
from pricing.exchange import FxRate, parse_fx, parse_pair
from pricing.times import parse_time

START = parse_time("2026-11-22T00:00:00Z")


def test_a_rate_reads_as_the_contract_has_it() -> None:
    """The names on the wire are pair, rate and from, and the rate is exact."""
    rate = parse_fx(b'{"pair": "CHF/USD", "rate": "1.1234", "from": "2026-11-22T01:00:00+01:00"}')
    assert rate == FxRate(pair="CHF/USD", rate=Decimal("1.1234"), from_ns=START)
    assert (rate.base, rate.quote) == ("CHF", "USD")
    assert document_bytes(rate) == b'{"from":"2026-11-22T00:00:00Z","pair":"CHF/USD","rate":"1.1234"}'


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        (
            '{"pair": "chf/usd", "rate": 1.1234, "from": 1795341600}',
            [
                "pair: 'chf/usd' is not a pair of currencies such as CHF/USD, found \"chf/usd\"",
                "rate: must be a decimal string, found 1.1234",
                "from: must be an RFC 3339 time, found 1795341600",
            ],
        ),
        ("{}", ["pair: Field required", "rate: Field required", "from: Field required"]),
        (
            '{"pair": "CHF/CHF", "rate": "0", "from": "2026-11-22T00:00:00Z", "note": "x"}',
            [
                "pair: 'CHF/CHF' is a pair of the same currency, found \"CHF/CHF\"",
                'rate: must be greater than 0, found "0"',
                'note: Extra inputs are not permitted, found "x"',
            ],
        ),
        ('{"pair": "CHF/USD", "pair": "CHF/EUR"}', ["pair: the key appears twice"]),
        ("[NaN]", ["document: not JSON: NaN is not a JSON number"]),
        ("\ufeff{}", ["document: starts with a byte order mark"]),
        ("[" * 2000 + "]" * 2000, ["document: nested over 32 levels"]),
        (" " * 4097, ["document: has 4097 bytes, at most 4096 are allowed"]),
    ],
)
def test_every_problem_of_a_rate_is_listed(text: str, problems: list[str]) -> None:
    """A bad rate is refused with all that is wrong with it."""
    with pytest.raises(InvalidDocument) as refused:
        parse_fx(text.encode())
    assert refused.value.problems == problems


@pytest.mark.parametrize(
    "rate", ["-1", "1e3", "+1", ".5", "1.", "NaN", "Infinity", "1_000", " 1", "9" * 13, "0." + "1" * 25]
)
def test_a_rate_that_is_no_plain_bounded_decimal_is_refused(rate: str) -> None:
    """Twelve digits before the point and 24 after it, plain notation, greater than zero."""
    with pytest.raises(InvalidDocument):
        parse_fx(f'{{"pair": "CHF/USD", "rate": "{rate}", "from": "2026-11-22T00:00:00Z"}}'.encode())


@given(
    st.decimals("1e-24", "999999999999", places=24, allow_nan=False).filter(lambda rate: rate > 0),
    st.integers(0, 4 * 10**18),
)
def test_reading_what_was_written_gives_the_same_rate(rate: Decimal, from_ns: int) -> None:
    """parse_fx undoes document_bytes, and the bytes are the same each time."""
    made = FxRate(pair="CHF/USD", rate=rate, from_ns=from_ns)
    assert parse_fx(document_bytes(made)) == made
    assert document_bytes(parse_fx(document_bytes(made))) == document_bytes(made)


@pytest.mark.parametrize("text", ["", "CHF", "CHF/US", "CHF-USD", "CHF/USD/EUR", "CHF/USD\n", "CHF/CHF"])
def test_what_is_no_pair_is_refused(text: str) -> None:
    """A pair is two different currencies of three capitals."""
    with pytest.raises(ValueError):
        parse_pair(text)


@pytest.mark.parametrize("depth", [33, 500, 900, 2000])
def test_nesting_is_bounded_before_anything_recurses(depth: int) -> None:
    """Also where json.loads itself would still go along."""
    value = b'{"a":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"
    with pytest.raises(InvalidDocument, match="nested over 32 levels"):
        parse_fx(value)


def test_hostile_keys_are_quoted_in_paths() -> None:
    """A terminal's control sequences and long keys do not reach it."""
    with pytest.raises(InvalidDocument) as refused:
        parse_fx(b'{"\\u001b[31m": 1, "' + b"k" * 99 + b'": 1}')
    assert refused.value.problems[3:] == [
        '"\\u001b[31m": Extra inputs are not permitted, found 1',
        f'"{"k" * 56}...: Extra inputs are not permitted, found 1',
    ]
