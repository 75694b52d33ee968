"""A world to break the real worker in: topics, books, usage, hosts that restart what dies, and the account at the end.

    report = live(Plan.of(seed))              # one seed: a stream, faults, deaths, rebalances, a cure
    assert report.problems == []              # nothing lost, doubled or mispriced, memory is what the changelog says

Only the broker and the network are simulated. `World` is also what scripted scenarios are told with: `world.host()`
runs a `streams.worker.Worker`, `world.settle()` waits until all is processed, `world.problems()` is the account.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any
from unittest import mock

from aiokafka import TopicPartition

from pricing.book_records import parse_publication, publication_bytes, publication_of
from pricing.exchange import FxRate
from pricing.importers.aitronos import read_aitronos
from pricing.importers.imported import ImportOptions
from pricing.money import number
from pricing.times import parse_time
from streams import books
from streams import worker as worker_module
from streams.errors import Refused
from streams.metrics import Metrics
from streams.settings import Settings
from streams.state import State, restore
from streams.task import Phase
from streams.worker import Worker
from tests import oracle
from tests.oracle import Event, Found, Oracle, partition_of
from tests.simulation import (
    EPOCH_MS,
    OPERATIONS,
    ClientSettings,
    Fault,
    Kind,
    RandomFaults,
    SimBroker,
    SimClients,
    run,
)
from tests.simulation.audit import Memory, account
from tests.simulation.faults import LONGEST_MS, Faults, no_faults
from tests.simulation.log import MemoryRow
from tests.usage import RawRecord, dumps, encode, stream, usage
from tests.usage_samples import sample_accounts, sample_oracle, sample_rates, sample_sheets

SEEDS_PER_STREAM = 40
"""Neighbouring seeds share a stream, so that the oracle reads and prices it once; what happens to it differs."""
RECORDS = 30
POLL_MS = 1_000
"""The worker's own 25 ms would be 40 turns a virtual second; the simulated poll wakes when there is something."""
SETTLE_S_MAX = 400.0
QUIET_S = 1.2

LATE_ACCOUNT = {
    "organization": "list-price",
    "version": 3,
    "tiers": [{"tier": "tier_third", "from": "2025-01-01T00:00:00Z"}],
}


# --- what is published


@lru_cache
def publications(cured: bool) -> list[tuple[bytes, bytes]]:
    """The sample book as keys and values of its topic; `cured`: what is published later only."""
    made = [_imported(each) for each in sample_sheets(EPOCH_MS, cured)]
    made += [
        FxRate(
            pair=each.pair, rate=number(str(each.rate), before=12, after=24), from_ns=parse_time(each.effective_from)
        )
        for each in sample_rates(EPOCH_MS, cured)
    ]
    wrapped = [publication_of(each, published_at=EPOCH_MS * 10**6, retroactive=True) for each in made]
    rows = [(each.key.encode(), publication_bytes(each)) for each in wrapped]
    return [row for row in rows if not cured or row not in publications(False)]


def _imported(sheet: Any) -> Any:
    image_price = sheet.image_price
    if image_price is not None and image_price[0].isdigit():
        image_price = number(image_price, before=12, after=24)
    options = ImportOptions(sheet.id, sheet.version, parse_time(sheet.effective_from), image_price)
    imported = read_aitronos(sheet.document, options)
    assert imported.sheet is not None, imported.problems
    return imported.sheet


class SharedOracle:
    """An oracle that judges and prices what it knows already from memory.

    Sound within a run: no event of a stream comes closer to a limit of age than the run lasts.
    """

    def __init__(self, inner: Oracle) -> None:
        self._inner = inner
        self._verdicts: dict[Any, Any] = {}
        self._prices: dict[Any, Any] = {}

    def judge(self, record: oracle.Record) -> Any:
        key = record.value, record.headers
        if key not in self._verdicts:
            self._verdicts[key] = self._inner.judge(record)
        verdict = self._verdicts[key]
        return replace(verdict, origin=record.origin) if isinstance(verdict, Event) else verdict

    def price(self, event: Event) -> Any:
        key = event.identity, event.content
        if key not in self._prices:
            self._prices[key] = self._inner.price(event)
        return self._prices[key]


