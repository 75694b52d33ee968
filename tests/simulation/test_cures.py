"""Books, parked events and their cures, and bugs of our own: one scripted scenario each."""

from __future__ import annotations

import asyncio
from typing import Any
from unittest import mock

import pytest

from streams import step as step_module
from streams import task as task_module
from tests.simulation import EPOCH_MS, Fault, Kind, ScriptedFaults
from tests.simulation.published import LATE_ACCOUNT, publications
from tests.simulation.scripts import PARKED, THREE, counted, one_host, reasons
from tests.simulation.world import World, event, must_account, told
from tests.usage_samples import sample_oracle

# --- books and parked events


def test_the_first_record_of_a_publication_counts_and_a_second_one_is_ignored() -> None:
    async def scenario(world: World) -> None:
        await one_host(world)
        key, value = publications(False)[-1]
        assert value.count(b'"1.13"') == 1
        world.broker.append(world.topics.books, 0, value.replace(b'"1.13"', b'"9.13"'), key=key)
        await world.settle()
        world.send(*THREE)
        await world.settle()
        must_account(world, sample_oracle(EPOCH_MS))

    told(scenario)


def test_a_broker_that_is_silent_for_long_ends_no_worker() -> None:
    """While the books are read, and while a state is: both go on when it is back."""

    async def scenario(world: World) -> None:
        world.send(*THREE)
        await one_host(world)
        must_account(world)

    told(
        scenario,
        ScriptedFaults({("fetch", 1): Fault(Kind.RESTART, 25_000), ("fetch", 300): Fault(Kind.RESTART, 25_000)}),
    )


def test_an_account_that_is_ignored_is_logged() -> None:
    """Who applied it hears nothing else of it."""

    async def scenario(world: World) -> None:
        await one_host(world)
        with mock.patch.object(task_module.log, "warning") as warning:
            world.broker.append(world.topics.accounts, 0, b'{"organization":"acme","version":0}', key=b"acme")
            await world.settle()
        [said] = [call.args[0] % call.args[1:] for call in warning.call_args_list]
        assert "an account is ignored: " in said and "version" in said

    told(scenario)


def test_new_usage_does_not_wait_for_all_that_is_parked() -> None:
    """A publication makes a task look at all of it again, batch by batch, and each batch takes new usage too."""

    async def scenario(world: World) -> None:
        host = await one_host(world)
        world.send(*[event(f"acme ghost-{number} in=1 id=g{number}") for number in range(200)])
        await world.settle()
        host.worker._tasks[0].published({"sheet/aitronos"})
        await asyncio.sleep(0.01)
        world.send(THREE[0])
        await asyncio.sleep(0.5)
        assert counted(world) == {"priced": 1, "parked": 200, "rejected": 0}
        assert host.worker._tasks[0]._cures  # most of it is still to come

    told(scenario, batch_events_max=10, commit_interval_ms=100)


def test_a_publication_that_comes_while_the_books_are_read_is_not_missed() -> None:
    """It lies behind the end that was asked for, in the same answer as what lies before."""

    async def scenario(world: World) -> None:
        world.host()
        await asyncio.sleep(0.05)
        world.publish(cured=True)
        world.send(PARKED)
        await world.settle()
        assert counted(world)["priced"] == 1

    told(scenario, ScriptedFaults({("fetch", 1): Fault(Kind.DELAY, 1_000)}))


def test_a_cure_waits_for_the_marker_of_the_commit_that_parked_its_event() -> None:
    """A commit is answered before its markers are written: until then nobody can read the parked record."""

    async def scenario(world: World) -> None:
        host = await one_host(world)
        world.send(PARKED)
        assert host.worker is not None
        while not host.worker._tasks[0].state.parked:  # noqa: ASYNC110  nobody tells of it
            await asyncio.sleep(0.001)
        world.publish(cured=True)
        await world.settle()
        must_account(world)

    told(scenario, marker_ms=(100, 200))


CURES = [(op, kind) for op in ("begin", "produce", "end_txn") for kind in (Kind.KILL, Kind.FREEZE)]


@pytest.mark.parametrize(("op", "kind"), [*CURES, ("end_txn", Kind.KILL_AFTER), ("end_txn", Kind.LOST)], ids=str)
def test_a_parked_event_is_released_once_whatever_dies_in_its_cure(op: str, kind: Kind) -> None:
    async def scenario(world: World) -> None:
        await one_host(world)
        world.send(PARKED, PARKED)
        await world.settle()
        assert counted(world) == {"priced": 0, "parked": 1, "rejected": 0}
        world.publish(cured=True)
        await world.settle()
        assert counted(world) == {"priced": 1, "parked": 2, "rejected": 0}  # with its release
        must_account(world)

    # 1 the accounts, 2 the parked event (two produces: its offset has to be known first), 3 the cure
    told(scenario, ScriptedFaults({(op, 4 if op == "produce" else 3): Fault(kind, 12_000)}))


def test_a_publication_that_mends_one_reason_of_two_leaves_the_event_parked_without_a_second_record() -> None:
    async def scenario(world: World) -> None:
        host = await one_host(world)
        world.send(event("acme ftg-3.0-euro in=10 priority=turbo id=two-reasons"))
        await world.settle()
        world.publish(cured=True, kind="sheet")
        await world.settle()
        [parked] = world.restored(0).parked.values()
        assert (parked.reason, counted(world)["parked"]) == ("no_rate_at_time", 1)
        host.kill()
        world.publish(cured=True, kind="fx")
        await world.settle()
        assert counted(world) == {"priced": 1, "parked": 2, "rejected": 0}
        [priced] = world.broker.committed(world.topics.priced)
        assert b'"parked":{"reason":"no_multiplier_for_priority"' in priced.value

    told(scenario)


def test_an_account_that_arrives_on_the_wrong_partition_is_forwarded_and_cures() -> None:
    async def scenario(world: World) -> None:
        world.host()
        record = event("list-price ftg-3.0-pro in=5 id=x", partitions=2)
        world.send(record)
        await world.settle()
        assert counted(world)["parked"] == 1
        world.apply_accounts([LATE_ACCOUNT], partition=1 - record.partition)
        await world.settle()
        assert counted(world)["priced"] == 1

    told(scenario, partitions=2, require_account=True)


# --- bugs of our own


def test_a_record_on_which_the_worker_fails_twice_is_rejected_and_the_others_are_priced() -> None:
    """Between the tries the loop goes on: many such records must not keep the heartbeats waiting."""
    price = step_module.price
    tried_at: list[float] = []

    def failing(found: Any, *more: Any) -> Any:
        if found.id == "e2":
            tried_at.append(asyncio.get_running_loop().time())
            raise ZeroDivisionError
        return price(found, *more)

    async def scenario(world: World) -> None:
        await one_host(world)
        world.send(*THREE)
        await world.settle()
        assert counted(world) == {"priced": 2, "parked": 0, "rejected": 1}
        assert reasons(world) == {"internal_error": 1}
        assert tried_at[0] < tried_at[1]

    with mock.patch.object(step_module, "price", failing):
        told(scenario)
