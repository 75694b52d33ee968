"""One seed lived through: a stream, faults, deaths, rebalances, a cure.

report = live(Plan.of(seed))
assert report.problems == []              # nothing lost, doubled or mispriced, memory is what the changelog says
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from contextlib import nullcontext
from dataclasses import dataclass, field

from tests.simulation import (
    Kind,
)
from tests.simulation.faults import no_faults
from tests.simulation.host import Host
from tests.simulation.plans import RECORDS, Act, Focus, Plan
from tests.simulation.published import LATE_ACCOUNT, oracles
from tests.simulation.world import World, quiet, simulated
from tests.usage import RawRecord


@dataclass
class Report:
    """What came of a plan."""

    problems: list[str]
    trace_hash: str
    hits: Counter[tuple[str, Kind]]
    seen: Counter[str] = field(default_factory=Counter)


def live(plan: Plan, *, quietly: bool = True) -> Report:
    """Run a plan to its end and hold the account."""
    made: list[World] = []

    async def main() -> list[str]:
        world = World(
            Focus(plan.seed, plan.focus),
            plan.partitions,
            require_account=plan.require_account,
        )
        made.append(world)
        return await _Seeded(world, plan).run()

    with quiet() if quietly else nullcontext():
        try:
            problems = simulated(main(), plan.seed)
        except Exception as error:
            problems = [f"{type(error).__name__}: {error}"]
    world = made[0]
    deaths = sum(host.deaths for host in world.hosts)
    seen = Counter(deaths=deaths, hosts=len(world.hosts))
    return Report(problems, world.broker.trace_hash(), world.broker.hits, seen)


class _Seeded:
    """The random course of one seed."""

    def __init__(self, world: World, plan: Plan) -> None:
        self._world = world
        self._plan = plan
        self._rng = random.Random(f"{plan.seed}/course")

    async def run(self) -> list[str]:
        world, plan = self._world, self._plan
        world.publish_samples()
        for _ in range(plan.hosts):
            world.host()
            await asyncio.sleep(self._rng.choice([0, 0.02, 0.3, 1.5]))
        acting = asyncio.ensure_future(self._act())
        await self._send(plan.records())
        await acting
        await self._spend()
        world.broker.faults = no_faults
        await world.settle()
        books = oracles(plan.stream_seed, plan.require_account, plan.late_account)
        problems = world.problems(*books)
        await world.stop_all()
        return problems or world.problems_found

    async def _spend(self) -> None:
        """Give the fault that the seed is about its time; only a worker that stops leaves its group."""
        for _ in range(15):
            if self._world.broker.faults.is_spent:  # type: ignore[attr-defined]
                return
            if self._plan.focus[0] == "leave":
                self._world.hosts[0].drain()
            await asyncio.sleep(1)

    async def _send(self, records: list[RawRecord]) -> None:
        """All records in some five seconds, the cure in the middle, the account somewhere."""
        world, rng = self._world, self._rng
        at = 0
        cured = False
        account_at = rng.randint(0, RECORDS)
        while at < len(records):
            size = rng.choice([1, 2, 5, 12])
            world.send(*records[at : at + size])
            if at <= account_at < at + size and self._plan.late_account:
                self._late_account()
            at += size
            if at >= len(records) // 2 and not cured:
                cured = True
                world.publish(cured=True)
            await asyncio.sleep(rng.uniform(0, 0.5))
        if not cured:
            world.publish(cured=True)
        if self._plan.late_account and account_at >= len(records):
            self._late_account()

    def _late_account(self) -> None:
        partition = self._rng.choice([None, None, self._rng.randrange(self._world.partitions)])
        self._world.apply_accounts([LATE_ACCOUNT], partition)

    async def _act(self) -> None:
        start = self._world.loop.time()
        for act in self._plan.acts:
            await asyncio.sleep(max(0.0, start + act.at_s - self._world.loop.time()))
            getattr(self, f"_{act.what}")(act)

    def _host(self, act: Act) -> Host:
        return self._world.hosts[act.who % len(self._world.hosts)]

    def _kill(self, act: Act) -> None:
        self._host(act).restart_ms = act.ms
        self._host(act).kill()

    def _freeze(self, act: Act) -> None:
        self._host(act).freeze(act.ms)

    def _stop(self, act: Act) -> None:
        self._host(act).restart_ms = act.ms
        self._host(act).drain()

    def _join(self, act: Act) -> None:
        self._world.host()

    def _restart_broker(self, act: Act) -> None:
        self._world.broker.restart(act.ms)

    def _compact(self, act: Act) -> None:
        self._world.compact()

    def _forget_offsets(self, act: Act) -> None:
        settings = self._world.settings
        lost = self._world.broker.group_offsets(settings.group)
        self._world.broker.set_group_offsets(settings.group, dict.fromkeys(lost))