@lru_cache(maxsize=64)
def oracles(stream_seed: int, require_account: bool, late_account: bool) -> tuple[list[SharedOracle], Memory]:
    """The books in force during a run, in their order. One cache for each stream: verdicts are looked up by value."""
    settings = oracle.Settings(require_account=require_account)
    known = sample_accounts(EPOCH_MS)
    accounts = [known, {**known, "list-price": LATE_ACCOUNT}] if late_account else [known]
    found = []
    for cured in (False, True):
        for each in accounts:
            sheets, rates = sample_sheets(EPOCH_MS, cured), sample_rates(EPOCH_MS, cured)
            found.append(SharedOracle(Oracle(sheets, rates, each, settings)))
    return found, Memory()


# --- plans


@dataclass(frozen=True)
class Act:
    """Something done to the world at a moment: `what` is a method of `_Seeded`."""

    at_s: float
    what: str
    who: int
    ms: float


@dataclass(frozen=True)
class Plan:
    """All that a seed decides. `keep`: the records of the stream that are left, for shrinking."""

    seed: int
    partitions: int
    hosts: int
    focus: tuple[str, Kind]
    acts: tuple[Act, ...]
    require_account: bool
    late_account: bool
    keep: tuple[int, ...] = tuple(range(RECORDS))

    @classmethod
    def of(cls, seed: int) -> Plan:
        rng = random.Random(f"{seed}/plan")
        focus = PAIRS[seed % len(PAIRS)]
        partitions = partitions_of(seed)
        acts = [
            Act(rng.uniform(0, 4), *_ACTS[rng.randrange(len(_ACTS))](rng))
            for _ in range(rng.choice([0, 1, 2, 2, 3, 4]))
        ]
        if focus[0] == "leave":
            acts.append(Act(rng.uniform(0, 2), "stop", 0, 100))
        return cls(
            seed,
            partitions,
            rng.choice([2, 2, 2, 3]),
            focus,
            tuple(sorted(acts, key=lambda act: act.at_s)),
            rng.random() < 0.2,
            rng.random() < 0.2,
        )

    @property
    def stream_seed(self) -> int:
        return self.seed // SEEDS_PER_STREAM

    def records(self) -> list[RawRecord]:
        found = records_of(self.stream_seed, self.partitions)
        return [found[index] for index in self.keep]


