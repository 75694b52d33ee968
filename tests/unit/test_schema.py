"""Schemas: they name every topic, and that of usage events says of an event what the worker says of it."""

import json
import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing.errors import InvalidUsage, Rejected, Unpriced
from pricing.events import USAGE_TYPES
from pricing.reading import read_event
from streams.schema import DIALECT, priced_event, schemas, total, usage_event
from streams.topics import Topics
from tests.usage import usage
from tests.usage_samples import Literal, dumps


def test_every_topic_that_others_read_or_write_has_a_schema() -> None:
    """All but the worker's own state, under the names with prefix."""
    topics = Topics("p.")
    found = schemas(topics)
    assert set(found) == set(topics.configs()) - {topics.state}
    assert {schema["$schema"] for schema in found.values()} == {DIALECT}


def test_usage_schemas_have_exactly_the_fields_that_are_read() -> None:
    """Of each type the fields of the struct that decodes it, and which of them are required."""
    for schema, (name, struct) in zip(usage_event()["oneOf"], USAGE_TYPES.items(), strict=True):
        data = schema["properties"]["data"]
        required = {field for field, default in _defaults(struct).items() if default is None}
        assert schema["properties"]["type"] == {"const": name}
        assert set(data["properties"]) == set(struct.__struct_fields__)
        assert set(data["required"]) == required
        assert data["additionalProperties"] is False


def test_reasons_are_the_enumerations() -> None:
    """A reason that is added is in the schema."""
    topics = Topics()
    found = schemas(topics)
    parked = found[topics.parked]["headers"]["anyOf"][0]["properties"]["stream-pricing-reason"]["enum"]
    rejected = found[topics.rejected]["headers"]["properties"]["stream-pricing-reason"]["enum"]
    assert (set(parked), set(rejected)) == (set(Unpriced), set(Rejected))


def test_what_we_write_may_gain_fields() -> None:
    """Fields may be added within v1, so readers that validate have to allow them."""
    assert "additionalProperties" not in priced_event()["properties"]["data"]
    assert "additionalProperties" not in total()


def test_patterns_are_those_of_json_schema() -> None:
    """`\\z`, which pydantic's engine knows, is none of them."""
    assert r"\\z" not in json.dumps(schemas(Topics()))


def test_decimals_are_plain() -> None:
    """No exponent, no plus sign, no trailing zeros."""
    pattern = total()["properties"]["synapses"]["pattern"]
    assert [text for text in ("0", "-1.5", "0.00000000012", "100") if not re.search(pattern, text)] == []
    assert [text for text in ("1e3", "+1", "1.50", "1.", "01", ".5", "") if re.search(pattern, text)] == []


# --- what the schema of usage events says, beside what the worker does

