"""What a worker refuses to start on: exit code 1, one clear line and no traceback, soon, and nothing is changed."""

import random
import re
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.admin.records_to_delete import RecordsToDelete
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.admin import CreateAclsRequest

from streams.admin import create_topics, verify_for_worker
from streams.embedded_kafka import EmbeddedKafka
from streams.errors import Refused
from streams.kafka_probe import is_free
from streams.settings import Settings
from streams.state import Position
from tests.broker.harness import (
    PARTITIONS,
    clock_ms,
    must_account,
    prepare,
    produce,
    raw,
    read,
    settings_for,
    settled,
)
from tests.broker.processes import WorkerProcess, eventually, workers
from tests.oracle import partition_of
from tests.usage import RawRecord, stream
from tests.usage_samples import sample_oracle

SOON_S = 40


async def refused(worker: WorkerProcess) -> str:
    """The one line of a worker that ends by itself."""
    started = time.monotonic()
    with workers(worker):
        assert await worker.ended(SOON_S) == 1, worker.text()
        lines = [line for line in worker.text().splitlines() if re.match("Error: |Traceback|  File", line)]
        assert len(lines) == 1, worker.text()
    assert time.monotonic() - started < SOON_S
    return lines[0].removeprefix("Error: ")


async def _has_said(worker: WorkerProcess, text: str) -> bool:
    return text in worker.text()


@asynccontextmanager
async def admin_of(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    """An operator's client."""
    client = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap_servers)
    await client.start()
    try:
        yield client
    finally:
        await client.close()


# --- where and how it starts


async def test_missing_topics_are_named(kafka: str, prefix: str) -> None:
    """All of them, and how to make them."""
    settings = settings_for(kafka, prefix)
    line = await refused(WorkerProcess(settings))
    assert line.startswith("missing topics: ") and line.endswith("; `stream-pricing topics create` makes them")
    assert all(name in line for name in settings.topics.configs())


async def test_other_partition_counts_are_named(kafka: str, prefix: str) -> None:
    """Each topic with its own."""
    settings = settings_for(kafka, prefix)
    await create_topics(settings, PARTITIONS)
    async with admin_of(settings) as admin:
        await admin.create_partitions({settings.topics.priced: NewPartitions(5)})
    line = await refused(WorkerProcess(settings))
    assert line.startswith("the topics have to have the same number of partitions, and have: ")
    assert f"{settings.topics.raw} 4" in line and f"{settings.topics.priced} 5" in line


async def test_a_raw_topic_without_log_append_time_is_refused(kafka: str, prefix: str) -> None:
    """The line says what it has."""
    settings = settings_for(kafka, prefix)
    await create_topics(settings, PARTITIONS)
    create_time = {"message.timestamp.type": "CreateTime"}
    async with admin_of(settings) as admin:
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, settings.topics.raw, create_time)])
    line = await refused(WorkerProcess(settings))
    assert line.startswith(f"topic {settings.topics.raw} has message.timestamp.type CreateTime, not LogAppendTime")


async def test_a_changelog_that_forgets_is_refused_and_what_else_differs_is_logged(kafka: str, prefix: str) -> None:
    """Without the position a worker would begin anew."""
    settings = settings_for(kafka, prefix)
    await create_topics(settings, PARTITIONS)
    short = {"retention.ms": "86400000", "message.timestamp.type": "LogAppendTime"}
    forgetful = {"cleanup.policy": "delete"}
    async with admin_of(settings) as admin:
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, settings.topics.raw, short)])
    said = f"topic {settings.topics.raw}: retention.ms is 86400000, promised is at least 7776000000"
    with workers(WorkerProcess(settings)) as [worker]:
        await eventually(lambda: _has_said(worker, said))
    async with admin_of(settings) as admin:
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, settings.topics.state, forgetful)])
    line = await refused(WorkerProcess(settings))
    assert line.startswith(f"topic {settings.topics.state} has cleanup.policy delete, not compact")


async def test_python_without_assertions_is_refused(kafka: str, prefix: str) -> None:
    """aiokafka's transactions rely on them."""
    line = await refused(WorkerProcess(settings_for(kafka, prefix), python=["-O"]))
    assert line.startswith("python -O removes the assertions")


