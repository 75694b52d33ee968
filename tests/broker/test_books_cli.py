"""Publishing prices and accounts through the command line, on a real Kafka."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from click.testing import CliRunner, Result

from pricing.accounts import parse_account
from pricing.book_records import parse_publication
from pricing.sheets import Sheet, parse_sheet
from streams.admin import create_topics
from streams.cli import main
from streams.partitions import partition_of
from streams.settings import Settings

ROOT = Path(__file__).parent.parent.parent
EXAMPLE = str(ROOT / "tests" / "data" / "aitronos.json")
NEXT = str(ROOT / "deploy" / "samples" / "sheet-2026-12-demo.json")
ACCOUNTS = ROOT / "deploy" / "samples" / "accounts.jsonl"
FROM = "2020-01-01T00:00:00Z"
LATER = "2020-02-01T00:00:00Z"
FUTURE = "2999-01-01T00:00:00Z"

Run = Callable[..., Result]


@pytest.fixture
def settings(kafka: str, prefix: str) -> Settings:
    """Topics of the test's own."""
    made = Settings(bootstrap_servers=kafka, topic_prefix=prefix)
    asyncio.run(create_topics(made, 4, 1))
    return made


@pytest.fixture
def run(settings: Settings) -> Run:
    """The program, on these topics."""
    env = {
        "STREAM_PRICING_BOOTSTRAP_SERVERS": settings.bootstrap_servers,
        "STREAM_PRICING_TOPIC_PREFIX": settings.topic_prefix,
    }
    return lambda *args: CliRunner().invoke(main, args, env=env, prog_name="stream-pricing")


def import_args(version: str, start: str, place: str = EXAMPLE) -> list[str]:
    named = ["--format", "aitronos", "--id", "aitronos", "--version", version, "--effective-from", start]
    return ["sheets", "import", *named, place]


def rows(result: Result) -> list[dict[str, object]]:
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def records(settings: Settings, topic: str) -> list[ConsumerRecord]:
    """Every record of a topic, as another program sees it."""

    async def read() -> list[ConsumerRecord]:
        consumer = AIOKafkaConsumer(bootstrap_servers=settings.bootstrap_servers)
        await consumer.start()
        try:
            parts = [TopicPartition(topic, p) for p in range(1 if topic == settings.topics.books else 4)]
            consumer.assign(parts)
            await consumer.seek_to_beginning()
            ends = await consumer.end_offsets(parts)
            found: list[ConsumerRecord] = []
            while len(found) < sum(ends.values()):
                for batch in (await consumer.getmany(timeout_ms=200)).values():
                    found += batch
            return found
        finally:
            await consumer.stop()

    return asyncio.run(read())


def send(settings: Settings, topic: str, key: bytes | None, value: bytes | None) -> None:
    """A record that another program wrote."""

    async def produce() -> None:
        async with AIOKafkaProducer(bootstrap_servers=settings.bootstrap_servers) as producer:
            await producer.send_and_wait(topic, key=key, value=value)

    asyncio.run(produce())


def test_a_sheet_is_imported_published_listed_and_shown(run: Run, settings: Settings) -> None:
    """What is on the topic is the sheet that the import printed."""
    printed = run(*import_args("1", FROM))
    assert printed.exit_code == 0
    assert "1 model, 2 image operations, 4 terminal dimensions, 1 tier" in printed.stderr
    published = run(*import_args("1", FROM), "--publish")
    assert (published.exit_code, published.stdout) == (0, "published sheet aitronos@1\n")
    (record,) = records(settings, settings.topics.books)
    assert record.key == b"sheet/aitronos/1"
    assert parse_publication(record.key, record.value).document == parse_sheet(printed.stdout.encode())
    value = json.loads(record.value)
    assert (value["kind"], value["retroactive"], value["sheet"]["id"]) == ("sheet", False, "aitronos")
    (row,) = rows(run("sheets", "list", "--json"))
    assert row.pop("published_at") == value["published_at"]
    assert row == {
        "id": "aitronos",
        "version": "1",
        "effective_from": FROM,
        "retroactive": False,
        "models": 1,
    }
    assert run("sheets", "show", "aitronos", "1", "--json").stdout == printed.stdout
    assert "ftg-3.0-pro" in run("sheets", "show", "aitronos").stdout


