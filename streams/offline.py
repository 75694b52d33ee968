"""`stream-pricing price`: events from a file, priced by the worker's own code against one sheet, without a cluster.

The sheet is in force at all times and for every provider. What depends on a stream does not apply: duplicates are
priced, and no event is too late or from the future.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec
import orjson
from pydantic import ValidationError

from pricing.accounts import Account, TierFrom
from pricing.book import Book
from pricing.costs import NoCost
from pricing.errors import InvalidUsage, Unpriced
from pricing.events import Event
from pricing.exchange import FxRate
from pricing.importers import ImportOptions, format_of, read_any
from pricing.money import exact
from pricing.pipeline import Priced, price
from pricing.rating import Missing
from pricing.reading import VALUE_BYTES_MAX, read_event
from pricing.sheets import Sheet
from pricing.surface_table import SURFACES
from pricing.times import format_time
from streams.books import policy_of
from streams.codec import PricedWriter
from streams.errors import Refused
from streams.explaining import explain
from streams.fetching import fetch
from streams.settings import Settings

ALWAYS = 0  # 1970-01-01T00:00:00Z
VERSION = "offline"
_RESPONSE_BYTES_MAX = VALUE_BYTES_MAX - 4096

Outcome = Priced | Missing | InvalidUsage


@dataclass(frozen=True, slots=True)
class Offline:
    """What events are priced by: a book of one sheet, and an account that stands for every organization's."""

    sheet: Sheet
    book: Book
    account: Account | None

    def outcome(self, value: bytes) -> Outcome:
        """What becomes of one event: it is priced, or parked (Missing), or rejected (InvalidUsage).

        Where its model is not known, notes on Missing name the models of the sheet that are called alike.
        """
        try:
            event: Event = read_event(value, ())
        except InvalidUsage as reason:
            return reason
        try:
            with exact():
                return price(event, self.book, self.account)
        except Missing as reason:
            if reason.reason is Unpriced.NO_MODEL:
                _name_similar(reason, self.sheet, event.data)
            return reason


def _name_similar(reason: Missing, sheet: Sheet, data: Any) -> None:
    name = getattr(data, "endpoint", getattr(data, "model", None))
    found = sheet.names.similar(name) if isinstance(name, str) else []
    if found:
        reason.add_note(f"the sheet has {', '.join(model.label for model in found)}")


def read_sheet(
    settings: Settings, place: str, form: str | None, image_price: Decimal | str | None
) -> Sheet | list[str]:
    """The sheet in a file or at a URL, from 1970 on; or every problem with it. Raises Refused where it is not there.

    A foreign document's id is the name of its format, one of our own keeps its own; an image price beats the sheet's.
    """
    document = fetch(place, settings, form)
    form = form or format_of(document.value)
    options = ImportOptions(form, VERSION, ALWAYS, image_price, document.location)
    imported = read_any(document.value, form, options)
    if imported.sheet is None:
        return imported.problems
    changed = {"effective_from": ALWAYS} | ({} if image_price is None else {"image_price": image_price})
    return imported.sheet.model_copy(update=changed)


def offline(
    settings: Settings,
    sheet: Sheet,
    rates: Iterable[tuple[str, Decimal]],
    tier: str | None,
    cost_sheet: Sheet | None = None,
) -> Offline:
    """Everything that prices are made of. `rates` are (pair, rate). Raises Refused for what is no tier."""
    policy = policy_of(settings)._replace(sheets={"*": sheet.id}, cost_sheets={})
    sheets: tuple[Sheet, ...] = (sheet,)
    if cost_sheet is not None:
        if cost_sheet.id == sheet.id:  # as two files of one format are without an id of their own
            cost_sheet = cost_sheet.model_copy(update={"id": f"{sheet.id}-costs"})
        policy, sheets = policy._replace(cost_sheets={"*": cost_sheet.id}), (sheet, cost_sheet)
    fx = tuple(FxRate(pair=pair, rate=rate, from_ns=ALWAYS) for pair, rate in rates)
    return Offline(sheet, Book(policy, sheets, fx), None if tier is None else _account(tier))


def _account(tier: str) -> Account:
    try:
        return Account(organization="any", version=1, tiers=(TierFrom(tier=tier, from_ns=ALWAYS),))
    except ValidationError:
        raise Refused(f"{tier!r:.80} cannot be the id of a tier") from None


def response_event(body: bytes, surface: str, used: Mapping[str, str], at_ns: int) -> bytes:
    """The event of a provider's response: `used` are fields of its data, such as `provider`, `at_ns` when it was.

    A body that is too large for an event is cut down to what is read of it, as producers do. Raises Refused for what is
    no JSON object.
    """
    try:
        members = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(f"a response has to be a JSON object: {error}") from None
    response = msgspec.Raw(body)
    if len(body) > _RESPONSE_BYTES_MAX and surface in SURFACES:
        read = SURFACES[surface].members
        response = msgspec.Raw(msgspec.json.encode({name: raw for name, raw in members.items() if name in read}))
    data = {"organization": "any", "project": "any", **used, "surface": surface, "response": response}
    envelope = {"specversion": "1.0", "id": "response", "source": "by-hand", "type": "ai.usage.response.v1"}
    return msgspec.json.encode(envelope | {"time": format_time(at_ns), "data": data})


def split_events(text: bytes) -> Sequence[bytes]:
    """The events of a file: its lines that are not blank, or the whole of it if it is one JSON document."""
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) < 2:
        return lines
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return lines
    return [text]


def as_json(writer: PricedWriter, outcomes: Iterable[Outcome]) -> Iterator[str]:
    """One line each: the `data` of the priced event, or why there is none."""
    for outcome in outcomes:
        if isinstance(outcome, Priced):
            yield _data(writer, outcome).decode()
        else:
            yield orjson.dumps({_kind(outcome): str(outcome.reason), "detail": outcome.detail}).decode()


def as_text(writer: PricedWriter, outcomes: Iterable[Outcome]) -> Iterator[str]:
    """A paragraph each."""
    for number, outcome in enumerate(outcomes, 1):
        if isinstance(outcome, Priced):
            text = explain(outcome.event.data, outcome.terms.sheet, _data(writer, outcome))
            if isinstance(outcome.cost, NoCost):
                text += f"\n  cost      not known: {outcome.cost.reason}: {outcome.cost.detail}"
            yield text
        else:
            said = f"event number {number} is {_kind(outcome)}: {outcome.reason}: {outcome.detail}"
            yield "\n  ".join([said, *getattr(outcome, "__notes__", ())])


def _data(writer: PricedWriter, priced: Priced) -> bytes:
    with exact():
        return writer.data(priced)


def _kind(outcome: Missing | InvalidUsage) -> str:
    return "parked" if isinstance(outcome, Missing) else "rejected"
