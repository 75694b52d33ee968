"""Fencing, and what aiokafka's producer is after an error: rules 3, 4 and 8."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka.errors import (
    IllegalOperation,
    KafkaError,
    MessageSizeTooLargeError,
    OutOfOrderSequenceNumber,
    ProducerFenced,
)
from aiokafka.structs import OffsetAndMetadata, TopicPartition

from tests.simulation import (
    Fault,
    Kind,
    ScriptedFaults,
    SimBroker,
    SimClients,
    current_loop,
)
from tests.simulation.scenarios import (
    GROUP,
    IN,
    commit,
    read_to_end,
    send,
    settle,
    simulate,
    started,
    values,
)

STATE = TopicPartition("state", 0)


def test_a_new_start_fences_the_old_producer_and_aborts_its_transaction() -> None:
    async def scenario(broker: SimBroker) -> None:
        old_clients, new_clients = SimClients(broker, "old"), SimClients(broker, "new")
        old = await started(old_clients)
        await old.begin_transaction()
        await (await send(old, b"lost"))
        new = await started(new_clients)
        with pytest.raises(ProducerFenced):
            await (await send(old, b"zombie"))
        with pytest.raises(ProducerFenced):
            await old.send_offsets_to_transaction({IN: 7}, GROUP)
        with pytest.raises(AssertionError):
            await old.commit_transaction()
        await commit(new, b"mine", offsets=3)
        await settle()
        assert values(broker) == [b"mine"]
        assert broker.group_offsets(GROUP) == {IN: 3}

    simulate(scenario)


def test_after_a_fenced_commit_the_next_call_is_a_bare_assertion_error() -> None:
    async def scenario(broker: SimBroker) -> None:
        clients = SimClients(broker, "w")
        old = await started(clients)
        await old.begin_transaction()
        await (await send(old, b"lost"))
        await started(clients)
        with pytest.raises(ProducerFenced):
            await old.commit_transaction()
        with pytest.raises(AssertionError):
            await old.begin_transaction()
        await asyncio.wait_for(old.stop(), 3)

    simulate(scenario)


def test_a_fence_between_two_batches_makes_the_second_an_illegal_operation() -> None:
    """Not a KafkaError: a topic's first use waits for its metadata, and the sender hears of the fence meanwhile."""

    async def scenario(broker: SimBroker) -> None:
        clients = SimClients(broker, "w")
        old = await started(clients)
        await old.begin_transaction()
        await started(clients)
        first = await send(old, b"zombie")
        with pytest.raises(IllegalOperation):
            await send(old, b"zombie", tp=STATE)
        with pytest.raises(ProducerFenced):
            await first

    simulate(scenario, ScriptedFaults({("metadata", 2): Fault(Kind.LATE, 500)}))


def test_a_zombie_thawed_after_its_partition_moved_is_fenced() -> None:
    async def scenario(broker: SimBroker) -> None:
        zombie, owner = SimClients(broker, "zombie"), SimClients(broker, "owner")
        outcome: list[str] = []

        async def work() -> None:
            producer = await started(zombie)
            await producer.begin_transaction()
            await (await send(producer, b"zombie"))
            await asyncio.sleep(1)
            try:
                await producer.send_offsets_to_transaction({IN: 1}, GROUP)
                await producer.commit_transaction()
            except ProducerFenced:
                outcome.append("fenced")

        zombie.spawn(work())
        await asyncio.sleep(0.5)
        zombie.freeze(5_000)
        await commit(await started(owner), b"owner", offsets=1)
        assert outcome == []
        await asyncio.sleep(10)
        assert outcome == ["fenced"]
        assert values(broker) == [b"owner"]

    simulate(scenario)


def test_a_killed_workers_transaction_is_aborted_by_the_next_start_and_its_clean_up_never_runs() -> None:
    async def scenario(broker: SimBroker) -> None:
        first, ran = SimClients(broker, "w"), []

        async def work() -> None:
            producer = await started(first)
            try:
                await producer.begin_transaction()
                await (await send(producer, b"lost"))
                await asyncio.sleep(1)
            finally:
                if not broker.closed:
                    ran.append("clean-up")

        first.spawn(work())
        await asyncio.sleep(0.5)
        first.kill()
        assert broker.transactions.open_ids() == ["t"]
        second = SimClients(broker, "w")
        await commit(await started(second), b"kept")
        await asyncio.sleep(5)
        assert (values(broker), ran) == ([b"kept"], [])

    simulate(scenario)


def test_a_commit_whose_answer_is_lost_is_tried_again_and_stands_once() -> None:
    async def scenario(broker: SimBroker) -> None:
        await commit(await started(SimClients(broker, "w")), b"a", offsets=1)
        await settle()
        assert values(broker) == [b"a"]

    broker = simulate(scenario, ScriptedFaults({("end_txn", 1): Fault(Kind.LOST)}))
    assert broker.hits["end_txn", Kind.LOST] == 1
    assert broker.hits["end_txn", Kind.NONE] >= 1


@pytest.mark.parametrize(
    ("kind", "expected"),
    [(Kind.KILL_AFTER, [b"a"]), (Kind.KILL, []), (Kind.LOST_TIMEOUT, [b"a"]), (Kind.TIMEOUT, [])],
)
def test_a_new_start_decides_a_commit_whose_outcome_is_unknown(kind: Kind, expected: list[bytes]) -> None:
    """Committed before the death, it stays; not yet, it is aborted; either is there when `start` returns."""

    async def scenario(broker: SimBroker) -> None:
        first = SimClients(broker, "first")

        async def work() -> None:
            producer = await started(first)
            await producer.begin_transaction()
            await (await send(producer, b"a"))
            await producer.commit_transaction()

        task = first.spawn(work())
        await asyncio.wait([task, first.died], timeout=3, return_when=asyncio.FIRST_COMPLETED)
        second = SimClients(broker, "second")
        await started(second)
        assert await read_to_end(second) == expected

    simulate(scenario, ScriptedFaults({("end_txn", 1): Fault(kind)}))


