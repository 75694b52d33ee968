"""The oracle against the contract's worked examples and rows computed by hand, so that it can be trusted."""

from __future__ import annotations

import json
import re
from datetime import date
from fractions import Fraction
from functools import cache
from hashlib import sha256
from pathlib import Path

import pytest

from tests.oracle import (
    Event,
    Found,
    Ledger,
    Oracle,
    Parked,
    Rate,
    Record,
    Rejected,
    Settings,
    Sheet,
    account,
    murmur2,
    partition_of,
    plain,
    read_time,
)
from tests.oracle_checks import DECIMAL, differences
from tests.usage import (
    NOW_MS,
    Literal,
    as_records,
    encode,
    encode_binary,
    hostile_rows,
    sample_oracle,
    sample_sheet,
    source_sheet,
    stream,
    usage,
)

START = "2026-11-01T00:00:00Z"
STANDARD = {"organization": "org_1", "version": 1, "tiers": [{"tier": "tier_standard", "from": START}]}
RATE = Rate("CHF/USD", "1.1234", "2026-11-22T00:00:00Z")


def oracle(image_price=None, document=None, rates=(RATE,), settings=None) -> Oracle:
    sheet = Sheet("aitronos", "2026-11-01", START, document or source_sheet(), image_price)
    return Oracle([sheet], rates, {"org_1": STANDARD}, settings)


def record(event, offset=0, append_ms=NOW_MS, partition=0) -> Record:
    value, headers = encode(event)
    return Record("usage.raw.v1", partition, offset, append_ms, b"org_1", value, headers)


def price(line: str, book: Oracle | None = None):
    event = (book or oracle()).judge(record(usage(line)))
    assert isinstance(event, Event), event
    return (book or oracle()).price(event)


# --- the contract's own examples


def test_the_example_of_section_4_comes_out_to_the_last_digit():
    line = "org_1 ftg-3.0-pro project=proj_7 provider=aitronos priority=default id=01JD"
    line += " in=1234 cached=512 created=0 out=345"
    common = {"unit": "token", "consumed_unit": "synapse", "per": "1000000", "currency": "CHF"}
    assert price(line) == {
        "event": {"source": "gateway/eu-1", "id": "01JD", "type": "ai.usage.model.v1"},
        "organization": "org_1",
        "project": "proj_7",
        "provider": "aitronos",
        "model": "ftg-3.0-pro",
        "priority": "default",
        "item": "ftg-3.0-pro",
        "sheet": {"id": "aitronos", "version": "2026-11-01"},
        "tier": {"id": "tier_standard", "discount_percentage": "10"},
        "lines": [
            common
            | {"meter": "input", "quantity": "1234", "consumed": "2468", "price": "13.2"}
            | {"list": "0.0325776", "net": "0.02931984", "due": "0.02931984"},
            common
            | {"meter": "cache_read", "quantity": "512", "consumed": "1024", "price": "1.32"}
            | {"list": "0.00135168", "net": "0.001216512", "due": "0.001216512"},
            common
            | {"meter": "output", "quantity": "345", "consumed": "690", "price": "66"}
            | {"list": "0.04554", "net": "0.040986", "due": "0.040986"},
        ],
        "adjustments": [],
        "synapses": "4182",
        "neurons": "0",
        "list": {"CHF": "0.07946928"},
        "net": {"CHF": "0.071522352"},
        "due": {"CHF": "0.071522352"},
        "converted": {"USD": {"list": "0.089275789152", "net": "0.0803482102368", "due": "0.0803482102368"}},
        "fx": [{"pair": "CHF/USD", "rate": "1.1234", "from": "2026-11-22T00:00:00Z"}],
        "billable": True,
        "revision": 0,
    }


