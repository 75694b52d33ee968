"""The group as aiokafka's consumer sees it: rules 1, 5 and 6."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka.errors import (
    IllegalStateError,
    NoOffsetForPartitionError,
)
from aiokafka.structs import OffsetAndMetadata, TopicPartition

from tests.simulation import (
    SimBroker,
    SimClients,
    current_loop,
)
from tests.simulation.scenarios import (
    GROUP,
    IN,
    OUT,
    Listener,
    commit,
    settle,
    simulate,
    started,
)


def test_whoever_holds_the_epoch_commits_offsets_member_of_the_group_or_not() -> None:
    async def scenario(broker: SimBroker) -> None:
        clients = SimClients(broker, "w")
        producer = await started(clients)
        await producer.begin_transaction()
        await producer.send_offsets_to_transaction({IN: 5}, GROUP)
        assert await clients.committed([IN]) == {IN: None}
        await producer.commit_transaction()
        await settle()
        assert await clients.committed([IN]) == {IN: OffsetAndMetadata(5, "")}

    simulate(scenario)


def test_a_member_without_a_seek_starts_from_the_offset_fetched_before_its_callback() -> None:
    """The staleness of rule 1: the old owner's commit, ended by our start(), is not in the position."""

    async def scenario(broker: SimBroker) -> None:
        clients, old_clients = SimClients(broker, "w"), SimClients(broker, "old")
        for value in (b"0", b"1", b"2"):
            broker.append("in", 0, value)
        broker.set_group_offsets(GROUP, {IN: 1, TopicPartition("in", 1): 0})
        old = await started(old_clients)

        class Slow(Listener):
            async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
                await asyncio.sleep(0.1)
                await commit(old, b"late", offsets=3)
                await started(clients)

        consumer = clients.group_consumer(["in"], Slow())
        await consumer.start()
        await asyncio.sleep(2)
        assert await clients.committed([IN]) == {IN: OffsetAndMetadata(3, "")}
        assert [r.offset for r in (await consumer.getmany(IN))[IN]] == [1, 2]
        consumer.seek(IN, 3)
        assert await consumer.getmany(IN, timeout_ms=50) == {}
        await consumer.stop()

    simulate(scenario)


def test_without_a_committed_offset_getmany_raises_until_a_seek() -> None:
    async def scenario(broker: SimBroker) -> None:
        broker.append("in", 1, b"x")
        consumer = SimClients(broker, "w").group_consumer(["in"], Listener())
        await consumer.start()
        for _ in range(2):
            with pytest.raises(NoOffsetForPartitionError):
                await consumer.getmany(timeout_ms=100)
        for tp in consumer.assignment():
            consumer.seek(tp, 0)
        everything = await consumer.getmany(timeout_ms=100)
        assert [r.value for r in everything[TopicPartition("in", 1)]] == [b"x"]
        with pytest.raises(IllegalStateError):
            consumer.seek(OUT, 0)
        await consumer.stop()

    simulate(scenario)


def test_a_join_revokes_everything_and_range_keeps_co_partitioned_topics_together() -> None:
    async def scenario(broker: SimBroker) -> None:
        one, two = Listener(), Listener()
        first = SimClients(broker, "one").group_consumer(["in", "out"], one)
        await first.start()
        await asyncio.sleep(1)
        every = [TopicPartition(t, p) for t in ("in", "out") for p in (0, 1)]
        assert one.calls == [("revoked", []), ("assigned", every)]
        second = SimClients(broker, "two").group_consumer(["in", "out"], two)
        await second.start()
        assert one.calls[2] == ("revoked", every)
        mine = sorted(second.assignment())
        assert [tp.topic for tp in mine] == ["in", "out"]
        assert mine[0].partition == mine[1].partition
        await asyncio.sleep(1)
        assert sorted(first.assignment() | second.assignment()) == every
        await second.stop()
        await asyncio.sleep(5)
        assert one.calls[-1] == ("assigned", every)
        assert [name for name, _ in two.calls] == ["revoked", "assigned"]

    simulate(scenario)


def test_a_frozen_member_is_expired_and_joins_again_after_its_thaw() -> None:
    async def scenario(broker: SimBroker) -> None:
        listeners = {"a": Listener(), "b": Listener()}
        clients = {name: SimClients(broker, name) for name in listeners}
        consumers = {name: clients[name].group_consumer(["in"], listeners[name]) for name in listeners}
        for name, consumer in consumers.items():
            await clients[name].spawn(consumer.start())
        await asyncio.sleep(5)
        assert {len(c.assignment()) for c in consumers.values()} == {1}
        beat = consumers["a"].heartbeat_at
        clients["a"].freeze(30_000)
        await asyncio.sleep(20)
        assert consumers["a"].heartbeat_at == beat
        assert len(consumers["b"].assignment()) == 2
        assert len(consumers["a"].assignment()) == 1
        await asyncio.sleep(30)
        assert {len(c.assignment()) for c in consumers.values()} == {1}
        assert consumers["a"].heartbeat_at > beat

    simulate(scenario)


def test_exceptions_in_callbacks_are_swallowed_and_heartbeats_go_on_while_revoke_is_awaited() -> None:
    async def scenario(broker: SimBroker) -> None:
        class Slow(Listener):
            async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
                await asyncio.sleep(15 if revoked else 0)
                self.calls.append(("revoked", sorted(revoked)))
                raise RuntimeError("swallowed")

        slow = Slow()
        first = SimClients(broker, "one").group_consumer(["in"], slow)
        second = SimClients(broker, "two").group_consumer(["in"], Listener())
        await first.start()
        await asyncio.sleep(1)
        await second.start()
        assert 15 < current_loop().time() < 20
        await asyncio.sleep(1)
        assert (len(first.assignment()), len(second.assignment())) == (1, 1)
        assert [len(tps) for name, tps in slow.calls] == [0, 2, 2, 1]

    simulate(scenario)
