"""The topics of prices and accounts, as the command line uses them: read whole, and appended to with care.

Nothing here reads the clock. A record counts when its broker has acknowledged it with all replicas in sync.
"""

import asyncio
from collections.abc import Collection, Sequence
from typing import NamedTuple

import msgspec
from aiokafka import AIOKafkaProducer, ConsumerRecord
from aiokafka.errors import MessageSizeTooLargeError

from pricing.accounts import Account, account_bytes, parse_account
from pricing.book_records import (
    Publication,
    check_start,
    first_of_each,
    is_published,
    parse_publication,
    publication_bytes,
)
from pricing.documents import DOCUMENT_BYTES_MAX
from pricing.errors import InvalidDocument
from streams.admin import partition_count
from streams.clients import stop
from streams.errors import Refused
from streams.reading import read_topic
from streams.settings import Settings
from streams.topics import BOOK_RECORD_BYTES_MAX, RECORD_BYTES

_CHUNK_RECORDS = 500


class Shelf(NamedTuple):
    """The publications that count, in their order, and what is wrong with the records that do not."""

    book: list[Publication]
    problems: list[str]


async def read_shelf(settings: Settings) -> Shelf:
    """All that is published."""
    found: list[Publication] = []
    problems: list[str] = []

    def note(record: ConsumerRecord) -> None:
        try:
            found.append(parse_publication(record.key, record.value))
        except InvalidDocument as invalid:
            problems.append(f"offset {record.offset}: {invalid}")

    await read_topic(settings, settings.topics.books, on_record=note)
    return Shelf(first_of_each(found), problems)


async def publish(settings: Settings, new: Publication, now: int) -> bool:
    """Publish; False where exactly this is published already. `now` in nanoseconds since 1970.

    Raises InvalidDocument where the version exists with other content, or starts in the past and does not say
    so.
    """
    book = (await read_shelf(settings)).book
    if is_published(book, new):
        return False
    check_start(book, new, now)
    value = publication_bytes(new)
    if len(value) > DOCUMENT_BYTES_MAX:
        raise InvalidDocument(new.name, [f"has {len(value):,} bytes, at most {DOCUMENT_BYTES_MAX:,} can be read again"])
    try:
        await _send(settings, settings.topics.books, [(new.key, value)])
    except MessageSizeTooLargeError:
        raise Refused(
            f"{new.name} has {len(value):,} bytes, and even compressed topic {settings.topics.books} does not take it: "
            f"set its {RECORD_BYTES} to {BOOK_RECORD_BYTES_MAX}"
        ) from None
    # Another may have been published in between: then it came first, and this one does not count.
    return is_published((await read_shelf(settings)).book, new)


async def publish_accounts(settings: Settings, accounts: Sequence[Account]) -> list[Account]:
    """Publish the accounts, keyed by organization, by Kafka's default partitioner; those that were new.

    In the order of their versions: compaction keeps the last record, and the greatest version has to be that.

    Raises InvalidDocument where workers would ignore the greatest version of an organization: what is published is
    later, or says otherwise.
    """
    await partition_count(settings, settings.topics.accounts)
    known = await find_accounts(settings, {account.organization for account in accounts})
    ascending = sorted(accounts, key=lambda each: each.version)
    greatest = {account.organization: account for account in ascending}
    if problems := [problem for name in sorted(known) if (problem := _contradiction(greatest[name], known[name]))]:
        raise InvalidDocument("accounts", problems)
    versions = {name: account.version for name, account in known.items()}
    new = [account for account in ascending if account.version > versions.get(account.organization, -1)]
    await _send(settings, settings.topics.accounts, [(account.organization, account_bytes(account)) for account in new])
    return new


def _contradiction(new: Account, known: Account) -> str:
    if new.version < known.version:
        return f"{new.organization}: version {new.version} is not after version {known.version}, which is published"
    if new.version == known.version and new != known:
        published, given = account_bytes(known).decode(), account_bytes(new).decode()
        return f"{new.organization}: published is {published}, and not {given}"
    return ""


class _Organization(msgspec.Struct):
    organization: str


_ORGANIZATION = msgspec.json.Decoder(_Organization)


async def find_accounts(settings: Settings, organizations: Collection[str]) -> dict[str, Account]:
    """What counts of these organizations: of the valid records of each the one with the greatest version."""
    found: dict[str, Account] = {}

    def note(record: ConsumerRecord) -> None:
        try:
            # Reading every account of a large topic would take minutes.
            if _ORGANIZATION.decode(record.value or b"").organization not in organizations:
                return
            account = parse_account(record.value)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, InvalidDocument):
            return
        known = found.get(account.organization)
        if known is None or account.version > known.version:
            found[account.organization] = account

    await read_topic(settings, settings.topics.accounts, on_record=note)
    return found


async def _send(settings: Settings, topic: str, records: Sequence[tuple[str, bytes]]) -> None:
    """Append keys and values in their order and wait until all in-sync replicas have them."""
    timeout_s = settings.request_timeout_ms / 1000
    producer = AIOKafkaProducer(
        **settings.client_options(),
        request_timeout_ms=settings.request_timeout_ms,
        enable_idempotence=True,
        acks="all",
        # A sheet of thousands of models is over a broker's usual limit of 1 MB, which counts compressed
        # bytes.
        compression_type="gzip",
        max_request_size=BOOK_RECORD_BYTES_MAX,
    )
    try:
        async with asyncio.timeout(settings.start_timeout_s):
            await producer.start()
        for start in range(0, len(records), _CHUNK_RECORDS):
            # An idempotent producer of aiokafka tries again for ever.
            async with asyncio.timeout(timeout_s):
                chunk = records[start : start + _CHUNK_RECORDS]
                sent = [await producer.send(topic, key=key.encode(), value=value) for key, value in chunk]
                await asyncio.gather(*sent)
    finally:
        await stop(producer)
