"""The real worker through every death of the crash table, seed by seed: nothing lost, doubled or mispriced.

A seed decides a stream, the faults, the deaths and the rebalances. It fails with the shortest stream that still fails:
`pytest tests/simulation/test_crashes.py --seed N -s` runs it alone and logs what the workers say.
"""

from __future__ import annotations

import multiprocessing
import os
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.simulation import Kind
from tests.simulation.plans import KINDS, LOCAL_KINDS, PAIRS, SEEDS_PER_STREAM, Plan, shrunk
from tests.simulation.seeds import Report, live

# The rows of the crash table, each with the operations in which the death or error comes. `begin` sends nothing.
CRASH_TABLE: dict[str, tuple[str, ...]] = {
    "1–2 poll and step": ("fetch", "list_offsets", "committed"),
    "3–5 an open transaction": (
        "begin",
        "metadata",
        "add_partitions",
        "produce",
        "add_offsets",
        "offset_commit",
    ),
    "6 commit, answer unknown; after 6, before 7": ("end_txn",),
    "partition revoked mid-batch": ("join", "sync", "heartbeat", "leave"),
    "the next owner's start()": ("connect", "describe_txn", "find_coordinator", "init_pid"),
}


def test_no_seed_loses_doubles_or_misprices_a_record(seeds: int, one_seed: int | None) -> None:
    """Whatever dies, freezes or gets lost, in the end every raw record is accounted for once."""
    if one_seed is not None:
        report = live(Plan.of(one_seed), quietly=False)
        assert not report.problems, describe(one_seed, report)
        return
    hits: Counter[tuple[str, Kind]] = Counter()
    for seed, report in reports(seeds):
        hits += report.hits
        if report.problems:
            pytest.fail(describe(seed, report), pytrace=False)
    if seeds >= 5 * len(PAIRS):
        missing = [
            (row, op, kind)
            for row, operations in CRASH_TABLE.items()
            for op in operations
            for kind in (LOCAL_KINDS if op == "begin" else KINDS)
            if not hits[op, kind]
        ]
        assert missing == []


def test_the_crash_table_names_every_operation_that_can_fail() -> None:
    """No operation of the simulated broker is left out of the table above."""
    assert sorted(op for operations in CRASH_TABLE.values() for op in operations) == sorted({op for op, _ in PAIRS})


def test_the_same_seed_is_the_same_run() -> None:
    """A failure can be looked at again: the trace of all operations repeats."""
    assert live(Plan.of(7)).trace_hash == live(Plan.of(7)).trace_hash != live(Plan.of(8)).trace_hash


def reports(seeds: int) -> Iterator[tuple[int, Report]]:
    """The report of each seed, from as many processes as there are cores, at most two.

    They give way to everything else: the tests on a real Kafka that run beside them hold limits of time.
    """
    chunks = [range(at, min(at + SEEDS_PER_STREAM, seeds)) for at in range(0, seeds, SEEDS_PER_STREAM)]
    processes = min(2, os.cpu_count() or 1)
    # Not forked: a worker of pytest-xdist has threads.
    with multiprocessing.get_context("spawn").Pool(processes, os.nice, (10,)) as pool:
        for found in pool.imap(_live_all, chunks):
            yield from found


def _live_all(chunk: range) -> list[tuple[int, Report]]:
    return [(seed, live(Plan.of(seed))) for seed in chunk]


def describe(seed: int, report: Report) -> str:
    """What failed, the shortest stream that still fails, and how to see it again."""
    plan = shrunk(Plan.of(seed), lambda shorter: bool(live(shorter).problems))
    least = live(plan)
    lines = [
        f"seed {seed}, trace {report.trace_hash}: {len(report.problems)} problems",
        *(f"  {problem}" for problem in report.problems[:10]),
        f"the shortest stream that fails, {len(plan.keep)} of its records, kept {plan.keep}:",
        *(f"  {record}" for record in plan.records()),
        *(f"  -> {problem}" for problem in least.problems[:5]),
        f"plan: {plan}",
        f"again: python -m pytest tests/simulation/test_crashes.py --seed {seed} -s",
    ]
    return "\n".join(lines)
