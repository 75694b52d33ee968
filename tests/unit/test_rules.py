"""The client options that the rules of architecture.md ask for, and the start that they forbid."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

from aiokafka.coordinator.assignors.range import RangePartitionAssignor

from streams.clients import KafkaReaders
from streams.session import BATCH_BYTES_MAX, KafkaClients
from streams.settings import Settings


def in_a_loop(make: Any) -> Any:
    async def made() -> Any:
        return make()

    return asyncio.run(made())


def test_consumers_read_what_is_committed_and_move_no_offsets_themselves() -> None:
    """Rule 7, for the readers of state and books and for the member of the group."""
    clients = KafkaReaders(Settings())
    for make in (clients.reader, lambda: clients.group_consumer(["a"], None)._consumer):
        consumer = in_a_loop(make)
        options = (consumer._isolation_level, consumer._auto_offset_reset, consumer._enable_auto_commit)
        assert options == ("read_committed", "none", False)


def test_partitions_are_assigned_by_range() -> None:
    """Rule 5: the same share of every topic; aiokafka's default is round robin."""
    consumer = in_a_loop(lambda: KafkaReaders(Settings()).group_consumer(["a"], None)._consumer)
    assert consumer._partition_assignment_strategy == (RangePartitionAssignor,)


def test_a_member_that_has_nothing_to_poll_stays_in_the_group() -> None:
    """One that stands by, or restores for long: aiokafka would leave for it and never join again."""
    consumer = in_a_loop(lambda: KafkaReaders(Settings()).group_consumer(["a"], None)._consumer)
    assert consumer._max_poll_interval_ms == 2**31 - 1


def test_a_poll_takes_so_many_records_at_most() -> None:
    """A compressed batch may have millions: aiokafka would make all of them at once."""
    readers = KafkaReaders(Settings())
    for made in (readers.reader, lambda: readers.group_consumer(["a"], None)._consumer):
        assert in_a_loop(made)._max_poll_records == 50_000


def test_the_producer_is_transactional_with_batches_that_a_broker_takes() -> None:
    """Rules 3 and 7: acknowledged by all in-sync replicas, under the broker's limit of 1 MB."""
    settings = Settings(transaction_timeout_ms=12_345)
    producer = in_a_loop(lambda: KafkaClients(settings).producer("t"))
    transactions = producer._txn_manager
    assert (transactions.transactional_id, transactions.transaction_timeout_ms) == ("t", 12_345)
    assert (producer._sender._acks, producer._message_accumulator._batch_size) == (-1, BATCH_BYTES_MAX)


def test_a_python_without_assertions_is_refused() -> None:
    """Rule 8: the state machine inside aiokafka is made of them."""
    command = [sys.executable, "-O", "-m", "streams", "worker", "--bootstrap-servers", "127.0.0.1:1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert "python -O" in done.stderr
