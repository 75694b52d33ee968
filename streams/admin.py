"""Topics on a cluster: create them, check them, and what a worker verifies before it starts.

Written on aiokafka's client and protocol classes: its admin client lets a broker create the topic that it is
asked about (`allow_auto_topic_creation`), and hides why a connection failed. Every await is bounded.
"""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import (
    KafkaConnectionError,
    NodeNotReadyError,
    NoError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    for_code,
)
from aiokafka.protocol.admin import ApiVersionRequest, CreateTopicsRequest, DescribeConfigsRequest
from aiokafka.protocol.metadata import MetadataRequest

from streams.clients import STOP_TIMEOUT_S, ends
from streams.errors import Refused
from streams.reaching import why_not
from streams.rights import check_rights
from streams.settings import Settings
from streams.topics import TopicFacts, TopicSpec, config_differences, small_books, weaknesses

log = logging.getLogger(__name__)

_TOPIC_RESOURCE = 2
_FETCH_API = 1
_CREATION_POLL_S = 0.1


class Findings(NamedTuple):
    """What `check_topics` found: `problems` break the contract, `warnings` are worth a thought."""

    problems: list[str]
    warnings: list[str]


async def create_topics(settings: Settings, partitions: int, replication_factor: int | None = None) -> list[str]:
    """Create the topics that are missing and return their names, once every one of them can be used.

    `replication_factor` None: three, or as many as there are brokers, and any that existing topics have.
    Refuses, before anything is created, when a topic exists and differs from what would be created.
    """
    async with _cluster(settings) as cluster:
        factor = replication_factor or min(3, await cluster.broker_count())
        wanted = settings.topics.specs(partitions, factor)
        existing = await cluster.describe([spec.name for spec in wanted])
        differing = [
            phrase
            for spec in wanted
            if spec.name in existing
            for phrase in _differences(settings, spec, existing[spec.name])
        ]
        differing += [
            f"topic {found.name}: replication factor is {found.replication_factor}, asked for is {factor}"
            for found in existing.values()
            if replication_factor and found.replication_factor != factor
        ]
        if differing:
            raise Refused(f"existing topics differ, and nothing was changed: {'; '.join(differing)}")
        missing = [spec for spec in wanted if spec.name not in existing]
        await cluster.create(missing)
        await cluster.wait_for(spec.name for spec in missing)
    return [spec.name for spec in missing]


async def check_topics(settings: Settings) -> Findings:
    """Hold the topics against the contract's section 1, and look at what makes a cluster weak."""
    async with _cluster(settings) as cluster:
        facts = await cluster.describe(list(settings.topics.configs()))
        old = await cluster.is_older_than_4()
    problems = _problems(settings, facts)
    warnings = ["the broker is older than Kafka 4.0, the first version this is made for"] if old else []
    in_order = [facts[name] for name in settings.topics.configs() if name in facts]
    return Findings(problems, warnings + weaknesses(in_order) + small_books(facts.get(settings.topics.books)))


async def verify_for_worker(settings: Settings) -> int:
    """The number of partitions of the data topics. Refused where a worker could not keep its promises."""
    async with _cluster(settings) as cluster:
        facts = await cluster.describe(list(settings.topics.configs()))
        partitions = _verified(settings, facts)
        await cluster.check_rights(settings, partitions)
    for problem in _problems(settings, facts):
        log.warning("%s", problem)
    return partitions


def _verified(settings: Settings, facts: Mapping[str, TopicFacts]) -> int:
    topics = settings.topics
    if missing := [name for name in topics.configs() if name not in facts]:
        raise Refused(f"missing topics: {', '.join(missing)}; `stream-pricing topics create` makes them")
    if counts := _partition_problems(settings, facts):
        raise Refused("; ".join(counts))
    stamped = facts[topics.raw].configs.get("message.timestamp.type")
    if stamped != "LogAppendTime":
        raise Refused(
            f"topic {topics.raw} has message.timestamp.type {stamped}, not LogAppendTime: a producer's clock "
            "would decide what is a duplicate or too late"
        )
    for changelog in (topics.state, topics.totals):
        if (policy := facts[changelog].configs.get("cleanup.policy")) != "compact":
            raise Refused(f"topic {changelog} has cleanup.policy {policy}, not compact: state would be lost")
    return facts[topics.raw].partitions


