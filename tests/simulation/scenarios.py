"""A small world for the self tests: topics in, out and state, and the steps that most of them share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from aiokafka.structs import TopicPartition

from tests.simulation import ClientSettings, SimBroker, SimClients, SimProducer, run
from tests.simulation.faults import no_faults

GROUP = ClientSettings().group
OUT = TopicPartition("out", 0)
IN = TopicPartition("in", 0)
Scenario = Callable[[SimBroker], Coroutine[Any, Any, None]]


def simulate(
    scenario: Scenario, faults: Any = no_faults, seed: int = 0, marker_ms: tuple[float, float] = (0.1, 1.5)
) -> SimBroker:
    """Run a scenario on a broker with topics in (LogAppendTime), out and state of two partitions each."""
    made: list[SimBroker] = []

    async def main() -> None:
        broker = SimBroker(faults, marker_ms=marker_ms)
        made.append(broker)
        broker.create_topic("in", 2, log_append_time=True)
        broker.create_topic("out", 2, max_message_bytes=2_000)
        broker.create_topic("state", 2)
        await scenario(broker)
        assert broker.loop.unhandled() == []

    run(main(), seed)
    return made[0]


async def started(clients: SimClients, transactional_id: str = "t") -> SimProducer:
    producer = clients.producer(transactional_id)
    await producer.start()
    return producer


async def send(producer: SimProducer, *values: bytes, tp: TopicPartition = OUT) -> asyncio.Future[Any]:
    batch = producer.create_batch()
    for value in values:
        assert batch.append(timestamp=5, key=b"k", value=value, headers=[("h", b"1")])
    batch.close()
    return await producer.send_batch(batch, tp.topic, partition=tp.partition)


async def commit(producer: SimProducer, *values: bytes, offsets: int | None = None) -> None:
    await producer.begin_transaction()
    await (await send(producer, *values))
    if offsets is not None:
        await producer.send_offsets_to_transaction({IN: offsets}, GROUP)
    await producer.commit_transaction()


async def settle() -> None:
    """Wait until all markers have been written."""
    await asyncio.sleep(0.05)


def values(broker: SimBroker, tp: TopicPartition = OUT) -> list[bytes]:
    return [record.value for record in broker.committed(tp.topic, tp.partition)]


async def read_to_end(clients: SimClients, tp: TopicPartition = OUT) -> list[bytes]:
    """The loop of rule 1: the end as of now, then until the position has reached it."""
    reader = clients.reader()
    await reader.start()
    reader.assign([tp])
    reader.seek(tp, (await reader.beginning_offsets([tp]))[tp])
    end, found = (await reader.end_offsets([tp]))[tp], []
    while await reader.position(tp) < end:
        found += (await reader.getmany(tp, timeout_ms=200)).get(tp, [])
    await reader.stop()
    return [record.value for record in found]


class Listener:
    def __init__(self) -> None:
        self.calls: list[tuple[str, list[TopicPartition]]] = []

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        self.calls.append(("revoked", sorted(revoked)))

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        self.calls.append(("assigned", sorted(assigned)))
