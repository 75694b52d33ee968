"""JSON Schemas (draft 2020-12) of every record on the topics, for producers, billing systems and their tests.

Events, priced events and totals are written out from the contract as data; books and accounts are those of
the models that read them. A schema says what a single value can: sums and identities are beyond it, and so are bytes
that are more than characters, digits of a JSON number and the days of a month. What we write may gain fields within
v1, so those schemas allow unknown ones; usage events do not.
"""

from typing import Any

from pydantic import BaseModel

from pricing.accounts import NAME_PATTERN, Account
from pricing.book_records import Publication
from pricing.errors import Rejected, Unpriced
from pricing.surface_table import SURFACES
from streams.topics import Topics

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_NAME: Schema = {"type": "string", "pattern": f"^{NAME_PATTERN}$"}
# As `not`: a pattern of what is allowed ends in `$`, which validators in Python match before a last line feed.
_PRINTABLE: Schema = {"not": {"pattern": r"[\x00-\x1f\x7f-\x9f]"}}
_TEXT: Schema = {"type": "string", "minLength": 1, "maxLength": 256, **_PRINTABLE}
_LABEL: Schema = {"type": "string", "minLength": 1, "maxLength": 128, **_PRINTABLE}
_COUNT: Schema = {"type": "integer", "minimum": 0, "maximum": 10**15}
# `format` is a comment to most validators, and allows leap seconds.
_TIME: Schema = {
    "type": "string",
    "format": "date-time",
    "maxLength": 256,
    "pattern": r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])[Tt]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
    r"(\.[0-9]+)?([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$",
}
_UTC: Schema = {"type": "string", "format": "date-time", "pattern": "Z$"}
_CURRENCY: Schema = {"type": "string", "pattern": "^[A-Z]{3}$"}
_QUANTITY: Schema = {
    "anyOf": [
        {"type": "number", "minimum": 0, "maximum": 10**15},
        {"type": "string", "pattern": r"^((0|[1-9][0-9]{0,14})(\.[0-9]{1,18})?|10{15}(\.0{1,18})?)$"},
    ]
}
_DECIMAL: Schema = {"type": "string", "pattern": r"^-?(0|[1-9][0-9]*)(\.[0-9]*[1-9])?$"}
_TALLY: Schema = {"type": "integer", "minimum": 0}


def _map(values: Schema, **limits: object) -> Schema:
    return {"type": "object", "additionalProperties": values, **limits}


def _object(required: Schema, optional: Schema | None = None, *, closed: bool = False) -> Schema:
    schema: Schema = {
        "type": "object",
        "properties": {**required, **(optional or {})},
        "required": list(required),
    }
    return {**schema, "additionalProperties": False} if closed else schema


_AMOUNTS = {"type": "object", "propertyNames": _CURRENCY, "additionalProperties": _DECIMAL}
_CONVERTED = _map(
    _object({"list": _DECIMAL, "net": _DECIMAL, "due": _DECIMAL}, {"cost": _DECIMAL, "margin": _DECIMAL}),
    propertyNames=_CURRENCY,
)

_WHO: Schema = {"organization": _NAME, "project": _NAME}
_AROUND: Schema = {
    "provider": _TEXT,
    "region": _TEXT,
    "user": _TEXT,
    "api_key_id": _TEXT,
    "service_tier": _TEXT,
    "labels": _map(_LABEL, propertyNames=_LABEL, maxProperties=16),
    "not_billable_because": _TEXT,
}
_COST = _object({"amount": _QUANTITY, "currency": _CURRENCY}, closed=True)
_MODEL: Schema = {"model": _TEXT, "priority": _TEXT}

