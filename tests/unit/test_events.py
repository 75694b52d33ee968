"""Usage events: what bytes and headers say, and for every row of the contract's section 6 why they say nothing.

The table is about the reason that is given; `tests.usage_hostile` has more rows, with every reason that the contract
allows. Two paths read an event: the properties at the end hold them against each other.
"""

import json
import random
import time
import timeit
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing import checks, reading
from pricing.errors import InvalidUsage
from pricing.events import Event
from pricing.reading import Unread, read_event
from streams.batch import Inputs
from streams.step import step
from tests import oracle_reading
from tests.product import book, event, lane, raw, state
from tests.usage import NOW_MS, encode, encode_binary, hostile_rows, usage
from tests.usage_samples import Literal, dumps

GOOD = usage("acme ftg-3.0-pro in=1000 cached=200 out=50")
DATA: dict[str, Any] = GOOD["data"]
REMOVED = object()


def with_(**changes: Any) -> bytes:
    """The good event with other attributes."""
    return dumps({name: value for name, value in (GOOD | changes).items() if value is not REMOVED}).encode()


def with_data(type_: str = "model", **changes: Any) -> bytes:
    """The good event, or one of another type, with other fields in `data`."""
    given = DATA if type_ == "model" else {name: DATA[name] for name in ("organization", "project")}
    fields = {name: value for name, value in (given | changes).items() if value is not REMOVED}
    return dumps({**GOOD, "type": f"ai.usage.{type_}.v1", "data": fields}).encode()


def nested(levels: int) -> Literal:
    """Arrays in each other."""
    return Literal("[" * levels + "]" * levels)


def refused(value: bytes | None, headers: Any = ()) -> tuple[str, str]:
    """The reason and the detail."""
    with pytest.raises(InvalidUsage) as found:
        read_event(value, headers)
    return str(found.value.reason), found.value.detail


def judged(value: bytes | None) -> frozenset[str]:
    """Every reason for which the oracle would refuse it."""
    found = oracle_reading.judge(oracle_reading.Record("usage.raw.v1", 0, 0, NOW_MS, b"acme", value))
    assert isinstance(found, oracle_reading.Rejected)
    return found.reasons


def text_of(good: bytes, old: str, new: str) -> bytes:
    """The bytes with one piece of text replaced."""
    assert good.count(old.encode()) == 1
    return good.replace(old.encode(), new.encode())


