"""The simulated broker: topics, transactions and groups behind one network on which anything can go wrong.

`SimBroker` is the world outside the workers. Tests make topics, append raw records, read what is committed,
restart it, and choose its faults; workers reach it through `wire.py` alone. There is one node. What the
parts simulate and leave out is said in `log.py`, `transactions.py` and `groups.py`. State is durable: a
restart breaks connections and forgets nothing.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from hashlib import blake2b
from typing import Protocol

from aiokafka.errors import (
    KafkaConnectionError,
    OffsetOutOfRangeError,
    UnknownTopicOrPartitionError,
)
from aiokafka.structs import OffsetAndMetadata, TopicPartition

from .faults import NO_FAULT, Fault, Faults, Kind, no_faults
from .groups import Group
from .log import MemoryRow, PartitionLog, Record, TopicSettings
from .loop import Worker, current_loop
from .transactions import Transactions

Fetched = tuple[list[Record], int] | OffsetOutOfRangeError


class Breakable(Protocol):
    """A connection."""

    def break_connection(self) -> None: ...


class SimBroker:
    """A Kafka of one node in virtual time. Must be made within `simulation.run`."""

    def __init__(
        self,
        faults: Faults = no_faults,
        *,
        latency_ms: tuple[float, float] = (0.2, 2.0),
        marker_ms: tuple[float, float] = (0.1, 1.5),
    ) -> None:
        self.loop = current_loop()
        self.faults = faults
        """The one hook: `(op, worker, detail) -> Fault`; may be replaced in the middle of a run."""
        self.hits: Counter[tuple[str, Kind]] = Counter()
        """How often each fault struck each operation, Kind.NONE included."""
        self.trace: list[tuple[float, str, str, str, object]] = []
        """Each operation: virtual time, worker, name, fault, detail."""
        self.topics: dict[str, TopicSettings] = {}
        self.transactions = Transactions(self.loop, self.log, marker_ms)
        self.groups: dict[str, Group] = {}
        self.workers: dict[str, Worker] = {}
        self.closed = False
        self.forgets_markers = False
        """Whether a restart loses the markers that are on their way."""
        self.incarnation = 0
        self.wires: list[Breakable] = []
        self._up_at = 0.0
        self._logs: dict[TopicPartition, PartitionLog] = {}
        self._latency_ms = latency_ms
        self._rng = self.loop.rng("latency")
        self._parked: dict[asyncio.Future[object], None] = {}
        self.loop.at_close.append(self._close)

    # What tests do

    def create_topic(
        self,
        name: str,
        partitions: int = 4,
        *,
        log_append_time: bool = False,
        max_message_bytes: int = 1_048_588,
    ) -> None:
        assert name not in self.topics, name
        settings = self.topics[name] = TopicSettings(partitions, log_append_time, max_message_bytes)
        for p in range(partitions):
            tp = TopicPartition(name, p)
            self._logs[tp] = PartitionLog(tp, settings)

    def append(
        self,
        topic: str,
        partition: int,
        value: bytes | None,
        *,
        key: bytes | None = None,
        headers: Iterable[tuple[str, bytes]] = (),
        timestamp: int | None = None,
    ) -> int:
        """Append a record at once, as a producer without transactions; its offset."""
        now = self.loop.now_ms()
        row = MemoryRow(now if timestamp is None else timestamp, key, value, tuple(headers))
        return self.log(TopicPartition(topic, partition)).append_plain([row], now)

    def committed(self, topic: str, partition: int | None = None) -> list[Record]:
        """All a read_committed reader sees of a topic now, partition by partition."""
        partitions = range(self.topics[topic].partitions) if partition is None else [partition]
        logs = [self._logs[TopicPartition(topic, p)] for p in partitions]
        return [record for log in logs for record in log.read(log.start, 1 << 62)[0]]

    def group_offsets(self, group: str) -> dict[TopicPartition, int]:
        return {tp: committed.offset for tp, committed in self.group_commits(group).items()}

    def group_commits(self, group: str) -> dict[TopicPartition, OffsetAndMetadata]:
        return dict(self.transactions.committed.get(group, {}))

    def set_group_offsets(self, group: str, offsets: Mapping[TopicPartition, int | None]) -> None:
        """What kafka-consumer-groups --reset-offsets does; None forgets an offset, as after seven idle
        days.
        """
        committed = self.transactions.committed.setdefault(group, {})
        for tp, offset in offsets.items():
            committed.pop(tp, None)
            if offset is not None:
                committed[tp] = OffsetAndMetadata(offset, "")

    def truncate(self, tp: TopicPartition, offset: int) -> None:
        self.log(tp).truncate(offset)

    def compact(self, tp: TopicPartition) -> None:
        self.log(tp).compact(self._rng)

    def restart(self, down_ms: float = 1000.0) -> None:
        """Every connection breaks, and none is accepted for `down_ms`. Transactions and members survive."""
        self.incarnation += 1
        if self.forgets_markers:
            self.transactions.forget_markers()
        self._up_at = max(self._up_at, self.loop.time() + down_ms / 1000)
        for group in self.groups.values():
            self.loop.later(down_ms / 1000, group.renew)
        for wire in self.wires:
            wire.break_connection()
        for parked in list(self._parked):
            if not parked.done():
                parked.set_exception(KafkaConnectionError("the broker restarted"))

    def trace_hash(self) -> str:
        return blake2b("\n".join(map(repr, self.trace)).encode(), digest_size=16).hexdigest()

    # What the wire does

    @property
    def is_down(self) -> bool:
        return self.loop.time() < self._up_at

    def next_fault(self, op: str, worker: str, detail: object) -> Fault:
        """Ask the hook, count what it says, note the step."""
        fault = NO_FAULT if self.closed else self.faults(op, worker, detail)
        self.hits[op, fault.kind] += 1
        self.trace.append((self.loop.time(), worker, op, fault.kind.value, detail))
        return fault

    def draw_latency_s(self) -> float:
        return self._rng.uniform(*self._latency_ms) / 1000

    def draw_member_id(self) -> str:
        return f"member-{self._rng.getrandbits(64):016x}"

    def log(self, tp: TopicPartition) -> PartitionLog:
        try:
            return self._logs[tp]
        except KeyError:
            raise UnknownTopicOrPartitionError(f"{tp}") from None

    def group(self, name: str) -> Group:
        if name not in self.groups:
            self.groups[name] = Group(self.loop, lambda topic: self.topics[topic].partitions)
        return self.groups[name]

    def produce(self, tp: TopicPartition, data: bytes, producer: tuple[int, int]) -> tuple[int, int]:
        self.transactions.verify(*producer, tp)
        return self.log(tp).append_transactional(data, self.loop.now_ms())

    def fetch(self, wanted: Mapping[TopicPartition, int]) -> dict[TopicPartition, Fetched] | asyncio.Future[object]:
        """What can be read from these offsets; a future of it, if there is nothing yet.

        A real broker answers an empty long poll after `fetch_max_wait_ms` and is asked again: here it waits
        on.
        """
        return self._read(wanted) or LongPoll(self._read, wanted, [self.log(tp) for tp in wanted]).answer

    def _read(self, wanted: Mapping[TopicPartition, int]) -> dict[TopicPartition, Fetched]:
        found: dict[TopicPartition, Fetched] = {}
        for tp, offset in wanted.items():
            try:
                records, upto = self.log(tp).read(offset)
            except OffsetOutOfRangeError as error:
                found[tp] = error
            else:
                if upto > offset:
                    found[tp] = (records, upto)
        return found

    def park(self, future: asyncio.Future[object]) -> None:
        """Remember a request that the broker has not answered, so that a restart breaks it."""
        self._parked[future] = None
        future.add_done_callback(self._unpark, context=self.loop.nobody)

    def _unpark(self, future: asyncio.Future[object]) -> None:
        self._parked.pop(future, None)

    def _close(self) -> None:
        self.closed = True


class LongPoll:
    """A fetch that waits at the logs it wants until one of them has something to read."""

    def __init__(
        self, read: Callable[..., dict], wanted: Mapping[TopicPartition, int], logs: list[PartitionLog]
    ) -> None:
        loop = current_loop()
        self.answer: asyncio.Future[object] = loop.create_future()
        self._read, self._wanted, self._logs = read, wanted, logs
        for log in logs:
            log.waiters[self] = None
        self.answer.add_done_callback(self._leave, context=loop.nobody)

    def wake(self) -> None:
        found = self._read(self._wanted)
        if found and not self.answer.done():
            self.answer.set_result(found)

    def _leave(self, _: asyncio.Future[object]) -> None:
        for log in self._logs:
            log.waiters.pop(self, None)
