"""From a sheet to rates: what one unit of a meter consumes and costs, compiled once so that pricing only multiplies.

A `Rate` is the whole formula of section 3 of the contract folded into exact factors per unit: a token of
`ftg-3.0-pro` input at priority high consumes 4 synapses and lists at 0.0000528 CHF. Every amount of a line is linear
in its quantity, which is also why totals can add quantities first and multiply once. A direct model has one set of
rates for each of its price lists.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple

from msgspec import UNSET

from pricing.cases import Cases
from pricing.errors import Unpriced
from pricing.events import (
    CodeExecutionUsage,
    ConnectorToolUsage,
    ImageUsage,
    ModelUsage,
    ResponseUsage,
    TerminalUsage,
    UnitsUsage,
)
from pricing.kinds import TOKEN_KINDS
from pricing.money import HUNDRED, MILLION, ZERO, as_count, plain, whole
from pricing.sheets import Band, Case, Model, Sheet

# Names of rates that no token kind can have: strings have no control characters. What follows is the meter.
SECONDS = "\x00seconds"
UNITS = "\x00units."
REQUEST = f"{UNITS}request"
ONE = whole(1)
PER_UNIT = "1"
PER_MILLION = plain(MILLION)


class Missing(Exception):
    """Something has no price yet; `reason` says what and `detail` names it."""

    def __init__(self, reason: Unpriced, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True, eq=False)
class Rate:
    """The price of one meter: `consumed` and `list` are per unit of quantity, `price` is as on the sheet, `per` units.

    Compared by identity, so that it can be a dictionary key at no cost.
    """

    meter: str
    unit: str
    consumed: int | Decimal | None
    consumed_unit: str | None
    price: Decimal
    per: str
    currency: str
    list: Decimal

    @property
    def is_of_tokens(self) -> bool:
        """Whether it prices a model's tokens, and not a unit or dimension that is called so."""
        return self.unit == "token" and self.per == PER_MILLION


class Rates(NamedTuple):
    """The rates of one item at one priority, by the name that quantities go by (a token kind, a dimension, …).

    `no_multiplier` tells that the priority has none; the rates are then there only to tell which meter lacks a price.
    Units consumed are all synapses or all neurons. Where they are not `is_ordered`, lines stand as the event has them.
    Those of a direct model have `cases`, `in_cases` in their order, and `bands` of the kinds that have some: the rates'
    names, each with the count beyond which it is the one.
    """

    by_name: Mapping[str, Rate]
    no_multiplier: bool = False
    model: str | None = None
    free_cpu_seconds: Decimal | None = None
    free_memory_mb: Decimal | None = None
    is_in_neurons: bool = False
    is_ordered: bool = True
    cases: Cases | None = None
    in_cases: "tuple[Rates, ...]" = ()
    bands: Mapping[str, tuple[tuple[str, int], ...]] = {}


def rates_for(sheet: Sheet, data: Any) -> Rates:
    """The rates for one kind of usage, or Missing (`no_price_for_model`, `no_price_for_operation`)."""
    rates: Rates = _RATES[type(data)](sheet, data)
    return rates


def find_model(sheet: Sheet, name: str, provider: object = None) -> Model | None:
    """The model that an event means, whose `provider` may be unset or None; never a guess."""
    return sheet.names.find(name, provider if isinstance(provider, str) else None)


def priority_of(data: Any) -> str:
    """The priority of usage; responses have none of their own."""
    return "default" if type(data) is ResponseUsage or data.priority is UNSET else data.priority


def _line_order(kind: str) -> tuple[int, str]:
    return (TOKEN_KINDS.index(kind) if kind in TOKEN_KINDS else len(TOKEN_KINDS), kind)


def _synapse_rate(meter: str, unit: str, synapses: Decimal, price: Decimal, currency: str) -> Rate:
    return Rate(meter, unit, as_count(synapses), "synapse", price, PER_MILLION, currency, synapses * price / MILLION)


