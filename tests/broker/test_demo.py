"""The demo and the bench as anybody runs them, on the session's Kafka: short, through the real command line."""

import asyncio
import json
import os
import re
import subprocess
import sys

from aiokafka.admin import AIOKafkaAdminClient


def run(kafka: str, prefix: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The program, with its topics under the test's prefix."""
    variables = {**os.environ, "STREAM_PRICING_BOOTSTRAP_SERVERS": kafka, "STREAM_PRICING_TOPIC_PREFIX": prefix}
    command = [sys.executable, "-m", "streams", *arguments]
    return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=120, check=False)


async def topics(kafka: str) -> list[str]:
    """All topics of the cluster."""
    client = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await client.start()
    try:
        found: list[str] = await client.list_topics()
        return found
    finally:
        await client.close()


def test_the_demo_ends_with_an_account_that_adds_up(kafka: str, prefix: str) -> None:
    """Each raw record counted once, parked events cured halfway, and no topic left behind."""
    ran = run(kafka, prefix, "demo", "--events", "300", "--exit")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    counts = {name: int(count) for count, name in re.findall(r"^ *(\d+) ([a-z]+)", ran.stdout, re.MULTILINE)}
    outcomes = counts["priced"] + counts["duplicates"] + counts["parked"] + counts["rejected"]
    assert (counts["raw"], outcomes, counts["parked"]) == (300, 300, 0)
    assert min(counts["priced"], counts["duplicates"], counts["rejected"], counts["totals"]) > 0
    assert re.search(r"the first event is priced, [0-9.]+ s after the start", ran.stdout)
    assert re.search(r"parked events: none left, [1-9][0-9]* were priced by themselves", ran.stdout)
    assert not [name for name in asyncio.run(topics(kafka)) if name.startswith(prefix)]


def test_the_bench_ends_with_a_line_of_json(kafka: str, prefix: str) -> None:
    """With every figure of the part that was asked for, and each of them greater than nothing."""
    ran = run(kafka, prefix, "bench", "--events", "20000", "--only", "throughput", "--json")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    figures = json.loads(ran.stdout.splitlines()[-1])
    stolen = figures.pop("stolen_percentage")
    assert list(stolen) == ["throughput"] and 0 <= stolen["throughput"] < 100
    expected = {"events_per_s", "cpu_us_per_event", "copy_events_per_s", "copy_cpu_us_per_event"}
    expected |= {"cpu_ratio", "peak_rss_mib", "events", "partitions", "events_per_transaction"}
    assert (set(figures), [name for name in figures if not figures[name] > 0]) == (expected, [])
    assert not [name for name in asyncio.run(topics(kafka)) if name.startswith(prefix)]


def test_where_no_kafka_is_the_demo_says_so_in_one_line(prefix: str) -> None:
    """And leaves no process behind."""
    ran = run("127.0.0.1:1", prefix, "demo", "--events", "300", "--exit")
    assert ran.returncode == 1
    (line,) = ran.stderr.splitlines()
    assert line.startswith("Error: no connection to Kafka at 127.0.0.1:1: ")
