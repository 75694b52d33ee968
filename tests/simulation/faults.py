"""What can go wrong at each step of the loop: the kinds of faults, and plans that choose them.

A plan is any callable `(op, worker, detail) -> Fault`, asked once for each operation in `OPERATIONS` before
it leaves its worker. `RandomFaults` draws from a seed, `ScriptedFaults` hits the n-th operation of a kind.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import NamedTuple

OPERATIONS = [
    "connect",
    "describe_txn",
    "find_coordinator",
    "init_pid",
    "begin",
    "metadata",
    "add_partitions",
    "produce",
    "add_offsets",
    "offset_commit",
    "end_txn",
    "fetch",
    "list_offsets",
    "committed",
    "join",
    "sync",
    "heartbeat",
    "leave",
]
"""In the loop's order; `begin` is local in aiokafka, `metadata` is of a topic that a producer has not used before."""


class Kind(StrEnum):
    """Named by what the broker and the worker see of an operation."""

    NONE = "none"
    DELAY = "delay"  # `ms` on the way; the effect comes even if the client has given up by then
    ERROR = "error"  # the connection breaks, no effect
    TIMEOUT = "timeout"  # never arrives; the client gives up after its request timeout
    LOST = "lost"  # effect, then the connection breaks before the answer
    LOST_TIMEOUT = "lost_timeout"  # effect, and the answer never comes
    LATE = "late"  # effect, and the answer takes `ms`
    KILL = "kill"  # the worker dies before it sends
    KILL_AFTER = "kill_after"  # the worker dies once it has sent; what it sent arrives `ms` later
    FREEZE = "freeze"  # the worker stops for `ms` before it sends
    FREEZE_AFTER = "freeze_after"  # the worker stops for `ms` once it has sent
    RESTART = "restart"  # the broker is away for `ms`, no effect
    RESTART_AFTER = "restart_after"  # effect, then the broker is away for `ms`


class Fault(NamedTuple):
    kind: Kind = Kind.NONE
    ms: float = 0.0


BURST = 12
BURST_RATE = 0.15
FOCUS = 8
Faults = Callable[[str, str, object], Fault]
NO_FAULT = Fault()

WEIGHTS: Mapping[Kind, int] = {
    Kind.DELAY: 4,
    Kind.ERROR: 4,
    Kind.TIMEOUT: 1,
    Kind.LOST: 4,
    Kind.LOST_TIMEOUT: 1,
    Kind.LATE: 2,
    Kind.KILL: 2,
    Kind.KILL_AFTER: 2,
    Kind.FREEZE: 1,
    Kind.FREEZE_AFTER: 1,
    Kind.RESTART: 1,
    Kind.RESTART_AFTER: 1,
}
LONGEST_MS: Mapping[Kind, tuple[float, ...]] = {
    Kind.DELAY: (5.0, 200.0, 3_000.0, 15_000.0),
    Kind.LATE: (200.0, 3_000.0, 15_000.0),
    Kind.KILL_AFTER: (1.0, 20.0, 500.0, 15_000.0),
    Kind.FREEZE: (50.0, 2_000.0, 12_000.0, 40_000.0),
    Kind.FREEZE_AFTER: (50.0, 2_000.0, 12_000.0, 40_000.0),
    Kind.RESTART: (50.0, 1_000.0, 12_000.0),
    Kind.RESTART_AFTER: (50.0, 1_000.0, 12_000.0),
}
"""Upper bounds, one drawn each time: around latency, back-off, session, request and transaction timeouts."""


def no_faults(op: str, worker: str, detail: object) -> Fault:
    return NO_FAULT


class RandomFaults:
    """Faults drawn from a seed, `faults_max` in all; `rate` is the probability per operation.

    Each seed has a character of its own (swarm testing): about half of the kinds, and a few operations that
    fail `FOCUS` times as often. Faults come in bursts: of the `BURST` operations after one, each fails with
    probability `BURST_RATE`; the dangerous ones are a second fault in the recovery from the first.
    """

    def __init__(
        self, seed: int, *, rate: float = 0.02, faults_max: int = 10, weights: Mapping[Kind, int] = WEIGHTS
    ) -> None:
        self._rng = random.Random(f"{seed}/faults")
        self._rate = rate
        self._left = faults_max
        self._burst = 0
        self.kinds: list[Kind] = [kind for kind in weights if self._rng.random() < 0.5] or list(weights)
        self.focus = self._rng.sample(OPERATIONS, self._rng.randint(1, 3))
        self._weights = [weights[kind] for kind in self.kinds]

    def __call__(self, op: str, worker: str, detail: object) -> Fault:
        rate = self._rate * (FOCUS if op in self.focus else 1)
        if self._burst:
            rate, self._burst = max(rate, BURST_RATE), self._burst - 1
        if not self._left or self._rng.random() >= rate:
            return NO_FAULT
        self._left -= 1
        self._burst = BURST
        kind = self._rng.choices(self.kinds, self._weights)[0]
        bounds = LONGEST_MS.get(kind)
        return Fault(kind, self._rng.uniform(0, self._rng.choice(bounds)) if bounds else 0.0)


class ScriptedFaults:
    """`{("end_txn", 2): Fault(Kind.LOST)}` hits the second end_txn of all; a key `(op, n, worker)` counts
    that worker's.
    """

    def __init__(self, plan: Mapping[tuple[str, int] | tuple[str, int, str], Fault]) -> None:
        self._plan = dict(plan)
        self._seen: Counter[tuple[str, ...]] = Counter()

    def __call__(self, op: str, worker: str, detail: object) -> Fault:
        self._seen[op,] += 1
        self._seen[op, worker] += 1
        fault = self._plan.get((op, self._seen[op,])) or self._plan.get((op, self._seen[op, worker], worker))
        return fault or NO_FAULT
