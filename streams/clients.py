"""Where clients come from: Kafka, or the simulated broker of the tests."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import AIOKafkaClient
from aiokafka.consumer import fetcher
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import GroupCoordinatorNotAvailableError, KafkaError
from aiokafka.structs import OffsetAndMetadata

from streams.records import Batches
from streams.settings import Settings
from streams.transactions import transaction_state

FETCH_WAIT_MS = 25
FETCH_BYTES_MIN = 60_000  # fewer and fuller answers, since each one costs CPU
STOP_TIMEOUT_S = 3.0
_NEVER_MS = 2**31 - 1

fetcher.MemoryRecords = Batches  # aiokafka (pinned) has no other way to tell it how to read


class Clients(Protocol):
    """Where clients come from: Kafka, or the simulated broker of the tests."""

    def producer(self, transactional_id: str) -> Any: ...

    def reader(self, fetch_wait_ms: int = FETCH_WAIT_MS) -> Any: ...

    def group_consumer(self, topics: Sequence[str], listener: Any) -> Any: ...

    async def committed(
        self, partitions: Sequence[TopicPartition]
    ) -> dict[TopicPartition, OffsetAndMetadata | None]: ...

    async def transaction_state(self, transactional_id: str) -> str: ...


class Reader(AIOKafkaConsumer):  # type: ignore[misc]
    """aiokafka's consumer, but a poll says so when nothing will ever be fetched again: it would be empty for ever."""

    async def getmany(self, *parts: TopicPartition, timeout_ms: int = 0) -> dict[TopicPartition, list[Any]]:
        if self._fetcher._fetch_task.done():
            raise KafkaError("the client's fetch loop has ended")
        found: dict[TopicPartition, list[Any]] = await super().getmany(*parts, timeout_ms=timeout_ms)
        return found


class KafkaReaders:
    """aiokafka's consumers, set up by the rules: read_committed, no commits of their own, no silent reset."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.common = {**settings.client_options(), "request_timeout_ms": settings.request_timeout_ms}

    def reader(self, fetch_wait_ms: int = FETCH_WAIT_MS) -> Reader:
        """`fetch_wait_ms`: so long the broker waits at the end of a log, and answers nothing else meanwhile."""
        return Reader(**self.common, **_READ_COMMITTED, group_id=None, fetch_max_wait_ms=fetch_wait_ms)

    def group_consumer(self, topics: Sequence[str], listener: Any) -> "GroupConsumer":
        return GroupConsumer(self.settings, self.common, topics, listener)

    async def committed(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, OffsetAndMetadata | None]:
        client = AIOKafkaAdminClient(**self.common)
        try:
            await client.start()
            found = await client.list_consumer_group_offsets(self.settings.group, partitions=list(partitions))
        finally:
            await ends(client.close(), STOP_TIMEOUT_S)
        if missing := [each for each in partitions if each not in found]:  # -1 where there is no offset
            raise GroupCoordinatorNotAvailableError(f"group {self.settings.group} says nothing of {missing}")
        return {each: found[each] if found[each].offset >= 0 else None for each in partitions}

    async def transaction_state(self, transactional_id: str) -> str:
        client = AIOKafkaClient(**self.common)
        try:
            await client.bootstrap()
            return await transaction_state(client, transactional_id)
        finally:
            await ends(client.close(), STOP_TIMEOUT_S)


_READ_COMMITTED: Mapping[str, Any] = {
    "isolation_level": "read_committed",
    "auto_offset_reset": "none",
    "enable_auto_commit": False,
    "max_partition_fetch_bytes": 1024 * 1024,
    "max_poll_records": 50_000,  # a compressed batch may have millions
}


class GroupConsumer:
    """The group's consumer. `heartbeat_at` is the loop time at which the last heartbeat was sent that the coordinator
    accepted: the only proof that this process was still a member then. Not when the answer was read: a process that was
    frozen reads answers from before."""

    def __init__(self, settings: Settings, common: Mapping[str, Any], topics: Sequence[str], listener: Any) -> None:
        self.heartbeat_at = 0.0
        self._topics = topics
        self._listener = listener
        self._consumer = Reader(
            **common,
            **_READ_COMMITTED,
            fetch_max_wait_ms=FETCH_WAIT_MS,
            fetch_min_bytes=FETCH_BYTES_MIN,
            group_id=settings.group,
            partition_assignment_strategy=(RangePartitionAssignor,),
            session_timeout_ms=settings.session_timeout_ms,
            heartbeat_interval_ms=settings.session_timeout_ms // 4,
            rebalance_timeout_ms=settings.rebalance_timeout_ms,
            max_poll_interval_ms=_NEVER_MS,  # a member that has nothing to poll would leave the group for good
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


async def stop(client: Any, timeout_s: float = STOP_TIMEOUT_S) -> bool:
    """Stop a client; False: it did not stop in time, or in an error, and is given up with its connections."""
    if await ends(client.stop(), timeout_s):  # what it leaves open, the next start() ends
        return True
    if (sender := getattr(client, "_sender", None)) is not None and sender.sender_task is not None:
        sender.sender_task.cancel()  # a producer's would try again for ever
    if (connections := getattr(client, "_client", None) or getattr(client, "client", None)) is not None:
        await ends(connections.close(), timeout_s)
    return False


async def ends(work: Awaitable[None], timeout_s: float) -> bool:
    """Whether it came to its end. With the broker away clients let out what they did to their own fetches."""
    before = _cancellations()
    try:
        async with asyncio.timeout(timeout_s):
            await work
    except asyncio.CancelledError:
        if _cancellations() > before:
            raise
        return False
    except Exception:
        return False
    return True


def is_cancelled() -> bool:
    """Whether somebody wants the current task to end; else a cancellation in it is a client's own."""
    return _cancellations() > 0


def _cancellations() -> int:
    task = asyncio.current_task()
    return 0 if task is None else task.cancelling()
