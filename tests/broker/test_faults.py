"""Workers and brokers that die, freeze and come back while usage comes in: no event is lost, none counts twice."""

import asyncio
import os
import random
import signal
import time
import warnings
from collections.abc import Iterator

import pytest

from streams.embedded_kafka import EmbeddedKafka
from tests.broker.harness import clock_ms, must_account, prepare, produce, sending, settings_for, settled
from tests.broker.markers import unmarked
from tests.broker.processes import WorkerProcess, eventually, workers
from tests.usage import stream
from tests.usage_samples import sample_oracle


async def test_workers_are_killed_again_and_again(kafka: str, prefix: str) -> None:
    """Six times SIGKILL in mid-stream, two workers at a time; each time two others go on."""
    settings, now, rng = settings_for(kafka, prefix), clock_ms(), random.Random(61)
    await prepare(settings, now)
    with workers() as running:
        async with sending(settings, stream(61, 4000, now_ms=now), per_second=60):
            for _ in range(3):
                running += (pair := [WorkerProcess(settings), WorkerProcess(settings)])
                for worker in pair:
                    await worker.has_committed(rng.randint(2, 12))
                for worker in pair:
                    worker.kill()
        running.append(WorkerProcess(settings))
        must_account(await settled(settings), sample_oracle(now))
        assert await running[-1].stop() < 5


async def test_a_frozen_worker_is_fenced_and_comes_back(kafka: str, prefix: str) -> None:
    """Frozen for longer than its session lasts, another takes over; thawed, it commits nothing and joins again."""
    settings, now = settings_for(kafka, prefix), clock_ms()
    await prepare(settings, now)
    with workers(WorkerProcess(settings)) as running:
        async with sending(settings, stream(71, 4000, now_ms=now), per_second=80):
            await running[0].has_committed(3)
            running[0].send(signal.SIGSTOP)
            running.append(WorkerProcess(settings))
            await eventually(lambda: _answers(running[1], 503))
            await running[1].has_committed(5)
            await eventually(lambda: _runs_all(running[1]))
            running[0].send(signal.SIGCONT)
            await eventually(lambda: _share(running), 40)
            committed = [int(await worker.metric('transactions_total{outcome="committed"}')) for worker in running]
            for worker, before in zip(running, committed, strict=True):
                await worker.has_committed(before + 3)
        must_account(await settled(settings), sample_oracle(now))


async def _answers(worker: WorkerProcess, status: int) -> bool:
    return (await worker.get("/readyz"))[0] == status


async def _runs_all(worker: WorkerProcess) -> bool:
    return await worker.metric('partitions{state="running"}') == 4


async def _share(running: list[WorkerProcess]) -> bool:
    """Whether each runs two of the four partitions."""
    return [await worker.metric('partitions{state="running"}') for worker in running] == [2, 2]


@pytest.fixture(scope="module")
def broker() -> Iterator[EmbeddedKafka]:
    """A broker of these tests' own, to be stopped at will."""
    patience = {"broker.session.timeout.ms": "3000", "broker.heartbeat.interval.ms": "500"}
    with EmbeddedKafka(config=patience) as running:
        yield running


async def test_the_broker_restarts_and_is_killed_in_mid_stream(broker: EmbeddedKafka, prefix: str) -> None:
    """An orderly restart, then SIGKILL: the worker waits, alive, and goes on by itself.

    Where the broker's own logs show that it has lost markers of transactions (see `unmarked`), nothing can be held
    against the worker, and all of it is tried again.
    """
    for attempt in ("a.", "b.", "c."):
        try:
            await _through_two_restarts(broker, prefix + attempt)
        except AssertionError:
            lost = unmarked(broker.folder, prefix + attempt)
            if not lost or attempt == "c.":
                raise
            warnings.warn(f"Kafka has lost markers of transactions on {', '.join(lost)}", stacklevel=1)
        else:
            return


async def _through_two_restarts(broker: EmbeddedKafka, prefix: str) -> None:
    settings, now = settings_for(broker.bootstrap_servers, prefix), clock_ms()
    await prepare(settings, now)
    with workers(WorkerProcess(settings)) as [worker]:
        async with sending(settings, stream(81, 6000, now_ms=now), per_second=60):
            await worker.has_committed(5)
            await asyncio.to_thread(broker.halt)
            assert (await worker.get("/livez"))[0] == 200
            await asyncio.to_thread(broker.restart)
            await _goes_on(worker)
            assert broker.pid is not None
            os.kill(broker.pid, signal.SIGKILL)
            await eventually(lambda: not broker.alive())
            assert (await worker.get("/livez"))[0] == 200
            await asyncio.to_thread(broker.restart)
            await _goes_on(worker)
        must_account(await settled(settings), sample_oracle(now))
        assert (await worker.get("/readyz"))[0] == 200
        assert await worker.stop() < 5


async def _goes_on(worker: WorkerProcess) -> None:
    before = await worker.metric('transactions_total{outcome="committed"}')
    await worker.has_committed(int(before) + 5)


async def test_sigterm_ends_without_a_broker_and_a_second_one_at_once(broker: EmbeddedKafka, prefix: str) -> None:
    """With the broker frozen in mid-stream: within 5 seconds; with two signals, as fast as a process can."""
    settings, now = settings_for(broker.bootstrap_servers, prefix), clock_ms()
    await prepare(settings, now)
    await produce(settings, stream(91, 300, now_ms=now))
    with workers(WorkerProcess(settings), WorkerProcess(settings)) as running:
        await settled(settings)
        assert broker.pid is not None
        os.kill(broker.pid, signal.SIGSTOP)
        try:
            started = time.monotonic()
            for worker in running:
                worker.send(signal.SIGTERM)
            await eventually(lambda: all("finishing the running commits" in worker.text() for worker in running))
            running[1].send(signal.SIGTERM)
            assert await running[1].ended(1) == -signal.SIGTERM
            assert await running[0].ended(10) == 0
            assert time.monotonic() - started < 5
        finally:
            os.kill(broker.pid, signal.SIGCONT)
    must_account(await settled(settings), sample_oracle(now))
