"""The pure worker against the oracle: every amount of random events by random books, and whole streams.

The oracle shares no code with the product and computes in fractions. A stream runs through `step` for every
partition, in batches of any size, with logs as lists in place of a broker; what came out is held against the
oracle as an outside reader would.
"""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pricing.accounts import parse_account
from pricing.book import Book, Policy
from pricing.money import exact
from pricing.pipeline import price
from pricing.rating import Missing
from pricing.reading import read_event
from pricing.totals import Tally, first_total
from streams.batch import Inputs, Step
from streams.codec import PricedWriter
from streams.state import State
from streams.step import step
from streams.topics import Topics
from streams.total_codec import heading, write_total
from tests import oracle
from tests.oracle import Found, Oracle, Parked, Record, Settings, account
from tests.oracle_checks import differences, header_origin, total_differences
from tests.oracle_totals import Totals
from tests.product import Rec, book_of, lane, state
from tests.usage import NOW_MS, RawRecord, as_records, encode, sample_oracle, stream, usage
from tests.usage_samples import (
    ORGANIZATIONS,
    Literal,
    dumps,
    sample_accounts,
    sample_direct,
    sample_rates,
    sample_sheet,
    sample_sheets,
)

pytestmark = pytest.mark.usefixtures("few_hot_totals")

TOPICS = Topics()
PARTITIONS = 4


# --- single events by random books

PLAIN = st.one_of(
    st.sampled_from(
        ["0", "0.0", "1", "13.2", "0.000000000001", "999999999999.999999999999999999999999", "1e-10", "1E2"]
    ),
    st.decimals(0, 10**6, places=9).map(lambda value: f"{value:f}"),
)
FACTORS = st.one_of(
    st.sampled_from(["0", "1", "2.5", "999999.999999999999", "0.000000000001"]),
    st.decimals(0, 1000, places=6).map(lambda value: f"{value:f}"),
)
PERCENTAGES = st.sampled_from(["0", "10", "33.333333333333333333333333", "99.999", "100", "0.000000000000000000000001"])
RATES = st.sampled_from(["1", "1.1234", "0.000000000000000000000001", "999999999999.999999999999999999999999"])
PERHAPS = st.sampled_from([True] * 9 + [False])
START, LATER = "2026-11-01T00:00:00Z", "2026-11-22T10:00:00Z"

CHAT = (
    '{"model":"gpt-4o","service_tier":"priority","usage":{"prompt_tokens":1203,"completion_tokens":150,'
    '"prompt_tokens_details":{"cached_tokens":200},"completion_tokens_details":{"reasoning_tokens":49}}}'
)
MESSAGE = (
    '{"model":"sonnet","usage":{"input_tokens":199999,"cache_read_input_tokens":2,"output_tokens":5,'
    '"service_tier":"standard","inference_geo":"global","server_tool_use":{"web_search_requests":2}}}'
)

LINES = [
    "a ftg-3.0-pro in=1000 cached=200 created=3 out=50",
    "a ftg-3.0-pro in=1000000000000000 out=1 priority=high",
    "a mdl_ftg30pro in=1 seconds=5.000000000000000001 priority=low billable=no",
    "a ftg-3.0-euro in=3 out=4 seconds=2",
    "a ftg-3.0-mini in=3 out=4",
    "a ftg-embed in=7 out=1 reasoning=5",
    "a image:generate count=2 model=ftg-3.0-pro",
    "a image:remove-background count=1000000000000000 model=ftg-3.0-euro priority=high",
    "a code cpu=5.5 mb=512 wall=10",
    "a code cpu=1000000000000000 mb=999999999999999.999999999999999999 wall=0.000000000000000001",
    "a connector:git/hub executions=3 billable=no",
    "a terminal egress_bytes=1 cpu_seconds=0.000000000000000001 storage_gb_days=1000000000000000",
    "a terminal gpu_seconds=0 ram_gb_seconds=1.5",
    "a gpt-4o in=3 out=4 provider=openai service_tier=priority region=eu-1",
    "a gpt-4o-latest in=1000000000000000 out=1 service_tier=batch priority=none",
    "a ft:gpt-4o-mini:x cached=1 input_audio=2 billable=no",
    "a claude-sonnet-4-5-20250929 in=200000 cached=1 out=7",
    "a sonnet created=9 out=7 region=us seconds=0",
    "a gemini-2.5-pro in=1000000000000000 out=1000 cached=3",
    "a gemini-2.5-pro in=501 out=101 at=2026-11-21T21:30:00+05:00",
    "a gemini-2.5-pro in=3 out=101 at=2026-11-22T00:29:59.999999999Z",
    "a units:video second=0.000000000000000001 image=1000000000000000 image/hd/1024x1024=2",
    "a units:fal-ai/video request=2 image=1 region=eu-1 billable=no",
    f"a response:openai.chat_completions provider=openai body={CHAT}",
    f"a response:openai.chat_completions model=claude-sonnet-4-5 body={CHAT}",
    f"a response:openai.chat_completions model=ftg-3.0-euro body={CHAT}",
    f"a response:openai.chat_completions model=ftg-embed service_tier=batch body={CHAT}",
    f"a response:anthropic.messages region=us body={MESSAGE}",
    f"a response:anthropic.messages model=gpt-4o-latest region=us body={MESSAGE}",
]


