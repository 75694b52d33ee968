"""The network between one client and the broker, in the shape of aiokafka's own client.

`Wire.call` carries every operation and is where the faults strike. `Wire.send` takes the requests of
aiokafka's producer, so that its real sender, state machine and accumulator run on it unchanged; errors of
the broker come back to it as error codes, as on the real wire. All operations of a client share a connection.
Not simulated: metadata that ages or has no leader, throttling, authorization.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from aiokafka.conn import CloseReason
from aiokafka.errors import (
    BrokerResponseError,
    KafkaConnectionError,
    KafkaError,
    NodeNotReadyError,
    RequestTimedOutError,
    UnknownTopicOrPartitionError,
)
from aiokafka.structs import TopicPartition

from .broker import SimBroker
from .faults import Kind
from .loop import Worker
from .requests import ProducerRequests, describe

NODE = 0
RETRY_BACKOFF_S = 0.1


class Wire:
    """One client's way to the broker."""

    def __init__(self, broker: SimBroker, worker: Worker, request_timeout_ms: int) -> None:
        self.cluster = Cluster(broker)
        self._client_id = worker.name
        self._broker = broker
        self._loop = broker.loop
        self._worker = worker
        self._request_timeout_s = request_timeout_ms / 1000
        self._requests = ProducerRequests(broker)
        self._topics_known: set[str] = set()
        self._is_connected = False
        broker.wires.append(self)

    def break_connection(self) -> None:
        """What the broker does to all of them when it goes away."""
        if self._is_connected:
            self._is_connected = False
            self._on_connection_closed(None, CloseReason.CONNECTION_BROKEN)

    async def call(self, op: str, detail: object, effect: Callable[[], Any]) -> Any:
        """Carry an operation to the broker, run `effect` there, bring back its result, or what the fault
        makes of it.

        An effect that returns a future is answered when that is done. Raises what the effect raises, and
        the errors of aiokafka's client: NodeNotReadyError, KafkaConnectionError, RequestTimedOutError.
        """
        kind, ms = await self._leave(op, detail)
        try:
            return await self._carry(op, effect, kind, ms)
        except (KafkaConnectionError, RequestTimedOutError):
            self.break_connection()
            raise

    async def _carry(self, op: str, effect: Callable[[], Any], kind: Kind, ms: float) -> Any:
        if kind is Kind.ERROR:
            await asyncio.sleep(self._broker.draw_latency_s())
            raise KafkaConnectionError(f"{op}: the connection broke")
        if kind is Kind.TIMEOUT:
            await asyncio.sleep(self._request_timeout_s)
            raise RequestTimedOutError(op)
        self._is_connected = True
        answer: asyncio.Future[Any] = self._loop.create_future()
        delay = self._broker.draw_latency_s() + (ms / 1000 if kind in (Kind.DELAY, Kind.KILL_AFTER) else 0.0)
        self._loop.later(delay, self._arrive, effect, answer, kind, ms, self._broker.incarnation)
        if kind is Kind.KILL_AFTER:
            self._worker.kill()
        elif kind is Kind.FREEZE_AFTER:
            self._worker.freeze(ms)
        impatient = kind in (Kind.DELAY, Kind.LATE, Kind.LOST_TIMEOUT) or op == "join"
        return await (self._wait(answer, op) if impatient else self._wait_patiently(answer))

    async def step(self, op: str, detail: object = None) -> None:
        """An operation of the loop that sends nothing: its worker can die or stop there."""
        await self._leave(op, detail)

    async def _leave(self, op: str, detail: object) -> tuple[Kind, float]:
        await self._worker.checkpoint()
        if self._broker.closed:
            raise asyncio.CancelledError
        fault = self._broker.next_fault(op, self._worker.name, detail)
        if fault.kind is Kind.KILL:
            self._worker.kill()
        elif fault.kind is Kind.FREEZE:
            self._worker.freeze(fault.ms)
        elif fault.kind is Kind.RESTART:
            self._broker.restart(fault.ms)
        await self._worker.checkpoint()
        if self._broker.is_down:
            await asyncio.sleep(self._broker.draw_latency_s())
            raise NodeNotReadyError(f"{op}: the broker is down")
        return fault

    def _arrive(
        self, effect: Callable[[], Any], answer: asyncio.Future[Any], kind: Kind, ms: float, sent_in: int
    ) -> None:
        """At the broker. A client that has given up meanwhile changes nothing for the effect."""
        if self._broker.closed:
            return
        if self._broker.incarnation != sent_in:
            _fail(answer, KafkaConnectionError("the broker restarted with the request on its way"))
            return
        try:
            result = effect()
        except BrokerResponseError as error:
            result = error
        if kind is Kind.RESTART_AFTER:
            self._broker.restart(ms)
        if kind in (Kind.LOST, Kind.RESTART_AFTER):
            _fail(answer, KafkaConnectionError("the connection broke before the answer"))
        elif kind is Kind.LATE:
            self._loop.later(ms / 1000, self._reply, answer, result)
        elif kind is not Kind.LOST_TIMEOUT:
            self._reply(answer, result)

    def _reply(self, answer: asyncio.Future[Any], result: Any) -> None:
        """Answer, once there is a result and if anyone still listens."""
        if answer.done():
            return
        if isinstance(result, BrokerResponseError):
            answer.set_exception(result)
        elif isinstance(result, asyncio.Future):
            self._broker.park(result)
            result.add_done_callback(lambda done: _hand_over(done, answer), context=self._loop.nobody)
            answer.add_done_callback(lambda _: result.cancel(), context=self._loop.nobody)
        else:
            answer.set_result(result)

    async def _wait(self, answer: asyncio.Future[Any], op: str) -> Any:
        timer = self._loop.call_later(self._request_timeout_s, _fail, answer, RequestTimedOutError(op))
        try:
            return await self._wait_patiently(answer)
        finally:
            timer.cancel()

    async def _wait_patiently(self, answer: asyncio.Future[Any]) -> Any:
        try:
            return await answer
        finally:
            await self._worker.checkpoint()

    # aiokafka's client, as its producer uses it

    async def bootstrap(self) -> None:
        try:
            await self.call("connect", None, lambda: None)
        except (NodeNotReadyError, RequestTimedOutError) as error:
            raise KafkaConnectionError(f"unable to bootstrap: {error!r}") from error

    async def close(self) -> None:
        """Connections hold nothing here."""

    def _on_connection_closed(self, connection: object, reason: CloseReason | None) -> None:
        """For whoever watches."""

    async def ready(self, node_id: int, *, group: object = None) -> bool:
        return not self._broker.is_down

    async def coordinator_lookup(self, coordinator_type: object, key: str) -> int:
        await self.call("find_coordinator", key, lambda: None)
        return NODE

    async def send(self, node_id: int, request: Any, *, group: object = None) -> Any:
        op, handle = self._requests.find(request)
        return await self.call(op, describe(request), lambda: handle(request))

    def get_random_node(self) -> int:
        return NODE

    def force_metadata_update(self) -> asyncio.Future[bool]:
        """Comes back after a latency, so that a loop around it lets time pass."""
        updated = self._loop.create_future()
        self._loop.later(self._broker.draw_latency_s(), _succeed, updated)
        return updated

    async def _maybe_wait_metadata(self) -> None:
        """Metadata is always there."""

    async def _wait_on_metadata(self, topic: str) -> set[int]:
        """Asked for at a topic's first use, again and again; the producer's sender goes on meanwhile."""
        started = self._loop.time()
        partitions = self.cluster.partitions_for_topic(topic) if topic in self._topics_known else None
        while partitions is None:
            with suppress(KafkaError):
                partitions = await self.call("metadata", topic, lambda: self.cluster.partitions_for_topic(topic))
            if partitions is None:
                if self._loop.time() - started > self._request_timeout_s:
                    raise UnknownTopicOrPartitionError(topic)
                await asyncio.sleep(RETRY_BACKOFF_S)
        self._topics_known.add(topic)
        return partitions


class Cluster:
    """aiokafka's ClusterMetadata: all partitions of all topics, led by the one node."""

    def __init__(self, broker: SimBroker) -> None:
        self._broker = broker

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        settings = self._broker.topics.get(topic)
        return None if settings is None else set(range(settings.partitions))

    available_partitions_for_topic = partitions_for_topic

    def leader_for_partition(self, tp: TopicPartition) -> int:
        return NODE


def _fail(future: asyncio.Future[Any], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)


def _succeed(future: asyncio.Future[bool]) -> None:
    if not future.done():
        future.set_result(True)


def _hand_over(done: asyncio.Future[Any], answer: asyncio.Future[Any]) -> None:
    if done.cancelled():
        _fail(answer, KafkaConnectionError("the broker answers no more"))
    elif not answer.done():
        error = done.exception()
        answer.set_result(done.result()) if error is None else answer.set_exception(error)
