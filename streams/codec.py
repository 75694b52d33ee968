"""The wire forms of what the worker writes: priced events and totals as JSON bytes, and totals back.

A priced event is mostly constants: everything that its terms decide is prepared once as text, and an event only fills
in quantities and amounts. Lines come with their text from `pricing.pipeline`.
"""

from decimal import Decimal
from typing import Any, Protocol, TypeVar

import msgspec
import orjson
from msgspec import UNSET

from pricing.documents import json_text
from pricing.events import ConnectorToolUsage, ImageUsage, ModelUsage, Usage
from pricing.exchange import FxRate
from pricing.money import ZERO, plain
from pricing.pipeline import Line, Priced, Terms
from pricing.times import format_time

_CONSTANT = (ModelUsage, ImageUsage)  # what these give is the same for all events of the same terms
_json = msgspec.json.Encoder().encode
_TEMPLATES_MAX = 20_000
T = TypeVar("T")


class Origin(Protocol):
    """Which raw record an event came in: a raw record is its own origin."""

    topic: str
    partition: int
    offset: int


def _quoted(text: str) -> str:
    """`text` as a JSON string, for texts that rarely come twice."""
    return f'"{text}"' if text.isalnum() else orjson.dumps(text).decode()


class PricedWriter:
    """Writes priced events; keeps the constant text of rates and terms, as long as they are few."""

    def __init__(self, app: str, report_currencies: tuple[str, ...]) -> None:
        self._source = json_text(f"/stream-pricing/{app}")
        self._report_currencies = report_currencies
        self._terms: dict[Terms, str] = {}
        self._fx: dict[int, tuple[FxRate, str]] = {}

    def event(self, priced: Priced, fingerprint: bytes, origin: Origin, priced_at: str, parked: str = "") -> bytes:
        """The CloudEvent of section 4 of the contract. `parked` is the JSON member of an event that was parked."""
        event = priced.event
        return (
            f'{{"specversion":"1.0","id":"{fingerprint.hex()}-0","source":{self._source},"type":"ai.usage.priced.v1",'
            f'"time":"{event.time}","subject":"{event.data.project}","datacontenttype":"application/json","data":{{'
            f'{self._members(priced)}"revision":0,{parked}"origin":{{"topic":{json_text(origin.topic)},'
            f'"partition":{origin.partition},"offset":{origin.offset}}},"priced_at":"{priced_at}"}}}}'
        ).encode()

    def data(self, priced: Priced) -> bytes:
        """The `data` of a priced event that has no origin: what `stream-pricing price` prints."""
        return f'{{{self._members(priced)}"revision":0}}'.encode()

    def _members(self, priced: Priced) -> str:
        event, terms, item, lines, consumed, lists, nets, converted, fx, billable = priced
        data = event.data
        constant = self._terms.get(terms) or self._remember_terms(priced)
        if type(data) not in _CONSTANT:
            constant = f'{_given(data, None)}"item":{json_text(item)},{constant}'
        synapses, neurons = ("0", plain(consumed)) if terms.rates.is_in_neurons else (plain(consumed), "0")
        net_text = _amounts(nets)
        due_text = net_text if billable else _amounts(dict.fromkeys(nets, ZERO))
        return (
            f'"event":{{"source":{json_text(event.source)},"id":{_quoted(event.id)},"type":"{event.type}"}},{event.echo},'
            f'{_labels_and_cost(data)}{constant}"lines":[{",".join([line[4] for line in lines])}],'
            f'"adjustments":[{"" if billable else _adjustments(lines)}],"synapses":"{synapses}","neurons":"{neurons}",'
            f'"list":{{{_amounts(lists)}}},"net":{{{net_text}}},"due":{{{due_text}}},'
            f'"converted":{{{self._converted(converted, billable)}}},"fx":[{self._fx_members(fx) if fx else ""}],'
            f'"billable":{"true" if billable else "false"},'
        )

    def _converted(self, converted: list[tuple[Decimal, Decimal]], billable: bool) -> str:
        members = []
        for currency, (list_amount, net_amount) in zip(self._report_currencies, converted, strict=True):
            net = plain(net_amount)
            due = net if billable else "0"
            members.append(f'"{currency}":{{"list":"{plain(list_amount)}","net":"{net}","due":"{due}"}}')
        return ",".join(members)

    def _remember_terms(self, priced: Priced) -> str:
        terms, data = priced.terms, priced.event.data
        given = f'{_given(data, terms.rates.model)}"item":{json_text(priced.item)},' if type(data) in _CONSTANT else ""
        return _remember(self._terms, terms, given + _sheet_and_tier(terms))

    def _fx_members(self, rates: list[FxRate]) -> str:
        members = []
        for rate in rates:
            found = self._fx.get(id(rate))
            if found is None:
                text = f'{{"pair":"{rate.pair}","rate":"{plain(rate.rate)}","from":"{format_time(rate.from_ns)}"}}'
                # The rate is kept with its text, so that its id stays its own.
                found = self._fx[id(rate)] = (rate, text)
            members.append(found[1])
        return ",".join(members)


def _sheet_and_tier(terms: Terms) -> str:
    sheet = f'"sheet":{{"id":{json_text(terms.sheet.id)},"version":{json_text(terms.sheet.version)}}},'
    if terms.tier is None:
        return f'{sheet}"tier":null,'
    percentage = plain(terms.tier.discount_percentage)
    return f'{sheet}"tier":{{"id":{json_text(terms.tier.id)},"discount_percentage":"{percentage}"}},'


def _adjustments(lines: list[Line]) -> str:
    """What brings the amount due of an event that is not billed to 0."""
    return ",".join(
        f'{{"kind":"not_billable","meter":{json_text(rate.meter)},"currency":"{rate.currency}","amount":"-{plain(net)}"}}'
        for rate, _, _, net, _ in lines
        if net
    )


def _remember(texts: dict[Any, T], key: Any, text: T) -> T:
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
        return f'"operation":{json_text(data.operation)},{model}{_priority(data)}'
    if kind is ConnectorToolUsage:
        return f'"connector":{json_text(data.connector)},"tool":{json_text(data.tool)},'
    return ""


def _model(given: str, key: str | None) -> str:
    if key is None or key == given:
        return f'"model":{json_text(given)},'
    return f'"model":{json_text(key)},"model_given":{json_text(given)},'


def _priority(data: Any) -> str:
    return '"priority":"default",' if data.priority is UNSET else f'"priority":{json_text(data.priority)},'
