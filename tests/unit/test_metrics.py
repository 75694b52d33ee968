"""Metrics: those of the contract's section 8, all of them and under their exact names."""

from prometheus_client.parser import text_string_to_metric_families

from pricing.errors import Rejected, Unpriced
from pricing.events import USAGE_TYPES
from streams.batch import Counts, Step
from streams.metrics import Metrics
from streams.state import Changes, Position
from streams.topics import Topics

CONTRACT = {
    "records_consumed_total": {"topic"},
    "events_priced_total": {"type"},
    "events_duplicate_total": set(),
    "events_parked_total": {"reason"},
    "events_released_total": set(),
    "parked_open": {"reason"},
    "parked_oldest_seconds": set(),
    "events_rejected_total": {"reason"},
    "events_rekeyed_total": set(),
    "records_produced_total": {"topic"},
    "transactions_total": {"outcome"},
    "transaction_seconds_bucket": {"le"},
    "end_to_end_seconds_bucket": {"le"},
    "batch_events_bucket": {"le"},
    "consumer_lag_records": {"topic", "partition"},
    "partitions": {"state"},
    "rebalances_total": set(),
    "task_restarts_total": {"reason"},
    "restore_seconds": set(),
    "seen_ids": set(),
    "last_commit_timestamp_seconds": set(),
    "priced_amount_total": {"currency"},
    "book_info": {"id", "version"},
    "book_problems_total": set(),
    "build_info": {"version"},
}


def samples(metrics: Metrics) -> dict[str, list[tuple[dict[str, str], float]]]:
    """What a scrape sees: labels and values by name without the prefix."""
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(metrics.exposition().decode()):
        for sample in family.samples:
            name = sample.name.removeprefix("stream_pricing_")
            found.setdefault(name, []).append((sample.labels, sample.value))
    return found


def test_every_metric_of_the_contract_is_there_with_its_labels() -> None:
    """After one use of those whose labels nobody can know beforehand."""
    metrics = Metrics("1.2.3", Topics())
    metrics.consumer_lag_records.labels("usage.raw.v1", "0").set(1)
    metrics.book_info.labels("aitronos", "1").set(1)
    metrics.priced_amount.labels("CHF").inc()
    found = samples(metrics)
    assert {name: set(found[name][0][0]) for name in CONTRACT if name in found} == CONTRACT


def test_no_series_tells_when_a_counter_was_made() -> None:
    found = samples(Metrics("1.2.3", Topics()))
    assert not [name for name in found if name.endswith("_created")]


def test_known_labels_start_at_zero() -> None:
    """A rate over the first event needs a sample before it."""
    found = samples(Metrics("1", Topics("p."), ["CHF"]))
    assert {labels["reason"] for labels, _ in found["events_parked_total"]} == set(Unpriced)
    assert {labels["reason"] for labels, _ in found["events_rejected_total"]} == set(Rejected)
    assert {labels["type"] for labels, _ in found["events_priced_total"]} == set(USAGE_TYPES)
    assert ({"topic": "p.usage.priced.v1"}, 0.0) in found["records_produced_total"]
    assert found["priced_amount_total"] == [({"currency": "CHF"}, 0.0)]


def test_the_version_is_exported() -> None:
    """Which version runs where can be asked of Prometheus."""
    assert samples(Metrics("1.2.3", Topics()))["build_info"] == [({"version": "1.2.3"}, 1.0)]


def test_a_clock_behind_the_broker_s_does_not_take_away_from_the_time_that_events_took() -> None:
    """The sum would fall, which Prometheus takes for a restart."""
    metrics, position = Metrics("1", Topics()), Position(app="a", partitions=1, raw=0, rekeyed=0, accounts=0)
    counts = Counts(append_times_ms=[1_000, 7_000, 60_000])
    metrics.committed(Step({}, Changes(position), [], counts, 9_000), 0.1, 10_000)
    found = samples(metrics)
    assert (found["end_to_end_seconds_sum"], found["end_to_end_seconds_count"]) == ([({}, 12.0)], [({}, 3.0)])


def test_two_workers_of_a_process_do_not_share_metrics() -> None:
    """The registry is the object's own."""
    first, second = Metrics("1", Topics()), Metrics("1", Topics())
    first.events_duplicate.inc()
    assert samples(second)["events_duplicate_total"] == [({}, 0.0)]
