"""The wire forms of what the worker writes: priced events and totals as JSON bytes, and totals back.

A priced event is mostly constants: everything that its terms decide is prepared once as text, and an event only fills
in quantities and amounts. Strings are escaped unless the event has proved that they need not be.
"""

from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache
from typing import Any, Protocol

import msgspec
import orjson
from msgspec import UNSET

from pricing.events import ConnectorToolUsage, ImageUsage, ModelUsage
from pricing.exchange import FxRate
from pricing.money import ZERO, number, plain
from pricing.pipeline import Priced, Terms
from pricing.rating import Rate
from pricing.times import format_time, parse_time
from pricing.totals import Sums, Total, TotalKey, window_end

_ECHOED = ("provider", "region", "user", "api_key_id", "service_tier", "not_billable_because")
_TEMPLATES_MAX = 20_000


class Origin(Protocol):
    """Which raw record an event came in: a raw record is its own origin."""

    topic: str
    partition: int
    offset: int


@lru_cache(16384)
def escaped(text: str) -> str:
    """`text` as a JSON string."""
    return orjson.dumps(text).decode()


def bare(text: str) -> str:
    """`text`, known to need no escapes, as a JSON string."""
    return f'"{text}"'


class PricedWriter:
    """Writes priced events; keeps the constant text of rates and terms, as long as they are few."""

    def __init__(self, app: str, report_currencies: tuple[str, ...]) -> None:
        self._source = escaped(f"/stream-pricing/{app}")
        self._report_currencies = [escaped(currency) for currency in report_currencies]
        self._lines: dict[Rate, str] = {}
        self._terms: dict[Terms, str] = {}
        self._fx: dict[int, tuple[FxRate, str]] = {}

    def event(self, priced: Priced, fingerprint: bytes, origin: Origin, priced_at: str, parked: str = "") -> bytes:
        """The CloudEvent of section 4 of the contract. `parked` is the JSON member of an event that was parked."""
        event = priced.event
        data = self._members(priced)
        return (
            f'{{"specversion":"1.0","id":"{fingerprint.hex()}-0","source":{self._source},"type":"ai.usage.priced.v1",'
            f'"time":"{event.time}","subject":"{event.data.project}","datacontenttype":"application/json","data":{{{data}'
            f'"revision":0,{parked}"origin":{{"topic":{escaped(origin.topic)},"partition":{origin.partition},'
            f'"offset":{origin.offset}}},"priced_at":"{priced_at}"}}}}'
        ).encode()

    def data(self, priced: Priced) -> bytes:
        """The `data` of a priced event that has no origin: what `stream-pricing price` prints."""
        return f'{{{self._members(priced)}"revision":0}}'.encode()

    def _members(self, priced: Priced) -> str:
        event = priced.event
        data = event.data
        quote = bare if event.plain else escaped
        constant = self._terms.get(priced.terms) or self._remember_terms(priced.terms)
        lines, adjustments = self._written_lines(priced)
        lists = _amounts(priced.lists)
        nets = _amounts(priced.nets)
        dues = nets if priced.billable else _amounts(dict.fromkeys(priced.nets, ZERO))
        converted = []
        for currency, (list_amount, net) in zip(self._report_currencies, priced.converted, strict=True):
            net_text = plain(net)
            due_text = net_text if priced.billable else "0"
            converted.append(f'{currency}:{{"list":"{plain(list_amount)}","net":"{net_text}","due":"{due_text}"}}')
        return (
            f'"event":{{"source":{quote(event.source)},"id":{quote(event.id)},"type":"{event.type}"}},'
            f'"organization":"{data.organization}","project":"{data.project}",{_echoed(data, quote)}'
            f'{_given(priced, quote)}"item":{escaped(priced.item)},{constant}"lines":[{lines}],'
            f'"adjustments":[{adjustments}],"synapses":"{plain(priced.synapses)}","neurons":"{plain(priced.neurons)}",'
            f'"list":{{{lists}}},"net":{{{nets}}},"due":{{{dues}}},"converted":{{{",".join(converted)}}},'
            f'"fx":[{",".join([self._fx_member(rate) for rate in priced.fx])}],'
            f'"billable":{"true" if priced.billable else "false"},'
        )

    def _written_lines(self, priced: Priced) -> tuple[str, str]:
        lines = []
        adjustments = []
        templates = self._lines
        for rate, quantity, consumed, list_amount, net_amount in priced.lines:
            template = templates.get(rate) or self._remember_rate(rate)
            net = plain(net_amount)
            due = net
            if not priced.billable:
                due = "0"
                if net_amount:
                    adjustments.append(
                        f'{{"kind":"not_billable","meter":{escaped(rate.meter)},"currency":"{rate.currency}",'
                        f'"amount":"-{net}"}}'
                    )
            shown = "" if consumed is None else plain(consumed)
            lines.append(template % (plain(quantity), shown, plain(list_amount), net, due))
        return ",".join(lines), ",".join(adjustments)

    def _remember_rate(self, rate: Rate) -> str:
        def text(value: str) -> str:
            return escaped(value).replace("%", "%%")

        consumed = f'"consumed":"%s","consumed_unit":"{rate.consumed_unit}",' if rate.consumed_unit else "%s"
        template = (
            f'{{"meter":{text(rate.meter)},"quantity":"%s","unit":{text(rate.unit)},{consumed}'
            f'"price":"{plain(rate.price)}","per":"{rate.per}","currency":"{rate.currency}",'
            '"list":"%s","net":"%s","due":"%s"}'
        )
        return _remember(self._lines, rate, template)

    def _remember_terms(self, terms: Terms) -> str:
        sheet = f'"sheet":{{"id":{escaped(terms.sheet.id)},"version":{escaped(terms.sheet.version)}}},'
        if terms.tier is None:
            return _remember(self._terms, terms, f'{sheet}"tier":null,')
        percentage = plain(terms.tier.discount_percentage)
        tier = f'"tier":{{"id":{escaped(terms.tier.id)},"discount_percentage":"{percentage}"}},'
        return _remember(self._terms, terms, sheet + tier)

    def _fx_member(self, rate: FxRate) -> str:
        found = self._fx.get(id(rate))
        if found is None:
            text = f'{{"pair":"{rate.pair}","rate":"{plain(rate.rate)}","from":"{format_time(rate.from_ns)}"}}'
            found = self._fx[id(rate)] = (
                rate,
                text,
            )  # the rate is kept with its text, so that its id stays its own
        return found[1]


