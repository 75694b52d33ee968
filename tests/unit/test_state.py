"""State: folding what was committed, and restoring the changelog of it, give the same."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pricing.money import exact
from pricing.times import format_time, parse_time
from pricing.totals import Total, window_start
from streams.packed_totals import PackedTotals, Window
from streams.seen import ROW_BYTES
from streams.state import (
    SEGMENT_IDS_MAX,
    Changes,
    ParkedEvent,
    Position,
    State,
    StateContradiction,
    append_day,
    restore,
)
from streams.total_codec import heading, read_total, write_total
from tests.product import START, account, packed

RECORD_BYTES_MAX = 1_000_000
AT = parse_time("2026-11-22T10:00:00Z")
HOUR_NS = 3_600 * 10**9
pytestmark = pytest.mark.usefixtures("few_hot_totals")


def position(**changes: int | str) -> Position:
    """Where a partition of four is."""
    return msgspec.structs.replace(Position(app="stream-pricing", partitions=4), **changes)


def parked(offset: int, *waits: str, reason: str = "no_rate_at_time") -> ParkedEvent:
    """A parked event, whose record is at `offset`."""
    return ParkedEvent(
        offset=offset,
        reason=reason,
        detail="CHF/USD",
        since="2026-11-22T10:00:00Z",
        waits=waits or ("fx",),
        at=AT,
        organization="a",
        project="p1",
        source="s",
        id=f"é\n{offset}",
        type="ai.usage.model.v1",
    )


def total(window: str, at: int, item: str | None, events: int) -> tuple[str, Total, bytes]:
    """A total and its key."""
    start = window_start(window, at)
    sums = {name: {} for name in ("quantities", "list", "net", "due", "converted", "provider_cost")}
    value = json.dumps(
        {"organization": "a", "project": "p1", "window": window, "start": format_time(start)}
        | {"events": events, "not_billable_events": 0, "tokens": "0", "synapses": "0", "neurons": str(events)}
        | sums
        | {"revision": 1, "as_of": format_time(at)}
        | ({} if item is None else {"item": item})
    ).encode()
    with exact():
        key, found = read_total(value)
        return heading(key).name, found, write_total(heading(key), found)


# --- the property


@dataclass(frozen=True)
class Plan:
    """What one random transaction does, before it is known what there is to release or expire."""

    ids: list[tuple[int, int]]  # day, how many
    accounts: list[str]
    parks: int
    releases: int
    recolours: int
    totals: list[tuple[str, int, str | None]]
    expires_day: bool
    expires_totals: bool


PLANS = st.builds(
    Plan,
    ids=st.lists(
        st.tuples(
            st.integers(0, 2),
            st.sampled_from([1, 2, 7_000, SEGMENT_IDS_MAX - 1, SEGMENT_IDS_MAX, SEGMENT_IDS_MAX + 1, 40_000]),
        ),
        max_size=2,
        unique_by=lambda each: each[0],
    ),
    accounts=st.lists(st.sampled_from(["a", "b/é", "c"]).filter(str.isalpha), max_size=2),
    parks=st.integers(0, 2),
    releases=st.integers(0, 2),
    recolours=st.integers(0, 1),
    totals=st.lists(
        st.tuples(
            st.sampled_from(["hour", "day", "month"]),
            st.integers(0, 3),
            st.sampled_from([None, "m", "connector.a/b/c"]),
        ),
        max_size=3,
    ),
    expires_day=st.booleans(),
    expires_totals=st.booleans(),
)


@dataclass
class Log:
    """The two changelogs as compaction leaves them, every id that was ever added and every total that ever was."""

    latest: dict[bytes, bytes] = field(default_factory=dict)
    totals: dict[bytes, bytes] = field(default_factory=dict)
    ids: list[bytes] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    largest: int = 0

    def write(self, state: State, changes: Changes) -> None:
        """What the session writes in one transaction."""
        records = state.records(changes)
        assert records[0][0] == b"position"
        assert len({key for key, _ in records}) == len(records)
        for key, value in records:
            self.largest = max(self.largest, len(value or b""))
            put(self.latest, key, value)
        for name, value in changes.totals_written.items():
            put(self.totals, name.encode(), value)
            self.names.add(name)
        for name in changes.expired_totals:
            put(self.totals, name.encode(), None)

    def restored(self) -> State:
        """The state of a worker that takes over."""
        return restore(self.latest, packed(self.totals), app="stream-pricing", partition=1, partitions=4)


def put(log: dict[bytes, bytes], key: bytes, value: bytes | None) -> None:
    """One record of a compacted topic."""
    log.pop(key, None)
    if value is not None:
        log[key] = value


def changes_of(plan: Plan, state: State, number: int, log: Log) -> Changes:
    """The plan, applied to what there is."""
    changes = Changes(position(sequence=number, raw=10 * number, stream_time_ms=number))
    expired = [day for day in state.days() if plan.expires_day][:1]
    for day, count in plan.ids:
        if day in expired:
            continue
        rows = hashlib.shake_128(b"%d/%d" % (number, day)).digest(count * ROW_BYTES)
        changes.seen[day] = [rows[: 5 * ROW_BYTES], rows[5 * ROW_BYTES :]]
        log.ids += [rows[at : at + 16] for at in range(0, len(rows), ROW_BYTES * 97)]
    changes.expired_days = expired
    changes.accounts = {name: account(name, ("t", START), version=number) for name in plan.accounts}
    changes.released = list(state.parked)[: plan.releases]
    still = [offset for offset in state.parked if offset not in changes.released][: plan.recolours]
    changes.parked = {offset: parked(offset, "sheet/other", reason="unknown_tier") for offset in still}
    changes.parked |= {100 * number + extra: parked(100 * number + extra) for extra in range(plan.parks)}
    for window, hours, item in plan.totals:
        name, found, value = total(window, AT + hours * 400 * HOUR_NS, item, number)
        changes.totals[name], changes.totals_written[name] = found, value
    changes.expired_totals = [key for key in state.totals if plan.expires_totals and key not in changes.totals][:2]
    return changes


def facts(state: State, log: Log) -> dict[str, object]:
    """Everything that a state knows."""
    return {
        "position": state.position,
        "accounts": state.accounts,
        "parked": state.parked,
        "totals": dict(state.totals),
        "found": {name: state.find_total(name) for name in log.names},
        "windows": {window: set(state.totals.keys_of(window)) for window in state.totals.windows()},
        "days": sorted(state.days()),
        "seen": state.seen.find(log.ids),
        "count": len(state.seen),
        "waiting": state.waiting_for(["fx", "sheet/other"]),
    }


@settings(max_examples=60)
@given(st.lists(PLANS, min_size=1, max_size=6), st.integers(0, 5))
def test_folding_changes_is_restoring_their_changelog(plans: list[Plan], moved_after: int) -> None:
    """Through full segments, expired days, tombstones of totals, releases, and a worker that takes over in between."""
    log, state = Log(), State(position())
    with exact():
        for number, plan in enumerate(plans, 1):
            changes = changes_of(plan, state, number, log)
            log.write(state, changes)
            state.fold(changes)
            if number == moved_after:
                state = log.restored()
            assert facts(log.restored(), log) == facts(state, log)
    assert log.largest <= RECORD_BYTES_MAX


def test_a_full_segment_takes_the_place_of_the_small_ones() -> None:
    """A day of many small batches leaves few records, each within the limit of a message."""
    log, state = Log(), State(position())
    for number in range(100):
        rows = hashlib.shake_128(b"%d" % number).digest(400 * ROW_BYTES)
        changes = Changes(position(sequence=number), seen={5: [rows]})
        log.write(state, changes)
        state.fold(changes)
    sizes = [len(value) // ROW_BYTES for key, value in log.latest.items() if key.startswith(b"seen/5/")]
    assert sum(sizes) == 40_000
    assert sizes.count(SEGMENT_IDS_MAX) == 2
    assert len(log.restored().seen) == 40_000


def test_segments_of_a_day_stay_few() -> None:
    """A transaction goes through those that are small, and a restore reads them all: also where each has one id."""
    log, state = Log(), State(position())
    for number in range(1_000):
        rows = hashlib.shake_128(b"%d" % number).digest(ROW_BYTES)
        changes = Changes(position(sequence=number), seen={5: [rows]})
        log.write(state, changes)
        state.fold(changes)
        assert sum(key.startswith(b"seen/5/") for key in log.latest) <= 64
    assert len(log.restored().seen) == 1_000


def test_records_change_nothing() -> None:
    """Before the commit has succeeded the state is as it was."""
    log, state = Log(), State(position())
    first = Changes(position(raw=1), seen={1: [bytes(ROW_BYTES)]}, parked={3: parked(3)})
    name, found, value = total("day", AT, None, 1)
    first.totals, first.totals_written = {name: found}, {name: value}
    log.write(state, first)
    state.fold(first)
    before = repr(facts(state, log))
    state.records(
        Changes(position(raw=2), seen={1: [b"x" * ROW_BYTES]}, released=[3], expired_totals=list(state.totals))
    )
    state.records(Changes(position(raw=2), expired_days=[1]))
    assert repr(facts(state, log)) == before


class _Unwalked(PackedTotals):
    """May be asked, but not gone through."""

    def keys_of(self, name: Window) -> Iterator[str]:
        raise AssertionError(f"went through the totals of {name}")


def test_a_fold_goes_through_what_has_changed_alone() -> None:
    """Not through all totals: with 500,000 of them that took 17 ms in every transaction."""
    state = State(position())
    state.totals = _Unwalked()
    for number, window in enumerate(("hour", "day"), 1):
        name, found, value = total(window, AT, "m", number)
        state.fold(Changes(position(sequence=number), totals={name: found}, totals_written={name: value}))
    assert len(state.totals.windows()) == 2


# --- questions


@pytest.mark.parametrize("order", ["AAAA", "ABCDA", "ABCDAA", "ABCDABCDA", "ABCDAEFGHA", "ABCDBAEFA", "ABCD"])
def test_a_total_is_found_as_it_was_last_folded(order: str) -> None:
    """Whichever generation it is in, or read again; and not at all once it has expired."""
    state = State(position())
    last: dict[str, Total] = {}
    for number, item in enumerate(order, 1):
        name, found, value = total("day", AT, item, number)
        state.fold(Changes(position(sequence=number), totals={name: found}, totals_written={name: value}))
        last[name] = found
        assert {each: state.find_total(each) for each in last} == last
    for name in last:
        state.fold(Changes(position(sequence=99), expired_totals=[name]))
        assert state.find_total(name) is None


def test_parked_events_are_found_by_what_they_wait_for() -> None:
    """In the order of their records."""
    state = State(position())
    waits = {9: ("fx", "sheet/a"), 3: ("sheet/a",), 5: ("account/x",), 7: ("fx",)}
    state.fold(Changes(position(), parked={offset: parked(offset, *names) for offset, names in waits.items()}))
    asked = [["sheet/a"], ["fx"], ["account/x", "fx"], ["sheet/b"], []]
    assert [state.waiting_for(names) for names in asked] == [[3, 9], [7, 9], [5, 7, 9], [], []]


@pytest.mark.parametrize(("append_ms", "day"), [(0, 0), (86_399_999, 0), (86_400_000, 1), (1_795_341_600_000, 20_779)])
def test_ids_are_filed_under_the_utc_day_of_their_append_time(append_ms: int, day: int) -> None:
    """Days since 1970."""
    assert append_day(append_ms) == day


# --- contradictions

WRITTEN = msgspec.json.encode(position(raw=7))


@pytest.mark.parametrize(
    ("latest", "totals", "said"),
    [
        ({b"account/a": b"{}"}, {}, "state of partition 1 has no position, but 1 records and 0 totals"),
        ({}, {b"a/p/day/x": b"{}"}, "state of partition 1 has no position, but 0 records and 1 totals"),
        (
            {b"position": WRITTEN.replace(b"stream-pricing", b"other")},
            {},
            "belongs to app other, this one is stream-pricing",
        ),
        (
            {b"position": WRITTEN.replace(b'"partitions":4', b'"partitions":12')},
            {},
            "made with 12 partitions, now there are 4",
        ),
        ({b"position": WRITTEN.replace(b'"format":1', b'"format":2')}, {}, "has format 2, this version reads 1"),
        ({b"position": b'{"app":"stream-pricing"}'}, {}, "has format None, this version reads 1"),
        (
            {b"position": WRITTEN.replace(b'"format":1', b'"format":2,"more":{}')},
            {},
            "has format 2, this version reads 1",
        ),
        ({b"position": WRITTEN, b"plan/a": b"{}"}, {}, "unknown key b'plan/a'"),
        ({b"position": b"garbage"}, {}, "has a position that cannot be read: .*b'garbage'"),
        ({b"position": b"[]"}, {}, "has a position that cannot be read"),
        ({b"position": b'{"format":1}'}, {}, "has a position that cannot be read: .*missing"),
        ({b"position": WRITTEN, b"account/a": b"[]"}, {}, "has a record b'account/a' that cannot be read"),
        ({b"position": WRITTEN, b"parked/1": b"{}"}, {}, "has a record b'parked/1' that cannot be read"),
        ({b"position": WRITTEN, b"seen/x/1": b""}, {}, "has a record b'seen/x/1' that cannot be read"),
        ({b"position": WRITTEN, b"seen/1/1": b"x"}, {}, "has a record b'seen/1/1' that cannot be read"),
    ],
)
def test_a_state_that_contradicts_is_refused(latest: dict[bytes, bytes], totals: dict[bytes, bytes], said: str) -> None:
    """The message names both sides; nothing is guessed."""
    with pytest.raises(StateContradiction, match=said.replace("(", r"\(")):
        restore(latest, packed(totals), app="stream-pricing", partition=1, partitions=4)


def test_nothing_restored_is_a_state_at_the_beginning() -> None:
    """Of this app and partition count."""
    state = restore({}, packed({}), app="x", partition=1, partitions=4)
    assert state.position == Position(app="x", partitions=4)
    assert (state.position.raw, state.position.rekeyed, state.position.accounts) == (-1, -1, -1)
    assert (len(state.seen), state.accounts, state.parked, state.totals) == (0, {}, {}, {})


def test_the_plan_of_the_property_reaches_everything() -> None:
    """A plan that does all at once: a check that could not fail would be none."""
    log, state = Log(), State(position())
    everything = Plan([(0, 40_000), (1, 3)], ["a"], 2, 1, 1, [("hour", 0, None), ("day", 1, "m")], True, True)
    with exact():
        for number in (1, 2, 3):
            changes = changes_of(replace(everything, expires_day=number == 3), state, number, log)
            log.write(state, changes)
            state.fold(changes)
    assert (changes.expired_days, len(changes.released), len(changes.parked)) == ([0], 1, 3)
    assert len(state.totals) == 2
    assert state.days() == [1]
