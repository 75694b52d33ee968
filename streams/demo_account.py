"""The demo's account: every raw record has one outcome, and all amounts are computed again from the lines.

It reads the topics as any user can and shares no arithmetic with what it checks.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import orjson
from aiokafka import ConsumerRecord

from streams import headers
from streams.reading import read_topic
from streams.settings import Settings
from streams.topics import Topics

Place = tuple[int, int]
Sums = dict[str, int]

_DIGITS = 100
ONE = 10**_DIGITS


class Found(NamedTuple):
    """What is on the topics at the end."""

    raw: list[ConsumerRecord]
    priced: list[ConsumerRecord]
    parked: list[ConsumerRecord]
    rejected: list[ConsumerRecord]
    totals: list[ConsumerRecord]


class Account(NamedTuple):
    """What became of the raw records, as lines for people, how many are parked, and everything that does not add up."""

    lines: list[str]
    open: int
    problems: list[str]


async def read_all(settings: Settings) -> Found:
    """The topics, whole."""
    topics: Topics = settings.topics
    found = []
    for name in (topics.raw, topics.priced, topics.parked, topics.rejected, topics.totals):
        records: list[ConsumerRecord] = []
        await read_topic(settings, name, on_record=records.append)
        found.append(records)
    return Found(*found)


def account_of(found: Found) -> Account:
    """Count every raw record once, and hold amounts and totals against their recomputation."""
    priced = [orjson.loads(record.value) for record in found.priced]
    outcomes, problems = _outcomes(found, priced)
    for event in priced:
        problems += [f"priced event {event['id']}: {problem}" for problem in _wrong_amounts(event["data"])]
    totals, wrong = _wrong_totals(priced, found.totals)
    counts = Counter(outcome.split()[0] for outcome in outcomes.values())
    reasons = Counter(outcome.split()[1] for outcome in outcomes.values() if outcome.startswith("rejected"))
    lines = sum(len(event["data"]["lines"]) for event in priced)
    cured = sum("parked" in event["data"] for event in priced)
    return Account(
        [
            f"{len(found.raw):9,} raw records, each counted once:",
            f"{counts['priced']:9,} priced, {cured:,} of them parked at first",
            f"{counts['duplicate']:9,} duplicates",
            f"{counts['parked']:9,} parked, open",
            f"{counts['rejected']:9,} rejected: {', '.join(f'{name} {n:,}' for name, n in reasons.most_common())}",
            f"{lines:9,} lines priced, recomputed from quantity, price and discount",
            f"{totals:9,} totals, recomputed from the priced events",
        ],
        counts["parked"],
        problems + wrong,
    )


# --- every raw record once


def _outcomes(found: Found, priced: Iterable[Any]) -> tuple[dict[Place, str], list[str]]:
    outcomes: dict[Place, str] = {}
    problems = []
    claims = [(_place(event["data"]["origin"]), "priced") for event in priced]
    claims += [(_origin(record), "parked") for record in _open(found.parked)]
    claims += [(_origin(record), f"rejected {_header(record, headers.REASON)}") for record in found.rejected]
    for place, outcome in claims:
        if place in outcomes:
            problems.append(f"raw record {place} is {outcomes[place]} and {outcome}")
        outcomes[place] = outcome
    taken = {
        _identity(record.value)
        for record in found.raw
        if outcomes.get((record.partition, record.offset)) in ("priced", "parked")
    }
    for record in found.raw:
        place = (record.partition, record.offset)
        if place not in outcomes:
            outcomes[place] = "duplicate"
            if _identity(record.value) not in taken:
                problems.append(f"raw record {place} has no outcome")
    surplus = outcomes.keys() - {(record.partition, record.offset) for record in found.raw}
    return outcomes, problems + [f"{outcomes[place]}: {place} is no raw record" for place in surplus]


def _open(parked: Iterable[ConsumerRecord]) -> list[ConsumerRecord]:
    records = {(record.partition, record.offset): record for record in parked}
    for record in parked:
        released = dict(record.headers).get(headers.RELEASED)
        if released is not None:
            del records[record.partition, record.offset]
            records.pop((record.partition, int(released)), None)
    return list(records.values())


def _place(origin: Mapping[str, Any]) -> Place:
    return origin["partition"], origin["offset"]


def _origin(record: ConsumerRecord) -> Place:
    return int(_header(record, headers.PARTITION)), int(_header(record, headers.OFFSET))


def _header(record: ConsumerRecord, name: str) -> str:
    value: bytes = dict(record.headers)[name]
    return value.decode()


def _identity(value: bytes) -> tuple[str, ...] | None:
    try:
        event = orjson.loads(value)
        return event["data"]["organization"], event["source"], event["id"]
    except (ValueError, KeyError, TypeError):
        return None


# --- amounts, as whole numbers of 10^-100: fractions.Fraction would take a millisecond an event


def _units(text: str) -> int:
    """A decimal as so many 10^-100."""
    whole, _, digits = text.partition(".")
    if len(digits) > _DIGITS:
        raise ValueError(f"{text} has more than {_DIGITS} digits after the point")
    scale: int = 10 ** (_DIGITS - len(digits))
    return int(whole + digits) * scale


def _wrong_amounts(data: Mapping[str, Any]) -> Iterator[str]:
    """A sentence for each amount of a priced event that its lines do not give."""
    off = _units(data["tier"]["discount_percentage"]) if data["tier"] else 0
    sums: dict[str, Sums] = {name: defaultdict(int) for name in ("list", "net", "due")}
    consumed: Sums = {"synapse": 0, "neuron": 0}
    for line in data["lines"]:
        amounts = {name: _units(line[name]) for name in sums}
        quantity = _units(line.get("consumed", line["quantity"]))
        if amounts["list"] * int(line["per"]) * ONE != quantity * _units(line["price"]):
            yield f"line {line['meter']}: list {line['list']} is not quantity × price / per"
        if amounts["net"] * 100 * ONE != amounts["list"] * (100 * ONE - off):
            yield f"line {line['meter']}: net {line['net']} is not list − discount"
        if amounts["due"] != (amounts["net"] if data["billable"] else 0):
            yield f"line {line['meter']}: due {line['due']} is not what is billed of net"
        if "consumed" in line:
            consumed[line["consumed_unit"]] += quantity
        for name, amount in amounts.items():
            sums[name][line["currency"]] += amount
    for unit, amount in consumed.items():
        if _units(data[f"{unit}s"]) != amount:
            yield f"{unit}s {data[f'{unit}s']} is not the sum of the lines"
    for name, by_currency in sums.items():
        if {currency: _units(amount) for currency, amount in data[name].items()} != by_currency:
            yield f"{name} {data[name]} is not the sum of the lines"
    yield from _wrong_conversions(data, sums)


def _wrong_conversions(data: Mapping[str, Any], sums: Mapping[str, Sums]) -> Iterator[str]:
    rates = {found["pair"]: _units(found["rate"]) for found in data["fx"]}
    for report, amounts in data["converted"].items():
        for name, by_currency in sums.items():
            terms = [
                amount * (ONE if currency == report else rates[f"{currency}/{report}"])
                for currency, amount in by_currency.items()
                if amount
            ]
            if _units(amounts[name]) * ONE != sum(terms):
                yield f"converted {report} {name} {amounts[name]} is not the sum at the rates"


# --- totals


def _wrong_totals(priced: Iterable[Any], records: Iterable[ConsumerRecord]) -> tuple[int, list[str]]:
    """How many totals there are, and a sentence for each that is not the sum of its events."""
    expected = _expected_totals(priced)
    published = {record.key.decode(): orjson.loads(record.value) for record in records if record.value}
    problems = [f"total {key} is missing" for key in expected.keys() - published.keys()]
    problems += [f"total {key} belongs to no priced event" for key in published.keys() - expected.keys()]
    for key in expected.keys() & published.keys():
        found = {name: amount for name, amount in _flat(published[key]) if amount}
        wanted = {name: amount for name, amount in expected[key].items() if amount}
        wrong = sorted(name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name))
        if wrong:
            problems.append(f"total {key}: {', '.join(wrong)} not the sum of its events")
    return len(published), problems


def _expected_totals(priced: Iterable[Any]) -> dict[str, Sums]:
    """The sums of the events by the key of their total; by hour and item first, since hours make days and months."""
    leaves: dict[tuple[str, str, str], Sums] = defaultdict(lambda: defaultdict(int))
    for event in priced:
        data = event["data"]
        leaf = leaves[f"{data['organization']}/{data['project']}", event["time"][:13], data["item"]]
        for name, amount in _contribution(data):
            leaf[name] += amount
    expected: dict[str, Sums] = defaultdict(lambda: defaultdict(int))
    for (project, hour, item), sums in leaves.items():
        starts = {"hour": f"{hour}:00:00Z", "day": f"{hour[:10]}T00:00:00Z", "month": f"{hour[:7]}-01T00:00:00Z"}
        for window, start in starts.items():
            for key in (f"{project}/{window}/{start}", f"{project}/{window}/{start}/{item}"):
                for name, amount in sums.items():
                    expected[key][name] += amount
    return expected


def _contribution(data: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """What an event adds to each total that it belongs to."""
    yield "events", ONE
    yield "not_billable_events", 0 if data["billable"] else ONE
    yield "tokens", sum(_units(line["quantity"]) for line in data["lines"] if line["unit"] == "token")
    meters: Sums = defaultdict(int)
    for line in data["lines"]:
        meters[line["meter"]] += _units(line["quantity"])
    yield from ((f"quantities {meter}", quantity) for meter, quantity in meters.items())
    yield from _amounts_in(data)


def _flat(total: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """A published total in the same names."""
    for name in ("events", "not_billable_events", "tokens"):
        yield name, _units(str(total[name]))
    yield from ((f"quantities {meter}", _units(quantity)) for meter, quantity in total["quantities"].items())
    yield from _amounts_in(total)


def _amounts_in(fields: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    for name in ("synapses", "neurons"):
        yield name, _units(fields[name])
    for name in ("list", "net", "due"):
        yield from ((f"{name} {currency}", _units(amount)) for currency, amount in fields[name].items())
    for report, amounts in fields["converted"].items():
        yield from ((f"converted {report} {name}", _units(amount)) for name, amount in amounts.items())
