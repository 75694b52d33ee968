"""What a partition's logs say, read as read_committed: its state, held against the group's offsets, and its accounts.

Called with the old owner fenced: whatever is in the logs then is all that it has committed.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
from aiokafka import ConsumerRecord, TopicPartition

from streams.clients import Clients, stop
from streams.errors import Refused, Silent
from streams.packed_totals import PackedTotals
from streams.reading import read_to
from streams.settings import Settings
from streams.state import Position, State, StateContradiction, restore

log = logging.getLogger(__name__)

COMMITTED_BY = "stream-pricing"  # the metadata of an offset that a worker has committed: a reset has other

_FETCH_S = 0.01
_ASK_AGAIN_S = (0.5, 1.5)


class Kept(NamedTuple):
    """A state in memory, and where the position record that it ends with lies in the changelog."""

    state: State
    position_at: int


@dataclass(frozen=True, slots=True)
class Restored:
    """What the logs say: the state, where its position lies, the accounts that it has not taken in yet; and the offsets
    to which the changelogs were read, by topic."""

    state: State
    position_at: int
    accounts: list[ConsumerRecord]
    ends: dict[str, int]


class PartitionLogs:
    """The logs of one partition."""

    def __init__(self, clients: Clients, settings: Settings, partition: int, partitions: int) -> None:
        self._clients = clients
        self._settings = settings
        self._topics = settings.topics
        self._partition = partition
        self._partitions = partitions
        self._timeout_s = settings.request_timeout_ms / 1000

    async def restore(self, kept: Kept | None) -> Restored:
        """Read the state, or take the kept one where it is still what the changelog ends with.

        Refused where the logs contradict each other, but not at once: a broker that was frozen answers from before,
        until it hears that it was replaced.
        """
        for pause_s in _ASK_AGAIN_S:
            try:
                return await self._restore(kept)
            except Silent:
                raise
            except Refused:
                kept = None
            await asyncio.sleep(pause_s)
        return await self._restore(None)

    async def _restore(self, kept: Kept | None) -> Restored:
        async with self._reader() as reader:
            ends: dict[str, int] = {}
            if kept is None or not await self._is_current(reader, kept, ends):
                kept = await self._read_state(reader, ends)
            for topic in ends:
                await self._refuse_hidden(reader, self._part(topic))
            state = kept.state
            state.position = await self._checked(reader, state.position)
            accounts: list[ConsumerRecord] = []
            await self._read(reader, {self._part(self._topics.accounts): state.position.accounts}, accounts.append)
            return Restored(state, kept.position_at, accounts, ends)

    async def read_parked(self, offsets: Sequence[int]) -> dict[int, ConsumerRecord]:
        """The records at these offsets (ascending) of the parked topic; those that are gone are left out."""
        wanted = set(offsets)
        found: dict[int, ConsumerRecord] = {}

        def keep(record: ConsumerRecord) -> None:
            if record.offset in wanted:
                found[record.offset] = record

        async with self._reader() as reader:
            await self._read(reader, {self._part(self._topics.parked): offsets[0]}, keep, until=offsets[-1] + 1)
        return found

    @asynccontextmanager
    async def _reader(self) -> AsyncIterator[Any]:
        reader = self._clients.reader()
        try:
            async with asyncio.timeout(self._settings.start_timeout_s):
                await reader.start()
            yield reader
        finally:
            await stop(reader)

    async def _read_state(self, reader: Any, ends: dict[str, int]) -> Kept:
        changelog: dict[bytes, bytes] = {}
        totals = PackedTotals()
        position_at = -1

        def take(record: ConsumerRecord) -> None:
            nonlocal position_at
            if record.topic == self._topics.totals:
                _take_total(totals, record)
            elif record.value is None:
                changelog.pop(record.key, None)
            else:
                changelog[record.key] = record.value
            if record.key == b"position":
                position_at = record.offset

        ends |= await self._read(
            reader, {self._part(topic): 0 for topic in (self._topics.state, self._topics.totals)}, take
        )
        app, partition, partitions = self._settings.app, self._partition, self._partitions
        return Kept(restore(changelog, totals, app=app, partition=partition, partitions=partitions), position_at)

    async def _is_current(self, reader: Any, kept: Kept, ends: dict[str, int]) -> bool:
        """Whether the last position in the changelog is still the one that the kept state ends with."""
        last: list[bytes] = []

        def take(record: ConsumerRecord) -> None:
            if record.key == b"position":
                last.append(record.value)

        ends |= await self._read(reader, {self._part(self._topics.state): kept.position_at}, take)
        return bool(last) and last[-1] == msgspec.json.encode(kept.state.position)

    async def _refuse_hidden(self, reader: Any, part: TopicPartition) -> None:
        """Refused where a changelog does not end with its last stable offset: the end of a transaction is missing.

        Its records would be made anew, and the next commit would show them beside those.
        """
        async with asyncio.timeout(self._timeout_s):
            while (end := reader.highwater(part)) is None:  # noqa: ASYNC110  a fetch sets it, and gives no sign
                await asyncio.sleep(_FETCH_S)
        stable = reader.last_stable_offset(part)
        if stable < end:
            raise Refused(
                f"{part.topic}-{part.partition} has records from {stable} to {end} of a transaction that has no end and"
                " of which nobody knows how it was decided: see kafka-transactions.sh find-hanging"
            )

    async def _read(
        self,
        reader: Any,
        starts: Mapping[TopicPartition, int],
        take: Callable[[ConsumerRecord], None],
        *,
        until: int | None = None,
    ) -> dict[str, int]:
        """Read each partition from its start, or the log's if that is later, to its last stable offset as of now.

        Returns that offset by topic. `until`: to there instead, however long it takes: what has just been committed
        becomes stable with its marker only.
        """
        parts = list(starts)
        async with asyncio.timeout(self._timeout_s):
            reader.assign(parts)
            beginnings = await reader.beginning_offsets(parts)
            ends = await reader.end_offsets(parts)
        first = {part: max(start, beginnings[part]) for part, start in starts.items()}
        for part in parts:
            reader.seek(part, first[part])
        last = {part: ends[part] if until is None else until for part in parts}
        await read_to(reader, {part: last[part] for part in parts if last[part] > first[part]}, take, self._timeout_s)
        return {part.topic: end for part, end in last.items()}

    async def _checked(self, reader: Any, position: Position) -> Position:
        """The position, held against the group's offsets and the logs; a new one begins at the beginning."""
        parts = [self._part(topic) for topic in self._topics.inputs]
        async with asyncio.timeout(self._settings.start_timeout_s):
            committed = await self._clients.committed(parts)
            beginnings = await reader.beginning_offsets(parts)
            ends = await reader.end_offsets(parts)
        name = self._settings.group
        resolved = []
        for part, offset in zip(parts, position.offsets, strict=True):
            group, first, end = committed[part], beginnings[part], ends[part]
            where = f"{part.topic}-{part.partition}"
            if group is not None and group.offset == first > offset >= 0 and group.metadata != COMMITTED_BY:
                log.warning("%s: offsets %d to %d are gone, group %s was reset to go on", where, offset, first, name)
                offset = first
            if group is not None and group.offset != offset:
                state = "is empty" if offset < 0 else f"says {offset}"
                raise Refused(f"group {name} has offset {group.offset} for {where}, but the state {state}")
            if offset > end or 0 <= offset < first:
                way_on = f"; to go on without what lay between, reset group {name} to the earliest offset there"
                gone = f"{where} has offsets {first} to {end}, but the state is at {offset}"
                raise Refused(gone + way_on if offset < first else gone)
            resolved.append(first if offset < 0 else offset)
        raw, rekeyed, accounts = resolved
        return msgspec.structs.replace(position, raw=raw, rekeyed=rekeyed, accounts=accounts)

    def _part(self, topic: str) -> TopicPartition:
        return TopicPartition(topic, self._partition)


def _take_total(totals: PackedTotals, record: ConsumerRecord) -> None:
    try:
        key = record.key.decode()
        if record.value is None:
            totals.pop(key, None)
        else:
            totals[key] = record.value
    except ValueError as error:
        where = f"{record.topic}-{record.partition} offset {record.offset}"
        raise StateContradiction(f"{where} has the key {record.key!r:.80}, which is not a total's: {error}") from None
