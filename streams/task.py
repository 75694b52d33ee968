"""A task: one partition, its state and its session, from assignment to revocation.

`CREATED -> RESTORING -> RUNNING -> CLOSED`; a task never goes back: after an error its worker makes a new one, if and
when the error's class allows it. The loop is: wait for records or cures, `step`, commit, fold.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from aiokafka import ConsumerRecord, TopicPartition

from pricing.totals import DAY_NS
from streams.batch import MS_NS, Inputs, Lane, Step, StepFailed
from streams.books import Books
from streams.clients import Clients
from streams.codec import PricedWriter
from streams.errors import Refused
from streams.kafka_errors import Fenced
from streams.metrics import Metrics
from streams.partitions import partition_of
from streams.reconciling import findings
from streams.restoring import Kept
from streams.session import Session
from streams.settings import Settings
from streams.state import State
from streams.step import Poison, step

log = logging.getLogger(__name__)

IDLE_S = 1.0
PASS_MARKERS_S = 60.0
CLOCK_BEHIND_MS = 5 * 60_000
_AGAIN_S = 0.01


class Phase(StrEnum):
    """Where a task is in its life."""

    CREATED = "created"
    RESTORING = "restoring"
    RUNNING = "running"
    CLOSED = "closed"


NEXT: dict[Phase, tuple[Phase, ...]] = {
    Phase.CREATED: (Phase.RESTORING, Phase.CLOSED),
    Phase.RESTORING: (Phase.RUNNING, Phase.CLOSED),
    Phase.RUNNING: (Phase.CLOSED,),
    Phase.CLOSED: (),
}


@dataclass(frozen=True, slots=True)
class Shell:
    """What all tasks of a worker share. `clock_ms` is the wall clock, `unmarked` is what sessions remember."""

    settings: Settings
    clients: Clients
    books: Books
    metrics: Metrics
    writer: PricedWriter
    partitions: int
    clock_ms: Callable[[], int]
    unmarked: dict[int, str] = field(default_factory=dict)


class Task:
    """Owns partition p of the inputs while the group says so."""

    def __init__(
        self, shell: Shell, session: Session, interval_s: float, seek: Callable[[TopicPartition, int], Any]
    ) -> None:
        self.phase = Phase.CREATED
        self.partition = session.partition
        self.state: State | None = None
        self._before: Kept | None = None
        self.has_committed = False
        self.progress_at = asyncio.get_running_loop().time()
        settings = shell.settings
        self._shell = shell
        self._seek = seek
        self._interval_s = interval_s
        self._session = session
        max_age_ns = settings.max_age_days * DAY_NS
        self._lane = Lane(self.partition, shell.partitions, settings.topics, partition_of, shell.writer, max_age_ns)
        self._queues: dict[str, list[ConsumerRecord]] = {topic: [] for topic in settings.topics.inputs}
        self._fed: dict[str, int] = {}
        self._reached = dict.fromkeys(settings.topics.inputs, -1)
        self._wake = asyncio.Event()
        self._closing = False
        self._not_before = 0.0
        self._published: set[str] = set()
        self._cures: list[int] = []
        self._failed_once: set[tuple[str, int, int]] = set()
        self._poison: Poison = frozenset()
        self._has_blamed_clock = False

    @property
    def parts(self) -> list[TopicPartition]:
        """The inputs."""
        return [TopicPartition(topic, self.partition) for topic in self._queues]

    @property
    def positions(self) -> tuple[int, int, int]:
        """The next offsets of the inputs, as committed."""
        assert self.state is not None
        return self.state.position.offsets

    @property
    def has_room(self) -> bool:
        """Whether it runs and takes more records."""
        return self.phase is Phase.RUNNING and self._queued < self._shell.settings.batch_events_max

    @property
    def kept(self) -> Kept | None:
        """The state for a task that may come after this one: that of the one before, then its own once it is proven."""
        if self.state is None:
            return self._before
        return Kept(self.state, self._session.position_at) if self._session.is_proven else None

    def feed(self, topic: str, records: Sequence[ConsumerRecord]) -> None:
        """Records of one input, in order, as polled."""
        if self.phase is Phase.RUNNING and records:
            self._queues[topic].extend(records)
            self._fed[topic] = records[-1].offset + 1
            self._wake.set()

    def reach(self, topic: str, offset: int) -> None:
        """The consumer is at `offset` of an input: every record before it was fed."""
        self._reached[topic] = offset

    def has_done_all(self, topic: str) -> bool:
        """Whether every record that it was fed of this input is committed."""
        positions = dict(zip(self._queues, self.positions, strict=True))
        return positions[topic] >= self._fed.get(topic, 0)

    def published(self, names: set[str]) -> None:
        """Something was published that may cure parked events."""
        self._published |= names
        self._wake.set()

    def close(self) -> None:
        """End after the commit that runs."""
        self._closing = True
        self._wake.set()

    async def run(self, kept: Kept | None) -> None:
        """The whole life; returns after `close`. Raises Fenced, OutcomeUnknown or Refused."""
        self._before = kept
        del kept  # the state may be read anew, and this one is large
        try:
            await self._open()
            while not self._closing:
                await self._wait_for_work()
                if not self._closing:
                    await self._process(await self._next_inputs())
        finally:
            self._enter(Phase.CLOSED)
            if not await self._session.close():
                log.warning("partition %d: the producer did not stop in time and is abandoned", self.partition)

    # --- opening

    async def _open(self) -> None:
        self._enter(Phase.RESTORING)
        await self._shell.books.ready.wait()
        loop = asyncio.get_running_loop()
        started = loop.time()
        opened = await self._session.open(self._before)
        self.state, self._before = opened.state, None
        state = opened.state
        if self._closing:  # and what should have cancelled it was swallowed on the way
            return
        most = self._shell.settings.batch_events_max
        for at in range(0, len(opened.accounts), most):
            await self._process(Inputs(accounts=opened.accounts[at : at + most]))
        for part, offset in zip(self.parts, self.positions, strict=True):
            self._seek(part, offset)
        self._cures = sorted(state.parked)
        self._published.clear()
        self._shell.metrics.restore_seconds.set(loop.time() - started)
        log.info("partition %d: %d ids seen, sequence %d", self.partition, len(state.seen), state.position.sequence)
        self._not_before = loop.time()
        self._enter(Phase.RUNNING)

    def _enter(self, phase: Phase) -> None:
        if phase not in NEXT[self.phase]:
            raise RuntimeError(f"partition {self.partition}: {self.phase} -> {phase}")
        self.phase = phase

    # --- running

    @property
    def _queued(self) -> int:
        return sum(map(len, self._queues.values()))

    async def _wait_for_work(self) -> None:
        loop = asyncio.get_running_loop()
        most = self._shell.settings.batch_events_max
        while not self._closing:
            self.progress_at = loop.time()
            self._session.check()
            wait_s = IDLE_S
            if self._queued or self._published or self._cures:
                wait_s = self._not_before - loop.time()
                if wait_s <= 0 or self._queued >= most:
                    return
            elif self._is_behind_markers and loop.time() >= self._not_before + PASS_MARKERS_S:
                return
            self._wake.clear()
            try:
                async with asyncio.timeout(wait_s):
                    await self._wake.wait()
            except TimeoutError:
                pass

    @property
    def _is_behind_markers(self) -> bool:
        """Whether a log goes on with nothing but markers: retention may remove them, and the position must be there."""
        return any(reached > done for reached, done in zip(self._reached.values(), self.positions, strict=True))

    async def _next_inputs(self) -> Inputs:
        assert self.state is not None
        if self._published:
            self._cures = sorted({*self._cures, *self.state.waiting_for(self._published)} & self.state.parked.keys())
            self._published.clear()
        most = self._shell.settings.batch_events_max
        offsets, self._cures = self._cures[:most], self._cures[most:]
        found = await self._session.read_parked(offsets) if offsets else {}
        if gone := [offset for offset in offsets if offset not in found]:
            lost = "partition %d: %d parked records are gone, the first at offset %d: they cannot be priced"
            log.warning(lost, self.partition, len(gone), gone[0])
        cures = [(self.state.parked[offset], found[offset]) for offset in offsets if offset in found]
        raw, rekeyed, accounts = [queue[:most] for queue in self._queues.values()]
        for queue, batch in zip(self._queues.values(), (raw, rekeyed, accounts), strict=True):
            del queue[: len(batch)]
        return Inputs(raw, rekeyed, accounts, cures, [*self._reached.values()])

    async def _process(self, inputs: Inputs) -> None:
        assert self.state is not None
        loop = asyncio.get_running_loop()
        self._not_before = loop.time() + self._interval_s
        result = await self._step(inputs)
        has_moved = result.changes.position.offsets != self.state.position.offsets
        if not (has_moved or result.outputs or result.changes.parked):
            return
        del inputs  # while the commit is awaited other tasks need the memory
        self._check_clock(result)
        started = loop.time()
        try:
            await self._session.commit(result, self.state)
        except Fenced:
            self._shell.metrics.transactions.labels("fenced").inc()
            raise
        except BaseException:
            self._shell.metrics.transactions.labels("unknown").inc()
            raise
        self.has_committed = True
        self._failed_once.clear()
        self._poison = frozenset()
        self.state.fold(result.changes)
        self._published.update(f"account/{organization}" for organization in result.changes.accounts)
        self._shell.metrics.committed(result, loop.time() - started, self._shell.clock_ms())
        for ignored in result.counts.accounts_ignored:
            log.warning("partition %d: an account is ignored: %s", self.partition, ignored)
        for finding in findings(result.counts.compared, self._shell.settings.provider_cost_tolerance_percentage):
            log.warning("partition %d: %s", self.partition, finding)

    def _check_clock(self, result: Step) -> None:
        """It decides nothing, but records carry its time, by which retention goes."""
        if result.clock_behind_ms * MS_NS > self._lane.max_age_ns:
            raise Refused(f"{result.clocks}: what is published with this time would not be kept for long")
        if result.clock_behind_ms > CLOCK_BEHIND_MS and not self._has_blamed_clock:
            log.warning("partition %d: %s: priced_at is wrong", self.partition, result.clocks)
            self._has_blamed_clock = True

    async def _step(self, inputs: Inputs) -> Step:
        """A record on which the step fails gets a second chance, then it is rejected. A failure of that is raised."""
        assert self.state is not None
        while True:
            try:
                book, now_ms = self._shell.books.current, self._shell.clock_ms()
                return step(self.state, inputs, book, self._lane, now_ms, poison=self._poison)
            except StepFailed as failed:
                log.exception("partition %d: %s", self.partition, failed)
                self._shell.metrics.task_restarts.labels("internal_error").inc()
                if failed.origin in self._poison:
                    raise
                if failed.origin in self._failed_once:
                    self._poison |= {failed.origin}
                self._failed_once.add(failed.origin)
                await asyncio.sleep(_AGAIN_S)  # there may be many of them: heartbeats go on
