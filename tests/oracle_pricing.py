"""The oracle's second half: what an event costs by a sheet, a tier and rates (contract, sections 3 and 4).

Every amount is a `fractions.Fraction`; `plain` writes it as the contract's decimal string. `price` answers
with the reason why the event is parked, or with the `data` of the priced event that must come out, without
`origin`, `parked` and `priced_at`, which depend on the run.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Any

from tests import oracle_direct
from tests.oracle_reading import Event, read_time

MILLION = Fraction(10**6)
TOKEN_KINDS = ("input", "cache_read", "cache_creation", "output")
ECHOED = ("provider", "priority", "region", "user", "api_key_id", "service_tier", "labels")
ECHOED += ("not_billable_because", "operation", "connector", "tool", "surface", "endpoint")
PRECEDENCE = (
    "no_sheet_at_time",
    "no_price_for_model",
    "no_price_for_operation",
    "no_price_for_meter",
    "no_multiplier_for_priority",
    "no_rate_at_time",
    "unknown_tier",
    "account_required",
)


@dataclass(frozen=True)
class Sheet:
    """A published version of a price sheet; `document` is the foreign one: bytes, text or an exact dict.

    `direct` has what the sheet of our own format that is made from it gets beside: models, markup, dated snapshots.
    """

    id: str
    version: str
    effective_from: str
    document: bytes | str | Mapping[str, Any]
    image_price: str | None = None
    direct: bytes = b"{}"


@dataclass(frozen=True)
class Rate:
    """A published FX rate: 1 of the pair's first currency is `rate` of its second, from then on."""

    pair: str
    rate: str
    effective_from: str


@dataclass(frozen=True)
class Settings:
    """The worker's settings that decide an amount."""

    sheets: Mapping[str, str] = field(default_factory=lambda: {"*": "aitronos"})
    report_currencies: Sequence[str] = ("USD",)
    require_account: bool = False
    too_late_days: int = 35
    cost_sheets: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Parked:
    """The event cannot be priced by this book, and this is the reason to give."""

    reason: str


@dataclass(frozen=True)
class Line:
    """One line before money: terminal and direct lines are priced by `per` units and have no `consumed`."""

    meter: str
    quantity: Fraction
    unit: str | None
    price: Fraction
    currency: str
    consumed: Fraction | None = None
    consumed_unit: str | None = None
    per: int = 1

    @property
    def list(self) -> Fraction:
        return self.quantity * self.price / self.per if self.consumed is None else self.consumed * self.price / MILLION


Lines = tuple[list[Line], set[str]]
RESPONSE, UNITS = "ai.usage.response.v1", "ai.usage.units.v1"
DIRECT_TYPES = ("ai.usage.model.v1", RESPONSE, UNITS)


