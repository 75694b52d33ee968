"""`sheets list` and `sheets show`: what is published, and what a model costs."""

import click

from pricing.money import plain
from pricing.sheet_review import diff_sheets
from pricing.sheets import Model, Sheet, sheet_bytes
from pricing.times import format_time
from streams.cli.common import Command, print_rows, with_settings
from streams.cli.finding import one_of, published
from streams.cli.publishing import json_option, shelf
from streams.settings import Settings


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
@click.argument("id_", metavar="ID")
@click.argument("version", required=False)
@json_option
@with_settings
def show(settings: Settings, id_: str, version: str | None, json: bool) -> None:
    """Show a published sheet; without VERSION the one that is in force now."""
    sheet = one_of(published(settings), id_, version)
    if json:
        click.echo(sheet_bytes(sheet).decode())
        return
    click.echo(sheet.named)
    kinds = sorted({kind for model in sheet.models for kind in model.prices})
    print_rows(
        (_model_row(model) for model in sheet.models),
        json=False,
        columns=["model", "id", "category", "currency", *kinds, "synapses_per_second", "neurons_per_token"],
    )
    rest = sheet.model_copy(update={"models": (), "source": None})
    print_rows(
        [{"field": one.path, "value": one.new} for one in diff_sheets(_bare(sheet), rest)],
        json=False,
        columns=["field", "value"],
    )


def _bare(sheet: Sheet) -> Sheet:
    return Sheet(id=sheet.id, version=sheet.version, effective_from=sheet.effective_from, currency=sheet.currency)


def _model_row(model: Model) -> dict[str, str | None]:
    return {
        "model": model.key,
        "id": model.id,
        "category": model.category,
        "currency": model.currency,
        **{kind: plain(price) for kind, price in model.prices.items()},
        "synapses_per_second": None if model.synapses_per_second is None else plain(model.synapses_per_second),
        "neurons_per_token": None if model.neurons_per_token is None else plain(model.neurons_per_token),
    }
