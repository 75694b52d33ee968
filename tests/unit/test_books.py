"""The book that a worker follows: how records become one book, and what a client may do meanwhile."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple
from unittest import mock

import pytest
from aiokafka import TopicPartition

from pricing.book_records import parse_publication, publication_bytes, publication_of
from streams.books import Books
from streams.metrics import Metrics
from streams.settings import Settings
from tests.product import rate

RATES = [
    publication_of(rate(start=f"2026-01-0{day}T00:00:00Z"), published_at=0, retroactive=False) for day in (1, 2, 3)
]


class Record(NamedTuple):
    offset: int
    key: bytes
    value: bytes


RECORDS = [Record(offset, each.key.encode(), publication_bytes(each)) for offset, each in enumerate(RATES)]


class Reader:
    """A client that has three rates at once behind its beginning; its own futures are cancelled `cancels` times."""

    def __init__(self, cancels: int = 0) -> None:
        self.cancels = cancels

    def reader(self, fetch_wait_ms: int) -> Reader:
        self.fetch_wait_ms = fetch_wait_ms
        return self

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def assign(self, parts: list[TopicPartition]) -> None: ...

    def seek(self, part: TopicPartition, offset: int) -> None:
        self.next = offset

    async def beginning_offsets(self, parts: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(parts, 0)

    end_offsets = beginning_offsets

    async def getmany(self, part: TopicPartition, timeout_ms: int) -> dict[TopicPartition, list[Record]]:
        if self.cancels:
            self.cancels -= 1
            raise asyncio.CancelledError
        await asyncio.sleep(0.001)
        new = RECORDS[self.next :]
        self.next = len(RECORDS)
        return {part: new}


async def followed(reader: Any, *others: Any) -> list[tuple[int, set[str]]]:
    """How many rates the book has, and what was told, each time it was told."""
    told: list[tuple[int, set[str]]] = []
    is_told = asyncio.Event()

    def published(names: set[str]) -> None:
        told.append((len(books.current.fx), names))
        is_told.set()

    settings = Settings()
    books = Books(reader, settings, Metrics("1", settings.topics), published)
    running = [asyncio.ensure_future(each) for each in (books.run(), *others)]
    async with asyncio.timeout(5):
        await asyncio.wait([running[0], asyncio.ensure_future(is_told.wait())], return_when=asyncio.FIRST_COMPLETED)
    for each in running:
        each.cancel()
    await asyncio.wait(running)
    return told


def test_others_have_their_turn_between_publications_and_none_sees_a_book_in_between() -> None:
    """Thirty lists of the market take ten seconds to read: without a heartbeat the partitions would be lost."""
    parsed: list[object] = []
    seen: set[int] = set()

    def parse(*record: Any) -> Any:
        parsed.append(record)
        return parse_publication(*record)

    async def other() -> None:
        while True:
            seen.add(len(parsed))
            await asyncio.sleep(0)

    with mock.patch("streams.books.parse_publication", parse):
        assert asyncio.run(followed(Reader(), other())) == [(3, {"fx"})]
    assert seen >= {0, 1, 2}


def test_a_client_that_cancels_its_own_fetch_does_not_end_the_book(monkeypatch: pytest.MonkeyPatch) -> None:
    """As clients do with the broker away; nobody has asked the worker to end."""
    monkeypatch.setattr("streams.books.RETRY_S", 0.001)
    assert asyncio.run(followed(Reader(cancels=2))) == [(3, {"fx"})]


def test_the_broker_is_not_asked_again_and_again_while_nothing_is_published() -> None:
    """Each answer costs the worker and the broker a millisecond; one that waits ends with a publication."""
    reader = Reader()
    asyncio.run(followed(reader))
    assert reader.fetch_wait_ms >= 500
