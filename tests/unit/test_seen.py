"""Seen ids: exact look-ups, held against a dictionary."""

from hashlib import blake2b

from hypothesis import given
from hypothesis import strategies as st

from streams.seen import ROW_BYTES, SeenIds, row

# Few bits in the half that picks the slot: most of them collide.
FINGERPRINTS = st.builds(
    lambda high, low: high.to_bytes(8, "little") + low.to_bytes(8, "little"),
    st.integers(0, 2**64 - 1),
    st.sampled_from([0, 1, 127, 128, 2**32, 2**64 - 1]) | st.integers(0, 2**64 - 1),
)
CONTENTS = st.binary(min_size=8, max_size=8)
ADDED = st.tuples(st.just("add"), st.integers(0, 4), st.dictionaries(FINGERPRINTS, CONTENTS, max_size=120))
DROPPED = st.tuples(st.just("drop"), st.integers(0, 4), st.just({}))


@given(st.lists(ADDED | DROPPED, max_size=8), st.lists(FINGERPRINTS, max_size=20))
def test_it_is_a_dictionary(steps: list[tuple[str, int, dict[bytes, bytes]]], others: list[bytes]) -> None:
    """After any additions and dropped days: the known have their content, the others None."""
    seen, model = SeenIds(), dict[bytes, tuple[int, bytes]]()
    for what, day, given_ids in steps:
        new = {fingerprint: content for fingerprint, content in given_ids.items() if fingerprint not in model}
        if what == "add":
            seen.add(day, b"".join(row(fingerprint, content, 7) for fingerprint, content in new.items()))
            model |= {fingerprint: (day, content) for fingerprint, content in new.items()}
        else:
            seen.drop(day)
            model = {fingerprint: found for fingerprint, found in model.items() if found[0] != day}
        asked = [*model, *given_ids, *others, *others]
        assert seen.find(asked) == [model[each][1] if each in model else None for each in asked]
        assert len(seen) == len(model)


def test_it_grows_to_many_and_forgets_by_day() -> None:
    """20,000 ids on two days, in batches of a size that fills no table evenly."""
    seen = SeenIds()
    ids = [blake2b(b"%d" % number, digest_size=16).digest() for number in range(20_000)]
    for at in range(0, len(ids), 777):
        seen.add(at // 10_000, b"".join(row(each, each[:8], at) for each in ids[at : at + 777]))
    assert seen.find(ids) == [each[:8] for each in ids]
    on_first = [each for at in range(0, len(ids), 777) if at < 10_000 for each in ids[at : at + 777]]
    seen.drop(0)
    assert len(seen) == len(ids) - len(on_first)
    assert seen.find(ids) == [None] * len(on_first) + [each[:8] for each in ids[len(on_first) :]]


def test_nothing_is_known_of_nothing() -> None:
    """Empty questions, empty tables, empty days."""
    seen = SeenIds()
    seen.add(1, b"")
    seen.drop(1)
    assert (seen.find([]), seen.find([bytes(16)]), len(seen)) == ([], [None], 0)


def test_an_id_of_zeros_is_an_id() -> None:
    """No value marks an empty place."""
    seen = SeenIds()
    seen.add(0, row(bytes(16), bytes(8), 0))
    assert seen.find([bytes(16)]) == [bytes(8)]


def test_a_row_is_32_bytes_on_the_wire() -> None:
    """Fingerprint, content, offset: the form of the changelog."""
    assert row(b"f" * 16, b"c" * 8, 258) == b"f" * 16 + b"c" * 8 + b"\x02\x01" + bytes(6)
    assert len(row(b"f" * 16, b"c" * 8, 2**63 - 1)) == ROW_BYTES