def _neuron_rate(meter: str, unit: str, neurons: Decimal, price: Decimal, currency: str) -> Rate:
    return Rate(meter, unit, as_count(neurons), "neuron", price, PER_MILLION, currency, neurons * price / MILLION)


def _model_rates(sheet: Sheet, data: Any) -> Rates:
    model = find_model(sheet, data.model, data.provider)
    if model is None:
        raise Missing(Unpriced.NO_MODEL, f"model {data.model} on sheet {sheet.named}")
    return rates_of_model(sheet, model, priority_of(data))


def rates_of_model(sheet: Sheet, model: Model, priority: str) -> Rates:
    """The rates of a model's tokens, seconds and units; the priority is for synapses."""
    if model.category == "neuron":
        return _neuron_model_rates(sheet, model)
    if model.category == "direct":
        return _direct_rates(sheet, model)
    multiplier = sheet.priorities.get(priority)
    factor = ONE if multiplier is None else multiplier
    rates = {}
    if sheet.base_multiplier is not None:
        for kind in sorted(model.prices, key=_line_order):
            price = model.prices[kind]
            rates[kind] = _synapse_rate(kind, "token", sheet.base_multiplier * factor, price, model.currency)
    if model.synapses_per_second is not None and "input" in model.prices:
        price = model.prices["input"]
        rates[SECONDS] = _synapse_rate("seconds", "second", model.synapses_per_second * factor, price, model.currency)
    return Rates(rates, no_multiplier=multiplier is None, model=model.key)


def _neuron_model_rates(sheet: Sheet, model: Model) -> Rates:
    """The priority does not apply, seconds have no price, and there are no kinds of tokens beyond the four."""
    rates = {}
    if model.neurons_per_token is not None and sheet.neuron_price is not None:
        for kind in TOKEN_KINDS:
            rates[kind] = _neuron_rate(kind, "token", model.neurons_per_token, sheet.neuron_price, sheet.currency)
    return Rates(rates, model=model.key, is_in_neurons=True)


def _direct_rates(sheet: Sheet, model: Model) -> Rates:
    """Prices of tokens and units themselves, marked up; the priority is none of theirs and does not apply."""
    factor = (HUNDRED + (sheet.markup_percentage or ZERO)) / HUNDRED
    cases = Cases(model.cases)
    in_cases = tuple(_price_list(case, model, factor, cases) for case in model.cases)
    return _price_list(model, model, factor, cases)._replace(in_cases=in_cases)


def _units_rates(sheet: Sheet, data: UnitsUsage) -> Rates:
    """Those of a direct model's units alone; lines stand as the event has them."""
    model = find_model(sheet, data.endpoint, data.provider)
    if model is None or model.category != "direct":
        raise Missing(Unpriced.NO_MODEL, f"endpoint {data.endpoint} on sheet {sheet.named}")
    rates = _direct_rates(sheet, model)
    own, *in_cases = [
        each._replace(
            by_name={n: r for n, r in each.by_name.items() if n.startswith(UNITS)}, bands={}, is_ordered=False
        )
        for each in (rates, *rates.in_cases)
    ]
    return own._replace(in_cases=tuple(in_cases))


def _price_list(prices: Model | Case, model: Model, factor: Decimal, cases: Cases) -> Rates:
    def rate(meter: str, unit: str, per: Decimal, price: Decimal) -> Rate:
        marked_up = price * factor
        return Rate(meter, unit, None, None, marked_up, plain(per), model.currency, marked_up / per)

    rates = {}
    bands = {}
    for kind in sorted(prices.prices, key=_line_order):
        rates[kind] = rate(kind, "token", MILLION, prices.prices[kind])
        for band in prices.bands.get(kind, ()):
            rates[_band_name(kind, band)] = rate(kind, "token", MILLION, band.price)
        if kind in prices.bands:
            bands[kind] = tuple((_band_name(kind, band), band.above) for band in prices.bands[kind])
    for unit, price in sorted(prices.units.items()):
        rates[UNITS + unit] = rate(f"units.{unit}", unit, ONE, price)
    if "second" in prices.units:  # where the event has them as `seconds`
        rates[SECONDS] = rate("seconds", "second", ONE, prices.units["second"])
    return Rates(rates, model=model.key, cases=cases, bands=bands)


