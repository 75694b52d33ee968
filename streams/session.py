"""Exactly once: the only file that drives the transactional client. Open, commit, close; an error ends a session.

The rules are those of aiokafka 0.14 on Kafka 4, each with the failure that it prevents:

- `start()` comes first: it fences the old owner and ends its transaction; then the changelog is read, up to the end as it
  is *after* `start()`; then the inputs are sought to the position in it. aiokafka fetches a group's offsets before that.
- Every future of a produce is awaited before the commit: aiokafka commits a transaction whose batch the broker refused.
- Any error, timeout or cancellation leaves the outcome unknown. The session is then over: nothing is sent again from
  memory, its producer is not used again, and the state is read anew after another `start()`.
- Records first, offsets second: a transaction that begins with its offsets waits 100 ms instead of 20 (CONCURRENT_TRANSACTIONS).
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, NamedTuple, Protocol

import aiokafka.errors as kafka
import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.assignors.range import RangePartitionAssignor

from streams.batch import OutRecord, Step
from streams.errors import Refused
from streams.kafka_errors import one_line
from streams.reading import read_to
from streams.settings import Settings
from streams.state import Position, State, StateContradiction, restore

BATCH_BYTES_MAX = 900_000
STOP_TIMEOUT_S = 3.0
FETCH_WAIT_MS = 50


class Fenced(Exception):
    """Another producer has taken the transactional id: this one's partition is someone else's, or was."""


class OutcomeUnknown(Exception):
    """The transaction may have been committed or not; only the log knows."""


# What starting over cannot mend: the operator has to.
_FATAL = (
    kafka.TopicAuthorizationFailedError,
    kafka.GroupAuthorizationFailedError,
    kafka.TransactionalIdAuthorizationFailed,
    kafka.ClusterAuthorizationFailedError,
    kafka.SaslAuthenticationFailed,
    kafka.UnsupportedSaslMechanismError,
    kafka.MessageSizeTooLargeError,
    kafka.RecordListTooLargeError,
    kafka.InvalidTopicError,
    kafka.OffsetOutOfRangeError,
    kafka.CorruptRecordException,
    kafka.UnsupportedVersionError,
)
_FENCED = (kafka.ProducerFenced, kafka.InvalidProducerEpoch, AssertionError)


def classify(error: BaseException) -> Exception:
    """What an error of the client means: Fenced, OutcomeUnknown, or Refused with one line for the operator."""
    if isinstance(error, Refused):
        return error
    if isinstance(error, StateContradiction):
        return Refused(str(error))
    if isinstance(error, _FATAL):
        return Refused(one_line(error))
    if isinstance(error, _FENCED):  # the state machine inside aiokafka is made of assertions
        return Fenced(repr(error))
    return OutcomeUnknown(repr(error))


class Clients(Protocol):
    """Where clients come from: Kafka, or the simulated broker of the tests."""

    def producer(self, transactional_id: str) -> Any: ...

    def reader(self) -> Any: ...

    def group_consumer(self, topics: Sequence[str], listener: Any) -> Any: ...

    async def committed(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int | None]: ...


class KafkaClients:
    """aiokafka's clients, set up by the rules."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._common = {**settings.client_options(), "request_timeout_ms": settings.request_timeout_ms}

    def producer(self, transactional_id: str) -> AIOKafkaProducer:
        return AIOKafkaProducer(
            **self._common,
            transactional_id=transactional_id,
            transaction_timeout_ms=self._settings.transaction_timeout_ms,
            acks="all",
            max_batch_size=BATCH_BYTES_MAX,
        )

    def reader(self) -> AIOKafkaConsumer:
        return AIOKafkaConsumer(**self._common, **_READ_COMMITTED, group_id=None)

    def group_consumer(self, topics: Sequence[str], listener: Any) -> "GroupConsumer":
        return GroupConsumer(self._settings, self._common, topics, listener)

    async def committed(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int | None]:
        client = AIOKafkaAdminClient(**self._common)
        try:
            await client.start()
            found = await client.list_consumer_group_offsets(self._settings.group, partitions=list(partitions))
        finally:
            await client.close()
        return {each: found[each].offset if each in found and found[each].offset >= 0 else None for each in partitions}


