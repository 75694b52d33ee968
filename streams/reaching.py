"""Why a broker does not let us in: aiokafka only logs it."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from aiokafka.conn import create_conn
from aiokafka.protocol.metadata import MetadataRequest

from streams.kafka_errors import KNOWN, one_line

_REASON_S = 3.0


async def why_not(servers: Iterable[str], options: Mapping[str, Any]) -> str:
    """The reason of each server, `host:port`; `options` are those of any aiokafka client."""
    reasons = []
    for server in servers:
        host, _, port = server.rpartition(":")
        connect = {key: value for key, value in options.items() if key != "bootstrap_servers"}
        try:
            async with asyncio.timeout(_REASON_S):
                connection = await create_conn(host.strip("[]"), int(port), **connect)
                try:  # a broker tells its versions to everyone
                    await connection.send(MetadataRequest([], allow_auto_topic_creation=False))
                finally:
                    connection.close()
            reasons.append(f"{server}: it answered only now")
        except KNOWN as error:
            reasons.append(f"{server}: {one_line(error)}")
        except OSError as error:
            reasons.append(f"{server}: {error.strerror or str(error) or type(error).__name__}")
    return f"no connection to Kafka at {'; '.join(reasons)}"
