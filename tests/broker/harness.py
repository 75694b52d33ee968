"""What a test on a real Kafka does from outside: publish, produce, run worker processes, read, hold the account."""

import asyncio
import contextlib
import inspect
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition
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
from streams.clients import KafkaReaders
from streams.reading import read_to, read_topic
from streams.settings import Settings
from tests.oracle import Found, Oracle, Rate, Record, Sheet, account
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
        publication = publication_of(_sheet(sheet), published_at=now_ms * 1_000_000, retroactive=True)
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


def _sheet(sheet: Sheet) -> Any:
    document = sheet.document if isinstance(sheet.document, bytes) else str(sheet.document).encode()
    image_price: Any = sheet.image_price
    if image_price is not None and image_price[0].isdigit():
        image_price = number(image_price, before=12, after=24)
    options = ImportOptions(sheet.id, sheet.version, parse_time(sheet.effective_from), image_price)
    imported = read_aitronos(document, options)
    assert imported.sheet is not None, imported.problems
    return imported.sheet


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
    made = AIOKafkaProducer(
        bootstrap_servers=settings.bootstrap_servers, linger_ms=5, max_request_size=2_000_000, **options
    )
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


# --- workers


class WorkerProcess:
    """`stream-pricing worker` as a child process; its log is shown by `workers` when a test fails."""

    def __init__(self, settings: Settings, *options: str, python: Sequence[str] = ()) -> None:
        self.log = Path(tempfile.mkstemp(prefix="worker-", suffix=".log")[1])
        given = {name: getattr(settings, name) for name in settings.model_fields_set}
        variables = {f"STREAM_PRICING_{name.upper()}": str(value) for name, value in given.items()}
        with self.log.open("wb") as log:
            command = [sys.executable, *python, "-m", "streams", "worker", *options]
            self.process = subprocess.Popen(command, env={**os.environ, **variables}, stdout=log, stderr=log)

    def send(self, number: int) -> None:
        """A signal."""
        self.process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait()

    async def stop(self, timeout_s: float = 10) -> float:
        """SIGTERM; how long it took to end well."""
        started = time.monotonic()
        self.send(signal.SIGTERM)
        assert await self.ended(timeout_s) == 0, self.text()
        return time.monotonic() - started

    async def ended(self, timeout_s: float) -> int:
        """Its exit code, once it has ended."""
        await eventually(lambda: self.process.poll() is not None, timeout_s)
        return int(self.process.returncode)

    def end(self) -> None:
        """Away with it, in whatever state it is."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.kill()
        self.log.unlink(missing_ok=True)

    def text(self) -> str:
        """What it has said."""
        return self.log.read_text()

    async def get(self, path: str) -> tuple[int, str]:
        """Status and body of a page of its HTTP server; 0 while there is none."""
        said = self.text().partition("metrics on ")[2].partition("/metrics\n")
        return await asyncio.to_thread(page, said[0] + path) if said[1] else (0, "")

    async def is_ready(self) -> bool:
        """Whether /readyz says so."""
        assert self.process.poll() is None, self.text()
        return (await self.get("/readyz"))[0] == 200

    async def metric(self, name: str) -> float:
        """A sample by name and labels, without the prefix; 0 if it is not there."""
        return (await self.metrics()).get(name, 0.0)

    async def metrics(self) -> dict[str, float]:
        """All samples by name and labels, without the prefix."""
        rows = [line.rsplit(" ", 1) for line in (await self.get("/metrics"))[1].splitlines()]
        ours = [row for row in rows if row[0].startswith("stream_pricing_")]
        return {name.removeprefix("stream_pricing_"): float(value) for name, value in ours}

    async def has_committed(self, transactions: int) -> None:
        """Wait for so many transactions."""
        name = 'transactions_total{outcome="committed"}'
        await eventually(lambda: self._is_over(name, transactions), 40)

    async def _is_over(self, name: str, least: float) -> bool:
        return await self.metric(name) >= least


@contextlib.contextmanager
def workers(*started: WorkerProcess) -> Iterator[list[WorkerProcess]]:
    """Workers (append those that are started later) that are gone afterwards; a failing test shows their logs."""
    running = list(started)
    try:
        yield running
    except BaseException:
        for worker in running:
            print(f"--- pid {worker.process.pid}, exit code {worker.process.poll()}\n{worker.text()[-6000:]}")
        raise
    finally:
        for worker in running:
            worker.end()


def page(url: str) -> tuple[int, str]:
    """Status and body; 0 where nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)


async def eventually(question: Callable[[], Any], timeout_s: float = 30, every_s: float = 0.05) -> Any:
    """Ask until the answer, awaited if need be, is truthy."""
    deadline = time.monotonic() + timeout_s
    while True:
        answer = question()
        if inspect.isawaitable(answer):
            answer = await answer
        if answer:
            return answer
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s"
        await asyncio.sleep(every_s)


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
    await eventually(lambda: _is_settled(settings), timeout_s, 0.3)
    topics = settings.topics
    names = (topics.raw, topics.priced, topics.parked, topics.rejected, topics.totals)
    return Found(*[await read(settings, name) for name in names], PARTITIONS, settings.app)


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
        ends = {part: end for part, end in (await reader.end_offsets(parts)).items() if end > (done[part] or 0)}
        for part in ends:
            reader.seek(part, done[part] or 0)
        await read_to(reader, ends, unread.append, 10)
    return not unread


def must_account(found: Found, *books: Oracle) -> None:
    """Every raw record accounted for exactly once, amounts equal the oracle's, totals equal the sum."""
    problems = account(found, books)
    assert not problems, f"{len(problems)} problems, the first: " + "\n".join(problems[:10])