def _band_name(kind: str, band: Band) -> str:
    return f"{kind}\x00{band.above}"


def _image_rates(sheet: Sheet, data: ImageUsage) -> Rates:
    model = None if data.model is UNSET else find_model(sheet, data.model, data.provider)
    weight = sheet.image_operations.get(data.operation)
    if data.count == 0 and weight is not None:  # what was not used needs no price
        return Rates(
            {"count": _synapse_rate("", "image", ZERO, ZERO, sheet.currency)}, model=model.key if model else None
        )
    priced = _image_price(sheet, data, model)
    if weight is None:
        raise Missing(Unpriced.NO_OPERATION, f"operation {data.operation} on sheet {sheet.named}")
    if sheet.image_price is None:
        raise Missing(Unpriced.NO_OPERATION, f"no image price is set on sheet {sheet.named}")
    multiplier = sheet.priorities.get(priority_of(data))
    rates = {}
    if priced is not None:
        synapses = weight * (ONE if multiplier is None else multiplier)
        rates["count"] = _synapse_rate(f"image.{data.operation}", "image", synapses, *priced)
    return Rates(rates, no_multiplier=multiplier is None, model=model.key if model else None)


def _image_price(sheet: Sheet, data: ImageUsage, model: Model | None) -> tuple[Decimal, str] | None:
    """The price per 1M synapses and its currency; None: there is none. Missing: it is an unknown model's."""
    if not isinstance(sheet.image_price, str):
        return None if sheet.image_price is None else (sheet.image_price, sheet.currency)
    if model is None:
        name = "none" if data.model is UNSET else data.model
        raise Missing(Unpriced.NO_MODEL, f"{sheet.image_price} needs a model, the event's is {name}")
    kind = "input" if sheet.image_price == "model-input" else "output"
    price = model.prices.get(kind) if model.category == "synapse" else None
    return None if price is None else (price, model.currency)


def _code_execution_rates(sheet: Sheet, data: CodeExecutionUsage) -> Rates:
    section = sheet.code_execution
    rates: dict[str, Rate] = {}
    if section is None or section.neuron_price is None:
        return Rates(rates)
    for name, unit, neurons, free in (
        ("base", "execution", section.base, ZERO),
        ("cpu", "second", section.cpu_per_second, section.cpu_free_seconds),
        ("memory", "mb_second", section.memory_per_mb_second, section.memory_free_mb),
    ):
        if neurons is not None and free is not None:
            meter = f"code_execution.{name}"
            rates[name] = _neuron_rate(meter, unit, neurons, section.neuron_price, sheet.currency)
    return Rates(
        rates,
        free_cpu_seconds=section.cpu_free_seconds,
        free_memory_mb=section.memory_free_mb,
        is_in_neurons=True,
    )


def _connector_rates(sheet: Sheet, data: ConnectorToolUsage) -> Rates:
    section = sheet.connector_tools
    if section is None or section.multiplier is None or section.neuron_price is None:
        return Rates({})
    rate = _neuron_rate("connector", "execution", section.multiplier, section.neuron_price, sheet.currency)
    return Rates({"executions": rate}, is_in_neurons=True)


def _terminal_rates(sheet: Sheet, data: TerminalUsage) -> Rates:
    return Rates(
        {
            name: Rate(
                f"terminal.{name}",
                found.unit or name,
                None,
                None,
                found.price,
                PER_UNIT,
                found.currency,
                found.price,
            )
            for name, found in sheet.terminal.items()
        },
        is_ordered=False,
    )


_RATES: Mapping[type, Any] = {
    ModelUsage: _model_rates,
    ImageUsage: _image_rates,
    CodeExecutionUsage: _code_execution_rates,
    ConnectorToolUsage: _connector_rates,
    TerminalUsage: _terminal_rates,
    UnitsUsage: _units_rates,
    ResponseUsage: _model_rates,
}
