"""Comparisons of single records with what the oracle wants: each answers with problems in words.

Records are held against the contract as a stranger would read them: amounts as exact strings, since the
oracle's own are canonical, and times as instants.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any

from tests.oracle_reading import VALUE_BYTES_MAX, Event, Record, read_time
from tests.oracle_totals import AMOUNTS

HEADER = "stream-pricing-"
HEADER_BYTES_MAX = 16 * 1024
DECIMAL = re.compile(r"0|-?(?=.*[1-9])(0|[1-9][0-9]*)(\.[0-9]*[1-9])?")
CLOSED = {"list", "net", "due", "cost", "margin", "converted", "labels"}  # maps in which no further key may appear


# --- what a record says


def at_of(record: Record) -> str:
    """Where a record lies, for messages."""
    return f"{record.partition}@{record.offset}"


def read_value(record: Record) -> Any:
    """The JSON value; None where there is none."""
    try:
        return json.loads(record.value or b"null")
    except ValueError:
        return None


def header_origin(record: Record) -> Any:
    """The raw record that our headers name."""
    topic, partition, offset = (record.header(HEADER + n) or b"" for n in ("topic", "partition", "offset"))
    try:
        return (topic.decode(), int(partition), int(offset))
    except ValueError:
        return "no origin"


# --- the parts of a record around its data


def envelope_problems(record: Record, value: Mapping[str, Any], event: Event, app: str) -> Iterable[str]:
    """A priced event is a CloudEvent in structured mode, of this id, source, subject and instant."""
    wanted = {
        "specversion": "1.0",
        "type": "ai.usage.priced.v1",
        "source": f"/stream-pricing/{app}",
        "id": f"{event.fingerprint}-0",
        "subject": event.data["project"],
    }
    for name, want in wanted.items():
        if value.get(name) != want:
            yield f"{name} is {value.get(name)!r}, expected {want!r}"
    time = str(value.get("time"))
    if read_time(time) != event.at_ns or not time.endswith("Z"):
        yield f"time is {time!r}, expected the instant {event.at_ns} ns in UTC"
    if not (record.header("content-type") or b"").startswith(b"application/cloudevents+json"):
        yield f"content-type is {record.header('content-type')!r}"


def trace_problems(record: Record, raw: Record) -> Iterable[str]:
    """traceparent and tracestate are copied."""
    for name in ("traceparent", "tracestate"):
        if record.header(name) != raw.header(name):
            yield f"{name} is {record.header(name)!r}, the raw record has {raw.header(name)!r}"


def letter_problems(record: Record, raw: Record) -> Iterable[str]:
    """A parked or rejected record keeps value, headers and timestamp, and says what and when."""
    if len(raw.value or b"") <= VALUE_BYTES_MAX:
        if (record.value or b"") != (raw.value or b""):
            yield f"value {record.value!r:.200}, expected {raw.value!r:.200}"
    else:
        yield from _cut_problems(record, raw.value or b"")
    yield from _kept_header_problems(record, raw)
    if record.timestamp_ms != raw.timestamp_ms:
        yield f"timestamp {record.timestamp_ms}, the raw record has {raw.timestamp_ms}"
    at = (record.header(HEADER + "at") or b"").decode(errors="replace")
    if read_time(at) is None or not at.endswith("Z"):
        yield f"{HEADER}at is {at!r}"
    if record.header(HEADER + "detail") is None:
        yield f"{HEADER}detail is missing"


def _cut_problems(record: Record, value: bytes) -> Iterable[str]:
    kept = record.value or b""
    if len(kept) > VALUE_BYTES_MAX or not kept or not value.startswith(kept):
        yield f"the value of {len(value)} bytes is cut to {len(kept)} bytes, not to its beginning"
    described = {"length": str(len(value)), "sha256": hashlib.sha256(value).hexdigest()}
    for name, want in described.items():
        if record.header(HEADER + name) != want.encode():
            yield f"{HEADER}{name} is {record.header(HEADER + name)!r}, expected {want!r}"


def _kept_header_problems(record: Record, raw: Record) -> Iterable[str]:
    kept = [pair for pair in record.headers if not pair[0].startswith(HEADER)]
    theirs = [pair for pair in raw.headers if not pair[0].startswith(HEADER)]
    left_out = record.header(HEADER + "headers-left-out")
    if left_out is None:
        if sorted(kept, key=repr) != sorted(theirs, key=repr):
            yield f"headers {kept}, expected {theirs}"
        elif sum(len(value or b"") for _, value in theirs) > HEADER_BYTES_MAX:
            yield f"headers of over {HEADER_BYTES_MAX} bytes are kept"
        return
    if sum(len(name.encode()) + len(value or b"") for name, value in raw.headers) <= HEADER_BYTES_MAX:
        yield f"headers are left out, though they are of at most {HEADER_BYTES_MAX} bytes"
    if int(left_out) + len(kept) not in (len(theirs), len(raw.headers)):
        yield f"{HEADER}headers-left-out is {left_out!r} and {len(kept)} are kept, of {len(theirs)}"


# --- data and totals


def differences(want: Any, have: Any, path: str = "data") -> list[str]:
    """Where `have` lacks or contradicts what is wanted; further fields are allowed, other than in amounts."""
    if isinstance(want, Mapping) and isinstance(have, Mapping):
        return _map_differences(want, have, path)
    if isinstance(want, list) and isinstance(have, list):
        if len(want) != len(have):
            return [f"{path} has {len(have)} entries, expected {len(want)}: {have} instead of {want}"]
        parts = zip(_sorted(path, want), _sorted(path, have), strict=True)
        return [p for i, (w, h) in enumerate(parts) for p in differences(w, h, f"{path}[{i}]")]
    if path.endswith("provider_cost.amount") or re.search(r"fx\[\d+\]\.from$", path):
        return [] if _same_value(want, have) else [f"{path} is {have!r}, expected the value {want!r}"]
    return [] if (type(want), want) == (type(have), have) else [f"{path} is {have!r}, expected {want!r}"]


def _map_differences(want: Mapping[str, Any], have: Mapping[str, Any], path: str) -> list[str]:
    problems = []
    if path.removeprefix("data").strip(".").split(".")[0] in CLOSED and want.keys() != have.keys():
        problems.append(f"{path} has {sorted(have)}, expected {sorted(want)}")
    absent = {"consumed", "consumed_unit"} if "meter" in want and "amount" not in want else set()
    absent |= {"model_given", "provider_cost", "labels", "not_billable_because"} if path == "data" else set()
    absent |= {"cost", "margin", "cost_sheet"} if path == "data" else set()
    if path == "data" and "cost" not in want and any("cost" in line for line in have.get("lines", ())):
        problems.append("a line has a cost, the event has none")
    for name in sorted(absent - want.keys()):
        if have.get(name) is not None:
            problems.append(f"{path}.{name} is {have[name]!r}, expected none")
    for name, value in want.items():
        if name not in have:
            problems.append(f"{path}.{name} is missing, expected {value!r}")
        else:
            problems += differences(value, have[name], f"{path}.{name}")
    return problems


def _sorted(path: str, entries: list[Any]) -> list[Any]:
    return sorted(entries, key=lambda rate: str(rate.get("pair"))) if path.endswith("fx") else entries


def _same_value(want: Any, have: Any) -> bool:
    try:
        return read_time(want) == read_time(have) if "T" in want else Fraction(want) == Fraction(have)
    except (TypeError, ValueError):
        return False


def total_differences(want: Mapping[str, Any], have: Mapping[str, Any]) -> Iterable[str]:
    """Where a total is not the sum; a currency or meter of zero may be there or not."""
    for name in ("organization", "project", "window", "start", "end", "item"):
        if have.get(name) != want.get(name):
            yield f"{name} is {have.get(name)!r}, expected {want.get(name)!r}"
    for name in ("events", "not_billable_events"):
        if (type(have.get(name)), have.get(name)) != (int, want[name]):
            yield f"{name} is {have.get(name)!r}, expected {want[name]}"
    if have.get("events_without_cost") != want.get("events_without_cost"):
        yield f"events_without_cost is {have.get('events_without_cost')!r}, expected {want.get('events_without_cost')}"
    for name in ("tokens", "synapses", "neurons"):
        yield from _amount_problems(name, want[name], have.get(name))
    for name in ("cost", "margin"):
        if (name in want) != (name in have):
            yield f"{name} is {have.get(name)!r}, expected {want.get(name)!r}"
    for name in ("quantities", "provider_cost", *AMOUNTS, *({"cost", "margin"} & want.keys() & have.keys())):
        yield from _amount_map_problems(name, want[name], have.get(name))
    for currency in sorted(want["converted"].keys() | (have.get("converted") or {}).keys()):
        parts = [side.get("converted", {}).get(currency, {}) for side in (want, have)]
        yield from _amount_map_problems(f"converted.{currency}", *parts)
    if "as_of" in want and read_time(str(have.get("as_of"))) != read_time(want["as_of"]):
        yield f"as_of is {have.get('as_of')!r}, expected {want['as_of']!r}"


def _amount_map_problems(name: str, want: Mapping[str, str], have: Any) -> Iterable[str]:
    if not isinstance(have, Mapping):
        yield f"{name} is {have!r}"
        return
    for key in sorted(want.keys() | have.keys()):
        yield from _amount_problems(f"{name}.{key}", want.get(key, "0"), have.get(key, "0"))


def _amount_problems(name: str, want: str, have: Any) -> Iterable[str]:
    is_token_count = name == "tokens" and type(have) is int
    if not is_token_count and not (isinstance(have, str) and DECIMAL.fullmatch(have)):
        yield f"{name} is {have!r}, no decimal string as the contract writes it"
    elif str(have) != want:
        yield f"{name} is {have!r}, expected {want!r}"
