"""Topics: what the contract's section 1 promises of each, and when an existing one breaks it."""

import pytest

from streams.topics import DAY_MS, Topics, config_differences


def test_every_topic_is_specified_as_in_the_contract() -> None:
    """Names, clean-up, retention in days and timestamp type, row by row."""
    rows = []
    for spec in Topics("p.").specs(12, 1):
        kept = int(spec.configs.get("retention.ms", 0))
        rows.append(
            (
                spec.name,
                spec.partitions,
                spec.configs["cleanup.policy"],
                kept // DAY_MS if kept > 0 else kept,
                spec.configs.get("message.timestamp.type"),
            )
        )
    assert rows == [
        ("p.usage.raw.v1", 12, "delete", 90, "LogAppendTime"),
        ("p.usage.rekeyed.v1", 12, "delete", 90, "LogAppendTime"),
        ("p.pricing.books.v1", 1, "delete", -1, None),
        ("p.pricing.accounts.v1", 12, "compact", 0, None),
        ("p.usage.priced.v1", 12, "delete", 90, None),
        ("p.usage.totals.v1", 12, "compact", 0, None),
        ("p.usage.parked.v1", 12, "delete", -1, "CreateTime"),
        ("p.usage.rejected.v1", 12, "delete", 180, "CreateTime"),
        ("p.stream-pricing.state.v1", 12, "compact", 0, None),
    ]


def test_the_state_s_segments_are_small() -> None:
    """Otherwise the hot end of the changelog is never compacted."""
    state = Topics().configs()[Topics().state]
    assert dict(state) == {
        "cleanup.policy": "compact",
        "segment.bytes": str(64 * 1024 * 1024),
        "segment.ms": "3600000",
        "min.cleanable.dirty.ratio": "0.1",
    }


def test_so_are_those_of_new_totals_and_old_ones_need_not() -> None:
    """They are the changelog of the totals, and the one that grows fastest; nothing but time depends on it."""
    topics = Topics()
    [totals] = [spec for spec in topics.specs(4, 1) if spec.name == topics.totals]
    assert dict(totals.configs) == dict(topics.configs()[topics.state])
    assert dict(topics.configs()[topics.totals]) == {"cleanup.policy": "compact"}


@pytest.mark.parametrize(("factor", "in_sync"), [(1, None), (2, None), (3, "2")])
def test_three_replicas_need_two_in_sync(factor: int, in_sync: str | None) -> None:
    """With fewer replicas one that fails would stop all writes."""
    assert {spec.configs.get("min.insync.replicas") for spec in Topics().specs(4, factor)} == {in_sync}


def test_new_books_take_the_largest_sheet_and_old_ones_need_not() -> None:
    """The broker counts compressed bytes; Kafka's own limit is enough for the sheets that there are."""
    topics = Topics()
    for factor in (1, 3):
        limits = {spec.name: spec.configs.get("max.message.bytes") for spec in topics.specs(4, factor)}
        assert limits.pop(topics.books) == str(16 * 1024 * 1024 + 64 * 1024)
        assert set(limits.values()) == {None}
    assert "max.message.bytes" not in topics.configs()[topics.books]


def test_the_books_are_no_data_topic() -> None:
    """They have one partition, whatever the others have."""
    topics = Topics()
    assert topics.books not in topics.data
    assert len(topics.data) == 8


@pytest.mark.parametrize(
    ("key", "promised", "found", "kept"),
    [
        ("retention.ms", "100", "100", True),
        ("retention.ms", "100", "101", True),
        ("retention.ms", "100", "-1", True),
        ("retention.ms", "100", "99", False),
        ("retention.ms", "-1", "100", False),
        ("retention.ms", "100", None, False),
        ("segment.ms", "100", "50", True),
        ("segment.ms", "100", "101", False),
        ("min.cleanable.dirty.ratio", "0.1", "0.10", True),
        ("min.cleanable.dirty.ratio", "0.1", "0.5", False),
        ("cleanup.policy", "compact", "compact", True),
        ("cleanup.policy", "compact", "compact,delete", False),
        ("message.timestamp.type", "LogAppendTime", "CreateTime", False),
    ],
)
def test_a_setting_may_be_better_than_promised(key: str, promised: str, found: str | None, kept: bool) -> None:
    """Longer retention and smaller segments are fine; anything else has to be equal."""
    actual = {} if found is None else {key: found}
    assert (list(config_differences({key: promised}, actual)) == []) is kept


def test_a_difference_names_both_values() -> None:
    """The operator sees what is and what should be."""
    assert list(config_differences({"retention.ms": "100"}, {"retention.ms": "99"})) == [
        "retention.ms is 99, promised is at least 100"
    ]
    assert list(config_differences({"retention.ms": "-1"}, {"retention.ms": "99"})) == [
        "retention.ms is 99, promised is -1"
    ]
