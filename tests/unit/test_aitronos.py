"""The importer of the Aitronos price sheet: exact, complete, and with every problem."""

import json
from decimal import Decimal
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing.importers import IMPORTERS, OWN_FORMAT, Imported, ImportOptions, format_of, read_any
from pricing.sheets import (
    CodeExecution,
    ConnectorTools,
    Model,
    Sheet,
    Source,
    Tier,
    UnitPrice,
    parse_sheet,
    sheet_bytes,
)
from pricing.times import parse_time

DOCUMENT = (Path(__file__).parent.parent / "data" / "aitronos.json").read_bytes()
OPTIONS = ImportOptions("aitronos", "2026-11-01", parse_time("2026-11-01T00:00:00Z"), Decimal("0.5"), "aitronos.json")
SAMPLES = Path(__file__).parent.parent.parent / "deploy" / "samples"


def imported(value: bytes = DOCUMENT, options: ImportOptions = OPTIONS) -> Imported:
    return IMPORTERS["aitronos"](value, options)


def changed(*changes: tuple[str, str]) -> Imported:
    """The import of the example with some of its text replaced."""
    text = DOCUMENT.decode()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return imported(text.encode())


def test_the_example_of_the_documentation_is_imported_whole() -> None:
    """Every number of every section, and nothing else."""
    assert imported() == Imported(
        Sheet(
            id="aitronos",
            version="2026-11-01",
            effective_from=OPTIONS.effective_from,
            base_multiplier=Decimal(2),
            neuron_price=Decimal(8),
            currency="CHF",
            priorities={"low": Decimal("0.8"), "default": Decimal(1), "high": Decimal(2)},
            models=(
                Model(
                    key="ftg-3.0-pro",
                    id="mdl_ftg30pro",
                    name="FTG 3.0 Pro",
                    category="synapse",
                    currency="CHF",
                    prices={
                        "input": Decimal("13.2"),
                        "output": Decimal(66),
                        "cache_read": Decimal("1.32"),
                        "cache_creation": Decimal("16.5"),
                    },
                    synapses_per_second=Decimal(1),
                ),
            ),
            image_operations={"generate": Decimal(100000), "remove-background": Decimal(50000)},
            image_price=Decimal("0.5"),
            code_execution=CodeExecution(
                base=Decimal(3),
                cpu_per_second=Decimal(1),
                memory_per_mb_second=Decimal("0.01"),
                cpu_free_seconds=Decimal(2),
                memory_free_mb=Decimal(256),
                neuron_price=Decimal(8),
            ),
            connector_tools=ConnectorTools(multiplier=Decimal(8), neuron_price=Decimal(8)),
            terminal={
                "cpu_seconds": UnitPrice(price=Decimal("0.00005"), currency="USD", unit="CPU-second"),
                "ram_gb_seconds": UnitPrice(price=Decimal("0.000007"), currency="USD", unit="RAM-GB-second"),
                "storage_gb_days": UnitPrice(price=Decimal("0.1"), currency="USD", unit="storage GB-day"),
                "egress_bytes": UnitPrice(price=Decimal("0.00000000012"), currency="USD", unit="egress byte"),
            },
            tiers={"tier_standard": Tier(id="tier_standard", name="Standard", discount_percentage=Decimal(10))},
            source=Source(format="aitronos", sha256=sha256(DOCUMENT).hexdigest(), location="aitronos.json"),
        ),
        [],
        [],
    )


def test_a_second_import_gives_the_same_bytes() -> None:
    """The sheet depends on the document and the options alone."""
    one, other = imported().sheet, imported().sheet
    assert one is not None
    assert other is not None
    assert sheet_bytes(one) == sheet_bytes(other)
    assert parse_sheet(sheet_bytes(one)) == one


@given(st.decimals(0, "999999999999", places=24, allow_nan=False), st.booleans())
def test_every_number_is_read_as_written(price: Decimal, exponent: bool) -> None:
    """Also where a float would have to round, and in JSON's notation with an exponent."""
    text = f"{price:E}" if exponent else f"{price:f}"
    sheet = changed(("13.2", text)).sheet
    assert sheet is not None
    assert sheet.models[0].prices["input"] == price


INPUT = "models[0].pricing.input_price_per_1m_synapses"


