"""What goes into a step and what comes out of it, as values: records, the settings that matter, the result."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol

import msgspec
from msgspec import UNSET

from pricing.costs import NoCost
from pricing.pipeline import Priced
from pricing.times import format_time
from pricing.totals import INSIDE, Number, Sums
from streams.codec import PricedWriter
from streams.headers import Headers
from streams.reconciling import Compared, compare
from streams.state import Changes, ParkedEvent
from streams.topics import Topics


class InRecord(Protocol):
    """A consumed record, as aiokafka has it."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


MS_NS = 1_000_000

# A record to publish: key, value, headers, timestamp in ms. A plain tuple, since one is made per event.
OutRecord = tuple[bytes | None, bytes | None, Headers, int]


@dataclass(frozen=True, slots=True)
class Lane:
    """What a task is: its partition, and the settings that its decisions depend on. `partition_of` is murmur2."""

    partition: int
    partitions: int
    topics: Topics
    partition_of: Callable[[bytes, int], int]
    writer: PricedWriter
    max_age_ns: int


@dataclass(frozen=True, slots=True)
class Inputs:
    """One batch, each in the order of its partition. `cures` are parked records to look at again, `reached` the offsets
    before which there is nothing more of an input that has no records here: a log may go on with markers."""

    raw: Sequence[InRecord] = ()
    rekeyed: Sequence[InRecord] = ()
    accounts: Sequence[InRecord] = ()
    cures: Sequence[tuple[ParkedEvent, InRecord]] = ()
    reached: Sequence[int] = (-1, -1, -1)


class StepFailed(Exception):
    """The worker itself failed on a record: a bug. `origin` is where the record was read."""

    def __init__(self, record: InRecord) -> None:
        super().__init__(f"failed on {record.topic}-{record.partition} offset {record.offset}")
        self.origin = (record.topic, record.partition, record.offset)


@dataclass
class Counts:
    """What happened in a batch, for the metrics."""

    consumed: Counter[str] = field(default_factory=Counter)
    priced: Counter[str] = field(default_factory=Counter)
    parked: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    produced: Counter[str] = field(default_factory=Counter)
    amounts: dict[str, Number] = field(default_factory=dict)
    without_cost: Counter[str] = field(default_factory=Counter)
    compared: list[Compared] = field(default_factory=list)
    duplicates: int = 0
    released: int = 0
    rekeyed: int = 0
    accounts_ignored: list[str] = field(default_factory=list)
    append_times_ms: list[int] = field(default_factory=list)

    def add_cost(self, priced: Priced, providers: Mapping[str, object]) -> None:
        """The cost of an event whose provider has a cost sheet. `providers` are those that have one of their own."""
        cost = priced.cost
        if isinstance(cost, NoCost):
            self.without_cost[cost.reason] += 1
        elif cost is not None and priced.event.data.provider_cost is not UNSET:
            found = compare(priced, cost, providers)
            self.compared += [] if found is None else [found]

    def add_due(self, sums: Sums) -> None:
        """The amounts due among these."""
        for currency, place in _dues(sums.paths):
            self.amounts[currency] = self.amounts.get(currency, 0) + sums.numbers[place]


@lru_cache(512)
def _dues(paths: tuple[str, ...]) -> tuple[tuple[str, int], ...]:
    """The places of the amounts due, by currency."""
    due = f"due{INSIDE}"
    return tuple((path.removeprefix(due), place) for place, path in enumerate(paths) if path.startswith(due))


@dataclass
class Step:
    """The result: what to publish by (topic, partition), and what to change in the state once it is committed.

    `newly_parked` have no offset yet: their records are the first of the parked topic's, and `complete` takes the
    offsets that they got.
    """

    outputs: dict[tuple[str, int], list[OutRecord]]
    changes: Changes
    newly_parked: list[ParkedEvent]
    counts: Counts
    now_ms: int

    @property
    def clock_behind_ms(self) -> int:
        """How far the worker's clock is behind the broker's, at least; not above 0 where none of its times says so."""
        return max(self.counts.append_times_ms, default=0) - self.now_ms

    @property
    def clocks(self) -> str:
        """What the clocks said, for an operator."""
        said = f"this machine's clock reads {format_time(self.now_ms * MS_NS)}"
        newest = max(self.counts.append_times_ms, default=None)
        return said if newest is None else f"{said}, Kafka has appended usage at {format_time(newest * MS_NS)}"

    def complete(self, parked_offsets: Sequence[int]) -> None:
        """File the newly parked events under the offsets of their records."""
        for parked, offset in zip(self.newly_parked, parked_offsets, strict=True):
            self.changes.parked[offset] = msgspec.structs.replace(parked, offset=offset)