async def test_an_unreachable_broker_is_refused(prefix: str) -> None:
    """With its address; also where something listens and says nothing."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        for port in (1, silent.getsockname()[1]):
            settings = settings_for(f"127.0.0.1:{port}", prefix, request_timeout_ms=3_000)
            assert (await refused(WorkerProcess(settings))).startswith(f"no connection to Kafka at 127.0.0.1:{port}: ")


async def test_an_unknown_setting_is_refused(kafka: str, prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the closest known one."""
    monkeypatch.setenv("STREAM_PRICING_COMMIT_INTERVALL_MS", "5")
    line = await refused(WorkerProcess(settings_for(kafka, prefix)))
    assert line.startswith("unknown setting STREAM_PRICING_COMMIT_INTERVALL_MS; ")
    assert line.endswith("STREAM_PRICING_COMMIT_INTERVAL_MS")


async def test_a_taken_port_is_refused(kafka: str, prefix: str) -> None:
    """The HTTP server's; also with `--processes`, where every process ends."""
    settings = settings_for(kafka, prefix)
    await create_topics(settings, PARTITIONS)
    with socket.socket() as taken:
        # The one after it is free, and stays so: clients of other tests get theirs from above.
        free = [number for number in random.sample(range(30_000, 32_000), 100) if is_free(number + 1)]
        taken.bind(("127.0.0.1", next(filter(is_free, free))))
        taken.listen()
        port = str(taken.getsockname()[1])
        line = await refused(WorkerProcess(settings, "--http-port", port))
        assert line == f"http_host 127.0.0.1, http_port {port}: the port is taken"
        assert await refused(WorkerProcess(settings, "--http-port", port, "--processes", "2")) == line


# --- what it finds of its past


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"format": 99}, "state of partition 2 has format 99, this version reads 1"),
        ({"app": "other"}, "state of partition 2 belongs to app other, this one is stream-pricing"),
        ({"partitions": 8}, "state of partition 2 was made with 8 partitions, now there are 4"),
    ],
)
async def test_state_of_another_kind_is_refused(kafka: str, prefix: str, changed: dict[str, Any], line: str) -> None:
    """Another app's, another partition count's, or a newer version's."""
    settings = settings_for(kafka, prefix)
    await create_topics(settings, PARTITIONS)
    await produce(settings, [_position(**changed)], settings.topics.state)
    assert line in await refused(WorkerProcess(settings))


def _position(**fields: Any) -> RawRecord:
    position = Position(**{"app": "stream-pricing", "partitions": 4, "raw": 0, "rekeyed": 0, "accounts": 0, **fields})
    return RawRecord(2, b"position", msgspec.json.encode(position))


async def test_a_past_that_contradicts_is_refused_until_it_is_mended(kafka: str, prefix: str) -> None:
    """Another app on these topics, group offsets that were reset, raw records that are gone; then it goes on."""
    settings, now = settings_for(kafka, prefix), clock_ms()
    await prepare(settings, now)
    await produce(settings, stream(201, 120, now_ms=now))
    with workers(WorkerProcess(settings)) as [worker]:
        await settled(settings)
        await worker.stop()
    line = await refused(WorkerProcess(settings_for(kafka, prefix, app="other")))
    assert re.search(r"state of partition \d belongs to app stream-pricing, this one is other", line)

    part = TopicPartition(settings.topics.raw, 1)
    position = await _commit(settings, part, 0)
    line = await refused(WorkerProcess(settings))
    said = f"group {settings.group} has offset 0 for {part.topic}-1, but the state says {position}"
    assert said in line
    await _commit(settings, part, position)

    async with admin_of(settings) as admin:
        await admin.delete_records({part: RecordsToDelete(position)})
    await produce(settings, stream(202, 120, now_ms=now))
    before = [record for record in await read(settings, settings.topics.priced) if record.partition == 1]
    with workers(WorkerProcess(settings)) as [worker]:
        found = await settled(settings)
        await worker.stop()
    assert len([record for record in found.priced if record.partition == 1]) > len(before)

    await produce(settings, stream(203, 120, now_ms=now))
    async with admin_of(settings) as admin:
        end = (await admin.delete_records({part: RecordsToDelete(-1)}))[part]
    line = await refused(WorkerProcess(settings))
    assert re.search(rf"{part.topic}-1 has offsets {end} to {end}, but the state is at \d+; to go on", line)

    await _commit(settings, part, end)
    await produce(settings, stream(204, 120, now_ms=now))
    with workers(WorkerProcess(settings)) as [worker]:
        assert any(each.partition == 1 and each.offset == end for each in (await settled(settings)).raw)
        await worker.stop()