def _remember(texts: dict[Any, str], key: Any, text: str) -> str:
    if len(texts) >= _TEMPLATES_MAX:
        texts.clear()
    texts[key] = text
    return text


def _amounts(amounts: dict[str, Decimal]) -> str:
    return ",".join([f'"{currency}":"{plain(amount)}"' for currency, amount in amounts.items()])


def _echoed(data: Any, quote: Callable[[str], str]) -> str:
    """The members of the event that appear on the priced one as given."""
    parts = []
    for name in _ECHOED:
        if (text := getattr(data, name)) is not UNSET:
            parts.append(f'"{name}":{quote(text)},')
    if data.labels is not UNSET:
        parts.append(f'"labels":{msgspec.json.encode(data.labels).decode()},')
    if data.provider_cost is not UNSET:
        cost = data.provider_cost
        parts.append(f'"provider_cost":{{"amount":"{plain(cost.amount)}","currency":"{cost.currency}"}},')
    return "".join(parts)


def _given(priced: Priced, quote: Callable[[str], str]) -> str:
    """What was used, in the event's own words: model and priority, operation, connector and tool."""
    data = priced.event.data
    kind = type(data)
    if kind is ModelUsage:
        return _model(data.model, priced.terms.rates.model, quote) + _priority(data, quote)
    if kind is ImageUsage:
        model = "" if data.model is UNSET else _model(data.model, priced.terms.rates.model, quote)
        return f'"operation":{quote(data.operation)},{model}{_priority(data, quote)}'
    if kind is ConnectorToolUsage:
        return f'"connector":{quote(data.connector)},"tool":{quote(data.tool)},'
    return ""


def _model(given: str, key: str | None, quote: Callable[[str], str]) -> str:
    if key is None or key == given:
        return f'"model":{quote(given)},'
    return f'"model":{escaped(key)},"model_given":{quote(given)},'


def _priority(data: Any, quote: Callable[[str], str]) -> str:
    return '"priority":"default",' if data.priority is UNSET else f'"priority":{quote(data.priority)},'


# --- totals


def total_key(key: TotalKey) -> str:
    """`organization/project/window/start[/item]`; only an item may contain a slash."""
    text = f"{key.organization}/{key.project}/{key.window}/{format_time(key.start)}"
    return text if key.item is None else f"{text}/{key.item}"


def write_total(key: TotalKey, total: Total) -> bytes:
    """The record of section 5 of the contract."""
    sums = total.sums
    item = "" if key.item is None else f'"item":{escaped(key.item)},'
    quantities = ",".join([f'{escaped(meter)}:"{plain(amount)}"' for meter, amount in sums.quantities.items()])
    converted = ",".join(
        [
            f'"{currency}":{{"list":"{plain(list_amount)}","net":"{plain(net)}","due":"{plain(due)}"}}'
            for currency, (list_amount, net, due) in sums.converted.items()
        ]
    )
    return (
        f'{{"organization":"{key.organization}","project":"{key.project}","window":"{key.window}",'
        f'"start":"{format_time(key.start)}","end":"{format_time(window_end(key.window, key.start))}",{item}'
        f'"events":{sums.events},"not_billable_events":{sums.not_billable_events},"tokens":"{sums.tokens}",'
        f'"synapses":"{plain(sums.synapses)}","neurons":"{plain(sums.neurons)}","quantities":{{{quantities}}},'
        f'"list":{{{_amounts(sums.list)}}},"net":{{{_amounts(sums.net)}}},"due":{{{_amounts(sums.due)}}},'
        f'"converted":{{{converted}}},"provider_cost":{{{_amounts(sums.provider_cost)}}},'
        f'"revision":{total.revision},"as_of":"{format_time(total.as_of)}"}}'
    ).encode()


def read_total(value: bytes) -> tuple[TotalKey, Total]:
    """What `write_total` has written, for a worker that takes it over."""
    found = orjson.loads(value)
    key = TotalKey(
        found["organization"],
        found["project"],
        found["window"],
        parse_time(found["start"]),
        found.get("item"),
    )
    sums = Sums(
        events=found["events"],
        not_billable_events=found["not_billable_events"],
        tokens=int(found["tokens"]),
        synapses=_decimal(found["synapses"]),
        neurons=_decimal(found["neurons"]),
        quantities=_decimals(found["quantities"]),
        list=_decimals(found["list"]),
        net=_decimals(found["net"]),
        due=_decimals(found["due"]),
        converted={
            currency: (_decimal(amounts["list"]), _decimal(amounts["net"]), _decimal(amounts["due"]))
            for currency, amounts in found["converted"].items()
        },
        provider_cost=_decimals(found["provider_cost"]),
    )
    return key, Total(sums, found["revision"], parse_time(found["as_of"]))


def _decimal(text: str) -> Decimal:
    return number(text, before=400, after=400)


def _decimals(texts: dict[str, str]) -> dict[str, Decimal]:
    return {name: _decimal(text) for name, text in texts.items()}
