"""`price`: events, or responses as a provider gave them, priced without a cluster."""

from decimal import Decimal
from typing import Any, BinaryIO

import click

from pricing.importers import IMPORTERS, OWN_FORMAT
from pricing.money import plain
from pricing.sheets import Sheet
from pricing.surface_table import SURFACES
from streams.cli.common import Command, fail, printable, with_offline_settings
from streams.cli.publishing import IMAGE_PRICE, PAIR, RATE, TIME, end_with_problems, json_option, now_ns
from streams.errors import Refused
from streams.settings import Settings

# What the data of an event may say beside the response, as options.
_SAID = ("provider", "model", "service_tier", "region")


class _Rate(click.ParamType):
    name = "rate"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, Decimal]:
        """A pair of currencies and the rate behind `=`."""
        pair, equals, rate = value.partition("=")
        if not equals:
            self.fail(f"{value!r} is not a pair and its rate, such as CHF/USD=1.1234", param, ctx)
        found: Any = (PAIR.convert(pair, param, ctx), RATE.convert(rate, param, ctx))
        return found  # type: ignore[no-any-return]


def _one_for_each_pair(
    _context: click.Context, _param: click.Parameter, rates: tuple[tuple[str, Decimal], ...]
) -> tuple[tuple[str, Decimal], ...]:
    given: dict[str, Decimal] = {}
    for pair, rate in rates:
        if pair in given:
            raise click.BadParameter(f"{pair} is given twice, as {plain(given[pair])} and as {plain(rate)}")
        given[pair] = rate
    return rates


@click.command(cls=Command)
@click.argument("event_file", type=click.File("rb"), metavar="EVENT-FILE")
@click.option("--sheet", "place", required=True, metavar="FILE-or-URL", help="The price sheet.")
@click.option(
    "--format",
    "form",
    type=click.Choice([*IMPORTERS, OWN_FORMAT]),
    help="The sheet's format; otherwise it is told from the document.",
)
@click.option(
    "--image-price", type=IMAGE_PRICE, help="Price per 1M synapses of image operations, or model-input or model-output."
)
@click.option("--cost-sheet", metavar="FILE-or-URL", help="What the usage costs you: a sheet of any format.")
@click.option(
    "--fx",
    "rates",
    type=_Rate(),
    multiple=True,
    callback=_one_for_each_pair,
    metavar="CHF/USD=RATE",
    help="A rate; repeatable.",
)
@click.option("--tier", metavar="ID", help="The discount tier of every organization.")
@click.option(
    "--surface",
    type=click.Choice([*SURFACES]),
    metavar="NAME",
    help="EVENT-FILE has responses of this API, such as openai.chat_completions.",
)
@click.option(
    "--provider", metavar="NAME", help="Who answered, as the sheet calls it [the surface's, where the sheet has it]."
)
@click.option("--model", metavar="NAME", help="The model that answered [what the response says].")
@click.option("--service-tier", metavar="NAME", help="The tier that was served [what the response says].")
@click.option("--region", metavar="NAME", help="Where it was computed [what the response says].")
@click.option("--time", "at", type=TIME, metavar="TIME", help="When it was, RFC 3339 [now].")
@json_option
@with_offline_settings
def price(settings: Settings, /, event_file: BinaryIO, json: bool, **how: Any) -> None:
    """Price events offline and explain how each amount comes about.

    EVENT-FILE holds one event a line, or a single one; `-` is stdin. The sheet is in force at all times and for every
    provider. Duplicates are priced, and no event is too late. With --surface the file holds responses in place of
    events, as the provider gave them.
    """
    from streams.codec import PricedWriter
    from streams.offline import as_json, as_text, offline, split_events

    try:
        sheet = _sheet(settings, how["place"], how["form"], how["image_price"])
        costs = _sheet(settings, how["cost_sheet"]) if how["cost_sheet"] else None
        prices = offline(settings, sheet, how["rates"], how["tier"], costs)
        events = [_event(value, sheet, how) for value in split_events(event_file.read())]
    except Refused as refused:
        fail(str(refused))
    if not events:
        fail(f"there is no {'response' if how['surface'] else 'event'} in {event_file.name}")
    outcomes = map(prices.outcome, events)
    writer = PricedWriter(settings.app)
    if json:
        for line in as_json(writer, outcomes):
            click.echo(line)
    else:
        click.echo("\n\n".join(printable(text, "\n") for text in as_text(writer, outcomes)))


def _sheet(settings: Settings, place: str, form: str | None = None, image_price: Decimal | str | None = None) -> Sheet:
    from streams.offline import read_sheet

    sheet = read_sheet(settings, place, form, image_price)
    if isinstance(sheet, list):
        end_with_problems(place, sheet)
    return sheet


def _event(value: bytes, sheet: Sheet, how: dict[str, Any]) -> bytes:
    """What is on a line of the file, or the event of the response that is there."""
    from streams.offline import response_event

    said = {name: how[name] for name in _SAID if how[name] is not None}
    if how["surface"] is None:
        if said or how["at"] is not None:
            raise click.UsageError("what an event does not say is an option with --surface only")
        return value
    own = how["surface"].partition(".")[0]
    if "provider" not in said and any(model.provider == own for model in sheet.models):
        said["provider"] = own
    return response_event(value, how["surface"], said, now_ns() if how["at"] is None else how["at"])
