"""Sheets of the whole market, on a real Kafka: published as one record, shown, and priced by."""

import asyncio
import json
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from click.testing import CliRunner, Result

from pricing.book_records import publication_bytes, publication_of
from pricing.importers import ImportOptions, read_any
from pricing.sheets import Sheet, parse_sheet, sheet_bytes
from pricing.times import format_time
from streams.admin import create_topics
from streams.cli import main
from streams.settings import Settings
from tests.broker.harness import PARTITIONS, clock_ms, produce, raw, read, settings_for
from tests.broker.processes import WorkerProcess, eventually, workers

LITELLM = Path(__file__).parents[3] / "shared" / "data" / "litellm" / "model_prices_and_context_window.json"
FROM = "2020-01-01T00:00:00Z"
NAMED = ("--id", "aitronos", "--version", "1", "--effective-from", FROM)  # the id that a worker looks for
KAFKAS_OWN_LIMIT = 1_048_588


def synthetic(models: int, seed: int) -> Sheet:
    """A sheet whose names hardly compress; model `m-7` has the price 7 per 1M tokens of input."""
    made = random.Random(seed)
    document = {
        "id": "synthetic",
        "version": "0",
        "effective_from": FROM,
        "models": [
            {
                "key": f"m-{number}",
                "aliases": [made.randbytes(120).hex() for _ in range(4)],
                "category": "direct",
                "currency": "USD",
                "prices": {"input": str(number), "output": str(number * 2)},
                "units": {"image": "0.01"},
                "cases": [{"when": {"input_over": 200_000}, "prices": {"input": str(number * 3)}}],
            }
            for number in range(models)
        ],
    }
    return parse_sheet(json.dumps(document).encode())


def litellm() -> bytes:
    if not LITELLM.exists():
        pytest.skip(f"{LITELLM} is not there, so LiteLLM's own map is not published")
    return LITELLM.read_bytes()


def run(settings: Settings, *args: str) -> Result:
    env = {
        "STREAM_PRICING_BOOTSTRAP_SERVERS": settings.bootstrap_servers,
        "STREAM_PRICING_TOPIC_PREFIX": settings.topic_prefix,
    }
    result: Result = CliRunner().invoke(main, args, env=env, prog_name="stream-pricing")
    return result


async def make_books(settings: Settings, configs: Mapping[str, str]) -> None:
    """The books as an older version, or somebody else, made them."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap_servers)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(settings.topics.books, 1, 1, topic_configs=dict(configs))])
    finally:
        await admin.close()


async def priced(settings: Settings, line: str) -> Any:
    """What a worker that starts now makes of the event of a line."""
    await produce(settings, [raw(0, f"{line} at={format_time(clock_ms() * 1_000_000)}")])

    async def found() -> Any:
        records = await read(settings, settings.topics.priced)
        return json.loads(records[0].value)["data"] if records else None

    with workers(WorkerProcess(settings)) as (worker,):
        data = await eventually(found)
        await worker.stop()
    return data


async def in_a_thread(function: Callable[..., Result], *args: Any) -> Result:
    """Commands have an event loop of their own."""
    return await asyncio.to_thread(function, *args)


async def test_a_sheet_that_hardly_compresses_is_published_shown_and_priced_by(
    kafka: str, prefix: str, tmp_path: Path
) -> None:
    """4,500 models in over two megabytes, compressed: our own topics take it, and every reader gets it whole."""
    settings = settings_for(kafka, prefix)
    await create_topics(settings, PARTITIONS, 1)
    path = tmp_path / "sheet.json"
    sheet = synthetic(4_500, seed=1)
    path.write_bytes(sheet_bytes(sheet))
    published = await in_a_thread(
        run, settings, "sheets", "import", "--format", "sheet", *NAMED, "--publish", str(path)
    )
    assert published.stdout == "published sheet aitronos@1\n", published.output
    shown = parse_sheet((await in_a_thread(run, settings, "sheets", "show", "aitronos", "--json")).stdout.encode())
    assert shown == sheet.model_copy(update={"id": "aitronos", "version": "1"})
    data = await priced(settings, "org_1 m-4499 in=1000000")
    assert (data["item"], data["list"]) == ("m-4499", {"USD": "13497"})
    checked = await in_a_thread(run, settings, "topics", "check")
    assert "max.message.bytes" not in checked.stderr


async def test_litellm_s_map_needs_no_more_than_kafka_s_own_limit(kafka: str, prefix: str, tmp_path: Path) -> None:
    """1.3 MB in 0.1 compressed, so that topics made before do; `topics check` says what they do not take."""
    settings, document = settings_for(kafka, prefix), litellm()
    await make_books(settings, {"retention.ms": "-1"})
    await create_topics(settings, PARTITIONS, 1)
    path = tmp_path / "map.json"
    path.write_bytes(document)
    imported = await in_a_thread(
        run, settings, "sheets", "import", "--format", "litellm", *NAMED, "--publish", str(path)
    )
    assert imported.stdout == "published sheet aitronos@1\n", imported.output
    shown = parse_sheet((await in_a_thread(run, settings, "sheets", "show", "aitronos", "--json")).stdout.encode())
    assert len(shown.models) > 4_000
    options = ImportOptions("aitronos", "1", shown.effective_from, None, "map.json")
    assert shown == read_any(document, "litellm", options).sheet
    table = await in_a_thread(run, settings, "sheets", "show", "gpt-4o", "--provider", "openai")
    assert table.stdout.splitlines()[:5] == [
        f"gpt-4o of openai, sheet aitronos@1 from {FROM}",
        "",
        "USD per 1M tokens",
        "situation  input  cache_read  output",
        "standard   2.5    1.25        10",
    ]
    data = await priced(settings, "org_1 gpt-4o provider=openai in=1000 out=100")
    assert (data["item"], data["list"]) == ("gpt-4o", {"USD": "0.0035"})
    checked = await in_a_thread(run, settings, "topics", "check")
    assert f"{settings.topics.books}: max.message.bytes is {KAFKAS_OWN_LIMIT:,}" in checked.stderr


async def test_a_sheet_that_a_topic_does_not_take_is_one_line(kafka: str, prefix: str, tmp_path: Path) -> None:
    """With the setting that mends it; and one that no reader would take is not sent at all."""
    settings = settings_for(kafka, prefix)
    await make_books(settings, {"retention.ms": "-1"})
    await create_topics(settings, PARTITIONS, 1)
    path = tmp_path / "sheet.json"
    sheet = synthetic(4_500, seed=2)
    path.write_bytes(sheet_bytes(sheet))
    args = ("sheets", "import", "--format", "sheet", *NAMED, "--publish", str(path))
    refused = await in_a_thread(run, settings, *args)
    size = len(publication_bytes(publication_of(sheet, published_at=0, retroactive=False)))
    assert refused.exit_code == 1
    assert f"and even compressed topic {settings.topics.books} does not take it" in refused.stderr
    assert "set its max.message.bytes to 16842752" in refused.stderr
    assert size > 2 * KAFKAS_OWN_LIMIT
    assert (await in_a_thread(run, settings, "sheets", "list", "--json")).stdout == ""