@st.composite
def documents(draw: st.DrawFn) -> bytes:
    """The sample sheet with every number drawn anew, some of them null."""
    found = json.loads(sample_sheet(), parse_float=Literal, parse_int=Literal)

    def redraw(node: Any, key: Any, numbers: st.SearchStrategy[str], may_be_null: bool = True) -> None:
        node[key] = Literal(draw(numbers)) if not may_be_null or draw(PERHAPS) else None

    redraw(found["conversion"], "base_multiplier", FACTORS)
    redraw(found["conversion"], "neurons_price_per_1m_chf", PLAIN)
    for name in found["conversion"]["priority_multipliers"]:
        redraw(found["conversion"]["priority_multipliers"], name, FACTORS, may_be_null=False)
    for model in found["models"]:
        for name, value in model["pricing"].items():
            if isinstance(value, Literal):
                redraw(model["pricing"], name, FACTORS if name.startswith(("consumption", "neurons")) else PLAIN)
    for operation in found["image_operations"]:
        redraw(operation, "synapses", PLAIN, may_be_null=False)
    for section in ("code_execution", "connector_tools"):
        for name in found[section]:
            free = name in ("cpu_free_seconds", "memory_free_mb")  # the oracle needs them
            redraw(found[section], name, PLAIN if "price" in name else FACTORS, may_be_null=not free)
    for dimension in found["terminal"]:
        redraw(dimension, "unit_rate_usd", PLAIN)
    for tier in found["pricing_tiers"]:
        redraw(tier, "discount_percentage", PERCENTAGES, may_be_null=False)
    return dumps(found).encode()


@st.composite
def directs(draw: st.DrawFn) -> bytes:
    """The models beside it with every price drawn anew, some left out, and any markup."""
    found = json.loads(sample_direct(NOW_MS))

    def redraw(prices: dict[str, str]) -> dict[str, str]:
        return {name: in_own_form(draw(PLAIN)) for name in prices if draw(PERHAPS)}

    for model in found["models"]:
        for part in (model, *model.get("cases", ())):
            part |= {name: redraw(part[name]) for name in ("prices", "units") if name in part}
            bands = {kind: each for kind, each in part.get("bands", {}).items() if kind in part["prices"]}
            for band in (band for each in bands.values() for band in each):
                band["price"] = in_own_form(draw(PLAIN))
            part |= {"bands": bands} if bands or "bands" in part else {}
    markup = draw(st.sampled_from([None, "0", "12.5", "0.000000000000000000000001"]))
    return json.dumps(found | ({} if markup is None else {"markup_percentage": markup})).encode()


def in_own_form(number: str) -> str:
    """A price as our own sheets have it: plain."""
    return oracle.plain(Fraction(number))


@st.composite
def books(draw: st.DrawFn) -> tuple[list[oracle.Sheet], list[oracle.Rate], dict[str, Any], Settings]:
    """Sheets, rates, an account and settings."""
    images = st.sampled_from([None, "13.2", "0", "model-input", "model-output"])
    starts = st.sampled_from([START, START, LATER, "2026-11-22T10:00:00.000000001Z"])
    sheets = [
        oracle.Sheet("aitronos", f"v{number}", draw(starts), draw(documents()), draw(images), draw(directs()))
        for number in range(draw(st.integers(1, 2)))
    ]
    pairs = st.sampled_from(["CHF/USD", "EUR/USD", "USD/CHF", "CHF/EUR", "USD/EUR", "EUR/CHF"])
    dated = draw(
        st.lists(st.tuples(pairs, RATES, starts), min_size=3, max_size=12, unique_by=lambda one: (one[0], one[2]))
    )
    tiers = st.sampled_from([None, "tier_standard", "tier_zero", "tier_third", "tier_full", "gold"])
    accounts = {
        "a": {
            "organization": "a",
            "version": 1,
            "tiers": [{"tier": draw(tiers), "from": START}, {"tier": draw(tiers), "from": LATER}],
        }
    }
    currencies = draw(st.sampled_from([(), ("USD",), ("USD",), ("USD", "EUR"), ("CHF",)]))
    settings_ = Settings(report_currencies=currencies, require_account=draw(st.sampled_from([False, False, True])))
    return sheets, [oracle.Rate(*one) for one in dated], accounts if draw(PERHAPS) else {}, settings_


