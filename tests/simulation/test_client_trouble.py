"""What aiokafka lets out, or keeps to itself: the worker goes on, or ends and says why; it never stands still."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any, Literal
from unittest import mock

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata

from streams.clients import stop
from streams.errors import Silent
from streams.restoring import PartitionLogs
from streams.settings import Settings
from tests.simulation.clients import SimClients, SimProducer
from tests.simulation.consumer import SimConsumer
from tests.simulation.group_consumer import SimGroupConsumer
from tests.simulation.scripts import THREE, one_host
from tests.simulation.world import World, event, must_account, told


async def accounted_for(world: World) -> None:
    """One worker takes in three events."""
    world.send(*THREE)
    await one_host(world)
    must_account(world)


def test_an_error_of_the_group_is_taken_also_while_no_task_runs() -> None:
    """aiokafka neither beats nor joins again until a poll has taken it; the worker goes on."""
    taken: list[str] = []

    def check_errors(self: SimGroupConsumer) -> None:
        if not taken:
            taken.append("the coordinator's error")
            raise KafkaError(taken[0])

    with mock.patch.object(SimGroupConsumer, "check_errors", check_errors):
        told(accounted_for)
    assert taken


def test_a_reader_that_cancels_its_caller_as_it_stops_holds_up_no_partition() -> None:
    """With the broker away, aiokafka's fetcher lets out the cancellation of its own fetches."""
    stopped, really_stop = [], SimConsumer.stop

    async def let_out(self: SimConsumer) -> None:
        stopped.append(self)
        await really_stop(self)
        raise asyncio.CancelledError

    with mock.patch.object(SimConsumer, "stop", let_out):
        told(accounted_for)
    assert len(stopped) > 1


def failure_of(getmany: Any) -> BaseException | None:
    """What a worker ends with whose polls do this."""
    failures: list[BaseException | None] = []

    async def scenario(world: World) -> None:
        world.send(*THREE)
        host = world.host()
        await asyncio.wait([host.life], timeout=60)
        failures.append(host.failure)
        world.problems_found.clear()

    with mock.patch.object(SimGroupConsumer, "getmany", getmany):
        told(scenario)
    return failures[0]


def test_a_commit_that_a_client_cancels_is_one_of_unknown_outcome() -> None:
    """The worker makes a new producer and reads what is in the log; it neither ends nor waits for ever."""
    cancelled: list[object] = []
    really_commit = SimProducer.commit_transaction

    async def commit(self: Any) -> None:
        if len(cancelled) < 2:
            cancelled.append(self)
            raise asyncio.CancelledError
        await really_commit(self)

    with mock.patch.object(SimProducer, "commit_transaction", commit):
        told(accounted_for)
    assert len(cancelled) == 2


def test_a_loop_that_is_cancelled_by_nobody_ends_the_worker() -> None:
    """It would be alive and do nothing."""

    async def getmany(*_: Any, **__: Any) -> Any:
        raise asyncio.CancelledError

    assert repr(failure_of(getmany)) == "RuntimeError('a client has cancelled its caller')"


Stale = Literal["state", "totals", "group"]


