"""What the publishing commands share: their arguments, the clock, and how problems and outcomes are told."""

import re
import time
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

import click

from pricing.accounts import NAME_PATTERN
from pricing.book_records import publication_of
from pricing.documents import IDENTIFIER_PATTERN
from pricing.errors import InvalidDocument
from pricing.estimates import endpoint_quantity
from pricing.exchange import FxRate, parse_pair
from pricing.money import number
from pricing.sheets import Sheet, image_price
from pricing.times import parse_time
from streams.cli.common import counted, fail, printable, run
from streams.cli.progress import Step, progress_bar
from streams.errors import Refused
from streams.settings import Settings

if TYPE_CHECKING:
    # What they need takes a third of a second to load, and a file is read without a cluster.
    from streams.bookshelf import Shelf
    from streams.fetching import Fetched


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


def _matching(pattern: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if re.fullmatch(pattern, text, re.ASCII) is None:
            raise ValueError(f"{text[:60]!r} is not of the form {pattern}")
        return text

    return read


def _markup(text: str) -> Decimal:
    markup = number(text, before=3, after=24)
    if markup < 0:
        raise ValueError(f"{text} is negative, a markup is not")
    return markup


TIME = _Value("TIME", parse_time)
PAIR = _Value("PAIR", _pair)
RATE = _Value("RATE", _rate)
IMAGE_PRICE = _Value("PRICE", image_price)
QUANTITY = _Value("QUANTITY", endpoint_quantity)
IDENTIFIER = _Value("ID", _matching(IDENTIFIER_PATTERN))
NAME = _Value("NAME", _matching(NAME_PATTERN))
MARKUP = _Value("PERCENT", _markup)

json_option = click.option("--json", is_flag=True, help="One JSON object a line.")
retroactive_option = click.option(
    "--retroactive", is_flag=True, help="Allow a start in the past, where an older version is in force."
)


def now_ns() -> int:
    """The clock."""
    return time.time_ns()


def fetched(
    place: str, settings: Settings, form: str | None = None, endpoints: Sequence[str] = (), *, step: Step
) -> "Fetched":
    """The document at a path or URL, or one line why not; `step` is told how far it is."""
    from streams.fetching import fetch

    step("fetching")
    try:
        return fetch(place, settings, form, endpoints, progress=partial(step, "fetching"))
    except Refused as refused:
        fail(str(refused))


def shelf(settings: Settings) -> "Shelf":
    """All that is published; what is wrong with the rest goes to stderr."""
    from streams.bookshelf import read_shelf

    with progress_bar() as step:
        step("reading what is published")
        found = run(read_shelf(settings))
    for problem in found.problems:
        click.echo(printable(f"warning: ignored on the topic: {problem}"), err=True)
    return found


def publish_document(settings: Settings, document: Sheet | FxRate, *, retroactive: bool) -> None:
    """Publish, and say what came of it."""
    from streams.bookshelf import publish

    now = now_ns()
    new = publication_of(document, published_at=now, retroactive=retroactive)
    try:
        with progress_bar() as step:
            step(f"publishing {new.name}")
            is_new = run(publish(settings, new, now))
    except InvalidDocument as invalid:
        fail(str(invalid))
    click.echo(f"published {new.name}" if is_new else f"{new.name} is published already, and is the same")


def end_with_problems(place: str, problems: Sequence[str]) -> NoReturn:
    """List every problem on stderr and end with exit code 1."""
    for problem in problems:
        click.echo(printable(f"problem: {problem}"), err=True)
    fail(f"{place} has {counted(len(problems), 'problem')}")