def test_a_cancelled_commit_goes_on_in_the_background() -> None:
    async def scenario(broker: SimBroker) -> None:
        producer = await started(SimClients(broker, "w"))
        await producer.begin_transaction()
        await (await send(producer, b"a"))
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(producer.commit_transaction(), 1)
        assert values(broker) == []
        await asyncio.sleep(3)
        assert values(broker) == [b"a"]

    simulate(scenario, ScriptedFaults({("end_txn", 1): Fault(Kind.DELAY, 3_000)}))


def test_a_batch_too_large_is_lost_in_silence_by_a_commit_that_answers_ok() -> None:
    async def scenario(broker: SimBroker) -> None:
        producer = await started(SimClients(broker, "w"))
        await commit(producer, b"before")
        await producer.begin_transaction()
        refused = await send(producer, b"x" * 3_000)
        with pytest.raises(MessageSizeTooLargeError):
            await refused
        await producer.send_offsets_to_transaction({IN: 9}, GROUP)
        await producer.commit_transaction()
        await settle()
        assert values(broker) == [b"before"]
        assert broker.group_offsets(GROUP) == {IN: 9}

    simulate(scenario)


def test_after_a_refused_batch_sends_are_out_of_order_while_commits_go_on_answering_ok() -> None:
    async def scenario(broker: SimBroker) -> None:
        producer = await started(SimClients(broker, "w"))
        await producer.begin_transaction()
        with pytest.raises(MessageSizeTooLargeError):
            await (await send(producer, b"x" * 3_000))
        await producer.commit_transaction()
        for _ in range(2):
            await producer.begin_transaction()
            with pytest.raises(OutOfOrderSequenceNumber):
                await (await send(producer, b"a"))
            await producer.commit_transaction()
        assert values(broker) == []

    simulate(scenario)


def test_a_batch_whose_answer_is_lost_is_retried_and_not_doubled() -> None:
    async def scenario(broker: SimBroker) -> None:
        await commit(await started(SimClients(broker, "w")), b"a", b"b")
        await settle()
        assert values(broker) == [b"a", b"b"]

    broker = simulate(scenario, ScriptedFaults({("produce", 1): Fault(Kind.LOST), ("produce", 2): Fault(Kind.LOST)}))
    assert broker.hits["produce", Kind.LOST] == 2


def test_a_builder_refuses_what_does_not_fit_into_the_batch() -> None:
    async def scenario(broker: SimBroker) -> None:
        batch = (await started(SimClients(broker, "w"))).create_batch()
        assert batch.append(timestamp=1, key=b"k", value=b"x" * 800_000, headers=[]) is not None
        assert batch.append(timestamp=1, key=b"k", value=b"x" * 200_000, headers=[]) is None
        assert batch.record_count() == 1
        assert 800_000 < batch.size() < 900_000

    simulate(scenario)


def test_open_transactions_survive_a_restart_of_the_broker() -> None:
    async def scenario(broker: SimBroker) -> None:
        clients = SimClients(broker, "w")
        producer = await started(clients)
        await producer.begin_transaction()
        await (await send(producer, b"a"))
        broker.restart(1_000)
        with pytest.raises(KafkaError):
            await started(clients, "other")
        await producer.commit_transaction()
        await settle()
        assert current_loop().time() > 1
        assert values(broker) == [b"a"]

    simulate(scenario)


def test_what_is_read_before_start_may_be_stale_and_after_it_is_not() -> None:
    """Rule 4: a dead owner's commit can still be on its way; only InitProducerId settles it."""

    async def scenario(broker: SimBroker) -> None:
        first, second = SimClients(broker, "first"), SimClients(broker, "second")

        async def work() -> None:
            await commit(await started(first), b"a", offsets=1)

        first.spawn(work())
        await first.died
        before = await second.committed([IN])
        await started(second)
        assert (before, await second.committed([IN])) == ({IN: None}, {IN: OffsetAndMetadata(1, "")})

    simulate(
        scenario,
        ScriptedFaults({("end_txn", 1): Fault(Kind.KILL_AFTER, 500), ("init_pid", 2): Fault(Kind.DELAY, 900)}),
    )


def test_start_waits_for_the_markers_of_a_commit_that_is_decided() -> None:
    async def scenario(broker: SimBroker) -> None:
        clients = SimClients(broker, "w")
        await commit(await started(clients), b"a", offsets=1)
        assert values(broker) == []
        await started(clients)
        assert (values(broker), broker.group_offsets(GROUP)) == ([b"a"], {IN: 1})

    simulate(scenario, marker_ms=(300, 400))


def test_a_request_on_its_way_does_not_survive_a_restart_of_the_broker() -> None:
    async def scenario(broker: SimBroker) -> None:
        clients = SimClients(broker, "w")
        clients.spawn(commit(await started(clients), b"a"))
        await asyncio.sleep(0.1)
        clients.kill()
        broker.restart(10)
        await asyncio.sleep(2)
        assert broker.transactions.open_ids() == ["t"]

    simulate(scenario, ScriptedFaults({("end_txn", 1): Fault(Kind.DELAY, 1_000)}))
