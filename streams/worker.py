"""The worker: a member of the group that runs a task for every partition it is assigned, and starts them over by rule.

Rebalances are eager, each join revokes everything. Revocation closes the tasks and waits for their running commits,
while heartbeats go on; assignment only spawns, since aiokafka sends no heartbeat while it waits for that callback and
swallows its exceptions.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError

from streams.books import Books
from streams.clients import Clients, stop
from streams.codec import PricedWriter
from streams.errors import Refused
from streams.kafka_errors import Fenced, OutcomeUnknown, classify
from streams.metrics import Metrics
from streams.restoring import Kept
from streams.session import Session
from streams.settings import Settings
from streams.task import Phase, Shell, Task

log = logging.getLogger(__name__)

POLL_MS = 25
STUCK_S = 60.0
# A worker that is asked to end does within 5 s, also where the broker is silent: so long for running commits, for
# closing their producers, for other loops, for leaving the group. What is open then, the next owner's start() ends.
COMMIT_S, CLOSE_S, LEAVE_S = 1.5, 1.5, 0.7
BACKOFF_S = (0.1, 0.3, 1.0, 3.0, 5.0)
MEASURE_S = 1.0


class Worker:
    """One process of the group. `run` returns after `stop`, or raises Refused."""

    def __init__(
        self, settings: Settings, clients: Clients, metrics: Metrics, partitions: int, clock_ms: Callable[[], int]
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._books = Books(clients, settings, metrics, self._published)
        writer = PricedWriter(settings.app)
        self._shell = Shell(settings, clients, self._books, metrics, writer, partitions, clock_ms)
        self._consumer = clients.group_consumer(settings.topics.inputs, _Listener(self))
        self._tasks: dict[int, Task] = {}
        self._owners: dict[int, asyncio.Task[None]] = {}
        self._kept: dict[int, Kept] = {}
        self._stopping = asyncio.Event()
        self._revoked = asyncio.Event()
        self._failure: BaseException | None = None
        self._joined = False
        self._incomplete: list[str] = []
        self._polled_at = asyncio.get_running_loop().time()

    async def run(self) -> None:
        """Work until `stop` is called. Raises Refused for what only the operator can mend."""
        loops = [self._spawn(self._books.run())]
        try:
            await self._start()
            loops += [self._spawn(self._dispatch()), self._spawn(self._measure())]
            await self._stopping.wait()
        finally:
            await self._close_tasks(COMMIT_S)
            for each in loops:
                each.cancel()
            await asyncio.wait(loops, timeout=LEAVE_S)
            if not await stop(self._consumer, LEAVE_S):
                log.warning("the group's consumer did not stop in time, or in an error: the group will notice")
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Finish the running commits, leave the group, return from `run`."""
        self._stopping.set()

    def live(self) -> list[str]:
        """Loops that have not moved for a minute longer than they may wait for the broker."""
        now = asyncio.get_running_loop().time()
        loops = {"the poll loop": self._polled_at, "the books": self._books.progress_at}
        loops |= {f"partition {p}": task.progress_at for p, task in self._tasks.items() if task.phase is Phase.RUNNING}
        settings = self._settings
        longest_ms = settings.transaction_timeout_ms + settings.request_timeout_ms + settings.rebalance_timeout_ms
        stuck_s = STUCK_S + longest_ms / 1000
        return [f"{name} has made no progress for {now - at:.0f} s" for name, at in loops.items() if now - at > stuck_s]

    def ready(self) -> list[str]:
        """What keeps it from processing all that it is assigned."""
        if not self._joined:
            return ["not a member of the group, or in a rebalance"]
        return [
            *self._incomplete,
            *(f"partition {p} is {self._phase(p)}" for p in self._owners if self._phase(p) is not Phase.RUNNING),
        ]

    def _phase(self, partition: int) -> Phase:
        task = self._tasks.get(partition)
        return Phase.CREATED if task is None else task.phase

    # --- membership

    async def revoked(self) -> None:
        """Close every task; running commits may end, for at most half of the rebalance timeout."""
        self._joined = False
        if self._owners:
            log.info("revoked: partitions %s", sorted(self._owners))
        await self._close_tasks(self._settings.rebalance_timeout_ms / 2000)

    async def assigned(self, parts: set[TopicPartition]) -> None:
        """Spawn a task for each partition of which all inputs came along."""
        await self._close_tasks(0)
        self._revoked = asyncio.Event()
        self._metrics.rebalances.inc()
        self._metrics.consumer_lag_records.clear()  # of partitions that may be another worker's now
        topics = set(self._settings.topics.inputs)
        self._incomplete.clear()
        for partition in sorted({part.partition for part in parts}):
            got = {part.topic for part in parts if part.partition == partition}
            if got == topics:
                self._owners[partition] = self._spawn(self._own(partition))
            else:
                self._incomplete.append(f"partition {partition} is assigned without {', '.join(sorted(topics - got))}")
                log.error("%s: it is not run", self._incomplete[-1])
        self._kept = {p: kept for p, kept in self._kept.items() if p in self._owners}
        self._joined = True
        log.info("assigned: partitions %s", sorted(self._owners))

    async def _own(self, partition: int) -> None:
        """Run tasks for a partition, one after the other, as long as it is ours."""
        revoked, failures = self._revoked, 0
        interval_s = max(self._settings.commit_interval_ms, 10 * len(self._owners)) / 1000
        shell = self._shell
        session = Session(shell.clients, self._settings, partition, shell.partitions, shell.unmarked)
        while not revoked.is_set():
            task = self._tasks[partition] = Task(self._shell, session, interval_s, self._consumer.seek)
            try:
                await task.run(self._kept.pop(partition, None))
                return
            except Fenced as error:
                log.warning("partition %d: fenced: %s", partition, error)
                self._metrics.task_restarts.labels("fenced").inc()
                await self._heartbeat_after(asyncio.get_running_loop().time(), revoked)
            except OutcomeUnknown as error:
                log.warning("partition %d: outcome unknown: %s", partition, error)
                self._metrics.task_restarts.labels("unknown_outcome").inc()
                failures = 0 if task.has_committed else failures + 1
                await _wait(revoked, BACKOFF_S[min(failures, len(BACKOFF_S) - 1)])
                # Frozen for longer than a session, it may be a zombie that has not heard of its fence yet.
                session_s = self._settings.session_timeout_ms / 1000
                await self._heartbeat_after(asyncio.get_running_loop().time() - session_s, revoked)
            except IllegalStateError:
                if not revoked.is_set():  # else it sought in a partition that is no longer ours
                    raise
            finally:
                if task.kept is not None and self._tasks.get(partition) is task:
                    self._kept[partition] = task.kept

    async def _heartbeat_after(self, fenced_at: float, revoked: asyncio.Event) -> None:
        """A zombie that starts over at once would fence the rightful owner: wait for proof of membership."""
        while self._consumer.heartbeat_at <= fenced_at and not revoked.is_set():
            await _wait(revoked, POLL_MS / 1000)

    async def _close_tasks(self, patience_s: float) -> None:
        """Let running tasks end their commits; whatever only prepares to run is cancelled."""
        self._revoked.set()
        ending = []
        for partition, owner in self._owners.items():
            if (task := self._tasks.get(partition)) is not None:
                task.close()
            if task is not None and task.phase is Phase.RUNNING:
                ending.append(owner)
            else:
                owner.cancel()
        if ending and patience_s:
            await asyncio.wait(ending, timeout=patience_s)
        for owner in ending:
            owner.cancel()
        if self._owners:
            await asyncio.wait(self._owners.values(), timeout=CLOSE_S)
        self._tasks.clear()
        self._owners.clear()

    # --- loops

    async def _start(self) -> None:
        # It returns with the first assignment, for which the others have their time; `stop` does not wait.
        timeout_s = (self._settings.request_timeout_ms + self._settings.rebalance_timeout_ms) / 1000
        joining, stopping = (asyncio.ensure_future(each) for each in (self._consumer.start(), self._stopping.wait()))
        try:
            await asyncio.wait([joining, stopping], timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
            if joining.done():
                joining.result()
            elif not stopping.done():
                raise TimeoutError
        except (KafkaError, TimeoutError) as error:
            raise Refused(f"cannot join the group {self._settings.group}: {error!r}") from error
        finally:
            joining.cancel()
            stopping.cancel()

    async def _dispatch(self) -> None:
        """Poll for the tasks that have room; closed ones are left out, not paused (a pause drops what was fetched)."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                polled = await self._poll(
                    [part for task in self._tasks.values() if task.has_room for part in task.parts]
                )
            except IllegalStateError:  # revoked in between
                await asyncio.sleep(POLL_MS / 1000)
                continue
            except (KafkaError, TimeoutError) as error:
                self._refuse_if_fatal(error)
                log.warning("polling: %r", error)
                await asyncio.sleep(POLL_MS / 1000)
                continue
            self._polled_at = loop.time()
            for part, records in polled.items():
                # Not the task that was polled for: while we waited another may have come and sought its own position.
                if task := self._tasks.get(part.partition):
                    task.feed(part.topic, records)

    async def _poll(self, wanted: list[TopicPartition]) -> dict[TopicPartition, list[Any]]:
        if not wanted:  # an empty list would mean all partitions
            # The group's coordination stands still until a poll has taken its error: no heartbeat, no rejoin.
            self._consumer.check_errors()
            await asyncio.sleep(POLL_MS / 1000)
            return {}
        async with asyncio.timeout(self._settings.request_timeout_ms / 1000):
            polled: dict[TopicPartition, list[Any]] = await self._consumer.getmany(*wanted, timeout_ms=POLL_MS)
        return polled

    async def _measure(self) -> None:
        while True:
            await asyncio.sleep(MEASURE_S)
            running = [task for task in self._tasks.values() if task.phase is Phase.RUNNING]
            self._metrics.owned(
                [self._phase(p).value for p in self._owners],
                [task.state for task in running if task.state],
                self._shell.clock_ms(),
            )
            for task in running:
                for part, position in zip(task.parts, task.positions, strict=True):
                    try:
                        await self._measure_lag(task, part, position)
                    except (KafkaError, TimeoutError, AssertionError) as error:  # revoked meanwhile, or the group's
                        self._refuse_if_fatal(error)
                        break

    def _refuse_if_fatal(self, error: Exception) -> None:
        meaning = classify(error)
        if isinstance(meaning, Refused):
            raise meaning from error

    async def _measure_lag(self, task: Task, part: TopicPartition, position: int) -> None:
        async with asyncio.timeout(MEASURE_S):
            fetched = await self._consumer.position(part)
        task.reach(part.topic, fetched)
        lag = (self._consumer.highwater(part) or 0) - (fetched if task.has_done_all(part.topic) else position)
        self._metrics.consumer_lag_records.labels(part.topic, part.partition).set(max(0, lag))

    def _published(self, names: set[str]) -> None:
        for task in self._tasks.values():
            task.published(names)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A loop that ends with an error ends the worker: Refused with its line, anything else as a bug."""
        if task.cancelled() and task.cancelling():
            return
        failed = RuntimeError("a client has cancelled its caller") if task.cancelled() else task.exception()
        if failed is not None:
            self._failure = self._failure or failed
            self._stopping.set()


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        await self._worker.revoked()

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        await self._worker.assigned(assigned)


async def _wait(event: asyncio.Event, timeout_s: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            await event.wait()
