"""`sheets diff` and `sheets estimate`: what changed between two sheets, and what a known quantity costs."""

from decimal import Decimal
from typing import Any

import click

from pricing.estimates import estimate, total_of
from pricing.importers import IMPORTERS, OWN_FORMAT
from pricing.money import number, plain
from pricing.rating import Missing
from pricing.sheet_diff import (
    PERCENT_DIGITS,
    Comparison,
    Difference,
    called_as,
    compare,
    diff_sheets,
    is_relief,
    of_provider,
)
from pricing.sheets import Sheet
from streams.cli.common import Command, counted, fail, print_rows, printable, with_settings
from streams.cli.finding import ALWAYS, any_sheet, refuse_unknown
from streams.cli.publishing import QUANTITY, json_option
from streams.settings import Settings

_NAMES_MAX = 10


@click.command("diff", cls=Command)
@click.argument("old", metavar="OLD")
@click.argument("new", metavar="NEW")
@click.option(
    "--format",
    "forms",
    type=click.Choice([*IMPORTERS, OWN_FORMAT]),
    multiple=True,
    help="The documents' format [told from each]; twice: of OLD, then of NEW.",
)
@click.option(
    "--provider",
    "providers",
    metavar="NAME",
    multiple=True,
    help="Only this provider's models, by their names; twice: as OLD calls it, then as NEW does.",
)
@click.option("--prices", "only_prices", is_flag=True, help="Only prices that both have.")
@json_option
@with_settings
def compare_sheets(settings: Settings, /, old: str, new: str, only_prices: bool, json: bool, **how: Any) -> None:
    """Show which models differ between two sheets, and by how much.

    Each is a file or a URL, in any format, or a published ID or ID@VERSION. Models of two formats or providers are the
    same where they share a name. Without --json a model that only one has is not listed price by price.
    """
    forms, providers = _one_for_each("format", how["forms"]), _one_for_each("provider", how["providers"])
    before, after = _unnamed(any_sheet(settings, old, forms[0]), any_sheet(settings, new, forms[1]))
    is_one_source = (before.source and before.source.format) == (after.source and after.source.format)
    if providers[0] is not None and providers[1] is not None:
        if providers[0] == providers[1]:
            refuse_unknown(providers[0], f"{old} and {new}", [before, after])
        else:
            refuse_unknown(providers[0], old, [before])
            refuse_unknown(providers[1], new, [after])
        before, after, is_one_source = of_provider(before, providers[0]), of_provider(after, providers[1]), False
    if not is_one_source:
        after = called_as(after, before)
    found = compare(before, after)
    if only_prices:
        found = found.of_prices()
    if json:
        differences = found.differences() if only_prices else diff_sheets(before, after)
        print_rows(map(_row, differences), json=True, columns=())
    else:
        _print_comparison(found)


def _one_for_each(name: str, given: tuple[str, ...]) -> tuple[str | None, str | None]:
    if len(given) > 2:
        raise click.UsageError(f"--{name} is given once for both, or twice")
    return (given[0], given[-1]) if given else (None, None)


def _unnamed(old: Sheet, new: Sheet) -> tuple[Sheet, Sheet]:
    """A foreign document says neither id nor version nor start: then those are not compared."""
    if ALWAYS not in (old.effective_from, new.effective_from):
        return old, new
    unnamed = {"id": "unnamed", "version": "unnamed", "effective_from": ALWAYS}
    return old.model_copy(update=unnamed), new.model_copy(update=unnamed)


def _row(one: Difference) -> dict[str, str | None]:
    return {**one._asdict(), "percent": None if one.percent is None else f"{one.percent} %"}


def _print_comparison(found: Comparison) -> None:
    for label, differences in {"": found.fields, **found.models}.items():
        if differences:
            click.echo(printable(f"models.{label}" if label else "sheet"))
            rows = [
                _row(one)
                | {"field": "  " + one.path.removeprefix(f"models.{label}.")}
                | {"change": f"{one.old or '–'} → {one.new or '–'}"}
                for one in differences
            ]
            print_rows(rows, json=False, columns=["field", "change", "percent"], heading=False)
    for name, labels in (("old", found.only_old), ("new", found.only_new)):
        if labels:
            more = f" and {len(labels) - _NAMES_MAX:,} more" if len(labels) > _NAMES_MAX else ""
            click.echo(printable(f"only in the {name} one: {', '.join(labels[:_NAMES_MAX])}{more}"))
    click.echo(_summary(found))


def _summary(found: Comparison) -> str:
    """How many models differ, and the prices that changed most."""
    differing = sum(1 for differences in found.models.values() if differences)
    if not (differing or found.fields or found.only_old or found.only_new):
        return f"no differences in {counted(len(found.models), 'model')}"
    changes = [
        (number(one.percent, before=60, after=PERCENT_DIGITS), one.path)
        for one in found.differences()
        if one.percent is not None and not is_relief(one.path)
    ]
    rose = [change for change in changes if change[0] > 0]  # what is rounded to 0 % neither rose nor fell
    fell = [change for change in changes if change[0] < 0]
    parts = [f"{counted(len(found.models), 'model')} in both, of which {counted(differing, 'differs', 'differ')}"]
    for verb, some, furthest in (("rose", rose, max), ("fell", fell, min)):
        if some:
            percent, path = furthest(some)
            parts.append(f"{len(some):,} {verb}, most {path} by {plain(abs(percent))} %")
    parts.append(f"{len(found.only_old):,} only in the old one, {len(found.only_new):,} only in the new one")
    return "; ".join(parts)


@click.command("estimate", cls=Command)
@click.argument("name", metavar="SHEET")
@click.argument("quantities", metavar="ENDPOINT=QUANTITY...", type=QUANTITY, nargs=-1, required=True)
@json_option
@with_settings
def estimate_cost(settings: Settings, name: str, quantities: tuple[tuple[str, Decimal], ...], json: bool) -> None:
    """Estimate what so many billing units of endpoints cost, by a sheet: a file, a URL or a published ID@VERSION.

    It computes what fal's API answers for the estimate type unit_price, and --json prints it in the API's form. The
    other type, historical_api_price, needs what past calls consumed, which no sheet has.
    """
    sheet = any_sheet(settings, name)
    try:
        found = [estimate(sheet, *each) for each in quantities]
        total, currency = total_of(found)
    except (Missing, ValueError) as error:
        fail(str(error))
    if json:
        click.echo(f'{{"estimate_type": "unit_price", "total_cost": {plain(total)}, "currency": "{currency}"}}')
        return
    rows = [
        {key: plain(value) if isinstance(value, Decimal) else value for key, value in one._asdict().items()}
        for one in found
    ]
    rows.append({"endpoint": "total", "cost": plain(total), "currency": currency})
    print_rows(rows, json=False, columns=["endpoint", "unit", "quantity", "price", "cost", "currency"])
