"""Workers as processes on a real Kafka: what comes in, what comes out, and what they say of themselves."""

import asyncio
import json
import random
import socket
from collections import Counter
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy

from streams.clients import KafkaReaders, stop
from tests.broker.harness import (
    clock_ms,
    must_account,
    prepare,
    produce,
    producer_of,
    raw,
    read,
    send_all,
    sending,
    settings_for,
    settled,
)
from tests.broker.processes import WorkerProcess, eventually, page, workers
from tests.oracle import Found, Oracle, Record, account, partition_of
from tests.unit.test_records import NAMES, Name
from tests.usage import RawRecord, stream
from tests.usage_samples import days_before, sample_oracle, sample_rates, sample_sheets


async def test_a_mixed_stream_is_accounted_for_and_measured(kafka: str, prefix: str) -> None:
    """Every kind of record, hostile ones too, and what is aborted never was; the metrics say what is on the topics."""
    settings, now = settings_for(kafka, prefix), clock_ms()
    await prepare(settings, now)
    records = stream(11, 1500, now_ms=now)
    await produce(settings, records[:700])
    async with producer_of(settings, transactional_id=f"{prefix}outside") as producer:
        for seed, ends in ((12, producer.abort_transaction), (13, producer.commit_transaction)):
            await producer.begin_transaction()
            await send_all(producer, settings.topics.raw, stream(seed, 100, now_ms=now))
            await ends()
    with workers(WorkerProcess(settings)) as [worker]:
        await produce(settings, records[700:])
        found = await settled(settings)
        must_account(found, sample_oracle(now))
        assert len(found.raw) == 1600
        assert Counter(record.value for record in found.raw) == Counter(
            record.value for record in [*records, *stream(13, 100, now_ms=now)]
        )
        topics = settings.topics
        on = {name: await read(settings, name) for name in (*topics.inputs, topics.books, *topics.outputs)}
        await eventually(lambda: _lag_is(worker, 0))
        measured = await worker.metrics()
        expected = _expected_metrics(found)
        expected |= {
            f'records_consumed_total{{topic="{name}"}}': len(on[name]) for name in (*topics.inputs, topics.books)
        }
        expected |= {f'records_produced_total{{topic="{name}"}}': len(on[name]) for name in topics.outputs}
        expected["events_rekeyed_total"] = len(on[topics.rekeyed])
        assert {name: measured.get(name) for name in expected} == expected
        assert measured['task_restarts_total{reason="internal_error"}'] == 0
        assert measured["end_to_end_seconds_count"] == len(found.priced) + len(found.parked)
        assert [await worker.get(name) for name in ("/livez", "/readyz")] == [(200, "ok\n")] * 2


async def _lag_is(worker: WorkerProcess, records: int) -> bool:
    lags = {name: lag for name, lag in (await worker.metrics()).items() if name.startswith("consumer_lag_records{")}
    return len(lags) == 12 and set(lags.values()) == {records}


def _expected_metrics(found: Found) -> dict[str, float]:
    """What a worker that did all of it has counted, from what is on the topics; nothing has been released."""
    priced = Counter(json.loads(record.value or b"")["data"]["event"]["type"] for record in found.priced)
    parked, rejected = (
        Counter((record.header("stream-pricing-reason") or b"").decode() for record in records)
        for records in (found.parked, found.rejected)
    )
    duplicates = len(found.raw) - len(found.priced) - len(found.parked) - len(found.rejected)
    return {
        **{f'events_priced_total{{type="{type_}"}}': count for type_, count in priced.items()},
        **{f'events_parked_total{{reason="{reason}"}}': count for reason, count in parked.items()},
        **{f'parked_open{{reason="{reason}"}}': count for reason, count in parked.items()},
        **{f'events_rejected_total{{reason="{reason}"}}': count for reason, count in rejected.items()},
        "events_duplicate_total": duplicates,
        "events_released_total": 0,
        "seen_ids": len(found.priced) + len(found.parked),
        'partitions{state="running"}': 4,
        "rebalances_total": 1,
    }


async def test_a_restart_continues_where_it_was(kafka: str, prefix: str) -> None:
    """Duplicates of what an earlier process priced are dropped, and totals go on, by one revision at a time."""
    settings, now = settings_for(kafka, prefix), clock_ms()
    await prepare(settings, now)
    records = stream(21, 600, now_ms=now)
    with workers() as running:
        for part in (records[:300], records[150:450], records):
            await produce(settings, part)
            running.append(WorkerProcess(settings))
            found = await settled(settings)
            await running[-1].stop()
        must_account(found, sample_oracle(now))
        assert max(json.loads(record.value or b"")["revision"] for record in found.totals) > 2


