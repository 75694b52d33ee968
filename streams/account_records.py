"""What a record on the accounts topic says: the greatest version of an account counts, and has the last word there.

The topic is compacted, so of each account its last record stays. Where that is not the one that counts, the worker
writes that one again; but only after what no worker of any version takes for an account, or for a newer one: two that
disagree would answer each other for ever.
"""

from collections.abc import Callable
from typing import NamedTuple

import orjson

from pricing.accounts import Account, parse_account
from pricing.errors import InvalidDocument


class Verdict(NamedTuple):
    """The account that the record has, if that counts; else why it is ignored, and the one to write again."""

    account: Account | None
    ignored: str = ""
    again: Account | None = None


def judge(key: bytes | None, value: bytes | None, known_of: Callable[[str], Account | None]) -> Verdict:
    """What becomes of a record; `known_of` finds what is known of an organization."""
    try:
        account = parse_account(value)
    except InvalidDocument as error:
        named = known_of((key or b"").decode("utf-8", "replace"))
        return Verdict(None, str(error), None if _is_object(value) else named)
    known = known_of(account.organization)
    if known is None or known.version < account.version:
        return Verdict(account)
    if known == account:
        return Verdict(None)
    ignored = f"account {account.organization}: version {account.version} is not after {known.version}"
    return Verdict(None, ignored, known if known.version > account.version else None)


def _is_object(value: bytes | None) -> bool:
    try:
        return value is not None and isinstance(orjson.loads(value), dict)
    except ValueError:
        return False