def test_a_published_version_is_never_changed(run: Run, settings: Settings) -> None:
    """The same again is fine and sends nothing; another one under the same name is refused."""
    assert run(*import_args("1", FROM), "--publish").exit_code == 0
    again = run(*import_args("1", FROM), "--publish")
    assert (again.exit_code, again.stdout) == (0, "sheet aitronos@1 is published already, and is the same\n")
    other = run(*import_args("1", FROM, NEXT), "--publish", "--retroactive")
    assert other.exit_code == 1
    assert "sheet aitronos@1: was published at " in other.stderr
    assert len(records(settings, settings.topics.books)) == 1


def test_a_start_in_the_past_needs_to_be_meant(run: Run, settings: Settings) -> None:
    """Only the first version, and those of the future, may do without --retroactive."""
    assert run(*import_args("1", FROM), "--publish").exit_code == 0
    refused = run(*import_args("2", LATER, NEXT), "--publish")
    assert refused.exit_code == 1
    assert "which has passed, and sheet aitronos@1 is in force then; --retroactive" in refused.stderr
    assert run(*import_args("2", LATER, NEXT), "--publish", "--retroactive").exit_code == 0
    assert run(*import_args("3", FUTURE), "--publish").exit_code == 0
    assert [row["retroactive"] for row in rows(run("sheets", "list", "--json"))] == [False, True, False]
    shown = run("sheets", "show", "aitronos", "--json")
    assert parse_sheet(shown.stdout.encode()).version == "2"


def test_rates_follow_the_same_rules(run: Run, settings: Settings) -> None:
    """Each direction of a pair is a rate of its own."""
    assert run("fx", "set", "CHF/USD", "1.1234", "--from", FROM).stdout == (f"published rate CHF/USD from {FROM}\n")
    assert run("fx", "set", "USD/CHF", "0.89", "--from", LATER).exit_code == 0
    assert run("fx", "set", "CHF/USD", "1.12340", "--from", "2020-01-01T01:00:00+01:00").exit_code == 0
    assert run("fx", "set", "CHF/USD", "1.2", "--from", FROM).exit_code == 1
    assert run("fx", "set", "CHF/USD", "1.2", "--from", LATER).exit_code == 1
    assert run("fx", "set", "CHF/USD", "1.2", "--from", LATER, "--retroactive").exit_code == 0
    found = [(row["pair"], row["rate"], row["from"]) for row in rows(run("fx", "list", "--json"))]
    assert found == [("CHF/USD", "1.1234", FROM), ("USD/CHF", "0.89", LATER), ("CHF/USD", "1.2", LATER)]
    assert [record.key for record in records(settings, settings.topics.books)] == [
        f"fx/CHF/USD/{FROM}".encode(),
        f"fx/USD/CHF/{LATER}".encode(),
        f"fx/CHF/USD/{LATER}".encode(),
    ]


@pytest.mark.parametrize(
    "args",
    [
        ["CHFUSD", "1", "--from", FROM],
        ["CHF/USD", "0", "--from", FROM],
        ["CHF/USD", "1e3", "--from", FROM],
        ["CHF/USD", "1", "--from", "2020-01-01"],
        ["CHF/USD", "1"],
    ],
)
def test_a_rate_that_is_none_is_wrong_usage(run: Run, args: list[str]) -> None:
    """Exit code 2, and nothing is sent."""
    assert run("fx", "set", *args).exit_code == 2
    assert rows(run("fx", "list", "--json")) == []


