"""The worker's heart: a batch of records and a state go in, what to publish and what to remember come out.

Pure: it knows no Kafka client and no clock, and changes nothing that it is given, so whatever happens to the
transaction its result can be dropped and made again. The path of an event: `_admit` (read it, reject it, forward it),
the look-up of a turn's identities at once, `_settle` (drop the duplicate, price, park). Section 6 of the contract has
the outcomes.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice

import msgspec

from pricing.accounts import Account, account_bytes
from pricing.book import Book
from pricing.documents import json_text
from pricing.errors import InvalidUsage, Rejected
from pricing.events import Event
from pricing.money import exact
from pricing.pipeline import Priced, price
from pricing.rating import Missing
from pricing.reading import read_event
from pricing.times import format_time
from pricing.totals import DAY_NS, HOUR_NS, Tally, first_total
from streams import headers, letters
from streams.account_records import judge
from streams.batch import MS_NS, Counts, Inputs, InRecord, Lane, OutRecord, Step, StepFailed
from streams.expiry import expired_days, expired_totals, known_since
from streams.letters import Arrival
from streams.seen import row
from streams.state import Changes, ParkedEvent, State, append_day
from streams.total_codec import heading, write_total

EXPIRED_MAX = 10_000  # totals in one transaction: after a long pause there may be millions
TURN_EVENTS = 128  # many enough for one look-up, few enough to be priced while they are in the processor's cache
FUTURE_NS = 5 * 60 * 1_000_000_000

Poison = frozenset[tuple[str, int, int]]
Admitted = tuple[Event, Arrival, bytes]  # with the fingerprint


def step(state: State, inputs: Inputs, book: Book, lane: Lane, now_ms: int, *, poison: Poison = frozenset()) -> Step:
    """Process one batch. Records that are in `poison` (topic, partition, offset) are rejected as `internal_error`.

    Raises StepFailed where the worker itself fails on a record.
    """
    batch = _Batch(state, book, lane, now_ms, poison)
    with exact():
        batch.take_accounts(inputs.accounts)
        batch.take_events([*inputs.rekeyed, *inputs.raw])
        batch.take_cures(inputs.cures)
        return batch.finish(inputs)


class _Batch:
    """The overlay of one step: reads the state, writes only its own collections."""

    def __init__(self, state: State, book: Book, lane: Lane, now_ms: int, poison: Poison) -> None:
        self._state = state
        self._book = book
        self._lane = lane
        self._now = format_time(now_ms * MS_NS)
        self._now_ms = now_ms
        self._poison = poison
        self._move_stream_time(state.position.stream_time_ms)
        self._changes = Changes(state.position)
        self._newly_seen: dict[bytes, bytes] = {}
        self._newly_parked: list[ParkedEvent] = []
        self._tally = Tally(book.policy.report_currencies)
        self._counts = Counts()
        self._priced: list[OutRecord] = []
        self._parked: list[OutRecord] = []
        self._releases: list[OutRecord] = []
        self._others: dict[tuple[str, int], list[OutRecord]] = {}

    # --- accounts

    def take_accounts(self, records: Sequence[InRecord]) -> None:
        for record in records:
            with self._blame(record) as is_poison:
                if not is_poison:
                    self._take_account(record)

    def _take_account(self, record: InRecord) -> None:
        account, ignored, again = judge(record.key, record.value, self._account)
        if ignored:
            self._counts.accounts_ignored.append(ignored)
        if again is not None:
            key = again.organization.encode()
            self._put(record.topic, self._lane.partition, (key, account_bytes(again), [], self._now_ms))
        if account is None:
            return
        key = account.organization.encode()
        target = self._lane.partition_of(key, self._lane.partitions)
        if target == self._lane.partition:
            self._changes.accounts[account.organization] = account
        else:
            kept = headers.carried(headers.incoming(record.headers))
            self._put(self._lane.topics.accounts, target, (key, record.value, kept, self._now_ms))

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

    def take_events(self, records: Sequence[InRecord]) -> None:
        record: InRecord | None = None
        rekeyed = self._lane.topics.rekeyed
        try:
            for at in range(0, len(records), TURN_EVENTS):
                admitted: list[Admitted] = []
                for record in records[at : at + TURN_EVENTS]:
                    self._admit(letters.arrival_of(record, rekeyed, self._lane), admitted)
                record = None  # the look-up is of all of them
                known = self._state.seen.find([fingerprint for _, _, fingerprint in admitted])
                for found, content in zip(admitted, known, strict=True):
                    record = found[1].record
                    self._settle(found, content)
        except Exception as error:  # a bug of ours: the shell decides what becomes of the record
            if record is None:
                raise
            raise StepFailed(record) from error

    def _admit(self, arrival: Arrival, admitted: list[Admitted]) -> None:
        """Read the event; reject or forward it, or admit it where it belongs here."""
        record, append_ms = arrival.record, arrival.append_ms
        if append_ms > self._stream_time_ms:
            self._move_stream_time(append_ms)
        if self._poison and (record.topic, record.partition, record.offset) in self._poison:
            self._reject(arrival, Rejected.INTERNAL_ERROR, "the worker failed on it twice")
            return
        try:
            event = read_event(record.value, arrival.headers)
            if event.at > append_ms * MS_NS + FUTURE_NS:
                raise InvalidUsage(Rejected.FROM_THE_FUTURE, f"time {event.time}, appended {_ms(append_ms)}")
            # Or it has waited for days: its id may be forgotten already.
            if event.at < append_ms * MS_NS - self._lane.max_age_ns or event.at < self._known_since:
                detail = f"time {event.time}, appended {_ms(append_ms)}, read at {_ms(self._stream_time_ms)}"
                raise InvalidUsage(Rejected.TOO_LATE, detail)
        except InvalidUsage as error:
            self._reject(arrival, error.reason, error.detail)
            return
        key = event.data.organization.encode()
        target = self._lane.partition_of(key, self._lane.partitions)
        if target == self._lane.partition:
            admitted.append((event, arrival, event.fingerprint()))
            return
        assert record.topic != self._lane.topics.rekeyed, f"{key!r} was forwarded here, belongs to {target}"
        self._put(self._lane.topics.rekeyed, target, letters.forwarded(arrival, key, self._now_ms))
        self._counts.rekeyed += 1

    def _move_stream_time(self, append_ms: int) -> None:
        self._stream_time_ms = append_ms
        # The id of an event dated before may be filed under a day that is forgotten.
        day = max(known_since(append_ms * MS_NS, self._lane.max_age_ns), self._state.position.ids_since_day)
        self._known_since = day * DAY_NS + FUTURE_NS

    def _settle(self, found: Admitted, known: bytes | None) -> None:
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
            self._publish(priced, fingerprint, arrival)
        self._newly_seen[fingerprint] = event.content
        rows = self._changes.seen.setdefault(append_day(arrival.append_ms), [])
        rows.append(row(fingerprint, event.content, arrival.origin.offset))
        self._counts.append_times_ms.append(arrival.append_ms)

    # --- outcomes

    def _publish(self, priced: Priced, fingerprint: bytes, arrival: Arrival, parked: str = "") -> None:
        event = priced.event
        value = self._lane.writer.event(priced, fingerprint, arrival.origin, self._now, parked)
        key = event.data.organization.encode()
        self._priced.append((key, value, headers.priced_headers(arrival.headers), self._now_ms))
        self._tally.add(priced)
        if priced.cost is not None:
            self._counts.add_cost(priced, self._book.policy.cost_sheets)
        self._counts.priced[event.type] += 1

    def _reject(self, arrival: Arrival, reason: Rejected, detail: str) -> None:
        letter = letters.rejected(arrival, reason, detail, self._now)
        self._put(self._lane.topics.rejected, arrival.origin.partition, letter)
        self._counts.rejected[reason] += 1

    def _park(self, event: Event, arrival: Arrival, missing: Missing) -> None:
        self._parked.append(letters.parked(arrival, event.data.organization.encode(), missing, self._now))
        self._newly_parked.append(letters.waiting(event, missing, self._book, self._now))
        self._counts.parked[missing.reason] += 1

    # --- parked events

    def take_cures(self, cures: Sequence[tuple[ParkedEvent, InRecord]]) -> None:
        for parked, record in cures:
            with self._blame(record) as is_poison:
                if not is_poison:  # else it stays parked: nothing is lost
                    self._cure(parked, record)

    def _cure(self, parked: ParkedEvent, record: InRecord) -> None:
        try:
            event = read_event(record.value, headers.incoming(record.headers))
            priced = price(event, self._book, self._account(parked.organization))
        except InvalidUsage:  # an older version has parked what this one rejects: it stays, for an operator to see
            return
        except Missing as missing:
            waits = letters.waits_for(missing.reason, event, self._book)
            still = msgspec.structs.replace(parked, reason=missing.reason, detail=missing.detail, waits=waits)
            if still != parked:
                self._changes.parked[parked.offset] = still
            return
        arrival = letters.parked_arrival(record)
        reason = json_text(dict(record.headers)[headers.REASON].decode())
        since = f'"parked":{{"reason":{reason},"since":"{parked.since}"}},'
        self._publish(priced, event.fingerprint(), arrival, since)
        self._releases.append(letters.released(parked, arrival, self._now_ms))
        self._changes.released.append(parked.offset)
        self._counts.released += 1

    # --- the end of a batch

    def finish(self, inputs: Inputs) -> Step:
        topics = self._lane.topics
        for topic, records in zip(topics.inputs, (inputs.raw, inputs.rekeyed, inputs.accounts), strict=True):
            self._counts.consumed[topic] += len(records)
        self._add_totals()
        before = self._state.position
        is_next_hour = self._stream_time_ms * MS_NS // HOUR_NS != before.stream_time_ms * MS_NS // HOUR_NS
        if is_next_hour or self._state.has_more_to_expire:
            self._expire()
        self._changes.position = msgspec.structs.replace(
            before,
            sequence=before.sequence + 1,
            stream_time_ms=self._stream_time_ms,
            ids_since_day=max([before.ids_since_day, *(day + 1 for day in self._changes.expired_days)]),
            raw=_next(inputs.raw, max(before.raw, inputs.reached[0])),
            rekeyed=_next(inputs.rekeyed, max(before.rekeyed, inputs.reached[1])),
            accounts=_next(inputs.accounts, max(before.accounts, inputs.reached[2])),
        )
        own = {topics.priced: self._priced, topics.parked: [*self._parked, *self._releases]}
        outputs = {(topic, self._lane.partition): records for topic, records in own.items() if records}
        return Step({**outputs, **self._others}, self._changes, self._newly_parked, self._counts, self._now_ms)

    def _add_totals(self) -> None:
        changes, now = self._changes, self._now_ms * MS_NS
        records: list[OutRecord] = []
        for key, sums in self._tally.sums().items():
            head = heading(key)
            known = self._state.find_total(head.name)
            changes.totals[head.name] = total = first_total(sums, now) if known is None else known.plus(sums, now)
            changes.totals_written[head.name] = value = write_total(head, total)
            records.append((head.record_key, value, [], self._now_ms))
            if key.item is None and key.window == "hour":
                self._counts.add_due(sums)
        if records:
            self._others[self._lane.topics.totals, self._lane.partition] = records

    def _expire(self) -> None:
        now = self._stream_time_ms * MS_NS
        parked = [self._state.parked[offset] for offset in self._state.parked.keys() - self._changes.released]
        gone = expired_totals(self._state, [*parked, *self._newly_parked], now)
        self._changes.expired_days = expired_days(self._state, now, self._lane.max_age_ns)
        for day in self._changes.expired_days:
            self._changes.seen.pop(day, None)  # a record of this batch moved stream time far ahead of another one
        found = list(islice((key for key in gone if key not in self._changes.totals), EXPIRED_MAX))
        self._changes.expired_totals, self._changes.has_more_to_expire = found, len(found) == EXPIRED_MAX
        for key in self._changes.expired_totals:
            self._put(self._lane.topics.totals, self._lane.partition, (key.encode(), None, [], self._now_ms))

    def _put(self, topic: str, partition: int, record: OutRecord) -> None:
        self._others.setdefault((topic, partition), []).append(record)


def _next(records: Sequence[InRecord], before: int) -> int:
    return records[-1].offset + 1 if records else before


def _ms(append_ms: int) -> str:
    return format_time(append_ms * MS_NS)
