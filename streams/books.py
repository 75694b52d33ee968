"""The price book as it grows: reads `pricing.books.v1` whole before the first event, and follows it from then on."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from aiokafka import ConsumerRecord, TopicPartition

from pricing.book import Book, Policy
from pricing.book_records import Publication, parse_publication
from pricing.errors import InvalidDocument
from pricing.times import format_time
from streams.clients import Clients, is_cancelled, stop
from streams.errors import Refused
from streams.kafka_errors import TROUBLE, OutcomeUnknown, classify
from streams.metrics import Metrics
from streams.reading import read_to
from streams.settings import Settings

log = logging.getLogger(__name__)

POLL_MS = 200
RETRY_S = 1.0
_FETCH_WAIT_MS = 500  # a publication ends the wait


def policy_of(settings: Settings) -> Policy:
    """The settings that decide prices."""
    return Policy(settings.sheets, settings.report_currencies, settings.require_account, settings.cost_sheets)


class Books:
    """Holds the current book; `published` is called with what a publication may cure, after the book is swapped."""

    def __init__(
        self, clients: Clients, settings: Settings, metrics: Metrics, published: Callable[[set[str]], None]
    ) -> None:
        self.current = Book(policy_of(settings))
        self.ready = asyncio.Event()
        self.progress_at = asyncio.get_running_loop().time()
        self._clients = clients
        self._part = TopicPartition(settings.topics.books, 0)
        self._timeout_s = settings.request_timeout_ms / 1000
        self._start_timeout_s = settings.start_timeout_s
        self._metrics = metrics
        self._published = published
        self._known: set[str] = set()
        self._next = 0

    async def run(self) -> None:
        """Follow the topic for ever. Raises Refused for what only the operator can mend."""
        while True:
            self.progress_at = asyncio.get_running_loop().time()
            try:
                await self._follow()
            except TROUBLE as error:
                meaning = classify(error)
                if isinstance(meaning, Refused):
                    raise meaning from error
            except asyncio.CancelledError:
                if is_cancelled():
                    raise
                meaning = OutcomeUnknown("a client has cancelled its caller")
            log.warning("books: %s; reading on in %g s", meaning, RETRY_S)
            await asyncio.sleep(RETRY_S)

    async def _follow(self) -> None:
        reader = self._clients.reader(fetch_wait_ms=_FETCH_WAIT_MS)
        try:
            async with asyncio.timeout(self._start_timeout_s):
                await reader.start()
                reader.assign([self._part])
                beginning = (await reader.beginning_offsets([self._part]))[self._part]
                end = (await reader.end_offsets([self._part]))[self._part]
            self._next = max(self._next, beginning)
            reader.seek(self._part, self._next)
            found: list[ConsumerRecord] = []
            if end > self._next:
                await read_to(reader, {self._part: end}, found.append, self._timeout_s)
            await self._take(found)
            reader.seek(self._part, self._next)  # what came after that end, in the same answer, was passed over
            self.ready.set()
            while True:
                await self._poll(reader)
        finally:
            await stop(reader)

    async def _poll(self, reader: Any) -> None:
        self.progress_at = asyncio.get_running_loop().time()
        async with asyncio.timeout(self._timeout_s):
            batches = await reader.getmany(self._part, timeout_ms=POLL_MS)
        await self._take([record for records in batches.values() for record in records])

    async def _take(self, records: list[ConsumerRecord]) -> None:
        """The first valid record of each name counts; the book is swapped once, whole."""
        new: list[Publication] = []
        for record in records:
            # A list of the market takes a third of a second: heartbeats cannot wait until all of its versions are read.
            await asyncio.sleep(0)
            self.progress_at = asyncio.get_running_loop().time()
            self._next = record.offset + 1
            self._metrics.records_consumed.labels(self._part.topic).inc()
            publication = self._valid(record)
            if publication is None:
                continue
            self._known.add(publication.key)
            new.append(publication)
            if publication.sheet is not None:
                self._metrics.book_info.labels(publication.id, publication.version).set(1)
            log.info("books: %s counts from %s on", publication.name, format_time(publication.from_ns))
        if new:
            self.current = self.current.with_publications(each.document for each in new)
            self._published({"fx" if each.kind == "fx" else f"sheet/{each.id}" for each in new})

    def _valid(self, record: ConsumerRecord) -> Publication | None:
        try:
            publication = parse_publication(record.key, record.value)
        except InvalidDocument as invalid:
            log.error("books: offset %d is ignored: %s", record.offset, invalid)
        else:
            if publication.key not in self._known:
                return publication
            log.warning("books: offset %d is ignored: %s is published already", record.offset, publication.name)
        self._metrics.book_problems.inc()
        return None
