"""How much a document that is fetched may have, how long it may take, and who is told how far it is."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from pricing.documents import DOCUMENT_BYTES_MAX
from streams.errors import Refused

SIZE_BYTES_MAX = DOCUMENT_BYTES_MAX


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a server may take, how often it is asked, and the clock: tests have one that does not wait."""

    tries: int = 5
    backoff_s: float = 1.0
    silence_s: float = 20.0
    total_s: float = 300.0
    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = random.random


PATIENCE = Patience()

Progress = Callable[[int, int | None], None]
"""Told how much has come so far, and of how much, where that is known."""


def untold(_done: int, _total: int | None) -> None:
    """Nobody is waiting."""


def refuse_large(size_bytes: int, allowed_bytes: int, place: str) -> None:
    """Raises Refused for what is larger than allowed."""
    if size_bytes > allowed_bytes:
        raise Refused(f"{place} has more than {SIZE_BYTES_MAX // 1024 // 1024} MiB")
