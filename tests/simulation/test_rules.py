"""Rules 1 to 6 of architecture.md, one scripted scenario each."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import re
from datetime import timedelta
from itertools import accumulate
from typing import Any
from unittest import mock

import msgspec
import pytest
from aiokafka import TopicPartition

from streams import worker as worker_module
from streams.errors import Refused
from streams.settings import Settings
from tests.simulation import EPOCH_MS, Fault, Kind, ScriptedFaults, SimClients
from tests.simulation.group_consumer import SimGroupConsumer
from tests.simulation.scripts import THREE, counted, one_host, operations, reasons
from tests.simulation.world import World, event, must_account, told
from tests.usage import RawRecord
from tests.usage_samples import ORGANIZATIONS, sample_oracle

# --- rule 1: start(), then the state, then seek


def test_a_commit_still_on_its_way_when_the_next_owner_comes_is_in_the_state_that_it_reads() -> None:
    """The old owner's commit arrives after its death, while the new owner's start() is on its way: read after that."""

    async def scenario(world: World) -> None:
        await one_host(world)
        world.send(*THREE)
        await world.settle()
        must_account(world)

    faults = {("end_txn", 2): Fault(Kind.KILL_AFTER, 9_500), ("init_pid", 2): Fault(Kind.DELAY, 9_500)}
    told(scenario, ScriptedFaults(faults), session_timeout_ms=6_000)


def test_after_an_abort_the_records_are_read_again_from_the_position_of_the_state() -> None:
    """The consumer is past them; only a seek brings them back."""

    async def scenario(world: World) -> None:
        await one_host(world)
        world.send(*THREE)
        await world.settle()
        assert counted(world)["priced"] == 3

    told(scenario, ScriptedFaults({("produce", 2): Fault(Kind.TIMEOUT), ("produce", 3): Fault(Kind.TIMEOUT)}))


def test_a_producer_starts_before_anything_is_read_of_its_partition() -> None:
    """Of each opening: InitProducerId, then the ends of the changelog."""

    async def scenario(world: World) -> None:
        await one_host(world)

    world = told(scenario)
    names = [op for _, _, op, _, detail in world.broker.trace if op == "init_pid" or world.topics.state in repr(detail)]
    assert names[:3] == ["init_pid", "list_offsets", "list_offsets"]


# --- rule 2: the state knows where it is


def test_every_transaction_begins_with_its_position() -> None:
    """So that one AddPartitions covers the changelog, and a restore knows where to go on."""

    async def scenario(world: World) -> None:
        await one_host(world)
        for each in THREE:
            world.send(each)
            await asyncio.sleep(0.2)

    world = told(scenario)
    log = world.broker.log(TopicPartition(world.topics.state, 0))
    batches = [batch.records for batch in log._batches if batch.records]
    assert len(batches) == 4
    assert {records[0].key for records in batches} == {b"position"}
    assert [msgspec.json.decode(records[0].value)["sequence"] for records in batches] == [1, 2, 3, 4]


def test_a_position_is_never_past_what_still_waits() -> None:
    """However often it is looked how far the consumer is: that one is ahead of the batches."""

    async def scenario(world: World) -> None:
        with mock.patch.object(worker_module, "MEASURE_S", 0.001):
            await one_host(world)
            world.send(*(event(f"acme ftg-3.0-pro in=1 id={number}") for number in range(30)))
            await world.settle()

    world = told(scenario, batch_events_max=3, commit_interval_ms=1)
    positions = [
        msgspec.json.decode(record.value)["raw"]
        for record in world.broker.committed(world.topics.state, 0)
        if record.key == b"position"
    ]
    batches = world.broker.log(TopicPartition(world.topics.priced, 0))._batches
    done = accumulate(len(batch.records) for batch in batches if batch.records)
    assert sorted({*positions} - {0}) == list(done)
    assert len(positions) > 10


def test_without_group_offsets_the_position_counts() -> None:
    """An idle group loses its offsets after seven days."""

    async def scenario(world: World) -> None:
        host = await one_host(world)
        world.send(*THREE)
        await world.settle()
        host.kill()
        group = world.settings.group
        world.broker.set_group_offsets(group, dict.fromkeys(world.broker.group_offsets(group)))
        world.send(event("acme ftg-3.0-pro in=9 id=later"))
        await world.settle()
        must_account(world)

    told(scenario)


def test_a_worker_without_offsets_and_without_state_starts_at_the_beginning_of_the_log() -> None:
    """Also where retention has moved the beginning."""

    async def scenario(world: World) -> None:
        world.send(*THREE)
        world.broker.truncate(TopicPartition(world.topics.raw, 0), 1)
        await one_host(world)
        assert counted(world)["priced"] == 2

    told(scenario)


def test_retention_may_remove_markers_that_nothing_follows() -> None:
    """Misrouted records are few, and each start of a worker leaves markers where they go: a minute later the position
    is past them."""

    async def scenario(world: World) -> None:
        misrouted = event("acme ftg-3.0-pro in=9 id=misrouted", 2)
        world.send(dataclasses.replace(misrouted, partition=1 - misrouted.partition))
        for number in range(3):
            host = world.host()
            await world.settle()
            await asyncio.sleep(80)
            await host.stop()
            for partition in range(2):
                rekeyed = TopicPartition(world.topics.rekeyed, partition)
                assert world.broker.log(rekeyed).end >= number
                world.broker.truncate(rekeyed, world.broker.log(rekeyed).end)
            world.send(event(f"acme ftg-3.0-pro in=9 id={number}", 2))
        world.host()
        await world.settle()
        must_account(world)

    told(scenario, partitions=2)


def test_a_commit_takes_the_markers_before_it_along() -> None:
    """Where others send in transactions too, each commit would be followed by one for their markers alone."""

    async def scenario(world: World) -> None:
        await one_host(world)
        misrouted = event("acme ftg-3.0-pro in=9 id=misrouted", 2)
        world.send(dataclasses.replace(misrouted, partition=1 - misrouted.partition))
        await world.settle()
        assert world.restored(misrouted.partition).position.rekeyed == 1
        await asyncio.sleep(12)
        world.send(event("acme ftg-3.0-pro in=9 id=next", 2))
        await world.settle()
        assert world.restored(misrouted.partition).position.rekeyed == 2
        assert world.broker.log(TopicPartition(world.topics.rekeyed, misrouted.partition)).end == 2

    told(scenario, partitions=2)


async def refused(world: World, **settings: Any) -> str:
    """What the next worker says, which must refuse to run."""
    host = world.host("next", settings=Settings(**{**world.settings.model_dump(), **settings}))
    await asyncio.wait([host.life], timeout=60)
    assert isinstance(host.failure, Refused), host.failure
    world.problems_found.clear()
    return str(host.failure)


async def stopped_after_three(world: World) -> None:
    host = await one_host(world)
    world.send(*THREE)
    await world.settle()
    await host.stop()


def test_group_offsets_that_somebody_has_reset_stop_the_worker() -> None:
    async def scenario(world: World) -> None:
        await stopped_after_three(world)
        world.broker.set_group_offsets(world.settings.group, {TopicPartition(world.topics.raw, 0): 1})
        assert "has offset 1 for usage.raw.v1-0, but the state says 3" in await refused(world)

    told(scenario)


def test_group_offsets_without_a_state_stop_the_worker() -> None:
    async def scenario(world: World) -> None:
        world.broker.set_group_offsets(world.settings.group, {TopicPartition(world.topics.raw, 0): 0})
        assert "but the state is empty" in await refused(world)

    told(scenario)


def test_a_position_that_retention_has_passed_stops_the_worker() -> None:
    async def scenario(world: World) -> None:
        await stopped_after_three(world)
        world.send(*[event(f"acme ftg-3.0-pro in=1 id=lost{n}") for n in range(5)])
        world.broker.truncate(TopicPartition(world.topics.raw, 0), 6)
        assert "has offsets 6 to 8, but the state is at 3; to go on" in await refused(world)

    told(scenario)


def test_what_retention_has_taken_is_passed_over_once_the_group_is_reset_to_the_earliest_offset() -> None:
    async def scenario(world: World) -> None:
        await stopped_after_three(world)
        raw = TopicPartition(world.topics.raw, 0)
        world.send(*[event(f"acme ftg-3.0-pro in=1 id=lost{n}") for n in range(5)])
        world.broker.truncate(raw, 6)
        world.broker.set_group_offsets(world.settings.group, {raw: 7})  # that would skip one more
        assert "has offset 7 for usage.raw.v1-0, but the state says 3" in await refused(world)
        world.broker.set_group_offsets(world.settings.group, {raw: 6})
        host = world.host()
        await world.settle()
        assert host.failure is None
        assert counted(world) == {"priced": 3 + 2, "parked": 0, "rejected": 0}
        await host.stop()
        world.host()
        await world.settle()

    told(scenario)


def test_a_state_that_has_lost_its_end_is_not_taken_for_a_reset_group() -> None:
    """The group is where a worker has committed it, and retention has just come as far."""

    async def scenario(world: World) -> None:
        await stopped_after_three(world)
        last = [r for r in world.broker.committed(world.topics.state, 0) if r.key == b"position"][-1]
        value = msgspec.json.encode({**msgspec.json.decode(last.value), "raw": 1})
        world.broker.append(world.topics.state, 0, value, key=b"position")
        world.broker.truncate(TopicPartition(world.topics.raw, 0), 3)
        assert "has offset 3 for usage.raw.v1-0, but the state says 1" in await refused(world)

    told(scenario)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"app": "other"}, "belongs to app other"),
        ({"partitions": 7}, "was made with 7 partitions"),
        ({"format": 2}, "has format 2"),
    ],
)
def test_a_state_of_someone_else_stops_the_worker(change: dict[str, Any], message: str) -> None:
    """Another app's, a newer format's, another partition count's."""

    async def scenario(world: World) -> None:
        await stopped_after_three(world)
        last = [r for r in world.broker.committed(world.topics.state, 0) if r.key == b"position"][-1]
        value = msgspec.json.encode({**msgspec.json.decode(last.value), **change})
        world.broker.append(world.topics.state, 0, value, key=b"position")
        assert message in await refused(world)

    told(scenario)


