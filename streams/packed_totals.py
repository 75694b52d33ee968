"""The totals of a partition as their records: by window, packed once nothing has changed in a window for a while.

Nearly all of them are of hours and days that are over and wait to be forgotten. Packed, one takes 140 bytes, not 850.
"""

import zlib
from collections.abc import Iterator, MutableMapping

import msgspec

Window = tuple[str, str]  # such as ("hour", "2026-11-22T10:00:00Z")

BLOCK = 64  # records that are packed together
TURN = 5_000  # records written, after which the windows are packed that none of them was of
_FAST = 1

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(dict[str, bytes]).decode


class PackedTotals(MutableMapping[str, bytes]):
    """Records of totals by their keys, `organization/project/window/start[/item]`; ValueError for any other key."""

    def __init__(self) -> None:
        self._windows: dict[Window, _Window] = {}
        self._written = 0

    def __getitem__(self, key: str) -> bytes:
        return self._windows[_window_of(key)].around(key)[key]

    def __setitem__(self, key: str, value: bytes) -> None:
        name = _window_of(key)
        window = self._windows.get(name)
        if window is None:
            window = self._windows[name] = _Window()
        window.around(key)[key] = value
        window.is_fresh = True
        self._written += 1
        if self._written >= TURN:
            self._turn()

    def __delitem__(self, key: str) -> None:
        name = _window_of(key)
        window = self._windows[name]
        del window.around(key)[key]
        if not window:
            del self._windows[name]

    def __iter__(self) -> Iterator[str]:
        for name in list(self._windows):
            yield from self.keys_of(name)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __bool__(self) -> bool:
        return bool(self._windows)

    def windows(self) -> list[Window]:
        """Those that have totals."""
        return list(self._windows)

    def keys_of(self, name: Window) -> Iterator[str]:
        """The keys of a window, as they were when the first was asked for."""
        return self._windows[name].keys()

    def _turn(self) -> None:
        self._written = 0
        for window in self._windows.values():
            if window.is_fresh:
                window.is_fresh = False
            else:
                window.pack()


class _Window:
    """The records of one window: `loose`, or in the block that the hash of their project says; an empty one's are
    loose. `is_fresh`: written to since the last turn."""

    __slots__ = ("_blocks", "_loose", "is_fresh")

    def __init__(self) -> None:
        self._loose: dict[str, bytes] = {}
        self._blocks: list[bytes] = []
        self.is_fresh = True

    def __bool__(self) -> bool:
        return bool(self._loose) or any(self._blocks)

    def around(self, key: str) -> dict[str, bytes]:
        """The loose records, with those of the block that `key` belongs to."""
        if self._blocks:
            number = self._number(key)
            if block := self._blocks[number]:
                self._loose |= _unpack(block)
                self._blocks[number] = b""
        return self._loose

    def keys(self) -> Iterator[str]:
        loose, blocks = list(self._loose), list(self._blocks)
        yield from loose
        for block in blocks:
            if block:
                yield from _unpack(block)

    def pack(self) -> None:
        if not self._loose:
            return
        if not any(self._blocks):
            self._blocks = [b""] * (1 + len(self._loose) // BLOCK)
        parts: dict[int, dict[str, bytes]] = {}
        for key, value in self._loose.items():
            parts.setdefault(self._number(key), {})[key] = value
        for number, part in parts.items():
            self._blocks[number] = zlib.compress(_encode(part), _FAST)
        self._loose = {}

    def _number(self, key: str) -> int:
        organization, project, _ = key.split("/", 2)
        return hash((organization, project)) % len(self._blocks)


def _unpack(block: bytes) -> dict[str, bytes]:
    return _decode(zlib.decompress(block))


def _window_of(key: str) -> Window:
    _, _, window, start, *_ = key.split("/", 4)
    return window, start