@pytest.mark.parametrize(
    ("line", "synapses", "list_chf", "net_chf", "net_usd"),
    [
        ("in=1000 cached=200 created=100 out=500", "3600", "0.096228", "0.0866052", "0.09729228168"),
        ("priority=high in=1000 cached=200 created=100 out=500", "7200", "0.192456", "0.1732104", None),
        ("priority=low in=1000 cached=200 created=100 out=500", "2880", "0.0769824", "0.06928416", None),
    ],
)
def test_the_issues_model_examples_hold(line, synapses, list_chf, net_chf, net_usd):
    data = price(f"org_1 ftg-3.0-pro {line}")
    assert (data["synapses"], data["list"], data["net"]) == (synapses, {"CHF": list_chf}, {"CHF": net_chf})
    assert net_usd in (None, data["converted"]["USD"]["net"])


def test_the_issues_lines_add_up():
    data = price("org_1 ftg-3.0-pro in=1000 cached=200 created=100 out=500")
    assert [line["list"] for line in data["lines"]] == ["0.0264", "0.000528", "0.0033", "0.066"]


def test_the_issues_code_execution_holds():
    data = price("org_1 code cpu=5.5 mb=512 wall=10")
    assert (data["neurons"], data["list"], data["item"]) == ("32.1", {"CHF": "0.0002568"}, "code_execution")
    assert [line["meter"] for line in data["lines"]] == [
        "code_execution.base",
        "code_execution.cpu",
        "code_execution.memory",
    ]
    assert [(line["quantity"], line["consumed"]) for line in data["lines"]] == [
        ("1", "3"),
        ("3.5", "3.5"),
        ("2560", "25.6"),
    ]


def test_a_byte_of_egress_costs_twelve_trillionths_of_ten_dollars():
    data = price("org_1 terminal egress_bytes=1")
    assert (data["list"], data["net"]) == ({"USD": "0.00000000012"}, {"USD": "0.000000000108"})
    assert (data["fx"], data["synapses"], data["neurons"]) == ([], "0", "0")
    assert data["converted"]["USD"]["list"] == "0.00000000012"


# --- rows by hand: what is left after the tier of 10 %


@pytest.mark.parametrize(
    ("line", "image_price", "list_amounts"),
    [
        ("org_1 connector:github/search executions=3", None, {"CHF": "0.000192"}),  # 3 × 8 × 8 ÷ 10^6
        ("org_1 connector:github/search", None, {"CHF": "0.000064"}),
        ("org_1 image:generate count=2", "13.2", {"CHF": "2.64"}),  # 2 × 100000 × 13.2 ÷ 10^6
        ("org_1 image:generate priority=low", "13.2", {"CHF": "1.056"}),
        ("org_1 image:generate model=mdl_ftg30pro", "model-output", {"CHF": "6.6"}),
        ("org_1 image:generate count=0 model=ftg-3.0-pro", None, {}),
        ("org_1 image:conjure count=0 model=ftg-3.0-pro", "no_price_for_operation", {}),
        (
            "org_1 ftg-embed in=1000 out=8 priority=never",
            None,
            {"CHF": "0.001008"},
        ),  # 1008 × 0.125 × 8 ÷ 10^6
        (
            "org_1 ftg-3.0-pro in=0 seconds=1.5 priority=high",
            None,
            {"CHF": "0.0000396"},
        ),  # 1.5 × 1 × 2 × 13.2
        ("org_1 ftg-3.0-pro in=0 unheard_of=0", None, {}),
        ("org_1 ftg-3.0-mini in=1 cached=0", None, {"CHF": "0.0000022"}),
        ("org_1 ftg-free in=1000000000000000", None, {"CHF": "0"}),
        ("org_1 code cpu=2 mb=256 wall=1000", None, {"CHF": "0.000024"}),  # 3 × 8 ÷ 10^6
        ("org_1 terminal cpu_seconds=2 storage_gb_days=0.5", None, {"USD": "0.0501"}),
    ],
)
def test_list_amounts_computed_by_hand(line, image_price, list_amounts):
    assert price(line, oracle(image_price, sample_sheet()))["list"] == list_amounts


