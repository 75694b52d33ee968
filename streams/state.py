"""What a task knows of its partition, and its changelog: where it is, ids seen, totals, accounts, parked events.

Nothing here changes before a commit has succeeded: `step` works on an overlay and gives back `Changes`, which `fold`
takes in. Restoring the changelog gives the same state as folding did; `records` is the only writer of the changelog and
`restore` its only reader. The totals topic is the changelog of the totals.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from pricing.accounts import Account, account_bytes, parse_account
from pricing.errors import InvalidDocument
from pricing.totals import DAY_NS, Total
from streams.packed_totals import PackedTotals
from streams.seen import ROW_BYTES, SeenIds
from streams.total_codec import read_total

FORMAT = 1
SEGMENT_IDS_MAX = 15_000  # 480,000 bytes: a full segment
SMALL_SEGMENTS_MAX = 64  # of a day, before they become one: each is held in memory until its day is over
HOT_TOTALS = 2_500  # then a new generation begins, and the one before the last is let go

Record = tuple[bytes, bytes | None]


class StateContradiction(Exception):
    """The changelog is not of this app, partition count or format: the worker must stop and say so."""


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """Where the partition is: next offsets of its three inputs, and the greatest append time read from raw (ms).

    The ids of append days before `ids_since_day` may have been forgotten, as older than `max_age_days` was then.
    """

    format: int = FORMAT
    app: str
    partitions: int
    sequence: int = 0
    stream_time_ms: int = 0
    ids_since_day: int = 0
    raw: int = -1
    rekeyed: int = -1
    accounts: int = -1

    @property
    def offsets(self) -> tuple[int, int, int]:
        """The next offsets of the inputs, in the order of `Topics.inputs`."""
        return self.raw, self.rekeyed, self.accounts


class ParkedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event that waits for a publication; `offset` is its record's on the parked topic, `waits` what may cure it."""

    offset: int
    reason: str
    detail: str
    since: str
    waits: tuple[str, ...]
    at: int
    organization: str
    project: str
    source: str
    id: str
    type: str


@dataclass
class Changes:
    """What one transaction changes. `parked` is complete once the parked records have their offsets; `totals_written`
    are the records of `totals`."""

    position: Position
    seen: dict[int, list[bytes]] = field(default_factory=dict)
    totals: dict[str, Total] = field(default_factory=dict)
    totals_written: dict[str, bytes] = field(default_factory=dict)
    accounts: dict[str, Account] = field(default_factory=dict)
    parked: dict[int, ParkedEvent] = field(default_factory=dict)
    released: list[int] = field(default_factory=list)
    expired_days: list[int] = field(default_factory=list)
    expired_totals: list[str] = field(default_factory=list)
    has_more_to_expire: bool = False


class _Day:
    """The changelog records of one append day: full segments, and small ones that a full one will replace."""

    def __init__(self) -> None:
        self.full: list[int] = []
        self.small: dict[int, bytes] = {}

    @property
    def next(self) -> int:
        return max([*self.full, *self.small], default=-1) + 1


