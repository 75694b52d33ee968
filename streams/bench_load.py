"""The bench's load: usage events of about 480 bytes from 200 organizations, and a producer that is fast.

The backlog reads like a stream of 2,000 events a second that ended just now: its event times ascend. The organizations
are named so that of four partitions the first two get as many as the last two: a process of two has half the work.
"""

import asyncio
import random
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaProducer

from pricing.accounts import Account, parse_account
from pricing.times import format_time
from streams.clients import stop
from streams.partitions import partition_of
from streams.settings import Settings

ORGANIZATIONS = 200
PROJECTS = 3
MODELS_OF_A_PROJECT = 2
MODELS = ("ftg-3.0-pro", "ftg-3.0", "ftg-3.0-mini", "ftg-3.0-code")
PRIORITIES = ("default", "default", "default", "low", "high")
STREAM_PER_S = 2_000

_HEADERS = [("content-type", b"application/cloudevents+json")]
_BATCH_BYTES = 900_000
_CHUNK_EVENTS = 20_000
_SEND_S = 30.0


@dataclass(frozen=True, slots=True)
class Usage:
    """An event to produce."""

    organization: bytes
    value: bytes


def accounts() -> list[Account]:
    """Three of four organizations have the standard tier, the others pay list prices."""
    tiers = ['[{"tier": "tier_standard", "from": "2020-01-01T00:00:00Z"}]', "[]"]
    return [
        parse_account(f'{{"organization": "org_{n:04d}", "version": 1, "tiers": {tiers[n % 4 == 3]}}}'.encode())
        for n in range(ORGANIZATIONS)
    ]


def usage(first: int, count: int, last_at: int, seed: int = 1) -> Iterator[Usage]:
    """Events number `first` and following, `last_at` (ns) being the time of the last one; ids are unique by number."""
    rng = random.Random(seed * 1_000_003 + first)
    step = 1_000_000_000 // STREAM_PER_S
    for number in range(first, first + count):
        organization = f"org_{int(rng.random() * ORGANIZATIONS):04d}"
        at = last_at - (first + count - 1 - number) * step
        time = format_time(at // 1_000_000 * 1_000_000)
        yield Usage(organization.encode(), _event(rng.random, number, organization, time))


def _event(dice: Callable[[], float], number: int, organization: str, time: str) -> bytes:
    project = int(dice() * PROJECTS)
    model = MODELS[project + int(dice() * MODELS_OF_A_PROJECT)]
    return (
        f'{{"specversion":"1.0","id":"01JDBENCH{number:017d}","source":"gateway/eu-{number % 4}",'
        f'"type":"ai.usage.model.v1","time":"{time}","subject":"proj_{project}","data":{{"organization":"{organization}",'
        f'"project":"proj_{project}","provider":"aitronos","model":"{model}",'
        f'"priority":"{PRIORITIES[int(dice() * len(PRIORITIES))]}","region":"eu-central-1",'
        f'"user":"user_{int(dice() * 10_000):06d}","api_key_id":"key_{organization}_{number % 5}",'
        f'"tokens":{{"input":{int(dice() * 8_000) + 1},"cache_read":{int(dice() * 20_000) + 1},'
        f'"cache_creation":{int(dice() * 2_000) + 1},"output":{int(dice() * 3_000) + 1}}},'
        f'"labels":{{"team":"platform","environment":"production"}}}}}}'
    ).encode()


def load_producer(settings: Settings) -> AIOKafkaProducer:
    """A producer for `send_chunk`: idempotent, no transactions."""
    return AIOKafkaProducer(
        **settings.client_options(),
        request_timeout_ms=settings.request_timeout_ms,
        enable_idempotence=True,
        acks="all",
        max_batch_size=_BATCH_BYTES,
        max_request_size=2 * _BATCH_BYTES,
    )


async def preload(settings: Settings, partitions: int, count: int, now: int) -> None:
    """Append a backlog of `count` events to the raw topic."""
    producer = load_producer(settings)
    try:
        async with asyncio.timeout(_SEND_S):
            await producer.start()
        for first in range(0, count, _CHUNK_EVENTS):
            size = min(_CHUNK_EVENTS, count - first)
            last_at = now - (count - first - size) * 1_000_000_000 // STREAM_PER_S
            async with asyncio.timeout(_SEND_S):
                await send_chunk(producer, settings.topics.raw, partitions, usage(first, size, last_at))
    finally:
        await stop(producer)


@dataclass(frozen=True, slots=True)
class Appended:
    """A batch as the broker has it: from `offset` on `count` records, with the append time of all of them."""

    partition: int
    offset: int
    count: int
    append_ms: int


async def send_chunk(
    producer: AIOKafkaProducer, topic: str, partitions: int, events: Iterator[Usage]
) -> list[Appended]:
    """Append events in as few batches as possible, each on its organization's partition."""
    batches: dict[int, list[Any]] = defaultdict(lambda: [producer.create_batch()])
    for event in events:
        filling = batches[partition_of(event.organization, partitions)]
        if filling[-1].append(key=event.organization, value=event.value, timestamp=None, headers=_HEADERS) is None:
            filling.append(producer.create_batch())
            filling[-1].append(key=event.organization, value=event.value, timestamp=None, headers=_HEADERS)
    sent = []
    for partition, filled in batches.items():
        for batch in filled:
            batch.close()
            sent.append((partition, batch, await producer.send_batch(batch, topic, partition=partition)))
    appended = []
    for partition, batch, future in sent:
        found = await future
        appended.append(Appended(partition, found.offset, batch.record_count(), found.timestamp))
    return appended