# Of each type the required fields and the optional ones; `tokens` or `seconds` is asked for below.
_USAGE: dict[str, tuple[Schema, Schema]] = {
    "ai.usage.model.v1": (
        {"model": _TEXT},
        {
            "priority": _TEXT,
            "tokens": _map(_COUNT, propertyNames=_TEXT, minProperties=1),
            "seconds": _QUANTITY,
        },
    ),
    "ai.usage.image.v1": ({"operation": _TEXT}, {"count": _COUNT, **_MODEL}),
    "ai.usage.code_execution.v1": (
        {"cpu_seconds": _QUANTITY, "memory_mb": _QUANTITY, "wall_seconds": _QUANTITY},
        {},
    ),
    "ai.usage.connector_tool.v1": ({"connector": _TEXT, "tool": _TEXT}, {"executions": _COUNT}),
    "ai.usage.terminal.v1": ({"dimensions": _map(_QUANTITY, propertyNames=_TEXT, minProperties=1)}, {}),
    "ai.usage.units.v1": ({"endpoint": _TEXT, "units": _map(_QUANTITY, propertyNames=_TEXT, minProperties=1)}, {}),
    "ai.usage.response.v1": ({"surface": {"enum": list(SURFACES)}, "response": {"type": "object"}}, {"model": _TEXT}),
}


def schemas(topics: Topics) -> dict[str, Schema]:
    """The schema of the records' values by topic; of parked and rejected records also that of our headers."""
    usage = usage_event()
    parked, rejected = _kept("parked", list(Unpriced)), _kept("rejected", list(Rejected))
    by_topic = {
        topics.raw: usage,
        topics.rekeyed: usage,
        topics.books: _of_model(Publication),
        topics.accounts: _of_model(Account),
        topics.priced: priced_event(),
        topics.totals: total(),
        topics.parked: parked,
        topics.rejected: rejected,
    }
    return {topic: {"$schema": DIALECT, **schema} for topic, schema in by_topic.items()}


def _of_model(model: type[BaseModel]) -> Schema:
    """The model's schema with patterns that JSON Schema knows: `$` there is the end that `\\z` is here."""
    return _portable(model.model_json_schema(by_alias=True))  # type: ignore[no-any-return]


def _portable(part: Any) -> Any:
    if isinstance(part, dict):
        return {
            name: value.replace(r"\z", "$") if name == "pattern" and isinstance(value, str) else _portable(value)
            for name, value in part.items()
        }
    return [_portable(each) for each in part] if isinstance(part, list) else part


def usage_event() -> Schema:
    """A usage event in structured mode; in binary mode the value is its `data`."""
    return {"title": "Usage event", "oneOf": [_usage_of(name) for name in _USAGE]}


def _usage_of(name: str) -> Schema:
    required, optional = _USAGE[name]
    around = {**_AROUND, "provider_cost": _COST, "billable": {"type": "boolean", "default": True}}
    data = _object({**_WHO, **required}, {**around, **optional}, closed=True)
    if name == "ai.usage.model.v1":
        data["anyOf"] = [{"required": ["tokens"]}, {"required": ["seconds"]}]
    envelope: Schema = {
        "specversion": {"const": "1.0"},
        "id": _TEXT,
        "source": _TEXT,
        "type": {"const": name},
        "time": _TIME,
        "data": data,
    }
    return _object(envelope, {"subject": {"anyOf": [_TEXT, {"type": "null"}]}})


def priced_event() -> Schema:
    """Section 4 of the contract."""
    envelope: Schema = {
        "specversion": {"const": "1.0"},
        "id": {"type": "string", "pattern": "^[0-9a-f]{32}-[0-9]+$"},
        "source": {"type": "string", "pattern": "^/stream-pricing/"},
        "type": {"const": "ai.usage.priced.v1"},
        "time": _UTC,
        "subject": _NAME,
        "data": _priced_data(),
    }
    return {"title": "Priced event", **_object(envelope)}