@pytest.mark.parametrize(
    "stale",
    [("state",), ("totals",), ("state", "totals"), ("group",), ("state", "group"), ("state", "totals", "group")],
    ids="+".join,
)
def test_what_a_frozen_broker_shows_as_it_was_is_not_gone_on_from(stale: tuple[Stale, ...]) -> None:
    """Who asks first is shown what was, by the leaders of these. What came since would be priced once more, and a
    worker that takes a contradiction for true would end: only a true leader takes records, and says where they are.
    """
    topics = Settings().topics
    names = [topic for name, topic in (("state", topics.state), ("totals", topics.totals)) if name in stale]
    before: dict[TopicPartition, int] = {}
    group_before: dict[TopicPartition, OffsetAndMetadata] = {}
    asked: Counter[object] = Counter()
    end_offsets, really_committed = SimConsumer.end_offsets, SimClients.committed

    async def listing(self: SimConsumer, tps: Any) -> dict[TopicPartition, int]:
        asked.update(tp for tp in tps if tp in before)
        found = await end_offsets(self, tps)
        return {tp: before[tp] if asked[tp] == 1 else end for tp, end in found.items()}

    async def committed(self: SimClients, tps: Any) -> dict[TopicPartition, OffsetAndMetadata | None]:
        asked["group"] += 1
        is_stale = "group" in stale and asked["group"] == 1 and group_before
        return {tp: group_before.get(tp) for tp in tps} if is_stale else await really_committed(self, tps)

    async def scenario(world: World) -> None:
        world.send(THREE[0])
        host = await one_host(world)
        for tp in (TopicPartition(topic, 0) for topic in names):
            before[tp] = world.broker.log(tp).end
        group_before.update(world.broker.group_commits(Settings().group))
        world.send(*THREE[1:])
        await world.settle()
        await host.stop()
        asked.clear()
        host = world.host()
        await world.settle()
        world.send(event("acme ftg-3.0-pro in=9 id=e9"))
        await world.settle()
        assert host.failure is None
        must_account(world)

    with (
        mock.patch.object(SimConsumer, "end_offsets", listing),
        mock.patch.object(SimClients, "committed", committed),
    ):
        told(scenario)
    assert max(asked.values()) > 1


@pytest.mark.parametrize("topic", ["state", "totals"])
def test_a_transaction_without_an_end_has_to_be_there_twice(topic: str) -> None:
    """A leader that was frozen in its midst has no marker yet, and knows better when it is asked again."""
    asked: list[TopicPartition] = []
    stable_offset = SimConsumer.last_stable_offset

    def stable(self: SimConsumer, tp: TopicPartition) -> int:
        asked.append(tp)
        return stable_offset(self, tp) - (asked.count(tp) == 1 and tp.topic == getattr(Settings().topics, topic))

    with mock.patch.object(SimConsumer, "last_stable_offset", stable):
        told(accounted_for)
    assert len(asked) > 2


def test_a_broker_that_says_nothing_contradicts_nothing() -> None:
    """What is kept stays of use to the next session."""
    looks = mock.AsyncMock(side_effect=Silent("nothing for 10 s"))
    with mock.patch.object(PartitionLogs, "_restore", looks), pytest.raises(Silent):
        asyncio.run(PartitionLogs(mock.Mock(), Settings(), 0, 1).restore(None))
    assert looks.await_count == 1


class Client:
    """A client that fails to stop, and its connections."""

    def __init__(self, error: BaseException | None) -> None:
        self._client = self
        self.is_closed = False
        self._error = error

    async def stop(self) -> None:
        if self._error is not None:
            raise self._error
        await asyncio.sleep(60)

    async def close(self) -> None:
        self.is_closed = True
        raise asyncio.CancelledError  # its sender was cancelled, and takes along whoever waits for it


@pytest.mark.parametrize(
    "error", [asyncio.CancelledError(), KafkaError("away"), None], ids=["cancels", "fails", "hangs"]
)
def test_a_client_that_does_not_stop_is_given_up_with_its_connections(error: BaseException | None) -> None:
    """Each would hold a socket and a task for ever, and while the broker is away there are many."""
    client = Client(error)
    assert not asyncio.run(stop(client, 0.05))
    assert client.is_closed


def test_whoever_stops_a_client_can_be_cancelled() -> None:
    async def cancelled() -> None:
        stopping = asyncio.create_task(stop(Client(None)))
        await asyncio.sleep(0.01)
        stopping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stopping

    asyncio.run(cancelled())


def test_a_client_is_given_up_with_its_connections_by_a_task_that_is_being_cancelled_too() -> None:
    """After a revocation: a cancellation from before is none of the stop."""
    client = Client(asyncio.CancelledError())

    async def works() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await stop(client, 0.05)

    async def cancelled() -> None:
        working = asyncio.create_task(works())
        await asyncio.sleep(0.01)
        working.cancel()
        await asyncio.wait([working])

    asyncio.run(cancelled())
    assert client.is_closed