def test_a_state_without_a_position_stops_the_worker() -> None:
    async def scenario(world: World) -> None:
        world.broker.append(world.topics.state, 0, b"x" * 32, key=b"seen/20000/0")
        assert "no position" in await refused(world)

    told(scenario)


@pytest.mark.parametrize("key", [b"total", b"a/p/hour/\xff"])
def test_a_record_among_the_totals_that_is_none_stops_the_worker(key: bytes) -> None:
    async def scenario(world: World) -> None:
        await stopped_after_three(world)
        world.broker.append(world.topics.totals, 0, b"{}", key=key)
        assert f"has the key {key!r}, which is not a total's" in await refused(world)

    told(scenario)


# --- rules 3 and 4: what the broker refuses, and outcomes that are unknown


def test_a_batch_that_the_broker_refuses_stops_the_worker_and_moves_no_offset() -> None:
    """aiokafka would commit the rest of the transaction, offsets included."""

    async def scenario(world: World) -> None:
        host = await one_host(world)
        topic = world.broker.topics[world.topics.priced]
        object.__setattr__(topic, "max_message_bytes", 100)
        before = world.broker.group_offsets(world.settings.group)
        world.send(*THREE)
        await asyncio.wait([host.life], timeout=60)
        assert "MessageSizeTooLarge" in repr(host.failure.__cause__) or "Kafka refused" in str(host.failure)
        assert world.broker.group_offsets(world.settings.group) == before
        assert counted(world)["priced"] == 0
        world.problems_found.clear()

    told(scenario)


