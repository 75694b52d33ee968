"""`sheets diff` and `sheets estimate`: what changed between two sheets, and what a known quantity costs."""

from decimal import Decimal

import click

from pricing.estimates import estimate, total_of
from pricing.money import plain
from pricing.rating import Missing
from pricing.sheet_review import diff_sheets
from streams.cli.common import Command, fail, print_rows, with_settings
from streams.cli.finding import any_sheet
from streams.cli.publishing import QUANTITY, json_option
from streams.settings import Settings


@click.command("diff", cls=Command)
@click.argument("old", metavar="OLD")
@click.argument("new", metavar="NEW")
@json_option
@with_settings
def compare_sheets(settings: Settings, old: str, new: str, json: bool) -> None:
    """Show what differs between two sheets, each a file, a URL or a published ID@VERSION."""
    sheets_ = [any_sheet(settings, name) for name in (old, new)]
    rows = [
        {**one._asdict(), "percent": None if one.percent is None else f"{one.percent} %"}
        for one in diff_sheets(*sheets_)
    ]
    if rows or json:
        print_rows(rows, json=json, columns=["path", "old", "new", "percent"])
    else:
        click.echo("no differences")


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
