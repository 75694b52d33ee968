"""A topic read once from its beginning to its end, as a read_committed consumer without a group sees it."""

import asyncio
from collections.abc import Callable

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from streams.admin import partition_count
from streams.clients import stop
from streams.errors import Refused, Silent
from streams.settings import Settings

_POLL_MS = 200


async def read_topic(
    settings: Settings,
    topic: str,
    *,
    on_record: Callable[[ConsumerRecord], None],
    partition: int | None = None,
) -> None:
    """Call `on_record` for every record up to the ends at the time of the call, each partition in order.

    `partition`: only that one. Refused: the topic is missing, or nothing arrives for `request_timeout_ms`.
    The ends are last stable offsets: what an open transaction holds back is not waited for.
    """
    count = await partition_count(settings, topic)
    if partition is not None and partition >= count:
        raise Refused(f"topic {topic} has no partition {partition}: it has {count}, from 0")
    chosen = [TopicPartition(topic, each) for each in range(count) if partition in (None, each)]
    timeout_s = settings.request_timeout_ms / 1000
    consumer = AIOKafkaConsumer(
        **settings.client_options(),
        request_timeout_ms=settings.request_timeout_ms,
        isolation_level="read_committed",
        auto_offset_reset="none",
        enable_auto_commit=False,
        group_id=None,
    )
    try:
        async with asyncio.timeout(settings.start_timeout_s):
            await consumer.start()
        ends = await _assign(consumer, chosen, timeout_s)
        await read_to(consumer, ends, on_record, timeout_s)
    finally:
        await stop(consumer)


async def _assign(
    consumer: AIOKafkaConsumer, chosen: list[TopicPartition], timeout_s: float
) -> dict[TopicPartition, int]:
    """Start at the beginning of each partition; the ends of those that hold anything."""
    async with asyncio.timeout(timeout_s):
        consumer.assign(chosen)
        starts = await consumer.beginning_offsets(chosen)
        ends = await consumer.end_offsets(chosen)
    for each in chosen:
        consumer.seek(each, starts[each])
    return {each: ends[each] for each in chosen if ends[each] > starts[each]}


async def read_to(
    consumer: AIOKafkaConsumer,
    ends: dict[TopicPartition, int],
    on_record: Callable[[ConsumerRecord], None],
    timeout_s: float,
) -> None:
    """Call `on_record` for the records before `ends`; Silent: nothing has come for `timeout_s`."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    while ends:
        async with asyncio.timeout(timeout_s):
            batches = await consumer.getmany(*ends, timeout_ms=_POLL_MS)
        for part, records in batches.items():
            for record in records:
                if record.offset < ends[part]:
                    on_record(record)
        # Not the last record's offset: a log ends in the markers of its transactions.
        async with asyncio.timeout(timeout_s):
            positions = {part: await consumer.position(part) for part in ends}
        done = [part for part, position in positions.items() if position >= ends[part]]
        for part in done:
            del ends[part]
        if batches or done:
            deadline = loop.time() + timeout_s
        elif loop.time() > deadline:
            waiting = ", ".join(f"{part.topic}-{part.partition} at {positions[part]}" for part in ends)
            raise Silent(f"Kafka has sent nothing for {timeout_s:g} s: {waiting}")
