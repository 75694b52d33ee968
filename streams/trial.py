"""A cluster to try things on, for the demo and the bench: a Kafka, a topic prefix of its own, and the sample books.

The Kafka is the embedded one, or the cluster that the settings name; there the topics are deleted at the end.
"""

import asyncio
import secrets
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files

from aiokafka.admin import AIOKafkaAdminClient

from pricing.accounts import Account, parse_account
from pricing.book_records import publication_of
from pricing.exchange import FxRate, parse_fx
from pricing.importers import ImportOptions, read_any
from pricing.sheets import Sheet
from streams.bookshelf import publish, publish_accounts
from streams.clients import STOP_TIMEOUT_S, ends
from streams.embedded_kafka import EmbeddedKafka, kafka_cluster
from streams.errors import Refused
from streams.kafka_errors import KNOWN, one_line
from streams.settings import Settings

FIRST_SHEET = "sheet-2026-11-01.json"
NEXT_SHEET = "sheet-2026-12-demo.json"


@contextmanager
def trial(settings: Settings, name: str, broker: EmbeddedKafka | None = None) -> Iterator[Settings]:
    """Settings of a trial: the cluster that `settings` name, or else a `broker` that lives as long as the trial.

    Raises Refused, also where no broker can run.
    """
    existing = settings.bootstrap_servers if "bootstrap_servers" in settings.model_fields_set else None
    prefix = f"{settings.topic_prefix}{name}-{secrets.token_hex(3)}."
    with kafka_cluster(existing, broker) as servers:
        mine = settings.model_copy(update={"bootstrap_servers": servers, "topic_prefix": prefix})
        ended_well = False
        try:
            yield mine
            ended_well = True
        finally:
            if existing:
                asyncio.run(_delete_topics(mine, report=ended_well))


async def _delete_topics(settings: Settings, report: bool) -> None:
    """Every topic whose name begins with the trial's prefix. After an error a second one would only distract."""
    client = AIOKafkaAdminClient(**settings.client_options(), request_timeout_ms=settings.request_timeout_ms)
    try:
        async with asyncio.timeout(settings.request_timeout_ms / 1000):
            await client.start()
            names = await client.list_topics()
            await client.delete_topics([name for name in names if name.startswith(settings.topic_prefix)])
    except KNOWN as error:
        if report:
            print(f"topics {settings.topic_prefix}* are left behind: {one_line(error)}", file=sys.stderr)
    finally:
        await ends(client.close(), STOP_TIMEOUT_S)


def _sample(name: str) -> bytes:
    return (files("streams") / "samples" / name).read_bytes()


def sample_sheet(settings: Settings, name: str, version: str, effective_from: int) -> Sheet:
    """A sample price sheet as a version of the default sheet."""
    options = ImportOptions(settings.sheets["*"], version, effective_from, "model-input", name)
    imported = read_any(_sample(name), "aitronos", options)
    if imported.sheet is None:
        raise Refused(f"the sample {name} has problems: {'; '.join(imported.problems)}")
    return imported.sheet


def sample_rates() -> list[FxRate]:
    """The sample exchange rates."""
    return [parse_fx(line) for line in _sample("rates.jsonl").splitlines()]


def sample_accounts() -> list[Account]:
    """The sample organizations."""
    return [parse_account(line) for line in _sample("accounts.jsonl").splitlines()]


async def publish_books(
    settings: Settings, documents: Sequence[Sheet | FxRate], accounts: Sequence[Account], now: int
) -> None:
    """Publish sheets, rates and accounts; `now` in nanoseconds since 1970."""
    for document in documents:
        await publish(settings, publication_of(document, published_at=now, retroactive=True), now)
    await publish_accounts(settings, accounts)
