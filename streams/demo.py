"""`stream-pricing demo`: a real Kafka, sample prices, a producer, a worker, and spend per project as it grows.

The worker is a child process, `stream-pricing worker`, and what is shown comes from its topics and its metrics.
Halfway a new version of the price sheet is published: it changes prices from then on, and it knows the model that
parked events wait for, so one can watch them being priced.
"""

import asyncio
import time
from collections.abc import Awaitable, Coroutine
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer

from streams.admin import create_topics
from streams.children import WorkerChild
from streams.clients import stop
from streams.demo_account import account_of, read_all
from streams.demo_usage import Producer, Sent
from streams.demo_view import Picture, Screen
from streams.demo_watch import Gauges, Spend
from streams.settings import Settings
from streams.trial import FIRST_SHEET, NEXT_SHEET, publish_books, sample_accounts, sample_rates, sample_sheet, trial

PARTITIONS = 4
CURRENCIES = ("CHF", "USD")
_LONG_AGO = 1_577_836_800_000_000_000  # 2020-01-01
_DURATION_S = 20
_PER_S_MIN, _PER_S_MAX, _PER_S_AFTER = 150, 5_000, 20
_TICK_S = 0.05
_DRAW_S = 0.25
_SETTLE_S = 60.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How many raw records to send, whether to end then, and the settings file, which the worker reads too."""

    events: int
    exit: bool
    config: Path | None = None

    @property
    def per_s(self) -> int:
        return min(_PER_S_MAX, max(_PER_S_MIN, self.events // _DURATION_S))


def demo(settings: Settings, plan: Plan) -> list[str]:
    """Run it; what does not add up at the end. Without `plan.exit` it goes on until Ctrl-C. Raises Refused."""
    started = time.monotonic()
    given = "bootstrap_servers" in settings.model_fields_set
    print(f"connecting to {settings.bootstrap_servers} …" if given else "starting Kafka …", flush=True)
    if "report_currencies" not in settings.model_fields_set:
        settings = settings.model_copy(update={"report_currencies": CURRENCIES})
    with trial(settings, "demo") as mine, ExitStack() as stack:
        asyncio.run(create_topics(mine, PARTITIONS))
        worker = stack.enter_context(WorkerChild(mine, plan.config))
        screen = stack.enter_context(Screen(started))
        screen.note(f"Kafka at {mine.bootstrap_servers}, topics {mine.topic_prefix}*, worker {worker.process.pid}")
        asyncio.run(_Show(mine, plan, worker, screen).run())
        if not plan.exit:
            return []
        worker.stop()
        found = account_of(asyncio.run(read_all(mine)))
    print("\n".join(found.lines))
    return found.problems + ([f"{found.open} events are still parked"] if found.open else [])


class _Show:
    """What runs side by side: the producer, the watchers, the screen."""

    def __init__(self, settings: Settings, plan: Plan, worker: WorkerChild, screen: Screen) -> None:
        self._started = screen.started
        self._settings = settings
        self._timeout_s = settings.request_timeout_ms / 1000
        self._plan = plan
        self._screen = screen
        self._spend = Spend()
        self._gauges = Gauges(worker, settings.topics)
        self._sent = 0
        self._began_at = time.time_ns()
        self._first_priced = asyncio.Event()
        self._cure_awaited = False

    async def run(self) -> None:
        """Until all events have their outcome or, without `exit`, for ever."""
        accounts = sample_accounts()
        first = sample_sheet(self._settings, FIRST_SHEET, "2026-11-01", _LONG_AGO)
        await publish_books(self._settings, [first, *sample_rates()], accounts, self._began_at)
        self._screen.note(f"published sheet {first.version}, exchange rates, {len(accounts)} organizations")
        watchers: list[Coroutine[Any, Any, None]] = [
            self._spend.follow(self._settings, PARTITIONS),
            self._gauges.follow(),
            self._draw(),
        ]
        source = Producer([each.organization for each in accounts], PARTITIONS, seed=2026)
        try:
            await _while_all_go_on(watchers, self._produce(source))
        finally:
            self._screen.last(self._picture())

    async def _produce(self, source: Producer) -> None:
        producer = AIOKafkaProducer(**self._settings.client_options(), enable_idempotence=True, linger_ms=5)
        try:
            async with asyncio.timeout(self._timeout_s):
                await producer.start()
            await self._send(producer, source, self._plan.events // 2, self._plan.per_s)
            async with asyncio.timeout(_SETTLE_S):
                await self._first_priced.wait()
            await self._publish_next_sheet()
            await self._send(producer, source, self._plan.events, self._plan.per_s)
            if not self._plan.exit:
                self._screen.note(f"{self._sent:,} events sent; going on slowly until Ctrl-C")
                await self._send(producer, source, None, _PER_S_AFTER)
        finally:
            await stop(producer)
        await self._settled()

    async def _send(self, producer: AIOKafkaProducer, source: Producer, until: int | None, per_s: int) -> None:
        """Send records at a steady rate until `until` are sent; None: for ever."""
        loop = asyncio.get_running_loop()
        started, before = loop.time(), self._sent
        while until is None or self._sent < until:
            due = before + int((loop.time() - started) * per_s) + 1
            records = [
                source.next(time.time_ns()) for _ in range(self._sent, due if until is None else min(due, until))
            ]
            async with asyncio.timeout(self._timeout_s):
                await asyncio.gather(*[await self._append(producer, record) for record in records])
            self._sent += len(records)
            await asyncio.sleep(_TICK_S)

    async def _append(self, producer: AIOKafkaProducer, record: Sent) -> Awaitable[Any]:
        sent: Awaitable[Any] = await producer.send(
            self._settings.topics.raw,
            key=record.key,
            value=record.value,
            partition=record.partition,
            headers=record.headers,
        )
        return sent

    async def _publish_next_sheet(self) -> None:
        """It counts from the beginning of the demo on: parked events lie before its publication."""
        sheet = sample_sheet(self._settings, NEXT_SHEET, "2026-12-demo", self._began_at - 60_000_000_000)
        await self._gauges.refresh()
        parked = self._gauges.now.parked
        await publish_books(self._settings, [sheet], [], time.time_ns())
        text = f"published sheet {sheet.version}: new prices, and one for what {parked:,} parked events wait for"
        self._screen.note(text)
        self._cure_awaited = True

    async def _settled(self) -> None:
        """Until the worker is past every raw and every forwarded record, and nothing is parked, or for a minute."""
        deadline = time.monotonic() + _SETTLE_S
        while time.monotonic() < deadline:
            now = self._gauges.now
            if now.consumed_raw >= self._sent and now.consumed_rekeyed >= now.forwarded and not now.parked:
                return
            await asyncio.sleep(_TICK_S)

    async def _draw(self) -> None:
        while True:
            now = self._gauges.now
            if self._spend.first_at is not None and not self._first_priced.is_set():
                self._first_priced.set()
                after_s = self._spend.first_at - self._started
                self._screen.note(f"the first event is priced, {after_s:.1f} s after the start")
            if self._cure_awaited and now.released and not now.parked:
                self._cure_awaited = False
                self._screen.note(f"parked events: none left, {now.released:,} were priced by themselves")
            self._screen.show(self._picture())
            await asyncio.sleep(_DRAW_S)

    def _picture(self) -> Picture:
        return Picture(self._sent, self._gauges.now, self._spend.projects(), self._settings.report_currencies)


async def _while_all_go_on(watchers: list[Coroutine[Any, Any, None]], work: Coroutine[Any, Any, None]) -> None:
    """Do the work; whatever a watcher raises ends it."""
    tasks = [asyncio.create_task(each) for each in (work, *watchers)]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for each in done:
            each.result()
    finally:
        for each in tasks:
            each.cancel()
        await asyncio.wait(tasks)
