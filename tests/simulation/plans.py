"""What a seed decides: the stream, the hosts, what is done to them, the one fault that is certain; and the shortest."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from tests.simulation import (
    EPOCH_MS,
    OPERATIONS,
    Fault,
    Kind,
    RandomFaults,
)
from tests.simulation.faults import LONGEST_MS
from tests.usage import RawRecord, stream

SEEDS_PER_STREAM = 80
"""Neighbouring seeds share a stream, so that the oracle reads and prices it once; what happens to it differs."""
RECORDS = 22


@dataclass(frozen=True)
class Act:
    """Something done to the world at a moment: `what` is a method of `_Seeded`."""

    at_s: float
    what: str
    who: int
    ms: float


@dataclass(frozen=True)
class Plan:
    """All that a seed decides. `keep`: the records of the stream that are left, for shrinking."""

    seed: int
    partitions: int
    hosts: int
    focus: tuple[str, Kind]
    acts: tuple[Act, ...]
    require_account: bool
    late_account: bool
    keep: tuple[int, ...] = tuple(range(RECORDS))

    @classmethod
    def of(cls, seed: int) -> Plan:
        rng = random.Random(f"{seed}/plan")
        focus = PAIRS[seed % len(PAIRS)]
        partitions = partitions_of(seed)
        acts = [
            Act(rng.uniform(0, 4), *_ACTS[rng.randrange(len(_ACTS))](rng))
            for _ in range(rng.choice([0, 1, 2, 2, 3, 4]))
        ]
        if focus[0] == "leave":
            acts.append(Act(rng.uniform(0, 2), "stop", 0, 100))
        return cls(
            seed,
            partitions,
            rng.choice([2, 2, 2, 3]),
            focus,
            tuple(sorted(acts, key=lambda act: act.at_s)),
            rng.random() < 0.2,
            rng.random() < 0.2,
        )

    @property
    def stream_seed(self) -> int:
        return self.seed // SEEDS_PER_STREAM

    def records(self) -> list[RawRecord]:
        found = records_of(self.stream_seed, self.partitions)
        return [found[index] for index in self.keep]


def partitions_of(seed: int) -> int:
    return (2, 3, 4, 2)[seed // SEEDS_PER_STREAM % 4]


@lru_cache(maxsize=64)
def records_of(stream_seed: int, partitions: int) -> list[RawRecord]:
    return stream(stream_seed, RECORDS, partitions=partitions, now_ms=EPOCH_MS)


_ACTS: Sequence[Callable[[random.Random], tuple[str, int, float]]] = (
    lambda rng: ("kill", rng.randrange(3), rng.choice([50, 500, 3_000])),
    lambda rng: ("kill", rng.randrange(3), rng.choice([50, 500, 3_000])),
    lambda rng: ("freeze", rng.randrange(3), rng.choice([200, 3_000, 12_000, 40_000])),
    lambda rng: ("stop", rng.randrange(3), rng.choice([10, 500, 3_000])),
    lambda rng: ("stop", rng.randrange(3), rng.choice([10, 500, 3_000])),
    lambda rng: ("join", 0, 0),
    lambda rng: ("restart_broker", 0, rng.choice([20, 1_000, 12_000])),
    lambda rng: ("compact", 0, 0),
    lambda rng: ("forget_offsets", 0, 0),
)

LOCAL_KINDS = (Kind.KILL, Kind.FREEZE, Kind.RESTART)
"""What can happen at `begin`, which sends nothing."""
KINDS = tuple(kind for kind in Kind if kind is not Kind.NONE)
PAIRS = [(op, kind) for kind in KINDS for op in OPERATIONS if op != "begin" or kind in LOCAL_KINDS]
_OFTEN = {
    "begin",
    "add_partitions",
    "produce",
    "add_offsets",
    "offset_commit",
    "end_txn",
    "fetch",
    "list_offsets",
    "heartbeat",
}


class Focus:
    """Random faults, and one that is certain: this kind at the n-th of this operation."""

    def __init__(self, seed: int, focus: tuple[str, Kind]) -> None:
        rng = random.Random(f"{seed}/focus")
        self._random = RandomFaults(seed, rate=0.01, faults_max=rng.choice([0, 2, 5, 8]))
        self._op, kind = focus
        bounds = LONGEST_MS.get(kind)
        self._fault = Fault(kind, rng.uniform(0, rng.choice(bounds)) if bounds else 0.0)
        most = 10 if self._op in _OFTEN else 3
        if self._op in ("heartbeat", "leave"):
            most = 1
        self._left = rng.randint(1, most)

    def __call__(self, op: str, worker: str, detail: object) -> Fault:
        if op == self._op and not self.is_spent:
            self._left -= 1
            if self.is_spent:
                return self._fault
        return self._random(op, worker, detail)

    @property
    def is_spent(self) -> bool:
        """Whether the certain fault has struck."""
        return self._left == 0


def shrunk(plan: Plan, fails: Callable[[Plan], bool], tries_max: int = 200) -> Plan:
    """The plan with as few records as still fail: chunks are left out, ever smaller ones, while it does."""
    size = len(plan.keep) // 2
    tries = 0
    while size and tries < tries_max:
        at = 0
        while at < len(plan.keep) and tries < tries_max:
            tries += 1
            without = replace(plan, keep=plan.keep[:at] + plan.keep[at + size :])
            if fails(without):
                plan = without
            else:
                at += size
        size //= 2
    return plan
