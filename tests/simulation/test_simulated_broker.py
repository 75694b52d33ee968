"""The simulation against the rules of architecture.md: each test states a fact of Kafka 4.3 or of aiokafka
0.14.0.
"""

from __future__ import annotations

import asyncio

import pytest
from aiokafka.errors import (
    KafkaError,
    OffsetOutOfRangeError,
    ProducerFenced,
)
from aiokafka.structs import TopicPartition

from tests.simulation import (
    OPERATIONS,
    Deadlock,
    Kind,
    RandomFaults,
    SimBroker,
    SimClients,
    current_loop,
)
from tests.simulation.scenarios import (
    GROUP,
    IN,
    OUT,
    commit,
    read_to_end,
    send,
    settle,
    simulate,
    started,
    values,
)


def test_aborted_records_are_invisible_and_their_markers_take_offsets() -> None:
    async def scenario(broker: SimBroker) -> None:
        clients = SimClients(broker, "w")
        producer = await started(clients)
        await producer.begin_transaction()
        await (await send(producer, b"a"))
        await producer.abort_transaction()
        await commit(producer, b"b", b"c")
        await settle()
        assert [(r.offset, r.value, r.headers) for r in broker.committed("out", 0)] == [
            (2, b"b", (("h", b"1"),)),
            (3, b"c", (("h", b"1"),)),
        ]
        assert broker.log(OUT).end == 5
        assert await read_to_end(clients) == [b"b", b"c"]

    simulate(scenario)


def test_position_passes_a_trailing_marker_only_by_a_later_fetch() -> None:
    async def scenario(broker: SimBroker) -> None:
        clients = SimClients(broker, "w")
        producer = await started(clients)
        await commit(producer, b"a")
        reader = clients.reader()
        await reader.start()
        reader.assign([OUT])
        reader.seek(OUT, 0)
        await settle()
        first = await reader.getmany(OUT, timeout_ms=100, max_records=1)
        assert [r.offset for r in first[OUT]] == [0]
        assert await reader.position(OUT) == 1
        assert await reader.getmany(OUT) == {}
        assert await reader.position(OUT) == 2

    simulate(scenario)


def test_an_open_transaction_holds_back_all_later_records_of_its_partition() -> None:
    async def scenario(broker: SimBroker) -> None:
        clients = SimClients(broker, "w")
        slow, fast = await started(clients, "slow"), await started(clients, "fast")
        await slow.begin_transaction()
        await (await send(slow, b"s"))
        await commit(fast, b"f")
        await settle()
        assert values(broker) == []
        reader = clients.reader()
        await reader.start()
        assert await reader.end_offsets([OUT]) == {OUT: 0}
        await slow.commit_transaction()
        await settle()
        assert values(broker) == [b"s", b"f"]

    simulate(scenario)


def test_an_open_transaction_is_aborted_by_its_timeout_and_its_producer_fenced() -> None:
    async def scenario(broker: SimBroker) -> None:
        clients = SimClients(broker, "w")
        producer = await started(clients)
        await producer.begin_transaction()
        await (await send(producer, b"a"))
        await asyncio.sleep(21)
        assert broker.transactions.aborted_by_timeout == 1
        assert broker.transactions.open_ids() == []
        with pytest.raises(ProducerFenced):
            await producer.commit_transaction()

    simulate(scenario)


def test_append_time_is_the_brokers_where_the_topic_says_so() -> None:
    async def scenario(broker: SimBroker) -> None:
        await asyncio.sleep(7)
        broker.append("in", 0, b"x", timestamp=1)
        broker.append("state", 0, b"x", timestamp=1)
        raw, state = broker.committed("in") + broker.committed("state")
        assert (raw.timestamp, raw.timestamp_type) == (current_loop().now_ms(), 1)
        assert (state.timestamp, state.timestamp_type) == (1, 0)

    simulate(scenario)


def test_offsets_below_the_retention_are_out_of_range_and_compaction_keeps_the_last_of_each_key() -> None:
    async def scenario(broker: SimBroker) -> None:
        state = TopicPartition("state", 0)
        for i in range(40):
            broker.append("state", 0, b"%d" % i, key=b"k%d" % (i % 3))
        for _ in range(20):
            broker.compact(state)
        kept = broker.committed("state", 0)
        assert {r.key: r.value for r in kept} == {b"k0": b"39", b"k1": b"37", b"k2": b"38"}
        assert 3 <= len(kept) < 40
        assert broker.log(state).end == 40
        assert [int(r.value) for r in kept] == [r.offset for r in kept]
        broker.truncate(state, 20)
        clients = SimClients(broker, "w")
        reader = clients.reader()
        await reader.start()
        reader.assign([state])
        reader.seek(state, 19)
        with pytest.raises(OffsetOutOfRangeError):
            await reader.getmany(state, timeout_ms=100)
        assert await reader.beginning_offsets([state]) == {state: 20}

    simulate(scenario)


def test_a_run_that_nothing_can_wake_says_so() -> None:
    async def scenario(broker: SimBroker) -> None:
        await current_loop().create_future()

    with pytest.raises(Deadlock, match="main"):
        simulate(scenario)


async def _copy(broker: SimBroker, clients: SimClients) -> None:
    """A small worker: copies in-0 to out-0, its position in the group's offsets; starts over after every
    error.
    """
    while True:
        reader = clients.reader()
        try:
            producer = await asyncio.wait_for(started(clients), 30)
            await reader.start()
            reader.assign([IN])
            found = (await asyncio.wait_for(clients.committed([IN]), 30))[IN]
            reader.seek(IN, found.offset if found else 0)
            while True:
                for records in (await reader.getmany(IN, timeout_ms=500, max_records=7)).values():
                    await asyncio.wait_for(
                        commit(producer, *(r.value for r in records), offsets=records[-1].offset + 1), 30
                    )
        except (TimeoutError, KafkaError, AssertionError):
            await reader.stop()
            await asyncio.sleep(0.2)


async def _copies(broker: SimBroker) -> None:
    """A supervisor: starts the worker again when it is killed, until everything is copied."""
    loop = current_loop()
    for i in range(60):
        loop.later(i * 0.3, broker.append, "in", 0, b"%d" % i)
    deadline = loop.time() + 600
    while loop.time() < deadline and (loop.time() < 20 or broker.group_offsets(GROUP).get(IN) != 60):
        clients = SimClients(broker, "w")
        clients.spawn(_copy(broker, clients))
        while not clients.died.done() and (loop.time() < 20 or broker.group_offsets(GROUP).get(IN) != 60):
            await asyncio.wait([clients.died], timeout=0.5)
        if clients.died.done():
            await asyncio.sleep(0.1)
        else:
            clients.kill()
    await asyncio.sleep(30)
    assert values(broker) == [b"%d" % i for i in range(60)]


def test_a_simple_copy_is_exactly_once_under_every_fault() -> None:
    hits: set[tuple[str, Kind]] = set()
    for seed in range(60):
        hits |= set(simulate(_copies, RandomFaults(seed, faults_max=15), seed).hits)
    missed = {(op, kind) for op in ("init_pid", "produce", "offset_commit", "end_txn", "fetch") for kind in Kind} - hits
    assert len(missed) < 12, missed
    assert {op for op, _ in hits} <= set(OPERATIONS)


def test_the_same_seed_gives_the_same_trace() -> None:
    hashes = [simulate(_copies, RandomFaults(seed, faults_max=15), seed).trace_hash() for seed in (1, 1, 2)]
    assert hashes[0] == hashes[1] != hashes[2]
