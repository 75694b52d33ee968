"""The oracle's first half: what a raw record says, judged from the contract alone (its sections 2 and 6).

Read `oracle_responses`, `oracle_reading`, `oracle_direct`, `oracle_pricing`, `oracle`, `oracle_account`, in this order.
None of them imports `pricing` or `streams`: what the worker and the oracle agree on, they agree on for two reasons.

`judge` turns one record into an `Event`, or into `Rejected` with *every* reason that the contract allows for
it: where the contract leaves two readings, the set holds both.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from functools import lru_cache
from hashlib import blake2b
from typing import Any

from tests.oracle_responses import Contradiction, Malformed, Used, used_by

VALUE_BYTES_MAX = 64 * 1024
HEADERS_MAX = 64
NESTING_MAX = 32
COUNT_MAX = 10**15
FRACTION_DIGITS_MAX = 18
SECOND_NS = 10**9
DAY_NS = 86_400 * SECOND_NS
CALENDAR_NS = (-62_135_596_800 * SECOND_NS, 253_402_300_800 * SECOND_NS)  # 0001-01-01 and 10000-01-01 in UTC
AHEAD_NS_MAX = 5 * 60 * SECOND_NS

Origin = tuple[str, int, int]


@dataclass(frozen=True)
class Record:
    """One record as a consumer sees it, of any topic; `timestamp_ms` is the append time."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()

    @property
    def origin(self) -> Origin:
        return (self.topic, self.partition, self.offset)

    def header(self, name: str) -> bytes | None:
        """The last value of this header, None where there is none."""
        return dict(self.headers).get(name)


@dataclass(frozen=True)
class Rejected:
    """A record that is a dead letter for any one of these reasons."""

    reasons: frozenset[str]


@dataclass(frozen=True)
class Event:
    """A usage event that may be priced; quantities are Fractions, counts ints, `at_ns` is since 1970 UTC."""

    type: str
    source: str
    id: str
    at_ns: int
    data: Mapping[str, Any]
    origin: Origin

    @property
    def organization(self) -> str:
        return self.data["organization"]

    @property
    def identity(self) -> tuple[str, str, str]:
        return (self.organization, self.source, self.id)

    @property
    def fingerprint(self) -> str:
        return blake2b("\n".join(self.identity).encode(), digest_size=16).hexdigest()

    @property
    def content(self) -> Any:
        """What must be equal in a duplicate: the type, the instant and the decoded data."""
        return (self.type, self.at_ns, _frozen(self.data))

    @property
    def used(self) -> Used:
        """What a response used."""
        return _used(self.data)


class Refusal(Exception):
    """This record is rejected, for one of `reasons`."""

    def __init__(self, *reasons: str) -> None:
        super().__init__(*reasons)
        self.reasons = frozenset(reasons)


@dataclass(frozen=True)
class Number:
    """A JSON number as it was written."""

    text: str

    @property
    def absurd(self) -> bool:
        """Beyond what JSON parsers must read: they may call it a syntax error."""
        exponent = re.search(r"[eE]([+-]?[0-9]+)$", self.text)
        return len(self.text) > 300 or (exponent is not None and abs(int(exponent[1][:9])) > 300)


def judge(record: Record, too_late_days: int = 35) -> Event | Rejected:
    """The stateless verdict on a raw record: an event, or every reason for which it may be rejected."""
    try:
        return _event(record, too_late_days)
    except Refusal as refusal:
        return Rejected(refusal.reasons)


def _event(record: Record, too_late_days: int) -> Event:
    if len(record.value or b"") > VALUE_BYTES_MAX or len(record.headers) > HEADERS_MAX:
        raise Refusal("too_large")
    envelope = _envelope(record)
    _check_envelope(envelope)
    at_ns = _time(envelope.get("time"))
    data = _data(envelope["type"], envelope["data"])
    appended_ns = record.timestamp_ms * 10**6
    if at_ns > appended_ns + AHEAD_NS_MAX:
        raise Refusal("from_the_future")
    if at_ns < appended_ns - too_late_days * DAY_NS:
        raise Refusal("too_late")
    return Event(envelope["type"], envelope["source"], envelope["id"], at_ns, data, record.origin)


# --- JSON, strictly