def _problems(settings: Settings, facts: Mapping[str, TopicFacts]) -> list[str]:
    problems = []
    for name, promised in settings.topics.configs().items():
        if name not in facts:
            problems.append(f"topic {name} is missing")
            continue
        problems += [f"topic {name}: {phrase}" for phrase in config_differences(promised, facts[name].configs)]
    return problems + _partition_problems(settings, facts)


def _partition_problems(settings: Settings, facts: Mapping[str, TopicFacts]) -> list[str]:
    topics, problems = settings.topics, []
    counts = {name: facts[name].partitions for name in topics.data if name in facts}
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{name} {count}" for name, count in counts.items())
        problems.append(f"the topics have to have the same number of partitions, and have: {listed}")
    books = facts.get(topics.books)
    if books and books.partitions != 1:
        problems.append(f"topic {topics.books} has {books.partitions} partitions, and not 1")
    return problems


def _differences(settings: Settings, spec: TopicSpec, found: TopicFacts) -> list[str]:
    phrases = list(config_differences(settings.topics.configs()[spec.name], found.configs))
    if found.partitions != spec.partitions:
        phrases.insert(0, f"partitions is {found.partitions}, asked for is {spec.partitions}")
    return [f"topic {spec.name}: {phrase}" for phrase in phrases]


async def partition_count(settings: Settings, topic: str) -> int:
    """How many partitions `topic` has; Refused when it does not exist."""
    async with _cluster(settings) as cluster:
        found = await cluster.partitions([topic])
    if topic not in found:
        raise Refused(f"topic {topic} does not exist; `stream-pricing topics create` makes it")
    return len(found[topic])


