"""What the coordinator says of a transaction: DescribeTransactions, which aiokafka does not have.

Source: KIP-664, and its message in Apache Kafka 4. Brokers have it since 3.0.
"""

import asyncio
from typing import Any

from aiokafka.client import AIOKafkaClient, CoordinationType
from aiokafka.errors import (
    CoordinatorLoadInProgressError,
    CoordinatorNotAvailableError,
    IncompatibleBrokerVersion,
    NotCoordinatorError,
    for_code,
)
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import CompactArray, CompactString, Int16, Int32, Int64, Schema, TaggedFields

_UNKNOWN_ID = 105  # TRANSACTIONAL_ID_NOT_FOUND, which aiokafka has no name for
_NO_COORDINATOR = (CoordinatorNotAvailableError, CoordinatorLoadInProgressError, NotCoordinatorError)
_RETRY_S = 0.1


class _Described(Response):  # type: ignore[misc]
    API_KEY = 65
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "transactions",
            CompactArray(
                ("error_code", Int16),
                ("transactional_id", CompactString("utf-8")),
                ("state", CompactString("utf-8")),
                ("timeout_ms", Int32),
                ("start_time_ms", Int64),
                ("producer_id", Int64),
                ("producer_epoch", Int16),
                (
                    "topics",
                    CompactArray(
                        ("topic", CompactString("utf-8")), ("partitions", CompactArray(Int32)), ("tags", TaggedFields)
                    ),
                ),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _DescribeRequest(RequestStruct):  # type: ignore[misc]
    FLEXIBLE_VERSION = True
    API_KEY = 65
    API_VERSION = 0
    RESPONSE_TYPE = _Described
    SCHEMA = Schema(("transactional_ids", CompactArray(CompactString("utf-8"))), ("tags", TaggedFields))


class _Describe(Request[_DescribeRequest]):  # type: ignore[misc]
    API_KEY = 65

    def __init__(self, transactional_id: str) -> None:
        self._transactional_id = transactional_id

    def build(self, request_struct_class: type[_DescribeRequest]) -> _DescribeRequest:
        return request_struct_class([self._transactional_id], {})


async def transaction_state(client: AIOKafkaClient, transactional_id: str) -> str:
    """The state of its last transaction in Kafka's words, such as `CompleteCommit`; empty where none is known.

    Asks until the coordinator is there; the caller sets the limit.
    """
    while True:
        try:
            node = await client.coordinator_lookup(CoordinationType.TRANSACTION, transactional_id)
            answer: Any = await client.send(node, _Describe(transactional_id))
            [found] = answer.to_object()["transactions"]
            if found["error_code"] == _UNKNOWN_ID:
                return ""
            if found["error_code"]:
                raise for_code(found["error_code"])(f"transactional id {transactional_id}")
            return str(found["state"])
        except _NO_COORDINATOR:
            await asyncio.sleep(_RETRY_S)
        except IncompatibleBrokerVersion:
            return ""
