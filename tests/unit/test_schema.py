"""Schemas: the contract's examples fit them, and they name every topic."""

import json
import re
from typing import Any

import msgspec

from pricing.errors import Rejected, Unpriced
from pricing.events import USAGE_TYPES
from streams.schema import DIALECT, priced_event, schemas, total, usage_event
from streams.topics import Topics


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


def _defaults(struct: Any) -> dict[str, object]:
    """Each field of a msgspec struct with its default, None where it has none."""
    fields, defaults = struct.__struct_fields__, struct.__struct_defaults__
    return {
        field: None if default is msgspec.NODEFAULT else default
        for field, default in zip(
            fields, (msgspec.NODEFAULT,) * (len(fields) - len(defaults)) + tuple(defaults), strict=True
        )
    }
