"""The worker's heart: a batch of records and a state go in, what to publish and what to remember come out.

Pure: it knows no Kafka client and no clock, and changes nothing that it is given, so whatever happens to the transaction
its result can be dropped and made again. The path of an event: `_admit` (read it, reject it, forward it), then the
batched look-up of identities, then `_settle` (drop the duplicate, price, park). Section 6 of the contract has the outcomes.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from pricing.accounts import Account, parse_account
from pricing.book import Book
from pricing.errors import InvalidDocument, InvalidUsage, Rejected, Unpriced
from pricing.events import Event, read_event
from pricing.money import exact
from pricing.pipeline import Priced, price
from pricing.rating import Missing
from pricing.times import format_time, parse_time
from pricing.totals import DAY_NS, HOUR_NS, WINDOWS, Tally, first_total, window_end, window_start
from streams import headers
from streams.codec import Origin, PricedWriter, escaped, total_key, write_total
from streams.seen import row
from streams.state import Changes, ParkedEvent, Record, State, append_day
from streams.topics import Topics

MS_NS = 1_000_000
FUTURE_NS = 5 * 60 * 1_000_000_000
# Ids outlive what is accepted: an event may be dated 5 minutes after the append time that its id is filed under.
SEEN_SLACK_DAYS = 2
HOURS_KEPT_DAYS = 62
DAYS_KEPT_DAYS = 400


class InRecord(Protocol):
    """A consumed record, as aiokafka has it."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


class OutRecord(NamedTuple):
    """A record to publish; without a timestamp it gets the time of sending."""

    key: bytes | None
    value: bytes | None
    headers: headers.Headers
    timestamp_ms: int | None


@dataclass(frozen=True, slots=True)
class Lane:
    """What a task is: its partition, and the settings that its decisions depend on. `partition_of` is murmur2."""

    partition: int
    partitions: int
    topics: Topics
    partition_of: Callable[[bytes, int], int]
    writer: PricedWriter
    max_age_ns: int


@dataclass(frozen=True, slots=True)
class Inputs:
    """One batch, each in the order of its partition. `cures` are parked records to look at again."""

    raw: Sequence[InRecord] = ()
    rekeyed: Sequence[InRecord] = ()
    accounts: Sequence[InRecord] = ()
    cures: Sequence[tuple[ParkedEvent, InRecord]] = ()


class StepFailed(Exception):
    """The worker itself failed on a record: a bug. `origin` is where the record was read."""

    def __init__(self, record: InRecord) -> None:
        super().__init__(f"failed on {record.topic}-{record.partition} offset {record.offset}")
        self.origin = (record.topic, record.partition, record.offset)


@dataclass
class Counts:
    """What happened in a batch, for the metrics."""

    consumed: Counter[str] = field(default_factory=Counter)
    priced: Counter[str] = field(default_factory=Counter)
    parked: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    amounts: Counter[str] = field(default_factory=Counter)
    duplicates: int = 0
    released: int = 0
    rekeyed: int = 0
    accounts_ignored: list[str] = field(default_factory=list)
    append_times_ms: list[int] = field(default_factory=list)


@dataclass
class Step:
    """The result: what to publish by (topic, partition), and what to change in the state once it is committed.

    `newly_parked` have no offset yet: their records are the first of the parked topic's, and `complete` takes the
    offsets that they got.
    """

    outputs: dict[tuple[str, int], list[OutRecord]]
    changes: Changes
    newly_parked: list[ParkedEvent]
    counts: Counts

    def complete(self, parked_offsets: Sequence[int]) -> None:
        """File the newly parked events under the offsets of their records."""
        for parked, offset in zip(self.newly_parked, parked_offsets, strict=True):
            found = ParkedEvent(**{**_fields(parked), "offset": offset})
            self.changes.parked[offset] = found


class _Arrival(NamedTuple):
    """A record with what is known of it as the raw one: forwarded ones carry that in headers."""

    record: InRecord
    origin: Origin
    append_ms: int
    key: bytes | None
    headers: Sequence[tuple[str, bytes]]


class _Admitted(NamedTuple):
    event: Event
    arrival: _Arrival
    fingerprint: bytes


def step(
    state: State, inputs: Inputs, book: Book, lane: Lane, now_ms: int, poison: frozenset[tuple[str, int, int]]
) -> Step:
    """Process one batch. Records whose origin is in `poison` are rejected as `internal_error`.

    Raises StepFailed where the worker itself fails on a record.
    """
    batch = _Batch(state, book, lane, now_ms, poison)
    with exact():
        batch.take_accounts(inputs.accounts)
        batch.take_events(inputs.rekeyed, inputs.raw)
        batch.take_cures(inputs.cures)
        return batch.finish(inputs)


