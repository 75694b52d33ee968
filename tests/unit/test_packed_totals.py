"""Packed totals: a dictionary of records that takes little memory, held against a dictionary."""

import sys
import zlib
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.packed_totals import BLOCK, TURN, PackedTotals

KEYS = st.builds(
    "{}/p{}/{}{}".format,
    st.sampled_from(["a", "b"]),
    st.integers(0, 2),
    st.sampled_from(["hour/2026-11-22T10:00:00Z", "hour/2026-11-22T11:00:00Z", "month/2026-11-01T00:00:00Z"]),
    st.sampled_from(["", "/m", "/connector.a/b", "/é\n"]),
)
STEPS = st.tuples(st.sampled_from(["put", "put", "put", "get", "drop"]), KEYS, st.binary(max_size=3))


@pytest.mark.usefixtures("few_hot_totals")
@settings(max_examples=300)
@given(st.lists(STEPS, max_size=60))
def test_it_is_a_dictionary(steps: list[tuple[str, str, bytes]]) -> None:
    """After any writes, looks and deletions, with a pass of packing after every third write."""
    totals, model = PackedTotals(), dict[str, bytes]()
    for what, key, value in steps:
        if what == "put":
            totals[key] = model[key] = value
        elif what == "drop":
            assert totals.pop(key, None) == model.pop(key, None)
        else:
            assert totals.get(key) == model.get(key)
        assert (len(totals), bool(totals), sorted(totals)) == (len(model), bool(model), sorted(model))
        names = {tuple(key.split("/")[2:4]) for key in model}
        assert set(totals.windows()) == names
        assert {key for name in totals.windows() for key in totals.keys_of(name)} == model.keys()
    assert dict(totals) == model


def key_of(number: int, hour: int) -> str:
    """Of project `number`."""
    return f"org_{number % 50:03d}/proj_{number:05d}/hour/2026-11-22T{hour:02d}:00:00Z/ftg-3.0-pro"


def record(number: int) -> bytes:
    """About as long, and as much alike, as records of totals are."""
    noise = zlib.crc32(b"%d" % number)
    amounts = ",".join(f'"amount_{name}":"{noise * (name + 3)}.{noise % 9973}"' for name in range(12))
    return f'{{"project":"proj_{number:05d}",{amounts},"revision":{number}}}'.encode()


def held_bytes(totals: PackedTotals) -> int:
    """Of the records, wherever they are."""
    windows = totals._windows.values()
    loose = [part for window in windows for item in window._loose.items() for part in item]
    return sum(map(sys.getsizeof, [*loose, *[block for window in windows for block in window._blocks]]))


def let_pack(totals: PackedTotals) -> None:
    """Nothing changes for two turns but one total, which is not of hour 10."""
    for number in range(2 * TURN):
        totals[key_of(0, 9)] = record(number)


@pytest.mark.parametrize(
    "ends", [(TURN,), (1, TURN), range(TURN // 20, TURN + 1, TURN // 20)], ids=["once", "early", "often"]
)
@pytest.mark.parametrize("is_one_project", [False, True])
def test_what_is_over_is_packed_and_a_late_event_unpacks_little(ends: Sequence[int], is_one_project: bool) -> None:
    """One hour's totals then take half of it at most, and a look-up unpacks one block.

    Also where there was only one of them when they were first packed, of an event whose clock was ahead, or where more
    came again and again; and where they are all of one project.
    """
    keys = [f"{key_of(0, 10)}{number}" if is_one_project else key_of(number, 10) for number in range(TURN)]
    totals, first = PackedTotals(), 0
    for end in ends:
        for number in range(first, end):
            totals[keys[number]] = record(number)
        first = end
        let_pack(totals)
    packed = held_bytes(totals)
    assert packed < 0.5 * sum(sys.getsizeof(keys[number]) + sys.getsizeof(record(number)) for number in range(TURN))
    assert totals[keys[77]] == record(77)
    one_record = sys.getsizeof(record(77)) + sys.getsizeof(keys[77])
    assert packed < held_bytes(totals) < packed + 2 * BLOCK * one_record
    assert len(totals) == TURN + 1


@pytest.mark.parametrize("key", ["", "a", "a/b", "a/b/hour"])
def test_a_key_that_is_no_totals_is_refused(key: str) -> None:
    """It has no window."""
    totals = PackedTotals()
    with pytest.raises(ValueError, match="unpack"):
        totals[key] = b""
    assert not totals
