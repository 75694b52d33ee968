"""Parked events and what cures them, on a real Kafka: publications while the worker runs, and while none does."""

import asyncio
import json
import time
from collections import Counter
from typing import Any

import pytest
from click.testing import CliRunner

from streams.cli import main
from streams.settings import Settings
from tests.broker.harness import (
    apply_accounts,
    clock_ms,
    must_account,
    prepare,
    produce,
    publish_cures,
    publish_rates,
    publish_sheets,
    raw,
    read,
    settings_for,
    settled,
)
from tests.broker.processes import WorkerProcess, eventually, workers
from tests.oracle import Event, Found, Oracle, Parked, Record, partition_of
from tests.oracle import Settings as OracleSettings
from tests.usage import stream
from tests.usage_samples import days_before, sample_accounts, sample_oracle, sample_rates, sample_sheets


@pytest.mark.parametrize("is_running", [True, False])
async def test_a_publication_cures_what_waits_for_it(kafka: str, prefix: str, is_running: bool) -> None:
    """At once while a worker runs, else as it starts: priced, released, and the rest with its reason."""
    settings, now = settings_for(kafka, prefix), clock_ms()
    before, after = sample_oracle(now), sample_oracle(now, cured=True)
    await prepare(settings, now)
    await produce(settings, stream(101, 300, now_ms=now))
    with workers(WorkerProcess(settings)) as running:
        found = await settled(settings)
        must_account(found, before)
        answers = [after.price(event) for event in _parked_events(found, after)]
        left = Counter(answer.reason for answer in answers if isinstance(answer, Parked))
        cured = len(answers) - left.total()
        assert cured > 10 and left.total() > 5
        if not is_running:
            await running[0].stop()
        await publish_cures(settings, now)
        started = time.monotonic()
        if not is_running:
            running.append(WorkerProcess(settings))
        await eventually(lambda: _has_released(running[-1], cured))
        if is_running:
            assert time.monotonic() - started < 5  # a second, on a machine that has one to spare
        must_account(await settled(settings), before, after)
        await eventually(lambda: _has_open(running[-1], left))
    assert Counter(row["reason"] for row in await _parked_list(settings)) == left


def _parked_events(found: Found, oracle: Oracle) -> list[Event]:
    raw = {record.origin[1:]: record for record in found.raw}
    events = [oracle.judge(raw[_origin(record)]) for record in found.parked]
    return [event for event in events if isinstance(event, Event)]


def _origin(record: Record) -> tuple[int, int]:
    partition, offset = (record.header(f"stream-pricing-{name}") or b"" for name in ("partition", "offset"))
    return int(partition), int(offset)


async def _has_released(worker: WorkerProcess, events: int) -> bool:
    return await worker.metric("events_released_total") == events


async def _has_open(worker: WorkerProcess, reasons: Counter[str]) -> bool:
    measured = await worker.metrics()
    opened = {reason: measured.get(f'parked_open{{reason="{reason}"}}') for reason in reasons}
    total = sum(count for name, count in measured.items() if name.startswith("parked_open{"))
    return opened == reasons and total == reasons.total()


async def test_a_publication_that_mends_one_reason_leaves_the_other(kafka: str, prefix: str) -> None:
    """`parked list` has the new reason at once, the parked topic no second record, the priced event the first one."""
    settings, now = settings_for(kafka, prefix), clock_ms()
    await prepare(settings, now)
    event = raw(partition_of("acme", 4), f"acme ftg-3.0-euro in=1000 priority=turbo at={days_before(now, 1)}")
    with workers(WorkerProcess(settings)):
        await produce(settings, [event])
        await settled(settings)
        (first,) = await _parked_list(settings)
        await publish_sheets(settings, now, sample_sheets(now, cured=True)[2:])
        (second,) = await eventually(lambda: _parked_list(settings, other_than=first["reason"]))
        assert (first["reason"], second["reason"]) == ("no_multiplier_for_priority", "no_rate_at_time")
        assert second | {"reason": first["reason"], "detail": first["detail"]} == first
        assert len(await read(settings, settings.topics.parked)) == 1
        await publish_rates(settings, now, sample_rates(now, cured=True)[3:])
        await eventually(lambda: _none_is_parked(settings))
        found = await settled(settings)
    (priced,) = (json.loads(record.value or b"")["data"] for record in found.priced)
    assert priced["parked"] == {"reason": first["reason"], "since": first["since"]}
    assert len(found.parked) == 2
    must_account(found, sample_oracle(now), sample_oracle(now, cured=True))


async def test_an_account_cures_what_waits_for_it(kafka: str, prefix: str) -> None:
    """Required and missing, or of a tier that no sheet has: priced with the account's tier once it is there."""
    settings, now = settings_for(kafka, prefix, require_account=True), clock_ms()
    await prepare(settings, now)
    organizations = ("list-price", "orphan", "somebody")
    rows = [raw(partition_of(each, 4), f"{each} ftg-3.0-pro in=5 at={days_before(now, 1)}") for each in organizations]
    applied = [
        {"organization": each, "version": 2, "tiers": [{"tier": "tier_third", "from": "2020-01-01T00:00:00Z"}]}
        for each in organizations[:2]
    ]
    accounts = {**sample_accounts(now), **{str(each["organization"]): each for each in applied}}
    required = OracleSettings(require_account=True)
    with workers(WorkerProcess(settings)) as [worker]:
        await produce(settings, rows)
        must_account(await settled(settings), sample_oracle(now, settings=required))
        before = Counter(row["reason"] for row in await _parked_list(settings))
        assert before == {"account_required": 2, "unknown_tier": 1}
        await apply_accounts(settings, applied)
        started = time.monotonic()
        await eventually(lambda: _has_released(worker, 2))
        assert time.monotonic() - started < 5
    books = sample_sheets(now), sample_rates(now)
    must_account(await settled(settings), sample_oracle(now, settings=required), Oracle(*books, accounts, required))
    assert [row["organization"] for row in await _parked_list(settings)] == ["somebody"]


async def _none_is_parked(settings: Settings) -> bool:
    return not await _parked_list(settings)


async def _parked_list(settings: Settings, other_than: str = "") -> list[dict[str, Any]]:
    """What `parked list --json` prints, without the rows of a reason."""
    cluster = ["--bootstrap-servers", settings.bootstrap_servers, "--topic-prefix", settings.topic_prefix]
    ran = await asyncio.to_thread(CliRunner().invoke, main, ["parked", "list", "--json", *cluster])
    assert ran.exit_code == 0, ran.output
    rows = [json.loads(line) for line in ran.stdout.splitlines()]
    return [row for row in rows if row["reason"] != other_than]