async def test_a_late_event_changes_the_window_that_it_belongs_to(kafka: str, prefix: str) -> None:
    """Thirty days late: only the windows of that time get a new revision."""
    settings, now = settings_for(kafka, prefix), clock_ms()
    await prepare(settings, now)
    late, home = days_before(now, 29.5), partition_of("acme", 4)
    with workers(WorkerProcess(settings)):
        await produce(settings, [raw(home, f"acme ftg-3.0-pro in=1 at={at}") for at in (late, days_before(now, 0.1))])
        before = {record.key: record.value for record in (await settled(settings)).totals}
        await produce(settings, [raw(home, f"acme ftg-3.0-pro in=2 at={late}")])
        found = await settled(settings)
    must_account(found, sample_oracle(now))
    changed = {record.key.decode() for record in found.totals if before[record.key] != record.value and record.key}
    starts = {"hour": f"{late[:13]}:00:00Z", "day": f"{late[:10]}T00:00:00Z", "month": f"{late[:7]}-01T00:00:00Z"}
    names = {f"acme/p1/{window}/{start}" for window, start in starts.items()}
    assert changed == names | {f"{name}/ftg-3.0-pro" for name in names}


async def test_accounts_are_forwarded_and_only_grow_in_version(kafka: str, prefix: str) -> None:
    """On the wrong partition an account still counts; a lower version, a broken one and a tombstone do not."""
    settings, now = settings_for(kafka, prefix), clock_ms()
    await prepare(settings, now, accounts=False)
    home, oracle = (
        partition_of("acme", 4),
        Oracle(sample_sheets(now), sample_rates(now), {"acme": _acme(3, "tier_full")}),
    )
    records = [
        _account(home, _acme(1, "tier_standard")),
        _account((home + 1) % 4, _acme(3, "tier_full")),
        _account(home, _acme(2, "tier_third")),
        RawRecord(home, b"acme", b'{"organization": "acme", "version": "4"}'),
        RawRecord(home, b"acme", None),
        RawRecord((home + 2) % 4, b"acme", None),
    ]
    with workers(WorkerProcess(settings)) as [worker]:
        for record in records:
            await produce(settings, [record], settings.topics.accounts)
            await settled(settings)
        await produce(
            settings,
            [raw(partition, "acme ftg-3.0-pro in=1000000 at=" + days_before(now, 1)) for partition in (home, 0, 1)],
        )
        must_account(await settled(settings), oracle)
        assert await worker.metric("book_problems_total") == 4
        assert await worker.metric("events_duplicate_total") == 2
    accounts = await read(settings, settings.topics.accounts)
    assert {r.partition for r in accounts if b'"version":3' in (r.value or b"")} == {home, (home + 1) % 4}


def _acme(version: int, tier: str) -> dict[str, object]:
    return {"organization": "acme", "version": version, "tiers": [{"tier": tier, "from": "2020-01-01T00:00:00Z"}]}


def _account(partition: int, account: dict[str, object]) -> RawRecord:
    return RawRecord(partition, b"acme", json.dumps(account, separators=(",", ":")).encode())


async def test_records_of_any_size_and_shape_do_not_stop_a_partition(kafka: str, prefix: str) -> None:
    """900 KB of key, value or headers, headers without a value: rejected or priced, and the next one is priced."""
    settings, now = settings_for(kafka, prefix), clock_ms()
    await prepare(settings, now)
    big, at = b"x" * 900_000, "at=" + days_before(now, 1)
    good, other = (raw(0, f"acme ftg-3.0-pro in={n} {at}") for n in (1, 2))
    odd = [
        RawRecord(0, big, b"no JSON"),
        RawRecord(0, big, good.value, good.headers),
        RawRecord(0, b"acme", big),
        RawRecord(0, b"acme", other.value, (*other.headers, ("x", big))),
        RawRecord(0, b"acme", b"no JSON", (("x", big),)),
        RawRecord(0, b"acme", b"no JSON", (("h" * 30_000, b"x"), ("y" * 30_000, b""))),
        RawRecord(0, b"", good.value, tuple((f"h{i}", b"x") for i in range(2_000))),
        RawRecord(0, b"", b"", (("", b""),)),
    ]
    async with producer_of(settings) as producer:
        await send_all(producer, settings.topics.raw, odd)
        for value, names in ((None, ["x"]), (b"", ["ce_id", "content-type"]), (good.value, ["traceparent", "x"])):
            nulls = [(name, None) for name in names]
            await producer.send_and_wait(settings.topics.raw, value, b"acme", 0, headers=nulls)
    with workers(WorkerProcess(settings)) as [worker]:
        await produce(settings, [raw(p, f"acme ftg-3.0-pro in=7 user=u{p} {at}") for p in range(4)])
        found = await settled(settings)
        assert await worker.metric('events_rejected_total{reason="internal_error"}') == 0
    priced = [json.loads(record.value or b"")["data"]["lines"][0]["quantity"] for record in found.priced]
    assert Counter(priced) == {"1": 1, "2": 1, "7": 4}
    assert {_origin(record) for record in found.rejected} == {(0, offset) for offset in (0, 2, 4, 5, 6, 7, 8, 9)}
    problems = account(found, [sample_oracle(now)])
    # A dead letter with a key of 900 KB might not fit itself: it goes without, and says so.
    assert [problem for problem in problems if "key None, the raw record has b'xxx" not in problem] == []