@pytest.mark.parametrize(
    ("line", "image_price", "reason"),
    [
        ("org_1 ftg-3.0-pro in=1 at=2026-10-31T23:59:59.999999999Z", None, "no_sheet_at_time"),
        ("org_1 ghost in=1", None, "no_price_for_model"),
        ("org_1 image:generate", "model-input", "no_price_for_model"),
        ("org_1 image:generate", None, "no_price_for_operation"),
        ("org_1 image:bend", "13.2", "no_price_for_operation"),
        ("org_1 image:generate model=ftg-embed", "model-input", "no_price_for_meter"),
        ("org_1 ftg-3.0-pro reasoning=1", None, "no_price_for_meter"),
        ("org_1 ftg-3.0-mini in=1 cached=1 priority=never", None, "no_price_for_meter"),
        ("org_1 ftg-3.0-mini in=1 seconds=1", None, "no_price_for_meter"),
        ("org_1 ftg-embed in=1 seconds=1", None, "no_price_for_meter"),
        ("org_1 ftg-embed-preview in=1", None, "no_price_for_meter"),
        ("org_1 terminal gpu_seconds=0.1", None, "no_price_for_meter"),
        ("org_1 ftg-3.0-pro in=1 priority=never", None, "no_multiplier_for_priority"),
        ("org_1 ftg-3.0-euro in=1", None, "no_rate_at_time"),
        ("org_1 ftg-3.0-pro in=1 at=2026-11-21T00:00:00Z", None, "no_rate_at_time"),
    ],
)
def test_what_is_missing_parks_for_the_first_reason(line, image_price, reason):
    assert price(line, oracle(image_price, sample_sheet())) == Parked(reason)


def test_a_tier_that_the_default_sheet_does_not_know_parks():
    book = Oracle([Sheet("aitronos", "1", START, source_sheet())], [RATE], {"org_1": STANDARD})
    orphan = {"tiers": [{"tier": "gone", "from": START}]}
    assert isinstance(price("org_1 ftg-3.0-pro in=1", book), dict)
    other = Oracle([Sheet("aitronos", "1", START, source_sheet())], [RATE], {"org_1": orphan})
    assert price("org_1 ftg-3.0-pro in=1", other) == Parked("unknown_tier")


def test_an_account_may_be_required():
    assert price("org_9 ftg-3.0-pro in=1", oracle())["tier"] is None
    required = oracle(settings=Settings(require_account=True))
    assert price("org_9 ftg-3.0-pro in=1", required) == Parked("account_required")


def test_an_event_that_is_not_billable_is_adjusted_to_zero():
    data = price("org_1 ftg-3.0-pro in=1000 billable=no not_billable_because=failover_retry")
    assert data["adjustments"] == [{"kind": "not_billable", "meter": "input", "currency": "CHF", "amount": "-0.02376"}]
    assert (data["net"], data["due"], data["lines"][0]["due"]) == ({"CHF": "0.02376"}, {"CHF": "0"}, "0")
    assert data["converted"]["USD"] == {"list": "0.02965776", "net": "0.026691984", "due": "0"}


def test_of_sheets_with_equal_dates_the_later_published_counts():
    sheets = [Sheet("aitronos", version, START, source_sheet()) for version in ("a", "b")]
    assert price("org_1 ftg-3.0-pro in=1", Oracle(sheets, [RATE]))["sheet"]["version"] == "b"


def test_a_provider_may_have_its_own_sheet():
    sheets = [Sheet("aitronos", "1", START, source_sheet()), Sheet("second", "2", START, source_sheet())]
    book = Oracle(sheets, [RATE], settings=Settings({"*": "aitronos", "acme": "second"}))
    assert price("org_1 ftg-3.0-pro in=1 provider=acme", book)["sheet"]["id"] == "second"
    assert price("org_1 ftg-3.0-pro in=1 provider=other", book)["sheet"]["id"] == "aitronos"


