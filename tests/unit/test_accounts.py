"""Accounts: whole dated records, and the tier in force at an instant."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing.accounts import (
    ACCOUNT_BYTES_MAX,
    ACCOUNT_TIERS_MAX,
    Account,
    TierFrom,
    account_bytes,
    parse_account,
    tier_at,
)
from pricing.errors import InvalidDocument
from pricing.times import parse_time

CONTRACT = (
    b'{"organization": "org_1", "version": 1, "tiers": [{"tier": "tier_standard", "from": "2026-11-01T00:00:00Z"}]}'
)
START = parse_time("2026-11-01T00:00:00Z")


def tiers(*pairs: tuple[str | None, int]) -> tuple[TierFrom, ...]:
    return tuple(TierFrom(tier=tier, from_ns=from_ns) for tier, from_ns in pairs)


def test_the_contract_s_account_is_read() -> None:
    """The example of section 3 gives the organization its tier from its start on."""
    account = parse_account(CONTRACT)
    assert account == Account(organization="org_1", version=1, tiers=tiers(("tier_standard", START)))
    assert tier_at(account, START - 1) is None
    assert tier_at(account, START) == "tier_standard"


@pytest.mark.parametrize(
    ("at", "tier"), [(9, None), (10, "a"), (19, "a"), (20, None), (29, None), (30, "b"), (99, "b")]
)
def test_the_tier_is_the_last_one_that_has_started(at: int, tier: str | None) -> None:
    """A tier of null is a return to list prices."""
    account = Account(organization="org_1", version=1, tiers=tiers(("a", 10), (None, 20), ("b", 30)))
    assert tier_at(account, at) == tier


def test_an_account_without_tiers_pays_list_prices() -> None:
    """No tier, no discount."""
    assert tier_at(parse_account(b'{"organization": "org_1", "version": 0, "tiers": []}'), START) is None


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        (
            '{"organization": "org/1", "version": 1.0, "tiers": [{"tier": 3, "from": 5}, {"from": "2026-11-01"}]}',
            [
                "organization: String should match pattern '^[A-Za-z0-9][A-Za-z0-9._:@~-]{0,127}\\z', found \"org/1\"",
                "version: Input should be a valid integer, found 1.0",
                "tiers[0].tier: Input should be a valid string, found 3",
                "tiers[0].from: must be an RFC 3339 time, found 5",
                "tiers[1].tier: Field required",
                "tiers[1].from: '2026-11-01' is not an RFC 3339 time, found \"2026-11-01\"",
            ],
        ),
        (
            '{"organization": "o", "version": 9007199254740993, "tiers": null}',
            [
                "version: Input should be less than or equal to 9007199254740992, found 9007199254740993",
                "tiers: Input should be a valid array, found null",
            ],
        ),
        (
            '{"organization": "o", "version": -1, "plan": "x"}',
            [
                "version: Input should be greater than or equal to 0, found -1",
                'plan: Extra inputs are not permitted, found "x"',
            ],
        ),
        ('"org_1"', ['document: Input should be an object, found "org_1"']),
        ('{"organization": "o", "version": 1, "version": 2}', ["version: the key appears twice"]),
    ],
)
def test_every_problem_of_an_account_is_listed(text: str, problems: list[str]) -> None:
    """A bad account is refused with all that is wrong with it."""
    with pytest.raises(InvalidDocument) as refused:
        parse_account(text.encode())
    assert refused.value.problems == problems


@pytest.mark.parametrize(
    ("froms", "said"),
    [((10, 10), "[1].from: 1970-01-01T00:00:00.00000001Z is also the one of [0]"), ((20, 10), "is before")],
)
def test_tiers_are_in_order_and_none_starts_with_another(froms: tuple[int, ...], said: str) -> None:
    """Two tiers from the same instant contradict each other; which one was meant is not guessed."""
    with pytest.raises(ValueError) as refused:
        Account(organization="o", version=1, tiers=tiers(*[("a", from_ns) for from_ns in froms]))
    assert said in str(refused.value)


def test_an_account_is_bounded() -> None:
    """At most 64 KiB, and at most 1000 tiers."""
    with pytest.raises(InvalidDocument, match="at most 65536 are allowed"):
        parse_account(CONTRACT + b" " * ACCOUNT_BYTES_MAX)
    many = tiers(*[("a", from_ns) for from_ns in range(ACCOUNT_TIERS_MAX + 1)])
    with pytest.raises(ValueError, match="at most 1000 items"):
        Account(organization="o", version=1, tiers=many)


@given(
    st.lists(st.integers(0, 10**18), unique=True, max_size=20).map(sorted),
    st.lists(st.none() | st.text("ab\u00e9 _", min_size=1, max_size=5), min_size=20, max_size=20),
    st.integers(0, 2**53),
)
def test_reading_what_was_written_gives_the_same_account(
    froms: list[int], names: list[str | None], version: int
) -> None:
    """parse_account undoes account_bytes."""
    made = Account(organization="o", version=version, tiers=tiers(*zip(names, froms, strict=False)))
    assert parse_account(account_bytes(made)) == made
