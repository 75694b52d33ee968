"""The client settings that matter here, with the values of rule 7."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ClientSettings:
    group: str = "stream-pricing"
    request_timeout_ms: int = 10_000
    transaction_timeout_ms: int = 20_000
    max_batch_size: int = 900_000
    session_timeout_ms: int = 10_000
    heartbeat_interval_ms: int = 3_000
    rebalance_timeout_ms: int = 30_000
