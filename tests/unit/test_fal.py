"""The importer of fal's prices: exact, complete, and with every problem."""

import json
from decimal import Decimal
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing.importers import IMPORTERS, Imported, ImportOptions, format_of, read_any
from pricing.sheets import Model, Sheet, Source, parse_sheet, sheet_bytes
from pricing.times import parse_time

OPTIONS = ImportOptions("fal", "2026-11-01", parse_time("2026-11-01T00:00:00Z"), location="https://api.fal.ai/prices")
# The answer in fal's documentation, as it stands there.
DOCUMENT = b"""{
  "prices": [
    {
      "endpoint_id": "fal-ai/flux/dev",
      "unit_price": 0.025,
      "unit": "image",
      "currency": "USD"
    }
  ],
  "next_cursor": null,
  "has_more": false
}"""


def imported(value: bytes) -> Imported:
    return IMPORTERS["fal"](value, OPTIONS)


def entry(**fields: object) -> dict[str, object]:
    """The documented entry with other fields; `...` for a field that is missing."""
    changed = {"endpoint_id": "a/b", "unit_price": 0.025, "unit": "image", "currency": "USD"} | fields
    return {key: value for key, value in changed.items() if value is not ...}


def of(*entries: object, **fields: object) -> Imported:
    """The import of a document with these entries."""
    return imported(json.dumps({"prices": entries, "next_cursor": None, "has_more": False} | fields).encode())


def prices(found: Imported) -> dict[str, dict[str, Decimal]]:
    """The unit prices of each endpoint."""
    assert found.problems == []
    assert found.sheet is not None
    return {model.key: model.units for model in found.sheet.models}


def test_the_example_of_the_documentation_is_imported_whole() -> None:
    """An endpoint is a direct model with the price of its unit, of no provider so that any event finds it."""
    assert imported(DOCUMENT) == Imported(
        Sheet(
            id="fal",
            version="2026-11-01",
            effective_from=OPTIONS.effective_from,
            currency="USD",
            models=(
                Model(key="fal-ai/flux/dev", category="direct", currency="USD", units={"image": Decimal("0.025")}),
            ),
            source=Source(format="fal", sha256=sha256(DOCUMENT).hexdigest(), location="https://api.fal.ai/prices"),
        ),
        [],
        [],
    )


def test_the_format_is_told_from_the_document() -> None:
    """So that `sheets diff` and `sheets estimate` need no option."""
    assert format_of(DOCUMENT) == "fal"
    assert read_any(DOCUMENT, format_of(DOCUMENT), OPTIONS) == imported(DOCUMENT)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("image", "image"),
        ("images", "image"),
        ("Megapixels", "megapixel"),
        ("second", "second"),
        ("seconds", "second"),
        ("compute seconds", "compute_second"),
        ("processed  megapixels", "processed_megapixel"),
        ("videos", "video"),
        ("1000 characters", "1000_characters"),
        ("1m tokens", "1m_tokens"),
        ("units", "unit"),
        ("credits", "credits"),
        ("s", "s"),
        ("İmages", "İmages"),
        ("İ" * 128, "İ" * 128),
    ],
)
def test_a_unit_is_fal_s_own_in_one_spelling(theirs: str, ours: str) -> None:
    """A second of computing stays another unit than one of video, and 1,000 characters are not one."""
    assert prices(of(entry(unit=theirs))) == {"a/b": {ours: Decimal("0.025")}}


@given(st.decimals(0, "999999999999", places=24, allow_nan=False), st.booleans())
def test_every_price_is_read_as_written(price: Decimal, exponent: bool) -> None:
    """Also where a float would have to round, and in JSON's notation with an exponent."""
    text = f"{price:E}" if exponent else f"{price:f}"
    assert prices(imported(DOCUMENT.replace(b"0.025", text.encode()))) == {"fal-ai/flux/dev": {"image": price}}


@pytest.mark.parametrize(
    ("given", "skipped"),
    [
        (entry(unit_price=None), ("a/b", "unit_price is null")),
        (entry(unit_price=..., unit=None), ("a/b", "unit_price is missing")),
    ],
)
def test_a_price_that_is_not_there_is_never_zero(given: dict[str, object], skipped: tuple[str, str]) -> None:
    """The endpoint is listed with the reason, the others are imported."""
    found = of(given, entry(endpoint_id="c"))
    assert prices(found) == {"c": {"image": Decimal("0.025")}}
    assert found.skipped == [skipped]


@pytest.mark.parametrize(
    ("entries", "problem"),
    [((), "document: has no models"), ((entry(unit_price=None),), "document: no model has a price")],
)
def test_an_answer_that_comes_to_no_model_is_refused(entries: tuple[dict[str, object], ...], problem: str) -> None:
    """A sheet of it would leave every endpoint without a price."""
    found = of(*entries)
    assert (found.sheet, found.problems) == (None, [problem])


def test_a_price_of_zero_is_free() -> None:
    """The API says so itself, which is another thing than to say nothing."""
    found = of(entry(unit_price=0))
    assert prices(found) == {"a/b": {"image": Decimal(0)}}
    assert found.skipped == []


def test_prices_may_be_in_other_currencies() -> None:
    """Each has its own."""
    found = of(entry(currency="EUR"))
    assert found.sheet is not None
    assert found.sheet.models == (
        Model(key="a/b", category="direct", currency="EUR", units={"image": Decimal("0.025")}),
    )