def test_the_source_document_has_its_numbers_exactly():
    document = json.loads(source_sheet(), parse_float=str)
    assert document["terminal"][3]["unit_rate_usd"] == "0.00000000012"
    assert document["models"][0]["pricing"]["input_price_per_1m_synapses"] == "13.2"


# --- small parts


def test_the_oracle_shares_no_code_with_the_worker():
    folder = Path(__file__).parents[1]
    sources = [path.read_text() for pattern in ("oracle*.py", "usage*.py") for path in folder.glob(pattern)]
    assert len(sources) > 9
    assert not any(re.search(r"^\s*(from|import) (pricing|streams)\b", text, re.MULTILINE) for text in sources)


@pytest.mark.parametrize(
    ("text", "hash_"),  # org.apache.kafka.common.utils.UtilsTest.testMurmur2
    [
        ("21", -973932308),
        ("foobar", -790332482),
        ("a-little-bit-long-string", -985981536),
        ("a-little-bit-longer-string", -1486304829),
        ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        ("abc", 479470107),
    ],
)
def test_murmur2_is_kafkas(text, hash_):
    assert murmur2(text.encode()) == hash_ & 0xFFFFFFFF


def test_decimal_strings_are_plain():
    numbers = [
        Fraction(0),
        Fraction(-1, 8),
        Fraction(10**15),
        Fraction(12, 10**11),
        Fraction(-100),
        Fraction(11, 10),
    ]
    texts = ["0", "-0.125", "1000000000000000", "0.00000000012", "-100", "1.1"]
    assert [plain(number) for number in numbers] == texts
    assert all(DECIMAL.fullmatch(text) for text in texts)
    assert not any(DECIMAL.fullmatch(text) for text in ("0.0", "-0", "1.10", "+1", "1e5", "01", ".5", "5.", "", "1.0"))


def test_times_are_instants_to_the_nanosecond():
    assert read_time("2026-11-22T10:00:00Z") == NOW_MS * 10**6
    assert read_time("2026-11-22T12:00:00.000000001+02:00") == NOW_MS * 10**6 + 1
    assert read_time("1969-12-31T23:59:59.5Z") == -5 * 10**8
    assert read_time("2026-11-22 10:00:00Z") is None


# --- verdicts

HOSTILE = hostile_rows(usage("org_1 ftg-3.0-pro in=5"))


@pytest.mark.parametrize("row", HOSTILE, ids=[row.name for row in HOSTILE])
def test_hostile_input_is_rejected_for_the_reasons_in_the_table(row):
    verdict = oracle().judge(Record("usage.raw.v1", 0, 0, NOW_MS, b"org_1", row.value, row.headers))
    assert isinstance(verdict, Rejected)
    assert verdict.reasons & row.reasons
    assert verdict.reasons <= row.reasons | {"not_json", "not_a_cloudevent", "invalid_field"}


@pytest.mark.parametrize(
    ("ahead_ms", "verdict"),
    [
        (5 * 60_000, None),
        (5 * 60_000 + 1, "from_the_future"),
        (-35 * 86_400_000, None),
        (-35 * 86_400_000 - 1, "too_late"),
    ],
)
def test_the_append_time_bounds_the_usage_time(ahead_ms, verdict):
    answer = oracle().judge(record(usage("org_1 ftg-3.0-pro in=5"), append_ms=NOW_MS - ahead_ms))
    assert (answer.reasons if isinstance(answer, Rejected) else None) == (verdict and frozenset({verdict}))


def test_the_three_modes_say_the_same():
    event = usage("org_1 terminal egress_bytes=5.5")
    respelled = json.loads(json.dumps(event))
    respelled["data"]["dimensions"]["egress_bytes"] = Literal("55e-1")
    respelled["time"] = "2026-11-22T12:00:00.000+02:00"
    encoded = [encode(event), encode(event, ()), encode_binary(event), encode(respelled)]
    verdicts = [oracle().judge(Record("t", 0, 0, NOW_MS, None, *one)) for one in encoded]
    assert len({verdict.content for verdict in verdicts}) == 1
    assert verdicts[0].identity == ("org_1", "gateway/eu-1", event["id"])


