"""The consumer that is a member of the group: joins, heartbeats, callbacks, in the order of aiokafka's
coordinator.

Simulated: revoke (with an empty set at the first join) is awaited while heartbeats go on; then join and
sync; the committed offsets are asked for before the assign callback, which is awaited without heartbeats;
exceptions in both are swallowed; `start` returns when the assignment is set, maybe before its callback has
run; `getmany` waits, past its timeout, while a rebalance goes on; `stop` waits for a running callback,
leaves, and calls none. Not simulated: max_poll_interval, coordinator look-ups, metadata changes, static
membership, authorization errors.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterable
from functools import partial
from typing import Any

from aiokafka.errors import (
    BrokerResponseError,
    KafkaError,
    RebalanceInProgressError,
    RequestTimedOutError,
)
from aiokafka.structs import TopicPartition

from .broker import SimBroker
from .consumer import RETRY_S, SimConsumer
from .groups import Membership
from .settings import ClientSettings
from .wire import Wire


class SimGroupConsumer(SimConsumer):
    def __init__(
        self, broker: SimBroker, wire: Wire, settings: ClientSettings, topics: Iterable[str], listener: Any
    ) -> None:
        super().__init__(broker, wire, settings.request_timeout_ms)
        self.heartbeat_at: float | None = None
        """Loop time at which the last successful heartbeat (or sync) was SENT; its answer may be read much
        later.
        """
        self._settings = settings
        self._group = broker.group(settings.group)
        self._topics = tuple(topics)
        self._listener = listener
        self._member_id = ""
        self._generation = 0
        self._rebalancing = True
        self._revoked = False
        self._rejoin = asyncio.Event()
        self._stopping = asyncio.Event()
        self._coordination: asyncio.Task[None] | None = None
        self._heartbeats: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Join; returns once there is an assignment, which may be empty."""
        await super().start()
        self._rejoin.set()
        self._coordination = self._loop.create_task(self._coordinate())
        await self._while_rebalancing()

    def check_errors(self) -> None:
        """The simulated coordination retries by itself and keeps no errors."""

    async def stop(self) -> None:
        """Leave the group. No revoke callback."""
        if self._closed:
            return
        self._stopping.set()
        self._rejoin.set()
        if self._coordination is not None:
            await self._coordination
        await self._stop_heartbeats()
        await super().stop()
        if self._member_id:
            try:
                await self._wire.call("leave", self._member_id, partial(self._group.leave, self._member_id))
            except KafkaError:
                pass
        self._member_id = ""

    def assign(self, tps: Iterable[TopicPartition]) -> None:
        raise AssertionError("a member is assigned its partitions by the group")

    async def _while_rebalancing(self) -> None:
        while self._rebalancing and not self._closed:
            await self._change()

    async def _coordinate(self) -> None:
        while True:
            await self._rejoin.wait()
            if self._stopping.is_set():
                return
            if not self._revoked:
                self._rebalancing = True
                await self._tell(self._listener.on_partitions_revoked)
                self._revoked = True
            await self._stop_heartbeats()
            assigned = await self._join()
            if assigned is None:
                await asyncio.sleep(RETRY_S)
                continue
            self._revoked = self._rebalancing = False
            self._hold(assigned)
            await self._tell(self._listener.on_partitions_assigned)
            self._heartbeats = self._loop.create_task(self._beat())

    async def _tell(self, callback: Any) -> None:
        """Await a callback of the user; what it raises is only logged by aiokafka."""
        try:
            result = callback(self.assignment())
            if inspect.iscoroutine(result):
                await result
        except Exception:
            pass

    async def _join(self) -> tuple[TopicPartition, ...] | None:
        """JoinGroup and SyncGroup, once; None if the group has to be joined again."""
        self._member_id = self._member_id or self._broker.draw_member_id()
        settings = self._settings
        about = Membership(self._member_id, self._topics, settings.session_timeout_ms, settings.rebalance_timeout_ms)
        try:
            self._generation = await self._wire.call("join", self._member_id, partial(self._group.join, about))
            self._rejoin.clear()
            sent_at = self._loop.time()
            sync = partial(self._group.sync, self._member_id, self._generation)
            assigned = await self._wire.call("sync", (self._member_id, self._generation), sync)
        except KafkaError as error:
            self._rejoin.set()
            self._note(error)
            return None
        self.heartbeat_at = sent_at
        return tuple(assigned)

    async def _beat(self) -> None:
        pause = self._settings.heartbeat_interval_ms / 1000
        while self._member_id:
            await asyncio.sleep(pause)
            pause = self._settings.heartbeat_interval_ms / 1000
            sent_at = self._loop.time()
            beat = partial(self._group.heartbeat, self._member_id, self._generation)
            try:
                await self._wire.call("heartbeat", (self._member_id, self._generation), beat)
            except RebalanceInProgressError:
                self._rejoin.set()
            except KafkaError as error:
                self._note(error)
                pause = RETRY_S
                continue
            self.heartbeat_at = sent_at

    def _note(self, error: KafkaError) -> None:
        """The broker does not know this member or generation: join as a new one. A broken connection means
        nothing.
        """
        if isinstance(error, BrokerResponseError) and not isinstance(
            error, RebalanceInProgressError | RequestTimedOutError
        ):
            self._member_id = ""
            self._rejoin.set()

    async def _stop_heartbeats(self) -> None:
        task, self._heartbeats = self._heartbeats, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def _find_committed(self, tps: list[TopicPartition]) -> dict[TopicPartition, int]:
        return await self._wire.call("committed", tuple(tps), lambda: self._broker.group_offsets(self._settings.group))
