"""The product's own parts from one-line inputs: events, books, accounts, a lane of one partition, records.

`usage` says what an event is; here it becomes what the product makes of it. Used by tests of `pricing` and
`streams` alike; the oracle knows none of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pricing.accounts import Account, parse_account
from pricing.book import Book, Policy
from pricing.events import Event
from pricing.exchange import FxRate, parse_fx
from pricing.importers import ImportOptions, read_any
from pricing.money import exact
from pricing.pipeline import Priced, price
from pricing.reading import read_event
from pricing.sheets import Sheet, image_price, parse_sheet, sheet_bytes
from pricing.times import parse_time
from streams.batch import Lane
from streams.codec import PricedWriter
from streams.packed_totals import PackedTotals
from streams.partitions import partition_of
from streams.state import Position, State
from streams.topics import Topics
from tests import oracle
from tests.usage import NOW_MS, encode, source_sheet, usage

START = "2026-11-01T00:00:00Z"
RATE_FROM = "2026-11-22T00:00:00Z"
POLICY = Policy({"*": "aitronos"})
DAY_MS = 86_400_000
MAX_AGE_NS = 35 * DAY_MS * 1_000_000


def event(line: str | dict[str, Any]) -> Event:
    """The event of a line of `usage`, or of an envelope."""
    return read_event(*encode(usage(line) if isinstance(line, str) else line))


def sheet(
    document: bytes | None = None,
    *,
    id: str = "aitronos",
    version: str = "2026-11-01",
    start: str = START,
    image: str | None = None,
) -> Sheet:
    """The sheet that is imported from a document of the Aitronos format; the source's own where none is given."""
    options = ImportOptions(id, version, parse_time(start), None if image is None else image_price(image))
    imported = read_any(document or source_sheet(), "aitronos", options)
    assert imported.sheet is not None, imported.problems
    return imported.sheet


def sheet_of(one: oracle.Sheet) -> Sheet:
    """The sheet that the oracle's is: imported, and with the direct models beside it."""
    found = sheet(one.document, id=one.id, version=one.version, start=one.effective_from, image=one.image_price)
    fields, direct = json.loads(sheet_bytes(found)), json.loads(one.direct)
    models = [*fields["models"], *direct.get("models", ())]
    return parse_sheet(json.dumps({**fields, **direct, "models": models}).encode())


def rate(pair: str = "CHF/USD", amount: str = "1.1234", start: str = RATE_FROM) -> FxRate:
    """An exchange rate."""
    return parse_fx(json.dumps({"pair": pair, "rate": amount, "from": start}).encode())


def account(organization: str, *tiers: tuple[str | None, str], version: int = 1) -> Account:
    """An account with these (tier, from)."""
    dated = [{"tier": tier, "from": start} for tier, start in tiers]
    return parse_account(json.dumps({"organization": organization, "version": version, "tiers": dated}).encode())


def book(*published: Sheet | FxRate, policy: Policy = POLICY) -> Book:
    """A book with these publications, in their order; the source's sheet and CHF/USD where there are none."""
    return Book(policy).with_publications(published or (sheet(), rate()))


def book_of(sheets: list[oracle.Sheet], rates: list[oracle.Rate], policy: Policy = POLICY) -> Book:
    """The oracle's publications as the product's book."""
    return book(*map(sheet_of, sheets), *[rate(one.pair, one.rate, one.effective_from) for one in rates], policy=policy)


def priced(line: str | dict[str, Any], found: Book | None = None, known: Account | None = None) -> Priced:
    """The priced event of a line; Missing where it is parked."""
    with exact():
        return price(event(line), found or book(), known)


def data(line: str | dict[str, Any], found: Book | None = None, known: Account | None = None) -> dict[str, Any]:
    """The `data` of the priced event of a line, as a consumer reads it."""
    found = found or book()
    writer = PricedWriter("stream-pricing")
    return json.loads(writer.data(priced(line, found, known)))


@dataclass(frozen=True)
class Rec:
    """A consumed record, as aiokafka has it."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


def raw(
    line: str | dict[str, Any], offset: int = 0, *, at_ms: int = NOW_MS, partition: int = 0, key: bytes | None = b"k"
) -> Rec:
    """A record of the raw topic, appended at `at_ms`."""
    value, headers = encode(usage(line) if isinstance(line, str) else line)
    return Rec(Topics().raw, partition, offset, at_ms, key, value, headers)


def lane(partition: int = 0, partitions: int = 1, report_currencies: tuple[str, ...] = ("USD",)) -> Lane:
    """A task's settings; by default of the only partition there is."""
    writer = PricedWriter("stream-pricing")
    return Lane(partition, partitions, Topics(), partition_of, writer, MAX_AGE_NS)


def packed(records: Mapping[bytes, bytes]) -> PackedTotals:
    """The totals that these records are."""
    totals = PackedTotals()
    totals.update({key.decode(): value for key, value in records.items()})
    return totals


def state(partitions: int = 1, stream_time_ms: int = 0) -> State:
    """A state with nothing in it."""
    return State(Position(app="stream-pricing", partitions=partitions, stream_time_ms=stream_time_ms))
