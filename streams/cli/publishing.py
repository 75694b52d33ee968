"""What the publishing commands share: their arguments, the clock, and how problems and outcomes are told."""

import time
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, NoReturn

import click

from pricing.book_records import publication_of
from pricing.errors import InvalidDocument
from pricing.estimates import endpoint_quantity
from pricing.exchange import FxRate, parse_pair
from pricing.money import number
from pricing.sheets import Sheet, image_price
from pricing.times import parse_time
from streams.bookshelf import Shelf, publish, read_shelf
from streams.cli.common import fail, run
from streams.errors import Refused
from streams.fetching import Fetched, fetch
from streams.settings import Settings


class _Value(click.ParamType):
    """An argument that `read` reads; its ValueError is wrong usage."""

    def __init__(self, name: str, read: Callable[[str], object]) -> None:
        self.name = name
        self._read = read

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> object:
        """The value of the text, or wrong usage."""
        try:
            return self._read(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def _pair(text: str) -> str:
    parse_pair(text)
    return text


def _rate(text: str) -> Decimal:
    rate = number(text, before=12, after=24)
    if rate <= 0:
        raise ValueError(f"{text} is not greater than 0")
    return rate


TIME = _Value("TIME", parse_time)
PAIR = _Value("PAIR", _pair)
RATE = _Value("RATE", _rate)
IMAGE_PRICE = _Value("PRICE", image_price)
QUANTITY = _Value("QUANTITY", endpoint_quantity)

json_option = click.option("--json", is_flag=True, help="One JSON object a line.")
retroactive_option = click.option(
    "--retroactive", is_flag=True, help="Allow a start in the past, where an older version is in force."
)


def now_ns() -> int:
    """The clock."""
    return time.time_ns()


def fetched(place: str, settings: Settings, form: str | None = None, endpoints: Sequence[str] = ()) -> Fetched:
    """The document at a path or URL, or one line why not."""
    try:
        return fetch(place, settings, form, endpoints)
    except Refused as refused:
        fail(str(refused))


def shelf(settings: Settings) -> Shelf:
    """All that is published; what is wrong with the rest goes to stderr."""
    found = run(read_shelf(settings))
    for problem in found.problems:
        click.echo(f"warning: ignored on the topic: {problem}", err=True)
    return found


def publish_document(settings: Settings, document: Sheet | FxRate, *, retroactive: bool) -> None:
    """Publish, and say what came of it."""
    now = now_ns()
    new = publication_of(document, published_at=now, retroactive=retroactive)
    try:
        is_new = run(publish(settings, new, now))
    except InvalidDocument as invalid:
        fail(str(invalid))
    click.echo(f"published {new.name}" if is_new else f"{new.name} is published already, and is the same")


def end_with_problems(place: str, problems: Sequence[str]) -> NoReturn:
    """List every problem on stderr and end with exit code 1."""
    for problem in problems:
        click.echo(f"problem: {problem}", err=True)
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    fail(f"{place} has {count}")