MODEL = "model"
ROWS: list[tuple[str, str, bytes | None]] = [
    ("null value", "not_json", None),
    ("no bytes", "not_json", b""),
    ("no JSON", "not_json", b"usage: 5"),
    ("byte order mark", "not_json", b"\xef\xbb\xbf" + with_()),
    ("invalid UTF-8", "not_json", text_of(with_(id="MARK"), "MARK", "é").replace("é".encode(), b"\xc3\x28")),
    ("UTF-8 of a surrogate", "not_json", with_(id="MARK").replace(b"MARK", b"\xed\xa0\x80")),
    ("UTF-16", "not_json", with_().decode().encode("utf-16")),
    ("65,537 bytes", "too_large", with_().ljust(65_537)),
    ("not unpacked", "too_large", Unread()),
    ("nesting of 33", "not_json", with_(ext=nested(32))),
    ("nesting of 20,000", "not_json", b"[" * 20_000 + b"]" * 20_000),
    ("NaN", "not_json", with_data(seconds=Literal("NaN"))),
    ("Infinity in an extension", "not_json", with_(ext=Literal("-Infinity"))),
    ("raw control character", "not_json", with_(id="MARK").replace(b"MARK", b"a\x1f")),
    ("raw tab in a token kind", "not_json", with_data(tokens={"MARK": 1}).replace(b"MARK", b"a\tb")),
    ("key twice: envelope", "not_json", text_of(with_(), '{"spec', '{"id": "x", "spec')),
    ("key twice: the same text", "not_json", text_of(with_(), '{"spec', f'{{"id": "{GOOD["id"]}", "spec')),
    ("key twice: type", "not_json", text_of(with_(), '{"spec', '{"type": "ai.usage.model.v1", "spec')),
    ("key twice: an extension", "not_json", text_of(with_(), '{"spec', '{"ext": 1, "ext": 2, "spec')),
    ("key twice: in an extension", "not_json", with_(ext=Literal('[{"a": 1, "a": 1}]'))),
    ("key twice: data", "not_json", text_of(with_(), '"data": {', '"data": {"project": "p2", ')),
    ("key twice: spelled with an escape", "not_json", text_of(with_(), '{"spec', '{"\\u0069d": "x", "spec')),
    ("key twice: tokens", "not_json", with_data(tokens=Literal('{"input": 1, "input": 1}'))),
    ("key twice: tokens, with colons", "not_json", with_data(tokens=Literal('{"a:b": 1, "a:b": 1}'))),
    ("key twice: labels", "not_json", with_data(labels=Literal('{"a": "x:y", "a": "x"}'))),
    ("key twice: provider_cost", "not_json", with_data(provider_cost=Literal('{"amount": 1, "amount": 1}'))),
    ("key twice: dimensions", "not_json", with_data("terminal", dimensions=Literal('{"a": 1, "a": 2}'))),
    ("a list", "not_a_cloudevent", b"[]"),
    ("a batch without a header", "not_a_cloudevent", b"[" + with_() + b"]"),
    ("no specversion", "not_a_cloudevent", with_(specversion=REMOVED)),
    ("specversion 1.1", "not_a_cloudevent", with_(specversion="1.1")),
    ("specversion a number", "not_a_cloudevent", with_(specversion=Literal("1.0"))),
    ("data_base64", "not_a_cloudevent", with_(data=REMOVED, data_base64="e30=")),
    ("data and data_base64", "not_a_cloudevent", with_(data_base64="e30=")),
    ("no id", "not_a_cloudevent", with_(id=REMOVED)),
    ("empty source", "not_a_cloudevent", with_(source="")),
    ("type null", "not_a_cloudevent", with_(type=None)),
    ("unknown type", "unknown_type", with_(type="ai.usage.model.v2")),
    ("a later type", "unknown_type", with_(type="ai.usage.void.v1")),
    ("a type with half a surrogate pair", "not_json", with_(type="MARK").replace(b"MARK", b"\\ud800")),
    ("no time", "invalid_field", with_(time=REMOVED)),
    ("time null", "invalid_field", with_(time=None)),
    ("time before year 1", "invalid_field", with_(time="0001-01-01T00:00:00+14:00")),
    ("time in year 0", "invalid_field", with_(time="0000-12-31T23:59:59Z")),
    ("time after year 9999", "invalid_field", with_(time="9999-12-31T23:59:59-00:01")),
    ("time without an offset", "invalid_field", with_(time="2026-11-22T10:00:00")),
    ("time of 257 bytes", "invalid_field", with_(time="2026-11-22T10:00:00." + "0" * 236 + "Z")),
    ("no data", "invalid_field", with_(data=REMOVED)),
    ("data null", "invalid_field", with_(data=None)),
    ("data a string", "invalid_field", with_(data="{}")),
    ("id of 257 bytes", "invalid_field", with_(id="é" * 128 + "x")),
    ("source with a control character", "invalid_field", with_(source="a\u0085b")),
    ("id with DEL", "invalid_field", with_(id="a\u007f")),
    ("id with half a surrogate pair", "not_json", with_(id="MARK").replace(b"MARK", b"\\udc00")),
    ("subject a number", "invalid_field", with_(subject=7)),
    ("subject a map", "invalid_field", with_(subject={"a": "b"})),
    ("subject empty", "invalid_field", with_(subject="")),
    ("subject of 257 bytes", "invalid_field", with_(subject="é" * 128 + "x")),
    ("subject with a control character", "invalid_field", with_(subject="a\u0085b")),
    ("unknown field", "invalid_field", with_data(colour="red")),
    ("field of another type", "invalid_field", with_data(executions=1)),
    ("no organization", "invalid_field", with_data(organization=REMOVED)),
    ("organization with a slash", "invalid_field", with_data(organization="a/b")),
    ("organization of 129 bytes", "invalid_field", with_data(organization="a" * 129)),
    ("organization ends in a line feed", "invalid_field", with_data(organization="acme\n")),
    ("project in Arabic digits", "invalid_field", with_data(project="٣")),
    ("user of 257 bytes in 255 characters", "invalid_field", with_data(user="x" * 253 + "éé")),
    ("user of 257 characters", "invalid_field", with_data(user="x" * 257)),
    ("user empty", "invalid_field", with_data(user="")),
    ("user null", "invalid_field", with_data(user=None)),
    ("user with a C1 control", "invalid_field", with_data(user="a\u009f")),
    ("user with half a surrogate pair", "not_json", with_data(user="MARK").replace(b"MARK", b"\\ud800")),
    ("billable null", "invalid_field", with_data(billable=None)),
    ("billable a string", "invalid_field", with_data(billable="true")),
    ("labels null", "invalid_field", with_data(labels=None)),
    ("17 labels", "invalid_field", with_data(labels={f"l{n}": "x" for n in range(17)})),
    ("label of 129 bytes in 65 characters", "invalid_field", with_data(labels={"a": "é" * 64 + "x"})),
    ("label with a key of 129 bytes", "invalid_field", with_data(labels={"é" * 64 + "x": "a"})),
    ("label with an empty key", "invalid_field", with_data(labels={"": "a"})),
    ("cost without a currency", "invalid_field", with_data(provider_cost={"amount": "1"})),
    ("cost with more", "invalid_field", with_data(provider_cost={"amount": "1", "currency": "USD", "x": 1})),
    ("cost below 0", "invalid_field", with_data(provider_cost={"amount": "-0.1", "currency": "USD"})),
    ("cost '-0'", "invalid_field", with_data(provider_cost={"amount": "-0", "currency": "USD"})),
    ("neither tokens nor seconds", "invalid_field", with_data(tokens=REMOVED)),
    ("no token kind", "invalid_field", with_data(tokens={})),
    ("token kind empty", "invalid_field", with_data(tokens={"": 1})),
    ("count 12.0", "invalid_field", with_data(tokens={"input": Literal("12.0")})),
    ("count 1e3", "invalid_field", with_data(tokens={"input": Literal("1e3")})),
    ("count 1e400", "invalid_field", with_data(tokens={"input": Literal("1e400")})),
    ("count -1", "invalid_field", with_data(tokens={"input": -1})),
    ("count a string", "invalid_field", with_data(tokens={"input": "12"})),
    ("count true", "invalid_field", with_data(tokens={"input": True})),
    ("count 10^15 + 1", "invalid_field", with_data(tokens={"input": 10**15 + 1})),
    ("count 2^63", "invalid_field", with_data(tokens={"input": 2**63})),
    ("count 2^64", "invalid_field", with_data(tokens={"input": 2**64})),
    ("count 2^64 + 5", "invalid_field", with_data(tokens={"input": 2**64 + 5})),
    ("count of 60,000 digits", "invalid_field", with_data(tokens={"input": Literal("9" * 60_000)})),
    ("runs 1.5", "invalid_field", with_data("connector_tool", connector="c", tool="t", executions=Literal("1.5"))),
    ("image count 2^64", "invalid_field", with_data("image", operation="generate", count=2**64)),
    ("seconds -0.1", "invalid_field", with_data(seconds=Literal("-0.1"))),
    ("seconds over 10^15", "invalid_field", with_data(seconds="1000000000000000.000000000000000001")),
    ("seconds 1e400", "invalid_field", with_data(seconds=Literal("1e400"))),
    ("seconds 1e-400", "invalid_field", with_data(seconds=Literal("1e-400"))),
    ("seconds 1e999999999", "invalid_field", with_data(seconds=Literal("1e999999999"))),
    ("seconds 1e-999999999", "invalid_field", with_data(seconds=Literal("1e-999999999"))),
    ("seconds of 60,000 digits", "invalid_field", with_data(seconds=Literal("9" * 60_000))),
    ("seconds of 60,000 zeros and a 1", "invalid_field", with_data(seconds=Literal("0." + "0" * 60_000 + "1"))),
    ("seconds of 19 digits", "invalid_field", with_data(seconds=Literal("0.1234567890123456789"))),
    ("seconds 0e999999999", "invalid_field", with_data(seconds=Literal("0e999999999"))),
    ("seconds 0e-999999999", "invalid_field", with_data(seconds=Literal("0e-999999999"))),
    ("seconds '-0'", "invalid_field", with_data(seconds="-0")),
    ("seconds '-0.0'", "invalid_field", with_data(seconds="-0.0")),
    ("seconds '-0' spelled with an escape", "invalid_field", with_data(seconds=Literal('"\\u002d0"'))),
    ("memory_mb '-0'", "invalid_field", with_data("code_execution", cpu_seconds=1, memory_mb="-0", wall_seconds=1)),
    ("dimension '-0'", "invalid_field", with_data("terminal", dimensions={"a": "-0"})),
    ("unit '-0'", "invalid_field", with_data("units", endpoint="e", units={"a": "-0"})),
    ("seconds '1e3'", "invalid_field", with_data(seconds="1e3")),
    ("seconds '+1'", "invalid_field", with_data(seconds="+1")),
    ("seconds ''", "invalid_field", with_data(seconds="")),
    ("seconds '1 '", "invalid_field", with_data(seconds="1 ")),
    ("seconds '1\\n'", "invalid_field", with_data(seconds="1\n")),
    ("seconds null", "invalid_field", with_data(seconds=None)),
    ("seconds true", "invalid_field", with_data(seconds=True)),
    ("seconds a map", "invalid_field", with_data(seconds={})),
    ("seconds in Arabic digits", "invalid_field", with_data(seconds="٣")),
    ("no wall_seconds", "invalid_field", with_data("code_execution", cpu_seconds=1, memory_mb=1)),
    ("no dimension", "invalid_field", with_data("terminal", dimensions={})),
    ("dimension null", "invalid_field", with_data("terminal", dimensions={"a": None})),
    ("7,000 keys, the last one twice", "not_json", with_(ext=Literal(
        "{" + ",".join(f'"{n}":1' for n in range(7000)) + ',"6999":1}'))),
]  # fmt: skip


