"""`totals`, `parked` and `rejected` on a real Kafka: what is committed, and the last of each key."""

import asyncio
import json
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from click.testing import CliRunner

from streams.admin import create_topics
from streams.cli import main
from streams.reading import read_topic
from streams.settings import Settings


@pytest.fixture
def settings(kafka: str, prefix: str) -> Settings:
    """Topics of the test's own, created."""
    made = Settings(bootstrap_servers=kafka, topic_prefix=prefix)
    asyncio.run(create_topics(made, 2))
    return made


def show(settings: Settings, *args: str) -> str:
    """What a command prints."""
    env = {
        "STREAM_PRICING_BOOTSTRAP_SERVERS": settings.bootstrap_servers,
        "STREAM_PRICING_TOPIC_PREFIX": settings.topic_prefix,
    }
    result = CliRunner().invoke(main, args, env=env)
    assert result.exit_code == 0, result.output
    return result.stdout


def rows(settings: Settings, *args: str) -> list[Any]:
    """What a command prints with --json."""
    return [json.loads(line) for line in show(settings, *args, "--json").splitlines()]


def write(settings: Settings, *transactions: tuple[bool, list[dict[str, Any]]]) -> None:
    """Transactions of records, each committed or aborted."""

    async def send() -> None:
        producer = AIOKafkaProducer(
            bootstrap_servers=settings.bootstrap_servers, transactional_id=settings.transactional_id(0)
        )
        await producer.start()
        for commit, records in transactions:
            await producer.begin_transaction()
            for record in records:
                await producer.send_and_wait(**record)
            await (producer.commit_transaction() if commit else producer.abort_transaction())
        await producer.stop()

    asyncio.run(send())


def total(settings: Settings, key: str, value: dict[str, Any] | None) -> dict[str, Any]:
    """A record of the totals topic."""
    body = None if value is None else json.dumps(value).encode()
    return {"topic": settings.topics.totals, "key": key.encode(), "value": body, "partition": 0}


def spent(start: str, amount: str, **more: Any) -> dict[str, Any]:
    """A total of org/p."""
    due = {"CHF": amount}
    converted = {"USD": {"list": "2", "net": "2", "due": amount}}
    whose = {"organization": "org", "project": "p", "window": "day", "start": start}
    return whose | {"events": 1, "synapses": "3", "neurons": "0", "due": due, "converted": converted} | more


def test_totals_are_the_last_committed_of_each_key(settings: Settings) -> None:
    """None that is older, aborted, deleted, of another project or window, or of an item."""
    one, two = "2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z"
    write(
        settings,
        (
            True,
            [
                total(settings, f"org/p/day/{two}", spent(two, "5")),
                total(settings, f"org/p/day/{one}", spent(one, "1")),
            ],
        ),
        (True, [total(settings, f"org/p/day/{one}", spent(one, "1.5"))]),
        (False, [total(settings, f"org/p/day/{one}", spent(one, "99"))]),
        (
            True,
            [total(settings, "org/p/day/gone", spent("gone", "7")), total(settings, "org/p/day/gone", None)],
        ),
        (
            True,
            [
                total(settings, f"org/q/day/{one}", spent(one, "7")),
                total(settings, f"org/p/hour/{one}", spent(one, "7")),
            ],
        ),
        (True, [total(settings, f"org/p/day/{one}/a/b", spent(one, "0.5", item="a/b"))]),
    )
    assert rows(settings, "totals", "p") == [spent(one, "1.5"), spent(two, "5")]
    assert rows(settings, "totals", "p", "--items") == [spent(one, "0.5", item="a/b")]
    assert rows(settings, "totals", "p", "--organization", "other") == []
    assert show(settings, "totals", "p").splitlines() == [
        "start                 organization  events  synapses  neurons  due      converted",
        "2026-11-01T00:00:00Z  org           1       3         0        CHF=1.5  USD=1.5",
        "2026-11-02T00:00:00Z  org           1       3         0        CHF=5    USD=5",
    ]
    assert show(settings, "totals", "p", "--csv").splitlines()[:2] == [
        "organization,project,window,start,end,events,not_billable_events,events_without_cost,tokens,synapses,neurons,"
        "due_CHF,converted_USD_due,converted_USD_list,converted_USD_net,revision,as_of",
        f"org,p,day,{one},,1,,,,3,0,1.5,1.5,2,2,,",
    ]


def test_parked_events_are_those_of_the_state(settings: Settings) -> None:
    """With the present reason; what was released is gone; other records of the state are none."""

    def state(key: str, value: dict[str, Any] | None) -> dict[str, Any]:
        body = None if value is None else json.dumps(value).encode()
        return {"topic": settings.topics.state, "key": key.encode(), "value": body, "partition": 1}

    def waits(reason: str, id: str) -> dict[str, Any]:
        event = {"source": "s", "id": id, "type": "ai.usage.model.v1", "organization": "org", "project": "p"}
        return {"reason": reason, "detail": "x", "since": "2026-11-01T00:00:00Z", **event}

    write(
        settings,
        (True, [state("position", {}), state("parked/7", waits("no_sheet_at_time", "a"))]),
        (
            True,
            [state("parked/7", waits("no_rate_at_time", "a")), state("parked/8", waits("unknown_tier", "b"))],
        ),
        (True, [state("parked/8", None)]),
    )
    assert rows(settings, "parked", "list") == [
        {
            "reason": "no_rate_at_time",
            "since": "2026-11-01T00:00:00Z",
            "event": {"source": "s", "id": "a", "type": "ai.usage.model.v1"},
            "organization": "org",
            "project": "p",
            "detail": "x",
            "partition": 1,
            "offset": 7,
        }
    ]


def test_rejected_records_are_found_by_where_they_came_in(settings: Settings) -> None:
    """Listed with reason and size, shown with headers and value, also where the bytes are no text."""
    ours = {
        "reason": "not_json",
        "detail": "d",
        "topic": settings.topics.raw,
        "partition": "1",
        "offset": "42",
    }
    headers = [(f"stream-pricing-{name}", text.encode()) for name, text in ours.items()]
    headers += [("stream-pricing-at", b"2026-11-01T00:00:00Z"), ("mine", b"\xff")]
    record = {
        "topic": settings.topics.rejected,
        "key": None,
        "value": b"\xff{\x1b",
        "partition": 0,
        "headers": headers,
    }
    write(settings, (True, [record]))
    row = {
        "reason": "not_json",
        "detail": "d",
        "at": "2026-11-01T00:00:00Z",
        "topic": settings.topics.raw,
        "partition": 1,
        "offset": 42,
        "key": None,
        "size": 3,
    }
    assert rows(settings, "rejected", "list") == [row]
    shown = rows(settings, "rejected", "show", "1", "42")
    assert shown[0]["value"] == "\\xff{\x1b"
    assert ["mine", "\\xff"] in shown[0]["headers"]
    text = show(settings, "rejected", "show", "1", "42")
    assert "stream-pricing-reason: not_json\n" in text
    assert text.endswith("\n\n\\xff{\N{REPLACEMENT CHARACTER}\n")


def test_a_topic_is_read_to_its_end_in_order(settings: Settings) -> None:
    """Every committed record once, though the log ends in markers and a partition holds nothing."""
    topic = settings.topics.priced
    numbers = [b"%d" % number for number in range(50)]
    records = [{"topic": topic, "value": number, "partition": 1} for number in numbers]
    write(settings, (True, records), (False, records), (True, records[:3]))
    read: list[bytes] = []
    asyncio.run(read_topic(settings, topic, on_record=lambda record: read.append(record.value)))
    assert read == numbers + numbers[:3]