def test_endpoints_without_an_answer_are_listed() -> None:
    """What was asked for is in the document that the fetcher makes of all pages."""
    found = of(entry(), entry(endpoint_id="n", unit_price=None), asked=["a/b", "n", "x/y"])
    assert prices(found) == {"a/b": {"image": Decimal("0.025")}}
    assert found.skipped == [("n", "unit_price is null"), ("x/y", "asked for, and not in the answer")]
    assert found.warnings == []


ONE_PAGE = "document: is one page of several, the endpoints of the others are not in it"


@pytest.mark.parametrize(
    ("entries", "fields", "warning"),
    [
        ([entry()], {"has_more": True}, ONE_PAGE),
        ([entry()], {"next_cursor": "Mg"}, ONE_PAGE),
        ([entry()], {"note": ""}, "note: unknown field, not read"),
        ([entry(tier=1)], {}, "prices[0].tier: unknown field, not read"),
        ([entry(), entry()], {}, 'prices[1]: "a/b" appears twice, with the same price'),
        ([entry(), entry(unit="Images")], {}, 'prices[1]: "a/b" appears twice, with the same price'),
    ],
)
def test_what_is_doubtful_is_warned_of(entries: list[object], fields: dict[str, Any], warning: str) -> None:
    """A warning keeps nothing from being imported."""
    found = of(*entries, **fields)
    assert (found.problems, found.warnings) == ([], [warning])
    assert found.sheet is not None


@pytest.mark.parametrize(
    ("entries", "problem"),
    [
        ([entry(unit_price="0.025")], 'prices[0].unit_price: must be a number, found "0.025"'),
        ([entry(unit_price=True)], "prices[0].unit_price: must be a number, found true"),
        ([entry(unit_price=-1)], "prices[0].unit_price: must not be negative, found -1"),
        ([entry(unit_price=10**12)], f"prices[0].unit_price: {10**12} has more than 12 digits before the point"),
        ([entry(unit=None)], "prices[0].unit: must be a string, found null"),
        ([entry(unit="")], 'prices[0].unit: must be 1 to 256 bytes, found ""'),
        ([entry(unit=...)], "prices[0].unit: is missing"),
        ([entry(currency="usd")], 'prices[0].currency: must be [A-Z]{3}, found "usd"'),
        ([entry(currency=None)], "prices[0].currency: must be a string, found null"),
        ([entry(endpoint_id=7)], "prices[0].endpoint_id: must be a string, found 7"),
        ([7], "prices[0]: must be an object, found 7"),
        ([entry(), entry(unit_price=1)], 'prices[1]: "a/b" costs 1 USD per image here, 0.025 USD per image before'),
        ([entry(), entry(unit="second")],
         'prices[1]: "a/b" costs 0.025 USD per second here, 0.025 USD per image before'),
    ],
)  # fmt: skip
def test_a_problem_is_said_with_path_and_value(entries: list[object], problem: str) -> None:
    """One row for each rule; a document with one problem gives no sheet."""
    found = of(*entries)
    assert found.problems == [problem]
    assert found.sheet is None


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (b"", "document: not JSON: Expecting value: line 1 column 1 (char 0)"),
        (b"[]", "document: must be an object, found []"),
        (b"{}", "prices: is missing"),
        (b'{"prices": null}', "prices: must be an array, found null"),
        (b'{"prices": [], "asked": [1]}', 'asked: must be an array of strings, found ["1"]'),
        (b'{"prices": [NaN]}', "document: not JSON: NaN is not a JSON number"),
        (
            b'{"error": {"type": "authorization_error", "message": "Authentication required"}}',
            'document: has no prices but the API\'s refusal: "Authentication required"',
        ),
    ],
)
def test_what_is_no_answer_of_the_api_is_one_problem(value: bytes, problem: str) -> None:
    """Whatever the bytes are, there is a reason and no exception."""
    assert imported(value) == Imported(None, [problem], [])


ENTRIES = st.lists(
    st.fixed_dictionaries(
        {
            "endpoint_id": st.sampled_from(["a", "b/c", "", None]),
            "unit_price": st.decimals(0, 1, places=3).map(float) | st.none() | st.just("1"),
            "unit": st.sampled_from(["image", "Images", "1000 characters", " ", "İ" * 128, None]) | st.text(max_size=4),
            "currency": st.sampled_from(["USD", "EUR", "usd"]),
        }
    ),
    max_size=3,
)


@given(ENTRIES)
def test_a_second_import_gives_the_same_bytes(entries: list[object]) -> None:
    """The sheet depends on the document and the options alone; there is one, or a problem, and never both."""
    document = json.dumps({"prices": entries}).encode()
    one, other = imported(document), imported(document)
    assert one == other
    assert (one.sheet is None) == bool(one.problems)
    if one.sheet is not None and other.sheet is not None:
        assert sheet_bytes(one.sheet) == sheet_bytes(other.sheet)
        assert parse_sheet(sheet_bytes(one.sheet)) == one.sheet


def test_the_order_of_the_answer_does_not_matter() -> None:
    """The API promises none."""
    entries = [entry(endpoint_id=id_) for id_ in ("b", "a", "c")]
    one, other = of(*entries).sheet, of(*reversed(entries)).sheet
    assert one is not None
    assert other is not None
    assert one.models == other.models


@given(st.binary(max_size=60))
def test_any_bytes_give_a_sheet_or_problems(value: bytes) -> None:
    """Never an exception."""
    found = imported(value)
    assert (found.sheet is None) == bool(found.problems)
