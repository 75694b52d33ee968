"""What the broker makes of the requests of aiokafka's producer: errors become codes, as on the real wire."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from aiokafka.errors import BrokerResponseError, NoError
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.protocol.transaction import (
    AddOffsetsToTxnRequest,
    AddPartitionsToTxnRequest,
    EndTxnRequest,
    InitProducerIdRequest,
    TxnOffsetCommitRequest,
)
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import OffsetAndMetadata, TopicPartition

from .broker import SimBroker

PRODUCE_VERSION = 7


class ProducerRequests:
    def __init__(self, broker: SimBroker) -> None:
        self._broker = broker
        self._handlers: dict[type, tuple[str, Callable[[Any], object]]] = {
            InitProducerIdRequest: ("init_pid", self._init_producer),
            AddPartitionsToTxnRequest: ("add_partitions", self._add_partitions),
            ProduceRequest: ("produce", self._produce),
            AddOffsetsToTxnRequest: ("add_offsets", self._add_offsets),
            TxnOffsetCommitRequest: ("offset_commit", self._offset_commit),
            EndTxnRequest: ("end_txn", self._end),
        }

    def find(self, request: Any) -> tuple[str, Callable[[Any], object]]:
        """The name of the operation, and what carries it out."""
        return self._handlers[type(request)]

    def _init_producer(self, request: Any) -> object:
        def init() -> dict[str, int]:
            producer = self._broker.transactions.init_producer(
                request._transactional_id, request._transaction_timeout_ms
            )
            return dict(zip(("producer_id", "producer_epoch"), producer, strict=True))

        return _answer(init, {"producer_id": -1, "producer_epoch": -1})

    def _add_partitions(self, request: Any) -> object:
        tps = [TopicPartition(topic, p) for topic, partitions in request._topics for p in partitions]
        code = _code(
            lambda: self._broker.transactions.add_partitions(request._transactional_id, _producer(request), tps)
        )
        return SimpleNamespace(errors=[(tp.topic, [(tp.partition, code)]) for tp in tps])

    def _add_offsets(self, request: Any) -> object:
        return _answer(
            lambda: self._broker.transactions.add_group(
                request._transactional_id, _producer(request), request._group_id
            )
        )

    def _offset_commit(self, request: Any) -> object:
        offsets = {
            TopicPartition(topic, p): OffsetAndMetadata(offset, metadata)
            for topic, rows in request._topics
            for p, offset, metadata in rows
        }
        code = _code(
            lambda: self._broker.transactions.commit_offsets(
                request._transactional_id, _producer(request), request._group_id, offsets
            )
        )
        return SimpleNamespace(errors=[(tp.topic, [(tp.partition, code)]) for tp in offsets])

    def _end(self, request: Any) -> object:
        commit = bool(request._transaction_result)
        return _answer(lambda: self._broker.transactions.end(request._transactional_id, _producer(request), commit))

    def _produce(self, request: Any) -> object:
        topics = []
        for topic, partitions in request._topics:
            for p, buffer in partitions:
                topics.append((topic, [self._produce_one(TopicPartition(topic, p), bytes(buffer))]))
        return SimpleNamespace(API_VERSION=PRODUCE_VERSION, topics=topics)

    def _produce_one(self, tp: TopicPartition, data: bytes) -> tuple[int, int, int, int, int]:
        batch = MemoryRecords(data).next_batch()
        try:
            base, appended_at = self._broker.produce(tp, data, (batch.producer_id, batch.producer_epoch))
        except BrokerResponseError as error:
            return tp.partition, error.errno, -1, -1, -1
        return tp.partition, NoError.errno, base, appended_at, self._broker.log(tp).start


def _producer(request: Any) -> tuple[int, int]:
    return request._producer_id, request._producer_epoch


def describe(request: Any) -> tuple[object, ...]:
    """What the fault hook and the trace are told: who, and how much; never a set, whose order differs."""
    if isinstance(request, ProduceRequest):
        rows = [(topic, p, len(data)) for topic, partitions in request._topics for p, data in partitions]
        return (request._transactional_id, *sorted(rows))
    return (request._transactional_id, getattr(request, "_producer_epoch", None))


def _answer(act: Callable[[], dict[str, int] | None], on_error: dict[str, int] | None = None) -> SimpleNamespace:
    try:
        fields = act() or {}
    except BrokerResponseError as error:
        return SimpleNamespace(error_code=error.errno, **(on_error or {}))
    return SimpleNamespace(error_code=NoError.errno, **fields)


def _code(act: Callable[[], None]) -> int:
    return int(_answer(act).error_code)