def test_two_versions_are_compared(run: Run) -> None:
    """Published ones by name, others by file."""
    run(*import_args("1", FROM), "--publish")
    run(*import_args("2", FUTURE, NEXT), "--publish")
    found = rows(run("sheets", "diff", "aitronos@1", "aitronos@2", "--json"))
    assert {
        "path": "models.ftg-3.0-pro.prices.input",
        "old": "13.2",
        "new": "11",
        "percent": "-16.67 %",
    } in found
    assert "no differences" in run("sheets", "diff", EXAMPLE, EXAMPLE).stdout
    assert run("sheets", "diff", "aitronos@1", "aitronos@9").exit_code == 1
    assert run("sheets", "show", "other").exit_code == 1


def test_bad_records_on_the_topic_are_told_of_and_do_not_count(run: Run, settings: Settings) -> None:
    """They keep nothing from being published under the same name."""
    send(settings, settings.topics.books, b"sheet/aitronos/1", b"{}")
    send(settings, settings.topics.books, b"x", None)
    send(settings, settings.topics.books, None, b"{}")
    assert run(*import_args("1", FROM), "--publish").exit_code == 0
    listed = run("sheets", "list", "--json")
    assert [row["version"] for row in rows(listed)] == ["1"]
    assert "ignored on the topic: offset 0: book record sheet/aitronos/1: kind: Field required" in listed.stderr
    assert "offset 1: book record x: document: is a tombstone" in listed.stderr
    assert "offset 2: book record without a key: kind: Field required" in listed.stderr


def test_a_sheet_with_problems_is_refused_with_all_of_them(run: Run, settings: Settings, tmp_path: Path) -> None:
    """By import and by check alike, and nothing is sent."""
    path = tmp_path / "bad.json"
    path.write_text(Path(EXAMPLE).read_text().replace("13.2", "-1").replace("10.0", "101"))
    refused = run(*import_args("1", FROM, str(path)), "--publish")
    assert refused.exit_code == 1
    assert refused.stderr.splitlines() == [
        "problem: models[0].pricing.input_price_per_1m_synapses: must not be negative, found -1",
        "problem: pricing_tiers[0].discount_percentage: must be from 0 to 100, found 101",
        f"Error: {path} has 2 problems",
    ]
    checked = run("sheets", "check", "--json", str(path))
    assert checked.exit_code == 1
    assert [json.loads(line)["severity"] for line in checked.stdout.splitlines()] == ["problem", "problem"]
    assert run("sheets", "check", EXAMPLE, "--format", "aitronos").exit_code == 0
    assert records(settings, settings.topics.books) == []


def test_a_large_sheet_is_published(run: Run, settings: Settings, tmp_path: Path) -> None:
    """Ten thousand models are over the megabyte that a record may have uncompressed by default."""
    document = json.loads(Path(EXAMPLE).read_text())
    model = document["models"][0]
    document["models"] = [{**model, "id": f"mdl_{n}", "key": f"model-{n}"} for n in range(10_000)]
    path = tmp_path / "large.json"
    path.write_text(json.dumps(document))
    assert run(*import_args("1", FROM, str(path)), "--publish").exit_code == 0
    (record,) = records(settings, settings.topics.books)
    sheet = parse_publication(record.key, record.value).document
    assert isinstance(sheet, Sheet)
    assert len(sheet.models) == 10_000


def test_accounts_are_applied_and_shown(run: Run, settings: Settings) -> None:
    """Each is keyed by its organization, on the partition that Kafka's default partitioner gives it."""
    assert run("accounts", "apply", str(ACCOUNTS)).stdout == "published 12 accounts\n"
    found = records(settings, settings.topics.accounts)
    assert len(found) == 12
    for record in found:
        assert parse_account(record.value).organization.encode() == record.key
        assert record.partition == partition_of(record.key, 4)
    shown = run("accounts", "show", "org_alpine_bank", "--json")
    assert json.loads(shown.stdout) == json.loads(ACCOUNTS.read_text().splitlines()[0])
    assert "tier_enterprise" in run("accounts", "show", "org_alpine_bank").stdout
    assert run("accounts", "show", "org_alpine").exit_code == 1