class _Batch:
    """The overlay of one step: reads the state, writes only its own collections."""

    def __init__(
        self, state: State, book: Book, lane: Lane, now_ms: int, poison: frozenset[tuple[str, int, int]]
    ) -> None:
        self._state = state
        self._book = book
        self._lane = lane
        self._now = format_time(now_ms * MS_NS)
        self._now_ms = now_ms
        self._poison = poison
        self._outputs: dict[tuple[str, int], list[OutRecord]] = {}
        self._priced: list[OutRecord] = []
        self._stream_time_ms = state.position.stream_time_ms
        self._changes = Changes(state.position)
        self._newly_seen: dict[bytes, bytes] = {}
        self._parked_records: list[OutRecord] = []
        self._releases: list[OutRecord] = []
        self._newly_parked: list[ParkedEvent] = []
        self._tally = Tally(book.policy.report_currencies)
        self._counts = Counts()

    # --- accounts

    def take_accounts(self, records: Sequence[InRecord]) -> None:
        for record in records:
            with self._blame(record) as is_poison:
                if not is_poison:
                    self._take_account(record)

    def _take_account(self, record: InRecord) -> None:
        try:
            account = parse_account(record.value or b"")
        except InvalidDocument as error:
            self._counts.accounts_ignored.append(str(error))
            return
        target = self._partition_of(account.organization)
        if target != self._lane.partition:
            own = headers.carried(headers.incoming(record.headers))
            out = OutRecord(account.organization.encode(), record.value, own, None)
            self._put(self._lane.topics.accounts, target, out)
            self._counts.rekeyed += 1
            return
        known = self._account(account.organization)
        if known is not None and known.version >= account.version:
            if known != account:
                ignored = f"account {account.organization}: version {account.version} is not after {known.version}"
                self._counts.accounts_ignored.append(ignored)
        else:
            self._changes.accounts[account.organization] = account

    def _account(self, organization: str) -> Account | None:
        return self._changes.accounts.get(organization) or self._state.accounts.get(organization)

    @contextmanager
    def _blame(self, record: InRecord) -> Iterator[bool]:
        """Names the record in whatever goes wrong with it; true where it already failed twice."""
        try:
            yield (record.topic, record.partition, record.offset) in self._poison
        except Exception as error:  # a bug of ours: the shell decides what becomes of the record
            raise StepFailed(record) from error

    # --- events

    def take_events(self, rekeyed: Sequence[InRecord], raw: Sequence[InRecord]) -> None:
        admitted: list[_Admitted] = []
        record: InRecord | None = None
        try:
            for record in rekeyed:
                self._admit(_forwarded(record), admitted)
            for record in raw:
                origin = Origin(record.topic, record.partition, record.offset)
                own = headers.incoming(record.headers)
                self._admit(_Arrival(record, origin, record.timestamp, record.key, own), admitted)
            known = self._state.seen.find([found.fingerprint for found in admitted])
            for found, content in zip(admitted, known, strict=True):
                record = found.arrival.record
                self._settle(found, content)
        except Exception as error:  # a bug of ours: the shell decides what becomes of the record
            if record is None:
                raise
            raise StepFailed(record) from error

    def _admit(self, arrival: _Arrival, admitted: list[_Admitted]) -> None:
        """Read the event; reject or forward it, or admit it where it belongs here."""
        record, append_ms = arrival.record, arrival.append_ms
        if append_ms > self._stream_time_ms:
            self._stream_time_ms = append_ms
        if self._poison and (record.topic, record.partition, record.offset) in self._poison:
            self._reject(arrival, Rejected.INTERNAL_ERROR, "the worker failed on it twice")
            return
        try:
            event = read_event(record.value, arrival.headers)
            if event.at > append_ms * MS_NS + FUTURE_NS:
                raise InvalidUsage(Rejected.FROM_THE_FUTURE, f"time {event.time}, appended {_ms(append_ms)}")
            # Not the append time of the record: a forwarded one may be older than ids that are forgotten already.
            if event.at < self._stream_time_ms * MS_NS - self._lane.max_age_ns:
                raise InvalidUsage(Rejected.TOO_LATE, f"time {event.time}, appended {_ms(append_ms)}")
        except InvalidUsage as error:
            self._reject(arrival, error.reason, error.detail)
            return
        target = self._partition_of(event.data.organization)
        if target == self._lane.partition:
            admitted.append(_Admitted(event, arrival, event.fingerprint()))
        else:
            self._forward(arrival, event.data.organization, target)

    def _settle(self, found: _Admitted, known: bytes | None) -> None:
        """Drop a duplicate, price the event, or park it; from then on its identity is taken."""
        event, arrival, fingerprint = found
        content = known or self._newly_seen.get(fingerprint)
        if content is not None:
            if content == event.content:
                self._counts.duplicates += 1
            else:
                detail = f"{event.data.organization} {event.source} {event.id} was seen with other content"
                self._reject(arrival, Rejected.ID_REUSED, detail)
            return
        try:
            priced = price(event, self._book, self._account(event.data.organization))
        except Missing as missing:
            self._park(event, arrival, missing)
        else:
            self._publish(priced, fingerprint, arrival.origin, arrival.headers)
        self._newly_seen[fingerprint] = event.content
        rows = self._changes.seen.setdefault(append_day(arrival.append_ms), [])
        rows.append(row(fingerprint, event.content, arrival.origin.offset))
        self._counts.append_times_ms.append(arrival.append_ms)

    # --- outcomes

    def _publish(
        self,
        priced: Priced,
        fingerprint: bytes,
        origin: Origin,
        incoming: Sequence[tuple[str, bytes]],
        parked: str = "",
    ) -> None:
        event = priced.event
        value = self._lane.writer.event(priced, fingerprint, origin, self._now, parked)
        key = event.data.organization.encode()
        self._priced.append(OutRecord(key, value, headers.priced_headers(incoming), None))
        self._tally.add(priced)
        self._counts.priced[event.type] += 1

    def _reject(self, arrival: _Arrival, reason: Rejected, detail: str) -> None:
        record, origin, append_ms, key, own = arrival
        value, described = headers.cut(record.value)
        if key is not None and len(key) > headers.KEY_BYTES_MAX:
            detail, key = f"{detail}; its key of {len(key)} bytes is left out", None
        verdict = headers.verdict_headers(reason, detail, origin, self._now)
        out = OutRecord(key, value, [*headers.carried(own), *verdict, *described], append_ms)
        self._put(self._lane.topics.rejected, origin.partition, out)
        self._counts.rejected[reason] += 1

    def _forward(self, arrival: _Arrival, organization: str, target: int) -> None:
        record, origin, append_ms, key, own = arrival
        if record.topic == self._lane.topics.rekeyed:
            raise AssertionError(f"{organization} was forwarded to {self._lane.partition}, belongs to {target}")
        added = [*headers.origin_headers(origin), (headers.APPEND_TIME, b"%d" % append_ms), *headers.key_header(key)]
        out = OutRecord(organization.encode(), record.value, [*headers.carried(own), *added], None)
        self._put(self._lane.topics.rekeyed, target, out)
        self._counts.rekeyed += 1

    def _park(self, event: Event, arrival: _Arrival, missing: Missing) -> None:
        record, origin, append_ms, key, own = arrival
        verdict = headers.verdict_headers(missing.reason, missing.detail, origin, self._now)
        kept = [*headers.carried(own), *verdict, *headers.key_header(key)]
        organization = event.data.organization
        self._parked_records.append(OutRecord(organization.encode(), record.value, kept, append_ms))
        self._newly_parked.append(
            ParkedEvent(
                offset=-1,
                reason=missing.reason,
                detail=missing.detail,
                since=self._now,
                waits=waits_for(missing.reason, event, self._book),
                at=event.at,
                organization=organization,
                project=event.data.project,
                source=event.source,
                id=event.id,
                type=event.type,
            )
        )
        self._counts.parked[missing.reason] += 1

    # --- parked events

    def take_cures(self, cures: Sequence[tuple[ParkedEvent, InRecord]]) -> None:
        for parked, record in cures:
            with self._blame(record) as is_poison:
                if not is_poison:  # else it stays parked: nothing is lost
                    self._cure(parked, record)

    def _cure(self, parked: ParkedEvent, record: InRecord) -> None:
        event = read_event(record.value, headers.incoming(record.headers))
        try:
            priced = price(event, self._book, self._account(parked.organization))
        except Missing as missing:
            waits = waits_for(missing.reason, event, self._book)
            if (missing.reason, missing.detail, waits) != (parked.reason, parked.detail, parked.waits):
                changed = {"reason": str(missing.reason), "detail": missing.detail, "waits": waits}
                self._changes.parked[parked.offset] = ParkedEvent(**{**_fields(parked), **changed})
            return
        found = dict(record.headers)
        origin = Origin(found[headers.TOPIC].decode(), int(found[headers.PARTITION]), int(found[headers.OFFSET]))
        since = f'"parked":{{"reason":{escaped(found[headers.REASON].decode())},"since":"{parked.since}"}},'
        self._publish(priced, event.fingerprint(), origin, record.headers, since)
        release = [(headers.RELEASED, b"%d" % parked.offset), *headers.origin_headers(origin)]
        self._releases.append(OutRecord(parked.organization.encode(), b"{}", release, None))
        self._changes.released.append(parked.offset)
        self._counts.released += 1

    # --- the end of a batch

    def finish(self, inputs: Inputs) -> Step:
        topics = self._lane.topics
        self._counts.consumed.update(
            {topics.raw: len(inputs.raw), topics.rekeyed: len(inputs.rekeyed), topics.accounts: len(inputs.accounts)}
        )
        self._add_totals()
        self._expire()
        before = self._state.position
        self._changes.position = type(before)(
            app=before.app,
            partitions=before.partitions,
            sequence=before.sequence + 1,
            stream_time_ms=self._stream_time_ms,
            raw=_next(inputs.raw, before.raw),
            rekeyed=_next(inputs.rekeyed, before.rekeyed),
            accounts=_next(inputs.accounts, before.accounts),
        )
        own = self._lane.partition
        if self._priced:
            self._outputs[topics.priced, own] = self._priced
        if self._parked_records or self._releases:
            self._outputs[topics.parked, own] = [*self._parked_records, *self._releases]
        return Step(self._outputs, self._changes, self._newly_parked, self._counts)

    def _add_totals(self) -> None:
        for key, sums in self._tally.sums():
            name = total_key(key)
            known = self._state.find_total(name)
            now = self._now_ms * MS_NS
            total = first_total(sums, now) if known is None else known.plus(sums, now)
            value = write_total(key, total)
            self._changes.totals[name] = (total, value)
            self._put(self._lane.topics.totals, self._lane.partition, OutRecord(name.encode(), value, [], None))
            if key.item is None and key.window == "hour":
                for currency, amount in sums.due.items():
                    self._counts.amounts[currency] += amount  # type: ignore[assignment]

    def _expire(self) -> None:
        """Once per hour of stream time: forget ids that are too old to come again, and totals of windows long past."""
        before = self._state.position.stream_time_ms * MS_NS
        now = self._stream_time_ms * MS_NS
        if now // HOUR_NS == before // HOUR_NS:
            return
        oldest = (now - self._lane.max_age_ns) // DAY_NS - SEEN_SLACK_DAYS
        self._changes.expired_days = [day for day in self._state.days() if day < oldest]
        held = self._held_windows()
        for (window, start), keys in self._state.windows().items():
            if _is_past(window, start, now):
                expired = [key for key in keys if tuple(key.split("/", 4)[:4]) not in held]
                self._changes.expired_totals += [key for key in expired if key not in self._changes.totals]
        for key in self._changes.expired_totals:
            self._put(self._lane.topics.totals, self._lane.partition, OutRecord(key.encode(), None, [], None))

    def _held_windows(self) -> set[tuple[str, ...]]:
        """Windows of projects that an event belongs to which is still parked."""
        released = set(self._changes.released)
        parked = [found for offset, found in self._state.parked.items() if offset not in released]
        return {
            (found.organization, found.project, window, format_time(window_start(window, found.at)))
            for found in [*parked, *self._newly_parked]
            for window in WINDOWS
        }

    def _put(self, topic: str, partition: int, record: OutRecord) -> None:
        self._outputs.setdefault((topic, partition), []).append(record)

    def _partition_of(self, organization: str) -> int:
        return self._lane.partition_of(organization.encode(), self._lane.partitions)