def product_answer(value: bytes, book: Book, accounts: dict[str, Any]) -> dict[str, Any] | Parked:
    """What the product makes of an event: its `data`, or why it is parked."""
    event = read_event(value, ())
    given_account = accounts.get(event.data.organization)
    known = parse_account(json.dumps(given_account).encode()) if given_account else None
    try:
        with exact():
            priced = price(event, book, known)
            return json.loads(PricedWriter("app").data(priced))
    except Missing as missing:
        return Parked(str(missing.reason))


def policy_of(found: Settings) -> Policy:
    """The oracle's settings as the product has them."""
    return Policy(found.sheets, tuple(found.report_currencies), found.require_account)


@settings(max_examples=100)
@given(books())
def test_every_amount_is_the_oracle_s(
    found: tuple[list[oracle.Sheet], list[oracle.Rate], dict[str, Any], Settings],
) -> None:
    """By any book: the same `data`, or parked for the same reason. Every line by each: a book takes longest."""
    sheets, rates, accounts, chosen = found
    judge, book = Oracle(sheets, rates, accounts, chosen), book_of(sheets, rates, policy_of(chosen))
    for line in LINES:
        value, _ = encode(usage(line), ())
        verdict = judge.judge(Record(TOPICS.raw, 0, 0, NOW_MS, None, value))
        assert isinstance(verdict, oracle.Event), line
        expected, answer = judge.price(verdict), product_answer(value, book, accounts)
        if isinstance(expected, Parked) or isinstance(answer, Parked):
            assert answer == expected, line
            continue
        assert differences(expected, answer) == [], line
        assert_lines_add_up(answer)


def assert_lines_add_up(data: dict[str, Any]) -> None:
    """Sums of lines are the totals of the event; adjustments are what `due` lacks of `net`."""
    for name in ("list", "net", "due"):
        sums: dict[str, Fraction] = {}
        for line in data["lines"]:
            sums[line["currency"]] = sums.get(line["currency"], Fraction(0)) + Fraction(line[name])
        assert {currency: Fraction(amount) for currency, amount in data[name].items()} == sums
    adjusted = sum(Fraction(one["amount"]) for one in data["adjustments"])
    assert sum(map(Fraction, data["net"].values())) + adjusted == sum(map(Fraction, data["due"].values()))
    for unit in ("synapse", "neuron"):
        consumed = sum(Fraction(line["consumed"]) for line in data["lines"] if line.get("consumed_unit") == unit)
        assert Fraction(data[f"{unit}s"]) == consumed


@settings(max_examples=60)
@given(st.integers(0, 2**32), st.integers(2, 25))
def test_totals_are_the_sums_of_priced_events(seed: int, count: int) -> None:
    """Of one batch, by every window, project and item; the oracle sums what the product wrote."""
    chosen = random.Random(seed)
    book = cured_book()
    tally, expected = Tally(("USD",)), Totals()
    accounts = sample_accounts(NOW_MS)
    with exact():
        for number in range(count):
            made = usage(
                chosen.choice(LINES).replace("a ", f"{chosen.choice(ORGANIZATIONS[:9])} ", 1) + f" id={number}"
            )
            made["time"] = f"2026-11-{chosen.randint(13, 22):02d}T{chosen.randint(0, 23):02d}:59:59.999999999Z"
            event = read_event(encode(made, ())[0], ())
            known = accounts.get(event.data.organization)
            try:
                priced = price(event, book, parse_account(json.dumps(known).encode()) if known else None)
            except Missing:
                continue
            tally.add(priced)
            expected.add(json.loads(PricedWriter("app").data(priced)), event.at)
        written = {name: json.loads(value) for name, value in totals_of(tally)}
    wanted = expected.values()
    assert written.keys() == wanted.keys()
    assert [problem for key in wanted for problem in total_differences(wanted[key], written[key])] == []