def test_quantities_at_their_bounds_are_accepted():
    event = usage("org_1 code cpu=1000000000000000 mb=0 wall=0.123456789012345678")
    event["data"]["memory_mb"] = Literal("1E-18")
    data = oracle().judge(record(event)).data
    assert (data["cpu_seconds"], data["memory_mb"]) == (10**15, Fraction(1, 10**18))


# --- the ledger


def test_the_ledger_tells_duplicates_and_conflicts_from_new_events():
    first, other = usage("org_1 ftg-3.0-pro in=5 id=a"), usage("org_1 ftg-3.0-pro in=6 id=a")
    ledger = Ledger(oracle())
    outcomes = ledger.take_all(record(event, offset) for offset, event in enumerate([first, first, other]))
    assert [outcome.kind for outcome in outcomes] == ["priced", "duplicate", "rejected"]
    assert outcomes[2].reasons == {"id_reused_with_other_content"}


def test_the_ledger_prices_parked_events_when_a_book_cures_them():
    ledger = Ledger(oracle(rates=()))
    assert ledger.take(record(usage("org_1 ftg-3.0-pro in=5"))).reasons == {"no_rate_at_time"}
    assert ledger.totals() == {}
    assert [outcome.kind for outcome in ledger.publish(oracle())] == ["priced"]
    assert len(ledger.totals()) == 6


def test_totals_are_sums_by_window_and_item():
    ledger = Ledger(oracle())
    lines = ["in=1000 out=1", "in=500 billable=no at=2026-11-22T10:59:59.9Z", "in=1 at=2026-11-23T00:00:00Z"]
    now = NOW_MS + 86_400_000
    ledger.take_all(record(usage(f"org_1 ftg-3.0-pro {line}"), n, now) for n, line in enumerate(lines))
    hour = ledger.totals()["org_1/p1/hour/2026-11-22T10:00:00Z/ftg-3.0-pro"]
    # list: 1500 input × 2 × 13.2 ÷ 10^6 + 1 output × 2 × 66 ÷ 10^6
    assert hour == {
        "organization": "org_1",
        "project": "p1",
        "window": "hour",
        "start": "2026-11-22T10:00:00Z",
        "end": "2026-11-22T11:00:00Z",
        "item": "ftg-3.0-pro",
        "events": 2,
        "not_billable_events": 1,
        "tokens": "1501",
        "synapses": "3002",
        "neurons": "0",
        "quantities": {"input": "1500", "output": "1"},
        "list": {"CHF": "0.039732"},
        "net": {"CHF": "0.0357588"},
        "due": {"CHF": "0.0238788"},
        "provider_cost": {},
        "converted": {"USD": {"list": "0.0446349288", "net": "0.04017143592", "due": "0.02682544392"}},
    }
    assert ledger.totals()["org_1/p1/month/2026-11-01T00:00:00Z"]["events"] == 3
    assert ledger.totals()["org_1/p1/month/2026-11-01T00:00:00Z"]["end"] == "2026-12-01T00:00:00Z"


# --- the account: a perfect worker passes it, each flaw of its output fails it


@cache
def perfect_run(seed: int, n: int = 150) -> tuple[Found, list[Oracle]]:
    """The outputs of a worker that does as the ledger says, with the books cured after the last record."""
    books = [sample_oracle(NOW_MS), sample_oracle(NOW_MS, cured=True)]
    raw = as_records(stream(seed, n))
    ledger = Ledger(books[0])
    before = dict(zip([one.origin for one in raw], ledger.take_all(raw), strict=True))
    ledger.publish(books[1])
    return Writer(raw, before, ledger).found(), books