@pytest.mark.parametrize(
    ("off", "said"),
    [
        (timedelta(hours=2), "Kafka takes no records of this time: this machine's clock reads 2026-11-22T02:"),
        (timedelta(days=-36), "this machine's clock reads 2026-10-17T00:"),
    ],
)
def test_a_machine_whose_clock_is_far_off_is_refused_and_another_one_goes_on(off: timedelta, said: str) -> None:
    """Records from the future are not taken; those from months ago would soon fall to retention."""

    async def scenario(world: World) -> None:
        host = await one_host(world)
        host.clock_off_ms = off // timedelta(milliseconds=1)
        world.send(*THREE)
        await asyncio.wait([host.life], timeout=60)
        assert isinstance(host.failure, Refused)
        assert str(host.failure).startswith(said)
        assert "Kafka has appended usage at 2026-11-22T00:" in str(host.failure)
        assert counted(world)["priced"] == 0
        world.problems_found.clear()
        await one_host(world)
        must_account(world)

    told(scenario)


def test_a_broker_whose_clock_is_years_ahead_is_not_believed_against_the_producer() -> None:
    """Such records stay in the log when it is right again: a worker that ended over them would end for ever."""

    async def scenario(world: World) -> None:
        host = await one_host(world)
        world.set_clock("2028-11-22T00:00:00Z")
        host.clock_off_ms = -2 * 366 * 24 * 3_600_000
        world.send(*THREE)
        await world.settle()
        assert reasons(world) == {"too_late": 3}

    told(scenario)


