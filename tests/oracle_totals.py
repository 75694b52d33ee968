"""Where an organization lives, and what its projects' totals must be: the contract's sections 1 and 5.

Totals are summed from priced `data` (the oracle's own, or what a reader found on the priced topic): the
contract says that they equal the sum of the priced events.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

from tests.oracle_costs import is_asked
from tests.oracle_pricing import Settings, plain

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
AMOUNTS = ("list", "net", "due")
KEEP_DAYS = {"hour": 62, "day": 400}


def murmur2(key: bytes) -> int:
    """Kafka's Java client's 32-bit murmur2 (org.apache.kafka.common.utils.Utils), as an unsigned number."""
    mask, m = 0xFFFFFFFF, 0x5BD1E995
    h = 0x9747B28C ^ len(key)
    whole = len(key) // 4 * 4
    for start in range(0, whole, 4):
        k = int.from_bytes(key[start : start + 4], "little") * m & mask
        k = (k ^ k >> 24) * m & mask
        h = h * m & mask ^ k
    if key[whole:]:
        h = (h ^ int.from_bytes(key[whole:], "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15


def partition_of(organization: str, partitions: int) -> int:
    """The partition of all that is written about an organization (`toPositive`, then the remainder)."""
    return (murmur2(organization.encode()) & 0x7FFFFFFF) % partitions


def windows(at_ns: int) -> Iterable[tuple[str, str, str]]:
    """The (window, start, end) that an instant belongs to."""
    at = EPOCH + timedelta(seconds=at_ns // 10**9)
    hour = at.replace(minute=0, second=0)
    day, month = hour.replace(hour=0), hour.replace(hour=0, day=1)
    next_month = (month + timedelta(days=31)).replace(day=1)
    yield "hour", stamp(hour), stamp(hour + timedelta(hours=1))
    yield "day", stamp(day), stamp(day + timedelta(days=1))
    yield "month", stamp(month), stamp(next_month)


def stamp(at: datetime) -> str:
    """A whole second in UTC as the totals write it."""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


class Totals:
    """Sums of priced `data`, by totals key."""

    def __init__(self, settings: Settings | None = None) -> None:
        self._values: dict[str, dict[str, Any]] = {}
        self._settings = settings or Settings()

    def add(self, data: Mapping[str, Any], at_ns: int, priced_at: str | None = None) -> None:
        """Counts one priced event into its windows, for the project and for its item."""
        counts, maps = _counts(data), _maps(data)
        if is_asked(data.get("provider"), self._settings):
            counts["events_without_cost"] = Fraction("cost" not in data)
            maps |= {name: {c: Fraction(a) for c, a in data.get(name, {}).items()} for name in ("cost", "margin")}
        for window, start, end in windows(at_ns):
            key = f"{data['organization']}/{data['project']}/{window}/{start}"
            names = {"organization": data["organization"], "project": data["project"]}
            names |= {"window": window, "start": start, "end": end}
            for total in (
                self._get(key, names),
                self._get(f"{key}/{data['item']}", names | {"item": data["item"]}),
            ):
                _sum_into(total["counts"], counts)
                for name, amounts in maps.items():
                    _sum_into(total["maps"].setdefault(name, {}), amounts)
                if priced_at is not None:
                    total["as_of"] = max(priced_at, total["as_of"] or priced_at, key=_instant)

    def values(self) -> dict[str, dict[str, Any]]:
        """The totals as the contract writes them (`as_of` where `priced_at` was given; no `revision`)."""
        return {key: _written(value) for key, value in self._values.items()}

    def _get(self, key: str, names: Mapping[str, str]) -> dict[str, Any]:
        return self._values.setdefault(key, {**names, "counts": {}, "maps": {}, "as_of": None})


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _counts(data: Mapping[str, Any]) -> dict[str, Fraction]:
    tokens = (Fraction(line["quantity"]) for line in data["lines"] if line.get("unit") == "token")
    return {
        "events": Fraction(1),
        "not_billable_events": Fraction(data["billable"] is False),
        "tokens": sum(tokens, Fraction(0)),
        "synapses": Fraction(data["synapses"]),
        "neurons": Fraction(data["neurons"]),
    }


def _maps(data: Mapping[str, Any]) -> dict[Any, dict[str, Any]]:
    """What is summed by meter or by currency; conversions under (currency, "list")."""
    quantities: dict[str, Fraction] = {}
    for line in data["lines"]:
        _sum_into(quantities, {line["meter"]: Fraction(line["quantity"])})
    cost = data.get("provider_cost")
    maps: dict[Any, dict[str, Any]] = {name: data[name] for name in AMOUNTS}
    maps |= {"quantities": quantities, "provider_cost": {cost["currency"]: cost["amount"]} if cost else {}}
    maps["converted"] = {(c, name): amount for c, part in data["converted"].items() for name, amount in part.items()}
    return {name: {key: Fraction(amount) for key, amount in part.items()} for name, part in maps.items()}


def _sum_into(sums: dict[Any, Any], amounts: Mapping[Any, Any]) -> None:
    for name, amount in amounts.items():
        sums[name] = sums[name] + amount if name in sums else Fraction(amount)


def _written(total: Mapping[str, Any]) -> dict[str, Any]:
    value = {name: part for name, part in total.items() if name not in ("counts", "maps", "as_of")}
    value |= {name: plain(number) for name, number in total["counts"].items()}
    value |= {name: int(total["counts"][name]) for name in total["counts"] if "events" in name}
    for name, amounts in total["maps"].items():
        value[name] = {key: plain(amount) for key, amount in amounts.items()}
    converted: dict[str, dict[str, str]] = {}
    for (currency, name), amount in value["converted"].items():
        converted.setdefault(currency, {})[name] = amount
    value["converted"] = converted
    return value | ({"as_of": total["as_of"]} if total["as_of"] else {})