class Writer:
    """Writes the output topics of a run."""

    def __init__(self, raw, before, ledger):
        self.raw, self.before, self.ledger = raw, before, ledger
        self.topics = {name: [] for name in ("priced", "parked", "rejected", "totals")}
        self.offsets: dict = {}

    def found(self) -> Found:
        late = []
        for one in self.raw:
            outcome = self.before[one.origin]
            if outcome.kind == "priced":
                self.price(one, outcome, None)
            elif outcome.kind in ("parked", "rejected"):
                offset = self.letter(one, outcome)
                late += [(one, offset)] if outcome.kind == "parked" else []
        for one, offset in late:
            outcome = self.ledger.outcomes[one.origin]
            if outcome.kind == "priced":
                self.price(one, outcome, next(iter(self.before[one.origin].reasons)))
                headers = (("stream-pricing-released", str(offset).encode()),)
                home = partition_of(outcome.event.organization, 4)
                self.write("parked", home, outcome.event.organization.encode(), b"{}", headers)
        for key, value in self.ledger.totals().items():
            value = value | {"revision": 1, "as_of": "2026-11-22T10:00:09Z"}
            home = partition_of(value["organization"], 4)
            self.write("totals", home, key.encode(), json.dumps(value).encode(), ())
        return Found(self.raw, **self.topics)

    def write(self, topic, partition, key, value, headers, at_ms=NOW_MS) -> int:
        offset = self.offsets[topic, partition] = self.offsets.get((topic, partition), -2) + 2
        self.topics[topic].append(Record(topic, partition, offset, at_ms, key, value, headers))
        return offset

    def price(self, one, outcome, reason):
        event = outcome.event
        origin = dict(zip(("topic", "partition", "offset"), one.origin, strict=True))
        data = outcome.data | {"origin": origin, "priced_at": "2026-11-22T10:00:09Z"}
        data |= {"parked": {"reason": reason, "since": "2026-11-22T10:00:01Z"}} if reason else {}
        seconds, ns = divmod(event.at_ns, 10**9)
        days, second = divmod(seconds, 86_400)
        day = date.fromordinal(719_163 + days)
        clock = f"{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}.{ns:09d}"
        envelope = {
            "specversion": "1.0",
            "type": "ai.usage.priced.v1",
            "source": "/stream-pricing/stream-pricing",
        }
        envelope |= {
            "id": f"{event.fingerprint}-0",
            "time": f"{day}T{clock}Z",
            "subject": event.data["project"],
        }
        headers = [("content-type", b"application/cloudevents+json")]
        headers += [pair for pair in one.headers if pair[0].startswith("trace")]
        value = json.dumps(envelope | {"data": data}).encode()
        home = partition_of(event.organization, 4)
        self.write("priced", home, event.organization.encode(), value, tuple(headers))

    def letter(self, one, outcome) -> int:
        parked = outcome.kind == "parked"
        ours = {"reason": sorted(outcome.reasons)[0], "detail": "why", "at": "2026-11-22T10:00:01Z"}
        ours |= dict(zip(("topic", "partition", "offset"), one.origin, strict=True))
        kept = [pair for pair in one.headers if not pair[0].startswith("stream-pricing-")]
        if sum(len(name) + len(value) for name, value in kept) > 16 * 1024:
            ours, kept = ours | {"headers-left-out": len(kept)}, []
        value = one.value or b""
        if len(value) > 65_536:
            ours |= {"length": len(value), "sha256": sha256(value).hexdigest()}
        headers = kept + [(f"stream-pricing-{name}", str(text).encode()) for name, text in ours.items()]
        if parked and one.key is not None:
            headers.append(("stream-pricing-key", one.key))
        key = outcome.event.organization.encode() if parked else one.key
        home = partition_of(outcome.event.organization, 4) if parked else one.partition
        short = one.value and one.value[:65_536]
        return self.write(outcome.kind, home, key, short, tuple(headers), one.timestamp_ms)


@pytest.mark.parametrize("seed", range(8))
def test_a_perfect_worker_passes_the_account(seed):
    found, books = perfect_run(seed)
    assert account(found, books) == []


def changed(found: Found, topic: str, change) -> Found:
    return Found(**{**vars(found), topic: change(list(getattr(found, topic)))})


