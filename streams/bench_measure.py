"""The bench's instruments: how fast a group gets through a backlog, what its processes cost, and latency from outside.

Progress is the group's committed offsets, which cost the broker next to nothing to tell; start-up is left out by
counting from the first commit that is seen.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from streams.bench_load import Appended, load_producer, send_chunk, usage
from streams.children import Child
from streams.clients import STOP_TIMEOUT_S, ends, stop
from streams.errors import Refused
from streams.settings import Settings

_POLL_S = 0.02
_STALLED_S = 60.0  # nothing takes so long that goes on
_TICK_S = 0.01
_STAT = Path("/proc/stat")
_STEAL = 7


@dataclass(frozen=True, slots=True)
class Run:
    """From the first commit seen to the last: events, seconds, CPU seconds of all processes, the largest memory."""

    events: int
    seconds: float
    cpu_s: float
    peak_rss_mib: float

    @property
    def events_per_s(self) -> float:
        return self.events / self.seconds

    @property
    def cpu_us_per_event(self) -> float:
        return self.cpu_s / self.events * 1e6


def together(runs: Sequence[Run]) -> Run:
    """Several runs as one."""
    return Run(
        sum(run.events for run in runs),
        sum(run.seconds for run in runs),
        sum(run.cpu_s for run in runs),
        max(run.peak_rss_mib for run in runs),
    )


async def run_through(settings: Settings, partitions: int, backlog: int, children: Sequence[Child]) -> Run:
    """Watch the group until it has committed `backlog` raw records. Raises Refused if it stalls or a child ends."""
    client = AIOKafkaAdminClient(**settings.client_options(), request_timeout_ms=settings.request_timeout_ms)
    parts = [TopicPartition(settings.topics.raw, number) for number in range(partitions)]
    started: tuple[int, float, float] | None = None
    last, moved_at = 0, time.monotonic()
    try:
        async with asyncio.timeout(_STALLED_S):
            await client.start()
        while True:
            done = await _committed(client, settings.group, parts)
            now, cpu_s = time.monotonic(), sum(child.cpu_s() for child in children)
            if done > last:
                last, moved_at = done, now
                if started is None:
                    started = (done, now, cpu_s)
            if done >= backlog:
                break
            if now - moved_at > _STALLED_S:
                raise Refused(f"group {settings.group} has stopped at {done} of {backlog} records")
            for child in children:
                child.check()
            await asyncio.sleep(_POLL_S)
    finally:
        await ends(client.close(), STOP_TIMEOUT_S)
    assert started is not None
    if started[0] >= backlog:
        raise Refused(f"{backlog} events are too few to measure: they were done with the first commit")
    peak = max(child.peak_rss_mib() for child in children)
    return Run(backlog - started[0], now - started[1], cpu_s - started[2], peak)


async def _committed(client: AIOKafkaAdminClient, group: str, parts: list[TopicPartition]) -> int:
    try:
        async with asyncio.timeout(_STALLED_S):
            found = await client.list_consumer_group_offsets(group, partitions=parts)
    except KafkaError:  # a group that has never been there has no coordinator yet
        return 0
    return sum(max(0, entry.offset) for entry in found.values())


class _Origin(msgspec.Struct):
    partition: int
    offset: int


class _Data(msgspec.Struct):
    origin: _Origin


class _PricedEvent(msgspec.Struct):
    data: _Data


_PRICED = msgspec.json.Decoder(_PricedEvent)


class LatencyProbe:
    """Milliseconds from the append of a raw record until a read_committed reader has its priced event."""

    def __init__(self, settings: Settings, partitions: int) -> None:
        self._settings = settings
        self._partitions = partitions
        self._visible_ms: dict[tuple[int, int], float] = {}
        self._appended: list[Appended] = []

    async def run(self, per_s: int, seconds: float, warm_up_s: float) -> list[float]:
        """Send events for so long; the latencies of those sent after the warm-up, ascending."""
        settings = self._settings
        consumer = AIOKafkaConsumer(
            **settings.client_options(),
            group_id=None,
            isolation_level="read_committed",
            auto_offset_reset="none",
            enable_auto_commit=False,
            fetch_max_wait_ms=50,
        )
        try:
            await self._start_at_the_end(consumer)
            reading = asyncio.create_task(self._read(consumer))
            try:
                warm = await self._send(per_s, seconds, warm_up_s)
                await self._all_visible()
            finally:
                reading.cancel()
                await asyncio.wait([reading])
        finally:
            await stop(consumer)
        return self._latencies(warm)

    async def _start_at_the_end(self, consumer: AIOKafkaConsumer) -> None:
        parts = [TopicPartition(self._settings.topics.priced, number) for number in range(self._partitions)]
        async with asyncio.timeout(_STALLED_S):
            await consumer.start()
            consumer.assign(parts)
            ends = await consumer.end_offsets(parts)
        for part, end in ends.items():
            consumer.seek(part, end)

    async def _send(self, per_s: int, seconds: float, warm_up_s: float) -> int:
        """Returns how many of the batches belong to the warm-up."""
        producer, topic = load_producer(self._settings), self._settings.topics.raw
        loop = asyncio.get_running_loop()
        sent, warm = 0, 0
        try:
            async with asyncio.timeout(_STALLED_S):
                await producer.start()
            started = loop.time()
            while (elapsed := loop.time() - started) < seconds + warm_up_s:
                due = int(elapsed * per_s)
                if due > sent:
                    events = usage(sent, due - sent, time.time_ns(), seed=7)
                    async with asyncio.timeout(_STALLED_S):
                        self._appended += await send_chunk(producer, topic, self._partitions, events)
                    sent = due
                warm = len(self._appended) if elapsed < warm_up_s else warm
                await asyncio.sleep(max(0.0, _TICK_S - (loop.time() - started - elapsed)))
        finally:
            await stop(producer)
        return warm

    async def _read(self, consumer: AIOKafkaConsumer) -> None:
        while True:
            async with asyncio.timeout(_STALLED_S):
                batches = await consumer.getmany(timeout_ms=100)
            now_ms = time.time_ns() / 1e6
            for records in batches.values():
                for record in records:
                    origin = _PRICED.decode(record.value).data.origin
                    self._visible_ms[origin.partition, origin.offset] = now_ms

    async def _all_visible(self) -> None:
        expected = sum(batch.count for batch in self._appended)
        deadline = time.monotonic() + _STALLED_S
        while len(self._visible_ms) < expected:
            if time.monotonic() > deadline:
                raise Refused(f"{len(self._visible_ms)} of {expected} events were priced in {_STALLED_S:g} s")
            await asyncio.sleep(_POLL_S)

    def _latencies(self, warm: int) -> list[float]:
        return sorted(
            self._visible_ms[batch.partition, offset] - batch.append_ms
            for batch in self._appended[warm:]
            for offset in range(batch.offset, batch.offset + batch.count)
        )


def stolen_percentage(before: Sequence[int], after: Sequence[int]) -> float:
    """What the host of a virtual machine took of its CPU time between two `cpu_ticks`."""
    spent = [end - start for start, end in zip(before, after, strict=True)]
    return 100 * spent[_STEAL] / max(1, sum(spent))


def cpu_ticks() -> list[int]:
    """The machine's CPU time by its use, in ticks since it started (proc_stat(5): user, nice, system, idle, …)."""
    with _STAT.open() as opened:
        return [int(ticks) for ticks in opened.readline().split()[1:9]]  # the last two are in the first


def percentile(ascending: Sequence[float], percent: int) -> float:
    """The value that so many percent of the others do not exceed."""
    return ascending[min(len(ascending) - 1, len(ascending) * percent // 100)]
