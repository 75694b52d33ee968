"""What the demo shows, from what every user can see: the totals topic, and the worker's metrics."""

import asyncio
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from pricing.money import ZERO, exact
from streams.children import WorkerChild
from streams.clients import stop
from streams.settings import Settings
from streams.topics import Topics
from streams.total_codec import sum_of

_PREFIX = "stream_pricing_"
_RATE_S = 3.0
_ASK_S = 0.25
_POLL_MS = 200
_QUANTILES = (0.5, 0.99)


class Project(NamedTuple):
    """A project's spend so far: what is due in each reporting currency."""

    organization: str
    project: str
    events: int
    due: Mapping[str, Decimal]


@dataclass
class Spend:
    """The newest total of every project's month."""

    first_at: float | None = None
    _totals: dict[bytes, dict[str, Any]] = field(default_factory=dict)

    async def follow(self, settings: Settings, partitions: int) -> None:
        """Read the totals topic for ever. Raises TimeoutError where the client does not answer."""
        timeout_s = settings.request_timeout_ms / 1000
        consumer = AIOKafkaConsumer(
            **settings.client_options(),
            group_id=None,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            enable_auto_commit=False,
        )
        try:
            async with asyncio.timeout(timeout_s):
                await consumer.start()
            consumer.assign([TopicPartition(settings.topics.totals, number) for number in range(partitions)])
            while True:
                async with asyncio.timeout(timeout_s):
                    batches = await consumer.getmany(timeout_ms=_POLL_MS)
                for records in batches.values():
                    for record in records:
                        self._take(record.key, record.value)
        finally:
            await stop(consumer)

    def _take(self, key: bytes, value: bytes | None) -> None:
        if self.first_at is None:
            self.first_at = time.monotonic()
        # organization/project/month/start, without an item
        if value is not None and key.count(b"/") == 3 and b"/month/" in key:
            self._totals[key] = orjson.loads(value)

    def projects(self) -> list[Project]:
        """Every project, the most expensive first."""
        found: dict[tuple[str, str], Project] = {}
        with exact():
            for total in self._totals.values():
                name = (total["organization"], total["project"])
                due = {currency: sum_of(amounts["due"]) for currency, amounts in total["converted"].items()}
                known = found.get(name, Project(*name, 0, {}))
                both = {each: known.due.get(each, ZERO) + amount for each, amount in due.items()}
                found[name] = Project(*name, known.events + total["events"], both)
        return sorted(found.values(), key=lambda each: [-amount for amount in each.due.values()])


class Counters(NamedTuple):
    """The worker's counters, and what follows from how they move."""

    priced: int = 0
    duplicates: int = 0
    parked: int = 0
    released: int = 0
    rejected: int = 0
    forwarded: int = 0
    consumed_raw: int = 0
    consumed_rekeyed: int = 0
    per_s: int = 0
    latency_ms: Sequence[float] = ()


class Gauges:
    """Reads the worker's metrics again and again."""

    def __init__(self, worker: WorkerChild, topics: Topics) -> None:
        self.now = Counters()
        self._worker = worker
        self._topics = topics
        self._history: deque[tuple[float, dict[str, float]]] = deque()

    async def follow(self) -> None:
        """Ask for ever. Raises Refused when the worker has ended."""
        while True:
            await self.refresh()
            await asyncio.sleep(_ASK_S)

    async def refresh(self) -> None:
        """Ask once."""
        self._take(await asyncio.to_thread(self._worker.metrics))

    def _take(self, metrics: dict[str, float]) -> None:
        if not metrics:
            return
        now = time.monotonic()
        self._history.append((now, metrics))
        while now - self._history[0][0] > _RATE_S and len(self._history) > 2:
            self._history.popleft()
        since, before = self._history[0]
        raw = f'records_consumed_total{{topic="{self._topics.raw}"}}'
        done = _sum(metrics, raw) - _sum(before, raw)
        released = _sum(metrics, "events_released_total")
        self.now = Counters(
            priced=_sum(metrics, "events_priced_total"),
            duplicates=_sum(metrics, "events_duplicate_total"),
            parked=_sum(metrics, "events_parked_total") - released,
            released=released,
            rejected=_sum(metrics, "events_rejected_total"),
            forwarded=_sum(metrics, "events_rekeyed_total"),
            consumed_raw=_sum(metrics, raw),
            consumed_rekeyed=_sum(metrics, f'records_consumed_total{{topic="{self._topics.rekeyed}"}}'),
            per_s=round(done / (now - since)) if now > since else 0,
            latency_ms=_quantiles(before, metrics) or _quantiles({}, metrics),
        )


def _sum(metrics: Mapping[str, float], name: str) -> int:
    full = _PREFIX + name
    return int(sum(value for key, value in metrics.items() if key == full or key.startswith(full + "{")))


def _quantiles(before: Mapping[str, float], after: Mapping[str, float]) -> list[float]:
    """Latencies in ms out of the histogram's buckets, as Prometheus would interpolate them."""
    name = _PREFIX + 'end_to_end_seconds_bucket{le="'
    bounds = [key[len(name) : -2] for key in after if key.startswith(name)]
    counts = [after[f'{name}{bound}"}}'] - before.get(f'{name}{bound}"}}', 0) for bound in bounds]
    if not counts or not counts[-1]:
        return []
    found = []
    for quantile in _QUANTILES:
        rank = quantile * counts[-1]
        index = next(index for index, count in enumerate(counts) if count >= rank)
        low, below = (float(bounds[index - 1]), counts[index - 1]) if index else (0.0, 0.0)
        high = low if bounds[index] == "+Inf" else float(bounds[index])
        found.append(1000 * (low + (high - low) * (rank - below) / (counts[index] - below)))
    return found