class _Cluster:
    """Questions to a cluster."""

    def __init__(self, client: AIOKafkaClient, options: Mapping[str, Any]) -> None:
        self._client = client
        self._options = options
        self._timeout_ms = options["request_timeout_ms"]

    async def describe(self, names: Sequence[str]) -> dict[str, TopicFacts]:
        """The facts of those of the topics that exist."""
        found = await self.partitions(names)
        configs = await self._configs(list(found)) if found else {}
        return {
            name: TopicFacts(name, len(parts), min(len(part["replicas"]) for part in parts), configs[name])
            for name, parts in found.items()
        }

    async def partitions(self, names: Sequence[str]) -> dict[str, list[Any]]:
        """The partitions of those of the topics that exist, as the metadata protocol has them."""
        answer = await self._ask(MetadataRequest(list(names), allow_auto_topic_creation=False))
        found: dict[str, list[Any]] = {}
        for topic in answer.to_object()["topics"]:
            error = for_code(topic["error_code"])
            if error is TopicAuthorizationFailedError:
                raise Refused(f"Kafka's ACLs do not allow to describe topic {topic['topic']}")
            if error is NoError:
                found[topic["topic"]] = topic["partitions"]
            elif error is not UnknownTopicOrPartitionError:
                raise error(topic["topic"])
        return found

    async def _configs(self, names: Sequence[str]) -> dict[str, dict[str, str]]:
        answer = await self._ask(DescribeConfigsRequest([(_TOPIC_RESOURCE, name, None) for name in names], False))
        configs = {}
        for code, message, _, name, entries in answer.resources:
            error = for_code(code)
            if error is TopicAuthorizationFailedError:
                raise Refused(f"Kafka's ACLs do not allow to describe the settings of topic {name} (DescribeConfigs)")
            if error is not NoError:
                raise error(f"{name}: {message}")
            configs[name] = {entry[0]: entry[1] for entry in entries}
        return configs

    async def check_rights(self, settings: Settings, partitions: int) -> None:
        """Refused: what the ACLs do not allow a worker."""
        await check_rights(self._client, settings, partitions)

    async def create(self, specs: Sequence[TopicSpec]) -> None:
        """Create them; Refused names each topic that the cluster did not create, and why."""
        if not specs:
            return
        request = CreateTopicsRequest(
            create_topic_requests=[
                (spec.name, spec.partitions, spec.replication_factor, [], list(spec.configs.items())) for spec in specs
            ],
            timeout=self._timeout_ms,
            validate_only=False,
        )
        # With KRaft any broker forwards it; before 4.0 it has to be the controller.
        answer = await self._send(self._client.cluster.controller.nodeId, request)
        refused = [
            f"topic {name}: {message or for_code(code).__name__}"
            for name, code, message, *_ in answer.topic_errors
            if for_code(code) is not NoError
        ]
        if refused:
            raise Refused(f"Kafka did not create {'; '.join(refused)}")

    async def wait_for(self, names: Iterable[str]) -> None:
        """Until every one of the topics is known and each of its partitions has a leader."""
        waiting = set(names)
        async with asyncio.timeout(self._timeout_ms / 1000):
            while waiting:
                answer = await self._ask(MetadataRequest(sorted(waiting), allow_auto_topic_creation=False))
                for topic in answer.to_object()["topics"]:
                    if topic["error_code"] == 0 and all(part["leader"] >= 0 for part in topic["partitions"]):
                        waiting.discard(topic["topic"])
                if waiting:
                    await asyncio.sleep(_CREATION_POLL_S)

    async def broker_count(self) -> int:
        """How many brokers the cluster has."""
        answer = await self._ask(MetadataRequest([], allow_auto_topic_creation=False))
        return len(answer.brokers)

    async def is_older_than_4(self) -> bool:
        """Whether the broker is older than Kafka 4.0.

        No request tells a broker's version. But 4.0 dropped old versions of many requests (KIP-896), and
        the ApiVersions answer lists what is left: Fetch begins at version 4 there, and at 0 in all before.
        """
        answer = await self._ask(ApiVersionRequest())
        return any(key == _FETCH_API and lowest < 4 for key, lowest, _ in answer.api_versions)

    async def _ask(self, request: Any) -> Any:
        """The answer of any broker: one may be silent, and two are asked."""
        asked = self._client.get_random_node()
        try:
            return await self._send(asked, request)
        except TimeoutError:
            others = [broker.nodeId for broker in self._client.cluster.brokers() if broker.nodeId != asked]
            if not others:
                raise
            return await self._send(random.choice(others), request)

    async def _send(self, node: int | None, request: Any) -> Any:
        try:
            async with asyncio.timeout(self._timeout_ms / 1000):
                return await self._client.send(node, request)
        except NodeNotReadyError:
            broker = self._client.cluster.broker_metadata(node)
            if broker is None:
                raise
            reason = await why_not([f"{broker.host}:{broker.port}"], self._options)
            raise Refused(f"{reason}; so the cluster calls its broker {node} (advertised.listeners)") from None


@asynccontextmanager
async def _cluster(settings: Settings) -> AsyncIterator[_Cluster]:
    """A connection that is closed at the end; Refused says what stands in the way."""
    options = settings.client_options() | {"request_timeout_ms": settings.request_timeout_ms}
    client = AIOKafkaClient(**options)
    try:
        try:
            async with asyncio.timeout(settings.start_timeout_s):
                await client.bootstrap()
        except (KafkaConnectionError, TimeoutError):
            raise Refused(await why_not(options["bootstrap_servers"], options)) from None
        yield _Cluster(client, options)
    finally:
        await ends(client.close(), STOP_TIMEOUT_S)
