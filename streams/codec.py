"""The wire forms of what the worker writes: priced events and totals as JSON bytes, and totals back.

A priced event is mostly constants: everything that its terms decide is prepared once as text, and an event only fills
in quantities and amounts. Strings are escaped unless the event has proved that they need not be.
"""

from decimal import Decimal
from functools import lru_cache
from typing import Any, Protocol

import msgspec
import orjson
from msgspec import UNSET

from pricing.events import ConnectorToolUsage, ImageUsage, ModelUsage, Usage
from pricing.exchange import FxRate
from pricing.money import ZERO, plain
from pricing.pipeline import Line, Priced, Terms
from pricing.rating import Rate
from pricing.times import format_time

_CONSUMED = {False: '"synapses":"%s","neurons":"0",', True: '"synapses":"0","neurons":"%s",'}
_json = msgspec.json.Encoder().encode
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


def _quoted(text: str) -> str:
    """`text` as a JSON string, for texts that rarely come twice."""
    return f'"{text}"' if text.isalnum() else orjson.dumps(text).decode()


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
        return (
            f'{{"specversion":"1.0","id":"{fingerprint.hex()}-0","source":{self._source},"type":"ai.usage.priced.v1",'
            f'"time":"{event.time}","subject":"{event.data.project}","datacontenttype":"application/json","data":{{'
            f'{self._members(priced)}"revision":0,{parked}"origin":{{"topic":{escaped(origin.topic)},'
            f'"partition":{origin.partition},"offset":{origin.offset}}},"priced_at":"{priced_at}"}}}}'
        ).encode()

    def data(self, priced: Priced) -> bytes:
        """The `data` of a priced event that has no origin: what `stream-pricing price` prints."""
        return f'{{{self._members(priced)}"revision":0}}'.encode()

    def _members(self, priced: Priced) -> str:
        event, terms, item, lines, consumed, lists, nets, converted, fx, billable = priced
        data = event.data
        constant = self._terms.get(terms) or self._remember_terms(terms)
        net_text = _amounts(nets)
        if billable:
            lines_text = ",".join([line.text or self._write_line(line) for line in lines])
            adjustments, due_text = "", net_text
        else:
            lines_text = ",".join([self._line_text(line, "0") for line in lines])
            adjustments, due_text = _adjustments(lines), _amounts(dict.fromkeys(nets, ZERO))
        return (
            f'"event":{{"source":{_quoted(event.source)},"id":{_quoted(event.id)},"type":"{event.type}"}},{event.echo},'
            f'{_labels_and_cost(data)}{_given(data, terms.rates.model)}"item":{escaped(item)},{constant}'
            f'"lines":[{lines_text}],"adjustments":[{adjustments}],'
            f"{_CONSUMED[terms.rates.is_in_neurons] % plain(consumed)}"
            f'"list":{{{_amounts(lists)}}},"net":{{{net_text}}},"due":{{{due_text}}},'
            f'"converted":{{{self._converted(converted, billable)}}},"fx":[{self._fx_members(fx) if fx else ""}],'
            f'"billable":{"true" if billable else "false"},'
        )

    def _converted(self, converted: list[tuple[Decimal, Decimal]], billable: bool) -> str:
        members = []
        for currency, (list_amount, net_amount) in zip(self._report_currencies, converted, strict=True):
            net = plain(net_amount)
            due = net if billable else "0"
            members.append(f'{currency}:{{"list":"{plain(list_amount)}","net":"{net}","due":"{due}"}}')
        return ",".join(members)

    def _write_line(self, line: Line) -> str:
        """The line of an event that is billed; `price` hands out the same line again for the same quantity."""
        line.text = text = self._line_text(line, plain(line.net))
        return text

    def _line_text(self, line: Line, due: str) -> str:
        template = self._lines.get(line.rate) or self._remember_rate(line.rate)
        consumed = "" if line.consumed is None else plain(line.consumed)
        return template % (plain(line.quantity), consumed, plain(line.list), plain(line.net), due)

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

    def _fx_members(self, rates: list[FxRate]) -> str:
        members = []
        for rate in rates:
            found = self._fx.get(id(rate))
            if found is None:
                text = f'{{"pair":"{rate.pair}","rate":"{plain(rate.rate)}","from":"{format_time(rate.from_ns)}"}}'
                found = self._fx[id(rate)] = (
                    rate,
                    text,
                )  # the rate is kept with its text, so that its id stays its own
            members.append(found[1])
        return ",".join(members)


def _adjustments(lines: list[Line]) -> str:
    """What brings the amount due of an event that is not billed to 0."""
    return ",".join(
        f'{{"kind":"not_billable","meter":{escaped(line.rate.meter)},"currency":"{line.rate.currency}",'
        f'"amount":"-{plain(line.net)}"}}'
        for line in lines
        if line.net
    )


def _remember(texts: dict[Any, str], key: Any, text: str) -> str:
    if len(texts) >= _TEMPLATES_MAX:
        texts.clear()
    texts[key] = text
    return text


def _amounts(amounts: dict[str, Decimal]) -> str:
    return ",".join([f'"{currency}":"{plain(amount)}"' for currency, amount in amounts.items()])


def _labels_and_cost(data: Usage) -> str:
    text = "" if data.labels is UNSET else f'"labels":{_json(data.labels).decode()},'
    if data.provider_cost is not UNSET:
        cost = data.provider_cost
        text += f'"provider_cost":{{"amount":"{plain(cost.amount)}","currency":"{cost.currency}"}},'
    return text


def _given(data: Any, key: str | None) -> str:
    """What was used, in the event's own words: model and priority, operation, connector and tool."""
    kind = type(data)
    if kind is ModelUsage:
        return _model(data.model, key) + _priority(data)
    if kind is ImageUsage:
        model = "" if data.model is UNSET else _model(data.model, key)
        return f'"operation":{escaped(data.operation)},{model}{_priority(data)}'
    if kind is ConnectorToolUsage:
        return f'"connector":{escaped(data.connector)},"tool":{escaped(data.tool)},'
    return ""


def _model(given: str, key: str | None) -> str:
    if key is None or key == given:
        return f'"model":{escaped(given)},'
    return f'"model":{escaped(key)},"model_given":{escaped(given)},'


def _priority(data: Any) -> str:
    return '"priority":"default",' if data.priority is UNSET else f'"priority":{escaped(data.priority)},'
