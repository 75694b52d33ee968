"""Hostile raw values: every row of the contract's section 6 that is rejected without a memory.

Each row is (name, reasons that the contract allows, what to do to a good record). The reasons are written
down by hand here, so the rows test the oracle and the worker alike. Cases that the contract leaves open
between acceptance and rejection are not in it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.usage_samples import Literal, dumps

Event = dict[str, Any]
Headers = tuple[tuple[str, bytes], ...]


@dataclass(frozen=True)
class Hostile:
    """A value (and headers) that must be rejected for one of `reasons`."""

    name: str
    reasons: frozenset[str]
    value: bytes | None
    headers: Headers = ()


def hostile_rows(good: Event) -> list[Hostile]:
    """All rows, made from a good model event (append it within 5 minutes of its time)."""
    rows = [_row(name, reasons, make(good)) for name, reasons, make in BYTES]
    rows += [_row(name, reasons, _bytes({**good, **change})) for name, reasons, change in ENVELOPE]
    rows += [
        _row(f"without {name}", reasons, _bytes({k: v for k, v in good.items() if k != name}))
        for name, reasons in WITHOUT.items()
    ]
    rows += [_row(f"data: {name}", "invalid_field", _bytes(_with_data(good, change))) for name, change in DATA]
    rows += [_row(name, reasons, _bytes(_typed(good, *typed))) for name, reasons, typed in TYPED]
    return rows + _header_rows(good)


def _row(name: str, reasons: str, value: bytes | None, headers: Headers = ()) -> Hostile:
    return Hostile(name, frozenset(reasons.split()), value, headers)


def _bytes(value: Any) -> bytes:
    return dumps(value).encode()


def _with_data(good: Event, change: dict[str, Any]) -> Event:
    data = {name: value for name, value in {**good["data"], **change}.items() if value is not REMOVED}
    return {**good, "data": data}


def _typed(good: Event, type_: str, fields: dict[str, Any]) -> Event:
    names = ("organization", "project")
    return {**good, "type": type_, "data": {name: good["data"][name] for name in names} | fields}


def _header_rows(good: Event) -> list[Hostile]:
    structured = ("content-type", b"application/cloudevents+json")
    batch = ("content-type", b"application/cloudevents-batch+json; charset=utf-8")
    return [
        _row("65 headers", "too_large", _bytes(good), tuple((f"h{i}", b"x") for i in range(65))),
        _row("null value, structured", "not_json", None, (structured,)),
        _row("batch mode", "not_a_cloudevent", b"[" + _bytes(good) + b"]", (batch,)),
        _row("structured, a list", "not_a_cloudevent", b"[" + _bytes(good) + b"]", (structured,)),
        _row("binary without id", "not_a_cloudevent", _bytes(good["data"]), _binary_headers(good, "id")),
        _row(
            "binary without specversion",
            "not_a_cloudevent",
            _bytes(good["data"]),
            _binary_headers(good, "specversion"),
        ),
        _row("binary, broken data", "not_json", b'{"organization": ', _binary_headers(good, "")),
        _row(
            "binary, id no UTF-8",
            "not_a_cloudevent not_json invalid_field",
            _bytes(good["data"]),
            (*_binary_headers(good, "id"), ("ce_id", b"\xff\xfe")),
        ),
    ]


def _binary_headers(good: Event, without: str) -> Headers:
    names = [name for name in good if name not in ("data", without)]
    return (("content-type", b"application/json"), *((f"ce_{name}", good[name].encode()) for name in names))


REMOVED = object()
Row = tuple[str, str, Callable[[Event], bytes | None]]
BYTES: list[Row] = [
    ("null value", "not_json", lambda good: None),
    ("empty value", "not_json", lambda good: b""),
    ("no JSON", "not_json", lambda good: b"usage: 5"),
    ("cut", "not_json", lambda good: _bytes(good)[:-9]),
    ("trailing text", "not_json", lambda good: _bytes(good) + b" x"),
    ("two values", "not_json", lambda good: _bytes(good) * 2),
    ("byte order mark", "not_json", lambda good: b"\xef\xbb\xbf" + _bytes(good)),
    ("UTF-16", "not_json", lambda good: _bytes(good).decode().encode("utf-16")),
    ("invalid UTF-8", "not_json", lambda good: _bytes({**good, "id": "MARK"}).replace(b"MARK", b"a\xc3\x28")),
    ("overlong UTF-8", "not_json", lambda good: _bytes({**good, "id": "MARK"}).replace(b"MARK", b"\xc0\xaf")),
    (
        "raw control character",
        "not_json",
        lambda good: _bytes({**good, "id": "MARK"}).replace(b"MARK", b"a\x01"),
    ),
    ("NaN", "not_json", lambda good: _bytes(_with_data(good, {"seconds": Literal("NaN")}))),
    ("leading zero", "not_json", lambda good: _bytes(_with_data(good, {"seconds": Literal("007")}))),
    ("single quotes", "not_json", lambda good: b"{'specversion': '1.0'}"),
    ("nesting over 32", "not_json", lambda good: _bytes({**good, "ext": Literal("[" * 40 + "]" * 40)})),
    ("nesting 20000", "not_json", lambda good: b"[" * 20_000 + b"]" * 20_000),
    ("nesting 30000, open", "not_json", lambda good: b'{"a":' * 10_000),
    ("duplicate key", "not_json", lambda good: _bytes(good).replace(b'{"spec', b'{"id": "x", "spec', 1)),
    (
        "duplicate key in data",
        "not_json",
        lambda good: _bytes(good).replace(b'"data": {', b'"data": {"organization": "other", ', 1),
    ),
    (
        "duplicate token kind",
        "not_json",
        lambda good: _bytes(_with_data(good, {"tokens": Literal('{"input": 1, "input": 1}')})),
    ),
    ("over 64 KiB", "too_large", lambda good: _bytes({**good, "padding": "x" * 70_000})),
    ("over 64 KiB, no JSON", "too_large", lambda good: b"\x00" * 65_537),
    ("a list", "not_a_cloudevent", lambda good: b"[]"),
    ("a number", "not_a_cloudevent", lambda good: b"5"),
    ("JSON null", "not_a_cloudevent", lambda good: b"null"),
    ("an empty object", "not_a_cloudevent", lambda good: b"{}"),
    ("only the data", "not_a_cloudevent", lambda good: _bytes(good["data"])),
    (
        "a lone surrogate",
        "not_json invalid_field",
        lambda good: _bytes(_with_data(good, {"user": "MARK"})).replace(b"MARK", b"\\ud800"),
    ),
]
ENVELOPE: list[tuple[str, str, dict[str, Any]]] = [
    ("specversion 0.3", "not_a_cloudevent", {"specversion": "0.3"}),
    ("specversion a number", "not_a_cloudevent", {"specversion": Literal("1.0")}),
    ("id a number", "not_a_cloudevent", {"id": 5}),
    ("id empty", "not_a_cloudevent", {"id": ""}),
    ("id null", "not_a_cloudevent", {"id": None}),
    ("id with a line feed", "not_a_cloudevent invalid_field", {"id": "a\nb"}),
    ("id of 257 bytes", "not_a_cloudevent invalid_field", {"id": "x" * 257}),
    ("source empty", "not_a_cloudevent", {"source": ""}),
    ("source a list", "not_a_cloudevent", {"source": []}),
    ("type a number", "not_a_cloudevent", {"type": 1}),
    ("unknown type", "unknown_type", {"type": "ai.usage.model.v2"}),
    ("a later type", "unknown_type", {"type": "ai.usage.void.v1"}),
    ("data_base64", "not_a_cloudevent", {"data_base64": "e30="}),
    ("data a list", "not_a_cloudevent invalid_field", {"data": []}),
    ("data a string", "not_a_cloudevent invalid_field", {"data": "{}"}),
    ("data null", "not_a_cloudevent invalid_field", {"data": None}),
    ("time a word", "invalid_field", {"time": "yesterday"}),
    ("time empty", "invalid_field not_a_cloudevent", {"time": ""}),
    ("time a number", "invalid_field not_a_cloudevent", {"time": 1763805600}),
    ("time without an offset", "invalid_field", {"time": "2026-11-22T10:00:00"}),
    ("time without a time", "invalid_field", {"time": "2026-11-22"}),
    ("time of month 13", "invalid_field", {"time": "2026-13-01T00:00:00Z"}),
    ("time of February 30", "invalid_field", {"time": "2026-02-30T00:00:00Z"}),
    ("time of hour 25", "invalid_field", {"time": "2026-11-22T25:00:00Z"}),
    ("time before the calendar", "invalid_field too_late", {"time": "0001-01-01T00:00:00+14:00"}),
    ("time after the calendar", "invalid_field from_the_future", {"time": "9999-12-31T23:59:59-14:00"}),
    ("time in 1970", "too_late", {"time": "1970-01-01T00:00:00Z"}),
    ("time in 2199", "from_the_future", {"time": "2199-01-01T00:00:00Z"}),
]
WITHOUT = dict.fromkeys(("specversion", "id", "source", "type"), "not_a_cloudevent")
WITHOUT |= dict.fromkeys(("time", "data"), "not_a_cloudevent invalid_field")
DATA: list[tuple[str, dict[str, Any]]] = [
    ("unknown field", {"colour": "red"}),
    ("field of another type", {"executions": 1}),
    ("no organization", {"organization": REMOVED}),
    ("no project", {"project": REMOVED}),
    ("no model", {"model": REMOVED}),
    ("no tokens", {"tokens": REMOVED}),
    ("organization empty", {"organization": ""}),
    ("organization with a slash", {"organization": "a/b"}),
    ("organization with a line feed", {"organization": "acme\n"}),
    ("organization with an umlaut", {"organization": "zürich"}),
    ("organization that starts with a dot", {"organization": ".acme"}),
    ("organization of 129 characters", {"organization": "x" * 129}),
    ("organization a number", {"organization": 7}),
    ("project with a space", {"project": "a b"}),
    ("project with a slash", {"project": "a/b"}),
    ("model empty", {"model": ""}),
    ("model of 257 bytes", {"model": "ü" * 128 + "x"}),
    ("model with a control character", {"model": "a\u0000b"}),
    ("user with DEL", {"user": "a\u007f"}),
    ("priority a number", {"priority": 2}),
    ("tokens a list", {"tokens": [1]}),
    ("tokens empty", {"tokens": {}}),
    ("count negative", {"tokens": {"input": -1}}),
    ("count 12.0", {"tokens": {"input": Literal("12.0")}}),
    ("count 1e3", {"tokens": {"input": Literal("1e3")}}),
    ("count a string", {"tokens": {"input": "12"}}),
    ("count true", {"tokens": {"input": True}}),
    ("count null", {"tokens": {"input": None}}),
    ("count 10^15 + 1", {"tokens": {"input": 10**15 + 1}}),
    ("count 2^63", {"tokens": {"input": 2**63}}),
    ("count 2^64", {"tokens": {"input": 2**64}}),
    ("count 10^40", {"tokens": {"input": 10**40}}),
    ("seconds negative", {"seconds": Literal("-0.5")}),
    ("seconds a negative string", {"seconds": "-1"}),
    ("seconds over 10^15", {"seconds": Literal("1000000000000000.1")}),
    ("seconds over 10^15 by exponent", {"seconds": Literal("1e16")}),
    ("seconds of 19 digits", {"seconds": Literal("0.1234567890123456789")}),
    ("seconds 1e-19", {"seconds": Literal("1e-19")}),
    ("seconds string with exponent", {"seconds": "1e3"}),
    ("seconds string with plus", {"seconds": "+5"}),
    ("seconds string with a space", {"seconds": " 5"}),
    ("seconds string empty", {"seconds": ""}),
    ("seconds string NaN", {"seconds": "NaN"}),
    ("seconds string Infinity", {"seconds": "Infinity"}),
    ("seconds string with a comma", {"seconds": "5,5"}),
    ("seconds string with underscores", {"seconds": "1_000"}),
    ("seconds in Arabic digits", {"seconds": "٣"}),
    ("seconds a boolean", {"seconds": True}),
    ("seconds a list", {"seconds": ["5"]}),
    ("labels a list", {"labels": ["a"]}),
    ("17 labels", {"labels": {f"l{i}": "x" for i in range(17)}}),
    ("label a number", {"labels": {"team": 5}}),
    ("label of 129 bytes", {"labels": {"team": "x" * 129}}),
    ("provider_cost a string", {"provider_cost": "0.1"}),
    ("provider_cost without currency", {"provider_cost": {"amount": "0.1"}}),
    ("provider_cost negative", {"provider_cost": {"amount": "-0.1", "currency": "USD"}}),
    ("billable a string", {"billable": "false"}),
    ("billable a number", {"billable": 0}),
]
CODE, CONNECTOR = "ai.usage.code_execution.v1", "ai.usage.connector_tool.v1"
UNITS, RESPONSE = "ai.usage.units.v1", "ai.usage.response.v1"
COUNTS: Event = {"prompt_tokens": 5, "completion_tokens": 2}
GOOD: Event = {"model": "gpt-4o", "usage": COUNTS}
REASONED: Event = {"reasoning_tokens": 3}
DEEP = "[" * 40 + "]" * 40


def _using(**counts: Any) -> Event:
    return {"response": {"model": "gpt-4o", "usage": {**COUNTS, **counts}}}


RESPONSES: list[tuple[str, str, Event]] = [
    ("of no known surface", "invalid_field", {"surface": "openai.chat_completion"}),
    ("of another surface", "invalid_field", {"surface": "google.generate_content"}),
    ("a list", "invalid_field", {"response": [GOOD]}),
    ("null", "invalid_field", {"response": None}),
    ("as text", "invalid_field", {"response": '{"usage": {}}'}),
    ("without usage", "invalid_field", {"response": {"model": "gpt-4o"}}),
    ("whose usage is a list", "invalid_field", {"response": {"model": "gpt-4o", "usage": [5, 2]}}),
    ("without a model", "invalid_field", {"response": {"usage": COUNTS}}),
    ("whose model is null", "invalid_field", {"response": {"model": None, "usage": COUNTS}}),
    ("whose model is a number", "invalid_field", {"response": {"model": 4, "usage": COUNTS}}),
    ("whose model has a line feed", "invalid_field", {"response": {"model": "a\nb", "usage": COUNTS}}),
    ("whose model has 257 bytes", "invalid_field", {"response": {"model": "ü" * 128 + "x", "usage": COUNTS}}),
    ("whose tier is a number", "invalid_field", {"response": {**GOOD, "service_tier": 1}}),
    ("whose tier is long", "invalid_field", {"response": {**GOOD, "service_tier": "x" * 257}}),
    ("of 5.0 tokens", "invalid_field", _using(prompt_tokens=Literal("5.0"))),
    ("of 5e0 tokens", "invalid_field", _using(prompt_tokens=Literal("5e0"))),
    ("of true tokens", "invalid_field", _using(prompt_tokens=True)),
    ("of '5' tokens", "invalid_field", _using(prompt_tokens="5")),
    ("of 10^15 + 1 tokens", "invalid_field", _using(prompt_tokens=10**15 + 1)),
    ("of 10^40 tokens", "invalid_field", _using(prompt_tokens=10**40)),
    ("of 5000 digits", "invalid_field not_json", _using(prompt_tokens=Literal("9" * 5000))),
    ("of fewer than no tokens", "invalid_field", _using(prompt_tokens=-5)),
    ("of another total", "token_counts_do_not_reconcile", _using(total_tokens=8)),
    ("of more cached than all", "token_counts_do_not_reconcile", _using(prompt_tokens_details={"cached_tokens": 6})),
    ("of more reasoned than all", "token_counts_do_not_reconcile", _using(completion_tokens_details=REASONED)),
    ("with a key twice", "not_json", {"response": Literal('{"usage": 5, "usage": {}}')}),
    ("with a key twice deep inside", "not_json", {"response": {**GOOD, "x": Literal('[{"a": 1, "a": 1}]')}}),
    ("nested over 32", "not_json", {"response": {**GOOD, "x": Literal(DEEP)}}),
    ("nested 10000", "not_json", {"response": {**GOOD, "x": Literal("[" * 10_000 + "]" * 10_000)}}),
    ("with a priority", "invalid_field", {"priority": "high"}),
]
TYPED: list[tuple[str, str, tuple[str, dict[str, Any]]]] = [
    ("code execution without wall", "invalid_field", (CODE, {"cpu_seconds": "1", "memory_mb": "1"})),
    (
        "code execution with a word",
        "invalid_field",
        (CODE, {"cpu_seconds": "much", "memory_mb": "1", "wall_seconds": "1"}),
    ),
    (
        "code execution of a huge exponent",
        "invalid_field not_json",
        (CODE, {"cpu_seconds": Literal("1e1000000"), "memory_mb": "1", "wall_seconds": "1"}),
    ),
    (
        "code execution of a tiny exponent",
        "invalid_field not_json",
        (CODE, {"cpu_seconds": Literal("1e-1000000"), "memory_mb": "1", "wall_seconds": "1"}),
    ),
    (
        "code execution of 5000 digits",
        "invalid_field not_json",
        (CODE, {"cpu_seconds": Literal("9" * 5000), "memory_mb": "1", "wall_seconds": "1"}),
    ),
    ("connector without tool", "invalid_field", (CONNECTOR, {"connector": "github"})),
    (
        "connector with 1.5 executions",
        "invalid_field",
        (CONNECTOR, {"connector": "github", "tool": "search", "executions": Literal("1.5")}),
    ),
    ("image without operation", "invalid_field", ("ai.usage.image.v1", {"count": 1})),
    (
        "image with a negative count",
        "invalid_field",
        ("ai.usage.image.v1", {"operation": "generate", "count": -1}),
    ),
    ("terminal without dimensions", "invalid_field", ("ai.usage.terminal.v1", {})),
    ("terminal with a list", "invalid_field", ("ai.usage.terminal.v1", {"dimensions": ["cpu_seconds"]})),
    ("units without endpoint", "invalid_field", (UNITS, {"units": {"image": 1}})),
    ("units empty", "invalid_field", (UNITS, {"endpoint": "video", "units": {}})),
    ("units negative", "invalid_field", (UNITS, {"endpoint": "video", "units": {"second": "-1"}})),
    ("units with a control character", "invalid_field", (UNITS, {"endpoint": "video", "units": {"a\u0000b": 1}})),
    *[
        (f"response {name}", reasons, (RESPONSE, {"surface": "openai.chat_completions", "response": GOOD} | fields))
        for name, reasons, fields in RESPONSES
    ],
]