async def test_a_clock_that_the_broker_does_not_believe_is_refused(kafka: str, prefix: str) -> None:
    """It takes no records from the future; here, as the worker's clock is right, none of a moment ago."""
    settings, now = settings_for(kafka, prefix), clock_ms()
    async with admin_of(settings) as admin:
        configs = {**settings.topics.configs()[settings.topics.priced], "message.timestamp.before.max.ms": "0"}
        await admin.create_topics([NewTopic(settings.topics.priced, PARTITIONS, 1, topic_configs=configs)])
    await prepare(settings, now)
    await produce(settings, [raw(0, "acme ftg-3.0-pro in=1")])
    line = await refused(WorkerProcess(settings))
    said = "Kafka takes no records of this time: this machine's clock reads 20.*Z, Kafka has appended usage at 20.*Z"
    assert re.fullmatch(said, line)
    assert await read(settings, settings.topics.priced) == []


async def test_a_log_that_retention_has_emptied_is_no_contradiction(kafka: str, prefix: str) -> None:
    """What was forwarded is gone after months, with the markers behind it, which no record has followed."""
    settings, now = settings_for(kafka, prefix), clock_ms()
    await prepare(settings, now)
    home = partition_of("acme", 4)
    with workers(WorkerProcess(settings)) as [worker]:
        await produce(settings, [raw((home + 1) % 4, "acme ftg-3.0-pro in=1")])
        await settled(settings)  # and the worker has looked how far its consumer is
        await produce(settings, [raw(home, "acme ftg-3.0-pro in=2")])
        await settled(settings)
        await worker.stop()
    async with admin_of(settings) as admin:
        part = TopicPartition(settings.topics.rekeyed, home)
        assert (await admin.delete_records({part: RecordsToDelete(-1)}))[part] == 2
    await produce(settings, [raw(home, "acme ftg-3.0-pro in=3")])
    with workers(WorkerProcess(settings)):
        must_account(await settled(settings), sample_oracle(now))


async def _commit(settings: Settings, part: TopicPartition, offset: int) -> int:
    """Commit it for the group; which one it was."""
    # Without auto-commit: at its end it would commit its position, once it knows that, over what is committed here.
    options = {"group_id": settings.group, "enable_auto_commit": False}
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.bootstrap_servers, **options)
    await consumer.start()
    try:
        consumer.assign([part])
        before = await consumer.committed(part)
        await consumer.commit({part: offset})
    finally:
        await consumer.stop()
    assert before is not None
    return before


# --- what it may not do

RIGHTS = {
    "raw": ("read topic {0}usage.raw.v1", 2, "{0}usage.raw.v1", 3),
    "rekeyed": ("read topic {0}usage.rekeyed.v1", 2, "{0}usage.rekeyed.v1", 3),
    "books": ("read topic {0}pricing.books.v1", 2, "{0}pricing.books.v1", 3),
    "parked": ("read topic {0}usage.parked.v1", 2, "{0}usage.parked.v1", 3),
    "totals": ("read topic {0}usage.totals.v1", 2, "{0}usage.totals.v1", 3),
    "state": ("read topic {0}stream-pricing.state.v1", 2, "{0}stream-pricing.state.v1", 3),
    "to_priced": ("write topic {0}usage.priced.v1", 2, "{0}usage.priced.v1", 4),
    "to_totals": ("write topic {0}usage.totals.v1", 2, "{0}usage.totals.v1", 4),
    "to_parked": ("write topic {0}usage.parked.v1", 2, "{0}usage.parked.v1", 4),
    "to_rejected": ("write topic {0}usage.rejected.v1", 2, "{0}usage.rejected.v1", 4),
    "to_rekeyed": ("write topic {0}usage.rekeyed.v1", 2, "{0}usage.rekeyed.v1", 4),
    "to_accounts": ("write topic {0}pricing.accounts.v1", 2, "{0}pricing.accounts.v1", 4),
    "to_state": ("write topic {0}stream-pricing.state.v1", 2, "{0}stream-pricing.state.v1", 4),
    "group": ("read group {0}stream-pricing", 3, "{0}stream-pricing", 3),
    "id": ("write transactional id {0}stream-pricing.1", 5, "{0}stream-pricing.1", 4),
    "hidden_id": ("write transactional id {0}stream-pricing.0", 5, "{0}stream-pricing.0", 8),
    "ids": ("write transactional id {0}stream-pricing.0 and 2 more", 5, "*", 4),
}
TOPIC, GROUP, TRANSACTIONAL_ID = 2, 3, 5
ALL, LITERAL, PREFIXED, DENY, ALLOW = 2, 3, 4, 2, 3
PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule required"