USAGE = usage_event()
MODEL = usage("acme ftg-3.0-pro in=1000")
TERMINAL = usage("acme terminal egress_bytes=1")
QUANTITIES: dict[str, Callable[[Any], dict[str, Any]]] = {
    "seconds": lambda value: with_data(MODEL, seconds=value),
    "cost": lambda value: with_data(MODEL, provider_cost={"amount": value, "currency": "USD"}),
    "cpu": lambda value: with_data(usage("acme code cpu=1 mb=1 wall=1"), cpu_seconds=value),
    "dimension": lambda value: with_data(TERMINAL, dimensions={"a": value}),
    "unit": lambda value: with_data(usage("acme units:video second=1"), units={"a": value}),
}
TEXTS: dict[str, Callable[[Any], dict[str, Any]]] = {
    "id": lambda value: MODEL | {"id": value},
    "source": lambda value: MODEL | {"source": value},
    "subject": lambda value: MODEL | {"subject": value},
    "model": lambda value: with_data(MODEL, model=value),
    "user": lambda value: with_data(MODEL, user=value),
    "kind": lambda value: with_data(MODEL, tokens={value: 1}),
    "dimension": lambda value: with_data(TERMINAL, dimensions={value: 1}),
    "label": lambda value: with_data(MODEL, labels={"team": value}),
    "name of a label": lambda value: with_data(MODEL, labels={value: "core"}),
}
QUANTITY_ROWS: list[tuple[Any, bool]] = [
    *((text, True) for text in ("0", "0.0", "1.50", "999999999999999.999999999999999999", "0.000000000000000001")),
    *((text, True) for text in ("1000000000000000", "1000000000000000.0", "1000000000000000.000000000000000000")),
    *((text, False) for text in ("1000000000000000.1", "1000000000000001", "9999999999999999", "10000000000000000")),
    *(
        (text, False)
        for text in ("0.0000000000000000001", "0.0000000000000000000", "1000000000000000.0000000000000000000")
    ),
    *((text, False) for text in ("", "-0", "-0.0", "-1", "+1", "1e3", "01", ".5", "5.", " 1", "1 ", "1\n", "NaN", "٣")),
    *((Literal(text), True) for text in ("0", "-0", "5.5", "1e15", "1000000000000000", "0.000000000000000001")),
    *((Literal(text), False) for text in ("-1", "-0.5", "1000000000000001", "1e16")),
    *((value, False) for value in (None, True, [], {})),
]
TIME_ROWS = [
    *((text, True) for text in ("2026-11-22T10:00:00Z", "2026-11-22t10:00:00.123z", "2026-11-22T10:00:00.5-23:59")),
    *((text, True) for text in ("1969-12-31T23:59:59Z", "9999-12-31T23:59:59.999999999Z", "2024-02-29T00:00:00+00:00")),
    *((text, False) for text in ("yesterday", "", "2026-11-22", "2026-11-22T10:00:00", "2026-11-22 10:00:00Z")),
    *((text, False) for text in ("2026-11-22T24:00:00Z", "2026-11-22T10:60:00Z", "2026-12-31T23:59:60Z")),
    *((text, False) for text in ("2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z", "2026-01-32T00:00:00Z")),
    *((text, False) for text in ("2026-01-00T00:00:00Z", "2026-11-22T10:00:00+24:00", "2026-11-22T10:00:00.Z")),
    *((text, False) for text in ("2026-11-22T10:00:00Z\n", "٢026-11-22T10:00:00Z", "+2026-11-22T10:00:00Z")),
    (f"2026-11-22T10:00:00.{'0' * 235}Z", True),
    (f"2026-11-22T10:00:00.{'0' * 236}Z", False),
]  # fmt: skip


