"""Where clients come from: Kafka, or the simulated broker of the tests."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.assignors.range import RangePartitionAssignor

from streams.settings import Settings

FETCH_WAIT_MS = 25
FETCH_BYTES_MIN = 60_000  # fewer and fuller answers, since each one costs CPU
STOP_TIMEOUT_S = 3.0


class Clients(Protocol):
    """Where clients come from: Kafka, or the simulated broker of the tests."""

    def producer(self, transactional_id: str) -> Any: ...

    def reader(self) -> Any: ...

    def group_consumer(self, topics: Sequence[str], listener: Any) -> Any: ...

    async def committed(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int | None]: ...


class KafkaReaders:
    """aiokafka's consumers, set up by the rules: read_committed, no commits of their own, no silent reset."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.common = {**settings.client_options(), "request_timeout_ms": settings.request_timeout_ms}

    def reader(self) -> AIOKafkaConsumer:
        return AIOKafkaConsumer(**self.common, **_READ_COMMITTED, group_id=None)

    def group_consumer(self, topics: Sequence[str], listener: Any) -> "GroupConsumer":
        return GroupConsumer(self.settings, self.common, topics, listener)

    async def committed(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int | None]:
        client = AIOKafkaAdminClient(**self.common)
        try:
            await client.start()
            found = await client.list_consumer_group_offsets(self.settings.group, partitions=list(partitions))
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
            fetch_min_bytes=FETCH_BYTES_MIN,
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
        self.position = self._consumer.position
        self.stop = self._consumer.stop

    async def start(self) -> None:
        self._consumer.subscribe(list(self._topics), listener=self._listener)
        await self._consumer.start()
        self._watch_heartbeats()

    def check_errors(self) -> None:
        """Raise what went wrong in the group since the last poll; polls do so too."""
        self._consumer._coordinator.check_errors()

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


async def stop(client: Any) -> bool:
    """Stop a client; False: it did not stop in time, or in an error, and is given up."""
    try:
        async with asyncio.timeout(STOP_TIMEOUT_S):
            await client.stop()
    except Exception:  # what it leaves open, the next start() ends
        return False
    return True