@pytest.mark.parametrize(("reason", "value"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_hostile_input_is_rejected_at_once_for_its_reason(reason: str, value: bytes | None) -> None:
    """With a detail that says what was found and fits a header, and at once: linear work takes 30 ms of 64 KiB,

    100 ms beside other tests on the same two cores; anything quadratic takes seconds.
    """
    found, detail = refused(value)
    assert found == reason
    assert 0 < len(detail) < 1000
    assert min(timeit.repeat(lambda: refused(value), time.thread_time, repeat=3, number=1)) < 0.25


@pytest.mark.parametrize("row", hostile_rows(GOOD), ids=lambda row: row.name)
def test_every_hostile_row_is_rejected_for_a_reason_of_the_contract(row: Any) -> None:
    """Except those that only the append time betrays."""
    if row.reasons & {"from_the_future", "too_late"} and not row.reasons & {"invalid_field"}:
        read_event(row.value, row.headers)
        return
    if row.reasons == {"invalid_field", "from_the_future"} or row.reasons == {"invalid_field", "too_late"}:
        return  # either reading of the calendar's ends will do
    assert refused(row.value, row.headers)[0] in row.reasons


@pytest.mark.parametrize(
    "value",
    [
        with_().ljust(65_536),
        with_(ext=nested(31)),
        with_(ext=Literal("1e400")),
        with_(ext=2**64, subject="é" * 128, dataschema=None),
        with_(subject=None),
        with_(id="é" * 128, source="\U0001f600" * 64),
        with_data(user="é" * 128, labels={"é" * 64: "ü" * 64}),
        with_data(labels={f"l{n}": "x" for n in range(16)}),
        with_data(labels={}),
        with_data(tokens={"input": 10**15, "a kind: of its own": 0}),
        with_data(seconds="1000000000000000"),
        with_data(seconds=Literal("1e15")),
        with_data(tokens=REMOVED, seconds=0),
        with_data(seconds=Literal("-0")),
        with_data(seconds=Literal("-0.0e-0")),
        with_data(seconds=Literal("0.000000000000000001")),
        with_data(seconds=Literal("123456789012345.123456789012345678")),
        with_data("image", operation="generate"),
        with_data("connector_tool", connector="github", tool="search"),
        b" \r\n\t" + with_() + b" \r\n\t",
    ],
)
def test_what_is_within_the_bounds_is_read(value: bytes) -> None:
    """Each bound by one."""
    assert read_event(value, ()).data.organization == "acme"


@pytest.mark.parametrize(
    ("text", "second"),
    [
        ("1969-12-31T23:59:59.999999999Z", -1),
        ("1969-12-31T23:59:59.999Z", -1),
        ("1970-01-01T00:00:00+00:01", -60),
        ("1600-02-29T00:00:00Z", -11_670_998_400),
        ("1600-02-29T00:00:00.5+14:00", -11_671_048_800),
        ("0001-01-01T00:00:00Z", -62_135_596_800),
        ("0001-01-01T00:00:00-14:00", -62_135_546_400),
    ],
)
def test_usage_before_1970_is_too_late_and_not_ill_written(text: str, second: int) -> None:
    """By both paths of reading, and by the oracle."""
    value = with_(time=text)
    for found in (reading._read_fast(value, None), reading._examine(value, None)):
        assert found is not None
        assert found.at // 10**9 == second
    assert agreed(value) is not None
    stepped = step(state(), Inputs(raw=[raw(GOOD | {"time": text})]), book(), lane(), NOW_MS)
    assert stepped.counts.rejected == {"too_late": 1}
    assert judged(value) == {"too_late"}


def test_the_oracle_refuses_the_same_subjects_and_zeros() -> None:
    """Every row of the table above that is about them, for that reason alone."""
    rows = [(value, reason) for name, reason, value in ROWS if name.startswith("subject") or "'-0" in name]
    assert len(rows) == 12
    assert [judged(value) for value, _ in rows] == [{reason} for _, reason in rows]


@pytest.mark.parametrize(
    ("value", "detail"),
    [
        (with_data(seconds=Literal("0e999999999")), "data.seconds: '0e999999999' has an exponent of over three digits"),
        (
            with_data(seconds=Literal("0e-999999999")),
            "data.seconds: '0e-999999999' has an exponent of over three digits",
        ),
        (with_data(seconds=Literal("9" * 999)), f"data.seconds: '{'9' * 60}' has over 400 characters"),
        (with_data(seconds=Literal("9" * 400)), f"data.seconds: {'9' * 60} has more than 16 digits before the point"),
        (with_data(seconds=Literal("1e16")), "data.seconds: 1E+16 has more than 16 digits before the point"),
        (with_data(seconds="1e1000"), "data.seconds: '1e1000' is not a plain decimal"),
        (with_data(seconds=True), "data.seconds: true is neither a JSON number nor a decimal string"),
        (with_data(seconds="-0"), 'data.seconds: "-0" has a sign, which no plain decimal string has'),
        (with_data(seconds="-1"), f'data.seconds: "-1" is not between 0 and {10**15}'),
        (with_data(tokens={"input": 1, "output": -1}), "data.tokens.output: expected int >= 0, found -1"),
        (with_data(tokens={"input": Literal("2.50")}), "data.tokens.input: expected int, found 2.50"),
        (with_data(tokens={"": 1}), 'data.tokens, a key: expected str of length >= 1, found ""'),
        (with_data(tokens={"a` - at `$.b": "1"}), 'data.tokens.a` - at `$.b: expected int, found "1"'),
        (with_data(tokens={}), "data.tokens: expected object of length >= 1, found {}"),
        (with_data(labels={"team": 7}), "data.labels.team: expected str, found 7"),
        (with_data(model=None), "data.model: expected str, found null"),
        (with_data(unheard_of=1), "data.unheard_of is no known field"),
        (with_data(**{"a` - at `$.b": 1}), "data.a` - at `$.b is no known field"),
        (with_data(provider_cost={"amount": "1"}), "data.provider_cost.currency is missing"),
        (
            with_data(provider_cost={"amount": "1", "currency": "USD", "by": 1}),
            "data.provider_cost.by is no known field",
        ),
        (with_(data={"organization": "org_1"}), "data.project is missing"),
        (with_(data=None), "data: expected object, found null"),
        (with_(subject=7), "subject: 7 is not a string"),
        (with_(time="0001-01-01T00:00:00+14:00"), "time: '0001-01-01T00:00:00+14:00' is not in the years 1 to 9999"),
    ],
)
def test_the_detail_is_true(value: bytes, detail: str) -> None:
    """Who has to mend the event reads it."""
    assert refused(value) == ("invalid_field", detail)


def test_a_name_too_long_to_be_one_is_not_remembered() -> None:
    """Of 60 KB each, 8,192 of them would fill 470 MiB."""
    read_event(with_(), ())
    remembered = checks.is_name.cache_info().misses
    assert refused(with_data(organization="a" * 60_000))[0] == "invalid_field"
    assert refused(with_data(project="b" * 129))[0] == "invalid_field"
    assert checks.is_name.cache_info().misses == remembered


def test_headers_are_bounded() -> None:
    """64 are read, 65 are too many."""
    headers = [(f"h{number}", b"x") for number in range(65)]
    assert read_event(with_(), headers[:64]).id == GOOD["id"]
    assert refused(with_(), headers) == ("too_large", "65 headers, at most 64 are read")


@pytest.mark.parametrize(
    ("reason", "value"),
    [
        ("too_large", b"\xef\xbb\xbf".ljust(65_537)),
        ("not_json", text_of(with_(specversion="0.3"), '{"spec', '{"id": "x", "spec')),
        ("not_a_cloudevent", with_(specversion="0.3", type="x")),
        ("unknown_type", with_(type="x", time="yesterday")),
        ("invalid_field", with_(time="yesterday", data=5)),
    ],
)
def test_of_several_reasons_the_first_in_the_table_is_given(reason: str, value: bytes) -> None:
    """Size, JSON, envelope, type, fields."""
    assert refused(value)[0] == reason


# --- modes


def test_the_three_modes_say_the_same() -> None:
    """Structured, bare and binary: identity, instant, content and data are equal."""
    structured, bare, binary = (
        read_event(*encode(GOOD)),
        read_event(*encode(GOOD, ())),
        read_event(*encode_binary(GOOD)),
    )
    assert facts(structured) == facts(bare) == facts(binary)
    assert structured.fingerprint() == binary.fingerprint()


@pytest.mark.parametrize(
    "kind",
    [b"application/cloudevents+json", b" Application/CloudEvents+JSON; charset=utf-8", b"application/cloudevents"],
)
def test_the_content_type_says_structured(kind: bytes) -> None:
    """Then `ce_*` headers do not count."""
    assert read_event(with_(), [("ce_id", b"other"), ("content-type", kind)]).id == GOOD["id"]


def test_attributes_of_binary_mode_are_headers() -> None:
    """And extensions there are ignored too; the value is `data` alone."""
    value, headers = encode_binary(GOOD)
    assert read_event(value, [*headers, ("ce_ext", b"\xff"), ("other", b"\xff"), ("none", None)]).id == GOOD["id"]  # type: ignore[list-item]


BINARY = dict(encode_binary(GOOD)[1])


@pytest.mark.parametrize(
    ("reason", "headers", "value"),
    [
        ("not_a_cloudevent", {"content-type": b"application/cloudevents-batch+json"}, b"[]"),
        ("not_a_cloudevent", {"content-type": b"Application/CloudEvents-Batch+json; charset=utf-8"}, with_()),
        ("not_a_cloudevent", {"content-type": b"application/cloudevents+json" + b" " * 300}, with_()),
        ("not_a_cloudevent", BINARY | {"ce_id": b"\xff"}, dumps(DATA).encode()),
        ("not_a_cloudevent", BINARY | {"ce_id": b""}, dumps(DATA).encode()),
        ("not_a_cloudevent", BINARY | {"ce_specversion": b"0.3"}, dumps(DATA).encode()),
        ("not_a_cloudevent", BINARY | {"ce_data_base64": b"e30="}, dumps(DATA).encode()),
        ("unknown_type", BINARY | {"ce_type": b"x"}, dumps(DATA).encode()),
        ("invalid_field", BINARY | {"ce_time": b"x"}, dumps(DATA).encode()),
        ("invalid_field", BINARY | {"ce_time": b"2026-11-22T10:00:00." + b"0" * 20_000 + b"Z"}, dumps(DATA).encode()),
        ("invalid_field", BINARY | {"ce_id": b"x" * 257}, dumps(DATA).encode()),
        ("invalid_field", BINARY | {"ce_subject": b""}, dumps(DATA).encode()),
        ("invalid_field", BINARY | {"ce_subject": b"a\x7f"}, dumps(DATA).encode()),
        ("invalid_field", BINARY | {"ce_subject": b"x" * 257}, dumps(DATA).encode()),
        ("invalid_field", BINARY, with_()),
        ("invalid_field", BINARY, b"5"),
        ("not_json", BINARY, b'{"organization": '),
        ("not_json", BINARY, dumps(DATA).encode().replace(b'{"org', b'{"project": "p2", "org', 1)),
        ("not_json", BINARY, None),
    ],
)
def test_bad_headers_are_rejected(reason: str, headers: dict[str, bytes], value: bytes | None) -> None:
    """Batch mode, and what is wrong with binary mode. Headers that are kept later are short."""
    assert refused(value, list(headers.items()))[0] == reason


def test_a_null_header_is_an_attribute_that_is_unset() -> None:
    """As null is in JSON; those that an event needs are missing then."""
    value, headers = encode_binary(GOOD)
    null: Any = None

    def unset(name: str) -> list[tuple[str, bytes]]:
        return [(name, null), *(header for header in headers if header[0] != name)]

    assert read_event(value, unset("ce_subject")).id == GOOD["id"]
    assert refused(value, unset("ce_id"))[0] == "not_a_cloudevent"
    assert refused(value, unset("ce_time"))[0] == "invalid_field"


def test_an_attribute_that_stands_there_twice_is_refused() -> None:
    """As a key of JSON that does: which of the two is meant, nobody knows."""
    value, headers = encode_binary(GOOD)
    assert refused(value, [*headers, ("ce_id", b"other")]) == ("not_a_cloudevent", "header ce_id stands there twice")


# --- what is read


def test_an_event_has_what_its_bytes_say() -> None:
    """Quantities exactly as written, the time in UTC, what is unset unset."""
    found = read_event(
        with_data(
            seconds=Literal("1.250e1"),
            provider_cost={"amount": "0.00120", "currency": "USD"},
            labels={"team": "core"},
            billable=False,
        ).replace(b"10:00:00Z", b"11:00:00.25+01:00"),
        (),
    )
    assert (found.type, found.source, found.id) == (GOOD["type"], GOOD["source"], GOOD["id"])
    assert (found.time, found.at) == ("2026-11-22T10:00:00.25Z", 1_795_341_600_250_000_000)
    assert found.data.tokens == {"input": 1000, "cache_read": 200, "output": 50}
    assert found.data.seconds == Decimal("12.5")
    assert (found.data.provider_cost.amount, found.data.provider_cost.currency) == (Decimal("0.0012"), "USD")
    assert found.data.labels == {"team": "core"}
    assert found.data.billable is False
    assert (found.data.user, found.data.priority) == (reading.UNSET, reading.UNSET)


def test_the_fingerprint_is_the_contract_s() -> None:
    """BLAKE2b-128 of organization, source and id in UTF-8, joined by a line feed: computed by `b2sum -l 128`."""
    found = event(usage("org_1 ftg-3.0-pro in=1 id=01JD source=gateway/eu-1"))
    assert found.fingerprint().hex() == "e1b476f39e984be80644f5d6a05b0c66"


SAME = [
    ("seconds of a string and a number", {"seconds": "5.5"}, {"seconds": Literal("5.5")}),
    ("trailing zeros", {"seconds": "5.5"}, {"seconds": "5.500"}),
    ("an exponent", {"seconds": "1500"}, {"seconds": Literal("1.5E+3")}),
    ("zero", {"seconds": "0"}, {"seconds": Literal("0.00")}),
    ("an escape in a string", {"user": "Zoë"}, {"user": Literal('"Zo\\u00eb"')}),
    ("an escape in a decimal string", {"seconds": "5.5"}, {"seconds": Literal('"\\u0035.5"')}),
    ("an escape in a key", {"user": "u"}, Literal('"us\\u0065r": "u"')),
    ("an escaped slash", {"user": "a/b"}, {"user": Literal('"a\\/b"')}),
    ("a pair of surrogates", {"user": "\U0001f600"}, {"user": Literal('"\\ud83d\\ude00"')}),
    ("the order of tokens", {"tokens": {"input": 1, "output": 2}}, {"tokens": {"output": 2, "input": 1}}),
    ("the order of labels", {"labels": {"a": "1", "b": "2"}}, {"labels": {"b": "2", "a": "1"}}),
]


@pytest.mark.parametrize(("one", "other"), [row[1:] for row in SAME], ids=[row[0] for row in SAME])
def test_content_is_what_is_said_not_how(one: Any, other: Any) -> None:
    """Two spellings of one content have one hash."""
    first = with_data(**one)
    second = (
        with_data(**other) if isinstance(other, dict) else text_of(with_(), '"data": {', f'"data": {{{other.text}, ')
    )
    assert read_event(first, ()).content == read_event(second, ()).content


DIFFERENT: list[Callable[[], bytes]] = [
    lambda: with_(time="2026-11-22T10:00:00.000000001Z"),
    lambda: with_data(project="p2"),
    lambda: with_data(model="ftg-3.0-pr"),
    lambda: with_data(priority="default"),
    lambda: with_data(user="u"),
    lambda: with_data(billable=True),
    lambda: with_data(billable=False),
    lambda: with_data(labels={}),
    lambda: with_data(labels={"a": "b"}),
    lambda: with_data(seconds=0),
    lambda: with_data(tokens={"input": 1000, "cache_read": 200, "output": 51}),
    lambda: with_data(tokens={"input": 1000, "cache_read": 200, "output": 50, "x": 0}),
    lambda: with_data(tokens={"input": 200, "cache_read": 1000, "output": 50}),
    lambda: with_data(provider_cost={"amount": 1, "currency": "USD"}),
]


def test_other_content_has_another_hash() -> None:
    """Each of them differs from the good event, and from each other."""
    hashes = {read_event(value, ()).content for value in [with_(), *(make() for make in DIFFERENT)]}
    assert len(hashes) == 1 + len(DIFFERENT)


def test_the_envelope_but_type_and_time_is_no_content() -> None:
    """Identity is told by the fingerprint; extensions are ignored."""
    assert read_event(with_(id="x", source="y", subject="z", ext=1), ()).content == read_event(with_(), ()).content


# --- the two paths

LINES = [
    "acme ftg-3.0-pro in=1000 cached=200 out=50 user=a:b priority=high",
    "acme ftg-3.0-pro seconds=1.50 billable=no not_billable_because=own_word",
    "o-3@eu image:generate count=2 model=ftg-3.0-pro region=eu",
    "acme code cpu=5.5 mb=512 wall=10",
    "z~9:x connector:github/search executions=3 at=2026-11-22T10:00:00.25+01:00",
    "acme terminal egress_bytes=1048576 cpu_seconds=5.5",
]
STRINGS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
AMOUNTS = ["1.0", Literal("1e2"), "-1", "-0", Literal("-0")]
CHANGES = st.one_of(
    st.just({}),
    st.fixed_dictionaries({"user": STRINGS}),
    st.fixed_dictionaries({"labels": st.dictionaries(STRINGS, STRINGS, max_size=3)}),
    st.fixed_dictionaries({"region": st.sampled_from(["a:b", '"', "\\", "\x7f", "é", "x" * 257, "é" * 129])}),
    st.fixed_dictionaries(
        {"provider_cost": st.fixed_dictionaries({"amount": st.sampled_from(AMOUNTS),
                                                 "currency": st.sampled_from(["USD", "usd"])})}),
    st.fixed_dictionaries({"billable": st.sampled_from([True, False, None, 0])}),
    st.fixed_dictionaries({"unknown": st.just(1)}),
)  # fmt: skip

SUBJECTS = [None, "", 7, Literal("1.5"), True, [], {"a:b": 1}, "a:b", "a\x7f", "x" * 256, "x" * 257, "é" * 129]
TIMES = ["1969-12-31T23:59:59.999Z", "0001-01-01T00:00:00+00:01", "0001-01-01T00:00:00-00:01"]
EXTRAS = st.one_of(
    st.sampled_from([{}, {}, {"ext": 1}, {"traceparent": "00-4b"}, {"id": 'é"'}]),
    st.fixed_dictionaries({"subject": st.sampled_from(SUBJECTS)}),
    st.fixed_dictionaries({"time": st.sampled_from(TIMES)}),
)


@st.composite
def events(draw: st.DrawFn) -> dict[str, Any]:
    """An event of any type, mostly well-formed."""
    made = usage(draw(st.sampled_from(LINES)))
    return {**made, **draw(EXTRAS), "data": {**made["data"], **draw(CHANGES)}}


def spelled(value: Any, dice: random.Random) -> str:
    """JSON text of `value` with its keys in any order, any white space, and strings with or without escapes."""
    space = dice.choice(["", "", " ", "\n\t", "\r "])
    if isinstance(value, Literal):
        return value.text
    if isinstance(value, dict):
        members = [f"{spelled(key, dice)}{space}:{space}{spelled(inner, dice)}" for key, inner in value.items()]
        dice.shuffle(members)
        return "{" + space + f"{space},".join(members) + space + "}"
    if isinstance(value, str) and dice.random() < 0.2:
        units = value.encode("utf-16-be").hex()
        return '"' + "".join("\\u" + units[at : at + 4] for at in range(0, len(units), 4)) + '"'
    return json.dumps(value, ensure_ascii=dice.random() < 0.5)


def facts(found: Event) -> tuple[Any, ...]:
    """Everything that an event says but how its strings were spelled."""
    return found.type, found.source, found.id, found.time, found.at, found.data, found.content


def agreed(value: bytes) -> Event | None:
    """The event of the strict path, None where it refuses; the fast path agrees or has nothing to say."""
    fast = reading._read_fast(value, None)
    try:
        strict = reading._examine(value, None)
    except InvalidUsage:
        assert fast is None
        return None
    assert fast is None or facts(fast) == facts(strict)
    if fast is not None:
        assert all(json.dumps(text) == f'"{text}"' for text in strings_in(fast))
    return strict


def strings_in(found: Event) -> list[str]:
    """The strings that are written without escapes."""
    data = found.data
    return [
        found.id,
        found.source,
        *(value for value in map(data.__getattribute__, data.__struct_fields__) if type(value) is str),
    ]


@given(events(), st.randoms(use_true_random=False))
def test_the_fast_path_agrees_with_the_strict_one(made: dict[str, Any], dice: random.Random) -> None:
    """However the event is spelled; and every spelling has the same content."""
    plain = agreed(dumps(made, ",", ":").encode())
    other = agreed(spelled(made, dice).encode())
    assert (plain is None) == (other is None)
    if plain is not None and other is not None:
        assert facts(plain) == facts(other)


PIECES = [
    b"",
    b'"',
    b"\\",
    b":",
    b",",
    b"{",
    b"}",
    b"0",
    b"-",
    b".",
    b"e5",
    b" ",
    b"\x00",
    b"\x7f",
    b"\xc3",
    b"null",
    b'"id":"x",',
    b'"input":1,',
]


@given(
    st.sampled_from(LINES),
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 3), st.sampled_from(PIECES)), min_size=1, max_size=3),
)
def test_the_paths_agree_on_broken_bytes(line: str, cuts: list[tuple[int, int, bytes]]) -> None:
    """Some bytes anywhere are replaced by others."""
    value = dumps(usage(line), ",", ":").encode()
    for at, length, piece in cuts:
        at %= len(value)
        value = value[:at] + piece + value[at + length :]
    agreed(value)


