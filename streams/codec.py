"""The wire forms of what the worker writes: priced events and totals as JSON bytes, and totals back.

A priced event is mostly constants: everything that its terms decide is prepared once as text, and an event only fills
in what `pricing.pipeline` has computed, which comes as text.
"""

from typing import Any, Protocol

import msgspec
import orjson
from msgspec import UNSET

from pricing.documents import json_text
from pricing.events import ConnectorToolUsage, ImageUsage, ModelUsage, ResponseUsage, UnitsUsage, Usage
from pricing.money import plain
from pricing.pipeline import Priced
from pricing.terms import Terms

_CONSTANT = (ModelUsage, ImageUsage)  # most events are of these, and name the same models again and again
_json = msgspec.json.Encoder().encode
_TEXTS_MAX = 64


class Origin(Protocol):
    """Which raw record an event came in: a raw record is its own origin."""

    topic: str
    partition: int
    offset: int


def _quoted(text: str) -> str:
    """`text` as a JSON string, for texts that rarely come twice."""
    return f'"{text}"' if text.isalnum() else orjson.dumps(text).decode()


class PricedWriter:
    """Writes priced events; what is constant of them is kept with their terms."""

    def __init__(self, app: str) -> None:
        self._source = json_text(f"/stream-pricing/{app}")

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
        event, terms, item = priced.event, priced.terms, priced.item
        data = event.data
        if type(data) in _CONSTANT:
            key = (data.model, data.priority)
            constant = terms.texts.get(key) or _remember(terms, key, _used(data, item, terms) + _priced_by(terms))
        else:
            constant = _used(data, item, terms)
            constant += terms.texts.get(None) or _remember(terms, None, _priced_by(terms))
        return (
            f'"event":{{"source":{json_text(event.source)},"id":{_quoted(event.id)},"type":"{event.type}"}},{event.echo},'
            f"{_labels_and_cost(data)}{constant}{priced.amounts}"
        )


def _used(data: Any, item: str, terms: Terms) -> str:
    return f'{_given(data, terms.rates.model)}"item":{json_text(item)},'


def _priced_by(terms: Terms) -> str:
    sheet = f'"sheet":{{"id":{json_text(terms.sheet.id)},"version":{json_text(terms.sheet.version)}}},'
    if terms.tier is None:
        return f'{sheet}"tier":null,'
    percentage = plain(terms.tier.discount_percentage)
    return f'{sheet}"tier":{{"id":{json_text(terms.tier.id)},"discount_percentage":"{percentage}"}},'


def _remember(terms: Terms, key: Any, text: str) -> str:
    if len(terms.texts) >= _TEXTS_MAX:  # a model has names without end
        terms.texts.clear()
    terms.texts[key] = text
    return text


def _labels_and_cost(data: Usage) -> str:
    text = "" if data.labels is UNSET else f'"labels":{_json(data.labels).decode()},'
    if data.provider_cost is not UNSET:
        cost = data.provider_cost
        text += f'"provider_cost":{{"amount":"{plain(cost.amount)}","currency":"{cost.currency}"}},'
    return text


def _given(data: Any, key: str | None) -> str:
    """What was used, in the event's own words: model, priority, operation, connector, surface; `key` is a model's."""
    kind = type(data)
    if kind is ModelUsage:
        return _model(data.model, key) + _priority(data)
    if kind is ImageUsage:
        model = "" if data.model is UNSET else _model(data.model, key)
        return f'"operation":{json_text(data.operation)},{model}{_priority(data)}'
    if kind is ConnectorToolUsage:
        return f'"connector":{json_text(data.connector)},"tool":{json_text(data.tool)},'
    if kind is ResponseUsage:
        return f'"surface":{json_text(data.surface)},{_model(data.model, key)}'
    if kind is UnitsUsage:
        return f'"endpoint":{json_text(data.endpoint)},'
    return ""


def _model(given: str, key: str | None) -> str:
    if key is None or key == given:
        return f'"model":{json_text(given)},'
    return f'"model":{json_text(key)},"model_given":{json_text(given)},'


def _priority(data: Any) -> str:
    return '"priority":"default",' if data.priority is UNSET else f'"priority":{json_text(data.priority)},'