def _origin(record: Record) -> tuple[int, int]:
    return tuple(int(record.header(f"stream-pricing-{name}") or -1) for name in ("partition", "offset"))  # type: ignore[return-value]


async def test_hostile_records_do_not_grow_memory(kafka: str, prefix: str) -> None:
    """After 1500 of them the worker holds little more than after the 1500 before."""
    settings, now = settings_for(kafka, prefix), clock_ms()
    await prepare(settings, now)
    with workers(WorkerProcess(settings)) as [worker]:
        sizes = []
        for _ in range(3):
            rows = [
                RawRecord(n % 4, b"k%d" % n, b'{"a":' * 200 + b"%d" % n + b"\x00" * (n * 37 % 6_000))
                for n in range(1500)
            ]
            await produce(settings, rows)
            found = await settled(settings)
            sizes.append(_resident_mib(worker))
        assert len(found.rejected) == 4_500
        assert sizes[2] - sizes[1] < 30, sizes


def _resident_mib(worker: WorkerProcess, name: str = "VmRSS") -> float:
    """Now, or with `VmHWM` at most so far."""
    [line] = [line for line in Path(f"/proc/{worker.process.pid}/status").read_text().splitlines() if name in line]
    return int(line.split()[1]) / 1024


async def test_usage_may_be_compressed_as_producers_like(kafka: str, prefix: str) -> None:
    """Every codec of Kafka's."""
    settings, now = settings_for(kafka, prefix), clock_ms()
    await prepare(settings, now)
    with workers(WorkerProcess(settings)):
        for seed, codec in enumerate(("gzip", "snappy", "lz4", "zstd"), 61):
            async with producer_of(settings, compression_type=codec) as producer:
                await send_all(producer, settings.topics.raw, stream(seed, 60, now_ms=now))
        must_account(await settled(settings), sample_oracle(now))


async def test_what_a_record_unpacks_to_does_not_decide_over_memory(kafka: str, prefix: str) -> None:
    """300 MB of zeros in each codec that makes them small; usage behind them is priced."""
    settings, now = settings_for(kafka, prefix), clock_ms()
    await prepare(settings, now)
    bombs = ("gzip", "zstd")
    with workers(WorkerProcess(settings)) as [worker]:
        await settled(settings)
        before = _resident_mib(worker, "VmHWM")
        for codec in bombs:
            async with producer_of(settings, compression_type=codec, max_request_size=400_000_000) as producer:
                await producer.send_and_wait(settings.topics.raw, bytes(300_000_000), key=b"k", partition=0)
        await produce(settings, stream(71, 60, now_ms=now))
        found = await settled(settings)
        assert _resident_mib(worker, "VmHWM") - before < 100
    unread = [
        record for record in found.rejected if b"compressed batch" in (record.header("stream-pricing-detail") or b"")
    ]
    assert [record.header("stream-pricing-reason") for record in unread] == [b"too_large"] * len(bombs)
    problems = account(found, [sample_oracle(now)])
    # The test reads no more of them than the worker, and takes them for empty.
    assert [problem for problem in problems if "'too_large', expected one of ['not_json']" not in problem] == []


