"""What scripted scenarios share: some usage, a first host, and what can be counted."""

from __future__ import annotations

from collections import Counter
from typing import Any

from tests.simulation.host import Host
from tests.simulation.world import World, event

THREE = [event(f"acme ftg-3.0-pro in={n} out=5 id=e{n}") for n in (1, 2, 3)]
PARKED = event("acme ftg-4.0-next in=7 id=parked")


async def one_host(world: World) -> Host:
    """A host that runs everything, before any usage."""
    host = world.host()
    await world.settle()
    return host


def counted(world: World) -> dict[str, int]:
    """Committed records by topic, without prefix and suffix."""
    topics = world.topics
    names = (topics.priced, topics.parked, topics.rejected)
    return {name.split(".")[1]: len(world.broker.committed(name)) for name in names}


def operations(world: World, op: str, worker: str = "") -> list[tuple[float, str, str, str, Any]]:
    """The trace of an operation."""
    return [step for step in world.broker.trace if step[2] == op and step[1].startswith(worker)]


def reasons(world: World) -> Counter[str]:
    """Why records were rejected."""
    rejected = world.broker.committed(world.topics.rejected)
    return Counter(dict(record.headers)["stream-pricing-reason"].decode() for record in rejected)
