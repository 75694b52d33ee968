"""The first stop of a record: bytes and headers become a checked `Event`, or an `InvalidUsage` says why not.

Two paths give one result. `_read_fast` decodes typed in C and proves cheaply that the bytes hide nothing (no duplicate
key, no unknown attribute, no escape). What it cannot prove goes to `_examine`, which parses strictly and names the
reason. Sources: CloudEvents 1.0 (JSON format and Kafka protocol binding), sections 2 and 6 of the contract.
"""

from collections.abc import Mapping, Sequence
from functools import reduce
from hashlib import blake2b
from operator import getitem, or_
from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from pricing.checks import check_strings, instant, settle, take_response
from pricing.documents import DEPTH_MAX, NumberText, key_text, read_json, shown
from pricing.errors import InvalidDocument, InvalidUsage, Rejected
from pricing.events import (
    STRING_BYTES_MAX,
    USAGE_TYPES,
    Event,
    ProviderCost,
    ResponseUsage,
    Text,
    Usage,
)
from pricing.times import format_time

Headers = Sequence[tuple[str, bytes | None]]  # aiokafka has None for a null one

VALUE_BYTES_MAX = 64 * 1024
HEADERS_MAX = 64
UNPACKED_BYTES_MAX = 64 * 1024 * 1024  # of a compressed batch: a megabyte of one holds gigabytes of zeros
_ATTRIBUTES = {"specversion", "id", "source", "type", "time", "subject"}  # others are ignored


class Unread(bytes):
    """Empty, in place of a value that is not within the first UNPACKED_BYTES_MAX bytes of its compressed batch."""


def read_event(value: bytes | None, headers: Headers) -> Event:
    """The event in a record. Raises InvalidUsage with the reason that the contract's section 6 gives it."""
    if value is None:
        raise InvalidUsage(Rejected.NOT_JSON, "the value is null")
    if type(value) is Unread:
        detail = f"its compressed batch has over {UNPACKED_BYTES_MAX} bytes, and it is not within the first ones"
        raise InvalidUsage(Rejected.TOO_LARGE, detail)
    if len(value) > VALUE_BYTES_MAX:
        raise InvalidUsage(Rejected.TOO_LARGE, f"{len(value)} bytes, at most {VALUE_BYTES_MAX} are read")
    attributes = _attributes_in(headers) if headers else None
    return _read_fast(value, attributes) or _examine(value, attributes)


def _attributes_in(headers: Headers) -> dict[str, str | None] | None:
    """The CloudEvents attributes of binary mode, a null header as JSON's null; None in structured mode."""
    if len(headers) > HEADERS_MAX:
        raise InvalidUsage(Rejected.TOO_LARGE, f"{len(headers)} headers, at most {HEADERS_MAX} are read")
    binary: dict[str, str | None] = {}
    for key, value in headers:
        if key == "content-type":
            if value == b"application/cloudevents+json":
                return None
            if len(value or b"") > STRING_BYTES_MAX:
                raise InvalidUsage(Rejected.NOT_A_CLOUDEVENT, f"content-type has over {STRING_BYTES_MAX} bytes")
            kind = bytes(value or b"").strip().lower()
            if kind.startswith(b"application/cloudevents-batch"):
                raise InvalidUsage(Rejected.NOT_A_CLOUDEVENT, "batch mode, one event a record is read")
            if kind.startswith(b"application/cloudevents"):
                return None
        elif key.startswith("ce_"):
            name = key[3:]
            if name in binary:
                raise InvalidUsage(Rejected.NOT_A_CLOUDEVENT, f"header {key} stands there twice")
            try:
                errors = "strict" if name in _ATTRIBUTES else "replace"
                binary[name] = None if value is None else bytes(value).decode(errors=errors)
            except UnicodeDecodeError as error:
                raise InvalidUsage(Rejected.NOT_A_CLOUDEVENT, f"header {key} is not UTF-8: {error}") from None
    return binary or None


# --- the fast path


class _Envelope(Struct, forbid_unknown_fields=True, kw_only=True, tag_field="type"):
    specversion: str
    id: Text
    source: Text
    time: str
    subject: Text | UnsetType = UNSET
    datacontenttype: Text | UnsetType = UNSET
    traceparent: Text | UnsetType = UNSET
    tracestate: Text | UnsetType = UNSET
    data: Any


_REQUIRED_COUNT = 6  # specversion, id, source, type, time, data