async def test_a_header_name_that_is_not_utf_8_stops_nothing(kafka: str, prefix: str) -> None:
    """No broker refuses it, and aiokafka alone would never get past it; it cannot write one either, but in Python."""
    settings, now = settings_for(kafka, prefix), clock_ms()
    await prepare(settings, now)
    odd = [("caf\N{REPLACEMENT CHARACTER}", b"x"), ("plain", b"y")]
    rows = [replace(row, headers=[*row.headers, *(odd[n % 2 :])]) for n, row in enumerate(stream(67, 200, now_ms=now))]
    names = [[(Name(key) if key in NAMES else key, value) for key, value in row.headers] for row in rows]
    with (
        workers(WorkerProcess(settings)),
        mock.patch("aiokafka.producer.message_accumulator.DefaultRecordBatchBuilder", _DefaultRecordBatchBuilderPy),
        mock.patch("aiokafka.producer.producer.DefaultRecordBatchBuilder", _DefaultRecordBatchBuilderPy),
    ):
        await produce(settings, [replace(row, headers=named) for row, named in zip(rows, names, strict=True)])
        found = await settled(settings)
    assert sum((odd[0][0], b"x") in record.headers for record in found.raw) == 100
    must_account(found, sample_oracle(now))


async def test_a_reader_whose_fetches_have_ended_says_so(kafka: str, prefix: str) -> None:
    """aiokafka's polls would be empty for ever."""
    settings = settings_for(kafka, prefix)
    await prepare(settings, clock_ms())
    reader = KafkaReaders(settings).reader()
    await reader.start()
    try:
        part = TopicPartition(settings.topics.books, 0)
        reader.assign([part])
        reader.seek(part, 0)
        assert await reader.getmany(part, timeout_ms=2_000)
        reader._fetcher._fetch_task.cancel()
        await asyncio.wait([reader._fetcher._fetch_task])
        with pytest.raises(KafkaError, match="fetch loop has ended"):
            await reader.getmany(part)
    finally:
        await stop(reader)


async def test_workers_share_the_partitions_and_come_and_go(kafka: str, prefix: str) -> None:
    """Two that join and one that leaves while usage comes in: nothing is lost or doubled, and each has its part."""
    settings, now = settings_for(kafka, prefix), clock_ms()
    await prepare(settings, now)
    with workers(WorkerProcess(settings)) as running:
        async with sending(settings, stream(31, 4000, now_ms=now), per_second=100):
            await eventually(running[0].is_ready)
            for _ in range(2):
                running.append(WorkerProcess(settings))
                await eventually(lambda: _are_sharing(running))
            assert await running[0].stop() < 5
            await eventually(lambda: _are_sharing(running[1:]))
            await running[1].has_committed(5)
        must_account(await settled(settings), sample_oracle(now))
        assert await running[2].metric('partitions{state="running"}') == 2


async def _are_sharing(running: list[WorkerProcess]) -> bool:
    """Whether every one runs partitions, and they run four in all."""
    owned = [await worker.metric('partitions{state="running"}') for worker in running]
    return sum(owned) == 4 and all(owned)


async def test_sigterm_drains_within_five_seconds_under_load(kafka: str, prefix: str) -> None:
    """What is committed stays so, and the next worker does the rest."""
    settings, now = settings_for(kafka, prefix), clock_ms()
    await prepare(settings, now)
    await produce(settings, stream(41, 3_000, now_ms=now, hostile=False))
    with workers(WorkerProcess(settings, "--batch-events-max", "100")) as running:
        await running[0].has_committed(2)
        assert await running[0].stop() < 5
        assert len(await read(settings, settings.topics.priced)) < 2_500
        running.append(WorkerProcess(settings))
        must_account(await settled(settings), sample_oracle(now))


async def test_processes_share_the_partitions_and_end_together(kafka: str, prefix: str) -> None:
    """`worker --processes 2`: two workers on successive ports; SIGTERM to the parent ends both."""
    settings, now = settings_for(kafka, prefix), clock_ms()
    await prepare(settings, now)
    port = _free_ports(2)
    urls = [f"http://127.0.0.1:{port + n}" for n in range(2)]
    with workers(WorkerProcess(settings, "--processes", "2", "--http-port", str(port))) as [parent]:
        await eventually(lambda: all(_runs_two(page(f"{url}/metrics")[1]) for url in urls))
        await produce(settings, stream(51, 500, now_ms=now))
        must_account(await settled(settings), sample_oracle(now))
        assert await parent.stop() < 5
        assert [page(f"{url}/livez")[0] for url in urls] == [0, 0]


def _runs_two(metrics: str) -> bool:
    return 'stream_pricing_partitions{state="running"} 2.0' in metrics


def _free_ports(count: int) -> int:
    """The first of so many successive free ports."""
    firsts = range(19_464, 20_000, count)
    for first in random.sample(firsts, len(firsts)):  # another run may be looking for some too
        with socket.socket() as one, socket.socket() as two:
            try:
                one.bind(("127.0.0.1", first))
                two.bind(("127.0.0.1", first + 1))
            except OSError:
                continue
            return first
    raise AssertionError("no free ports")