@pytest.mark.parametrize(
    ("number", "problem"),
    [
        ('"13.2"', f'{INPUT}: must be a number, found "13.2"'),
        ("true", f"{INPUT}: must be a number, found true"),
        ("-13.2", f"{INPUT}: must not be negative, found -13.2"),
        ("1e1000000", f"{INPUT}: '1e1000000' has an exponent of over three digits"),
        ("1e999", f"{INPUT}: 1E+999 has more than 12 digits before the point"),
        ("1e-25", f"{INPUT}: 1E-25 has more than 24 digits after the point"),
        ("1" * 13, f"{INPUT}: {'1' * 13} has more than 12 digits before the point"),
        ('1, "input_price_per_1m_synapses": 1', f"{INPUT}: the key appears twice"),
        ("NaN", "document: not JSON: NaN is not a JSON number"),
        ("-Infinity", "document: not JSON: -Infinity is not a JSON number"),
    ],
)
def test_what_is_no_price_is_a_problem(number: str, problem: str) -> None:
    """Whatever stands in the place of a price, it is not taken for another."""
    assert changed(("13.2", number)).problems == [problem]


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('"synapse"', '"token"', 'models[0].pricing.category: must be synapse|neuron, found "token"'),
        ('"category": "synapse",', "", "models[0].pricing.category: is missing"),
        ('"CHF"\n', '"Fr."\n', 'models[0].pricing.currency: must be [A-Z]{3}, found "Fr."'),
        ('"key": "ftg-3.0-pro"', '"key": null', "models[0].key: must be a string, found null"),
        ('"key": "ftg-3.0-pro"', '"key": ""', 'models[0].key: must be 1 to 256 bytes, found ""'),
        ('"key": "ftg-3.0-pro"', '"key": 3', "models[0].key: must be a string, found 3"),
        ('"models": [', '"models": [7, ', "models[0]: must be an object, found 7"),
        ('"remove-background"', '"generate"',
         'image_operations[1].operation: appears twice, found "generate"'),
        ('"ram_gb_seconds"', '"cpu_seconds"', 'terminal[1].dimension: appears twice, found "cpu_seconds"'),
        ('"pricing_tiers": [', '"pricing_tiers": [{"id": "tier_standard", "discount_percentage": 1}, ',
         'pricing_tiers[1].id: appears twice, found "tier_standard"'),
        ("10.0", "100.5", "pricing_tiers[0].discount_percentage: must be from 0 to 100, found 100.5"),
        ("10.0", "null", "pricing_tiers[0].discount_percentage: must be a number, found null"),
        ('"terminal"', '"terminals"', "terminal: is missing"),
        ('"conversion"', '"conversions"', "conversion: is missing"),
        ('"conversion": {', '"conversion": [], "x": {', "conversion: must be an object, found []"),
        ('{ "low": 0.8, "default": 1.0, "high": 2.0 }', "2",
         "conversion.priority_multipliers: must be an object, found 2"),
        ('"low": 0.8', '"low": 0.1234567890123',
         "conversion.priority_multipliers.low: 0.1234567890123 has more than 12 digits after the point"),
    ],
)  # fmt: skip
def test_a_problem_is_said_with_path_and_value(old: str, new: str, problem: str) -> None:
    """One row for each rule; a document with one problem gives no sheet."""
    found = changed((old, new))
    assert found.problems == [problem]
    assert found.sheet is None


def test_all_problems_are_listed_at_once() -> None:
    """From every section, also the name that two models share."""
    second = '"models": [{"key": "x", "id": "ftg-3.0-pro", "pricing": {"category": "neuron", "currency": "CHF"}}, '
    found = changed(('"models": [', second), ("66.0", "-1"), ("100000", '"many"'), ("10.0", "-5"))
    assert found.sheet is None
    assert found.problems == [
        "models[1].pricing.output_price_per_1m_synapses: must not be negative, found -1",
        "models[1]: the name 'ftg-3.0-pro' is also a name of models[0]",
        'image_operations[0].synapses: must be a number, found "many"',
        "pricing_tiers[0].discount_percentage: must be from 0 to 100, found -5",
    ]


def test_null_and_missing_prices_stay_missing() -> None:
    """Neither becomes zero."""
    sheet = changed(("13.2", "null"), ('"cache_read_price_per_1m_synapses": 1.32,', "")).sheet
    assert sheet is not None
    assert sheet.models[0].prices == {"output": Decimal(66), "cache_creation": Decimal("16.5")}