def _envelope(name: str, data: type[Usage]) -> type[Struct]:
    return msgspec.defstruct(
        data.__name__.replace("Usage", "Event"), [("data", data)], bases=(_Envelope,), tag=name, kw_only=True
    )


_ENVELOPES = {_envelope(name, data): name for name, data in USAGE_TYPES.items()}
# Of the numbers in a response only counts matter; the others are kept as they are written, for the hash of the content.
_STRUCTURED: msgspec.json.Decoder[Any] = msgspec.json.Decoder(type=reduce(or_, _ENVELOPES), float_hook=NumberText)
_DATA = {name: msgspec.json.Decoder(type=data, float_hook=NumberText) for name, data in USAGE_TYPES.items()}
_FIRST_OF_ITS_OWN = {data: f',"{next(iter(data.__annotations__))}":'.encode() for data in USAGE_TYPES.values()}
_CANONICAL = msgspec.json.Encoder(order="deterministic", enc_hook=lambda text: Raw(text.encode()))
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, InvalidUsage)


def _read_fast(value: bytes, attributes: dict[str, str | None] | None) -> Event | None:
    """The event, if it is well and provably so; None leaves the verdict to `_examine`.

    The proof against duplicate keys: without escapes every colon of the bytes is one of a string or follows a key. If
    the decoded strings and keys account for all of them, no key stood there twice. Nothing is nested deeper than there
    are brackets.
    """
    if not value.isascii() or b"\\" in value or b"\x7f" in value or attributes is not None:
        return None
    try:
        envelope = _STRUCTURED.decode(value)
        data = envelope.data
        settle(data)
        at = instant(envelope.time)
    except _UNREADABLE:
        return None
    if envelope.specversion != "1.0":
        return None
    canonical = _CANONICAL.encode(data)
    colons = _REQUIRED_COUNT + envelope.id.count(":") + envelope.source.count(":") + envelope.time.count(":")
    for text in (envelope.subject, envelope.datacontenttype, envelope.traceparent, envelope.tracestate):
        if text is not UNSET:
            colons += 1 + text.count(":")
    if value.count(b":") != colons + canonical.count(b":"):
        return None
    if type(data) is ResponseUsage and value.count(b"{") + value.count(b"[") > DEPTH_MAX:
        return None
    kind = _ENVELOPES[type(envelope)]
    return _whole(Event(kind, envelope.source, envelope.id, _utc(envelope.time, at), at, data), canonical)


def _utc(text: str, at: int) -> str:
    return text if text[-1] == "Z" and text[10] == "T" else format_time(at)


def _whole(event: Event, canonical: bytes) -> Event:
    """The event with what follows from its data, of which `canonical` is the JSON."""
    data = event.data
    event.content, event.echo = _content(event.type, event.at, canonical), _echo(canonical, data)
    if type(data) is ResponseUsage:
        take_response(data)
    return event


def _content(kind: str, at: int, canonical: bytes) -> bytes:
    return blake2b(b"%b\n%d\n%b" % (kind.encode(), at, canonical), digest_size=8).digest()


def _echo(canonical: bytes, data: Any) -> str:
    """The strings that every type has, cut from the canonical JSON: they stand before its first other member."""
    if data.labels is not UNSET:
        end = b',"labels":'
    elif data.provider_cost is not UNSET:
        end = b',"provider_cost":'
    elif data.billable is not UNSET:
        end = b',"billable":'
    else:
        end = _FIRST_OF_ITS_OWN[type(data)]
    return canonical[1 : canonical.index(end)].decode()


# --- the strict path


class _DataOnly(Struct):
    data: Raw


_DATA_ONLY = msgspec.json.Decoder(type=_DataOnly)


