"""The metrics of section 8 of the contract, all of them here; the worker updates them per batch.

Counters exist at 0 for every label value that is known beforehand: the first event already makes a rate.
"""

from collections import Counter as TallyOf
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

from pricing.errors import Rejected, Unpriced
from pricing.events import USAGE_TYPES
from pricing.times import parse_time
from streams.batch import Step
from streams.reconciling import OTHER, differences
from streams.state import State
from streams.topics import Topics

OUTCOMES = ("committed", "fenced", "unknown")
STATES = ("created", "restoring", "running", "closed")
RESTARTS = ("fenced", "unknown_outcome", "internal_error")

# Around the commit interval of 100 ms and the promise of 200 ms; the last bounds are the transaction timeout.
_COMMIT_S = (0.005, 0.01, 0.02, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2, 5, 10, 20)
# From a quiet machine to a backlog of a day.
_END_TO_END_S = (0.02, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2, 5, 10, 30, 60, 300, 3600, 86_400)
_BATCH_EVENTS = (1, 3, 10, 30, 100, 300, 1_000, 2_000, 3_000, 5_000, 10_000, 30_000, 100_000)


class BatchHistogram(Collector):
    """A histogram that takes a batch at once: prometheus_client's own costs a microsecond an event."""

    def __init__(self, name: str, text: str, bounds: tuple[float, ...]) -> None:
        self._name = name
        self._text = text
        self._bounds = bounds
        self._counts = np.zeros(len(bounds) + 1, np.int64)
        self._sum = 0.0

    def observe_all(self, values: NDArray[np.float64]) -> None:
        """Count each value."""
        found = np.searchsorted(self._bounds, values, side="left")
        self._counts += np.bincount(found, minlength=len(self._counts))
        self._sum += float(np.sum(values))

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """The family, with cumulative buckets."""
        names = [*(f"{bound:g}" for bound in self._bounds), "+Inf"]
        buckets = list(zip(names, np.cumsum(self._counts).tolist(), strict=True))
        family = HistogramMetricFamily(self._name, self._text)
        family.add_metric([], buckets, self._sum)
        yield family


