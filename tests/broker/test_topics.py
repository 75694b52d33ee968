"""Topics on a real Kafka: created once, never changed, checked, and verified before a worker starts."""

import asyncio
import json
from collections.abc import Mapping
from itertools import pairwise

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from click.testing import CliRunner

from streams.admin import check_topics, create_topics, partition_count, verify_for_worker
from streams.cli import main
from streams.errors import Refused
from streams.settings import Settings


@pytest.fixture
def settings(kafka: str, prefix: str) -> Settings:
    """Topics of the test's own."""
    return Settings(bootstrap_servers=kafka, topic_prefix=prefix)


async def until_known(settings: Settings, name: str, partitions: int) -> None:
    """Brokers learn of a change a little later than it is made."""
    for _ in range(200):
        try:
            if await partition_count(settings, name) == partitions:
                return
        except Refused:
            pass
        await asyncio.sleep(0.05)
    raise AssertionError(f"{name} has no {partitions} partitions")


def make(settings: Settings, name: str, partitions: int, configs: Mapping[str, str]) -> None:
    """A topic as somebody else would create it."""

    async def create() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap_servers)
        await admin.start()
        try:
            await admin.create_topics([NewTopic(name, partitions, 1, topic_configs=dict(configs))])
        finally:
            await admin.close()
        await until_known(settings, name, partitions)

    asyncio.run(create())


def test_all_topics_are_created_once(settings: Settings) -> None:
    """The second time there is nothing to do, and the check finds nothing to say but the single replica."""
    assert asyncio.run(create_topics(settings, 4, 1)) == list(settings.topics.configs())
    assert asyncio.run(create_topics(settings, 4, 1)) == []
    assert asyncio.run(create_topics(settings, 4)) == []
    problems, warnings = asyncio.run(check_topics(settings))
    names = ", ".join(settings.topics.configs())
    assert problems == []
    assert [each for each in warnings if "older than" not in each] == [  # a cluster that was named may be
        f"one replica, so what its broker loses is lost: {names}"
    ]
    assert asyncio.run(verify_for_worker(settings)) == 4


def test_missing_topics_are_added(settings: Settings) -> None:
    """Those that are there as they should be are left alone."""
    raw = settings.topics.raw
    make(settings, raw, 4, settings.topics.configs()[raw])
    assert asyncio.run(create_topics(settings, 4)) == [n for n in settings.topics.configs() if n != raw]


def test_a_topic_that_differs_is_refused_and_nothing_created(settings: Settings) -> None:
    """The message has what is and what was asked for; the other topics stay missing."""
    make(settings, settings.topics.raw, 3, {"retention.ms": "1000"})
    with pytest.raises(Refused) as refused:
        asyncio.run(create_topics(settings, 4, 1))
    raw = settings.topics.raw
    assert str(refused.value) == (
        "existing topics differ, and nothing was changed: "
        f"topic {raw}: partitions is 3, asked for is 4; "
        f"topic {raw}: retention.ms is 1000, promised is at least 7776000000; "
        f"topic {raw}: message.timestamp.type is CreateTime, promised is LogAppendTime"
    )
    problems = asyncio.run(check_topics(settings)).problems
    assert f"topic {settings.topics.priced} is missing" in problems


def test_the_replication_factor_is_held_against_what_was_asked(settings: Settings) -> None:
    """Asked for by name it has to be the same."""
    asyncio.run(create_topics(settings, 2, 1))
    with pytest.raises(Refused, match="replication factor is 1, asked for is 2"):
        asyncio.run(create_topics(settings, 2, 2))


def test_more_replicas_than_brokers_are_refused_in_the_broker_s_words(settings: Settings) -> None:
    """Kafka's own reason is in the line."""
    with pytest.raises(Refused, match=r"Kafka did not create topic .*replication factor"):
        asyncio.run(create_topics(settings, 2, 99))


def test_the_check_lists_every_problem(settings: Settings) -> None:
    """Missing, wrong clean-up, short retention, wrong timestamps, unequal partitions: all at once."""
    topics = settings.topics
    make(settings, topics.raw, 2, {"cleanup.policy": "delete"})
    make(settings, topics.accounts, 3, {"cleanup.policy": "delete"})
    make(settings, topics.books, 2, {"cleanup.policy": "compact"})
    env = {
        "STREAM_PRICING_BOOTSTRAP_SERVERS": settings.bootstrap_servers,
        "STREAM_PRICING_TOPIC_PREFIX": settings.topic_prefix,
    }
    result = CliRunner().invoke(main, ["topics", "check"], env=env)
    assert result.exit_code == 1
    for said in (
        f"topic {topics.raw}: retention.ms is 604800000, promised is at least 7776000000",
        f"topic {topics.raw}: message.timestamp.type is CreateTime, promised is LogAppendTime",
        f"topic {topics.accounts}: cleanup.policy is delete, promised is compact",
        f"topic {topics.books}: cleanup.policy is compact, promised is delete",
        f"have to have the same number of partitions, and have: {topics.raw} 2, {topics.accounts} 3",
        f"topic {topics.books} has 2 partitions, and not 1",
        f"topic {topics.state} is missing",
        "warning: one replica",
    ):
        assert said in result.output


def test_asking_creates_nothing(settings: Settings) -> None:
    """A check does not leave topics behind, not even where the broker creates what is asked about."""
    asyncio.run(check_topics(settings))
    with pytest.raises(Refused, match="does not exist"):
        asyncio.run(partition_count(settings, settings.topics.raw))


def test_a_worker_is_refused_without_topics(settings: Settings) -> None:
    """The line names those that are missing and the command that makes them."""
    with pytest.raises(Refused, match=rf"^missing topics: {settings.topics.raw}, .*topics create` makes them$"):
        asyncio.run(verify_for_worker(settings))


def test_a_worker_is_refused_when_partition_counts_differ(settings: Settings) -> None:
    """An organization's records would lie on different partition numbers."""
    asyncio.run(create_topics(settings, 2))

    async def grow() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap_servers)
        await admin.start()
        await admin.create_partitions({settings.topics.priced: NewPartitions(3)})
        await admin.close()
        await until_known(settings, settings.topics.priced, 3)

    asyncio.run(grow())
    with pytest.raises(Refused, match=rf"same number of partitions, and have: .*{settings.topics.priced} 3"):
        asyncio.run(verify_for_worker(settings))


def test_a_worker_is_refused_without_log_append_time(settings: Settings) -> None:
    """Producers' clocks would decide what is too late."""
    make(settings, settings.topics.raw, 2, {})
    with pytest.raises(Refused):
        asyncio.run(create_topics(settings, 2))
    for name, configs in settings.topics.configs().items():
        if name != settings.topics.raw:
            make(settings, name, 1 if name == settings.topics.books else 2, configs)
    with pytest.raises(Refused, match=r"has message\.timestamp\.type CreateTime, not LogAppendTime"):
        asyncio.run(verify_for_worker(settings))


def test_the_schema_command_names_the_topics_of_this_installation(settings: Settings) -> None:
    """With prefix, in the contract's order."""
    result = CliRunner().invoke(main, ["schema"], env={"STREAM_PRICING_TOPIC_PREFIX": settings.topic_prefix})
    names = list(json.loads(result.output))
    order = list(settings.topics.configs())
    assert all(order.index(a) < order.index(b) for a, b in pairwise(names))