@given(st.sampled_from(LINES), st.data())
def test_a_repeated_key_is_never_read(line: str, data: st.DataObject) -> None:
    """Whichever key of whichever object comes twice, first or last, with the same value or another one."""
    made = usage(line)
    text = dumps(made, ",", ":")
    objects = [made, *(inner for inner in (made["data"], *made["data"].values()) if isinstance(inner, dict))]
    chosen = data.draw(st.sampled_from(objects))
    key = data.draw(st.sampled_from(sorted(chosen)))
    value = (
        dumps(chosen[key], ",", ":") if data.draw(st.booleans()) else data.draw(st.sampled_from(['"a:b"', "1", "{}"]))
    )
    whole = dumps(chosen, ",", ":")
    member = f'"{key}":{value}'
    twice = f"{{{member},{whole[1:]}" if data.draw(st.booleans()) else f"{whole[:-1]},{member}}}"
    assert refused(text.replace(whole, twice).encode())[0] == "not_json"


@given(
    st.binary(max_size=200),
    st.lists(st.tuples(st.sampled_from(["content-type", "ce_id", "x"]), st.binary(max_size=20))),
)
def test_any_bytes_give_an_event_or_a_reason(value: bytes, headers: list[tuple[str, bytes]]) -> None:
    """Nothing else is raised."""
    assert refused(value, headers)[0] in {"not_json", "not_a_cloudevent"}
