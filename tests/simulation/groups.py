"""The group coordinator: members, generations, eager rebalances, range assignment.

Simulated: every join revokes everything; a rebalance waits for all members, at most their rebalance
timeout, and then goes on without the missing; a member whose heartbeats stop for its session timeout is
removed, and one that waits in a join is not; heartbeats keep a member alive while a rebalance goes on;
range assignment per topic over random member ids. Not simulated: the leader's part (the broker assigns, so
a leader that dies between join and sync delays no one), a follower's rejoin that changes nothing (it
rebalances here), static members, the initial rebalance delay, several group protocols.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from aiokafka.errors import IllegalGenerationError, RebalanceInProgressError, UnknownMemberIdError
from aiokafka.structs import TopicPartition

from .loop import VirtualLoop


@dataclass(frozen=True, slots=True)
class Membership:
    """What a member says of itself when it joins."""

    member_id: str
    topics: tuple[str, ...]
    session_timeout_ms: int
    rebalance_timeout_ms: int


@dataclass(slots=True)
class Member:
    about: Membership
    seen_at: float
    joining: asyncio.Future[int] | None = None
    assigned: tuple[TopicPartition, ...] = ()
    timer: asyncio.TimerHandle | None = None


@dataclass(slots=True)
class Group:
    loop: VirtualLoop
    partitions_of: Callable[[str], int]
    members: dict[str, Member] = field(default_factory=dict)
    generation: int = 0
    rebalancing: bool = False
    deadline: asyncio.TimerHandle | None = None

    def join(self, about: Membership) -> asyncio.Future[int]:
        """The next generation, once all members have joined it. A second join replaces the first."""
        member = self.members.get(about.member_id)
        if member is None:
            member = self.members[about.member_id] = Member(about, self.loop.time())
            self._watch(member)
        elif member.joining is not None:
            member.joining.cancel()
        member.about, member.joining = about, self.loop.create_future()
        joined = member.joining
        self._rebalance()
        return joined

    def sync(self, member_id: str, generation: int) -> tuple[TopicPartition, ...]:
        return self._get(member_id, generation).assigned

    def heartbeat(self, member_id: str, generation: int) -> None:
        """Raises what tells a member to join again; RebalanceInProgressError still counts as a sign of
        life.
        """
        self._get(member_id, generation)

    def leave(self, member_id: str) -> None:
        self._get(member_id, None)
        self._remove(member_id)
        self._rebalance()

    def renew(self) -> None:
        """After a restart of the broker all members have their whole session timeout again."""
        for member in self.members.values():
            member.seen_at = self.loop.time()

    def _get(self, member_id: str, generation: int | None) -> Member:
        member = self.members.get(member_id)
        if member is None:
            raise UnknownMemberIdError(member_id)
        if generation is not None and generation != self.generation:
            raise IllegalGenerationError(f"{member_id}: generation {generation}, now {self.generation}")
        member.seen_at = self.loop.time()
        if generation is not None and self.rebalancing:
            raise RebalanceInProgressError(member_id)
        return member

    def _remove(self, member_id: str) -> None:
        member = self.members.pop(member_id)
        if member.timer is not None:
            member.timer.cancel()
        if member.joining is not None:
            member.joining.cancel()

    def _watch(self, member: Member) -> None:
        due = member.seen_at + member.about.session_timeout_ms / 1000
        member.timer = self.loop.later(due - self.loop.time(), self._expire, member)

    def _expire(self, member: Member) -> None:
        if member.joining is not None:
            member.seen_at = self.loop.time()
        if self.loop.time() < member.seen_at + member.about.session_timeout_ms / 1000:
            self._watch(member)
            return
        self._remove(member.about.member_id)
        self._rebalance()

    def _rebalance(self) -> None:
        """Begin a rebalance unless one runs; end it if no one is missing."""
        if not self.members:
            self._cancel_deadline()
            self.rebalancing = False
            return
        if not self.rebalancing:
            self.rebalancing = True
            longest = max(member.about.rebalance_timeout_ms for member in self.members.values())
            self.deadline = self.loop.later(longest / 1000, self._go_on_without)
        if all(member.joining is not None for member in self.members.values()):
            self._complete()

    def _go_on_without(self) -> None:
        for member_id in [id for id, member in self.members.items() if member.joining is None]:
            self._remove(member_id)
        self._rebalance()

    def _complete(self) -> None:
        self._cancel_deadline()
        self.generation += 1
        self.rebalancing = False
        self._assign()
        for member in self.members.values():
            joined, member.joining = member.joining, None
            member.seen_at = self.loop.time()
            if joined is not None and not joined.done():
                joined.set_result(self.generation)

    def _cancel_deadline(self) -> None:
        if self.deadline is not None:
            self.deadline.cancel()
            self.deadline = None

    def _assign(self) -> None:
        """RangeAssignor: by topic, members in the order of their ids, the first ones get one more."""
        shares: dict[str, list[TopicPartition]] = {id: [] for id in self.members}
        for topic in sorted({topic for member in self.members.values() for topic in member.about.topics}):
            ids = sorted(id for id, member in self.members.items() if topic in member.about.topics)
            each, extra = divmod(self.partitions_of(topic), len(ids))
            start = 0
            for i, id in enumerate(ids):
                stop = start + each + (i < extra)
                shares[id] += [TopicPartition(topic, p) for p in range(start, stop)]
                start = stop
        for id, share in shares.items():
            self.members[id].assigned = tuple(share)
