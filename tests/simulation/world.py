"""A world to break the real worker in: topics, books, usage, hosts that restart what dies, and the account at the end.

Only the broker and the network are simulated. Scripted scenarios are told with it: `world.host()` runs a
`streams.worker.Worker`, `world.settle()` waits until all is processed, `world.problems()` is the account.
Its parts: `published`, `host`; `plans` and `seeds` make one seed's run of it.
"""

from __future__ import annotations

import asyncio
import copy
import logging
import random
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any
from unittest import mock

from aiokafka import TopicPartition

from pricing.book_records import parse_publication
from pricing.times import parse_time
from streams import books, packed_totals
from streams import worker as worker_module
from streams.metrics import Metrics
from streams.settings import Settings
from streams.state import State, restore
from streams.task import Phase
from tests import oracle
from tests.oracle import Found, Oracle, partition_of
from tests.product import packed
from tests.simulation import (
    EPOCH_MS,
    SimBroker,
    run,
)
from tests.simulation.audit import Memory, account
from tests.simulation.faults import Faults, no_faults
from tests.simulation.host import Host
from tests.simulation.log import MemoryRow
from tests.simulation.published import COST_SHEETS, publications
from tests.usage import RawRecord, dumps, encode, usage
from tests.usage_samples import sample_accounts, sample_oracle

POLL_MS = 1_000
"""The worker's own 25 ms would be 40 turns a virtual second; the simulated poll wakes when there is something."""
SETTLE_S_MAX = 400.0
QUIET_S = 1.2


_METRICS = Metrics("simulated", Settings().topics, ("USD",))
"""One for all workers: what it counts is tested elsewhere, and 40 metrics take long to make."""


class World:
    """A broker with all topics, and hosts. Must be made within `simulation.run`."""

    def __init__(self, faults: Faults = no_faults, partitions: int = 2, **settings: Any) -> None:
        marker_ms = settings.pop("marker_ms", (0.1, 1.5))
        options = {"batch_events_max": 6, "commit_interval_ms": 20, "cost_sheets": COST_SHEETS, **settings}
        self.settings = Settings(**options)
        self.partitions = partitions
        self.topics = self.settings.topics
        self.hosts: list[Host] = []
        self.problems_found: list[str] = []
        self._removed: dict[tuple[str, int, int], Any] = {}
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
            self._remember(topic)
            for p in range(self.partitions):
                self.broker.compact(TopicPartition(topic, p))

    def retire(self, before: str) -> None:
        """Retention of the inputs: all that was appended before then, markers too; the account still sees it."""
        for topic in (self.topics.raw, self.topics.rekeyed):
            self._remember(topic)
            for p in range(self.partitions):
                log = self.broker.log(TopicPartition(topic, p))
                kept = [r.offset for r in self.broker.committed(topic, p) if r.timestamp >= parse_time(before) // 10**6]
                log.truncate(min([*kept, log.end]))

    def _remember(self, topic: str) -> None:
        for record in self.broker.committed(topic):
            self._removed[record[:3]] = record

    def all_committed(self, topic: str) -> list[Any]:
        """All that was ever committed to a topic."""
        kept = {key: record for key, record in self._removed.items() if key[0] == topic}
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
            packed({key: value for key, value in totals.items() if value is not None}),
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
                where = f"partition {partition}"
                problems += [
                    f"{where}: {name} in memory is {held[name]!r:.300}, in the changelog {restored[name]!r:.300}"
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
        "totals": dict(copy.deepcopy(state.totals)),  # to look at them would unpack them
    }


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
    settings = oracle.Settings(cost_sheets=COST_SHEETS)
    in_force = books_in_force or tuple(sample_oracle(EPOCH_MS, cured, settings) for cured in (False, True))
    problems = world.problems(in_force)
    assert not problems, "\n".join(problems[:10])


def simulated(main: Coroutine[Any, Any, Any], seed: int = 0, limit_s: float = 3600.0) -> Any:
    """`simulation.run`, with the worker's idle polls slowed down and sheets parsed once."""
    with (
        mock.patch.object(worker_module, "POLL_MS", POLL_MS),
        mock.patch.object(worker_module, "MEASURE_S", 10.0),
        mock.patch.object(books, "POLL_MS", 5_000),
        mock.patch.object(packed_totals, "TURN", 20),
        mock.patch.object(packed_totals, "BLOCK", 2),
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
