"""Partitions: the Java client's default partitioner, to the bit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.partitions import partition_of

SIGNED_MIN = 2**31


@pytest.mark.parametrize(
    ("key", "murmur2"),
    [
        # From Apache Kafka's own UtilsTest.testMurmur2.
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_it_agrees_with_kafka_s_own_vectors(key: bytes, murmur2: int) -> None:
    """toPositive(murmur2(key)) % partitions, with the values of Kafka's own test."""
    positive = murmur2 & 0x7FFF_FFFF
    assert [partition_of(key, count) for count in (1, 4, 12, SIGNED_MIN)] == [
        positive % count for count in (1, 4, 12, SIGNED_MIN)
    ]


@given(st.binary(max_size=300), st.integers(1, 10_000))
def test_every_key_has_a_partition(key: bytes, count: int) -> None:
    """Also the empty key."""
    assert 0 <= partition_of(key, count) < count