def with_data(made: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """The event with other fields."""
    return {**made, "data": {**made["data"], **fields}}


def worker_reads(made: dict[str, Any]) -> bool:
    """Whether the worker finds the event well."""
    try:
        read_event(dumps(made).encode(), ())
    except InvalidUsage:
        return False
    return True


def schema_allows(made: dict[str, Any]) -> bool:
    """Whether the schema of raw records does."""
    return allows(USAGE, json.loads(dumps(made), parse_float=Fraction))


@pytest.mark.parametrize("place", QUANTITIES)
@pytest.mark.parametrize(("value", "fits"), QUANTITY_ROWS)
def test_the_schema_allows_the_quantities_that_are_read(place: str, value: Any, fits: bool) -> None:
    """Beyond it are only the digits after the point of JSON numbers."""
    made = QUANTITIES[place](value)
    assert (schema_allows(made), worker_reads(made)) == (fits, fits)


@pytest.mark.parametrize(("text", "fits"), TIME_ROWS)
def test_the_schema_allows_the_times_that_are_read(text: str, fits: bool) -> None:
    """Also without `format`, which validators may ignore; beyond it is how many days a month has."""
    made = MODEL | {"time": text}
    assert (schema_allows(made), worker_reads(made)) == (fits, fits)


@given(
    st.sampled_from(sorted(QUANTITIES)),
    st.one_of(
        st.from_regex(r"-?[0-9]{1,17}(\.[0-9]{0,20})?\n?", fullmatch=True),
        st.decimals(0, 10**15, places=18).map(lambda value: f"{value:f}"),
        st.text("0159.-+eE \n", max_size=8),
    ),
)
def test_schema_and_worker_agree_on_decimal_strings(place: str, text: str) -> None:
    """Whatever is in them."""
    made = QUANTITIES[place](text)
    assert schema_allows(made) == worker_reads(made)


@given(
    st.sampled_from(sorted(TEXTS)),
    st.one_of(
        st.text(st.characters(codec="utf-8"), max_size=8),
        st.text(st.characters(max_codepoint=0xA0), max_size=8),
        st.integers(127, 258).map("x".__mul__),
    ),
)
def test_schema_and_worker_agree_on_text(place: str, text: str) -> None:
    """On control characters and lengths; beyond the schema are only bytes that are more than characters."""
    made = TEXTS[place](text)
    assert schema_allows(made) == worker_reads(made)


@pytest.mark.parametrize(("subject", "fits"), [(None, True), (7, False), (True, False), ({}, False), (["a"], False)])
def test_a_subject_is_text_or_null(subject: Any, fits: bool) -> None:
    """CloudEvents' JSON format has null for what is unset."""
    made = MODEL | {"subject": subject}
    assert (schema_allows(made), worker_reads(made)) == (fits, fits)


def allows(schema: Any, value: Any) -> bool:
    """What a validator would say; a keyword that is not here is a KeyError. Numbers are int or Fraction."""
    if isinstance(schema, bool):
        return schema
    return all(KEYWORDS[name](limit, value, schema) for name, limit in schema.items())


def _is_type(name: str, value: Any) -> bool:
    kinds = {"string": str, "object": dict, "array": list, "boolean": bool, "null": type(None)}
    if name in kinds:
        return isinstance(value, kinds[name])
    is_number = isinstance(value, int | Fraction) and not isinstance(value, bool)
    return is_number and (name == "number" or value.denominator == 1)


def _matches(pattern: str, text: str) -> bool:
    # In ECMA's dialect, which JSON Schema's is, `$` is the end and nothing before it.
    return re.search(re.sub(r"\$$", r"\\Z", pattern), text) is not None


def _properties(known: dict[str, Any], value: dict[str, Any]) -> bool:
    return all(allows(known[name], inner) for name, inner in value.items() if name in known)


def _additional(inner_schema: Any, value: dict[str, Any], schema: dict[str, Any]) -> bool:
    known = schema.get("properties", {})
    return all(allows(inner_schema, inner) for name, inner in value.items() if name not in known)


def _of(kind: Any, check: Callable[[Any, Any], bool]) -> Callable[[Any, Any, Any], bool]:
    """A keyword that says nothing of other types than its own."""
    return lambda limit, value, _: isinstance(value, bool) or not isinstance(value, kind) or check(limit, value)


KEYWORDS: dict[str, Callable[[Any, Any, Any], bool]] = {
    "title": lambda *_: True,
    "default": lambda *_: True,
    "format": lambda *_: True,
    "type": lambda name, value, _: _is_type(name, value),
    "const": lambda wanted, value, _: value == wanted,
    "enum": lambda wanted, value, _: value in wanted,
    "not": lambda inner, value, _: not allows(inner, value),
    "anyOf": lambda inner, value, _: any(allows(each, value) for each in inner),
    "oneOf": lambda inner, value, _: sum(allows(each, value) for each in inner) == 1,
    "minimum": _of(int | Fraction, lambda limit, value: value >= limit),
    "maximum": _of(int | Fraction, lambda limit, value: value <= limit),
    "minLength": _of(str, lambda limit, value: len(value) >= limit),
    "maxLength": _of(str, lambda limit, value: len(value) <= limit),
    "pattern": _of(str, _matches),
    "minProperties": _of(dict, lambda limit, value: len(value) >= limit),
    "maxProperties": _of(dict, lambda limit, value: len(value) <= limit),
    "required": _of(dict, lambda names, value: set(names) <= set(value)),
    "properties": _of(dict, _properties),
    "propertyNames": _of(dict, lambda inner, value: all(allows(inner, name) for name in value)),
    "additionalProperties": lambda inner, value, schema: (
        not isinstance(value, dict) or _additional(inner, value, schema)
    ),
}


def _defaults(struct: Any) -> dict[str, object]:
    """Each field of a msgspec struct with its default, None where it has none."""
    fields, defaults = struct.__struct_fields__, struct.__struct_defaults__
    return {
        field: None if default is msgspec.NODEFAULT else default
        for field, default in zip(
            fields, (msgspec.NODEFAULT,) * (len(fields) - len(defaults)) + tuple(defaults), strict=True
        )
    }