def totals_of(tally: Tally) -> list[tuple[str, bytes]]:
    """What a tally adds, as first totals."""
    return [(heading(key).name, write_total(heading(key), first_total(sums, 0))) for key, sums in tally.sums().items()]


# --- whole streams through the step


@dataclass
class World:
    """Logs as lists, and a state for each partition: what a broker and four tasks are to the step."""

    book: Book
    dice: random.Random
    batch_max: int
    logs: dict[tuple[str, int], list[Rec]] = field(default_factory=dict)
    changelogs: dict[int, dict[bytes, bytes]] = field(default_factory=dict)
    states: dict[int, State] = field(default_factory=dict)
    now_ms: int = NOW_MS + 60_000

    def __post_init__(self) -> None:
        self.states = {partition: state(PARTITIONS) for partition in range(PARTITIONS)}
        self.lanes = {partition: lane(partition, PARTITIONS) for partition in range(PARTITIONS)}
        for organization in sample_accounts(NOW_MS).values():
            partition = oracle.partition_of(organization["organization"], PARTITIONS)
            value = json.dumps(organization).encode()
            self.append(TOPICS.accounts, partition, organization["organization"].encode(), value, [], NOW_MS)

    def append(self, topic: str, partition: int, key: Any, value: Any, headers: Sequence[Any], timestamp: int) -> int:
        """One record at the end of a log; its offset."""
        log = self.logs.setdefault((topic, partition), [])
        stamped = self.now_ms if topic == TOPICS.rekeyed else timestamp
        log.append(Rec(topic, partition, len(log), stamped, key, value, tuple(headers)))
        return len(log) - 1

    def run(self) -> None:
        """Steps of any partition until all has been read."""
        while waiting := [partition for partition in range(PARTITIONS) if self.is_behind(partition)]:
            self.step(self.dice.choice(waiting))

    def is_behind(self, partition: int) -> bool:
        """Whether the partition has records to read."""
        return any(self.unread(topic, partition, 1) for topic in TOPICS.inputs)

    def unread(self, topic: str, partition: int, count: int) -> list[Rec]:
        """The next records of an input."""
        position = self.states[partition].position
        names = {TOPICS.raw: position.raw, TOPICS.rekeyed: position.rekeyed, TOPICS.accounts: position.accounts}
        start = max(names[topic], 0)
        return self.logs.get((topic, partition), [])[start : start + count]

    def step(self, partition: int, cures: Sequence[Any] = ()) -> None:
        """One transaction; now and then one that is aborted first."""
        count = self.dice.randint(1, self.batch_max)
        inputs = Inputs(
            raw=self.unread(TOPICS.raw, partition, count),
            rekeyed=self.unread(TOPICS.rekeyed, partition, count),
            accounts=self.unread(TOPICS.accounts, partition, 100),
            cures=cures,
        )
        self.now_ms += 1
        result = self.stepped(partition, inputs)
        if self.dice.random() < 0.2:
            assert self.stepped(partition, inputs) == result
        self.commit(partition, result)

    def stepped(self, partition: int, inputs: Inputs) -> Step:
        """The step, which changes nothing that it is given."""
        return step(self.states[partition], inputs, self.book, self.lanes[partition], self.now_ms)

    def commit(self, partition: int, result: Step) -> None:
        """Publish, then fold."""
        for (topic, target), records in result.outputs.items():
            offsets = [self.append(topic, target, *record) for record in records]
            if topic == TOPICS.parked:
                result.complete(offsets[: len(result.newly_parked)])
        self.states[partition].fold(result.changes)

    def publish(self, book: Book) -> None:
        """A new book, and every parked event looked at again."""
        self.book = book
        for partition, found in self.states.items():
            cures = [
                (parked, self.logs[TOPICS.parked, partition][offset]) for offset, parked in sorted(found.parked.items())
            ]
            self.step(partition, cures)

    def records(self, topic: str) -> list[Record]:
        """What a reader of a topic finds, in the oracle's form."""
        return [
            Record(topic, one.partition, one.offset, one.timestamp, one.key, one.value, one.headers)
            for partition in range(PARTITIONS)
            for one in self.logs.get((topic, partition), [])
        ]

    def found(self) -> Found:
        """All that outside readers find."""
        names = (TOPICS.raw, TOPICS.priced, TOPICS.parked, TOPICS.rejected, TOPICS.totals)
        return Found(*[self.records(name) for name in names], partitions=PARTITIONS)

    def totals(self) -> dict[str, dict[str, Any]]:
        """The last value of every total, but what depends on the batches."""
        values = {key: json.loads(value) for found in self.states.values() for key, value in found.totals.items()}
        return {
            key: {n: v for n, v in value.items() if n not in ("revision", "as_of")} for key, value in values.items()
        }