class Metrics:
    """Every metric as an attribute, named as in the contract without prefix and `_total`."""

    def __init__(
        self, version: str, topics: Topics, currencies: Iterable[str] = (), providers: Iterable[str] = ()
    ) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # half of all series, and no use of them
        self.registry = CollectorRegistry()
        self._events()
        self._costs()
        self._transactions()
        self._tasks()
        self._books()
        self.build_info.labels(version=version).set(1)
        self._start_at_zero(topics, currencies)
        for provider in providers:
            self.provider_cost_compared.labels(OTHER if provider == "*" else provider)
        ProcessCollector(registry=self.registry)

    def _events(self) -> None:
        self.records_consumed = self._counter("records_consumed", "Records read, by topic.", "topic")
        self.events_priced = self._counter("events_priced", "Events priced, by type.", "type")
        self.events_duplicate = self._counter("events_duplicate", "Events dropped as seen before.")
        self.events_parked = self._counter("events_parked", "Events parked, by reason.", "reason")
        self.events_released = self._counter("events_released", "Parked events that have been priced since.")
        self.parked_open = self._gauge("parked_open", "Events that are parked now, by reason.", "reason")
        self.parked_oldest_seconds = self._gauge("parked_oldest_seconds", "Age of the oldest parked event.")
        self.events_rejected = self._counter("events_rejected", "Records rejected, by reason.", "reason")
        self.events_rekeyed = self._counter("events_rekeyed", "Records forwarded to their right partition.")
        self.priced_amount = self._counter(
            "priced_amount", "Amounts due on priced events, by currency. Approximate: a float.", "currency"
        )

    def _costs(self) -> None:
        self.events_without_cost = self._counter(
            "events_without_cost", "Events priced whose cost sheet gave no cost, by reason.", "reason"
        )
        self.provider_cost_compared = self._counter(
            "provider_cost_compared", "Events with a provider_cost beside a computed cost, by provider.", "provider"
        )
        self.provider_cost_difference = self._counter(
            "provider_cost_difference",
            "What providers billed over or under the computed costs. Approximate: a float.",
            "provider",
            "currency",
            "direction",
        )

    def _transactions(self) -> None:
        self.records_produced = self._counter("records_produced", "Records committed, by topic.", "topic")
        self.transactions = self._counter("transactions", "Transactions, by outcome.", "outcome")
        self.transaction_seconds = self._histogram(
            "transaction_seconds", "From the begin of a transaction to its commit.", _COMMIT_S
        )
        self.end_to_end_seconds = BatchHistogram(
            "stream_pricing_end_to_end_seconds",
            "From the append time of a raw record to the commit of its outcome.",
            _END_TO_END_S,
        )
        self.registry.register(self.end_to_end_seconds)
        self.batch_events = self._histogram("batch_events", "Records in a transaction.", _BATCH_EVENTS)
        self.last_commit_timestamp_seconds = self._gauge(
            "last_commit_timestamp_seconds", "When a transaction was last committed, Unix time."
        )

    def _tasks(self) -> None:
        self.consumer_lag_records = self._gauge(
            "consumer_lag_records", "Records not yet read, by partition.", "topic", "partition"
        )
        self.partitions = self._gauge("partitions", "Partitions of this worker, by state.", "state")
        self.rebalances = self._counter("rebalances", "Assignments received from the group.")
        self.task_restarts = self._counter("task_restarts", "Tasks started over, by reason.", "reason")
        self.restore_seconds = self._gauge("restore_seconds", "How long the last restore of a task took.")
        self.seen_ids = self._gauge("seen_ids", "Identities in memory for deduplication.")

    def _books(self) -> None:
        self.book_info = self._gauge("book_info", "1 for each price sheet version in the books.", "id", "version")
        self.book_problems = self._counter("book_problems", "Publications that were ignored.")
        self.build_info = self._gauge("build_info", "1, with the version of this program.", "version")

    def _start_at_zero(self, topics: Topics, currencies: Iterable[str]) -> None:
        known: Mapping[Counter | Gauge, Iterable[str]] = {
            self.records_consumed: (*topics.inputs, topics.books),
            self.records_produced: topics.outputs,
            self.events_priced: USAGE_TYPES,
            self.events_parked: Unpriced,
            self.events_without_cost: Unpriced,
            self.parked_open: Unpriced,
            self.events_rejected: Rejected,
            self.transactions: OUTCOMES,
            self.task_restarts: RESTARTS,
            self.partitions: STATES,
            self.priced_amount: currencies,
        }
        for metric, values in known.items():
            for value in values:
                metric.labels(str(value))

    def committed(self, step: Step, seconds: float, now_ms: int) -> None:
        """What a committed transaction did."""
        counts = step.counts
        for counter, numbers in (
            (self.records_consumed, counts.consumed),
            (self.events_priced, counts.priced),
            (self.events_parked, counts.parked),
            (self.events_rejected, counts.rejected),
            (self.priced_amount, counts.amounts),
            (self.records_produced, counts.produced),
            (self.events_without_cost, counts.without_cost),
            (self.provider_cost_compared, TallyOf(each.provider for each in counts.compared)),
        ):
            for label, number in numbers.items():
                counter.labels(label).inc(float(number))
        for labels, amount in differences(counts.compared).items():
            self.provider_cost_difference.labels(*labels).inc(float(amount))
        self.events_duplicate.inc(counts.duplicates)
        self.events_released.inc(counts.released)
        self.events_rekeyed.inc(counts.rekeyed)
        self.book_problems.inc(len(counts.accounts_ignored))
        self.transactions.labels("committed").inc()
        self.transaction_seconds.observe(seconds)
        self.batch_events.observe(sum(counts.consumed.values()))
        self.end_to_end_seconds.observe_all(np.maximum(0, now_ms - np.array(counts.append_times_ms)) / 1000)
        self.last_commit_timestamp_seconds.set(now_ms / 1000)

    def owned(self, phases: Sequence[str], states: Sequence[State], now_ms: int) -> None:
        """What the tasks of this worker hold, now."""
        by_phase = TallyOf(phases)
        for phase in STATES:
            self.partitions.labels(phase).set(by_phase[phase])
        self.seen_ids.set(sum(len(state.seen) for state in states))
        by_reason = TallyOf(event.reason for state in states for event in state.parked.values())
        for reason in Unpriced:
            self.parked_open.labels(reason).set(by_reason[reason])
        first = [state.parked[min(state.parked)] for state in states if state.parked]
        oldest = min((parse_time(event.since) for event in first), default=now_ms * 1_000_000)
        self.parked_oldest_seconds.set(max(0, now_ms * 1_000_000 - oldest) / 1e9)

    def exposition(self) -> bytes:
        """The body of /metrics, in Prometheus' text format."""
        return generate_latest(self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"stream_pricing_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"stream_pricing_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(f"stream_pricing_{name}", text, buckets=buckets, registry=self.registry)
