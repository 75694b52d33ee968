"""The transaction coordinator: who owns a transactional id, and what its open transaction touches.

Simulated: the producer epoch and its bump by InitProducerId, which ends an open transaction and answers
ConcurrentTransactions until the markers are written; prepare-commit, which nothing can undo; markers that
arrive partition by partition some milliseconds after EndTxn has answered; the transaction timeout; the
verification of Kafka 4 that a produce belongs to an open transaction; offsets pending in a group until the
commit marker reaches them. TxnOffsetCommit v0 checks the epoch and nothing else: no member, no generation.
Not simulated: transaction version 2 (aiokafka does not speak it), expiry of transactional ids, a moving
coordinator.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from aiokafka.errors import (
    ConcurrentTransactions,
    InvalidProducerEpoch,
    InvalidProducerIdMapping,
    InvalidTxnState,
)
from aiokafka.structs import OffsetAndMetadata, TopicPartition

from .log import PartitionLog
from .loop import VirtualLoop

FIRST_PRODUCER_ID = 1000


class State(Enum):
    EMPTY = "empty"
    ONGOING = "ongoing"
    PREPARE_COMMIT = "prepare_commit"
    PREPARE_ABORT = "prepare_abort"
    COMPLETE_COMMIT = "complete_commit"
    COMPLETE_ABORT = "complete_abort"


ENDING = {
    True: (State.PREPARE_COMMIT, State.COMPLETE_COMMIT),
    False: (State.PREPARE_ABORT, State.COMPLETE_ABORT),
}


@dataclass(slots=True)
class Transaction:
    """A transactional id; `partitions` and `groups` are ordered sets, so that runs repeat."""

    transactional_id: str
    producer_id: int
    epoch: int = 0
    state: State = State.EMPTY
    timeout_ms: int = 0
    partitions: dict[TopicPartition, None] = field(default_factory=dict)
    groups: dict[str, dict[TopicPartition, int]] = field(default_factory=dict)
    """Offsets pending in each group."""
    timer: asyncio.TimerHandle | None = None
    writes: list[asyncio.TimerHandle] = field(default_factory=list)
    """Markers on their way."""
    unmarked: dict[str, dict[TopicPartition, int]] = field(default_factory=dict)
    """Offsets pending in each group of a transaction whose markers are forgotten."""

    @property
    def is_ending(self) -> bool:
        return self.state in (State.PREPARE_COMMIT, State.PREPARE_ABORT)


class Transactions:
    def __init__(
        self,
        loop: VirtualLoop,
        get_log: Callable[[TopicPartition], PartitionLog],
        marker_ms: tuple[float, float],
    ) -> None:
        self.committed: dict[str, dict[TopicPartition, OffsetAndMetadata]] = {}
        """Committed offsets by group."""
        self.aborted_by_timeout = 0
        self._loop = loop
        self._get_log = get_log
        self._marker_ms = marker_ms
        self._rng: random.Random = loop.rng("markers")
        self._by_id: dict[str, Transaction] = {}
        self._by_producer: dict[int, Transaction] = {}

    def find(self, transactional_id: str) -> Transaction | None:
        return self._by_id.get(transactional_id)

    def open_ids(self) -> list[str]:
        """Transactional ids whose transaction has not ended, markers included."""
        done = (State.EMPTY, State.COMPLETE_COMMIT, State.COMPLETE_ABORT)
        return sorted(id for id, txn in self._by_id.items() if txn.state not in done)

    def init_producer(self, transactional_id: str, timeout_ms: int) -> tuple[int, int]:
        """InitProducerId: the producer id and a new epoch, once no older transaction is left."""
        txn = self._by_id.get(transactional_id)
        if txn is None:
            txn = Transaction(transactional_id, FIRST_PRODUCER_ID + len(self._by_id))
            self._by_id[transactional_id] = self._by_producer[txn.producer_id] = txn
        elif txn.is_ending:
            raise ConcurrentTransactions(transactional_id)
        elif txn.state is State.ONGOING:
            txn.epoch += 1
            self._end(txn, commit=False)
            raise ConcurrentTransactions(transactional_id)
        else:
            txn.epoch += 1
        txn.state, txn.timeout_ms = State.EMPTY, timeout_ms
        return txn.producer_id, txn.epoch

    def add_partitions(self, transactional_id: str, producer: tuple[int, int], tps: Iterable[TopicPartition]) -> None:
        txn = self._get_current(transactional_id, producer)
        self._begin(txn)
        txn.partitions.update(dict.fromkeys(sorted(tps)))

    def add_group(self, transactional_id: str, producer: tuple[int, int], group: str) -> None:
        txn = self._get_current(transactional_id, producer)
        self._begin(txn)
        txn.groups.setdefault(group, txn.unmarked.pop(group, {}))

    def commit_offsets(
        self,
        transactional_id: str,
        producer: tuple[int, int],
        group: str,
        offsets: Mapping[TopicPartition, OffsetAndMetadata],
    ) -> None:
        """TxnOffsetCommit v0: whoever holds the epoch may commit, member of the group or not."""
        txn = self._get_current(transactional_id, producer)
        if txn.state is not State.ONGOING or group not in txn.groups:
            raise InvalidTxnState(f"{transactional_id}: offsets in state {txn.state.value}")
        txn.groups[group].update(offsets)

    def verify(self, producer_id: int, epoch: int, tp: TopicPartition) -> None:
        """A produced batch must belong to an open transaction of the current epoch."""
        txn = self._by_producer.get(producer_id)
        if txn is None:
            raise InvalidProducerIdMapping(f"{tp}: producer id {producer_id}")
        self._check_epoch(txn, epoch)
        if txn.state is not State.ONGOING or tp not in txn.partitions:
            raise InvalidTxnState(f"{tp}: produce in state {txn.state.value} of {txn.transactional_id}")

    def end(self, transactional_id: str, producer: tuple[int, int], commit: bool) -> None:
        """EndTxn: answered once the decision is taken; the same again, once it is complete, is answered
        alike.
        """
        txn = self._get_current(transactional_id, producer)
        preparing, complete = ENDING[commit]
        if txn.state is preparing:
            raise ConcurrentTransactions(transactional_id)
        if txn.state is complete:
            return
        if txn.state is not State.ONGOING:
            raise InvalidTxnState(f"{transactional_id}: EndTxn in state {txn.state.value}")
        self._end(txn, commit)

    def _get_current(self, transactional_id: str, producer: tuple[int, int]) -> Transaction:
        txn = self._by_id.get(transactional_id)
        if txn is None or txn.producer_id != producer[0]:
            raise InvalidProducerIdMapping(f"{transactional_id}: producer id {producer[0]}")
        self._check_epoch(txn, producer[1])
        return txn

    @staticmethod
    def _check_epoch(txn: Transaction, epoch: int) -> None:
        if epoch != txn.epoch:
            raise InvalidProducerEpoch(f"{txn.transactional_id}: epoch {epoch}, now {txn.epoch}")

    def _begin(self, txn: Transaction) -> None:
        if txn.is_ending:
            raise ConcurrentTransactions(txn.transactional_id)
        if txn.state is not State.ONGOING:
            txn.state = State.ONGOING
            txn.timer = self._loop.later(txn.timeout_ms / 1000, self._time_out, txn)

    def _time_out(self, txn: Transaction) -> None:
        self.aborted_by_timeout += 1
        txn.epoch += 1
        self._end(txn, commit=False)

    def _end(self, txn: Transaction, commit: bool) -> None:
        """Decide, then write the markers one after the other, each a little later, in any order."""
        txn.state = ENDING[commit][0]
        if txn.timer is not None:
            txn.timer.cancel()
        writes: list[tuple[Callable[..., None], tuple[object, ...]]] = [
            (self._get_log(tp).append_marker, (txn.producer_id, txn.epoch, commit)) for tp in txn.partitions
        ]
        if commit:
            writes += [(self._apply_offsets, (group, offsets)) for group, offsets in txn.groups.items()]
        self._rng.shuffle(writes)
        delay = 0.0
        txn.writes = []
        for write, args in [*writes, (self._complete, (txn, commit))]:
            if args[0] is not txn:
                delay += self._rng.uniform(*self._marker_ms) / 1000
            txn.writes.append(self._loop.later(delay, write, *args))

    def forget_markers(self) -> None:
        """What Kafka 4.3.1 does when it is killed: transactions that are decided are taken for complete."""
        for txn in self._by_id.values():
            if txn.is_ending:
                for write in txn.writes:
                    write.cancel()
                txn.unmarked.update(txn.groups)
                self._complete(txn, txn.state is State.PREPARE_COMMIT)

    def _apply_offsets(self, group: str, offsets: Mapping[TopicPartition, OffsetAndMetadata]) -> None:
        self.committed.setdefault(group, {}).update(offsets)

    def _complete(self, txn: Transaction, commit: bool) -> None:
        txn.state = ENDING[commit][1]
        txn.partitions, txn.groups = {}, {}
