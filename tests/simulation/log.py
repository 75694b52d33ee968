"""One partition's log as the broker keeps it: batches, markers, the last stable offset, sequence numbers.

Simulated: transactional batches and their control markers, which take an offset each; aborted batches; the
checks of producer epoch and sequence of `ProducerAppendInfo` (Kafka 4.3), the last five batches of a
producer known again when they are retried; LogAppendTime; max.message.bytes; message.timestamp.after.max.ms;
truncation and compaction that keep offsets. Not simulated: replicas, segments, leader epochs, expiry of
producer ids, idempotent producers without transactions, delete.retention of tombstones (kept for ever).
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from aiokafka.errors import (
    InvalidProducerEpoch,
    InvalidTimestampError,
    MessageSizeTooLargeError,
    OffsetOutOfRangeError,
    OutOfOrderSequenceNumber,
)
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import TopicPartition

NO_PRODUCER = -1
FETCH_BYTES_MAX = 1_048_576
TIMESTAMP_AFTER_MS_MAX = 3_600_000


class Record(NamedTuple):
    """What a consumer sees; the fields of aiokafka's ConsumerRecord but for checksum and sizes."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    timestamp_type: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


@dataclass(slots=True)
class Batch:
    base: int
    end: int
    """The offset after the last one, also when compaction has removed that record."""
    producer_id: int
    records: list[Record]
    size: int
    transactional: bool
    is_marker: bool = False
    aborted: bool = False


@dataclass(slots=True)
class ProducerEntry:
    """What a partition remembers of a producer; `last_sequence` is -1 after a marker of a new epoch."""

    epoch: int
    last_sequence: int = -1
    recent: deque[tuple[int, int, int]] = field(default_factory=lambda: deque(maxlen=5))


@dataclass(frozen=True, slots=True)
class TopicSettings:
    partitions: int
    log_append_time: bool = False
    max_message_bytes: int = 1_048_588


class Waiter(Protocol):
    def wake(self) -> None: ...


