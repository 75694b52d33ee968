"""Reads the data.json of genai-prices (github.com/pydantic/genai-prices): USD per 1M tokens, by provider and model.

As its calculator (packages/python/genai_prices/types.py, read in November 2026) reads it:

- A tier is a cliff by all input tokens: above its start (not at it) every token of that kind has its price.
- Of several dated or daily prices the last whose constraint holds counts, else the one without; a date begins at
  midnight UTC, a time of day is from the start to before the end.
- `requests_kcount` is for 1,000 requests.

A model's key is its id. What its `match` says exactly (`equals`) is an alias and `starts_with` a prefix; to contain
or match a pattern would be a guess and is left out, as is the rule to look at another provider's models. genai-prices
compares without regard to case, here names count as written. A kind without a price has none, whereas genai-prices
bills cached tokens as input then; a model without any price is skipped, also one called free.
"""

import re
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from pricing.documents import PRICE_DIGITS, NumberText, read_json, shown
from pricing.errors import InvalidDocument
from pricing.importers.entries import Grouped, UnusableEntry, is_name
from pricing.importers.imported import Imported, ImportOptions, finished, market_sheet, without_models
from pricing.importers.reading import Node, Reading
from pricing.money import NotADecimal, exact, number, within
from pricing.times import parse_time

FORMAT = "genai-prices"

Lists = list[tuple[dict[str, Any], dict[str, dict[str, Decimal]]]]
"""Price lists (`prices` and `units`) with the fields of their `When`; the last one is the model's own."""

_TOKENS = re.compile(r"(input|output)(_audio|_image|_video)?_mtok|cache(_audio|_image|_video)?_(read|write)(_1h)?_mtok")
_CACHE = {"read": "cache_read", "write": "cache_creation"}
_THOUSANDS = {"requests_kcount": "request", "web_searches_kcount": "web_search"}
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TIME = re.compile(r"((?:[01][0-9]|2[0-3]):[0-5][0-9]):00(?:Z|\+00:00)")


def read_genai_prices(value: bytes, options: ImportOptions) -> Imported:
    """The sheet in the data of genai-prices, or every problem with it."""
    try:
        document = read_json(value, name=FORMAT)
    except InvalidDocument as invalid:
        return Imported(None, invalid.problems, [])
    # The document is an array; the reader of arrays wants a field.
    reading, root = Reading(), Node({"providers": document}, "")
    notes, skipped = Grouped(), []
    models: list[dict[str, Any]] = []
    for provider in reading.nodes(root, "providers"):
        name = reading.text(provider, "id", required=True)
        if name is None:
            continue
        if provider.fields.get("fallback_model_providers"):
            notes.add("fallback_model_providers: is not read, the models of other providers are not taken over", name)
        taken = _ids(provider)
        for model in reading.nodes(provider, "models"):
            try:
                models.append({"provider": name, **_model(name, model.fields, taken, notes)})
            except UnusableEntry as unusable:
                skipped.append((f"{name}/{model.fields.get('id')}", str(unusable)))
    fields = market_sheet(value, FORMAT, options, models)
    problems = reading.problems or without_models(models, skipped)
    return finished(fields, problems, notes.lines(), skipped)


def _ids(provider: Node) -> Counter[str]:
    models = provider.fields.get("models")
    ids = (model.get("id") for model in models if isinstance(model, dict)) if isinstance(models, list) else ()
    return Counter(id_ for id_ in ids if isinstance(id_, str))


def _model(provider: str, fields: dict[str, Any], taken: Counter[str], notes: Grouped) -> dict[str, Any]:
    """The fields of a model; its aliases are added to `taken`. Raises UnusableEntry."""
    key, name = fields.get("id"), fields.get("name")
    if not is_name(key):
        raise UnusableEntry(f"id: must be a name, found {shown(key)}")
    if taken[key] > 1:
        raise UnusableEntry("another model of the provider has the same id")
    where = f"{provider}/{key}"
    *cases, (_, own) = _lists(fields.get("prices"), where, notes)
    if not own["prices"] and not own["units"] and not cases:
        raise UnusableEntry("has no price")
    aliases: list[str] = []
    prefixes: list[str] = []
    for clause, text in _clauses(fields.get("match")):
        if clause == "starts_with" and is_name(text):
            prefixes.append(text)
        elif clause != "equals" or not is_name(text):
            notes.add(f"match.{clause}: is not read, a name has to be exact or a prefix", where)
        elif text == key or text in aliases:
            continue
        elif text in taken:
            notes.add("match.equals: is not read where another model has the name", where)
        else:
            aliases.append(text)
            taken[text] += 1
    return {
        "key": key,
        **({"name": name} if is_name(name) else {}),
        "aliases": tuple(aliases),
        "prefixes": tuple(dict.fromkeys(prefixes)),
        "category": "direct",
        "currency": "USD",
        **own,
        "cases": tuple({"when": when, **prices} for when, prices in cases),
    }