def _priced_data() -> Schema:
    tier = _object({"id": {"type": "string"}, "discount_percentage": _DECIMAL})
    required: Schema = {
        "event": _object({"source": _TEXT, "id": _TEXT, "type": {"enum": list(_USAGE)}}),
        **_WHO,
        "item": {"type": "string"},
        "sheet": _object({"id": {"type": "string"}, "version": {"type": "string"}}),
        "tier": {"anyOf": [{"type": "null"}, tier]},
        "lines": {"type": "array", "items": _line()},
        "adjustments": {"type": "array", "items": _adjustment()},
        "synapses": _DECIMAL,
        "neurons": _DECIMAL,
        "list": _AMOUNTS,
        "net": _AMOUNTS,
        "due": _AMOUNTS,
        "converted": _CONVERTED,
        "fx": {
            "type": "array",
            "items": _object({"pair": {"type": "string"}, "rate": _DECIMAL, "from": _UTC}),
        },
        "billable": {"type": "boolean"},
        "revision": _TALLY,
        "origin": _object({"topic": {"type": "string"}, "partition": _TALLY, "offset": _TALLY}),
        "priced_at": _UTC,
    }
    optional: Schema = {
        **_AROUND,
        **_MODEL,
        "model_given": _TEXT,
        "operation": _TEXT,
        "connector": _TEXT,
        "tool": _TEXT,
        "surface": _TEXT,
        "endpoint": _TEXT,
        "provider_cost": _object({"amount": _DECIMAL, "currency": _CURRENCY}),
        "cost": _AMOUNTS,
        "margin": _AMOUNTS,
        "cost_sheet": _object({"id": {"type": "string"}, "version": {"type": "string"}}),
        "parked": _object({"reason": {"enum": list(Unpriced)}, "since": _UTC}),
    }
    return _object(required, optional)


def _line() -> Schema:
    required: Schema = {
        "meter": {"type": "string"},
        "quantity": _DECIMAL,
        "unit": {"type": "string"},
        "price": _DECIMAL,
        "per": _DECIMAL,
        "currency": _CURRENCY,
        "list": _DECIMAL,
        "net": _DECIMAL,
        "due": _DECIMAL,
    }
    optional: Schema = {
        "consumed": _DECIMAL,
        "consumed_unit": {"enum": ["synapse", "neuron"]},
        "cost": _DECIMAL,
        "cost_currency": _CURRENCY,
    }
    return _object(required, optional)


def _adjustment() -> Schema:
    return _object(
        {
            "kind": {"type": "string"},
            "meter": {"type": "string"},
            "currency": _CURRENCY,
            "amount": _DECIMAL,
        }
    )


def total() -> Schema:
    """Section 5 of the contract; a tombstone has no value."""
    required: Schema = {
        **_WHO,
        "window": {"enum": ["hour", "day", "month"]},
        "start": _UTC,
        "end": _UTC,
        "events": _TALLY,
        "not_billable_events": _TALLY,
        "tokens": _DECIMAL,
        "synapses": _DECIMAL,
        "neurons": _DECIMAL,
        "quantities": _map(_DECIMAL),
        "list": _AMOUNTS,
        "net": _AMOUNTS,
        "due": _AMOUNTS,
        "converted": _CONVERTED,
        "provider_cost": _AMOUNTS,
        "revision": {"type": "integer", "minimum": 1},
        "as_of": _UTC,
    }
    optional: Schema = {
        "item": {"type": "string"},
        "events_without_cost": _TALLY,
        "cost": _AMOUNTS,
        "margin": _AMOUNTS,
    }
    return {"title": "Total", **_object(required, optional)}


def _kept(outcome: str, reasons: list[Any]) -> Schema:
    """The headers of a parked or rejected record; its value is the original, whatever that was."""
    text: Schema = {"type": "string"}
    names = {"reason": {"enum": reasons}, "detail": text, "topic": text}
    numbers = ("partition", "offset", "length", "headers-left-out")
    digits: Schema = {"type": "string", "pattern": "^[0-9]+$"}
    required = {**names, "partition": digits, "offset": digits, "at": _UTC}
    optional: Schema = {**{name: digits for name in numbers if name not in required}, "sha256": text}
    if outcome == "parked":
        optional |= {"key": text, "released": digits}
    headers = _object(
        {f"stream-pricing-{name}": schema for name, schema in required.items()},
        {f"stream-pricing-{name}": schema for name, schema in optional.items()},
    )
    if outcome == "parked":
        headers = {"anyOf": [headers, _object({"stream-pricing-released": digits})]}
    return {
        "title": f"Record {outcome}: the original value, and these headers",
        "$comment": "`headers` describes the record's headers as an object of strings.",
        "headers": headers,
    }
