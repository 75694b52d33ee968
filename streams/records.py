"""What a fetched batch is read by: aiokafka's reader in C, and where that gives up, its slower one in Python.

Header names are UTF-8 by Kafka's protocol, but no broker checks it, and aiokafka's consumer would never get past a
record with another one. Here such bytes become U+FFFD, which is in the name of no header that matters.

Nor would it get past the marker of a transaction that compaction has emptied (Kafka keeps the batch of a producer that
it may hear from again). Such a one aborts nothing: whatever it ended is gone before it, as Kafka's own client has it.
"""

import struct
from collections.abc import Iterator
from itertools import islice
from types import SimpleNamespace
from typing import Any

from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import _MemoryRecordsPy

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
        read = 0
        try:
            for record in self._batch:
                yield record
                read += 1
        except UnicodeDecodeError:
            yield from islice(_ForgivingBatch(self._data), read, None)


class _ForgivingBatch(_DefaultRecordBatchPy):  # type: ignore[misc]
    _buffer: bytearray

    def _maybe_uncompress(self) -> None:
        super()._maybe_uncompress()
        self._buffer = _Forgiving(self._buffer)


class _Forgiving(bytearray):
    """Bytes that decode whatever they are, and so do their slices."""

    def __getitem__(self, at: Any) -> Any:
        found = super().__getitem__(at)
        return _Forgiving(found) if isinstance(at, slice) else found

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return super().decode(encoding, "replace")
