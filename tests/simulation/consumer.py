"""Consumers as the product sees aiokafka's: a buffer filled in the background, positions that move when it
is read.

Simulated: one fetch in flight; what was fetched before a seek or a rebalance is dropped; a position passes
markers and aborted records only once a later `getmany` takes the fetch that passed them; an error waits in
the buffer until its partition is asked for and nothing else was drained; `getmany()` without partitions
means all; no position and nothing committed: NoOffsetForPartitionError, again and again, until a seek. Not
simulated: the back-off of 100 ms while a partition holds unread data, a long poll that delays a partition
newly in (a seek is fetched at once), `fetch_max_bytes`, CRC, pause, max_poll_interval.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from functools import partial
from typing import Any

from aiokafka.errors import (
    ConsumerStoppedError,
    IllegalStateError,
    KafkaError,
    KafkaTimeoutError,
    NoOffsetForPartitionError,
)
from aiokafka.structs import TopicPartition

from .broker import SimBroker
from .log import Record
from .wire import Wire

RETRY_S = 0.1


class Assignment:
    """Partitions held since a join or an `assign`, their positions, and what has been fetched of them."""

    def __init__(self, tps: Iterable[TopicPartition]) -> None:
        self.tps = tuple(sorted(tps))
        self.positions: dict[TopicPartition, int] = {}
        self.buffer: dict[TopicPartition, Fetch | KafkaError] = {}

    def wanted(self) -> dict[TopicPartition, int]:
        """What a fetch would ask for now: positions known, nothing buffered."""
        return {tp: at for tp, at in self.positions.items() if tp not in self.buffer}

    def unpositioned(self) -> list[TopicPartition]:
        return [tp for tp in self.tps if tp not in self.positions and tp not in self.buffer]


class Fetch:
    """Records of one partition not yet taken, and the offset to go on from after them."""

    def __init__(self, records: list[Record], upto: int) -> None:
        self._records = records
        self._taken = 0
        self._upto = upto

    def take(self, records_max: int | None) -> tuple[list[Record], int, bool]:
        """Records, the new position, and whether that is all of it."""
        stop = len(self._records) if records_max is None else min(self._taken + records_max, len(self._records))
        records, self._taken = self._records[self._taken : stop], stop
        # As in aiokafka, exactly `records_max` records leave an empty rest that a later call finds out about.
        is_all = records_max is None or len(records) < records_max
        return records, self._upto if is_all else records[-1].offset + 1, is_all


class SimConsumer:
    """A consumer without a group: read_committed, auto_offset_reset none, partitions by `assign`."""

    def __init__(self, broker: SimBroker, wire: Wire, request_timeout_ms: int) -> None:
        self._broker = broker
        self._loop = broker.loop
        self._wire = wire
        self._request_timeout_s = request_timeout_ms / 1000
        self._assignment = Assignment(())
        self._closed = False
        self._fetching: tuple[dict[TopicPartition, int], asyncio.Task[None]] | None = None
        self._resolving: asyncio.Task[None] | None = None
        self._changed: list[asyncio.Future[None]] = []

    async def start(self) -> None:
        await self._wire.bootstrap()

    async def stop(self) -> None:
        self._closed = True
        for task in (self._fetching and self._fetching[1], self._resolving):
            if task:
                task.cancel()
        self._notify()

    def assign(self, tps: Iterable[TopicPartition]) -> None:
        self._hold(tps)

    def assignment(self) -> set[TopicPartition]:
        return set(self._assignment.tps)

    def seek(self, tp: TopicPartition, offset: int) -> None:
        """Move; what was fetched of the partition is dropped. IllegalStateError where it is not assigned."""
        self._require_assigned(tp)
        self._assignment.positions[tp] = offset
        self._assignment.buffer.pop(tp, None)
        self._notify()
        self._pump()

    def highwater(self, tp: TopicPartition) -> int | None:
        """The end of the log; aiokafka knows it from the last fetch."""
        self._require_assigned(tp)
        return self._broker.log(tp).end

    def last_stable_offset(self, tp: TopicPartition) -> int:
        """Where read_committed ends."""
        self._require_assigned(tp)
        return self._broker.log(tp).last_stable

    async def position(self, tp: TopicPartition) -> int:
        """The next offset to be taken; waits for one, without end, where there is none."""
        while True:
            self._require_assigned(tp)
            if tp in self._assignment.positions:
                return self._assignment.positions[tp]
            await self._change()

    async def getmany(
        self, *tps: TopicPartition, timeout_ms: float = 0, max_records: int | None = None
    ) -> dict[TopicPartition, list[Record]]:
        """What is buffered of `tps` (of ALL assigned partitions if none is named), after at most
        `timeout_ms`.
        """
        if max_records is not None and max_records < 1:
            raise ValueError("`max_records` must be a positive Integer")
        if self._closed:
            raise ConsumerStoppedError()
        deadline = self._loop.time() + timeout_ms / 1000
        self._pump()
        while True:
            await self._while_rebalancing()
            drained = self._drain(tps, max_records)
            self._pump()
            left = deadline - self._loop.time()
            if drained or left <= 0:
                return drained
            waiter = self._change()
            await asyncio.wait([waiter], timeout=left)
            if self._closed or not waiter.done():
                waiter.cancel()
                return {}

    async def end_offsets(self, tps: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Last stable offsets: the end of what read_committed can read."""
        return await self._list_offsets("end", tps)

    async def beginning_offsets(self, tps: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        return await self._list_offsets("beginning", tps)

    def _list_now(self, which: str, tps: tuple[TopicPartition, ...]) -> dict[TopicPartition, int]:
        logs = {tp: self._broker.log(tp) for tp in tps}
        return {tp: log.last_stable if which == "end" else log.start for tp, log in logs.items()}

    async def _list_offsets(self, which: str, tps: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        wanted = tuple(sorted(tps))
        deadline = self._loop.time() + self._request_timeout_s
        while True:
            try:
                return await self._wire.call("list_offsets", (which, wanted), partial(self._list_now, which, wanted))
            except KafkaError as error:
                if not error.retriable:
                    raise
                if self._loop.time() >= deadline:
                    raise KafkaTimeoutError(f"no offsets within {self._request_timeout_s} s") from error
            await asyncio.sleep(RETRY_S)

    def _require_assigned(self, tp: TopicPartition) -> None:
        if tp not in self._assignment.tps:
            raise IllegalStateError(f"No current assignment for partition {tp}")

    def _hold(self, tps: Iterable[TopicPartition]) -> None:
        if self._resolving is not None:
            self._resolving.cancel()
            self._resolving = None
        self._assignment = Assignment(tps)
        self._notify()
        self._pump()

    async def _while_rebalancing(self) -> None:
        """A consumer without a group is never in one."""

    def _drain(self, tps: tuple[TopicPartition, ...], records_max: int | None) -> dict[TopicPartition, list[Record]]:
        buffer, drained, left = self._assignment.buffer, {}, records_max
        for tp in list(buffer):
            if tps and tp not in tps:
                continue
            entry = buffer[tp]
            if isinstance(entry, KafkaError):
                if drained:
                    return drained
                del buffer[tp]
                self._pump()
                raise entry
            records, self._assignment.positions[tp], is_all = entry.take(left)
            if is_all:
                del buffer[tp]
            if records:
                drained[tp] = records
                left = None if left is None else left - len(records)
                if left == 0:
                    break
        return drained

    def _pump(self) -> None:
        """Keep one fetch going for all that can be fetched, and one look for positions where there are
        none.
        """
        if self._closed:
            return
        assignment = self._assignment
        if assignment.unpositioned() and (self._resolving is None or self._resolving.done()):
            self._resolving = self._loop.create_task(self._resolve(assignment))
        wanted = assignment.wanted()
        if self._fetching is not None:
            current, task = self._fetching
            if current == wanted and not task.done():
                return
            task.cancel()
            self._fetching = None
        if wanted:
            self._fetching = wanted, self._loop.create_task(self._fetch(assignment, wanted))

    async def _fetch(self, assignment: Assignment, wanted: dict[TopicPartition, int]) -> None:
        found: dict[TopicPartition, Any] = {}
        try:
            found = await self._wire.call("fetch", tuple(wanted.items()), partial(self._broker.fetch, wanted))
        except KafkaError:
            await asyncio.sleep(RETRY_S)
        for tp, entry in found.items():
            assignment.buffer[tp] = Fetch(*entry) if isinstance(entry, tuple) else entry
        self._fetching = None
        self._notify()
        self._pump()

    async def _resolve(self, assignment: Assignment) -> None:
        """Give every partition without a position the committed one, unless a seek comes first."""
        missing = assignment.unpositioned()
        try:
            committed = await self._find_committed(missing)
        except KafkaError:
            await asyncio.sleep(RETRY_S)
            committed = None
        if committed is not None:
            for tp in missing:
                self._settle(assignment, tp, committed.get(tp))
        self._resolving = None
        if assignment is self._assignment:
            self._notify()
        self._pump()

    @staticmethod
    def _settle(assignment: Assignment, tp: TopicPartition, committed: int | None) -> None:
        if tp in assignment.positions or tp in assignment.buffer:
            return
        if committed is None:
            assignment.buffer[tp] = NoOffsetForPartitionError(tp)
        else:
            assignment.positions[tp] = committed

    async def _find_committed(self, tps: list[TopicPartition]) -> dict[TopicPartition, int]:
        await asyncio.sleep(0)
        return {}

    def _change(self) -> asyncio.Future[None]:
        waiter: asyncio.Future[None] = self._loop.create_future()
        self._changed.append(waiter)
        return waiter

    def _notify(self) -> None:
        waiters, self._changed = self._changed, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