@pytest.fixture(scope="module")
def guarded() -> Iterator[EmbeddedKafka]:
    """A broker with ACLs, and a user for each right that may be missing, and one with all of them."""
    users = " ".join(f'user_{name}="right"' for name in (*RIGHTS, "whole"))
    config = {
        "sasl.enabled.mechanisms": "PLAIN",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
        "listener.name.sasl_plaintext.plain.sasl.jaas.config": f"{PLAIN} {users};",
    }
    with EmbeddedKafka(listeners=("SASL_PLAINTEXT",), config=config) as running:
        yield running


async def _allow(broker: EmbeddedKafka, prefix: str, user: str, *denied: tuple[int, str, int]) -> Settings:
    """Topics, and a user with all rights on them but the denied ones; the settings of that user."""
    await create_topics(settings_for(broker.bootstrap_servers, prefix), 3)
    client = AIOKafkaClient(bootstrap_servers=broker.bootstrap_servers)
    await client.bootstrap()
    allowed = [(kind, prefix, PREFIXED, f"User:{user}", "*", ALL, ALLOW) for kind in (TOPIC, GROUP, TRANSACTIONAL_ID)]
    denials = [(kind, name, LITERAL, f"User:{user}", "*", operation, DENY) for kind, name, operation in denied]
    for acl in (*denials, *allowed):  # brokers learn them a little later, in this order
        await client.send(client.get_random_node(), CreateAclsRequest(*acl))
    await client.close()
    login = {"security_protocol": "SASL_PLAINTEXT", "sasl_username": user, "sasl_password": "right"}
    return settings_for(broker.address("SASL_PLAINTEXT"), prefix, **login)


@pytest.mark.parametrize("user", RIGHTS)
async def test_a_missing_right_is_named_before_anything_happens(guarded: EmbeddedKafka, prefix: str, user: str) -> None:
    """Each right that a worker will ever need, and only the one that is missing."""
    line, kind, name, operation = RIGHTS[user]
    settings = await _allow(guarded, prefix, user, (kind, name.format(prefix), operation))
    await eventually(lambda: _is_refused(settings, f"Kafka's ACLs do not allow to {line.format(prefix)}"), 10)


async def _is_refused(settings: Settings, line: str) -> bool:
    """Whether exactly this is what a worker is refused for, as soon as the broker knows the ACLs."""
    try:
        await verify_for_worker(settings)
    except Refused as error:
        return str(error) == line
    return False


async def test_a_worker_starts_with_all_rights_and_not_without_one(
    guarded: EmbeddedKafka, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line from the process that lacks one; with rights on these topics, this group and these ids it prices."""
    monkeypatch.setenv("STREAM_PRICING_SASL_PASSWORD", "right")
    settings = await _allow(guarded, prefix, "to_parked", (TOPIC, f"{prefix}usage.parked.v1", 4))
    line = f"Kafka's ACLs do not allow to write topic {prefix}usage.parked.v1"
    await eventually(lambda: _is_refused(settings, line), 10)
    assert await refused(WorkerProcess(settings)) == line
    whole = await _allow(guarded, prefix, "whole")
    await eventually(lambda: _is_allowed(whole), 10)
    with workers(WorkerProcess(whole)) as [worker]:
        await eventually(worker.is_ready)
        assert await worker.stop() < 5


async def _is_allowed(settings: Settings) -> bool:
    try:
        return await verify_for_worker(settings) == 3
    except Refused:
        return False
