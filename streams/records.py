"""What a fetched batch is read by: aiokafka's reader in C, and where that gives up, its slower one in Python.

Header names are UTF-8 by Kafka's protocol, but no broker checks it, and aiokafka's consumer would never get past a
record with another one. Here such bytes become U+FFFD, which is in the name of no header that matters.

A compressed batch is unpacked up to UNPACKED_BYTES_MAX, so that no producer decides how much memory it takes. Records
behind that are there with their offset and no content, to be rejected.

Nor would it get past the marker of a transaction that compaction has emptied (Kafka keeps the batch of a producer that
it may hear from again). Such a one aborts nothing: whatever it ended is gone before it, as Kafka's own client has it.
"""

import struct
from collections.abc import Iterator
from itertools import islice
from types import SimpleNamespace
from typing import Any

import cramjam
import numpy as np
from aiokafka.codec import snappy_decode
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatch, _DefaultRecordBatchPy
from aiokafka.record.memory_records import _MemoryRecordsPy
from aiokafka.record.util import decode_varint_py

from pricing.reading import UNPACKED_BYTES_MAX, Unread

_HEADER_BYTES = 61
_ATTRIBUTES_AT = 22  # the lower byte
_CODEC_MASK, _SNAPPY = 7, 2
_FENCE_BYTES = 16  # aiokafka looks for the end of a number behind the end of the batch: no number is that long
_CODECS: dict[int, Any] = {1: cramjam.gzip, 3: cramjam.lz4, 4: cramjam.zstd}

_NO_ABORT = SimpleNamespace(key=struct.pack(">HH", 0, 1))  # aiokafka looks at the key: version 0, a commit


class Batches(_MemoryRecordsPy):  # type: ignore[misc]
    """The batches of a fetched partition, as aiokafka's fetcher takes them apart."""

    def next_batch(self) -> Any:
        data = self._next_slice
        batch = super().next_batch()
        if batch.magic < 2:
            return batch
        return _Marker(batch) if batch.is_control_batch else _Batch(batch, data)


class _Marker:
    """The end of a transaction; all but its record is aiokafka's own."""

    def __init__(self, batch: Any) -> None:
        self._batch = batch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        return next(self._batch, _NO_ABORT)


class _Batch:
    """A batch with data; all but its records is aiokafka's own."""

    def __init__(self, batch: Any, data: memoryview) -> None:
        self._batch = batch
        self._data = data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __iter__(self) -> Iterator[Any]:
        batch = self._batch
        if not batch.compression_type:
            yield from _records(batch, self._data)
            return
        data, is_whole = _unpack(self._data, batch.compression_type)
        offset = batch.base_offset
        try:
            for record in _records(DefaultRecordBatch(data), data):
                yield record
                offset = record.offset + 1
        except CorruptRecordException:
            if is_whole:
                raise
            for unread in range(offset, batch.next_offset):
                yield _unread(unread, batch)


def _records(batch: Any, data: Any) -> Iterator[Any]:
    read = 0
    try:
        for record in batch:
            yield record
            read += 1
    except UnicodeDecodeError:
        yield from islice(_ForgivingBatch(data), read, None)


def _unread(offset: int, batch: Any) -> Any:
    return SimpleNamespace(
        offset=offset,
        timestamp=batch.max_timestamp,
        timestamp_type=batch.timestamp_type,
        key=None,
        value=Unread(),
        headers=(),
        checksum=None,
    )


def _unpack(data: memoryview, codec: int) -> tuple[Any, bool]:
    """The batch as if its records had never been compressed, and whether that is all of them."""
    header = bytearray(data[:_HEADER_BYTES])
    header[_ATTRIBUTES_AT] &= ~_CODEC_MASK
    packed = data[_HEADER_BYTES:]
    if codec == _SNAPPY:  # its records are at most 21 times as long
        return bytes(header) + snappy_decode(packed.tobytes()), True
    # It takes memory where it is written to only.
    room = np.empty(_HEADER_BYTES + UNPACKED_BYTES_MAX + _FENCE_BYTES, np.uint8)
    room[:_HEADER_BYTES] = header
    room[-_FENCE_BYTES:] = 0xFF
    room = room[:-_FENCE_BYTES]
    try:
        count = _CODECS[codec].decompress_into(packed, room[_HEADER_BYTES:])
    except cramjam.DecompressionError:
        return room.data, False
    return room[: _HEADER_BYTES + count].data, True


class _ForgivingBatch(_DefaultRecordBatchPy):  # type: ignore[misc]
    def __init__(self, data: Any) -> None:
        super().__init__(data)
        self._buffer: bytearray = _Forgiving(self._buffer)

    def _read_msg(self) -> Any:
        record = super()._read_msg(decode_varint_py)  # the one in C reads on behind the end
        if self._pos > len(self._buffer):  # so do slices, without a word
            raise CorruptRecordException("a record goes on behind its batch")
        return record


class _Forgiving(bytearray):
    """Bytes that decode whatever they are, and so do their slices."""

    def __getitem__(self, at: Any) -> Any:
        found = super().__getitem__(at)
        return _Forgiving(found) if isinstance(at, slice) else found

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return super().decode(encoding, "replace")
