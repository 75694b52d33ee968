"""The amounts of one event under its terms, as the JSON text of the priced event: lines, sums, conversion.

Text, since the numbers are at hand where they are computed, and every event comes through here: what this module saves,
the worker saves. Nothing is rounded; a price that is missing is never zero.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from pricing.book import Policy
from pricing.costs import Cost, margin_of
from pricing.documents import json_text
from pricing.errors import Unpriced
from pricing.money import ZERO, plain
from pricing.rating import SECONDS, Missing
from pricing.terms import Entry, Terms

Sum = tuple[str, Decimal, Decimal]  # what lines list at and cost net, in one currency


def amounts_text(
    quantities: Mapping[str, Any], terms: Terms, is_billable: bool, policy: Policy, cost: Cost | None
) -> str:
    """A line for every quantity above 0, in the order of the sheet, and what follows from the lines.

    Missing where one has no rate. The loop that every event goes through: what it saves, the worker saves.
    """
    rates = terms.rates
    entries = terms.entries if rates.is_ordered else _in_order_of(quantities, terms.entries)
    find = quantities.get
    lines = []
    known = 0
    consumed: int | Decimal = 0
    list_sum = ZERO
    for name, units_each, list_price, net_price, start, unit, price_text in entries:
        quantity = find(name)
        if not quantity:
            known += quantity is not None
            continue
        known += 1
        list_amount = list_price * quantity
        list_sum += list_amount
        net_text = plain(net_price * quantity)
        due_text = net_text if is_billable else "0"
        units: Any = ""
        if units_each is not None:
            units = units_each * quantity
            consumed += units
        if type(units) is not int:  # an int prints as it should, and then so does the quantity
            units, quantity = units if units == "" else plain(units), plain(quantity)
        lines.append(
            f'{start}{quantity}{unit}{units}{price_text}{plain(list_amount)}","net":"{net_text}","due":"{due_text}"}}'
        )
    if known != len(quantities):
        refuse_unpriced(quantities, terms)
    if not lines:
        sums: list[Sum] = []
    elif terms.currency is not None:
        sums = [(terms.currency, list_sum, list_sum * terms.factor)]
    else:
        sums = _sums_by_currency(quantities, terms)
    margin = ""
    if cost is not None:
        lines = _with_costs(lines, quantities, entries, cost)
        margin = _margin_text(sums, is_billable, cost)
    adjustments = "" if is_billable else _adjustments(quantities, entries, terms)
    synapses, neurons = ("0", plain(consumed)) if rates.is_in_neurons else (plain(consumed), "0")
    return (
        f'"lines":[{",".join(lines)}],"adjustments":[{adjustments}],"synapses":"{synapses}","neurons":"{neurons}",'
        f"{_sums_text(sums, is_billable)}{margin}{_converted(sums, terms, policy, is_billable, cost)}"
    )


def _in_order_of(quantities: Mapping[str, Any], entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
    by_name = {entry[0]: entry for entry in entries}
    return tuple(by_name[name] for name in quantities if name in by_name)


def _sums_by_currency(quantities: Mapping[str, Any], terms: Terms) -> list[Sum]:
    """The sums of lines that have several currencies, in the order of the lines."""
    lists: dict[str, Decimal] = {}
    for name, quantity in quantities.items():
        if quantity:
            rate = terms.rates.by_name[name]
            lists[rate.currency] = lists.get(rate.currency, ZERO) + rate.list * quantity
    return [(currency, amount, amount * terms.factor) for currency, amount in lists.items()]


def _adjustments(quantities: Mapping[str, Any], entries: tuple[Entry, ...], terms: Terms) -> str:
    """What brings the amount due of an event that is not billed to 0."""
    found = [(terms.rates.by_name[name], net * (quantities.get(name) or 0)) for name, _, _, net, *_ in entries]
    return ",".join(
        f'{{"kind":"not_billable","meter":{json_text(rate.meter)},"currency":"{rate.currency}","amount":"-{plain(net)}"}}'
        for rate, net in found
        if net
    )


def _sums_text(sums: list[Sum], is_billable: bool) -> str:
    lists = nets = dues = comma = ""
    for currency, amount, net in sums:
        net_text = plain(net)
        lists += f'{comma}"{currency}":"{plain(amount)}"'
        nets += f'{comma}"{currency}":"{net_text}"'
        dues += f'{comma}"{currency}":"{net_text if is_billable else "0"}"'
        comma = ","
    return f'"list":{{{lists}}},"net":{{{nets}}},"due":{{{dues}}},'


def _with_costs(lines: list[str], quantities: Mapping[str, Any], entries: tuple[Entry, ...], cost: Cost) -> list[str]:
    """The lines, which are those of the entries above 0, with the cost of each that has one."""
    found = []
    names = [entry[0] for entry in entries if quantities.get(entry[0])]
    for line, name in zip(lines, names, strict=True):
        if name in cost.by_line:
            amount, currency = cost.by_line[name]
            line = f'{line[:-1]},"cost":"{plain(amount)}","cost_currency":"{currency}"}}'
        found.append(line)
    return found


def _margin_text(sums: list[Sum], is_billable: bool, cost: Cost) -> str:
    """Cost and margin by currency, and the sheet that the costs are of."""
    dues = {currency: net if is_billable else ZERO for currency, _, net in sums}
    costs, margins = _by_currency(cost.by_currency), _by_currency(margin_of(dues, cost.by_currency))
    sheet = cost.terms.sheet
    named = f'{{"id":{json_text(sheet.id)},"version":{json_text(sheet.version)}}}'
    return f'"cost":{costs},"margin":{margins},"cost_sheet":{named},'


def _by_currency(amounts: Mapping[str, Decimal]) -> str:
    members = ",".join([f'"{currency}":"{plain(amount)}"' for currency, amount in amounts.items()])
    return f"{{{members}}}"


def _converted(sums: list[Sum], terms: Terms, policy: Policy, is_billable: bool, cost: Cost | None) -> str:
    """Lists and nets in the reporting currencies, with the rates used. Missing where there is none."""
    members = comma = ""
    for index, report in enumerate(policy.report_currencies):
        list_sum = net_sum = ZERO
        for currency, amount, net in sums:
            if amount:  # an amount of 0 needs no rate
                rate = terms.conversions[currency][index].rate
                if rate is None:
                    raise Missing(Unpriced.NO_RATE, f"{currency}/{report}")
                list_sum += amount * rate
                net_sum += net * rate
        net_text = plain(net_sum)
        due_text = net_text if is_billable else "0"
        margin = "" if cost is None else _converted_margin(cost.converted[index], net_sum if is_billable else ZERO)
        members += f'{comma}"{report}":{{"list":"{plain(list_sum)}","net":"{net_text}","due":"{due_text}"{margin}}}'
        comma = ","
    used = [terms.fx[currency] for currency, amount, _ in sums if amount and terms.fx[currency]]
    if cost is not None:
        found = [cost.terms.fx[currency] for currency, amount in cost.by_currency.items() if amount]
        used += [fx for fx in found if fx and fx not in used]
    fx = ",".join(used)
    billable = "true" if is_billable else "false"
    return f'"converted":{{{members}}},"fx":[{fx}],"billable":{billable},'


def _converted_margin(cost: Decimal, due: Decimal) -> str:
    return f',"cost":"{plain(cost)}","margin":"{plain(due - cost)}"'


def refuse_unpriced(quantities: Mapping[str, Any], terms: Terms) -> None:
    """Missing for the first quantity above 0 that has no rate."""
    for name, quantity in quantities.items():
        if quantity and name not in terms.rates.by_name:
            meter = name.removeprefix(SECONDS[0])
            raise Missing(Unpriced.NO_METER, f"{meter} on sheet {terms.sheet.named}")
