"""Accounts: what is known of an organization, as whole dated records; today its discount tier over time."""

from bisect import bisect_right
from functools import cached_property
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from pricing.documents import Document, Instant, Text, document_bytes, parse_document
from pricing.errors import InvalidDocument
from pricing.times import format_time

ACCOUNT_BYTES_MAX = 64 * 1024
ACCOUNT_TIERS_MAX = 1000
VERSION_MAX = 2**53

# Organizations and projects, on usage events as in accounts.
NAME_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._:@~-]{0,127}"


class TierFrom(Document):
    """From `from_ns` (`from` on the wire) on the organization has this tier; None: list prices."""

    tier: Text | None
    from_ns: Instant = Field(alias="from")


def _ordered(tiers: tuple[TierFrom, ...]) -> tuple[TierFrom, ...]:
    problems = []
    for index in range(1, len(tiers)):
        before, after = tiers[index - 1].from_ns, tiers[index].from_ns
        if before == after:
            problems.append(f"[{index}].from: {format_time(after)} is also the one of [{index - 1}]")
        elif before > after:
            problems.append(f"[{index}].from: {format_time(after)} is before {format_time(before)} of [{index - 1}]")
    if problems:
        raise ValueError("; ".join(problems))
    return tiers


class Account(Document):
    """One version of what is known of an organization; the greatest version counts."""

    organization: Annotated[str, StringConstraints(pattern=rf"^{NAME_PATTERN}\z")]
    version: Annotated[int, Field(ge=0, le=VERSION_MAX)]
    tiers: Annotated[tuple[TierFrom, ...], Field(max_length=ACCOUNT_TIERS_MAX), AfterValidator(_ordered)] = ()

    @cached_property
    def _starts(self) -> tuple[int, ...]:
        return tuple(tier.from_ns for tier in self.tiers)


def parse_account(value: bytes | None) -> Account:
    """The account in its JSON. Raises InvalidDocument with every problem; None is a tombstone, which is one."""
    if value is None:
        raise InvalidDocument("account", ["document: is a tombstone, and what was known stays"])
    return parse_document(Account, value, name="account", bytes_max=ACCOUNT_BYTES_MAX)


def account_bytes(account: Account) -> bytes:
    """The one JSON text of an account."""
    return document_bytes(account)


def tier_at(account: Account, at: int) -> str | None:
    """The tier in force at `at` (nanoseconds since 1970), or None, which means list prices."""
    index = bisect_right(account._starts, at)
    return account.tiers[index - 1].tier if index else None
