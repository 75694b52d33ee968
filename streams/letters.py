"""Records for what is not priced now: rejected, forwarded and parked ones, and the release of a parked one.

All of them name the raw record, which for a forwarded one is what its headers say. Values stay as they came.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from msgspec import Struct

from pricing.book import Book
from pricing.errors import Rejected, Unpriced
from pricing.events import Event
from pricing.rating import Missing
from streams import headers
from streams.batch import InRecord, Lane, OutRecord
from streams.codec import Origin
from streams.headers import Header
from streams.state import ParkedEvent


@dataclass(slots=True)
class RawRecord:
    """Where a forwarded record came in."""

    topic: str
    partition: int
    offset: int


CLOCKS_APART_MS = 5 * 60 * 1000  # brokers stamp the raw and the forwarded record, each with its own clock


class Arrival(Struct, frozen=True, gc=False):
    """A record with what is known of it as the raw one: its origin, append time, key, and the producer's headers."""

    record: InRecord
    origin: Origin
    append_ms: int
    key: bytes | None
    headers: Sequence[Header]


def arrival_of(record: InRecord, rekeyed: str, lane: Lane) -> Arrival:
    """A record of the raw topic, or of the one called `rekeyed`."""
    return forwarded_arrival(record, lane) if record.topic == rekeyed else raw_arrival(record)


def raw_arrival(record: InRecord) -> Arrival:
    """A record of the raw topic."""
    return Arrival(record, record, record.timestamp, record.key, headers.incoming(record.headers))


def forwarded_arrival(record: InRecord, lane: Lane) -> Arrival:
    """A record of the rekeyed topic, as the raw one that it was; without our headers it is taken as it is.

    So is one that someone else has made up: what it says of a raw record must be possible.
    """
    found = dict(record.headers)
    try:
        origin = RawRecord(found[headers.TOPIC].decode(), int(found[headers.PARTITION]), int(found[headers.OFFSET]))
        append_ms, key = int(found[headers.APPEND_TIME]), found.get(headers.KEY)
    except (AttributeError, KeyError, TypeError, ValueError):  # not there, null, or not what we write
        return raw_arrival(record)
    is_possible = origin.topic == lane.topics.raw and 0 <= origin.partition < lane.partitions and origin.offset >= 0
    if not is_possible or not 0 <= append_ms <= record.timestamp + CLOCKS_APART_MS:
        return raw_arrival(record)
    return Arrival(record, origin, append_ms, key, headers.forwarded(record.headers))


def parked_arrival(record: InRecord) -> Arrival:
    """A record of the parked topic, as the raw one that it was. Its timestamp is the raw record's append time."""
    found = dict(record.headers)
    origin = RawRecord(found[headers.TOPIC].decode(), int(found[headers.PARTITION]), int(found[headers.OFFSET]))
    return Arrival(record, origin, record.timestamp, found.get(headers.KEY), headers.incoming(record.headers))


def rejected(arrival: Arrival, reason: Rejected, detail: str, now: str) -> OutRecord:
    """The dead letter; a value over 64 KiB is cut, a key over 16 KiB left out."""
    value, described = headers.cut(arrival.record.value)
    key = arrival.key if headers.is_carried(arrival.key) else None
    verdict = headers.verdict_headers(reason, _with_key(detail, arrival.key), arrival.origin, now)
    return key, value, [*headers.carried(arrival.headers), *verdict, *described], arrival.append_ms


def _with_key(detail: str, key: bytes | None) -> str:
    """The detail, which says so where the raw record's key is left out."""
    return detail if headers.is_carried(key) else f"the key of {len(key or b'')} bytes is left out; {detail}"


def forwarded(arrival: Arrival, key: bytes, now_ms: int) -> OutRecord:
    """The record on its way to the partition of its organization, the `key`."""
    append_time = (headers.APPEND_TIME, b"%d" % arrival.append_ms)
    added = [*headers.origin_headers(arrival.origin), append_time, *headers.key_header(arrival.key)]
    return key, arrival.record.value, [*headers.carried(arrival.headers), *added], now_ms


def parked(arrival: Arrival, key: bytes, missing: Missing, now: str) -> OutRecord:
    """The record that waits, whole."""
    verdict = headers.verdict_headers(missing.reason, _with_key(missing.detail, arrival.key), arrival.origin, now)
    added = [*verdict, *headers.key_header(arrival.key)]
    return key, arrival.record.value, [*headers.carried(arrival.headers), *added], arrival.append_ms


def released(event: ParkedEvent, arrival: Arrival, now_ms: int) -> OutRecord:
    """The record that says that a parked one has been priced."""
    release = [(headers.RELEASED, b"%d" % event.offset), *headers.origin_headers(arrival.origin)]
    return event.organization.encode(), b"{}", [*release, *headers.trace(arrival.headers)], now_ms


def waiting(event: Event, missing: Missing, book: Book, now: str) -> ParkedEvent:
    """What the state keeps of a parked event, still without the offset of its record."""
    return ParkedEvent(
        offset=-1,
        reason=missing.reason,
        detail=missing.detail,
        since=now,
        waits=waits_for(missing.reason, event, book),
        at=event.at,
        organization=event.data.organization,
        project=event.data.project,
        source=event.source,
        id=event.id,
        type=event.type,
    )


def waits_for(reason: Unpriced, event: Event, book: Book) -> tuple[str, ...]:
    """The publications that may cure an event: a version of a sheet, a rate, a version of its account."""
    account = f"account/{event.data.organization}"
    default = f"sheet/{book.policy.default_sheet}"
    if reason is Unpriced.ACCOUNT_REQUIRED:
        return (account,)
    if reason is Unpriced.UNKNOWN_TIER:
        return (default, account)
    sheet = f"sheet/{book.policy.sheet_for(event.data.provider)}"
    return ("fx", sheet) if reason is Unpriced.NO_RATE else (sheet,)
