"""The bench's limit: a raw copy with the worker's own clients and transactions that does not look at what it copies.

Runs as a child process, `python -m streams.bench_copy CONFIG SETTINGS TOPIC` (CONFIG may be empty, SETTINGS is a JSON
object), until SIGTERM: a task per partition with its own transactional producer, commits of the same size and pace as
the worker's, records first and offsets second.
"""

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any

from aiokafka import ConsumerRebalanceListener, ConsumerRecord, TopicPartition

from streams.session import KafkaClients
from streams.settings import Settings, load_settings

POLL_MS = 25
_BROKER_S = 30.0


class _Lane:
    """The copy of one partition."""

    def __init__(self, clients: KafkaClients, settings: Settings, source: TopicPartition, target: str) -> None:
        self._producer = clients.producer(settings.transactional_id(source.partition))
        self._group = settings.group
        self._interval_s = settings.commit_interval_ms / 1000
        self._most = settings.batch_events_max
        self._source = source
        self._target = target
        self._queue: list[ConsumerRecord] = []
        self._wake = asyncio.Event()

    @property
    def has_room(self) -> bool:
        return len(self._queue) < self._most

    def feed(self, records: list[ConsumerRecord]) -> None:
        self._queue.extend(records)
        self._wake.set()

    async def run(self) -> None:
        async with asyncio.timeout(_BROKER_S):
            await self._producer.start()
        loop = asyncio.get_running_loop()
        not_before = 0.0
        while True:
            wait_s = not_before - loop.time() if self._queue else 1.0
            if wait_s > 0 and self.has_room:
                self._wake.clear()
                try:
                    async with asyncio.timeout(wait_s):
                        await self._wake.wait()
                except TimeoutError:
                    pass
                continue
            records, self._queue = self._queue[: self._most], self._queue[self._most :]
            not_before = loop.time() + self._interval_s
            async with asyncio.timeout(_BROKER_S):
                await self._copy(records)

    async def _copy(self, records: list[ConsumerRecord]) -> None:
        producer = self._producer
        await producer.begin_transaction()
        futures = []
        for batch in self._batches(records):
            futures.append(await producer.send_batch(batch, self._target, partition=self._source.partition))
        await asyncio.gather(*futures)
        await producer.send_offsets_to_transaction({self._source: records[-1].offset + 1}, self._group)
        await producer.commit_transaction()

    def _batches(self, records: list[ConsumerRecord]) -> list[Any]:
        batches = [self._producer.create_batch()]
        for record in records:
            copy = {"key": record.key, "value": record.value, "timestamp": None, "headers": list(record.headers)}
            if batches[-1].append(**copy) is None:
                batches.append(self._producer.create_batch())
                batches[-1].append(**copy)
        for batch in batches:
            batch.close()
        return batches


class _Lanes(ConsumerRebalanceListener):  # type: ignore[misc]
    """What is assigned at first is copied, from the beginning; the copy is alone in its group."""

    def __init__(self, clients: KafkaClients, settings: Settings, target: str) -> None:
        self.lanes: dict[TopicPartition, _Lane] = {}
        self.consumer = clients.group_consumer([settings.topics.raw], self)
        self._clients = clients
        self._settings = settings
        self._target = target

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Nothing: the process ends."""

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Begin at the beginning."""
        for part in assigned:
            self.consumer.seek(part, 0)
            self.lanes[part] = _Lane(self._clients, self._settings, part, self._target)

    async def dispatch(self) -> None:
        while True:
            wanted = [part for part, lane in self.lanes.items() if lane.has_room]
            if not wanted:
                await asyncio.sleep(POLL_MS / 1000)
                continue
            async with asyncio.timeout(_BROKER_S):
                polled = await self.consumer.getmany(*wanted, timeout_ms=POLL_MS)
            for part, records in polled.items():
                self.lanes[part].feed(records)


async def copy(settings: Settings, target: str) -> None:
    """Copy the raw topic to `target` until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    lanes = _Lanes(KafkaClients(settings), settings, target)
    async with asyncio.timeout(_BROKER_S):
        await lanes.consumer.start()
    loops = [asyncio.create_task(each) for each in (*[lane.run() for lane in lanes.lanes.values()], lanes.dispatch())]
    loops.append(asyncio.create_task(_until(stop)))
    done, _ = await asyncio.wait(loops, return_when=asyncio.FIRST_COMPLETED)
    for each in loops:
        each.cancel()
    for each in done:
        each.result()


async def _until(stop: asyncio.Event) -> None:
    await stop.wait()


if __name__ == "__main__":
    config, given, topic = sys.argv[1:]
    asyncio.run(copy(load_settings(Path(config) if config else None, json.loads(given)), topic))
