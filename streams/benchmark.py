"""`stream-pricing bench`: what this machine prices, beside a raw copy with the same client, broker and transactions.

Parts: `throughput` (a backlog through two raw copies, a worker, two more copies: one takes two seconds, and a half more
or less from one to the next), `processes` (another backlog through two workers), `latency` (a steady stream), `restore`
(a long backlog, then a worker that starts over). Each has topics of its own; workers and copies are child processes, as
they would be in production, and /proc tells their CPU time.
"""

import asyncio
import json
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streams.admin import create_topics
from streams.bench_load import accounts, preload
from streams.bench_measure import LatencyProbe, Run, cpu_ticks, percentile, run_through, stolen_percentage, together
from streams.children import Child, WorkerChild, given_settings
from streams.embedded_kafka import EmbeddedKafka
from streams.errors import Refused
from streams.settings import Settings
from streams.trial import FIRST_SHEET, publish_books, sample_rates, sample_sheet, trial

# A broker that is not the bottleneck: room for its page of the log, and both compilers.
_JAVA_OPTIONS = ("-Xms1g", "-Xmx1g", "-XX:+UseSerialGC")
# Workers that are started together are in the group's first generation together; what a part has written is gone before
# the next one, which finds the page cache as that one did.
_BROKER = {"group.initial.rebalance.delay.ms": "1500", "log.segment.delete.delay.ms": "0"}
_READY_S = 60.0
_SETTLE_S = 0.3  # the counters follow the commit
_WARM_UP_S = 15.0  # a young broker compiles itself on the cores that the worker needs
_SHEET_FROM = 1_577_836_800_000_000_000  # 2020-01-01


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure. `config` is the settings file, which child processes read too."""

    events: int = 300_000
    partitions: int = 4
    latency_per_s: int = 2_000
    latency_s: float = 20.0
    restore_ids: int = 1_000_000
    config: Path | None = None


Figures = dict[str, Any]


def bench(settings: Settings, plan: Plan, parts: tuple[str, ...]) -> Figures:
    """Measure; the figures by name. Raises Refused."""
    stolen: dict[str, float] = {}
    figures: Figures = {"events": plan.events, "partitions": plan.partitions, "stolen_percentage": stolen}
    broker = EmbeddedKafka(java_options=_JAVA_OPTIONS, config=_BROKER)
    with trial(settings, "bench", broker) as cluster:
        for name, measure in PARTS.items():
            if name in parts:
                _say(f"{name} …")
                before = cpu_ticks()
                with trial(cluster, name) as mine:
                    figures |= measure(mine, plan)
                stolen[name] = _rounded(stolen_percentage(before, cpu_ticks()))
    if "two_processes_events_per_s" in figures and "events_per_s" in figures:
        figures["processes_ratio"] = _rounded(figures["two_processes_events_per_s"] / figures["events_per_s"])
    return figures


def _throughput(settings: Settings, plan: Plan) -> Figures:
    asyncio.run(_prepare(settings, plan.partitions, plan.events))
    copies = [_copy(settings, plan, number) for number in (1, 2)]
    priced, batch = _price(settings, plan, plan.events, 1)
    copied = together([*copies, *(_copy(settings, plan, number) for number in (3, 4))])
    return {
        "cpu_ratio": _rounded(priced.cpu_us_per_event / copied.cpu_us_per_event),
        "events_per_s": round(priced.events_per_s),
        "copy_events_per_s": round(copied.events_per_s),
        "cpu_us_per_event": _rounded(priced.cpu_us_per_event),
        "copy_cpu_us_per_event": _rounded(copied.cpu_us_per_event),
        "events_per_transaction": round(batch),
        "peak_rss_mib": _rounded(priced.peak_rss_mib),
    }


def _processes(settings: Settings, plan: Plan) -> Figures:
    asyncio.run(_prepare(settings, plan.partitions, plan.events))
    priced, _ = _price(settings, plan, plan.events, 2)
    return {"two_processes_events_per_s": round(priced.events_per_s)}


def _latency(settings: Settings, plan: Plan) -> Figures:
    asyncio.run(_prepare(settings, plan.partitions, 0))
    with WorkerChild(settings, plan.config) as worker:
        _wait_until_ready(worker)
        probe = LatencyProbe(settings, plan.partitions)
        found = asyncio.run(probe.run(plan.latency_per_s, plan.latency_s, min(_WARM_UP_S, plan.latency_s)))
    return {
        "latency_ms": {"p50": _rounded(percentile(found, 50)), "p99": _rounded(percentile(found, 99))},
        "latency_events_per_s": plan.latency_per_s,
    }


def _restore(settings: Settings, plan: Plan) -> Figures:
    """A changelog that a real worker has written, uncompacted as it is right after."""
    asyncio.run(_prepare(settings, plan.partitions, plan.restore_ids))
    filled, _ = _price(settings, plan, plan.restore_ids, 1)
    with WorkerChild(settings, plan.config) as worker:
        started_s = _wait_until_ready(worker)
        metrics = worker.metrics()
        peak = worker.peak_rss_mib()
    return {
        "restore_s": _rounded(metrics["stream_pricing_restore_seconds"]),
        "restore_ids": plan.restore_ids,
        "restore_start_to_ready_s": _rounded(started_s),
        "restore_peak_rss_mib": _rounded(peak),
        "peak_rss_mib_at_restore_ids": _rounded(filled.peak_rss_mib),
    }


PARTS: Mapping[str, Callable[[Settings, Plan], Figures]] = {
    "throughput": _throughput,
    "processes": _processes,
    "latency": _latency,
    "restore": _restore,
}


async def _prepare(settings: Settings, partitions: int, backlog: int) -> None:
    """Topics, books, accounts, and a backlog."""
    now = time.time_ns()
    await create_topics(settings, partitions)
    sheet = sample_sheet(settings, FIRST_SHEET, "bench", _SHEET_FROM)
    await publish_books(settings, [sheet, *sample_rates()], accounts(), now)
    started = time.monotonic()
    await preload(settings, partitions, backlog, now)
    if backlog:
        _say(f"  {backlog} events appended in {time.monotonic() - started:.1f} s")


def _copy(settings: Settings, plan: Plan, number: int) -> Run:
    mine = settings.model_copy(update={"app": f"{settings.app}-copy{number}"})
    elsewhere = settings.model_copy(update={"topic_prefix": f"{settings.topic_prefix}copy{number}."})
    asyncio.run(create_topics(elsewhere, plan.partitions))
    given = json.dumps({**given_settings(settings), "app": mine.app})
    arguments = [str(plan.config or ""), given, elsewhere.topics.priced]
    with Child("streams.bench_copy", arguments) as child:
        return asyncio.run(run_through(mine, plan.partitions, plan.events, [child]))


def _price(settings: Settings, plan: Plan, backlog: int, processes: int) -> tuple[Run, float]:
    """The run, and how many events a transaction had."""
    with ExitStack() as stack:
        workers = [stack.enter_context(WorkerChild(settings, plan.config)) for _ in range(processes)]
        run = asyncio.run(run_through(settings, plan.partitions, backlog, workers))
        time.sleep(_SETTLE_S)
        metrics = [worker.metrics() for worker in workers]
    counted = "stream_pricing_events_priced_total{"
    priced = [sum(value for name, value in one.items() if name.startswith(counted)) for one in metrics]
    if sum(priced) != backlog or not all(priced):
        raise Refused(f"of {backlog} events the workers priced {priced}: the figures would mean nothing")
    transactions = sum(one["stream_pricing_batch_events_count"] for one in metrics)
    return run, backlog / transactions


def _wait_until_ready(worker: WorkerChild) -> float:
    """Seconds since its start."""
    while not (worker.is_ready() and worker.metrics().get('stream_pricing_partitions{state="running"}')):
        if time.monotonic() - worker.started_at > _READY_S:
            raise Refused(f"the worker was not ready after {_READY_S:g} s")
        time.sleep(0.05)
    return time.monotonic() - worker.started_at


def _rounded(value: float) -> float:
    return float(f"{value:.2f}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def report(figures: Figures) -> list[str]:
    """Lines for people, ratios first."""
    lines = []
    for name, (text, unit) in _TEXTS.items():
        value = figures.get(name)
        if isinstance(value, dict):
            value = " / ".join(f"{part:g}" for part in value.values())
        if value is not None:
            lines.append(f"{text:<56} {value if isinstance(value, str) else f'{value:,}'} {unit}".rstrip())
    return lines


_TEXTS = {
    "cpu_ratio": ("CPU per event, worker : raw copy (5 at most)", ""),
    "processes_ratio": ("events per second, two processes : one (1.5 at least)", ""),
    "events_per_s": ("events per second, one process", ""),
    "copy_events_per_s": ("  raw copy", ""),
    "two_processes_events_per_s": ("  two processes", ""),
    "cpu_us_per_event": ("CPU per event, one process", "µs"),
    "copy_cpu_us_per_event": ("  raw copy", "µs"),
    "events_per_transaction": ("events in a transaction, one process", ""),
    "peak_rss_mib": ("peak memory", "MiB"),
    "latency_ms": ("append to visible, p50 / p99 (under 200 for p99)", "ms"),
    "latency_events_per_s": ("  at events per second", ""),
    "restore_s": ("restore (under 5 s for 1,000,000 ids)", "s"),
    "restore_ids": ("  ids", ""),
    "restore_start_to_ready_s": ("  from the start of the process to ready", "s"),
    "restore_peak_rss_mib": ("  peak memory of the process that restored", "MiB"),
    "peak_rss_mib_at_restore_ids": ("  peak memory of the process that priced them (under 300)", "MiB"),
    "stolen_percentage": ("CPU time that the host took away, part by part", "%"),
}