class State:
    """The state of one partition, as of `position`."""

    def __init__(self, position: Position) -> None:
        self.position = position
        self.seen = SeenIds()
        self.accounts: dict[str, Account] = {}
        self.parked: dict[int, ParkedEvent] = {}
        self.totals = PackedTotals()
        self.has_more_to_expire = False
        self._hot: dict[str, Total] = {}
        self._warm: dict[str, Total] = {}
        self._days: dict[int, _Day] = {}

    # --- questions

    def find_total(self, key: str) -> Total | None:
        """The total as last published."""
        total = self._hot.get(key) or self._warm.get(key)
        if total is None and (value := self.totals.get(key)) is not None:
            total = read_total(value)[1]
        return total

    def waiting_for(self, published: Iterable[str]) -> list[int]:
        """Offsets of the parked events that any of these publications may cure, in order."""
        names = set(published)
        return sorted(offset for offset, parked in self.parked.items() if not names.isdisjoint(parked.waits))

    def days(self) -> list[int]:
        """The append days that ids are filed under."""
        return list(self._days)

    # --- the changelog

    def records(self, changes: Changes) -> list[Record]:
        """The changelog records of a transaction; the position comes first."""
        records: list[Record] = [(b"position", msgspec.json.encode(changes.position))]
        for day, rows in changes.seen.items():
            records += self._seen_records(day, b"".join(rows))
        for day in changes.expired_days:
            held = self._days[day]
            records += [(_seen_key(day, number), None) for number in (*held.full, *held.small)]
        for organization, account in changes.accounts.items():
            records.append((f"account/{organization}".encode(), account_bytes(account)))
        records += [(_parked_key(offset), msgspec.json.encode(parked)) for offset, parked in changes.parked.items()]
        records += [(_parked_key(offset), None) for offset in changes.released]
        return records

    def fold(self, changes: Changes) -> None:
        """Take in what has been committed; the position last: a fold that failed half-way is not taken for done."""
        for day, rows in changes.seen.items():
            joined = b"".join(rows)
            self.seen.add(day, joined)
            self._file(day, self._seen_records(day, joined))
        for day in changes.expired_days:
            self.seen.drop(day)
            del self._days[day]
        self.accounts.update(changes.accounts)
        self.parked.update(changes.parked)
        for offset in changes.released:
            del self.parked[offset]
        self.totals.update(changes.totals_written)
        self._keep_hot(changes.totals)
        for key in changes.expired_totals:
            self._drop_total(key)
        self.has_more_to_expire = changes.has_more_to_expire
        self.position = changes.position

    def _seen_records(self, day: int, rows: bytes) -> list[Record]:
        """A small segment; or, once they are many or large, a full one in their place and the rest as a small one."""
        held = self._days.get(day) or _Day()
        number = held.next
        size = sum(map(len, held.small.values())) + len(rows)
        if size < SEGMENT_IDS_MAX * ROW_BYTES and len(held.small) < SMALL_SEGMENTS_MAX:
            return [(_seen_key(day, number), rows)]
        joined = b"".join(held.small.values()) + rows
        parts = [joined[at : at + SEGMENT_IDS_MAX * ROW_BYTES] for at in range(0, size, SEGMENT_IDS_MAX * ROW_BYTES)]
        first, *others = [*held.small, number]
        numbers = [first, *range(number + 1, number + len(parts))]
        records: list[Record] = [(_seen_key(day, n), part) for n, part in zip(numbers, parts, strict=True)]
        return records + [(_seen_key(day, n), None) for n in others if n != number]

    def _file(self, day: int, records: Sequence[Record]) -> None:
        held = self._days.setdefault(day, _Day())
        for key, value in records:
            number = _segment(key)
            held.small.pop(number, None)
            if value is None:
                continue
            if len(value) == SEGMENT_IDS_MAX * ROW_BYTES:
                held.full.append(number)
            else:
                held.small[number] = value

    def _keep_hot(self, totals: Mapping[str, Total]) -> None:
        """Keep what was touched last ready to be added to: the others are read again."""
        self._hot.update(totals)
        if len(self._hot) > HOT_TOTALS:
            self._hot, self._warm = {}, self._hot

    def _drop_total(self, key: str) -> None:
        del self.totals[key]
        self._hot.pop(key, None)
        self._warm.pop(key, None)


def restore(latest: Mapping[bytes, bytes], totals: PackedTotals, *, app: str, partition: int, partitions: int) -> State:
    """The state that the last value of each key of the two changelogs says; it takes the totals over.

    Raises StateContradiction where it is another app's, has another partition count or a newer format, or where there
    are records but no position.
    """
    where = f"state of partition {partition}"
    written = latest.get(b"position")
    if written is None:
        if latest or totals:
            raise StateContradiction(f"{where} has no position, but {len(latest)} records and {len(totals)} totals")
        return State(Position(app=app, partitions=partitions))
    position = _position(written, where)
    if position.app != app:
        raise StateContradiction(f"{where} belongs to app {position.app}, this one is {app}")
    if position.partitions != partitions:
        raise StateContradiction(f"{where} was made with {position.partitions} partitions, now there are {partitions}")
    state = State(position)
    for key, value in latest.items():
        try:
            _take_in(state, key, value)
        except (ValueError, InvalidDocument) as error:
            raise StateContradiction(f"{where} has a record {key!r:.80} that cannot be read: {error}") from None
    state.totals = totals
    return state


def _position(written: bytes, where: str) -> Position:
    try:
        found = msgspec.json.decode(written, type=dict[str, Any])
        if found.get("format") == FORMAT:
            return msgspec.convert(found, Position)
    except ValueError as error:
        raise StateContradiction(f"{where} has a position that cannot be read: {error}: {written!r:.80}") from None
    raise StateContradiction(f"{where} has format {found.get('format')}, this version reads {FORMAT}")


def _take_in(state: State, key: bytes, value: bytes) -> None:
    kind, _, name = key.partition(b"/")
    if kind == b"seen":
        day = int(name.partition(b"/")[0])
        state.seen.add(day, value)
        state._file(day, [(key, value)])
    elif kind == b"account":
        state.accounts[name.decode()] = parse_account(value)
    elif kind == b"parked":
        parked = msgspec.json.decode(value, type=ParkedEvent)
        state.parked[parked.offset] = parked
    elif key != b"position":
        raise StateContradiction(f"the state has a record with the unknown key {key!r}")


def _seen_key(day: int, segment: int) -> bytes:
    return b"seen/%d/%d" % (day, segment)


def _segment(key: bytes) -> int:
    return int(key.rpartition(b"/")[2])


def _parked_key(offset: int) -> bytes:
    return b"parked/%d" % offset


def append_day(append_ms: int) -> int:
    """Days since 1970 of an append time."""
    return append_ms * 1_000_000 // DAY_NS