def read_json(raw: bytes | None) -> Any:
    """The value of a JSON text with every number as `Number`; Refusal("not_json") for all that is none."""
    if raw is None or raw.startswith(b"\xef\xbb\xbf"):
        raise Refusal("not_json")
    try:
        text = raw.decode("utf-8")
        if _depth(text) > NESTING_MAX:
            raise Refusal("not_json")
        value = json.loads(
            text, object_pairs_hook=_unique, parse_float=Number, parse_int=Number, parse_constant=_constant
        )
    except ValueError:
        raise Refusal("not_json") from None
    if any(_has_surrogate(part) for part in _strings(value)):
        raise Refusal("not_json", "invalid_field", "not_a_cloudevent")
    return value


def _depth(text: str) -> int:
    outside_strings = re.sub(r'"(?:[^"\\]|\\.)*"', "", text, flags=re.DOTALL)
    depth = deepest = 0
    for bracket in re.findall(r"[\[\]{}]", outside_strings):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) != len(pairs):
        raise Refusal("not_json")
    return dict(pairs)


def _constant(name: str) -> Any:
    raise ValueError(name)  # NaN, Infinity: Python reads them, JSON has none


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for pair in value.items() for part in pair for text in _strings(part)]
    return [text for part in value for text in _strings(part)] if isinstance(value, list) else []


def _has_surrogate(text: str) -> bool:
    return re.search("[\ud800-\udfff]", text) is not None


# --- the CloudEvents envelope in its three modes


def _envelope(record: Record) -> dict[str, Any]:
    content_type = (record.header("content-type") or b"").split(b";")[0].strip().lower()
    if content_type == b"application/cloudevents-batch+json":
        raise Refusal("not_a_cloudevent", "not_json")
    attributes = {name[3:]: raw for name, raw in record.headers if name.startswith("ce_")}
    value = read_json(record.value)
    if attributes and content_type != b"application/cloudevents+json":
        return {name: _attribute(raw) for name, raw in attributes.items()} | {"data": value}
    if not isinstance(value, dict):
        raise Refusal("not_a_cloudevent")
    return value


def _attribute(raw: bytes | None) -> str:
    try:
        return (raw or b"").decode("utf-8")
    except UnicodeDecodeError:
        raise Refusal("not_a_cloudevent", "not_json", "invalid_field") from None


def _check_envelope(envelope: Mapping[str, Any]) -> None:
    if envelope.get("specversion") != "1.0" or "data_base64" in envelope:
        raise Refusal("not_a_cloudevent")
    for name in ("id", "source", "type"):
        value = envelope.get(name)
        if not isinstance(value, str) or not value:
            raise Refusal("not_a_cloudevent", *(["unknown_type"] if value == "" and name == "type" else []))
    if not isinstance(envelope.get("data"), dict):
        raise Refusal("not_a_cloudevent", "invalid_field")
    if not isinstance(envelope.get("time"), str):
        raise Refusal("invalid_field", "not_a_cloudevent")
    if envelope["type"] not in TYPE_FIELDS:
        raise Refusal("unknown_type")
    for name in ("id", "source"):
        if not _is_text(envelope[name]):
            raise Refusal("invalid_field", "not_a_cloudevent")
    if envelope.get("subject") is not None and not _is_text(envelope["subject"]):  # JSON's null means unset
        raise Refusal("invalid_field")


RFC3339 = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,9}))?"
    r"(?:Z|([+-])([0-9]{2}):([0-9]{2}))"
)


@lru_cache(maxsize=4096)
def read_time(text: str) -> int | None:
    """Nanoseconds since 1970 UTC of an RFC 3339 time, None where it is none."""
    match = RFC3339.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    sign, hours, minutes = match[8], int(match[9] or 0), int(match[10] or 0)
    if hour > 23 or minute > 59 or second > 59 or hours > 23 or minutes > 59:
        return None
    try:
        days = date(year, month, day).toordinal() - date(1970, 1, 1).toordinal()
    except ValueError:
        return None
    offset_s = (hours * 60 + minutes) * 60 * (-1 if sign == "-" else 1)
    seconds = days * 86_400 + hour * 3600 + minute * 60 + second - offset_s
    return seconds * SECOND_NS + int((match[7] or "").ljust(9, "0"))


def _time(text: str) -> int:
    at_ns = read_time(text)
    if at_ns is None:
        raise Refusal("invalid_field")
    if not CALENDAR_NS[0] <= at_ns < CALENDAR_NS[1]:  # a calendar may end before 0001 or after 9999 in UTC
        raise Refusal("invalid_field", "from_the_future" if at_ns > 0 else "too_late")
    return at_ns


# --- the fields of `data`


def _invalid(value: Any) -> Refusal:
    return Refusal("invalid_field", *(["not_json"] if isinstance(value, Number) and value.absurd else []))


