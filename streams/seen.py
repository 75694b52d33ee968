"""The identities that a task has seen: exact look-ups for many at once, 45 bytes an id.

A hash table in numpy arrays: a row has the 128-bit fingerprint, the 64-bit hash of the content and the raw offset, a
slot the number of a row. A Python dictionary of the same would take four times the memory. Rows are also the wire form
of the changelog, so a restore copies bytes.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

ROW_BYTES = 32

_U64 = np.dtype("<u8")
_LOAD_MAX = 0.6
_CLAIMS_MAX = 16_384  # at once, for memory


def row(fingerprint: bytes, content: bytes, offset: int) -> bytes:
    """One id as 32 bytes."""
    return fingerprint + content + offset.to_bytes(8, "little")


class SeenIds:
    """The ids of one partition, each filed under the day (days since 1970) of its append time."""

    def __init__(self) -> None:
        self._count = 0
        self._rows: NDArray[np.uint64] = np.zeros((64, 4), _U64)
        self._days: NDArray[np.int32] = np.zeros(64, np.int32)
        self._slots: NDArray[np.int32] = np.full(128, -1, np.int32)

    def __len__(self) -> int:
        return self._count

    def find(self, fingerprints: Sequence[bytes]) -> list[bytes | None]:
        """The content hash of each fingerprint that is known, None for the others."""
        found: list[bytes | None] = [None] * len(fingerprints)
        if not self._count or not fingerprints:
            return found
        keys = np.frombuffer(b"".join(fingerprints), _U64).reshape(-1, 2)
        mask = len(self._slots) - 1
        at = (keys[:, 1] & np.uint64(mask)).astype(np.int64)
        pending = np.arange(len(keys))
        while pending.size:
            rows = self._slots[at[pending]]
            taken = rows >= 0
            pending, rows = pending[taken], rows[taken]
            same = (self._rows[rows, 0] == keys[pending, 0]) & (self._rows[rows, 1] == keys[pending, 1])
            for index, number in zip(pending[same].tolist(), rows[same].tolist(), strict=True):
                found[index] = self._rows[number, 2].tobytes()
            pending = pending[~same]
            at[pending] = (at[pending] + 1) & mask
        return found

    def add(self, day: int, rows: bytes) -> None:
        """File ids (32 bytes each, none of them known) under their day."""
        new = np.frombuffer(rows, _U64).reshape(-1, 4)
        first, self._count = self._count, self._count + len(new)
        self._reserve()
        self._rows[first : self._count] = new
        self._days[first : self._count] = day
        if self._count > _LOAD_MAX * len(self._slots):
            self._rehash()
        else:
            self._claim(first)

    def drop(self, day: int) -> None:
        """Forget all ids of a day."""
        keep = self._days[: self._count] != day
        kept = int(keep.sum())
        if kept == self._count:
            return
        self._rows = self._rows[: self._count][keep]
        self._days = self._days[: self._count][keep]
        self._count = kept
        self._reserve()
        self._rehash()

    def _reserve(self) -> None:
        capacity = len(self._rows)
        if self._count <= capacity and capacity:
            return
        capacity = max(64, self._count + self._count // 4)
        rows = np.zeros((capacity, 4), _U64)
        rows[: len(self._rows)] = self._rows
        days = np.zeros(capacity, np.int32)
        days[: len(self._days)] = self._days
        self._rows, self._days = rows, days

    def _rehash(self) -> None:
        size = 128
        while self._count > _LOAD_MAX / 1.5 * size:
            size *= 2
        self._slots = np.full(size, -1, np.int32)
        self._claim(0)

    def _claim(self, first: int) -> None:
        """Give every row from `first` on a slot: all try at once, the last to write wins, the others move on."""
        mask = len(self._slots) - 1
        for start in range(first, self._count, _CLAIMS_MAX):
            numbers = np.arange(start, min(start + _CLAIMS_MAX, self._count), dtype=np.int32)
            at = (self._rows[start : start + len(numbers), 1] & np.uint64(mask)).astype(np.int64)
            while numbers.size:
                free = self._slots[at] < 0
                self._slots[at[free]] = numbers[free]
                lost = self._slots[at] != numbers
                numbers, at = numbers[lost], (at[lost] + 1) & mask
