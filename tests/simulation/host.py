"""A host in a world: it runs one worker after the other."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from streams.errors import Refused
from streams.session import Producer
from streams.settings import Settings
from streams.worker import Worker
from tests.simulation import (
    ClientSettings,
    SimClients,
    SimProducer,
)

if TYPE_CHECKING:
    from tests.simulation.world import World


class HostProducer(SimProducer, Producer):
    """A worker's: it watches its connection to the simulated broker."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._watch_connections()


class HostClients(SimClients):
    """A worker's."""

    def producer(self, transactional_id: str) -> HostProducer:
        return HostProducer(self._wire(), transactional_id, self.settings)


class Host:
    """Runs one worker after the other: what dies is replaced `restart_ms` later, under another name. Its
    clock is off by `clock_off_ms`."""

    def __init__(self, world: World, name: str, restart_ms: float = 300, settings: Settings | None = None) -> None:
        self.name = name
        self.restart_ms = restart_ms
        self.worker: Worker | None = None
        self.failure: BaseException | None = None
        self.deaths = 0
        self.clock_off_ms = 0
        self._world = world
        self._settings = settings or world.settings
        self._number = 0
        self._leaving = False
        self.life = world.loop.create_task(self._live())

    async def _live(self) -> None:
        while not self._leaving:
            self._number += 1
            clients = self.clients = HostClients(
                self._world.broker, f"{self.name}.{self._number}", self._client_settings()
            )
            task = clients.spawn(self._work(clients))
            await asyncio.wait([task, clients.died], return_when=asyncio.FIRST_COMPLETED)
            self.worker = None
            if task.done() and (error := task.exception()) is not None:
                self.failure = error
                if not _may_be_started_again(error):
                    self._world.problems_found.append(f"{self.name} ended: {error!r}")
                    return
            if not task.done():
                self.deaths += 1
            if not self._leaving:
                await asyncio.sleep(self.restart_ms / 1000)

    async def _work(self, clients: SimClients) -> None:
        world = self._world
        self.worker = Worker(self._settings, clients, world.metrics, world.partitions, self._clock_ms)
        await self.worker.run()

    def _clock_ms(self) -> int:
        return self._world.loop.now_ms() + self.clock_off_ms

    def _client_settings(self) -> ClientSettings:
        settings = self._settings
        return ClientSettings(
            group=settings.group,
            request_timeout_ms=settings.request_timeout_ms,
            transaction_timeout_ms=settings.transaction_timeout_ms,
            session_timeout_ms=settings.session_timeout_ms,
            heartbeat_interval_ms=settings.session_timeout_ms // 4,
            rebalance_timeout_ms=settings.rebalance_timeout_ms,
        )

    def kill(self) -> None:
        self.clients.kill()

    def freeze(self, for_ms: float) -> None:
        self.clients.freeze(for_ms)

    def drain(self) -> None:
        """SIGTERM; another worker comes after it."""
        if self.worker is not None:
            self.worker.stop()

    async def stop(self) -> None:
        """SIGTERM, for good."""
        self._leaving = True
        self.drain()
        await asyncio.wait([self.life])


def _may_be_started_again(error: BaseException) -> bool:
    """Whoever runs workers starts those again that did not find their broker."""
    return isinstance(error, Refused) and str(error).startswith("cannot join the group")