def waits_for(reason: Unpriced, event: Event, book: Book) -> tuple[str, ...]:
    """The publications that may cure an event: a version of a sheet, a rate of a pair, a version of its account."""
    account = f"account/{event.data.organization}"
    default = f"sheet/{book.policy.default_sheet}"
    if reason is Unpriced.ACCOUNT_REQUIRED:
        return (account,)
    if reason is Unpriced.UNKNOWN_TIER:
        return (default, account)
    sheet = f"sheet/{book.policy.sheet_for(event.data.provider)}"
    return ("fx", sheet) if reason is Unpriced.NO_RATE else (sheet,)


def _is_past(window: str, start: str, now: int) -> bool:
    kept = {"hour": HOURS_KEPT_DAYS, "day": DAYS_KEPT_DAYS}.get(window)
    return kept is not None and window_end(window, parse_time(start)) + kept * DAY_NS <= now


def _next(records: Sequence[InRecord], before: int) -> int:
    return records[-1].offset + 1 if records else before


def _forwarded(record: InRecord) -> _Arrival:
    """A record of the rekeyed topic, as the raw one that it was; without our headers it is taken as it is."""
    found = dict(record.headers)
    try:
        origin = Origin(found[headers.TOPIC].decode(), int(found[headers.PARTITION]), int(found[headers.OFFSET]))
        append_ms, key = int(found[headers.APPEND_TIME]), found.get(headers.KEY)
        return _Arrival(record, origin, append_ms, key, headers.forwarded(record.headers))
    except (KeyError, ValueError):
        origin = Origin(record.topic, record.partition, record.offset)
        return _Arrival(record, origin, record.timestamp, record.key, headers.incoming(record.headers))


def _fields(parked: ParkedEvent) -> dict[str, object]:
    return {name: getattr(parked, name) for name in ParkedEvent.__struct_fields__}


def _ms(append_ms: int) -> str:
    return format_time(append_ms * MS_NS)