@pytest.mark.parametrize(
    ("old", "new", "warning"),
    [
        ("100000", "null", "image_operations[0].synapses: is null, what needs it has no price"),
        ('"low": 0.8', '"low": null',
         "conversion.priority_multipliers.low: is null, what needs it has no price"),
        ("0.00005", "null", "terminal[0].unit_rate_usd: is null, what needs it has no price"),
        ('"currency_note"', '"note"', "note: unknown field, not read"),
        ('"category"', '"colour": 1, "category"', "models[0].pricing.colour: unknown field, not read"),
        ('"category"', '"reasoning_price_per_1m_synapses": 1, "category"',
         "models[0].pricing.reasoning_price_per_1m_synapses: read as the price of token kind 'reasoning'"),
        ('"models": [', '"models": [{"key": "x", "pricing": null}, ',
         "models[0].pricing: is null, the model is left out"),
    ],
)  # fmt: skip
def test_what_is_left_out_or_doubtful_is_warned_of(old: str, new: str, warning: str) -> None:
    """A warning keeps nothing from being imported."""
    found = changed((old, new))
    assert found.problems == []
    assert found.warnings == [warning]
    assert found.sheet is not None


def test_the_api_s_refusal_is_told_from_a_price_sheet() -> None:
    """The body of a 401 gives one clear problem instead of seven missing sections."""
    body = {
        "success": False,
        "error": {"code": "AUTHENTICATION_REQUIRED", "message": "No key.", "status": 401},
    }
    assert imported(json.dumps(body).encode()).problems == [
        'document: is no price sheet but the API\'s refusal: "401 AUTHENTICATION_REQUIRED No key."'
    ]


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (b"", "document: not JSON: Expecting value: line 1 column 1 (char 0)"),
        (b"[]", "document: must be an object, found []"),
        (b"\xef\xbb\xbf{}", "document: starts with a byte order mark"),
        (b'{"a": "\xff"}', "document: invalid UTF-8 at byte 7"),
        (b"[" * 100_000, "document: nested over 32 levels"),
        (b" " * (16 * 1024 * 1024 + 1), "document: has 16777217 bytes, at most 16777216 are allowed"),
    ],
)
def test_what_is_no_json_object_is_one_problem(value: bytes, problem: str) -> None:
    """Whatever the bytes are, there is an answer and no exception."""
    assert imported(value) == Imported(None, [problem], [])


def test_bad_options_are_problems_too() -> None:
    """A name that the topic could not carry is refused with the document's own problems."""
    found = imported(options=ImportOptions("a/b", "1", 0))
    assert found.problems == ["id: String should match pattern '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\\z', found \"a/b\""]


_KEYS = st.sampled_from([*json.loads(DOCUMENT), "key", "pricing"])
_JSON = st.recursive(
    st.none() | st.booleans() | st.text(max_size=3) | st.integers(-3, 3),
    lambda inner: st.dictionaries(_KEYS, inner) | st.lists(inner, max_size=3),
)


@given(st.binary(max_size=60) | _JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_give_a_sheet_or_problems(value: bytes) -> None:
    """Never an exception, and never neither or both."""
    found = imported(value)
    assert (found.sheet is None) == bool(found.problems)


def test_the_format_of_a_document_is_told_from_it() -> None:
    """A sheet says from when it counts, which the API's document does not."""
    sheet = imported().sheet
    assert sheet is not None
    assert format_of(sheet_bytes(sheet)) == OWN_FORMAT
    assert format_of(DOCUMENT) == "aitronos"
    assert format_of(b'{"gpt-4o": {"litellm_provider": "openai"}}') == "litellm"
    assert format_of(b'{"gpt-4o": {"pricing_config": null}}') == "portkey"
    assert read_any(sheet_bytes(sheet), format_of(sheet_bytes(sheet)), OPTIONS).sheet == sheet
    assert read_any(DOCUMENT, format_of(DOCUMENT), OPTIONS).sheet == sheet
    assert read_any(DOCUMENT, OWN_FORMAT, OPTIONS).problems


@pytest.mark.parametrize("name", ["sheet-2026-11-01.json", "sheet-2026-12-demo.json"])
def test_the_samples_are_imported_without_a_doubt(name: str) -> None:
    """What the demo publishes has neither problems nor warnings."""
    found = imported((SAMPLES / name).read_bytes())
    assert (found.problems, found.warnings) == ([], [])
