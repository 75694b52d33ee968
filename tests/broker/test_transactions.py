"""What a real coordinator says of a transaction, and that ending it once more changes nothing that can be read."""

import pytest
from aiokafka import TopicPartition
from aiokafka.conn import CloseReason
from aiokafka.errors import KafkaError

from streams.batch import Counts, Step
from streams.clients import stop
from streams.kafka_errors import OutcomeUnknown
from streams.session import KafkaClients, Session
from streams.settings import Settings
from streams.state import Changes, Position
from tests.broker.harness import clock_ms, prepare, read, settings_for
from tests.broker.processes import eventually


async def test_the_coordinator_tells_how_a_transaction_stands(kafka: str, prefix: str) -> None:
    settings = settings_for(kafka, prefix)
    await prepare(settings, clock_ms())
    clients, name = KafkaClients(settings), settings.transactional_id(0)
    states = [await clients.transaction_state(name)]
    producer = clients.producer(name)
    await producer.start()
    try:
        for end in (producer.commit_transaction, producer.abort_transaction):
            states.append(await clients.transaction_state(name))
            await producer.begin_transaction()
            await producer.send_and_wait(settings.topics.parked, b"{}", partition=0)
            states.append(await clients.transaction_state(name))
            await end()
            states.append((await clients.transaction_state(name)).replace("Prepare", "Complete"))
            await eventually(lambda: _is_complete(clients, name))
    finally:
        await stop(producer)
    assert states == ["", "Empty", "Ongoing", "CompleteCommit", "CompleteCommit", "Ongoing", "CompleteAbort"]


async def test_a_session_ends_the_transaction_before_it_once_more(kafka: str, prefix: str) -> None:
    """Its markers are on every output before the state is read, and nothing else is."""
    settings = settings_for(kafka, prefix)
    await prepare(settings, clock_ms())
    clients, outputs = KafkaClients(settings), settings.topics.outputs
    producer = clients.producer(settings.transactional_id(0))
    await producer.start()
    await producer.begin_transaction()
    await producer.send_and_wait(settings.topics.rejected, b"{}", partition=0)
    await producer.commit_transaction()
    await stop(producer)
    await eventually(lambda: _has_coordinator(clients, settings))
    session = Session(clients, settings, 0, 4, {})
    reader = clients.reader()
    await reader.start()
    try:
        await session.open(None)
        ends = await reader.end_offsets([TopicPartition(topic, 0) for topic in outputs])
        elsewhere = TopicPartition(settings.topics.rekeyed, 3)
        assert await reader.end_offsets([elsewhere]) == {elsewhere: 1}
    finally:
        await session.close()
        await stop(reader)
    # The record, its marker, and one more: on the others the one more alone.
    assert {part.topic: end for part, end in ends.items()} == {
        topic: 3 if topic == settings.topics.rejected else 1 for topic in outputs
    }


@pytest.mark.parametrize("reason", [CloseReason.CONNECTION_BROKEN, CloseReason.IDLE_DROP])
async def test_a_producer_sends_nothing_on_another_connection(reason: CloseReason, kafka: str, prefix: str) -> None:
    """Once one has broken; one that was idle is no loss."""
    settings = settings_for(kafka, prefix)
    await prepare(settings, clock_ms())
    session = Session(KafkaClients(settings), settings, 0, 4, {})
    opened = await session.open(None)
    try:
        for connection in list(session._producer.client._conns.values()):
            connection.close(reason=reason)
        if reason is CloseReason.IDLE_DROP:
            session.check()
            await session.commit(_nothing(settings), opened.state)
            return
        with pytest.raises(OutcomeUnknown, match="has broken"):
            session.check()
        with pytest.raises(OutcomeUnknown):
            await session.commit(_nothing(settings), opened.state)
    finally:
        await session.close()
    assert await session._clients.transaction_state(settings.transactional_id(0)) == "Empty"


@pytest.mark.parametrize("sent", [4, 5, 6])
async def test_sequence_numbers_begin_anew(sent: int, kafka: str, prefix: str) -> None:
    """After 2**31 records of a producer to a partition, whether a batch ends there or goes over it."""
    settings = settings_for(kafka, prefix)
    await prepare(settings, clock_ms())
    producer = KafkaClients(settings).producer(settings.transactional_id(0))
    await producer.start()
    producer._txn_manager._sequence_numbers[TopicPartition(settings.topics.priced, 0)] = 2**31 - 5
    try:
        for _ in range(3):
            await producer.begin_transaction()
            batch = producer.create_batch()
            for _ in range(sent):
                batch.append(timestamp=None, key=b"k", value=b"{}", headers=[])
            batch.close()
            await (await producer.send_batch(batch, settings.topics.priced, partition=0))
            await producer.commit_transaction()
    finally:
        await stop(producer)
    assert len(await read(settings, settings.topics.priced)) == 3 * sent


def _nothing(settings: Settings) -> Step:
    """A step without records, which moves the state on all the same."""
    return Step({}, Changes(Position(app=settings.app, partitions=4, raw=0, rekeyed=0, accounts=0)), [], Counts(), 0)


async def _is_complete(clients: KafkaClients, transactional_id: str) -> bool:
    return (await clients.transaction_state(transactional_id)).startswith("Complete")


async def _has_coordinator(clients: KafkaClients, settings: Settings) -> bool:
    """A young cluster makes the topic of its groups when it is first asked."""
    try:
        await clients.committed([TopicPartition(settings.topics.raw, 0)])
    except KafkaError:
        return False
    return True
