"""The rows of architecture.md's crash table, one scripted scenario for each operation.

Random seeds (`test_crashes.py`) find what nobody thought of; these hit what is rare, at the very operation.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from tests.simulation import Fault, Kind, ScriptedFaults
from tests.simulation.scripts import THREE, counted, one_host, operations
from tests.simulation.world import World, must_account, told
from tests.usage import RawRecord

OPEN = [
    (op, kind)
    for op in ("add_partitions", "produce", "add_offsets", "offset_commit")
    for kind in (Kind.KILL, Kind.KILL_AFTER)
]
DEATHS = [("fetch", Kind.KILL), ("begin", Kind.KILL), *OPEN, ("end_txn", Kind.KILL), ("end_txn", Kind.KILL_AFTER)]
TROUBLE = (
    Kind.ERROR,
    Kind.TIMEOUT,
    Kind.LOST,
    Kind.LOST_TIMEOUT,
    Kind.DELAY,
    Kind.LATE,
    Kind.FREEZE,
    Kind.RESTART_AFTER,
)
UNKNOWN = [(op, kind) for op in ("produce", "offset_commit", "end_txn", "init_pid") for kind in TROUBLE]


async def _priced_once(world: World, records: list[RawRecord]) -> None:
    """Three events, each of them priced once in the end."""
    world.host()
    await asyncio.sleep(0.5)
    world.send(*records)
    await world.settle()
    assert counted(world) == {"priced": 3, "parked": 0, "rejected": 0}
    must_account(world)


@pytest.mark.parametrize(("op", "kind"), [*DEATHS, *UNKNOWN], ids=str)
def test_a_death_or_an_error_at_any_operation_leaves_each_record_priced_once(op: str, kind: Kind) -> None:
    """Rows 1–2 nothing in the log; 3–5 an open transaction; 6 the outcome unknown; after 6 committed."""
    number = {"fetch": 3, "init_pid": 1}.get(op, 2)  # the first transaction takes in the accounts

    world = told(lambda world: _priced_once(world, THREE), ScriptedFaults({(op, number): Fault(kind, 12_000)}))
    assert world.broker.hits[op, kind] == 1


def test_a_partition_revoked_in_mid_batch_is_redone_by_its_new_owner() -> None:
    """The answer to a produce takes longer than half of the rebalance timeout: the transaction is given up."""

    async def scenario(world: World) -> None:
        await one_host(world)
        world.send(*THREE)
        world.host()
        await world.settle()
        must_account(world)

    told(scenario, ScriptedFaults({("produce", 2): Fault(Kind.LATE, 9_000)}), rebalance_timeout_ms=6_000)


async def _forgetting(world: World, records: list[RawRecord]) -> None:
    """Three events, and a broker that forgets the markers of every restart."""
    world.broker.forgets_markers = True
    await _priced_once(world, records)


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("down_ms", [20, 1_000, 12_000])
def test_a_commit_whose_markers_the_broker_has_forgotten_is_marked_again(down_ms: int, number: int) -> None:
    """The decision is in the log, the records are there, and nobody can see them."""

    faults = {("end_txn", number): Fault(Kind.RESTART_AFTER, down_ms)}
    told(lambda world: _forgetting(world, THREE), ScriptedFaults(faults), marker_ms=(50, 90))


@pytest.mark.parametrize("down_ms", [20, 1_000, 12_000])
def test_an_abort_whose_markers_the_broker_has_forgotten_is_marked_again(down_ms: int) -> None:
    """The first worker dies in a transaction, the next one's `start()` ends it as the broker goes away."""

    faults = {("add_offsets", 2): Fault(Kind.KILL), ("init_pid", 2): Fault(Kind.RESTART_AFTER, down_ms)}
    told(lambda world: _forgetting(world, THREE), ScriptedFaults(faults), marker_ms=(50, 90))


@pytest.mark.parametrize("number", range(1, 7))
def test_what_was_forwarded_without_markers_arrives_too(number: int) -> None:
    """Whichever commit it is of whose markers the broker knows nothing."""

    faults = {("end_txn", number): Fault(Kind.RESTART_AFTER, 12_000)}
    misrouted = [replace(record, partition=1 - record.partition) for record in THREE]
    told(lambda world: _forgetting(world, misrouted), ScriptedFaults(faults), marker_ms=(50, 90), partitions=2)


@pytest.mark.parametrize("down_ms", [20, 1_000, 12_000])
def test_a_commit_that_was_heard_of_and_has_no_markers_is_marked_again(down_ms: int) -> None:
    """The broker goes away after its answer; nothing more comes for the partition."""

    async def scenario(world: World) -> None:
        await one_host(world)
        world.broker.forgets_markers = True
        world.send(THREE[0])
        await asyncio.sleep(0.03)
        assert len(operations(world, "end_txn")) == 2  # answered
        assert world.broker.transactions.open_ids()  # and without markers yet
        world.broker.restart(down_ms)
        await world.settle()
        assert counted(world)["priced"] == 1
        must_account(world)

    told(scenario, marker_ms=(50, 90))


@pytest.mark.parametrize(("op", "number"), [("produce", 4), ("offset_commit", 3), ("end_txn", 3)])
@pytest.mark.parametrize("asked", [4, 9, 11, 13])
def test_what_follows_a_commit_without_markers_does_not_share_its_fate(asked: int, op: str, number: int) -> None:
    """The next transaction waits for these markers as the broker goes away, and then it is given up: its end would be
    that of the records that have none."""
    faults = {("add_partitions", asked): Fault(Kind.RESTART, 1_000), (op, number): Fault(Kind.KILL_AFTER, 500)}

    async def scenario(world: World) -> None:
        await one_host(world)
        world.broker.forgets_markers = True
        world.send(*THREE)
        await world.settle()
        assert counted(world)["priced"] == 3
        must_account(world)

    told(scenario, ScriptedFaults(faults), marker_ms=(50, 90))


def test_an_opening_that_fails_half_way_knows_how_the_transaction_stood() -> None:
    """`start()` makes the coordinator forget it, and the broker goes away again before it is marked."""
    faults = {("end_txn", 2): Fault(Kind.RESTART_AFTER, 1_000), ("init_pid", 2): Fault(Kind.RESTART_AFTER, 1_000)}
    told(lambda world: _forgetting(world, THREE), ScriptedFaults(faults), marker_ms=(50, 90))


def test_an_opening_that_a_rebalance_interrupts_knows_how_the_transaction_stood() -> None:
    """The new owner dies after its `start()`, in which the coordinator forgets it; the next one of that host knows
    nothing of it and refuses to make anew what may be there; then the first host has the partition again."""
    faults = {
        ("end_txn", 2): Fault(Kind.RESTART_AFTER, 20),
        ("add_offsets", 3): Fault(Kind.DELAY, 5_000),
        ("init_pid", 3): Fault(Kind.KILL_AFTER, 1),
    }

    async def scenario(world: World) -> None:
        await one_host(world)
        world.broker.forgets_markers = True
        world.send(*THREE)
        await asyncio.sleep(0.5)
        second = world.host()
        await world.settle()
        assert "of a transaction that has no end" in str(second.failure)
        world.problems_found.clear()
        assert counted(world)["priced"] == 3
        must_account(world)

    told(scenario, ScriptedFaults(faults), marker_ms=(50, 90))
