"""Topic names and what each topic promises: the only place that knows. `admin` applies it to a cluster.

The numbers are those of section 1 of the contract. A topic that keeps a promise better than written (a longer
retention, smaller segments) keeps it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from pricing.documents import DOCUMENT_BYTES_MAX

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
FOR_EVER = "-1"

# How a setting of an existing topic is held against the promised one; what is in neither set has to be equal.
AT_LEAST = frozenset({"retention.ms", "retention.bytes"})
AT_MOST = frozenset({"segment.bytes", "segment.ms", "min.cleanable.dirty.ratio"})

# A sheet is one record. Compressed, as it is sent, the largest map of the market has 0.1 MB, so that a topic with
# Kafka's usual limit of 1 MB does; new ones take every sheet that can be read, however little it compresses.
BOOK_RECORD_BYTES_MAX = DOCUMENT_BYTES_MAX + 64 * 1024
RECORD_BYTES = "max.message.bytes"


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic as it has to be: `configs` are Kafka's own topic settings."""

    name: str
    partitions: int
    replication_factor: int
    configs: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class TopicFacts:
    """A topic as a cluster has it; `in_sync_min` is its `min.insync.replicas`."""

    name: str
    partitions: int
    replication_factor: int
    configs: Mapping[str, str]

    @property
    def in_sync_min(self) -> int:
        return int(self.configs.get("min.insync.replicas", "1"))


@dataclass(frozen=True, slots=True)
class Topics:
    """Every topic by its role, with the operator's prefix in front."""

    prefix: str = ""

    @property
    def raw(self) -> str:
        return f"{self.prefix}usage.raw.v1"

    @property
    def rekeyed(self) -> str:
        return f"{self.prefix}usage.rekeyed.v1"

    @property
    def books(self) -> str:
        return f"{self.prefix}pricing.books.v1"

    @property
    def accounts(self) -> str:
        return f"{self.prefix}pricing.accounts.v1"

    @property
    def priced(self) -> str:
        return f"{self.prefix}usage.priced.v1"

    @property
    def totals(self) -> str:
        return f"{self.prefix}usage.totals.v1"

    @property
    def parked(self) -> str:
        return f"{self.prefix}usage.parked.v1"

    @property
    def rejected(self) -> str:
        return f"{self.prefix}usage.rejected.v1"

    @property
    def state(self) -> str:
        return f"{self.prefix}stream-pricing.state.v1"

    @property
    def inputs(self) -> tuple[str, str, str]:
        """The topics whose partition p a task reads with p of its state."""
        return self.raw, self.rekeyed, self.accounts

    @property
    def outputs(self) -> tuple[str, ...]:
        """The topics that a task writes in its transactions."""
        return self.priced, self.totals, self.parked, self.rejected, self.rekeyed, self.state

    @property
    def data(self) -> tuple[str, ...]:
        """The topics that have to have the same number of partitions: all but the books."""
        return tuple(name for name in self.configs() if name != self.books)

    def configs(self) -> dict[str, Mapping[str, str]]:
        """The promised settings of each topic, in the contract's order."""
        return {
            self.raw: _kept(90, time="LogAppendTime"),
            self.rekeyed: _kept(90, time="LogAppendTime"),
            self.books: _kept(None),
            self.accounts: _COMPACT,
            self.priced: _kept(90),
            self.totals: _COMPACT,
            # Parked and rejected records keep their timestamp, which LogAppendTime would replace.
            self.parked: _kept(None, time="CreateTime"),
            self.rejected: _kept(180, time="CreateTime"),
            self.state: _STATE,
        }

    def specs(self, partitions: int, replication_factor: int) -> tuple[TopicSpec, ...]:
        """Every topic to create. From three replicas on, a write needs two of them in sync.

        What goes beyond `configs` is for new topics; existing ones may differ.
        """
        durable = {"min.insync.replicas": "2"} if replication_factor >= 3 else {}
        more = {self.books: {RECORD_BYTES: str(BOOK_RECORD_BYTES_MAX)}, self.totals: _STATE}
        return tuple(
            TopicSpec(
                name=name,
                partitions=1 if name == self.books else partitions,
                replication_factor=replication_factor,
                configs=MappingProxyType({**configs, **durable, **more.get(name, {})}),
            )
            for name, configs in self.configs().items()
        )


def _kept(days: int | None, *, time: str | None = None) -> Mapping[str, str]:
    """Settings of a topic that keeps whole records for so many days, None: for ever, whatever their size."""
    configs = {
        "cleanup.policy": "delete",
        "retention.ms": FOR_EVER if days is None else str(days * DAY_MS),
        "retention.bytes": FOR_EVER,
    }
    return MappingProxyType(configs | ({"message.timestamp.type": time} if time else {}))


_COMPACT = MappingProxyType({"cleanup.policy": "compact"})
# Without small segments the hot end of a changelog is never compacted, and a restore reads all of it.
_STATE = MappingProxyType(
    {
        "cleanup.policy": "compact",
        "segment.bytes": str(64 * 1024 * 1024),
        "segment.ms": str(HOUR_MS),
        "min.cleanable.dirty.ratio": "0.1",
    }
)


def config_differences(promised: Mapping[str, str], found: Mapping[str, str]) -> Iterator[str]:
    """One phrase for each setting of a topic that breaks its promise, with both values."""
    for key, wanted in promised.items():
        actual = found.get(key, "")
        if not _keeps(key, wanted, actual):
            bound = "at least " if key in AT_LEAST and wanted != FOR_EVER else "at most " if key in AT_MOST else ""
            yield f"{key} is {actual or 'unknown'}, promised is {bound}{wanted}"


def _keeps(key: str, wanted: str, actual: str) -> bool:
    if actual == wanted:
        return True
    if key in AT_LEAST:
        return actual == FOR_EVER or (wanted != FOR_EVER and actual.isdigit() and int(actual) >= int(wanted))
    if key in AT_MOST:
        return bool(actual) and float(actual) <= float(wanted)
    return False


def weaknesses(facts: Sequence[TopicFacts]) -> list[str]:
    """What makes topics lose what was acknowledged."""
    single = [found.name for found in facts if found.replication_factor < 2]
    alone = [found.name for found in facts if found.replication_factor >= 2 and found.in_sync_min < 2]
    warnings = []
    if single:
        warnings.append(f"one replica, so what its broker loses is lost: {', '.join(single)}")
    if alone:
        warnings.append(f"min.insync.replicas under 2, so one replica may acknowledge: {', '.join(alone)}")
    return warnings


def small_books(books: TopicFacts | None) -> list[str]:
    """Where the books have no room for the largest sheets."""
    limit = int(books.configs.get(RECORD_BYTES, "0")) if books else 0
    if not (books and 0 < limit < BOOK_RECORD_BYTES_MAX):
        return []
    return [
        f"topic {books.name}: {RECORD_BYTES} is {limit:,}, so that sheets of more, compressed, are refused; "
        f"{BOOK_RECORD_BYTES_MAX} is enough for all"
    ]