def test_accounts_that_workers_would_ignore_are_refused(run: Run, settings: Settings, tmp_path: Path) -> None:
    """A lower version, and the same with other content; what is published already is no problem."""
    path = tmp_path / "accounts.jsonl"
    first = '{"organization": "a", "version": 2}\n{"organization": "b", "version": 1}\n'
    path.write_text(first)
    assert run("accounts", "apply", str(path)).stdout == "published 2 accounts\n"
    again = run("accounts", "apply", str(path))
    assert again.stdout == "published 0 accounts; 2 of 2 are published already\n"
    tier = '"tiers": [{"tier": "gold", "from": "2026-01-01T00:00:00Z"}]'
    path.write_text(f'{{"organization": "a", "version": 1}}\n{{"organization": "b", "version": 1, {tier}}}\n')
    refused = run("accounts", "apply", str(path))
    assert refused.exit_code == 1
    lower, other, last = refused.stderr.splitlines()
    assert lower == "problem: a: version 1 is not after version 2, which is published"
    assert other.startswith("problem: b: published is {") and "gold" in other
    assert last == f"Error: {path} has 2 problems"
    path.write_text(f'{first}{{"organization": "b", "version": 2, {tier}}}\n')
    more = run("accounts", "apply", str(path))
    assert more.stdout == "published 1 account; 2 of 3 are published already\n"
    assert more.stderr == "warning: b: no version of sheet aitronos has the tier gold\n"
    assert len(records(settings, settings.topics.accounts)) == 3
    assert run(*import_args("1", FROM), "--publish").exit_code == 0
    path.write_text(f'{{"organization": "c", "version": 1, {tier.replace("gold", "tier_standard")}}}')
    assert run("accounts", "apply", str(path)).stderr == ""


def test_the_greatest_version_of_an_account_is_shown(run: Run, settings: Settings, tmp_path: Path) -> None:
    """Later records with lower versions, tombstones and garbage do not count."""
    path = tmp_path / "accounts.jsonl"
    path.write_text('{"organization": "o", "version": 2}\n\n{"organization": "o", "version": 1}\n')
    assert run("accounts", "apply", str(path)).exit_code == 0
    published = [json.loads(record.value)["version"] for record in records(settings, settings.topics.accounts)]
    assert published == [1, 2]  # compaction keeps the last
    send(settings, settings.topics.accounts, b"o", None)
    send(settings, settings.topics.accounts, b"o", b'"o"')
    send(settings, settings.topics.accounts, b"o", b'{"organization":"o","deep":' + b"[" * 2_000 + b"]" * 2_000 + b"}")
    assert json.loads(run("accounts", "show", "o", "--json").stdout)["version"] == 2


def test_a_file_of_accounts_is_applied_whole_or_not_at_all(run: Run, settings: Settings, tmp_path: Path) -> None:
    """Every problem is listed with its line."""
    path = tmp_path / "accounts.jsonl"
    path.write_text(
        '{"organization": "a", "version": 1}\n{"organization": "b"}\n{\n{"organization": "a", "version": 1}\n'
    )
    refused = run("accounts", "apply", str(path))
    assert refused.exit_code == 1
    assert refused.stderr.splitlines() == [
        "problem: line 2: version: Field required",
        "problem: line 3: document: not JSON: Expecting property name enclosed in double quotes: "
        "line 1 column 2 (char 1)",
        "problem: line 4: version 1 of a is on line 1 too",
        f"Error: {path} has 3 problems",
    ]
    assert records(settings, settings.topics.accounts) == []


def test_missing_topics_are_one_clear_line(kafka: str, prefix: str) -> None:
    """Nothing creates topics but `topics create`."""
    env = {"STREAM_PRICING_BOOTSTRAP_SERVERS": kafka, "STREAM_PRICING_TOPIC_PREFIX": prefix}
    for args in (
        ["sheets", "list"],
        ["fx", "set", "CHF/USD", "1", "--from", FROM],
        ["accounts", "apply", str(ACCOUNTS)],
    ):
        result = CliRunner().invoke(main, args, env=env)
        assert result.exit_code == 1
        assert "does not exist; `stream-pricing topics create` makes it" in result.stderr