def plain(number: Fraction | int) -> str:
    """The contract's decimal string: no exponent, no +, no trailing zeros after the point, "0" for zero."""
    numerator, denominator = number.numerator, number.denominator
    twos = (denominator & -denominator).bit_length() - 1
    rest, fives = denominator >> twos, 0
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    assert rest == 1, f"{number} is no finite decimal"
    digits = max(twos, fives)
    if not digits:
        return str(numerator)
    text = str(abs(numerator) * 10**digits // denominator).rjust(digits + 1, "0")
    return ("-" if numerator < 0 else "") + text[:-digits] + "." + text[-digits:]


def read_document(document: bytes | str | Mapping[str, Any]) -> Any:
    """A sheet's document with every number a Fraction; floats in a ready-made dict are refused."""
    if isinstance(document, bytes | str):
        return json.loads(document, parse_float=Fraction, parse_int=Fraction)
    return _exact(document)


def _exact(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _exact(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_exact(part) for part in value]
    assert not isinstance(value, float), f"{value!r}: a float has lost what the document said"
    return Fraction(value) if isinstance(value, int | Decimal) and not isinstance(value, bool) else value


def in_force(dated: Iterable[tuple[str, Any]], at_ns: int) -> Any:
    """Of (from, what): the one with the greatest `from` ≤ `at_ns`, of equals the last; None without any."""
    best_from, best = None, None
    for start, what in dated:
        start_ns = read_time(start)
        assert start_ns is not None, start
        if start_ns <= at_ns and (best_from is None or start_ns >= best_from):
            best_from, best = start_ns, what
    return best


class Pricer:
    """Prices events by one state of the book."""

    def __init__(
        self, sheets: Sequence[Sheet], rates: Sequence[Rate], accounts: Mapping[str, Any], settings: Settings
    ) -> None:
        self.settings = settings
        self.accounts = accounts
        self._rates = rates
        first = {(sheet.id, sheet.version): sheet for sheet in reversed(sheets)}  # the first of a version counts
        self._sheets = [sheet for sheet in sheets if first[sheet.id, sheet.version] is sheet]
        self._documents = {
            id(sheet): read_document(sheet.document) | {"direct": {"models": [], **read_document(sheet.direct)}}
            for sheet in self._sheets
        }

    def price(self, event: Event) -> Parked | dict[str, Any]:
        """The expected `data` of the priced event (no origin, parked, priced_at), or why it is parked."""
        sheet = self._sheet(event.data.get("provider", "*"), event.at_ns)
        if sheet is None:
            return Parked("no_sheet_at_time")
        document = self._documents[id(sheet)]
        lines, reasons = self._lines(document, event, sheet.image_price)
        used = self._rates_used(lines, event.at_ns, reasons)
        tier = self._tier(event, reasons)
        if reasons:
            return Parked(min(reasons, key=PRECEDENCE.index))
        return (
            _echo(event, document)
            | {"sheet": {"id": sheet.id, "version": sheet.version}}
            | {"tier": tier and {"id": tier["id"], "discount_percentage": plain(tier["discount_percentage"])}}
            | self._amounts(lines, tier["discount_percentage"] if tier else Fraction(0), event, used)
        )

    def _lines(self, document: Mapping[str, Any], event: Event, image_price: str | None) -> Lines:
        model = find_model(document, event)
        if event.type in DIRECT_TYPES and model and "pricing" not in model:
            return _direct_lines(document["direct"], model, event)
        if event.type == RESPONSE:
            return _response_lines(document, model, event)
        return LINES_OF[event.type](document, event.data, image_price)

    def _sheet(self, provider: str, at_ns: int) -> Sheet | None:
        wanted = self.settings.sheets.get(provider, self.settings.sheets.get("*"))
        return in_force(((s.effective_from, s) for s in self._sheets if s.id == wanted), at_ns)

    def _tier(self, event: Event, reasons: set[str]) -> dict[str, Any] | None:
        account = self.accounts.get(event.organization, {"tiers": []})
        name = in_force(((entry["from"], entry["tier"]) for entry in account["tiers"]), event.at_ns)
        if name is None:
            reasons |= {"account_required"} if self.settings.require_account else set()
            return None
        default = self._sheet("*", event.at_ns)
        tiers = self._documents[id(default)]["pricing_tiers"] if default else []
        found = _find(tiers, "id", name)
        reasons |= set() if found else {"unknown_tier"}
        return found

    def _rates_used(self, lines: list[Line], at_ns: int, reasons: set[str]) -> dict[str, Rate]:
        charged = {line.currency for line in lines if line.list}
        used = {}
        for pair in sorted(f"{c}/{r}" for r in self.settings.report_currencies for c in charged if c != r):
            rate = in_force(((rate.effective_from, rate) for rate in self._rates if rate.pair == pair), at_ns)
            reasons |= set() if rate else {"no_rate_at_time"}
            used[pair] = rate
        return used

    def _amounts(
        self, lines: list[Line], percentage: Fraction, event: Event, used: Mapping[str, Rate]
    ) -> dict[str, Any]:
        billable = event.data.get("billable", True)
        priced = [(line, _money(line, percentage, billable)) for line in lines]
        sums = {name: _sum_by_currency(priced, name) for name in ("list", "net", "due")}
        return {
            "lines": [_line_data(line, money) for line, money in priced],
            "adjustments": [] if billable else _adjustments(priced),
            "synapses": plain(_consumed(lines, "synapse")),
            "neurons": plain(_consumed(lines, "neuron")),
            **{name: {c: plain(amount) for c, amount in sums[name].items()} for name in sums},
            "converted": {
                report: {name: plain(_convert(sums[name], report, used)) for name in sums}
                for report in self.settings.report_currencies
            },
            "fx": [
                {"pair": pair, "rate": plain(Fraction(rate.rate)), "from": rate.effective_from}
                for pair, rate in used.items()
            ],
            "billable": billable,
            "revision": 0,
        }


# --- amounts


def _money(line: Line, percentage: Fraction, billable: bool) -> dict[str, Fraction]:
    net = line.list * (1 - percentage / 100)
    return {"list": line.list, "net": net, "due": net if billable else Fraction(0)}


def _sum_by_currency(priced: list[tuple[Line, dict[str, Fraction]]], name: str) -> dict[str, Fraction]:
    total: dict[str, Fraction] = {}
    for line, money in priced:
        total[line.currency] = total.get(line.currency, Fraction(0)) + money[name]
    return total


def _convert(amounts: Mapping[str, Fraction], report: str, used: Mapping[str, Rate]) -> Fraction:
    rates = {currency: used.get(f"{currency}/{report}") for currency in amounts}
    factor = {c: Fraction(rate.rate) if rate else Fraction(c == report) for c, rate in rates.items()}
    return sum((amount * factor[c] for c, amount in amounts.items()), Fraction(0))


def _consumed(lines: list[Line], unit: str) -> Fraction:
    return sum((line.consumed for line in lines if line.consumed_unit == unit), Fraction(0))


def _adjustments(priced: list[tuple[Line, dict[str, Fraction]]]) -> list[dict[str, str]]:
    return [
        {
            "kind": "not_billable",
            "meter": line.meter,
            "currency": line.currency,
            "amount": plain(-money["net"]),
        }
        for line, money in priced
        if money["net"]
    ]


def _line_data(line: Line, money: Mapping[str, Fraction]) -> dict[str, str]:
    data = {"meter": line.meter, "quantity": plain(line.quantity), "price": plain(line.price)}
    data |= {"per": str(line.per) if line.consumed is None else "1000000", "currency": line.currency}
    data |= {} if line.unit is None else {"unit": line.unit}
    if line.consumed is not None:
        data |= {"consumed": plain(line.consumed), "consumed_unit": line.consumed_unit}
    return data | {name: plain(amount) for name, amount in money.items()}


def _echo(event: Event, document: Mapping[str, Any]) -> dict[str, Any]:
    data = event.data
    echo = {"event": {"source": event.source, "id": event.id, "type": event.type}}
    echo |= {"organization": data["organization"], "project": data["project"]}
    echo |= {name: data[name] for name in ECHOED if name in data}
    if "provider_cost" in data:
        cost = data["provider_cost"]
        echo["provider_cost"] = {"amount": plain(cost["amount"]), "currency": cost["currency"]}
    model, given = find_model(document, event), _model_name(event)
    if given is not None and event.type != UNITS:
        echo["model"] = model["key"] if model else given
        echo |= {"model_given": given} if echo["model"] != given else {}
    return echo | {"item": model["key"] if model else echo.get("model") or _item(event)}


def _item(event: Event) -> str:
    if event.type == "ai.usage.image.v1":
        return f"image.{event.data['operation']}"
    if event.type == "ai.usage.connector_tool.v1":
        return f"connector.{event.data['connector']}"
    return "terminal" if event.type == "ai.usage.terminal.v1" else "code_execution"


# --- the lines of each type: (lines of a quantity over 0, reasons to park)


def _find(entries: Iterable[Mapping[str, Any]], name: str, value: str) -> Any:
    return next((entry for entry in entries if entry[name] == value), None)


def _find_model(document: Mapping[str, Any], name: str | None, provider: str | None = None) -> Any:
    direct = document["direct"]
    models = [*document["models"], *direct["models"]]
    return name and oracle_direct.find_model(models, name, provider, bool(direct.get("dated_snapshots")))


def _model_name(event: Event) -> str | None:
    if event.type == RESPONSE:
        return event.data.get("model", event.used.model)
    return event.data.get("endpoint" if event.type == UNITS else "model")


def find_model(document: Mapping[str, Any], event: Event) -> Any:
    """The model that an event means on a sheet, None where there is none."""
    return _find_model(document, _model_name(event), event.data.get("provider"))


def _multiplier(document: Mapping[str, Any], data: Mapping[str, Any], reasons: set[str]) -> Fraction:
    found = document["conversion"]["priority_multipliers"].get(data.get("priority", "default"))
    reasons |= {"no_multiplier_for_priority"} if found is None else set()
    return Fraction(0) if found is None else found


def _model_quantities(data: Mapping[str, Any]) -> dict[str, tuple[Fraction, str]]:
    tokens = data.get("tokens", {})
    kinds = [kind for kind in TOKEN_KINDS if kind in tokens] + [k for k in tokens if k not in TOKEN_KINDS]
    quantities = {kind: (Fraction(tokens[kind]), "token") for kind in kinds if tokens[kind]}
    seconds = data.get("seconds")
    return quantities | ({"seconds": (seconds, "second")} if seconds else {})


def _model_lines(document: Mapping[str, Any], data: Mapping[str, Any], _image_price: str | None) -> Lines:
    return _indirect_lines(document, _find_model(document, data["model"], data.get("provider")), data)


def _indirect_lines(document: Mapping[str, Any], model: Any, data: Mapping[str, Any]) -> Lines:
    if model is None:
        return [], {"no_price_for_model"}
    of_unit = _neurons if model["pricing"]["category"] == "neuron" else _synapses
    return of_unit(document, model["pricing"], data)


def _response_lines(document: Mapping[str, Any], model: Any, event: Event) -> Lines:
    """By synapses or neurons: tokens by the kinds that have a price, at the default priority; no unit has one."""
    if model is None:
        return [], {"no_price_for_model"}
    pricing, used = model["pricing"], event.used
    is_neuron = pricing["category"] == "neuron"
    priced = [kind for kind in TOKEN_KINDS if is_neuron or _kind_price(pricing, kind) is not None]
    lines, reasons = _indirect_lines(document, model, {"tokens": oracle_direct.fold(used.tokens, priced)})
    return lines, reasons | ({"no_price_for_meter"} if any(used.units.values()) else set())


def _direct_lines(direct: Mapping[str, Any], model: Any, event: Event) -> Lines:
    """By the price list of the situation: tokens band by band, units, seconds; a request once, of units none."""
    data, tokens, units = event.data, event.data.get("tokens", {}), event.data.get("units", {})
    tier, region = data.get("service_tier"), data.get("region")
    if event.type == RESPONSE:
        used = event.used
        tokens, units, region = used.tokens, used.units, used.region or region
        says_nothing = used.tier in (None, "", "auto")  # what was asked for, not what was served
        tier = tier if says_nothing or (_is_standard(used.tier) and tier == "batch") else used.tier
    prices = oracle_direct.price_list(model, tier, region, tokens, event.at_ns)
    if prices is None:
        return [], {"no_price_for_model"}
    if event.type == RESPONSE:
        tokens = oracle_direct.fold(tokens, prices.get("prices", {}))
    if event.type != UNITS:
        units = dict(sorted({**units, **({"request": 1} if "request" in prices.get("units", {}) else {})}.items()))
    pieces = [*oracle_direct.token_pieces(prices, tokens), *oracle_direct.unit_pieces(prices, units)]
    pieces += oracle_direct.seconds_pieces(prices, data.get("seconds", Fraction(0)))
    factor = 1 + Fraction(direct.get("markup_percentage", 0)) / 100
    lines = [
        Line(meter, quantity, unit, price * factor, model["currency"], per=per)
        for meter, quantity, unit, price, per in filter(None, pieces)
        if quantity
    ]
    return lines, {"no_price_for_meter"} if None in pieces else set()


def _is_standard(tier: str) -> bool:
    return tier in oracle_direct.STANDARD


def _neurons(document: Mapping[str, Any], pricing: Mapping[str, Any], data: Mapping[str, Any]) -> Lines:
    price, per_token = document["conversion"]["neurons_price_per_1m_chf"], pricing["neurons_per_token"]
    lines, reasons = [], set()
    for meter, (quantity, unit) in _model_quantities(data).items():
        if per_token is None or price is None or meter not in TOKEN_KINDS:
            reasons.add("no_price_for_meter")
        else:
            lines.append(Line(meter, quantity, unit, price, "CHF", quantity * per_token, "neuron"))
    return lines, reasons


def _synapses(document: Mapping[str, Any], pricing: Mapping[str, Any], data: Mapping[str, Any]) -> Lines:
    lines, reasons = [], set()
    quantities = _model_quantities(data)
    multiplier = _multiplier(document, data, reasons) if quantities else Fraction(0)
    for meter, (quantity, unit) in quantities.items():
        in_seconds = meter == "seconds"
        each = pricing["consumption_synapses_per_second"] if in_seconds else document["conversion"]["base_multiplier"]
        price = _kind_price(pricing, "input" if in_seconds else meter)
        if each is None or price is None:
            reasons.add("no_price_for_meter")
        else:
            consumed = quantity * each * multiplier
            lines.append(Line(meter, quantity, unit, price, pricing["currency"], consumed, "synapse"))
    return lines, reasons


def _kind_price(pricing: Mapping[str, Any], kind: str) -> Fraction | None:
    return pricing.get(f"{kind}_price_per_1m_synapses") if kind in TOKEN_KINDS else None


def _image_lines(document: Mapping[str, Any], data: Mapping[str, Any], image_price: str | None) -> Lines:
    count, reasons = Fraction(data.get("count", 1)), set()
    if not count:
        return [], reasons
    operation = _find(document["image_operations"], "operation", data["operation"])
    weight = operation and operation["synapses"]
    reasons |= {"no_price_for_operation"} if weight is None or image_price is None else set()
    price, currency = _image_price(document, data, image_price, reasons)
    multiplier = _multiplier(document, data, reasons)
    if reasons:
        return [], reasons
    consumed = weight * count * multiplier
    return [Line(f"image.{data['operation']}", count, "image", price, currency, consumed, "synapse")], reasons


def _image_price(
    document: Mapping[str, Any], data: Mapping[str, Any], image_price: str | None, reasons: set[str]
) -> tuple[Fraction | None, str]:
    if image_price not in ("model-input", "model-output"):
        return (None if image_price is None else Fraction(image_price)), "CHF"
    model = _find_model(document, data.get("model"), data.get("provider"))
    if model is None:
        reasons.add("no_price_for_model")
        return None, "CHF"
    is_synapse = model.get("pricing", {}).get("category") == "synapse"
    price = _kind_price(model["pricing"], image_price.removeprefix("model-")) if is_synapse else None
    reasons |= {"no_price_for_meter"} if price is None else set()
    return price, model["pricing"]["currency"] if is_synapse else ""


def _code_execution_lines(document: Mapping[str, Any], data: Mapping[str, Any], _image_price: str | None) -> Lines:
    section = document["code_execution"]
    beyond_mb = max(Fraction(0), data["memory_mb"] - section["memory_free_mb"])
    seconds = max(Fraction(0), data["cpu_seconds"] - section["cpu_free_seconds"])
    meters = [
        ("base", Fraction(1), "execution", section["base_neuron_cost"]),
        ("cpu", seconds, "second", section["cpu_neuron_per_second"]),
        ("memory", beyond_mb * data["wall_seconds"], "mb_second", section["memory_neuron_per_mb_sec"]),
    ]
    price = section["neurons_price_per_1m_chf"]
    lines, reasons = [], set()
    for name, quantity, unit, each in meters:
        if quantity and (each is None or price is None):
            reasons.add("no_price_for_meter")
        elif quantity:
            meter = f"code_execution.{name}"
            lines.append(Line(meter, quantity, unit, price, "CHF", quantity * each, "neuron"))
    return lines, reasons


def _connector_lines(document: Mapping[str, Any], data: Mapping[str, Any], _image_price: str | None) -> Lines:
    section, quantity = document["connector_tools"], Fraction(data.get("executions", 1))
    price, each = section["neurons_price_per_1m_chf"], section["neuron_multiplier"]
    if quantity and (price is None or each is None):
        return [], {"no_price_for_meter"}
    line = Line("connector", quantity, "execution", price, "CHF", quantity * (each or 0), "neuron")
    return ([line] if quantity else []), set()


def _terminal_lines(document: Mapping[str, Any], data: Mapping[str, Any], _image_price: str | None) -> Lines:
    lines, reasons = [], set()
    for name, quantity in data["dimensions"].items():
        dimension = _find(document["terminal"], "dimension", name)
        if quantity and (dimension is None or dimension["unit_rate_usd"] is None):
            reasons.add("no_price_for_meter")
        elif quantity:
            lines.append(Line(f"terminal.{name}", quantity, None, dimension["unit_rate_usd"], "USD"))
    return lines, reasons


LINES_OF = {
    "ai.usage.model.v1": _model_lines,
    "ai.usage.image.v1": _image_lines,
    "ai.usage.code_execution.v1": _code_execution_lines,
    "ai.usage.connector_tool.v1": _connector_lines,
    "ai.usage.terminal.v1": _terminal_lines,
    UNITS: lambda document, data, image_price: ([], {"no_price_for_model"}),  # of no direct model
}
