"""The headers that records carry on: what is kept of the incoming ones, and the `stream-pricing-*` ones that we add."""

from collections.abc import Iterable, Sequence
from hashlib import sha256

from pricing.reading import HEADERS_MAX, VALUE_BYTES_MAX
from streams.codec import Origin

Header = tuple[str, bytes]
Headers = list[Header]

OWN = "stream-pricing-"
TOPIC, PARTITION, OFFSET = OWN + "topic", OWN + "partition", OWN + "offset"
APPEND_TIME = OWN + "append-time-ms"
KEY = OWN + "key"
REASON, DETAIL, AT = OWN + "reason", OWN + "detail", OWN + "at"
RELEASED = OWN + "released"
LENGTH, SHA256, LEFT_OUT = OWN + "length", OWN + "sha256", OWN + "headers-left-out"

HEADERS_BYTES_MAX = 16 * 1024
KEY_BYTES_MAX = 16 * 1024
DETAIL_BYTES_MAX = 1024

_TRACE = ("traceparent", "tracestate")
# What makes a binary-mode event readable again; the values are checked to be short before an event is parked.
_ESSENTIAL = {"content-type", "ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time"}
_PRICED: Header = ("content-type", b"application/cloudevents+json")
_PRICED_ONLY: Headers = [_PRICED]


def incoming(headers: Sequence[Header]) -> Sequence[Header]:
    """The producer's own headers: what it calls `stream-pricing-*` is dropped."""
    for key, _ in headers:
        if key.startswith(OWN):
            return [header for header in headers if not header[0].startswith(OWN)]
    return headers


def forwarded(headers: Sequence[Header]) -> Headers:
    """The producer's headers on a record that a worker has forwarded, and the note that some were left out."""
    return [header for header in headers if not header[0].startswith(OWN) or header[0] == LEFT_OUT]


def carried(headers: Sequence[Header]) -> Headers:
    """The producer's headers as they go on: over 16 KiB in all only those that the event cannot be read without."""
    # A nameless one without a value has no size: of those there may be as many as the others have bytes.
    if len(headers) <= HEADERS_BYTES_MAX and _size(headers) <= HEADERS_BYTES_MAX:
        return list(headers)
    essential = [header for header in headers if header[0] in _ESSENTIAL or header[0] in _TRACE]
    if _size(essential) > HEADERS_BYTES_MAX:
        essential = [header for header in essential if header[0] in _ESSENTIAL and len(header[1] or b"") <= 1024]
        essential = essential[:HEADERS_MAX]  # no event has more; a record that is rejected may
    left_out = len(headers) - len(essential)
    return [*essential, (LEFT_OUT, b"%d" % left_out)] if left_out else essential


def priced_headers(headers: Sequence[Header]) -> Headers:
    """Headers of a priced event: what it is, and the trace that it belongs to."""
    belongs = trace(headers)
    return [_PRICED, *belongs] if belongs else _PRICED_ONLY


def trace(headers: Sequence[Header]) -> Headers:
    """The headers of the trace that a record belongs to; none where they are over 16 KiB."""
    found = [header for header in headers if header[0] in _TRACE]
    return [] if found and _size(found) > HEADERS_BYTES_MAX else found


def origin_headers(origin: Origin) -> Headers:
    """The headers that name the raw record."""
    return [
        (TOPIC, origin.topic.encode()),
        (PARTITION, b"%d" % origin.partition),
        (OFFSET, b"%d" % origin.offset),
    ]


def verdict_headers(reason: str, detail: str, origin: Origin, at: str) -> Headers:
    """Why a record is parked or rejected, which one it was, and when that was found."""
    text = detail.encode("utf-8", "replace")[:DETAIL_BYTES_MAX].decode("utf-8", "ignore").encode()
    return [(REASON, reason.encode()), (DETAIL, text), *origin_headers(origin), (AT, at.encode())]


def is_carried(key: bytes | None) -> bool:
    """Whether a raw record's key, if it has one, goes on with what became of it."""
    return key is None or len(key) <= KEY_BYTES_MAX


def key_header(key: bytes | None) -> Headers:
    """The raw record's key, where another one has its place."""
    return [(KEY, key)] if key is not None and is_carried(key) else []


def cut(value: bytes | None) -> tuple[bytes | None, Headers]:
    """A value as a dead letter holds it: over 64 KiB its beginning, with headers that describe the whole."""
    if value is None or len(value) <= VALUE_BYTES_MAX:
        return value, []
    described = [(LENGTH, b"%d" % len(value)), (SHA256, sha256(value).hexdigest().encode())]
    return value[:VALUE_BYTES_MAX], described


def _size(headers: Iterable[Header]) -> int:
    return sum(len(key) + len(value or b"") for key, value in headers)