_READ_COMMITTED: Mapping[str, Any] = {
    "isolation_level": "read_committed",
    "auto_offset_reset": "none",
    "enable_auto_commit": False,
    "fetch_max_wait_ms": FETCH_WAIT_MS,
    "max_partition_fetch_bytes": 2 * 1024 * 1024,
}


class GroupConsumer:
    """The group's consumer. `heartbeat_at` is the loop time at which the last heartbeat was sent that the coordinator
    accepted: the only proof that this process was still a member then. Not when the answer was read: a process that was
    frozen reads answers from before."""

    def __init__(self, settings: Settings, common: Mapping[str, Any], topics: Sequence[str], listener: Any) -> None:
        self.heartbeat_at = 0.0
        self._topics = topics
        self._listener = listener
        self._consumer = AIOKafkaConsumer(
            **common,
            **_READ_COMMITTED,
            group_id=settings.group,
            partition_assignment_strategy=(RangePartitionAssignor,),
            session_timeout_ms=settings.session_timeout_ms,
            heartbeat_interval_ms=settings.session_timeout_ms // 4,
            rebalance_timeout_ms=settings.rebalance_timeout_ms,
            max_poll_interval_ms=max(300_000, settings.rebalance_timeout_ms),
        )
        self.seek = self._consumer.seek
        self.getmany = self._consumer.getmany
        self.assignment = self._consumer.assignment
        self.highwater = self._consumer.highwater
        self.stop = self._consumer.stop

    async def start(self) -> None:
        self._consumer.subscribe(list(self._topics), listener=self._listener)
        await self._consumer.start()
        self._watch_heartbeats()

    def _watch_heartbeats(self) -> None:
        # aiokafka (pinned) offers no public sign of membership; everything else would be a guess by time.
        coordinator = self._consumer._coordinator
        heartbeat: Callable[[], Awaitable[bool]] = coordinator._do_heartbeat

        async def watched() -> bool:
            sent_at = asyncio.get_running_loop().time()
            accepted = await heartbeat()
            if accepted:
                self.heartbeat_at = sent_at
            return accepted

        coordinator._do_heartbeat = watched


class Kept(NamedTuple):
    """A state in memory, and where the position record that it ends with lies in the changelog."""

    state: State
    position_at: int


@dataclass(frozen=True, slots=True)
class Opened:
    """What `Session.open` found: the state, and the records of accounts that it has not taken in yet."""

    state: State
    accounts: list[ConsumerRecord]


