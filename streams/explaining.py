"""How an amount came about, as text for people: every factor of every line, then the sums and the conversion.

Only words are made here. The amounts are those on the priced event itself; a factor is looked up on the same sheet.
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import orjson

from pricing.events import CodeExecutionUsage, ConnectorToolUsage, ImageUsage, ModelUsage, ResponseUsage
from pricing.money import plain
from pricing.rating import find_model, priority_of
from pricing.sheets import Sheet

Factor = tuple[Decimal | None, str]


def explain(usage: Any, sheet: Sheet, written: bytes) -> str:
    """A paragraph about a priced event: the usage as it was read, the sheet, and the `data` of the priced event."""
    data = orjson.loads(written)
    return "\n".join(
        [*_head(data), *_response(usage), "", *_lines(usage, sheet, data), "", *_sums(data), *_conversions(data)]
    )


def _head(data: Mapping[str, Any]) -> Iterator[str]:
    event, sheet, tier = data["event"], data["sheet"], data["tier"]
    yield f"event {event['id']} from {event['source']}, {event['type']}"
    discount = f"{tier['id']}: − {tier['discount_percentage']} %" if tier else "list prices"
    place = f"{data['organization']} / {data['project']}"
    yield f"  {place}, item {data['item']}, sheet {sheet['id']} {sheet['version']}, {discount}"


def _response(usage: Any) -> Iterator[str]:
    """What a response says of itself, which is not on the priced event."""
    if type(usage) is ResponseUsage:
        used = usage.response
        said = {"served tier": used.service_tier, "region": used.region}
        counts = [f"{count} {kind}" for kind, count in (*used.tokens.items(), *used.units.items())]
        parts = [f"surface {usage.surface}", *(f"{name} {text}" for name, text in said.items() if text), *counts]
        yield f"  {', '.join(parts)}"


def _lines(usage: Any, sheet: Sheet, data: Mapping[str, Any]) -> Iterator[str]:
    """quantity × factors = consumed; × price / per = list; − discount = net."""
    width = max((len(line["meter"]) for line in data["lines"]), default=0)
    for line in data["lines"]:
        if share := _free_share(usage, sheet, line):
            yield f"  {'':{width}}  {share}"
        text = f"  {line['meter']:{width}}  {_amount(line['quantity'], line['unit'])}"
        if "consumed" in line:
            factors = [f"{plain(value)} ({name})" for value, name in _factors(usage, sheet, line) if value is not None]
            text += f" × {' × '.join(factors)} = {_amount(line['consumed'], line['consumed_unit'])}"
        per = "" if line["per"] == "1" else f" / {int(line['per']):,}"
        currency = line["currency"]
        text += f"; × {line['price']} {currency}{per} = {line['list']} {currency}"
        if data["tier"]:
            text += f"; − {data['tier']['discount_percentage']} % = {line['net']} {currency}"
        if "cost" in line:
            text += f"; costs {line['cost']} {line['cost_currency']}"
        yield text
    if not data["lines"]:
        yield "  nothing was used"
    for found in data["adjustments"]:
        yield f"  {found['meter']:{width}}  {found['kind']}: {found['amount']} {found['currency']}"


def _amount(quantity: str, unit: str) -> str:
    unit = "MB-second" if unit == "mb_second" else unit.removeprefix("per ")
    return f"{quantity} {unit}" + ("" if quantity == "1" or " " in unit else "s")


def _factors(usage: Any, sheet: Sheet, line: Mapping[str, Any]) -> list[Factor]:
    """What a unit of the line's quantity consumes is the product of these."""
    kind = type(usage)
    if kind is ModelUsage or kind is ResponseUsage:
        return _model_factors(usage, sheet, line["meter"])
    if kind is ImageUsage:
        return [(sheet.image_operations.get(usage.operation), usage.operation), _priority(usage, sheet)]
    if kind is ConnectorToolUsage:
        return [(sheet.connector_tools.multiplier if sheet.connector_tools else None, "per execution")]
    section = sheet.code_execution
    assert kind is CodeExecutionUsage and section is not None
    factors = {
        "code_execution.base": (section.base, "per execution"),
        "code_execution.cpu": (section.cpu_per_second, "per second"),
        "code_execution.memory": (section.memory_per_mb_second, "per MB-second"),
    }
    return [factors[line["meter"]]]


def _model_factors(usage: Any, sheet: Sheet, meter: str) -> list[Factor]:
    model = find_model(sheet, usage.model, usage.provider)
    assert model is not None
    if model.category == "neuron":
        return [(model.neurons_per_token, "per token")]
    if meter == "seconds":
        return [(model.synapses_per_second, "per second"), _priority(usage, sheet)]
    return [(sheet.base_multiplier, "base"), _priority(usage, sheet)]


def _priority(usage: Any, sheet: Sheet) -> Factor:
    name = priority_of(usage)
    return sheet.priorities.get(name), f"priority {name}"


def _free_share(usage: Any, sheet: Sheet, line: Mapping[str, Any]) -> str:
    """How the quantity of a code execution's line comes about."""
    section = sheet.code_execution
    if section is None or section.cpu_free_seconds is None or section.memory_free_mb is None:
        return ""
    if line["meter"] == "code_execution.cpu":
        return f"{plain(usage.cpu_seconds)} s − {plain(section.cpu_free_seconds)} s free = {line['quantity']} s"
    if line["meter"] == "code_execution.memory":
        beyond = f"({plain(usage.memory_mb)} MB − {plain(section.memory_free_mb)} MB free)"
        return f"{beyond} × {plain(usage.wall_seconds)} s = {_amount(line['quantity'], 'mb_second')}"
    return ""


def _sums(data: Mapping[str, Any]) -> Iterator[str]:
    for name in ("synapses", "neurons"):
        if data[name] != "0":
            yield f"  {name:8}  {data[name]}"
    for name in ("list", "net", "due", "cost", "margin"):
        amounts = [f"{amount} {currency}" for currency, amount in data.get(name, {}).items()]
        if amounts:
            yield f"  {name:8}  {', '.join(amounts)}"


def _conversions(data: Mapping[str, Any]) -> Iterator[str]:
    """How the sums read in each reporting currency, term by term."""
    for report, amounts in data["converted"].items():
        if all(data[name].keys() <= {report} for name in amounts):
            continue  # the sums themselves
        width = max(map(len, amounts))
        rates = {found["pair"][:3]: found["rate"] for found in data["fx"] if found["pair"][4:] == report}
        for name in amounts:
            heading = f"in {report}" if name == "list" else ""
            terms = [
                f"{amount} {currency}" + (f" × {rates[currency]}" if currency in rates else "")
                for currency, amount in data[name].items()
            ]
            yield f"  {heading:8}  {name:{width}}  {' + '.join(terms) or '0'} = {amounts[name]} {report}"
