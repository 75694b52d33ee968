"""Identities and totals over time: what the state remembers, and for how long."""

from __future__ import annotations

import asyncio
import dataclasses
from unittest import mock

import pytest

from streams import state as state_module
from tests.simulation.scripts import PARKED, THREE, counted, one_host, reasons
from tests.simulation.world import World, event, must_account, told
from tests.usage import RawRecord


def test_full_segments_of_seen_ids_replace_small_ones_and_survive_a_restart() -> None:
    """With segments of 8 ids instead of 15,000."""
    many = [event(f"acme ftg-3.0-pro in={n} id=many{n}") for n in range(1, 45)]

    async def scenario(world: World) -> None:
        host = await one_host(world)
        for at in range(0, len(many), 5):
            world.send(*many[at : at + 5])
            await asyncio.sleep(0.1)
        await world.settle()
        must_account(world)
        world.compact()
        host.kill()
        world.send(*many)
        await world.settle()
        assert counted(world)["priced"] == len(many)
        must_account(world)
        assert [len(day.full) for day in world.restored(0)._days.values()] == [5]

    with mock.patch.object(state_module, "SEGMENT_IDS_MAX", 8):
        told(scenario)


def test_an_id_is_known_for_as_long_as_its_event_would_be_accepted() -> None:
    """Appended two minutes before midnight, dated two minutes after it: its day is the one before its time."""
    late = event("acme ftg-3.0-pro in=1 id=midnight at=2026-11-23T00:02:00Z")

    async def scenario(world: World) -> None:
        await one_host(world)
        world.set_clock("2026-11-22T23:58:00Z")
        world.send(late)
        await world.settle()
        world.set_clock("2026-12-28T00:01:00Z")
        world.send(event("acme ftg-3.0-pro in=1 id=moves-stream-time at=2026-12-27T00:00:00Z"))
        await world.settle()
        world.send(late)
        await world.settle()
        assert counted(world) == {"priced": 2, "parked": 0, "rejected": 0}
        assert len(world.restored(0).seen) == 2
        world.set_clock("2026-12-28T00:03:00Z")
        world.send(late)
        await world.settle()
        assert reasons(world) == {"too_late": 1}

    told(scenario)


def test_ids_too_old_to_come_again_are_forgotten_in_memory_and_in_the_changelog() -> None:
    async def scenario(world: World) -> None:
        await one_host(world)
        world.send(*THREE)
        await world.settle()
        world.set_clock("2026-12-30T12:00:00Z")
        world.send(event("acme ftg-3.0-pro in=1 id=new at=2026-12-30T00:00:00Z"), *THREE)
        await world.settle()
        assert reasons(world) == {"too_late": 3}
        assert len(world.restored(0).seen) == 1
        assert world.memory_problems() == []

    told(scenario)


@pytest.mark.parametrize("is_parked", [False, True])
def test_hours_are_dropped_after_62_days_unless_an_event_is_parked_in_them(is_parked: bool) -> None:
    hour = b"acme/p1/hour/2026-11-21T12:00:00Z"

    async def scenario(world: World) -> None:
        await one_host(world)
        world.send(*THREE, *([PARKED] if is_parked else []))
        await world.settle()
        world.set_clock("2027-01-22T12:30:00Z")
        world.send(event("acme ftg-3.0-pro in=1 id=early at=2027-01-22T12:00:00Z"))
        await world.settle()
        assert hour.decode() in world.restored(0).totals
        world.set_clock("2027-01-22T13:00:01Z")
        world.send(event("acme ftg-3.0-pro in=1 id=new at=2027-01-22T12:00:00Z"))
        await world.settle()
        last = {record.key: record.value for record in world.broker.committed(world.topics.totals)}
        assert (last[hour] is None) == (not is_parked)
        assert last[b"acme/p1/day/2026-11-21T00:00:00Z"] is not None
        assert world.memory_problems() == []

    told(scenario)


@pytest.mark.parametrize(("day", "outcome"), [(27, {}), (31, {"too_late": 1})])
def test_a_forwarded_record_that_waited_until_ids_of_its_day_are_forgotten_is_too_late(
    day: int, outcome: dict[str, int]
) -> None:
    """It could be a duplicate of one of them; before that its own append time decides, as for any record."""

    async def scenario(world: World) -> None:
        await one_host(world)
        world.set_clock(f"2026-12-{day}T13:00:00Z")
        world.send(event("acme ftg-3.0-pro in=1 id=new at=2026-12-26T12:00:00Z"))
        await world.settle()
        headers = [
            ("content-type", b"application/cloudevents+json"),
            ("stream-pricing-topic", b"usage.raw.v1"),
            ("stream-pricing-partition", b"0"),
            ("stream-pricing-offset", b"0"),
            ("stream-pricing-append-time-ms", b"1795305600000"),
        ]
        world.broker.append(world.topics.rekeyed, 0, THREE[0].value, key=b"acme", headers=headers)
        await world.settle()
        assert counted(world) == {"priced": 2 - len(outcome), "parked": 0, "rejected": len(outcome)}
        assert reasons(world) == outcome

    told(scenario)


def test_two_years() -> None:
    """Each month a worker starts where retention, compaction and an idle group have taken what they take."""
    months = [f"{2026 + n // 12}-{n % 12 + 1:02}" for n in range(11, 37)]

    async def scenario(world: World) -> None:
        sent: list[list[RawRecord]] = [[], []]
        for number, month in enumerate(months):
            world.set_clock(f"{month}-03T12:00:00Z")
            host = world.host()
            models = ("ftg-3.0-pro", "ftg-3.0-pro", "ftg-4.0-next")
            line = "acme {} in=1 id={}/{} at={}-03T11:00:00Z"
            sent.append([event(line.format(model, month, n, month), 2) for n, model in enumerate(models)])
            again = [record for records in sent[-3:] for record in records]  # a month late, and too late
            world.send(*again, *(dataclasses.replace(each, partition=1 - each.partition) for each in again))
            await world.settle()
            if number == 20:
                world.publish(cured=True)
                await world.settle()
            await asyncio.sleep(80)
            await host.stop()
            world.compact()
            world.retire(f"{months[max(0, number - 2)]}-03T12:00:00Z")
            group = world.settings.group
            world.broker.set_group_offsets(group, dict.fromkeys(world.broker.group_offsets(group)))
        must_account(world)
        assert counted(world) == {"priced": 78, "parked": 42, "rejected": 144}
        assert reasons(world) == {"too_late": 144}

    told(scenario, partitions=2)