class PartitionLog:
    def __init__(self, tp: TopicPartition, settings: TopicSettings) -> None:
        self.tp = tp
        self.start = 0
        self.end = 0
        self.waiters: dict[Waiter, None] = {}
        """Long polls, woken when something is appended; a dict, because its order is the same in every
        run.
        """
        self._settings = settings
        self._batches: list[Batch] = []
        self._ends: list[int] = []
        self._producers: dict[int, ProducerEntry] = {}
        self._open: dict[int, int] = {}

    @property
    def last_stable(self) -> int:
        """The end of what read_committed may see: the first offset of the oldest open transaction."""
        return min(self._open.values(), default=self.end)

    def append_transactional(self, data: bytes, now_ms: int) -> tuple[int, int]:
        """Append a produced batch; return its base offset and the append time, -1 under CreateTime.

        A retry of a batch that is there already is answered with the first one's offset.
        """
        batch = MemoryRecords(data).next_batch()
        rows = list(batch)
        if len(data) > self._settings.max_message_bytes:
            raise MessageSizeTooLargeError(f"{self.tp}: {len(data)} > {self._settings.max_message_bytes}")
        newest = max(row.timestamp for row in rows)
        if newest > now_ms + TIMESTAMP_AFTER_MS_MAX and not self._settings.log_append_time:
            raise InvalidTimestampError(f"{self.tp}: {newest} > {now_ms} + {TIMESTAMP_AFTER_MS_MAX}")
        first, last = batch.base_sequence, batch.base_sequence + len(rows) - 1
        appended_at = now_ms if self._settings.log_append_time else -1
        known = self._check_sequence(batch.producer_id, batch.producer_epoch, first, last)
        if known is not None:
            return known, appended_at
        base = self._append(batch.producer_id, rows, now_ms, len(data))
        entry = self._producers[batch.producer_id]
        entry.last_sequence = last
        entry.recent.append((first, last, base))
        return base, appended_at

    def append_plain(self, rows: list[MemoryRow], now_ms: int) -> int:
        """Append records of a producer without transactions, as those who emit usage do."""
        size = sum(len(row.key or b"") + len(row.value or b"") + 30 for row in rows)
        return self._append(NO_PRODUCER, rows, now_ms, size)

    def append_marker(self, producer_id: int, epoch: int, commit: bool) -> None:
        """End a producer's transaction here. A newer epoch fences the older one in this partition as well."""
        entry = self._producers.get(producer_id)
        if entry is None or epoch > entry.epoch:
            self._producers[producer_id] = ProducerEntry(epoch)
        first = self._open.pop(producer_id, None)
        if first is not None and not commit:
            for batch in self._batches[bisect_right(self._ends, first) :]:
                if batch.producer_id == producer_id:
                    batch.aborted = True
        self._push(Batch(self.end, self.end + 1, producer_id, [], 78, True, is_marker=True))

    def read(self, offset: int, bytes_max: int = FETCH_BYTES_MAX) -> tuple[list[Record], int]:
        """Committed records from `offset` on, and the next offset: past markers and aborted batches.

        Raises OffsetOutOfRangeError below the start and beyond the end of the log.
        """
        if not self.start <= offset <= self.end:
            raise OffsetOutOfRangeError({self.tp: offset})
        records: list[Record] = []
        stable, size, upto = self.last_stable, 0, offset
        for batch in self._batches[bisect_right(self._ends, offset) :]:
            if batch.base >= stable or size >= bytes_max:
                break
            size += batch.size
            upto = batch.end
            if not batch.aborted:
                records += batch.records if batch.base >= offset else [r for r in batch.records if r.offset >= offset]
        return records, upto

    def truncate(self, offset: int) -> None:
        """Retention: nothing below `offset` can be read any more."""
        assert self.start <= offset <= self.last_stable, (self.start, offset, self.last_stable)
        cut = bisect_right(self._ends, offset)
        del self._batches[:cut], self._ends[:cut]
        for batch in self._batches[:1]:
            batch.records = [record for record in batch.records if record.offset >= offset]
        self.start = offset

    def compact(self, rng: random.Random) -> None:
        """One pass of the cleaner, up to an offset at random below the last stable one.

        Of each key the last record there stays; those of aborted transactions go; so do empty batches but
        their offsets.
        """
        upto = rng.randint(self.start, self.last_stable)
        cleaned = [batch for batch in self._batches if batch.end <= upto]
        last = {record.key: record.offset for batch in cleaned if not batch.aborted for record in batch.records}
        for batch in cleaned:
            batch.records = [] if batch.aborted else [r for r in batch.records if last[r.key] == r.offset]

    def _check_sequence(self, producer_id: int, epoch: int, first: int, last: int) -> int | None:
        entry = self._producers.get(producer_id)
        if entry is None:
            self._producers[producer_id] = ProducerEntry(epoch)
            return None
        if epoch < entry.epoch:
            raise InvalidProducerEpoch(f"{self.tp}: epoch {epoch}, now {entry.epoch}")
        if epoch > entry.epoch:
            if first != 0:
                raise OutOfOrderSequenceNumber(f"{self.tp}: sequence {first} first in epoch {epoch}")
            self._producers[producer_id] = ProducerEntry(epoch)
            return None
        for known_first, known_last, base in entry.recent:
            if (known_first, known_last) == (first, last):
                return base
        if first != entry.last_sequence + 1:
            raise OutOfOrderSequenceNumber(f"{self.tp}: sequence {first} after {entry.last_sequence}")
        return None

    def _append(self, producer_id: int, rows: list[MemoryRow], now_ms: int, size: int) -> int:
        base, (topic, partition) = self.end, self.tp
        stamped = self._settings.log_append_time
        records = [
            Record(
                topic,
                partition,
                base + i,
                now_ms if stamped else row.timestamp,
                int(stamped),
                row.key,
                row.value,
                tuple(row.headers),
            )
            for i, row in enumerate(rows)
        ]
        if producer_id != NO_PRODUCER:
            self._open.setdefault(producer_id, base)
        self._push(Batch(base, base + len(rows), producer_id, records, size, producer_id != NO_PRODUCER))
        return base

    def _push(self, batch: Batch) -> None:
        self._batches.append(batch)
        self._ends.append(batch.end)
        self.end = batch.end
        for waiter in tuple(self.waiters):
            waiter.wake()


class MemoryRow(NamedTuple):
    """A record on its way in; aiokafka's decoded batches hold rows with the same fields."""

    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
