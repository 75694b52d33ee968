"""Where a record belongs: Kafka's default partitioner of the Java client, murmur2 of the key.

librdkafka's default partitioner is another one (CRC32), so a key alone does not say where a record came in.
"""

from functools import lru_cache

from aiokafka.partitioner import murmur2


# murmur2 here is pure Python and takes microseconds; organizations repeat, and the bound is for hostile keys.
@lru_cache(maxsize=65_536)
def partition_of(key: bytes, partitions: int) -> int:
    """The partition of `key` among `partitions`, as `org.apache.kafka.clients.producer` computes it."""
    hashed: int = murmur2(key)
    return (hashed & 0x7FFF_FFFF) % partitions
