"""`SimClients`: one worker's clients, the surface that the product's session builds on.

The producer IS aiokafka's: its sender, transaction state machine, accumulator and batch builder run
unchanged on a simulated wire, so a lost answer, a fence, the bare AssertionError after it, a shielded
commit and a commit after a refused batch behave as they do in 0.14.0. The consumers are ours
(`consumer.py`): aiokafka's poll every 50 ms, which costs too much.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata, TopicPartition

from .broker import SimBroker
from .consumer import RETRY_S, SimConsumer
from .group_consumer import SimGroupConsumer
from .loop import Worker
from .settings import ClientSettings
from .wire import Wire

T = TypeVar("T")


class SimProducer(AIOKafkaProducer):
    """aiokafka's transactional producer with its client replaced. `begin` is a step where a worker can
    die.
    """

    def __init__(self, wire: Wire, transactional_id: str, settings: ClientSettings) -> None:
        super().__init__(
            transactional_id=transactional_id,
            transaction_timeout_ms=settings.transaction_timeout_ms,
            request_timeout_ms=settings.request_timeout_ms,
            max_batch_size=settings.max_batch_size,
            acks="all",
        )
        self.client = self._sender.client = wire
        self._metadata = self._message_accumulator._cluster = wire.cluster

    def __del__(self) -> None:
        """A killed worker closes nothing: no ResourceWarning."""

    async def begin_transaction(self) -> None:
        await self.client.step("begin", self._txn_manager.transactional_id)
        await super().begin_transaction()


class SimClients:
    """All clients of one worker, and the worker's life. Make a new one, same name or not, after a death."""

    def __init__(self, broker: SimBroker, worker_name: str, settings: ClientSettings | None = None) -> None:
        assert worker_name not in broker.workers or broker.workers[worker_name].dead, f"{worker_name} is alive"
        self.settings = settings or ClientSettings()
        self.worker = broker.workers[worker_name] = Worker(broker.loop, worker_name)
        self._broker = broker

    def producer(self, transactional_id: str) -> SimProducer:
        return SimProducer(self._wire(), transactional_id, self.settings)

    def reader(self, fetch_wait_ms: int = 0) -> SimConsumer:
        return SimConsumer(self._broker, self._wire(), self.settings.request_timeout_ms)

    def group_consumer(self, topics: Iterable[str], listener: Any) -> SimGroupConsumer:
        return SimGroupConsumer(self._broker, self._wire(), self.settings, topics, listener)

    async def committed(self, tps: Iterable[TopicPartition]) -> dict[TopicPartition, OffsetAndMetadata | None]:
        """The group's committed offsets; retried without end while the broker is away, as aiokafka does."""
        wanted, wire = tuple(sorted(tps)), self._wire()
        while True:
            try:
                found = await wire.call("committed", wanted, lambda: self._broker.group_commits(self.settings.group))
            except KafkaError as error:
                if not error.retriable:
                    raise
                await asyncio.sleep(RETRY_S)
            else:
                return {tp: found.get(tp) for tp in wanted}

    async def transaction_state(self, transactional_id: str) -> str:
        """In Kafka's words."""
        wire = self._wire()
        found = await wire.call(
            "describe_txn", transactional_id, lambda: self._broker.transactions.find(transactional_id)
        )
        return "" if found is None else found.state.value.title().replace("_", "")

    def spawn(self, coro: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run `coro` as this worker: all tasks and timers it makes live, stop and die with it."""
        return self.worker.spawn(coro)

    def kill(self) -> None:
        self.worker.kill()

    def freeze(self, for_ms: float) -> None:
        self.worker.freeze(for_ms)

    @property
    def died(self) -> asyncio.Future[None]:
        """Done once the worker has been killed, by a fault or by `kill`. Await it through asyncio.wait or
        shield.
        """
        return self.worker.died

    def _wire(self) -> Wire:
        return Wire(self._broker, self.worker, self.settings.request_timeout_ms)
