"""Kinds of tokens: what is input, and what a kind without a price counts as."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing.kinds import folded, input_count, parent_of


@pytest.mark.parametrize(
    ("kind", "parent"),
    [
        ("input", None),
        ("input_audio", "input"),
        ("input_image", "input"),
        ("cache_read_video", "cache_read"),
        ("cache_creation_audio", "cache_creation"),
        ("cache_creation_1h_audio", "cache_creation_1h"),
        ("output_reasoning", "output"),
        ("output_audio", "output"),
        ("cache_read", None),
        ("cache_creation", None),
        ("cache_creation_1h", None),
        ("cache_creation_12h", None),
        ("_audio", None),
        ("audio", None),
    ],
)
def test_a_kind_is_part_of_the_one_that_its_name_begins_with(kind: str, parent: str | None) -> None:
    """But a cache's own price is never that of the input, nor a longer duration's that of a shorter."""
    assert parent_of(kind) == parent


def test_what_does_not_start_with_output_is_input() -> None:
    """Cached and written tokens fill the context as others do."""
    assert (
        input_count({"input": 1, "cache_read_audio": 2, "cache_creation_1h": 4, "output": 8, "output_audio": 16}) == 7
    )


@pytest.mark.parametrize(
    ("tokens", "priced", "found"),
    [
        ({"input": 1, "input_audio": 2, "output": 4}, "input output", {"input": 3, "output": 4}),
        ({"input_audio": 2}, "input input_audio", {"input_audio": 2}),
        ({"output": 4, "output_reasoning": 8}, "output", {"output": 12}),
        ({"cache_read": 1, "input": 2}, "input", {"cache_read": 1, "input": 2}),
        ({"cache_creation_1h": 1}, "input cache_creation", {"cache_creation_1h": 1}),
        ({"cache_creation_1h_audio": 1}, "input cache_creation_1h", {"cache_creation_1h": 1}),
        ({"input_audio": 1}, "output", {"input_audio": 1}),
        ({}, "input", {}),
    ],
)
def test_what_has_no_price_of_its_own_is_added_to_its_parent(
    tokens: dict[str, int], priced: str, found: dict[str, int]
) -> None:
    """As far as the list prices that one."""
    assert folded(tokens, priced.split()) == found


_kinds = st.sampled_from(["input", "input_audio", "cache_read", "cache_creation_1h", "output", "output_reasoning", "x"])


@given(st.dictionaries(_kinds, st.integers(0, 10**15)), st.sets(_kinds))
def test_no_token_is_lost_or_changes_sides(tokens: dict[str, int], priced: set[str]) -> None:
    """The input stays the input, so that thresholds hold before and after."""
    after = folded(tokens, priced)
    assert sum(after.values()) == sum(tokens.values())
    assert input_count(after) == input_count(tokens)
