"""What Kafka's ACLs have to allow a worker, asked before it starts: else its first transaction or cure would find out.

No request here changes anything. The metadata protocol says what we may do with a topic. For a transactional id there
is no such question, so we add the group to a transaction of a producer that cannot be: the broker looks at the rights
first, and then answers that it does not know the producer.
"""

import asyncio
from typing import Any

from aiokafka.client import AIOKafkaClient, CoordinationType
from aiokafka.errors import (
    CoordinatorLoadInProgressError,
    CoordinatorNotAvailableError,
    GroupAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
    for_code,
)
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.transaction import AddOffsetsToTxnRequest
from aiokafka.protocol.types import Array, Boolean, Int16, Int32, Schema, String

from streams.errors import Refused
from streams.settings import Settings

_READ, _WRITE = 3, 4
_NO_PRODUCER = -1
_RETRY_S = 0.1


class _Metadata(Response):  # type: ignore[misc]
    API_KEY = 3
    API_VERSION = 8
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("brokers", Array(("node_id", Int32), ("host", String()), ("port", Int32), ("rack", String()))),
        ("cluster_id", String()),
        ("controller_id", Int32),
        (
            "topics",
            Array(
                ("error_code", Int16),
                ("topic", String()),
                ("is_internal", Boolean),
                (
                    "partitions",
                    Array(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", Array(Int32)),
                        ("isr", Array(Int32)),
                        ("offline_replicas", Array(Int32)),
                    ),
                ),
                ("authorized_operations", Int32),
            ),
        ),
        ("cluster_authorized_operations", Int32),
    )


class _MetadataRequest(RequestStruct):  # type: ignore[misc]
    """Version 8, the first that knows rights; aiokafka has up to 5."""

    API_KEY = 3
    API_VERSION = 8
    RESPONSE_TYPE = _Metadata
    SCHEMA = Schema(
        ("topics", Array(String())),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
    )


class _TopicRights(Request[_MetadataRequest]):  # type: ignore[misc]
    API_KEY = 3

    def __init__(self, topics: list[str]) -> None:
        self._topics = topics

    def build(self, request_struct_class: type[_MetadataRequest]) -> _MetadataRequest:
        return request_struct_class(self._topics, False, False, True)


async def check_rights(client: AIOKafkaClient, settings: Settings, partitions: int) -> None:
    """Refused names every right on the topics, the group and the transactional ids that a worker lacks."""
    async with asyncio.timeout(settings.start_timeout_s):
        missing = await _missing_on_topics(client, settings)
        ids = [settings.transactional_id(partition) for partition in range(partitions)]
        errors = dict(zip(ids, await asyncio.gather(*[_ask(client, settings, each) for each in ids]), strict=True))
    if GroupAuthorizationFailedError in errors.values():
        missing.append(f"read group {settings.group}")
    if lacking := [each for each, error in errors.items() if error is TransactionalIdAuthorizationFailed]:
        others = f" and {len(lacking) - 1} more" if len(lacking) > 1 else ""
        missing.append(f"write transactional id {lacking[0]}{others}")
    if missing:
        raise Refused(f"Kafka's ACLs do not allow to {', to '.join(missing)}")


async def _missing_on_topics(client: AIOKafkaClient, settings: Settings) -> list[str]:
    topics = settings.topics
    # Totals and the state are read to restore, parked records to cure them; a misrouted account is written again.
    needed = {
        _READ: (*topics.inputs, topics.books, topics.state, topics.totals, topics.parked),
        _WRITE: (*topics.outputs, topics.accounts),
    }
    names = sorted({name for each in needed.values() for name in each})
    answer: Any = await client.send(client.get_random_node(), _TopicRights(names))
    rights = {topic["topic"]: topic["authorized_operations"] for topic in answer.to_object()["topics"]}
    words = {_READ: "read", _WRITE: "write"}
    return [
        f"{words[operation]} topic {name}"
        for operation, each in needed.items()
        for name in each
        if not rights[name] & 1 << operation
    ]


async def _ask(client: AIOKafkaClient, settings: Settings, transactional_id: str) -> type[Exception]:
    """The error to which a transaction of this id that has the group in it would lead."""
    try:
        node = await _coordinator(client, transactional_id)
        request = AddOffsetsToTxnRequest(transactional_id, _NO_PRODUCER, _NO_PRODUCER, settings.group)
        found: type[Exception] = for_code((await client.send(node, request)).error_code)
    except TransactionalIdAuthorizationFailed:
        found = TransactionalIdAuthorizationFailed
    return found


async def _coordinator(client: AIOKafkaClient, transactional_id: str) -> Any:
    while True:
        try:
            return await client.coordinator_lookup(CoordinationType.TRANSACTION, transactional_id)
        except (CoordinatorNotAvailableError, CoordinatorLoadInProgressError):  # a young cluster makes its topic first
            await asyncio.sleep(_RETRY_S)