def world(seed: int, raw: list[RawRecord], batch_max: int) -> World:
    """A world with a stream on its raw topic."""
    made = World(first_book(), random.Random(seed), batch_max)
    for record in as_records(raw):
        made.append(record.topic, record.partition, record.key, record.value, record.headers, record.timestamp_ms)
    return made


@cache
def first_book() -> Book:
    """What is published before a stream."""
    return book_of(sample_sheets(NOW_MS), sample_rates(NOW_MS))


@cache
def cured_book() -> Book:
    """What is published in the middle of a stream."""
    return book_of(sample_sheets(NOW_MS, cured=True), sample_rates(NOW_MS, cured=True))


@pytest.mark.parametrize("seed", range(12))
def test_a_stream_is_accounted_for(seed: int) -> None:
    """Each raw record once, amounts the oracle's, totals the sum; with a publication that cures halfway."""
    raw = stream(seed, 120)
    made = world(seed, raw, batch_max=random.Random(seed).choice([1, 7, 40, 1000]))
    made.run()
    assert account(made.found(), [sample_oracle(NOW_MS)]) == []
    made.publish(cured_book())
    assert account(made.found(), [sample_oracle(NOW_MS), sample_oracle(NOW_MS, cured=True)]) == []
    assert still_parked(made) <= parked_by(raw)


def still_parked(made: World) -> set[Any]:
    """The raw records of the events that no publication has cured."""
    logs = [(made.logs.get((TOPICS.parked, partition), []), found) for partition, found in made.states.items()]
    return {
        header_origin(Record(TOPICS.parked, 0, at, 0, None, None, log[at].headers))
        for log, found in logs
        for at in found.parked
    }


def parked_by(raw: list[RawRecord]) -> set[Any]:
    """The raw records of the events that the cured books still leave without a price."""
    judge = sample_oracle(NOW_MS, cured=True)
    verdicts = {record.origin: judge.judge(record) for record in as_records(raw)}
    return {
        origin
        for origin, verdict in verdicts.items()
        if isinstance(verdict, oracle.Event) and isinstance(judge.price(verdict), Parked)
    }


@pytest.mark.parametrize("seed", range(100, 104))
def test_batches_cut_otherwise_give_the_same_totals(seed: int) -> None:
    """And the same priced events, but for the clock."""
    raw = [one for one in stream(seed, 120) if is_routed_well(one)]  # the way of the others decides who comes first
    worlds = [world(order, raw, batch_max) for order, batch_max in ((1, 1), (2, 13), (3, 1000))]
    for made in worlds:
        made.run()
    assert worlds[0].totals() == worlds[1].totals() == worlds[2].totals()
    seen = [{(one.partition, one.value) for one in made.records(TOPICS.parked)} for made in worlds]
    assert seen[0] == seen[1] == seen[2]


def is_routed_well(record: RawRecord) -> bool:
    """Whether the partition is the one of the key."""
    return (
        record.key is not None
        and oracle.partition_of(record.key.decode(errors="replace"), PARTITIONS) == record.partition
    )


@pytest.mark.parametrize("seed", range(200, 203))
def test_a_step_is_pure(seed: int) -> None:
    """Same inputs, same outputs, and nothing that it is given has changed."""
    made = world(seed, stream(seed, 80), batch_max=20)
    for partition in (0, 1, 2, 3) * 2:
        if not made.is_behind(partition):
            continue
        inputs = Inputs(raw=made.unread(TOPICS.raw, partition, 15), accounts=made.unread(TOPICS.accounts, partition, 3))
        before = snapshot(made.states[partition]), copy.deepcopy(inputs)
        first, second = made.stepped(partition, inputs), made.stepped(partition, inputs)
        assert first == second
        assert (snapshot(made.states[partition]), inputs) == before
        made.step(partition)


def snapshot(found: State) -> Any:
    """Everything in a state."""
    facts = {name: copy.deepcopy(value) for name, value in vars(found).items() if name not in ("seen", "_days")}
    days = {day: (list(held.full), dict(held.small)) for day, held in found._days.items()}
    ids = found.seen._rows[: len(found.seen)].tobytes()
    return facts, days, ids