def _is_text(value: Any, bytes_max: int = 256) -> bool:
    return (
        isinstance(value, str)
        and 1 <= len(value.encode()) <= bytes_max
        and re.search("[\x00-\x1f\x7f-\x9f]", value) is None
    )


def _text(value: Any, bytes_max: int = 256) -> str:
    if not _is_text(value, bytes_max):
        raise _invalid(value)
    return value


def _name(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._:@~-]{0,127}", value):
        raise _invalid(value)
    return value


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _invalid(value)
    return value


def _count(value: Any) -> int:
    if not isinstance(value, Number) or not re.fullmatch(r"[0-9]{1,16}", value.text):
        raise _invalid(value)
    if int(value.text) > COUNT_MAX:
        raise _invalid(value)
    return int(value.text)


def _quantity(value: Any) -> Fraction:
    """Exactly the number written: a JSON number (an exponent is fine) or a plain decimal string."""
    if isinstance(value, Number) and not value.absurd:
        text = value.text
    elif isinstance(value, str) and re.fullmatch(r"[0-9]{1,40}(\.[0-9]{1,18})?", value):
        text = value
    else:
        raise _invalid(value)
    quantity = Fraction(text)
    if not 0 <= quantity <= COUNT_MAX or (quantity * 10**FRACTION_DIGITS_MAX).denominator != 1:
        raise _invalid(value)
    return quantity


def _map_of(read: Callable[[Any], Any]) -> Callable[[Any], dict[str, Any]]:
    def read_map(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict) or not value:
            raise _invalid(value)
        return {_text(name): read(part) for name, part in value.items()}

    return read_map


def _labels(value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or len(value) > 16:
        raise _invalid(value)
    return {_text(name, 128): _text(part, 128) for name, part in value.items()}


def _provider_cost(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or set(value) != {"amount", "currency"}:
        raise _invalid(value)
    return {"amount": _quantity(value["amount"]), "currency": _text(value["currency"])}


def _object(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise _invalid(value)
    return value


COMMON_FIELDS: dict[str, Callable[[Any], Any]] = {
    "organization": _name,
    "project": _name,
    "provider": _text,
    "region": _text,
    "user": _text,
    "api_key_id": _text,
    "service_tier": _text,
    "labels": _labels,
    "provider_cost": _provider_cost,
    "billable": _boolean,
    "not_billable_because": _text,
}
TYPE_FIELDS: dict[str, dict[str, Callable[[Any], Any]]] = {
    "ai.usage.model.v1": {"model": _text, "priority": _text, "tokens": _map_of(_count), "seconds": _quantity},
    "ai.usage.image.v1": {"operation": _text, "count": _count, "model": _text, "priority": _text},
    "ai.usage.code_execution.v1": dict.fromkeys(("cpu_seconds", "memory_mb", "wall_seconds"), _quantity),
    "ai.usage.connector_tool.v1": {"connector": _text, "tool": _text, "executions": _count},
    "ai.usage.terminal.v1": {"dimensions": _map_of(_quantity)},
    "ai.usage.units.v1": {"endpoint": _text, "units": _map_of(_quantity)},
    "ai.usage.response.v1": {"surface": _text, "model": _text, "response": _object},
}
OPTIONAL = set(COMMON_FIELDS) - {"organization", "project"} | {"priority", "seconds", "count", "executions"}


def _data(type_: str, given: Mapping[str, Any]) -> dict[str, Any]:
    fields = COMMON_FIELDS | TYPE_FIELDS[type_]
    optional = OPTIONAL | (set() if type_ == "ai.usage.model.v1" else {"model"})
    optional |= {"tokens"} if "seconds" in given else set()
    if not set(fields) - optional <= set(given) <= set(fields):
        raise Refusal("invalid_field")
    data = {name: fields[name](value) for name, value in given.items()}
    if type_ == "ai.usage.response.v1" and _used(data).model is None and "model" not in data:
        raise Refusal("invalid_field")
    return data


def _used(data: Mapping[str, Any]) -> Used:
    try:
        used = used_by(data["surface"], data["response"], _count)
    except Contradiction:
        raise Refusal("token_counts_do_not_reconcile") from None
    except Malformed:
        raise Refusal("invalid_field") from None
    if not all(text is None or _is_text(text) for text in (used.model, used.tier, used.region)):
        raise Refusal("invalid_field")
    return used


def _frozen(value: Any) -> Any:
    if isinstance(value, Mapping):
        return tuple(sorted((name, _frozen(part)) for name, part in value.items()))
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