def _examine(value: bytes, attributes: dict[str, str | None] | None) -> Event:
    """The event, or the first reason why there is none, in the order of `Rejected`."""
    document = _strict_json(value)
    if attributes is None:
        if not isinstance(document, dict):
            raise InvalidUsage(Rejected.NOT_A_CLOUDEVENT, f"not a JSON object: {shown(document)}")
        envelope = document
    else:
        envelope = attributes
    _check_envelope(envelope)
    if envelope["type"] not in USAGE_TYPES:
        raise InvalidUsage(Rejected.UNKNOWN_TYPE, f"type {shown(envelope['type'])}")
    at = _check_attributes(envelope)
    if attributes is None and "data" not in document:
        raise InvalidUsage(Rejected.INVALID_FIELD, "data is missing")
    decoder = _DATA[envelope["type"]]
    try:
        data = decoder.decode(value if attributes is not None else _DATA_ONLY.decode(value).data)
    except msgspec.DecodeError as error:
        given = document if attributes is not None else document["data"]
        raise InvalidUsage(Rejected.INVALID_FIELD, _field_problem(str(error), given, decoder)) from None
    settle(data)
    for name in data.__struct_fields__:
        if name != "response" and (given := getattr(data, name)) is not UNSET:  # of that only some strings are used
            check_strings(f"data.{name}", msgspec.to_builtins(given))
    kind, source, event_id, time = (envelope[name] for name in ("type", "source", "id", "time"))
    return _whole(Event(kind, source, event_id, _utc(time, at), at, data), _CANONICAL.encode(data))


def _field_problem(said: str, data: Any, decoder: msgspec.json.Decoder[Any]) -> str:
    """What msgspec said of `data`, with the path and the value: it names no key of a map, and not what it found."""
    if said.startswith("Object contains unknown field"):
        known = {"data": decoder.type.__struct_fields__, "data.provider_cost": ProviderCost.__struct_fields__}
        given = zip(known.items(), (data, data.get("provider_cost")), strict=True)
        return next(
            f"{path}.{key_text(key)} is no known field"
            for (path, fields), found in given
            for key in found
            if key not in fields
        )
    what, _, place = said.partition(" - at ")
    names = place.removeprefix("`key` in ").strip("`").partition("[")[0].split(".")[1:]
    path, found = ".".join(["data", *names]), reduce(getitem, names, data)
    if what.startswith("Object missing required field"):
        return f"{path}.{what.split('`')[1]} is missing"
    if names != ["response"] and place.startswith("`key`") | place.endswith("[...]`"):
        key, entry = next(pair for pair in found.items() if _says(decoder, {names[-1]: dict([pair])}) == said)
        path, found = (f"{path}, a key", key) if place.startswith("`key`") else (f"{path}.{key_text(key)}", entry)
    wanted = what.partition(", got ")[0].replace("`", "")
    return f"{path}: {wanted[0].lower()}{wanted[1:]}, found {shown(found)}"


def _says(decoder: msgspec.json.Decoder[Any], data: Any) -> str:
    try:
        decoder.decode(_CANONICAL.encode(data))
    except msgspec.DecodeError as error:
        return str(error)
    return ""


def _strict_json(value: bytes) -> Any:
    """What the bytes say, numbers as text; raises `not_json` where JSON leaves doubt."""
    try:
        return read_json(value, name="value")
    except InvalidDocument as invalid:
        raise InvalidUsage(Rejected.NOT_JSON, "; ".join(invalid.problems)[:200]) from None


def _check_envelope(envelope: Mapping[str, Any]) -> None:
    version = envelope.get("specversion")
    if type(version) is not str or version != "1.0":  # a number is a NumberText, which is another type
        raise InvalidUsage(Rejected.NOT_A_CLOUDEVENT, _wrong("specversion", envelope, 'is not "1.0"'))
    if "data_base64" in envelope:
        raise InvalidUsage(Rejected.NOT_A_CLOUDEVENT, "data_base64 is not read, data is")
    for name in ("id", "source", "type"):
        found = envelope.get(name)
        if type(found) is not str or not found:
            why = "is not a string of at least one character"
            raise InvalidUsage(Rejected.NOT_A_CLOUDEVENT, _wrong(name, envelope, why))


def _check_attributes(envelope: Mapping[str, Any]) -> int:
    for name in ("id", "source"):
        check_strings(name, envelope[name])
    if (subject := envelope.get("subject")) is not None:  # null is unset, says CloudEvents' JSON format
        if type(subject) is not str:
            raise InvalidUsage(Rejected.INVALID_FIELD, _wrong("subject", envelope, "is not a string"))
        check_strings("subject", subject)
    if type(envelope.get("time")) is not str:
        raise InvalidUsage(Rejected.INVALID_FIELD, _wrong("time", envelope, "is not a string"))
    return instant(envelope["time"])


def _wrong(name: str, envelope: Mapping[str, Any], why: str) -> str:
    return f"{name}: {shown(envelope[name])} {why}" if name in envelope else f"{name} is missing"
