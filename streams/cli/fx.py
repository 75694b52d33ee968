"""`fx`: exchange rates, published and listed."""

from decimal import Decimal

import click

from pricing.exchange import FxRate
from pricing.money import plain
from pricing.times import format_time
from streams.cli.common import Group, print_rows, with_settings
from streams.cli.publishing import PAIR, RATE, TIME, json_option, publish_document, retroactive_option, shelf
from streams.settings import Settings


@click.group(cls=Group)
def fx() -> None:
    """Publish and list exchange rates."""


@fx.command("set")
@click.argument("pair", type=PAIR, metavar="CHF/USD")
@click.argument("rate", type=RATE)
@click.option("--from", "from_ns", type=TIME, required=True, help="From when it counts, RFC 3339.")
@retroactive_option
@with_settings
def set_rate(settings: Settings, pair: str, rate: Decimal, from_ns: int, retroactive: bool) -> None:
    """Publish that one CHF is RATE USD from a time on. The way back is a rate of its own."""
    publish_document(settings, FxRate(pair=pair, rate=rate, from_ns=from_ns), retroactive=retroactive)


@fx.command("list")
@json_option
@with_settings
def list_rates(settings: Settings, json: bool) -> None:
    """List the published rates, in the order of their publication."""
    rows = [
        {
            "pair": each.fx.pair,
            "rate": plain(each.fx.rate),
            "from": each.version,
            "published_at": format_time(each.published_at),
            "retroactive": each.retroactive,
        }
        for each in shelf(settings).book
        if each.fx is not None
    ]
    print_rows(rows, json=json, columns=["pair", "rate", "from", "published_at", "retroactive"])
