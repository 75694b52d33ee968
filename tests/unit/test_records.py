"""Batches with a header name that is not UTF-8 are read to their end, whatever their compression."""

import struct
import tracemalloc
from bisect import bisect_right

import pytest
from aiokafka.consumer.fetcher import PartitionRecords
from aiokafka.record.default_records import DefaultRecordBatch, _DefaultRecordBatchBuilderPy
from aiokafka.record.util import calc_crc32c

from pricing.reading import Unread
from streams.records import Batches

HEADER_BYTES = 61
NAMES = {"plain": b"plain", "null": b"null", "caf\N{REPLACEMENT CHARACTER}": b"caf\xe9", "\N{SNOWMAN}": b"\xe2\x98\x83"}


class Name(str):
    """A header name that is written as other bytes than its own."""

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        return NAMES[self]


def batch(*names: str, codec: int = 0) -> bytes:
    """A batch with one record for each of these header names; "" has no header, "null" one without a value."""
    builder = _DefaultRecordBatchBuilderPy(2, codec, 0, -1, -1, -1, 1_000_000)
    for number, name in enumerate(names):
        headers = [(Name(name), None if name == "null" else b"\xfe")] if name else []
        builder.append(number, 1000 + number, b"key", b"\xff%d" % number, headers)
    return bytes(builder.build())


def read(data: bytes) -> list[tuple[int, int, bytes, bytes, list[tuple[str, bytes]]]]:
    batches, found = Batches(data), []
    while batches.has_next():
        batch = batches.next_batch()
        assert batch.validate_crc()
        found += [(each.offset, each.timestamp, each.key, each.value, list(each.headers)) for each in batch]
    return found


@pytest.mark.parametrize("codec", [0, 1, 2, 3, 4], ids=["none", "gzip", "snappy", "lz4", "zstd"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_header_name_that_is_not_utf_8_is_read_with_a_mark_in_its_place(place: int, codec: int) -> None:
    names = ["plain", "\N{SNOWMAN}", "plain"]
    names[place] = "caf\N{REPLACEMENT CHARACTER}"
    expected = [(at, 1000 + at, b"key", b"\xff%d" % at, [(name, b"\xfe")]) for at, name in enumerate(names)]
    data = batch(*names, codec=codec)
    with pytest.raises(UnicodeDecodeError):  # this is what it is for
        list(DefaultRecordBatch(data))
    assert read(data) == expected
    assert read(batch("plain") + data) == [(0, 1000, b"key", b"\xff0", [("plain", b"\xfe")]), *expected]


PACKED = pytest.mark.parametrize("codec", [1, 3, 4], ids=["gzip", "lz4", "zstd"])


@PACKED
@pytest.mark.parametrize("odd", [[], ["caf\N{REPLACEMENT CHARACTER}"]], ids=["utf-8", "other"])
def test_what_lies_behind_the_most_that_is_unpacked_is_there_unread(
    odd: list[str], codec: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever the unpacked bytes are cut, every record has its offset and the batch's append time."""
    names = ["plain", "null", "", *odd, "plain", "", "null"] * 2
    data = batch(*names, codec=codec)
    assert Batches(data).next_batch().compression_type == codec
    whole = read(data)
    ends = [len(batch(*names[:count])) - HEADER_BYTES for count in range(1, len(names) + 1)]
    for most in range(1, ends[-1]):
        monkeypatch.setattr("streams.records.UNPACKED_BYTES_MAX", most)
        found = list(Batches(data).next_batch())
        count = sum(type(each.value) is not Unread for each in found)
        assert count == bisect_right(ends, most)
        assert read(data)[:count] == whole[:count]
        rest = [(each.offset, each.timestamp, each.key, each.value, each.headers) for each in found[count:]]
        assert rest == [(offset, 999 + len(names), None, b"", ()) for offset in range(count, len(names))]
    monkeypatch.setattr("streams.records.UNPACKED_BYTES_MAX", ends[-1])
    assert read(data) == whole


@PACKED
def test_a_batch_takes_no_more_memory_than_is_unpacked_at_most(codec: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.records.UNPACKED_BYTES_MAX", 1_000_000)
    builder = _DefaultRecordBatchBuilderPy(2, codec, 0, -1, -1, -1, 100_000_000)
    for number in range(3):
        builder.append(number, 1000, None, bytes(20_000_000), [])
    data = bytes(builder.build())
    tracemalloc.start()
    try:
        assert [type(each.value) for each in Batches(data).next_batch()] == [Unread] * 3
        assert tracemalloc.get_traced_memory()[1] < 3_000_000
    finally:
        tracemalloc.stop()


def test_other_damage_is_still_told() -> None:
    broken = bytearray(batch("plain", "plain"))
    broken[-1] ^= 1
    batches = Batches(bytes(broken))
    assert not batches.next_batch().validate_crc()


def marker(count: int) -> bytes:
    """The end of a transaction of producer 7 that aborts it, or with a count of 0 what compaction leaves of that."""
    record = struct.pack(">bbbb", 0, 0, 0, 8) + struct.pack(">HH", 0, 0) + struct.pack(">bb", 0, 0)
    records = (bytes([len(record) * 2]) + record) * count
    # attributes (transactional, control), last offset delta, timestamps, producer, epoch, sequence, number of records
    body = struct.pack(">hiqqqhii", 0x30, 0, 0, 0, 7, 0, -1, count) + records
    tail = struct.pack(">ibI", 0, 2, calc_crc32c(body)) + body
    return struct.pack(">qi", 5, len(tail)) + tail


@pytest.mark.parametrize(("count", "is_abort"), [(1, True), (0, False)])
def test_an_emptied_marker_is_passed_over(count: int, is_abort: bool) -> None:
    """aiokafka's fetcher asks each marker whether it aborts, and would stay before one that says nothing."""
    batch = Batches(marker(count)).next_batch()
    assert batch.validate_crc()
    assert (batch.is_control_batch, batch.producer_id, batch.next_offset) == (True, 7, 6)
    assert PartitionRecords._contains_abort_marker(None, batch) is is_abort