def edit(index: int, change):
    def apply(records: list[Record]) -> list[Record]:
        value = json.loads(records[index].value)
        change(value)
        one = vars(records[index]) | {"value": json.dumps(value).encode()}
        return [*records[:index], Record(**one), *records[index + 1 :]]

    return apply


FLAWS = {
    "a priced event is lost": ("priced", lambda records: records[1:]),
    "a priced event is doubled": ("priced", lambda records: [*records, records[0]]),
    "a parked event is lost": ("parked", lambda records: records[1:]),
    "a release is lost": ("parked", lambda records: records[:-1]),
    "a rejected record is lost": ("rejected", lambda records: records[1:]),
    "a rejected record is doubled": ("rejected", lambda records: [*records, records[0]]),
    "a total is lost": ("totals", lambda records: records[1:]),
    "a total is off by one event": ("totals", edit(0, lambda v: v.update(events=v["events"] + 1))),
    "a total is of float": ("totals", edit(0, lambda v: v.update(synapses=float(v["synapses"])))),
    "a revision is skipped": ("totals", edit(0, lambda v: v.update(revision=2))),
    "an amount is a trifle off": ("priced", edit(0, lambda v: v["data"]["list"].update(CHF="0.1"))),
    "an amount has a trailing zero": (
        "priced",
        edit(0, lambda v: v["data"].update(synapses=v["data"]["synapses"] + ".0")),
    ),
    "an id is another": ("priced", edit(0, lambda v: v.update(id=v["id"][:-1] + "1"))),
    "a time is cut": ("priced", edit(0, lambda v: v.update(time="2026-11-22T10:00:00Z"))),
    "a line is missing": ("priced", edit(0, lambda v: v["data"]["lines"].pop())),
    "an event is on the wrong partition": (
        "priced",
        lambda records: [Record(**vars(records[0]) | {"partition": 3 - records[0].partition}), *records[1:]],
    ),
    "two priced events are swapped": (
        "priced",
        lambda records: [Record(**vars(one) | {"offset": 10**6 - one.offset}) for one in records],
    ),
    "a parked record has other headers": (
        "parked",
        lambda records: [
            Record(**vars(records[0]) | {"headers": (*records[0].headers, ("x", b"y"))}),
            *records[1:],
        ],
    ),
    "a raw record was not read": (
        "raw",
        lambda records: [*records, as_records(stream(99, 1, hostile=False), "other")[0]],
    ),
}


@pytest.mark.parametrize("name", FLAWS)
def test_the_account_finds_a_flaw(name):
    found, books = perfect_run(3)
    topic, change = FLAWS[name]
    assert account(changed(found, topic, change), books) != []


def test_a_worker_that_stops_half_way_fails_the_account():
    found, books = perfect_run(2)
    assert account(Found(found.raw, [], [], [], []), books) != []


def test_differences_name_their_place():
    assert differences({"list": {"CHF": "1"}}, {"list": {"CHF": "1", "USD": "0"}}) != []
    assert differences({"a": "1"}, {"a": "1", "further": 5}) == []
    assert differences({"a": ["1"]}, {"a": ["2"]}) == ["data.a[0] is '2', expected '1'"]


def test_a_stream_is_the_same_for_the_same_seed_and_holds_everything():
    assert stream(1, 50) == stream(1, 50) != stream(2, 50)
    ledger = Ledger(sample_oracle(NOW_MS))
    outcomes = ledger.take_all(as_records(stream(4, 3000)))
    assert {outcome.kind for outcome in outcomes} == {"priced", "duplicate", "parked", "rejected"}
    reasons = {reason for outcome in outcomes if outcome.kind == "parked" for reason in outcome.reasons}
    assert reasons == {
        "no_sheet_at_time",
        "no_price_for_model",
        "no_price_for_operation",
        "no_price_for_meter",
        "no_multiplier_for_priority",
        "no_rate_at_time",
        "unknown_tier",
    }
