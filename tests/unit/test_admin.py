"""Where a cluster cannot be asked: one line that names the address and why. What is on clusters is in broker/."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import NodeNotReadyError

from streams import admin
from streams.errors import Refused
from streams.settings import load_settings


class Client:
    """It was let in, and the cluster has told it of a broker that it cannot reach."""

    def __init__(self, **_: object) -> None:
        self.cluster = SimpleNamespace(
            broker_metadata=lambda node: SimpleNamespace(host="127.0.0.1", port=1),
            brokers=lambda: [SimpleNamespace(nodeId=7), SimpleNamespace(nodeId=8)],
        )

    async def bootstrap(self) -> None:
        pass

    def get_random_node(self) -> int:
        return 7

    async def send(self, node: int, request: Any) -> Any:
        raise NodeNotReadyError(f"node id {node}")

    async def close(self) -> None:
        pass


def test_a_broker_that_is_not_where_the_cluster_says_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its address is not among the settings: an operator would look for the fault there."""
    monkeypatch.setattr(admin, "AIOKafkaClient", Client)
    with pytest.raises(Refused) as refused:
        asyncio.run(admin.partition_count(load_settings(environ={}), "usage.raw.v1"))
    assert str(refused.value).startswith("no connection to Kafka at 127.0.0.1:1: ")
    assert str(refused.value).endswith("; so the cluster calls its broker 7 (advertised.listeners)")


def test_another_broker_is_asked_where_one_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    class HalfSilent(Client):
        async def send(self, node: int, request: Any) -> Any:
            asked.append(node)
            await asyncio.sleep(60 if node == 7 else 0)
            return SimpleNamespace(
                to_object=lambda: {"topics": [{"error_code": 0, "topic": "t", "partitions": [0, 1]}]}
            )

    monkeypatch.setattr(admin, "AIOKafkaClient", HalfSilent)
    settings = load_settings(environ={"STREAM_PRICING_REQUEST_TIMEOUT_MS": "1000"})
    assert asyncio.run(admin.partition_count(settings, "t")) == 2
    assert asked == [7, 8]