def partitions_of(seed: int) -> int:
    return (2, 3, 4, 2)[seed // SEEDS_PER_STREAM % 4]


@lru_cache(maxsize=64)
def records_of(stream_seed: int, partitions: int) -> list[RawRecord]:
    return stream(stream_seed, RECORDS, partitions=partitions, now_ms=EPOCH_MS)


_ACTS: Sequence[Callable[[random.Random], tuple[str, int, float]]] = (
    lambda rng: ("kill", rng.randrange(3), rng.choice([50, 500, 3_000])),
    lambda rng: ("kill", rng.randrange(3), rng.choice([50, 500, 3_000])),
    lambda rng: ("freeze", rng.randrange(3), rng.choice([200, 3_000, 12_000, 40_000])),
    lambda rng: ("stop", rng.randrange(3), rng.choice([10, 500, 3_000])),
    lambda rng: ("stop", rng.randrange(3), rng.choice([10, 500, 3_000])),
    lambda rng: ("join", 0, 0),
    lambda rng: ("restart_broker", 0, rng.choice([20, 1_000, 12_000])),
    lambda rng: ("compact", 0, 0),
    lambda rng: ("forget_offsets", 0, 0),
)

LOCAL_KINDS = (Kind.KILL, Kind.FREEZE, Kind.RESTART)
"""What can happen at `begin`, which sends nothing."""
KINDS = tuple(kind for kind in Kind if kind is not Kind.NONE)
PAIRS = [(op, kind) for kind in KINDS for op in OPERATIONS if op != "begin" or kind in LOCAL_KINDS]
_OFTEN = {
    "begin",
    "add_partitions",
    "produce",
    "add_offsets",
    "offset_commit",
    "end_txn",
    "fetch",
    "list_offsets",
    "heartbeat",
}


class Focus:
    """Random faults, and one that is certain: this kind at the n-th of this operation."""

    def __init__(self, seed: int, focus: tuple[str, Kind]) -> None:
        rng = random.Random(f"{seed}/focus")
        self._random = RandomFaults(seed, rate=0.01, faults_max=rng.choice([0, 2, 5, 8]))
        self._op, kind = focus
        bounds = LONGEST_MS.get(kind)
        self._fault = Fault(kind, rng.uniform(0, rng.choice(bounds)) if bounds else 0.0)
        most = 10 if self._op in _OFTEN else 3
        if self._op in ("heartbeat", "leave"):
            most = 1
        self._left = rng.randint(1, most)

    def __call__(self, op: str, worker: str, detail: object) -> Fault:
        if op == self._op and not self.is_spent:
            self._left -= 1
            if self.is_spent:
                return self._fault
        return self._random(op, worker, detail)

    @property
    def is_spent(self) -> bool:
        """Whether the certain fault has struck."""
        return self._left == 0


# --- the world

_METRICS = Metrics("simulated", Settings().topics, ("USD",))
"""One for all workers: what it counts is tested elsewhere, and 40 metrics take long to make."""


class World:
    """A broker with all topics, and hosts. Must be made within `simulation.run`."""

    def __init__(self, faults: Faults = no_faults, partitions: int = 2, **settings: Any) -> None:
        marker_ms = settings.pop("marker_ms", (0.1, 1.5))
        options = {"batch_events_max": 6, "commit_interval_ms": 20, **settings}
        self.settings = Settings(**options)
        self.partitions = partitions
        self.topics = self.settings.topics
        self.hosts: list[Host] = []
        self.problems_found: list[str] = []
        self._compacted: dict[tuple[str, int, int], Any] = {}
        self.publish_rng = random.Random(0)
        self.broker = SimBroker(faults, marker_ms=marker_ms)
        self.loop = self.broker.loop
        self.metrics = _METRICS
        topics = self.topics
        for name in (topics.raw, topics.rekeyed):
            self.broker.create_topic(name, partitions, log_append_time=True)
        for name in (topics.accounts, topics.priced, topics.totals, topics.parked, topics.rejected, topics.state):
            self.broker.create_topic(name, partitions)
        self.broker.create_topic(topics.books, 1)

    def set_clock(self, at: str) -> None:
        """From now on the broker's clock and the workers' say `at`; no timer runs for that."""
        now_s, then_ms = self.loop.time(), parse_time(at) // 1_000_000
        self.loop.now_ms = lambda: then_ms + int((self.loop.time() - now_s) * 1000)  # type: ignore[method-assign]

    # publishing

    def publish(self, cured: bool = False, kind: str = "") -> None:
        """The sample book, or what it lacks; all at once, so that there is no book in between. `kind`: only that."""
        wanted = [row for row in publications(cured) if row[0].startswith(kind.encode())]
        rows = [MemoryRow(self.loop.now_ms(), key, value) for key, value in wanted]
        self.broker.log(TopicPartition(self.topics.books, 0)).append_plain(rows, self.loop.now_ms())

    def apply_accounts(self, accounts: Iterable[dict[str, Any]], partition: int | None = None) -> None:
        """Accounts on their topic, where they belong or on another partition."""
        for each in accounts:
            organization = each["organization"]
            at = partition_of(organization, self.partitions) if partition is None else partition
            self.broker.append(self.topics.accounts, at, dumps(each).encode(), key=organization.encode())

    def publish_samples(self) -> None:
        self.publish()
        self.apply_accounts(sample_accounts(EPOCH_MS).values())

    def send(self, *records: RawRecord) -> None:
        """Usage, appended at once."""
        for each in records:
            self.broker.append(self.topics.raw, each.partition, each.value, key=each.key, headers=each.headers)

    def compact(self) -> None:
        """One pass of the cleaner on every compacted topic; the account still sees what it removes."""
        for topic in (self.topics.state, self.topics.totals, self.topics.accounts):
            for record in self.broker.committed(topic):
                self._compacted[record[:3]] = record
            for p in range(self.partitions):
                self.broker.compact(TopicPartition(topic, p))

    def all_committed(self, topic: str) -> list[Any]:
        """All that was ever committed to a topic."""
        kept = {key: record for key, record in self._compacted.items() if key[0] == topic}
        return list({**kept, **{record[:3]: record for record in self.broker.committed(topic)}}.values())

    # hosts

    def host(self, name: str = "", **options: Any) -> Host:
        """A host that runs a worker, and another one when that dies."""
        host = Host(self, name or f"host{len(self.hosts)}", **options)
        self.hosts.append(host)
        return host

    def running(self) -> dict[int, list[Any]]:
        """The running tasks of all living workers, by partition."""
        found: dict[int, list[Any]] = {}
        for host in self.hosts:
            if host.worker is not None and not host.clients.worker.halted:
                for partition, task in host.worker._tasks.items():
                    if task.phase is Phase.RUNNING:
                        found.setdefault(partition, []).append(task)
        return found

    # the end

    async def settle(self, seconds_max: float = SETTLE_S_MAX) -> None:
        """Wait until every input is processed, every partition runs once, and the changelog has come to rest."""
        deadline = self.loop.time() + seconds_max
        ends: list[int] = []
        while True:
            await asyncio.sleep(QUIET_S)
            before, ends = ends, self._ends()
            open_ends = self.unprocessed()
            if not open_ends and before == ends:
                return
            assert self.loop.time() < deadline, (
                f"not settled after {seconds_max:g} s: {[*self.problems_found, *self.loop.unhandled(), *open_ends]}"
            )

    def unprocessed(self) -> list[str]:
        """What is still to be done, in words."""
        found = [f"a transaction of {each} is open" for each in self.broker.transactions.open_ids()]
        running = self.running()
        for p in range(self.partitions):
            tasks = running.get(p, [])
            if len(tasks) != 1:
                found.append(f"partition {p} has {len(tasks)} running tasks")
                continue
            for part, position in zip(tasks[0].parts, tasks[0].positions, strict=True):
                records = self.broker.committed(*part)
                if records and position <= records[-1].offset:
                    found.append(f"{part.topic}-{p} is at {position}, its last record is {records[-1].offset}")
        end = self.broker.log(TopicPartition(self.topics.books, 0)).end
        for host in self.hosts:
            if host.worker is None:
                continue
            if host.clients.worker.halted:
                found.append(f"{host.name} is frozen")
            found += [f"{host.name}: {each}" for each in host.worker.ready()]
            if not self._is_member(host.worker._consumer):
                found.append(f"{host.name} is not a member of the present generation")
            if host.worker._books._next < end:
                found.append(f"{host.name} has read the books up to {host.worker._books._next} of {end}")
        return found

    def _is_member(self, consumer: Any) -> bool:
        group = self.broker.group(self.settings.group)
        is_settled = not group.rebalancing and not consumer._rebalancing
        return is_settled and consumer._member_id in group.members and consumer._generation == group.generation

    def _ends(self) -> list[int]:
        """What changes while anything goes on: log ends, how far the books are read, the group's generation."""
        names = (self.topics.state, self.topics.raw, self.topics.rekeyed, self.topics.accounts)
        ends = [self.broker.log(TopicPartition(name, p)).end for name in names for p in range(self.partitions)]
        ends += [host.worker._books._next for host in self.hosts if host.worker is not None]
        return [*ends, self.broker.group(self.settings.group).generation]

    def restored(self, partition: int) -> State:
        """The state as the changelog has it."""
        latest, totals = (
            {record.key: record.value for record in self.broker.committed(topic, partition) if record.key is not None}
            for topic in (self.topics.state, self.topics.totals)
        )
        return restore(
            {key: value for key, value in latest.items() if value is not None},
            {key: value for key, value in totals.items() if value is not None},
            app=self.settings.app,
            partition=partition,
            partitions=self.partitions,
        )

    def memory_problems(self) -> list[str]:
        """Where the memory of a running task is not the state that its changelog says."""
        problems = []
        for partition, tasks in self.running().items():
            for task in tasks:
                held, restored = contents(task.state), contents(self.restored(partition))
                fields = [name for name in held if held[name] != restored[name]]
                # A partition without a single transaction has no position in the log.
                if restored["sequence"] == 0:
                    fields = [name for name in fields if name != "position"]
                problems += [
                    f"partition {partition}: {name} in memory is {held[name]!r:.300}, in the changelog {restored[name]!r:.300}"
                    for name in fields
                ]
        return problems

    def found(self) -> Found:
        """Everything that read_committed readers see."""
        topics = self.topics
        names = (topics.raw, topics.priced, topics.parked, topics.rejected, topics.totals)
        raw, priced, parked, rejected, totals = (
            [
                oracle.Record(r.topic, r.partition, r.offset, r.timestamp, r.key, r.value, tuple(r.headers))
                for r in self.all_committed(name)
            ]
            for name in names
        )
        return Found(raw, priced, parked, rejected, totals, self.partitions, self.settings.app)

    def problems(self, books_in_force: Sequence[Any], memory: Memory | None = None) -> list[str]:
        """The account of all that was found, the memory of the tasks, and what went wrong with a host."""
        problems = [*self.problems_found, *self.loop.unhandled(), *self.memory_problems()]
        return problems + account(self.found(), books_in_force, memory or Memory())

    async def stop_all(self) -> None:
        """Stop every worker; none may take longer than a drain."""
        for host in self.hosts:
            if host.worker is not None:
                started = self.loop.time()
                await host.stop()
                if self.loop.time() - started > 6:
                    self.problems_found.append(f"{host.name} took {self.loop.time() - started:.1f} s to stop")


class Host:
    """Runs one worker after the other: what dies is replaced `restart_ms` later, under another name."""

    def __init__(self, world: World, name: str, restart_ms: float = 300, settings: Settings | None = None) -> None:
        self.name = name
        self.restart_ms = restart_ms
        self.worker: Worker | None = None
        self.failure: BaseException | None = None
        self.deaths = 0
        self._world = world
        self._settings = settings or world.settings
        self._number = 0
        self._leaving = False
        self.life = world.loop.create_task(self._live())

    async def _live(self) -> None:
        while not self._leaving:
            self._number += 1
            clients = self.clients = SimClients(
                self._world.broker, f"{self.name}.{self._number}", self._client_settings()
            )
            task = clients.spawn(self._work(clients))
            await asyncio.wait([task, clients.died], return_when=asyncio.FIRST_COMPLETED)
            self.worker = None
            if task.done() and (error := task.exception()) is not None:
                self.failure = error
                if not _may_be_started_again(error):
                    self._world.problems_found.append(f"{self.name} ended: {error!r}")
                    return
            if not task.done():
                self.deaths += 1
            if not self._leaving:
                await asyncio.sleep(self.restart_ms / 1000)

    async def _work(self, clients: SimClients) -> None:
        world = self._world
        self.worker = Worker(self._settings, clients, world.metrics, world.partitions, lambda: world.loop.now_ms())
        await self.worker.run()

    def _client_settings(self) -> ClientSettings:
        settings = self._settings
        return ClientSettings(
            group=settings.group,
            request_timeout_ms=settings.request_timeout_ms,
            transaction_timeout_ms=settings.transaction_timeout_ms,
            session_timeout_ms=settings.session_timeout_ms,
            heartbeat_interval_ms=settings.session_timeout_ms // 4,
            rebalance_timeout_ms=settings.rebalance_timeout_ms,
        )

    def kill(self) -> None:
        self.clients.kill()

    def freeze(self, for_ms: float) -> None:
        self.clients.freeze(for_ms)

    def drain(self) -> None:
        """SIGTERM; another worker comes after it."""
        if self.worker is not None:
            self.worker.stop()

    async def stop(self) -> None:
        """SIGTERM, for good."""
        self._leaving = True
        self.drain()
        await asyncio.wait([self.life])


def _may_be_started_again(error: BaseException) -> bool:
    """Whoever runs workers starts those again that did not find their broker."""
    return isinstance(error, Refused) and str(error).startswith("cannot join the group")


def contents(state: State) -> dict[str, Any]:
    """All that a state knows, comparable."""
    seen = state.seen
    rows = seen._rows[: seen._count].tolist()
    days = seen._days[: seen._count].tolist()
    return {
        "position": state.position,
        "sequence": state.position.sequence,
        "seen": sorted(zip(days, map(tuple, rows), strict=True)),
        "segments": {day: (sorted(held.full), dict(held.small)) for day, held in state._days.items()},
        "accounts": state.accounts,
        "parked": state.parked,
        "totals": state.totals,
        "windows": dict(state._windows),
    }


# --- scenarios


def told(scenario: Callable[[World], Coroutine[Any, Any, None]], faults: Faults = no_faults, **options: Any) -> World:
    """Run a scripted scenario in a world with the sample books, and stop its workers; the world, to be looked at."""
    made: list[World] = []

    async def main() -> None:
        world = World(faults, options.pop("partitions", 1), **{"batch_events_max": 20, **options})
        made.append(world)
        world.publish_samples()
        await scenario(world)
        await world.stop_all()
        assert world.problems_found + world.loop.unhandled() == []

    with quiet():
        simulated(main())
    return made[0]


def event(line: str, partitions: int = 1) -> RawRecord:
    """The raw record of a one-line event (`tests.usage`), half a day old, where it belongs."""
    at = "" if " at=" in line else " at=2026-11-21T12:00:00Z"
    made = usage(line + at)
    value, headers = encode(made)
    organization = made["data"]["organization"]
    return RawRecord(partition_of(organization, partitions), organization.encode(), value, headers)


def must_account(world: World, *books_in_force: Oracle) -> None:
    """Every raw record once, amounts and totals right, memory as in the changelog."""
    in_force = books_in_force or (sample_oracle(EPOCH_MS), sample_oracle(EPOCH_MS, cured=True))
    problems = world.problems(in_force)
    assert not problems, "\n".join(problems[:10])


# --- one seed


@dataclass
class Report:
    """What came of a plan."""

    problems: list[str]
    trace_hash: str
    hits: Counter[tuple[str, Kind]]
    seen: Counter[str] = field(default_factory=Counter)


def live(plan: Plan, *, quietly: bool = True) -> Report:
    """Run a plan to its end and hold the account."""
    made: list[World] = []

    async def main() -> list[str]:
        world = World(
            Focus(plan.seed, plan.focus),
            plan.partitions,
            require_account=plan.require_account,
        )
        made.append(world)
        return await _Seeded(world, plan).run()

    with quiet() if quietly else nullcontext():
        try:
            problems = simulated(main(), plan.seed)
        except Exception as error:
            problems = [f"{type(error).__name__}: {error}"]
    world = made[0]
    deaths = sum(host.deaths for host in world.hosts)
    seen = Counter(deaths=deaths, hosts=len(world.hosts))
    return Report(problems, world.broker.trace_hash(), world.broker.hits, seen)


class _Seeded:
    """The random course of one seed."""

    def __init__(self, world: World, plan: Plan) -> None:
        self._world = world
        self._plan = plan
        self._rng = random.Random(f"{plan.seed}/course")

    async def run(self) -> list[str]:
        world, plan = self._world, self._plan
        world.publish_samples()
        for _ in range(plan.hosts):
            world.host()
            await asyncio.sleep(self._rng.choice([0, 0.02, 0.3, 1.5]))
        acting = asyncio.ensure_future(self._act())
        await self._send(plan.records())
        await acting
        await self._spend()
        world.broker.faults = no_faults
        await world.settle()
        books = oracles(plan.stream_seed, plan.require_account, plan.late_account)
        problems = world.problems(*books)
        await world.stop_all()
        return problems or world.problems_found

    async def _spend(self) -> None:
        """Give the fault that the seed is about its time; only a worker that stops leaves its group."""
        for _ in range(15):
            if self._world.broker.faults.is_spent:  # type: ignore[attr-defined]
                return
            if self._plan.focus[0] == "leave":
                self._world.hosts[0].drain()
            await asyncio.sleep(1)

    async def _send(self, records: list[RawRecord]) -> None:
        """All records in some five seconds, the cure in the middle, the account somewhere."""
        world, rng = self._world, self._rng
        at = 0
        cured = False
        account_at = rng.randint(0, RECORDS)
        while at < len(records):
            size = rng.choice([1, 2, 5, 12])
            world.send(*records[at : at + size])
            if at <= account_at < at + size and self._plan.late_account:
                self._late_account()
            at += size
            if at >= len(records) // 2 and not cured:
                cured = True
                world.publish(cured=True)
            await asyncio.sleep(rng.uniform(0, 0.5))
        if not cured:
            world.publish(cured=True)
        if self._plan.late_account and account_at >= len(records):
            self._late_account()

    def _late_account(self) -> None:
        partition = self._rng.choice([None, None, self._rng.randrange(self._world.partitions)])
        self._world.apply_accounts([LATE_ACCOUNT], partition)

    async def _act(self) -> None:
        start = self._world.loop.time()
        for act in self._plan.acts:
            await asyncio.sleep(max(0.0, start + act.at_s - self._world.loop.time()))
            getattr(self, f"_{act.what}")(act)

    def _host(self, act: Act) -> Host:
        return self._world.hosts[act.who % len(self._world.hosts)]

    def _kill(self, act: Act) -> None:
        self._host(act).restart_ms = act.ms
        self._host(act).kill()

    def _freeze(self, act: Act) -> None:
        self._host(act).freeze(act.ms)

    def _stop(self, act: Act) -> None:
        self._host(act).restart_ms = act.ms
        self._host(act).drain()

    def _join(self, act: Act) -> None:
        self._world.host()

    def _restart_broker(self, act: Act) -> None:
        self._world.broker.restart(act.ms)

    def _compact(self, act: Act) -> None:
        self._world.compact()

    def _forget_offsets(self, act: Act) -> None:
        settings = self._world.settings
        lost = self._world.broker.group_offsets(settings.group)
        self._world.broker.set_group_offsets(settings.group, dict.fromkeys(lost))


def simulated(main: Coroutine[Any, Any, Any], seed: int = 0, limit_s: float = 3600.0) -> Any:
    """`simulation.run`, with the worker's idle polls slowed down and sheets parsed once."""
    with (
        mock.patch.object(worker_module, "POLL_MS", POLL_MS),
        mock.patch.object(worker_module, "MEASURE_S", 10.0),
        mock.patch.object(books, "POLL_MS", 5_000),
        mock.patch.object(books, "parse_publication", _parsed),
    ):
        return run(main, seed, limit_s=limit_s)


@lru_cache
def _parsed(key: bytes | None, value: bytes | None) -> Any:
    return parse_publication(key, value)


@contextmanager
def quiet() -> Any:
    """Nothing logged by the worker: it says much when everything breaks."""
    log = logging.getLogger("streams")
    before = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        log.setLevel(before)


def shrunk(plan: Plan, fails: Callable[[Plan], bool], tries_max: int = 200) -> Plan:
    """The plan with as few records as still fail: chunks are left out, ever smaller ones, while it does."""
    size = len(plan.keep) // 2
    tries = 0
    while size and tries < tries_max:
        at = 0
        while at < len(plan.keep) and tries < tries_max:
            tries += 1
            without = replace(plan, keep=plan.keep[:at] + plan.keep[at + size :])
            if fails(without):
                plan = without
            else:
                at += size
        size //= 2
    return plan
