"""`sheets list` and `sheets show`: what is published, and what a model costs."""

import json as json_format
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import click

from pricing.importers import IMPORTERS, OWN_FORMAT
from pricing.kinds import TOKEN_KINDS
from pricing.money import plain
from pricing.price_table import ModelPrice, model_prices
from pricing.rating import PER_MILLION
from pricing.sheet_diff import diff_sheets
from pricing.sheets import Model, Sheet, sheet_bytes
from pricing.times import format_time
from streams.cli.common import Command, fail, print_rows, printable, with_settings
from streams.cli.finding import any_sheet, in_force, one_of, published, refuse_unknown, titled
from streams.cli.publishing import json_option, shelf
from streams.settings import Settings

_KIND_COLUMNS_MAX = 6

Found = tuple[Sheet, Model]
Row = dict[str, Any]


@click.command("list", cls=Command)
@json_option
@with_settings
def list_sheets(settings: Settings, json: bool) -> None:
    """List the published sheets, in the order of their publication."""
    rows = [
        {
            "id": each.id,
            "version": each.version,
            "effective_from": format_time(each.from_ns),
            "published_at": format_time(each.published_at),
            "retroactive": each.retroactive,
            "models": len(each.sheet.models),
        }
        for each in shelf(settings).book
        if each.sheet is not None
    ]
    print_rows(rows, json=json, columns=["id", "version", "effective_from", "published_at", "retroactive", "models"])


@click.command("show", cls=Command)
@click.argument("name", metavar="[ID | MODEL]", required=False)
@click.argument("version", required=False)
@click.option("--sheet", "place", metavar="SHEET", help="Look there: a file, a URL, or a published ID or ID@VERSION.")
@click.option("--format", "form", type=click.Choice([*IMPORTERS, OWN_FORMAT]), help="Its format [told from it].")
@click.option("--provider", metavar="NAME", help="Only models of this provider, and those of any.")
@json_option
@with_settings
def show(settings: Settings, /, name: str | None, version: str | None, place: str | None, **how: Any) -> None:
    """Show a sheet, or what a model costs: its prices per 1M tokens and per unit in every situation.

    What is the id of a published sheet is that sheet: the version that is in force now, or VERSION, or ID@VERSION.
    Anything else is a model of the published sheets that are in force, or with --sheet of that one.
    """
    if place is not None:
        if version is not None:
            raise click.UsageError(f"{version!r} is one argument too many: the sheet is that of --sheet, {place!r}")
        sheets, is_model = [any_sheet(settings, place, how["form"])], name is not None
    elif name is None:
        raise click.UsageError("give the ID of a sheet or a MODEL, or a --sheet")
    else:
        _check_arguments(name, version, how["form"])
        sheets, is_model = _named(published(settings), name, version)
    if is_model:
        assert name is not None
        _show_models(_models(sheets, name, how["provider"]), json=how["json"])
    else:
        _show_sheet(_of_provider(sheets[0], how["provider"]), json=how["json"])


def _check_arguments(name: str, version: str | None, form: str | None) -> None:
    if version is not None and "@" in name:
        raise click.UsageError(f"{name!r} has a version already: {version!r} is one argument too many")
    if form is not None:
        raise click.UsageError(f"--format {form} is that of a --sheet, and {name!r} is published")


def _of_provider(sheet: Sheet, provider: str | None) -> Sheet:
    if provider is None:
        return sheet
    refuse_unknown(provider, f"sheet {sheet.named}", [sheet])
    return sheet.model_copy(
        update={"models": tuple(each for each in sheet.models if each.provider in (None, provider))}
    )


def _named(found: list[Sheet], name: str, version: str | None) -> tuple[list[Sheet], bool]:
    """The sheet of that name, or those that are in force, and whether the name is a model's."""
    id_, _, at_version = name.partition("@")
    if version is not None or any(sheet.id == id_ for sheet in found):
        return [one_of(found, id_, version or at_version or None)], False
    if not found:
        fail("no sheet is published")
    return in_force(found), True


def _models(sheets: Sequence[Sheet], name: str, provider: str | None) -> list[Found]:
    """All models that the name may mean, for an event that says no more."""
    found = [(sheet, model) for sheet in sheets for model in sheet.names.matches(name, provider)]
    if not found:
        where = f"sheet {sheets[0].named}" if len(sheets) == 1 else f"the {len(sheets)} sheets in force"
        alike = [model.label for sheet in sheets for model in sheet.names.similar(name)]
        hint = f"; there is {', '.join(dict.fromkeys(alike))}" if alike else ""
        fail(printable(f"no model {name!r} on {where}{hint}"))
    return found


