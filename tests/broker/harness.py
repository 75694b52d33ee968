"""What a test on a real Kafka does from outside: publish, produce, read, hold the account."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from pricing.accounts import parse_account
from pricing.book_records import publication_of
from pricing.exchange import FxRate
from pricing.money import number
from pricing.times import parse_time
from streams.admin import create_topics
from streams.bookshelf import publish, publish_accounts
from streams.clients import KafkaReaders
from streams.reading import read_to, read_topic
from streams.settings import Settings
from tests.broker.processes import eventually
from tests.oracle import Found, Oracle, Rate, Record, Sheet, account
from tests.product import sheet_of
from tests.usage import RawRecord, encode, usage
from tests.usage_samples import sample_accounts, sample_rates, sample_sheets

PARTITIONS = 4


# --- books and topics


def settings_for(kafka: str, prefix: str, **more: Any) -> Settings:
    """Settings of a test; a worker gets the same ones by `WorkerProcess(settings)`."""
    return Settings(bootstrap_servers=kafka, topic_prefix=prefix, http_port=0, **{"session_timeout_ms": 6_000, **more})


async def prepare(settings: Settings, now_ms: int, *, accounts: bool = True) -> None:
    """Topics, the sample sheets and rates, and the sample accounts."""
    await create_topics(settings, PARTITIONS)
    await publish_sheets(settings, now_ms, sample_sheets(now_ms))
    await publish_rates(settings, now_ms, sample_rates(now_ms))
    if accounts:
        await apply_accounts(settings, sample_accounts(now_ms).values())


async def publish_sheets(settings: Settings, now_ms: int, sheets: Iterable[Sheet]) -> None:
    """Sheets as the oracle has them."""
    for sheet in sheets:
        publication = publication_of(sheet_of(sheet), published_at=now_ms * 1_000_000, retroactive=True)
        await publish(settings, publication, now_ms * 1_000_000)


async def publish_rates(settings: Settings, now_ms: int, rates: Iterable[Rate]) -> None:
    """Rates as the oracle has them."""
    for rate in rates:
        value = number(str(rate.rate), before=12, after=24)
        fx = FxRate(pair=rate.pair, rate=value, from_ns=parse_time(rate.effective_from))
        publication = publication_of(fx, published_at=now_ms * 1_000_000, retroactive=True)
        await publish(settings, publication, now_ms * 1_000_000)


async def publish_cures(settings: Settings, now_ms: int) -> None:
    """What the cured oracle has and the other one has not."""
    await publish_sheets(settings, now_ms, sample_sheets(now_ms, cured=True)[2:])
    await publish_rates(settings, now_ms, sample_rates(now_ms, cured=True)[3:])


async def apply_accounts(settings: Settings, accounts: Iterable[dict[str, Any]]) -> None:
    """Accounts in their order."""
    await publish_accounts(settings, [parse_account(json.dumps(each).encode()) for each in accounts])


# --- raw records


def raw(partition: int, line: str) -> RawRecord:
    """The event of a line (see `usage`), where a producer put it."""
    return RawRecord(partition, line.split()[0].encode(), *encode(usage(line)))


def clock_ms() -> int:
    """Now."""
    return time.time_ns() // 1_000_000


@contextlib.asynccontextmanager
async def producer_of(settings: Settings, **options: Any) -> AsyncIterator[AIOKafkaProducer]:
    """A producer of the outside world."""
    every = {"linger_ms": 5, "max_request_size": 2_000_000, **options}
    made = AIOKafkaProducer(bootstrap_servers=settings.bootstrap_servers, **every)
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


async def send_all(producer: AIOKafkaProducer, topic: str, records: Iterable[RawRecord]) -> None:
    """Send in order and wait for all of them."""
    sent = []
    for r in records:
        headers = list(r.headers)
        if r.key is None and r.value is None:  # which `send` does not take
            batch = producer.create_batch()
            batch.append(timestamp=None, key=None, value=None, headers=headers)
            sent.append(await producer.send_batch(batch, topic, partition=r.partition))
        else:
            sent.append(await producer.send(topic, r.value, r.key, r.partition, headers=headers))
    await asyncio.gather(*sent)


async def produce(settings: Settings, records: Iterable[RawRecord], topic: str | None = None) -> None:
    """Records on the raw topic, or another one, as a producer would."""
    async with producer_of(settings) as producer:
        await send_all(producer, topic or settings.topics.raw, records)


@contextlib.asynccontextmanager
async def sending(settings: Settings, records: Sequence[RawRecord], per_second: int) -> AsyncIterator[None]:
    """Produce in the background at a rate, until the end of the block."""
    ends = asyncio.Event()

    async def run() -> None:
        async with producer_of(settings, enable_idempotence=True) as producer:
            for at in range(0, len(records), 10):
                if ends.is_set():
                    return
                await send_all(producer, settings.topics.raw, records[at : at + 10])
                await asyncio.sleep(10 / per_second)
        raise AssertionError(f"{len(records)} records were too few for this block")

    task = asyncio.create_task(run())
    try:
        yield
        ends.set()
        await task
    finally:
        task.cancel()


# --- what is there


async def read(settings: Settings, topic: str) -> list[Record]:
    """All records that a read_committed reader sees."""
    found: list[Record] = []

    def take(r: Any) -> None:
        found.append(Record(r.topic, r.partition, r.offset, r.timestamp, r.key, r.value, tuple(r.headers)))

    await read_topic(settings, topic, on_record=take)
    return found


async def settled(settings: Settings, timeout_s: float = 60) -> Found:
    """Everything on the topics, once the group has been past every record that it reads."""
    await eventually(lambda: _stays_settled(settings), timeout_s, 0.3)
    topics = settings.topics
    names = (topics.raw, topics.priced, topics.parked, topics.rejected, topics.totals)
    return Found(*[await read(settings, name) for name in names], PARTITIONS, settings.app)


async def _stays_settled(settings: Settings) -> bool:
    """Twice, since a commit is answered before its markers are written: the group is past a raw record a moment before
    anyone can read the forwarded one."""
    if not await _is_settled(settings):
        return False
    await asyncio.sleep(1.5)
    return await _is_settled(settings)


async def _is_settled(settings: Settings) -> bool:
    """Whether nothing is left to read from the group's offsets on."""
    clients, unread = KafkaReaders(settings), list[Any]()
    parts = [TopicPartition(topic, p) for topic in settings.topics.inputs for p in range(PARTITIONS)]
    try:
        done = await clients.committed(parts)
    except KafkaError:  # the group's coordinator is not there yet
        return False
    async with clients.reader() as reader:
        reader.assign(parts)
        starts = {part: found.offset if found else 0 for part, found in done.items()}
        ends = {part: end for part, end in (await reader.end_offsets(parts)).items() if end > starts[part]}
        for part in ends:
            reader.seek(part, starts[part])
        await read_to(reader, ends, unread.append, 10)
    return not unread


def must_account(found: Found, *books: Oracle) -> None:
    """Every raw record accounted for exactly once, amounts equal the oracle's, totals equal the sum."""
    problems = account(found, books)
    assert not problems, f"{len(problems)} problems, the first: " + "\n".join(problems[:10])
