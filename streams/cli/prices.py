"""`sheets`: price sheets, checked as a whole before any of it is sent."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import click

from pricing.estimates import estimate, total_of
from pricing.importers import IMPORTERS, OWN_FORMAT, Imported, ImportOptions, read_any
from pricing.money import plain
from pricing.rating import Missing
from pricing.sheet_review import diff_sheets, warnings
from pricing.sheets import Model, Sheet, sheet_bytes
from pricing.times import format_time
from streams.cli.accounts import accounts
from streams.cli.common import Group, fail, print_rows, with_settings
from streams.cli.fx import fx
from streams.cli.publishing import (
    IMAGE_PRICE,
    QUANTITY,
    TIME,
    end_with_problems,
    fetched,
    json_option,
    now_ns,
    publish_document,
    retroactive_option,
    shelf,
)
from streams.settings import Settings

__all__ = ["accounts", "fx", "sheets"]


@click.group(cls=Group)
def sheets() -> None:
    """Import, check, list, show and compare price sheets."""


@sheets.command("import")
@click.argument("place", metavar="FILE-or-URL")
@click.option("--format", "form", type=click.Choice(list(IMPORTERS)), required=True, help="The document's format.")
@click.option("--id", required=True, help="The sheet's id.")
@click.option("--version", required=True, help="The sheet's version.")
@click.option("--effective-from", type=TIME, required=True, help="From when it counts, RFC 3339.")
@click.option(
    "--image-price",
    type=IMAGE_PRICE,
    help="Price per 1M synapses of image operations, or model-input or model-output.",
)
@click.option(
    "--endpoint",
    "endpoints",
    multiple=True,
    metavar="ID",
    help="An endpoint to ask fal's API for, or @FILE for one a line; repeatable.",
)
@retroactive_option
@click.option("--publish", "wanted", is_flag=True, help="Publish it; otherwise it is printed.")
@with_settings
def import_sheet(
    settings: Settings,
    /,
    place: str,
    form: str,
    endpoints: tuple[str, ...],
    retroactive: bool,
    wanted: bool,
    **named: Any,
) -> None:
    """Read a foreign price sheet; print it as a sheet, or publish it."""
    document = fetched(place, settings, form, endpoints)
    options = ImportOptions(**named, location=document.location)
    sheet = _sheet_or_end(place, read_any(document.value, form, options))
    click.echo(_summary(sheet), err=True)
    if wanted:
        publish_document(settings, sheet, retroactive=retroactive)
    else:
        click.echo(sheet_bytes(sheet).decode())


def _summary(sheet: Sheet) -> str:
    counts = {
        "models": len(sheet.models),
        "image operations": len(sheet.image_operations),
        "terminal dimensions": len(sheet.terminal),
        "tiers": len(sheet.tiers),
    }
    found = ", ".join(f"{count} {name}" for name, count in counts.items())
    return f"sheet {sheet.id}@{sheet.version} from {format_time(sheet.effective_from)}: {found}"


@sheets.command("check")
@click.argument("place", metavar="FILE-or-URL")
@click.option(
    "--format",
    "form",
    type=click.Choice([*IMPORTERS, OWN_FORMAT]),
    help="The document's format; otherwise it is told from the document.",
)
@json_option
@with_settings
def check_sheet(settings: Settings, place: str, form: str | None, json: bool) -> None:
    """List all problems and warnings of a document. Exit code 1 where there is a problem."""
    imported = read_any(fetched(place, settings, form).value, form, ImportOptions("checked", "checked", 0))
    found = [{"severity": "problem", "text": problem} for problem in imported.problems]
    doubts = imported.warnings + (warnings(imported.sheet) if imported.sheet else [])
    found += [{"severity": "warning", "text": doubt} for doubt in doubts]
    if found or json:
        print_rows(found, json=json, columns=["severity", "text"])
    if imported.sheet is None:
        fail(f"{place}: {len(imported.problems)} problems")
    if not found and not json:
        click.echo(f"{place}: no problems, no warnings")


@sheets.command("list")
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


@sheets.command("show")
@click.argument("id_", metavar="ID")
@click.argument("version", required=False)
@json_option
@with_settings
def show_sheet(settings: Settings, id_: str, version: str | None, json: bool) -> None:
    """Show a published sheet; without VERSION the one that is in force now."""
    sheet = _published(settings, id_, version)
    if json:
        click.echo(sheet_bytes(sheet).decode())
        return
    click.echo(_summary(sheet))
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


@sheets.command("diff")
@click.argument("old", metavar="OLD")
@click.argument("new", metavar="NEW")
@json_option
@with_settings
def compare_sheets(settings: Settings, old: str, new: str, json: bool) -> None:
    """Show what differs between two sheets, each a file, a URL or a published ID@VERSION."""
    sheets_ = [_any_sheet(settings, name) for name in (old, new)]
    rows = [
        {**one._asdict(), "percent": None if one.percent is None else f"{one.percent} %"}
        for one in diff_sheets(*sheets_)
    ]
    if rows or json:
        print_rows(rows, json=json, columns=["path", "old", "new", "percent"])
    else:
        click.echo("no differences")


@sheets.command("estimate")
@click.argument("name", metavar="SHEET")
@click.argument("quantities", metavar="ENDPOINT=QUANTITY...", type=QUANTITY, nargs=-1, required=True)
@json_option
@with_settings
def estimate_cost(settings: Settings, name: str, quantities: tuple[tuple[str, Decimal], ...], json: bool) -> None:
    """Estimate what so many billing units of endpoints cost, by a sheet: a file, a URL or a published ID@VERSION.

    It computes what fal's API answers for the estimate type unit_price, and --json prints it in the API's form. The
    other type, historical_api_price, needs what past calls consumed, which no sheet has.
    """
    sheet = _any_sheet(settings, name)
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


def _sheet_or_end(place: str, imported: Imported) -> Sheet:
    for warning in imported.warnings + (warnings(imported.sheet) if imported.sheet else []):
        click.echo(f"warning: {warning}", err=True)
    if imported.sheet is None:
        end_with_problems(place, imported.problems)
    return imported.sheet


def _any_sheet(settings: Settings, name: str) -> Sheet:
    """A published ID@VERSION, or what is at a path or URL."""
    id_, at, version = name.partition("@")
    if at and "/" not in name and not Path(name).exists():
        return _published(settings, id_, version)
    imported = read_any(fetched(name, settings).value, None, ImportOptions("compared", "compared", 0))
    if imported.sheet is None:
        end_with_problems(name, imported.problems)
    return imported.sheet


def _published(settings: Settings, id_: str, version: str | None) -> Sheet:
    """The version of that name; without one, the version in force now, else the next one to be."""
    found = [each.sheet for each in shelf(settings).book if each.sheet is not None and each.id == id_]
    if not found:
        fail(f"no sheet {id_!r} is published")
    if version is not None:
        named = [sheet for sheet in found if sheet.version == version]
        if not named:
            known = ", ".join(sheet.version for sheet in found)
            fail(f"sheet {id_!r} has no version {version!r}; published are {known}")
        return named[0]
    by_start = sorted(found, key=lambda sheet: sheet.effective_from)
    in_force = [sheet for sheet in by_start if sheet.effective_from <= now_ns()]
    return in_force[-1] if in_force else by_start[0]