def _clauses(match: object) -> Iterator[tuple[str, object]]:
    """Each way to match with what to look for; alternatives as several ways."""
    if not isinstance(match, dict):
        return
    for clause, what in match.items():
        if clause == "or" and isinstance(what, list):
            for alternative in what:
                yield from _clauses(alternative)
        else:
            yield clause, what


def _lists(prices: object, where: str, notes: Grouped) -> Lists:
    """The price lists with their situations, the most specific first, the model's own last."""
    if not isinstance(prices, list):
        return _tiered({}, prices, where, notes)
    if not prices or not all(isinstance(item, dict) for item in prices):
        raise UnusableEntry(f"prices: must be an object or some, found {shown(prices)}")
    lists: Lists = []
    for item in reversed(prices):
        when = _situation(item.get("constraint"))
        lists += _tiered(when, item.get("prices"), where, notes)
        if not when:
            return lists
    # None is without a constraint: the first counts where none holds.
    return lists + _tiered({}, prices[0].get("prices"), where, notes)


def _situation(constraint: object) -> dict[str, Any]:
    """The fields of a `When`: a date from which on, or a time of every day."""
    found = constraint or {}
    if isinstance(found, dict) and not found.keys() - {"start_date"}:
        date = found.get("start_date")
        if date is None:
            return {}
        if isinstance(date, str) and _DATE.fullmatch(date):
            try:
                return {"since": parse_time(f"{date}T00:00:00Z")}
            except ValueError as error:
                raise UnusableEntry(f"constraint: {error}") from None
    if isinstance(found, dict) and found.keys() == {"start_time", "end_time"}:
        times = [_TIME.fullmatch(str(found[key])) for key in ("start_time", "end_time")]
        # Theirs does not reach over midnight.
        if times[0] and times[1] and times[0][1] < times[1][1]:
            return {"daily": {"start": times[0][1], "end": times[1][1]}}
    raise UnusableEntry(f"constraint: must be a start date or a time of day in UTC, found {shown(constraint)}")


def _tiered(when: dict[str, Any], prices: object, where: str, notes: Grouped) -> Lists:
    """A list for each start of a tier, of which all prices change together, the highest first; then the base's."""
    if not isinstance(prices, dict):
        raise UnusableEntry(f"prices: must be an object, found {shown(prices)}")
    steps: dict[tuple[str, str], dict[int, Decimal]] = {}
    for key, price in prices.items():
        meter = _meter(key)
        if meter is None:
            notes.add(f"{key}: unknown price, not read", where)
        elif price is not None:
            steps[meter] = _steps(key, price)
    lists: Lists = []
    for start in sorted({0, *(start for step in steps.values() for start in step)}, reverse=True):
        fields: dict[str, dict[str, Decimal]] = {"prices": {}, "units": {}}
        for (field, name), step in steps.items():
            fields[field][name] = step[max(begin for begin in step if begin <= start)]
        lists.append(({**when, **({"input_over": start} if start else {})}, fields))
    return lists


def _meter(key: str) -> tuple[str, str] | None:
    if key in _THOUSANDS:
        return "units", _THOUSANDS[key]
    match = _TOKENS.fullmatch(key)
    if match is None:
        return None
    side, modality, cached_modality, cached, duration = match.groups()
    return "prices", f"{side}{modality or ''}" if side else f"{_CACHE[cached]}{cached_modality or ''}{duration or ''}"


def _steps(key: str, price: object) -> dict[int, Decimal]:
    """Prices by the count of input tokens above which they are due; the base's is 0."""
    if not isinstance(price, dict):
        return {0: _price(key, price)}
    tiers = price.get("tiers")
    if not isinstance(tiers, list) or not all(isinstance(tier, dict) for tier in tiers):
        raise UnusableEntry(f"{key}: tiers must be objects, found {shown(tiers)}")
    starts = {_start(key, tier.get("start")): _price(key, tier.get("price")) for tier in tiers}
    return {0: _price(key, price.get("base")), **starts}


def _start(key: str, value: object) -> int:
    if isinstance(value, NumberText) and re.fullmatch(r"[1-9][0-9]{0,14}", value):
        return int(value)
    raise UnusableEntry(f"{key}: a tier must start at a count over 0, found {shown(value)}")


def _price(key: str, value: object) -> Decimal:
    """A price, exactly. Raises UnusableEntry."""
    if not isinstance(value, NumberText):
        raise UnusableEntry(f"{key}: must be a number, found {shown(value)}")
    before, after = PRICE_DIGITS
    try:
        found = number(value, before=before, after=after, exponent=True)
        if key in _THOUSANDS:
            with exact():
                found = within(found.scaleb(-3), before=before, after=after)
    except NotADecimal as error:
        raise UnusableEntry(f"{key}: {error}") from None
    if found < 0:
        raise UnusableEntry(f"{key}: must not be negative, found {shown(value)}")
    return found
