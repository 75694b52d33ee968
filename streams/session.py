"""Exactly once: the only file that drives the transactional client. Open, commit, close; an error ends a session.

The rules are those of aiokafka 0.14 on Kafka 4, each with the failure that it prevents:

- `start()` comes first: it fences the old owner and ends its transaction; then the changelog is read, up to the end as
  it is *after* `start()`; then the inputs are sought to its position. aiokafka fetches a group's offsets before that.
- Between the two the last transaction is ended once more, as it was decided: a killed broker may forget its markers.
- The first connection that breaks ends a session, used or not: what is sent on another one could end with the records
  whose markers were forgotten, and they would share its fate.
- The first records in a changelog have to come where it was read to: a broker that was frozen, and does not know yet
  that it was replaced as its leader, shows it as it was, and everything since would be made once more.
- Every future of a produce is awaited before the commit: aiokafka commits a transaction of which the broker refused a
  batch, and moves the offsets on.
- Any error, timeout or cancellation leaves the outcome unknown. The session is then over: nothing is sent again from
  memory, its producer is not used again, and the state is read anew after another `start()`.
- Records first, offsets second: a transaction that begins with its offsets waits for the one before in steps of 100 ms
  instead of 20 (CONCURRENT_TRANSACTIONS).
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, islice, zip_longest
from typing import Any, NamedTuple

import aiokafka.errors as kafka
from aiokafka import AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.conn import CloseReason
from aiokafka.structs import OffsetAndMetadata

from streams.batch import OutRecord, Step
from streams.clients import Clients, KafkaReaders, is_cancelled, stop
from streams.errors import Refused
from streams.kafka_errors import TROUBLE, OutcomeUnknown, classify
from streams.restoring import COMMITTED_BY, Kept, PartitionLogs, Restored
from streams.settings import Settings
from streams.state import State

BATCH_BYTES_MAX = 900_000
IDLE_MAX_MS = 180_000  # before brokers and what stands before them close a connection, which would end its session
_MARKERS_S = 0.02

# Whether a transaction in this state is committed once `start()` has returned; in others nothing is known of it.
_DECIDED = {"PrepareCommit": True, "CompleteCommit": True} | dict.fromkeys(
    ("Ongoing", "PrepareEpochFence", "PrepareAbort", "CompleteAbort"), False
)

_HARMLESS = (None, CloseReason.IDLE_DROP, CloseReason.SHUTDOWN)  # the client's own reasons to close a connection

Target = tuple[str, int]  # a topic and its partition


class Producer(AIOKafkaProducer):  # type: ignore[misc]
    """aiokafka's producer, but it sends nothing more once a connection has broken, instead of on another one, and goes
    on after 2**31 records of a partition: a busy one has them in days, and aiokafka goes on at -2**31."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.is_cut_off = False
        self._watch_connections()
        self._txn_manager.increment_sequence_number = self._increment_sequence_number

    def _increment_sequence_number(self, part: TopicPartition, increment: int) -> None:
        # As Kafka's own clients do (DefaultRecordBatch.incrementSequence): 0 comes after the greatest.
        numbers = self._txn_manager._sequence_numbers
        numbers[part] = (numbers[part] + increment) % 2**31

    def _watch_connections(self) -> None:
        send, closed = self.client.send, self.client._on_connection_closed

        async def send_unless_cut_off(*args: Any, **options: Any) -> Any:
            if self.is_cut_off:
                if (task := asyncio.current_task()) is not None:
                    task.add_done_callback(_take_error)
                raise ConnectionError("a connection to the broker has broken")  # aiokafka repeats what is a KafkaError
            return await send(*args, **options)

        def watched(connection: Any, reason: CloseReason | None) -> None:
            self.is_cut_off = self.is_cut_off or reason not in _HARMLESS
            closed(connection, reason)

        self.client.send, self.client._on_connection_closed = send_unless_cut_off, watched


def _take_error(future: asyncio.Future[Any]) -> None:
    """What ends a session ends with many errors, of which one is raised: asyncio would log the others."""
    if not future.cancelled():
        future.exception()