def _show_models(found: Iterable[Found], *, json: bool) -> None:
    for number, (sheet, model) in enumerate(found):
        prices = model_prices(sheet, model)
        if json:
            for price in prices:
                click.echo(json_format.dumps(_price_row(sheet, model, price), ensure_ascii=False))
            continue
        if number:
            click.echo()
        for line in _head(sheet, model):
            click.echo(printable(line))
        _print_tables(prices)


def _price_row(sheet: Sheet, model: Model, price: ModelPrice) -> Row:
    return {
        "sheet": {"id": sheet.id, "version": sheet.version},
        "model": model.key,
        "provider": model.provider,
        **price._asdict(),
        "price": plain(price.price),
    }


def _head(sheet: Sheet, model: Model) -> Iterator[str]:
    owner = f" of {model.provider}" if model.provider else ""
    yield f"{model.key}{owner}, {titled(sheet)}"
    names = [name for name in (model.id, *model.aliases) if name and name != model.key]
    if names:
        yield f"also called {', '.join(names)}"
    if model.prefixes:
        yield f"and what begins with {', '.join(model.prefixes)}"
    if sheet.markup_percentage and model.category == "direct":
        yield f"prices with a markup of {plain(sheet.markup_percentage)} %"


def _print_tables(prices: Sequence[ModelPrice]) -> None:
    """One of token prices, with a line for each situation, and one of the other units."""
    tokens: dict[tuple[str, int | None], Row] = {}
    for price in (each for each in prices if each.per == PER_MILLION):
        beyond = f", beyond {price.above:,} tokens" if price.above else ""
        row = tokens.setdefault((price.situation, price.above), {"situation": f"{price.situation}{beyond}"})
        row[price.meter] = plain(price.price)
    units = [
        {"unit": each.unit, "situation": each.situation, "price": plain(each.price)}
        for each in prices
        if each.per != PER_MILLION
    ]
    currency = prices[0].currency if prices else ""
    if tokens:
        click.echo(f"\n{currency} per 1M tokens")
        print_rows(
            tokens.values(),
            json=False,
            columns=["situation", *_in_order(key for row in tokens.values() for key in row)],
        )
    if units:
        click.echo(f"\n{currency} per unit")
        print_rows(units, json=False, columns=["unit", "situation", "price"])
    if not prices:
        click.echo("it has no price")


def _in_order(kinds: Iterable[str]) -> list[str]:
    """Token kinds as lines have them: the usual ones first."""
    found = set(kinds) - {"situation"}
    return [*(kind for kind in TOKEN_KINDS if kind in found), *sorted(found - set(TOKEN_KINDS))]


def _show_sheet(sheet: Sheet, *, json: bool) -> None:
    if json:
        click.echo(sheet_bytes(sheet).decode())
        return
    click.echo(titled(sheet))
    kinds = _in_order(kind for model in sheet.models for kind in model.prices)
    shown = kinds if len(kinds) <= _KIND_COLUMNS_MAX else [kind for kind in kinds if kind in TOKEN_KINDS]
    rows = [_model_row(model, shown) for model in sheet.models]
    columns = ["provider", "model", "id", "category", "currency", *shown]
    columns += ["synapses_per_second", "neurons_per_token", "others", "situations"]
    print_rows(rows, json=False, columns=[each for each in columns if any(row.get(each) for row in rows)])
    rest = sheet.model_copy(update={"models": (), "source": None})
    fields = [{"field": one.path, "value": one.new} for one in diff_sheets(_bare(sheet), rest)]
    if fields:
        click.echo()
        print_rows(fields, json=False, columns=["field", "value"])


def _bare(sheet: Sheet) -> Sheet:
    return Sheet(id=sheet.id, version=sheet.version, effective_from=sheet.effective_from, currency=sheet.currency)


def _model_row(model: Model, kinds: Sequence[str]) -> Row:
    others = [kind for kind in model.prices if kind not in kinds] + list(model.units)
    return {
        "provider": model.provider,
        "model": model.key,
        "id": model.id,
        "category": model.category,
        "currency": model.currency,
        **{kind: plain(model.prices[kind]) for kind in kinds if kind in model.prices},
        "synapses_per_second": None if model.synapses_per_second is None else plain(model.synapses_per_second),
        "neurons_per_token": None if model.neurons_per_token is None else plain(model.neurons_per_token),
        "others": ", ".join(others[:3]) + (f", {len(others) - 3} more" if len(others) > 3 else ""),
        "situations": str(len(model.cases) + 1) if model.cases else None,
    }