class Session:
    """One producer for one partition, from its `start()` to its first error. Used by one task at a time."""

    def __init__(self, clients: Clients, settings: Settings, partition: int, partitions: int) -> None:
        self._clients = clients
        self._settings = settings
        self._topics = settings.topics
        self._partition = partition
        self._partitions = partitions
        self._timeout_s = settings.request_timeout_ms / 1000
        # A commit waits for less than the broker waits for a transaction.
        self._commit_timeout_s = settings.transaction_timeout_ms / 1000 * 0.75
        self._producer: Any = None
        self.position_at = -1

    async def open(self, kept: Kept | None) -> Opened:
        """Fence the old owner, then read what is known of the partition. Raises Fenced, OutcomeUnknown or Refused."""
        try:
            self._producer = self._clients.producer(self._settings.transactional_id(self._partition))
            async with asyncio.timeout(self._commit_timeout_s):
                await self._producer.start()
            reader = self._clients.reader()
            try:
                async with asyncio.timeout(self._timeout_s):
                    await reader.start()
                state = await self._state(reader, kept)
                state.position = await self._checked_position(reader, state.position)
                return Opened(state, await self._new_accounts(reader, state.position))
            finally:
                await _stop(reader)
        except Exception as error:
            raise classify(error) from error

    async def commit(self, step: Step, state: State) -> None:
        """Publish a step in one transaction, all of it or nothing. Raises Fenced, OutcomeUnknown or Refused."""
        try:
            async with asyncio.timeout(self._commit_timeout_s):
                await self._transaction(step, state)
        except Exception as error:
            raise classify(error) from error

    async def close(self) -> bool:
        """Stop the producer. False: it did not stop in time and is abandoned."""
        if self._producer is None:
            return True
        producer, self._producer = self._producer, None
        return await _stop(producer)

    async def read_parked(self, offsets: Sequence[int]) -> dict[int, ConsumerRecord]:
        """The records at these offsets (ascending) of the parked topic; those that are gone are left out."""
        wanted = set(offsets)
        found: dict[int, ConsumerRecord] = {}

        def keep(record: ConsumerRecord) -> None:
            if record.offset in wanted:
                found[record.offset] = record

        part = TopicPartition(self._topics.parked, self._partition)
        reader = self._clients.reader()
        try:
            async with asyncio.timeout(self._timeout_s):
                await reader.start()
                reader.assign([part])
                first = max(offsets[0], (await reader.beginning_offsets([part]))[part])
            reader.seek(part, first)
            if first <= offsets[-1]:
                await read_to(reader, {part: offsets[-1] + 1}, keep, self._timeout_s)
        except Exception as error:
            raise classify(error) from error
        finally:
            await _stop(reader)
        return found

    # --- commit

    async def _transaction(self, step: Step, state: State) -> None:
        producer = self._producer
        outputs: dict[tuple[str, int], Sequence[OutRecord]] = dict(step.outputs)
        await producer.begin_transaction()
        if step.newly_parked:
            # Only the broker knows at which offsets: the changelog can name them once the records are there.
            parked = (self._topics.parked, self._partition)
            offsets = await self._send({parked: outputs.pop(parked)})
            step.complete(offsets[parked][: len(step.newly_parked)])
        changelog = (self._topics.state, self._partition)
        records: list[OutRecord] = [(key, value, [], step.now_ms) for key, value in state.records(step.changes)]
        sent = await self._send({changelog: records, **outputs})
        await producer.send_offsets_to_transaction(self._offsets(step.changes.position), self._settings.group)
        await producer.commit_transaction()
        self.position_at = sent[changelog][0]

    async def _send(self, outputs: Mapping[tuple[str, int], Sequence[OutRecord]]) -> dict[tuple[str, int], list[int]]:
        """Send all records, one batch per topic and partition where it fits; the offsets that they got."""
        batches = {target: self._batches(records) for target, records in outputs.items()}
        futures: dict[tuple[str, int], list[Any]] = {target: [] for target in batches}
        for row in zip_longest(*batches.values()):  # all first batches at once: one AddPartitions covers them
            for target, batch in zip(batches, row, strict=True):
                if batch is not None:
                    topic, partition = target
                    futures[target].append(await self._producer.send_batch(batch, topic, partition=partition))
        return {target: await self._offsets_of(batches[target], sent) for target, sent in futures.items()}

    async def _offsets_of(self, batches: Sequence[Any], futures: Sequence[Any]) -> list[int]:
        offsets: list[int] = []
        for batch, metadata in zip(batches, await asyncio.gather(*futures), strict=True):
            if metadata.offset < 0:  # a duplicate of which the broker has forgotten where it is
                raise kafka.KafkaError(f"no offset for records of {metadata.topic}-{metadata.partition}")
            offsets += range(metadata.offset, metadata.offset + batch.record_count())
        return offsets

    def _batches(self, records: Iterable[OutRecord]) -> list[Any]:
        batch = self._producer.create_batch()
        batches = [batch]
        for key, value, headers, timestamp_ms in records:
            if batch.append(timestamp=timestamp_ms, key=key, value=value, headers=headers) is None:
                batch = self._producer.create_batch()
                batches.append(batch)
                if batch.append(timestamp=timestamp_ms, key=key, value=value, headers=headers) is None:
                    raise kafka.MessageSizeTooLargeError(
                        f"a record with the key {key!r:.80} is over {BATCH_BYTES_MAX} bytes"
                    )
        for each in batches:
            each.close()
        return batches

    # --- open

    async def _state(self, reader: Any, kept: Kept | None) -> State:
        if kept is not None and await self._is_current(reader, kept):
            self.position_at = kept.position_at
            return kept.state
        latest: dict[TopicPartition, dict[bytes, bytes]] = {}
        changelog = TopicPartition(self._topics.state, self._partition)
        totals = TopicPartition(self._topics.totals, self._partition)

        def take(record: ConsumerRecord) -> None:
            values = latest.setdefault(TopicPartition(record.topic, record.partition), {})
            if record.value is None:
                values.pop(record.key, None)
            else:
                values[record.key] = record.value
            if record.key == b"position":
                self.position_at = record.offset

        await self._read(reader, {changelog: 0, totals: 0}, take)
        return restore(
            latest.get(changelog, {}),
            latest.get(totals, {}),
            app=self._settings.app,
            partition=self._partition,
            partitions=self._partitions,
        )

    async def _is_current(self, reader: Any, kept: Kept) -> bool:
        """Whether the last position in the changelog is still the one that the kept state ends with."""
        last: list[bytes] = []

        def take(record: ConsumerRecord) -> None:
            if record.key == b"position":
                last.append(record.value)

        changelog = TopicPartition(self._topics.state, self._partition)
        await self._read(reader, {changelog: kept.position_at}, take)
        return bool(last) and last[-1] == msgspec.json.encode(kept.state.position)

    async def _read(
        self, reader: Any, starts: Mapping[TopicPartition, int], take: Callable[[ConsumerRecord], None]
    ) -> None:
        """Read each partition from its start, or the log's if that is later, to its last stable offset as of now."""
        parts = list(starts)
        async with asyncio.timeout(self._timeout_s):
            reader.assign(parts)
            beginnings = await reader.beginning_offsets(parts)
            ends = await reader.end_offsets(parts)
        first = {part: max(start, beginnings[part]) for part, start in starts.items()}
        for part in parts:
            reader.seek(part, first[part])
        await read_to(reader, {part: ends[part] for part in parts if ends[part] > first[part]}, take, self._timeout_s)

    async def _checked_position(self, reader: Any, position: Position) -> Position:
        """The position, held against the group's offsets and the logs; a new one begins at the beginning."""
        parts = [TopicPartition(topic, self._partition) for topic in self._topics.inputs]
        async with asyncio.timeout(self._timeout_s):
            committed = await self._clients.committed(parts)
            beginnings = await reader.beginning_offsets(parts)
            ends = await reader.end_offsets(parts)
        known = self._offsets(position)
        resolved = {}
        for part in parts:
            offset, group = known[part], committed[part]
            where = f"{part.topic}-{part.partition}"
            if group is not None and group != offset:
                state = "is empty" if offset < 0 else f"says {offset}"
                raise Refused(f"group {self._settings.group} has offset {group} for {where}, but the state {state}")
            if offset < 0:
                offset = beginnings[part]
            elif not beginnings[part] <= offset <= ends[part]:
                raise Refused(f"{where} has offsets {beginnings[part]} to {ends[part]}, but the state is at {offset}")
            resolved[part] = offset
        raw, rekeyed, accounts = (resolved[part] for part in parts)
        return msgspec.structs.replace(position, raw=raw, rekeyed=rekeyed, accounts=accounts)

    async def _new_accounts(self, reader: Any, position: Position) -> list[ConsumerRecord]:
        found: list[ConsumerRecord] = []
        part = TopicPartition(self._topics.accounts, self._partition)
        await self._read(reader, {part: position.accounts}, found.append)
        return found

    def _offsets(self, position: Position) -> dict[TopicPartition, int]:
        offsets = (position.raw, position.rekeyed, position.accounts)
        return {
            TopicPartition(topic, self._partition): offset
            for topic, offset in zip(self._topics.inputs, offsets, strict=True)
        }


async def _stop(client: Any) -> bool:
    try:
        async with asyncio.timeout(STOP_TIMEOUT_S):
            await client.stop()
    except Exception:  # the client is given up either way: what it leaves open, the next start() ends
        return False
    return True