class KafkaClients(KafkaReaders):
    """All clients of a worker."""

    def producer(self, transactional_id: str) -> Producer:
        return Producer(
            **self.common,
            transactional_id=transactional_id,
            transaction_timeout_ms=self.settings.transaction_timeout_ms,
            acks="all",
            max_batch_size=BATCH_BYTES_MAX,
            connections_max_idle_ms=IDLE_MAX_MS,
        )


class _Sent(NamedTuple):
    """A batch on its way."""

    future: asyncio.Future[Any]
    records: int

    @property
    def offsets(self) -> range:
        """Where its records are, once they are there."""
        metadata = self.future.result()
        if metadata.offset < 0:  # a duplicate of which the broker has forgotten where it is
            raise kafka.KafkaError(f"no offset for records of {metadata.topic}-{metadata.partition}")
        return range(metadata.offset, metadata.offset + self.records)


@contextmanager
def _classified() -> Iterator[None]:
    """What clients raise, as what has to follow: Fenced, OutcomeUnknown or Refused."""
    try:
        yield
    except TROUBLE as error:
        raise classify(error) from error
    except asyncio.CancelledError as error:
        if is_cancelled():
            raise
        raise OutcomeUnknown("a client has cancelled its caller") from error


class Session:
    """The producers of one partition, one after the other, each from its `start()` to its first error."""

    def __init__(
        self, clients: Clients, settings: Settings, partition: int, partitions: int, unmarked: dict[int, str]
    ) -> None:
        """`unmarked` says, by partition, how a transaction stood of which no opening since has come to its end."""
        self._clients = clients
        self._settings = settings
        self.partition = partition
        self._partitions = partitions
        self._logs = PartitionLogs(clients, settings, partition, partitions)
        # A commit waits for less than the broker waits for a transaction.
        self._commit_timeout_s = settings.transaction_timeout_ms / 1000 * 0.75
        self._open_timeout_s = self._commit_timeout_s + 3 * settings.start_timeout_s / 2  # three clients one by one
        self._transactional_id = settings.transactional_id(partition)
        self._producer: Any = None
        self._unmarked = unmarked
        self._ends: dict[str, int] = {}
        self.position_at = -1

    async def open(self, kept: Kept | None) -> Restored:
        """Fence the old owner, then read what is known of the partition. Raises Fenced, OutcomeUnknown or Refused."""
        with _classified():
            async with asyncio.timeout(self._open_timeout_s):
                last = await self._clients.transaction_state(self._transactional_id)
                if last in _DECIDED:
                    self._unmarked[self.partition] = last
                self._producer = self._clients.producer(self._transactional_id)
                await self._producer.start()
                await self._mark_again()
            restored = await self._logs.restore(kept)
        self.position_at = restored.position_at
        self._ends = dict(restored.ends)
        return restored

    @property
    def is_proven(self) -> bool:
        """Whether commits went on where state and totals were read to: until then the last ones may be lacking."""
        return self._settings.topics.totals not in self._ends

    async def read_parked(self, offsets: Sequence[int]) -> dict[int, ConsumerRecord]:
        """The parked records at these offsets, ascending. Raises as `open` does."""
        with _classified():
            return await self._logs.read_parked(offsets)

    def check(self) -> None:
        """Raises OutcomeUnknown where a connection has broken meanwhile."""
        if self._producer.is_cut_off:
            raise OutcomeUnknown("a connection to the broker has broken")

    async def commit(self, step: Step, state: State) -> None:
        """Publish a step in one transaction, all of it or nothing. Raises Fenced, OutcomeUnknown or Refused."""
        with _classified():
            async with asyncio.timeout(self._commit_timeout_s):
                try:
                    await self._transaction(step, state)
                except kafka.InvalidTimestampError as error:
                    raise Refused(f"Kafka takes no records of this time: {step.clocks}") from error

    async def close(self) -> bool:
        """Stop the producer. False: it did not stop in time and is abandoned."""
        if self._producer is None:
            return True
        producer, self._producer = self._producer, None
        return await stop(producer)

    async def _mark_again(self) -> None:
        """End the last transaction again, as it was decided, wherever it may have been.

        Kafka 4.3.1 forgets markers when it is killed before it has written them: the records would be hidden, be made
        anew, and then appear beside those. Where nothing is missing, these markers end nothing.
        """
        if self.partition not in self._unmarked:
            return
        is_commit = _DECIDED[self._unmarked[self.partition]]
        producer, topics = self._producer, self._settings.topics
        await producer.begin_transaction()
        while not await producer._sender._do_add_offsets_to_txn(self._settings.group):
            pass  # the coordinator was not ready; it has waited a little
        for topic in topics.outputs:
            producer._txn_manager.maybe_add_partition_to_txn(TopicPartition(topic, self.partition))
        for topic in (topics.rekeyed, topics.accounts, topics.rejected):  # where misrouted records go
            for partition in range(self._partitions):
                producer._txn_manager.maybe_add_partition_to_txn(TopicPartition(topic, partition))
        await (producer.commit_transaction() if is_commit else producer.abort_transaction())
        while True:
            state = await self._clients.transaction_state(self._transactional_id)
            if not state.startswith("Prepare"):  # the markers are there: the state can be read
                del self._unmarked[self.partition]
                return
            await asyncio.sleep(_MARKERS_S)

    async def _transaction(self, step: Step, state: State) -> None:
        producer, topics = self._producer, self._settings.topics
        parked, changelog = (topics.parked, self.partition), (topics.state, self.partition)
        await producer.begin_transaction()
        if step.newly_parked:
            # Only the broker knows at which offsets: the changelog can name them once the records are there.
            sent = await self._send(step, [parked])
            step.complete(list(islice(chain.from_iterable(sent[parked]), len(step.newly_parked))))
        step.outputs[changelog] = [(key, value, [], step.now_ms) for key, value in state.records(step.changes)]
        sent = await self._send(step, list(step.outputs))
        self._check_ends(sent)
        position = zip(topics.inputs, step.changes.position.offsets, strict=True)
        offsets = {TopicPartition(topic, self.partition): OffsetAndMetadata(at, COMMITTED_BY) for topic, at in position}
        await producer.send_offsets_to_transaction(offsets, self._settings.group)
        await producer.commit_transaction()
        self.position_at = sent[changelog][0][0]

    def _check_ends(self, sent: dict[Target, list[range]]) -> None:
        """The first records in a changelog come where it ended when it was read: only the true leader takes them."""
        for topic in [topic for topic in self._ends if sent.get((topic, self.partition))]:
            end, first = self._ends[topic], sent[topic, self.partition][0][0]
            if first != end:
                raise OutcomeUnknown(f"{topic}-{self.partition} goes on at {first}, but was read to {end} only")
            del self._ends[topic]

    async def _send(self, step: Step, targets: list[Target]) -> dict[Target, list[range]]:
        """Send these outputs, one batch per topic and partition where it fits; the offsets that each batch got."""
        batches: list[Iterator[Any]] = []
        for target in targets:
            records = step.outputs.pop(target)
            step.counts.produced[target[0]] += len(records)
            batches.append(self._batches(records))
        sent: dict[Target, list[_Sent]] = {target: [] for target in targets}
        for row in zip_longest(*batches):  # all first batches at once: one AddPartitions covers them
            for target, batch in zip(targets, row, strict=True):
                if batch is not None:
                    topic, partition = target
                    try:
                        future = await self._producer.send_batch(batch, topic, partition=partition)
                        future.add_done_callback(_take_error)
                        sent[target].append(_Sent(future, batch.record_count()))
                    except (kafka.IllegalOperation, AssertionError):
                        # The transaction has failed meanwhile; what was sent knows why.
                        await _arrival_of(sent)
                        raise
        await _arrival_of(sent)
        return {target: [each.offsets for each in found] for target, found in sent.items()}

    def _batches(self, records: list[OutRecord]) -> Iterator[Any]:
        """Takes the records out of the list as it goes: no need to hold their bytes twice."""
        records.reverse()
        batch = self._producer.create_batch()
        while records:
            key, value, headers, timestamp_ms = records.pop()
            if batch.append(timestamp=timestamp_ms, key=key, value=value, headers=headers) is None:
                batch.close()
                yield batch
                batch = self._producer.create_batch()
                batch.append(timestamp=timestamp_ms, key=key, value=value, headers=headers)  # takes its first always
        batch.close()
        yield batch


async def _arrival_of(sent: dict[Target, list[_Sent]]) -> None:
    await asyncio.gather(*[each.future for each in chain.from_iterable(sent.values())])