def test_a_clock_that_is_behind_is_said_once_and_changes_no_amount(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(world: World) -> None:
        host = await one_host(world)
        host.clock_off_ms = -2 * 24 * 3_600_000
        with caplog.at_level(logging.WARNING, "streams"):
            for each in THREE:
                world.send(each)
                await world.settle()
        must_account(world)

    told(scenario)
    said = [each.getMessage() for each in caplog.records if "clock" in each.getMessage()]
    assert len(said) == 1
    assert re.search(
        r"partition \d: this machine's clock reads 2026-11-20T.*at 2026-11-22T.*: priced_at is wrong", said[0]
    )


def test_after_an_error_nothing_is_sent_before_a_new_start() -> None:
    """Nothing is re-sent from memory, and no producer is used again."""

    async def scenario(world: World) -> None:
        await one_host(world)
        world.send(*THREE)
        await world.settle()
        must_account(world)

    world = told(
        scenario, ScriptedFaults({("end_txn", 2): Fault(Kind.LOST_TIMEOUT), ("end_txn", 3): Fault(Kind.LOST_TIMEOUT)})
    )
    names = [op for _, _, op, _, _ in world.broker.trace if op in ("init_pid", "begin")]
    # Accounts, one record; what was decided again, which is not heard either; once more, and the other two.
    assert names == ["init_pid", "begin", "begin", "init_pid", "begin", "init_pid", "begin", "begin"]


def test_records_over_900_kb_go_in_several_batches_of_one_transaction() -> None:
    async def scenario(world: World) -> None:
        await one_host(world)
        padded = [event(f"acme ghost-9 in=1 id=big{n}") for n in range(33)]
        world.send(*[RawRecord(r.partition, r.key, r.value + b" " * 60_000, r.headers) for r in padded])
        await world.settle()
        assert counted(world)["parked"] == 33
        must_account(world)

    world = told(scenario, batch_events_max=40)
    log = world.broker.log(TopicPartition(world.topics.parked, 0))
    assert max(batch.size for batch in log._batches) <= 900_000


def test_records_open_the_transaction_and_offsets_follow() -> None:
    """The other way round each transaction would wait 100 ms for the one before, instead of 20.

    The first two also ask for the metadata of topics that are new to the producer.
    """

    async def scenario(world: World) -> None:
        await one_host(world)
        for each in THREE:
            world.send(each)
            await asyncio.sleep(0.2)

    world = told(scenario)
    names = [op for _, _, op, _, _ in world.broker.trace if op in ("begin", "add_partitions", "produce", "add_offsets")]
    assert names[-8:] == ["begin", "add_partitions", "produce", "add_offsets"] * 2


# --- rule 5: rebalances


def test_a_partition_that_comes_back_unchanged_keeps_its_memory() -> None:
    """Only the changelog's last position is read again, not the whole of it."""

    async def scenario(world: World) -> None:
        first = await one_host(world)
        world.send(*[event(f"{name} ftg-3.0-pro in=1 id=x", partitions=2) for name in ORGANIZATIONS])
        await world.settle()
        joined_at = world.loop.time()
        world.host()
        await world.settle()
        must_account(world, sample_oracle(EPOCH_MS))
        assert first.worker is not None
        [kept] = first.worker._tasks
        changelog = TopicPartition(world.topics.state, kept)
        fetched = [dict(detail) for at, *_, detail in operations(world, "fetch", "host0") if at > joined_at]
        starts = [each[changelog] for each in fetched if changelog in each]
        assert starts
        assert min(starts) > 0

    told(scenario, partitions=2)


def test_memory_that_another_owner_has_overtaken_is_not_used() -> None:
    """A worker frozen for longer than its session gets the partition back after another one has worked on it."""

    async def scenario(world: World) -> None:
        first = await one_host(world)
        world.send(THREE[0])
        await world.settle()
        first.freeze(40_000)
        second = world.host()
        await asyncio.sleep(15)
        world.send(THREE[1], THREE[2])
        await asyncio.sleep(2)
        await second.stop()
        await asyncio.sleep(30)
        world.send(*THREE)
        await world.settle()
        assert counted(world) == {"priced": 3, "parked": 0, "rejected": 0}
        must_account(world)

    told(scenario)


@pytest.mark.parametrize("frozen_s", [11, 20], ids=["fenced", "its commit has timed out"])
def test_a_fenced_worker_opens_again_only_after_a_heartbeat_later_than_the_fence(frozen_s: int) -> None:
    """A zombie that started over at once would fence the rightful owner."""
    thawed = False

    def faults(op: str, worker: str, detail: object) -> Fault:
        now = asyncio.get_running_loop().time()
        if op == "produce" and worker == "host0.1" and now > 3 and not thawed:
            return Fault(Kind.FREEZE, frozen_s * 1000)
        if op == "heartbeat" and worker == "host0.1" and now > 10:
            return Fault(Kind.DELAY, 8_000)  # it does not yet know that it has lost its membership
        return Fault()

    async def scenario(world: World) -> None:
        nonlocal thawed
        await one_host(world)
        await asyncio.sleep(4 - world.loop.time())
        world.send(THREE[0])
        await asyncio.sleep(0.2)
        thawed = True
        world.host()
        await asyncio.sleep(frozen_s + 6)
        world.send(THREE[1])
        opened = [worker for _, worker, *_ in operations(world, "init_pid")]
        assert list(dict.fromkeys(opened)) == ["host0.1", "host1.1"]
        assert opened.count("host0.1") == 1, "the zombie has opened again"
        await world.settle()
        must_account(world)

    told(scenario, faults, session_timeout_ms=6_000)


def test_a_worker_that_is_fenced_though_it_is_a_member_waits_for_its_next_heartbeat() -> None:
    """Someone else has taken its transactional id: only the coordinator can say whose the partition is.

    It hears of the fence while it waits for the metadata of the next topic; to aiokafka that batch is an
    IllegalOperation.
    """

    async def scenario(world: World) -> None:
        await one_host(world)
        await asyncio.sleep(3 - world.loop.time())  # between two heartbeats, 2.5 s apart
        await SimClients(world.broker, "other").producer(world.settings.transactional_id(0)).start()
        fenced_at = world.loop.time()
        world.send(THREE[0])
        await world.settle()
        [opened_at] = [at for at, *_ in operations(world, "init_pid", "host0") if at > fenced_at]
        assert [at for at, *_ in operations(world, "heartbeat", "host0") if fenced_at < at < opened_at]
        must_account(world)

    told(scenario)


def test_a_task_runs_only_with_all_inputs_of_its_partition() -> None:
    async def scenario(world: World) -> None:
        host = await one_host(world)
        assert host.worker is not None
        worker = host.worker
        await host.clients.spawn(worker.assigned({TopicPartition(world.topics.raw, 0)}))
        assert worker._owners == {}

    told(scenario)


def test_a_worker_that_waits_to_join_stops_when_it_is_told_to() -> None:
    """A rebalance can wait half a minute for a frozen member; SIGTERM cannot."""

    async def scenario(world: World) -> None:
        first = await one_host(world)
        first.freeze(9_000)
        second = world.host()
        await asyncio.sleep(2)
        started = world.loop.time()
        await second.stop()
        assert world.loop.time() - started < 5
        await world.settle()

    told(scenario)


def test_a_stopped_worker_ends_its_running_commits_first() -> None:
    """Nothing is left open, and the next owner starts without waiting."""

    async def scenario(world: World) -> None:
        host = await one_host(world)
        world.send(*THREE)
        await asyncio.sleep(0.004)
        await host.stop()
        await asyncio.sleep(0.1)  # for the markers
        assert world.broker.transactions.open_ids() == []

    told(scenario)


# --- rule 6: polls


def test_no_poll_ever_asks_for_all_partitions() -> None:
    """An empty list would mean all of them, also those whose tasks are not ready."""
    asked: list[int] = []
    getmany = SimGroupConsumer.getmany

    async def watched(self: Any, *parts: TopicPartition, **options: Any) -> Any:
        asked.append(len(parts))
        return await getmany(self, *parts, **options)

    async def scenario(world: World) -> None:
        world.send(*THREE)
        await one_host(world)
        must_account(world)

    with mock.patch.object(SimGroupConsumer, "getmany", watched):
        told(scenario, ScriptedFaults({("init_pid", 1): Fault(Kind.LATE, 5_000)}))
    assert asked
    assert min(asked) == 3


def test_memory_outlives_an_opening_that_fails() -> None:
    """The partition is not read whole again because the broker was away for longer than one try."""

    async def scenario(world: World) -> None:
        await one_host(world)
        world.send(*THREE)
        await world.settle()
        world.broker.restart(1_000)
        await world.settle()
        must_account(world)
        assert len(operations(world, "init_pid")) > 2
        read = [detail for *_, detail in operations(world, "list_offsets") if world.topics.totals in repr(detail)]
        assert len(read) == 2  # the ends of the log, at the first opening

    told(scenario, ScriptedFaults({("init_pid", 2): Fault(Kind.LOST)}))
