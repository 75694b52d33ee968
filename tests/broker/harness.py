"""What a test on a real Kafka does from outside: publish, produce, run workers as processes, read, and hold the account."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from pricing.accounts import parse_account
from pricing.book_records import publication_of
from pricing.exchange import FxRate
from pricing.importers.aitronos import read_aitronos
from pricing.importers.imported import ImportOptions
from pricing.money import number
from pricing.times import parse_time
from streams.admin import create_topics
from streams.bookshelf import publish, publish_accounts
from streams.reading import read_topic
from streams.settings import Settings
from tests.oracle import Found, Oracle, Rate, Record, Sheet, account
from tests.usage import RawRecord
from tests.usage_samples import sample_accounts, sample_rates, sample_sheets

PARTITIONS = 4


def settings_for(kafka: str, prefix: str, **more: Any) -> Settings:
    """Settings of a test; workers take theirs from `environment`."""
    return Settings(bootstrap_servers=kafka, topic_prefix=prefix, **more)


async def publish_samples(settings: Settings, now_ms: int, *, cured: bool = False) -> None:
    """The sample sheets, rates and accounts of the oracle."""
    now = now_ms * 1_000_000
    for sheet in sample_sheets(now_ms, cured):
        await publish(settings, publication_of(_sheet(sheet), published_at=now, retroactive=True), now)
    for rate in sample_rates(now_ms, cured):
        await publish(settings, publication_of(_rate(rate), published_at=now, retroactive=True), now)
    if not cured:
        import json

        accounts = [parse_account(json.dumps(each).encode()) for each in sample_accounts(now_ms).values()]
        await publish_accounts(settings, accounts)


def _sheet(sheet: Sheet) -> Any:
    document = sheet.document if isinstance(sheet.document, bytes) else str(sheet.document).encode()
    image_price = sheet.image_price
    if image_price is not None and image_price[0].isdigit():
        image_price = number(image_price, before=12, after=24)
    options = ImportOptions(sheet.id, sheet.version, parse_time(sheet.effective_from), image_price)
    imported = read_aitronos(document, options)
    assert imported.sheet is not None, imported.problems
    return imported.sheet


def _rate(rate: Rate) -> FxRate:
    return FxRate(
        pair=rate.pair, rate=number(str(rate.rate), before=12, after=24), from_ns=parse_time(rate.effective_from)
    )


async def prepare(settings: Settings, now_ms: int) -> None:
    """Topics and samples."""
    await create_topics(settings, PARTITIONS)
    await publish_samples(settings, now_ms)


async def produce(settings: Settings, records: Iterable[RawRecord]) -> None:
    """Raw records, as a producer would."""
    producer = AIOKafkaProducer(bootstrap_servers=settings.bootstrap_servers, linger_ms=5, max_request_size=2_000_000)
    await producer.start()
    try:
        sent = [
            await producer.send(
                settings.topics.raw, value=r.value, key=r.key, partition=r.partition, headers=list(r.headers)
            )
            for r in records
        ]
        await asyncio.gather(*sent)
    finally:
        await producer.stop()


class WorkerProcess:
    """`stream-pricing worker` as a child process; its log is kept for a failing test."""

    def __init__(self, kafka: str, prefix: str, *options: str, **environment: str) -> None:
        self.log = Path(tempfile.mkstemp(prefix="worker-", suffix=".log")[1])
        variables = {
            **os.environ,
            "STREAM_PRICING_BOOTSTRAP_SERVERS": kafka,
            "STREAM_PRICING_TOPIC_PREFIX": prefix,
            "STREAM_PRICING_HTTP_PORT": "0",
            "STREAM_PRICING_SESSION_TIMEOUT_MS": "6000",
            **{f"STREAM_PRICING_{name.upper()}": value for name, value in environment.items()},
        }
        with self.log.open("wb") as log:
            command = [sys.executable, "-m", "streams", "worker", *options]
            self.process = subprocess.Popen(command, env=variables, stdout=log, stderr=log)

    def send(self, number: int) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self, timeout_s: float = 10) -> float:
        """SIGTERM; how long it took."""
        started = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout_s)
        return time.monotonic() - started

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.kill()
        self.log.unlink(missing_ok=True)

    def url(self, timeout_s: float = 30) -> str:
        """Where its HTTP server is."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            for line in self.log.read_text().splitlines():
                if "metrics on " in line:
                    return line.split("metrics on ")[1].removesuffix("/metrics")
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.05)
        raise AssertionError(f"no HTTP server after {timeout_s} s:\n{self.log.read_text()}")

    def metrics(self) -> dict[str, float]:
        """All samples by name and labels."""
        with urllib.request.urlopen(self.url() + "/metrics", timeout=5) as answer:
            text = answer.read().decode()
        rows = [line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")]
        return {name: float(value) for name, value in rows}


@contextlib.contextmanager
def workers(kafka: str, prefix: str, count: int = 1, **environment: str) -> Iterator[list[WorkerProcess]]:
    """Workers that are gone afterwards, whatever happens; their logs are shown where the test fails."""
    running = [WorkerProcess(kafka, prefix, **environment) for _ in range(count)]
    try:
        yield running
    except BaseException:
        for worker in running:
            print(f"--- {worker.log}\n{worker.log.read_text()[-6000:]}")
        raise
    finally:
        for worker in running:
            worker.end()


async def read(settings: Settings, topic: str) -> list[Record]:
    """All records that a read_committed reader sees."""
    found: list[Record] = []

    def take(record: Any) -> None:
        found.append(
            Record(
                record.topic,
                record.partition,
                record.offset,
                record.timestamp,
                record.key,
                record.value,
                tuple(record.headers),
            )
        )

    await read_topic(settings, topic, on_record=take)
    return found


async def settled(settings: Settings, expected: int, timeout_s: float = 60) -> Found:
    """Wait until as many raw records have an outcome as expected or nothing moves, and return what is there."""
    deadline = time.monotonic() + timeout_s
    while True:
        found = await look(settings)
        group = await committed(settings)
        if group >= expected or time.monotonic() > deadline:
            return await look(settings) if group >= expected else found
        await asyncio.sleep(0.3)


async def committed(settings: Settings) -> int:
    """How many raw records the group is past; rekeyed ones only once none is left."""
    from aiokafka import TopicPartition

    from streams.session import KafkaClients

    clients = KafkaClients(settings)
    raw = [TopicPartition(settings.topics.raw, p) for p in range(PARTITIONS)]
    rekeyed = [TopicPartition(settings.topics.rekeyed, p) for p in range(PARTITIONS)]
    try:
        done = await clients.committed([*raw, *rekeyed])
    except KafkaError:  # a group that has never been there has no coordinator yet
        return -1
    forwarded = await read(settings, settings.topics.rekeyed)
    waiting = [r for r in forwarded if (done[TopicPartition(r.topic, r.partition)] or 0) <= r.offset]
    return -1 if waiting else sum(done[part] or 0 for part in raw)


async def look(settings: Settings) -> Found:
    """Everything on the topics."""
    topics = settings.topics
    names = (topics.raw, topics.priced, topics.parked, topics.rejected, topics.totals)
    raw, priced, parked, rejected, totals = [await read(settings, name) for name in names]
    return Found(raw, priced, parked, rejected, totals, PARTITIONS, settings.app)


def must_account(found: Found, books: Sequence[Oracle]) -> None:
    """Every raw record accounted for exactly once, amounts equal the oracle's, totals equal the sum."""
    problems = account(found, list(books))
    assert not problems, f"{len(problems)} problems, the first: " + "\n".join(problems[:10])


@contextlib.asynccontextmanager
async def sending(settings: Settings, records: Sequence[RawRecord], per_second: int) -> AsyncIterator[asyncio.Task[None]]:
    """Produce in the background at a rate."""

    async def run() -> None:
        chunk = max(1, per_second // 20)
        for at in range(0, len(records), chunk):
            await produce(settings, records[at : at + chunk])
            await asyncio.sleep(0.05)

    task = asyncio.create_task(run())
    try:
        yield task
        await task
    finally:
        task.cancel()
