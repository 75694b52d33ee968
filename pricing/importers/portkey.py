"""Reads the prices of Portkey Models: a provider's file, or the API's document for one model.

https://configs.portkey.ai/pricing/{provider}.json maps each model to its `pricing_config` and `custom_pricing`,
https://api.portkey.ai/model-configs/pricing/{provider}/{model} is one `pricing_config`; prices are in US cents.
Each entry becomes a model or is listed with its reason. Models have no provider, as one file is one provider's.
"""

import re
from typing import Any
from urllib.parse import unquote

from pydantic import ValidationError

from pricing.documents import key_text, problems_of, read_json, shown
from pricing.errors import InvalidDocument
from pricing.importers.entries import Grouped, UnusableEntry
from pricing.importers.imported import Imported, ImportOptions, finished, source_of
from pricing.importers.portkey_calculate import Terms, calculated, check, read_terms
from pricing.importers.portkey_cases import (
    BATCH,
    STANDARD,
    Priced,
    RatesBySituation,
    by_context,
    cases_of,
    completed,
    read_custom,
)
from pricing.importers.portkey_prices import Entry, Rates, price_list, read_more, read_rates
from pricing.importers.reading import Node
from pricing.sheets import Model

FORMAT = "portkey"

_TEMPLATE = "default"
_CURRENCY = "USD"
_MORE = {"fixed_cost": ("request", "response"), "finetune_config": ("pay_per_token", "pay_per_hour")}
_CONFIG = ("pay_as_you_go", "batch_config", "calculate", "currency", *_MORE)
_PLAYGROUND = ("params", "type", "messages", "disablePlayground", "isDefault")
_ONE_MODEL = re.compile(r"(?:.*/)?pricing/[^/?#]+/([^?#]+?)(?:\.json)?(?:[?#].*)?")
_FILE = re.compile(r"([^/\\]+)\.json")
_FREE = re.compile(r"(?:.*[:/])?free")
_NO_PRICE = "no positive price, and zeros say as often that the prices are not known as that they are zero"
_NO_NAME = (
    "document: has one model's prices and not its name; import it from "
    "https://api.portkey.ai/model-configs/pricing/{provider}/{model} or from a file {model}.json"
)


class _Template:
    """What the entry `default` says for all others of its file; its zeros say nothing."""

    def __init__(self, entry: Entry, fields: Any) -> None:
        config = _config(entry, fields)
        self.named = {} if config is None else _own_rates(entry, config)
        self.rates = {rate: cents for rate, cents in self.named.items() if cents}
        calculate = None if config is None else entry.child(config, "calculate")
        self.calculate = {} if calculate is None else calculate.fields
        self.terms = {} if calculate is None else read_terms(entry, calculate)
        said = {} if config is None else fields | config.fields
        for key in ("batch_config", "custom_pricing"):
            if key in said:
                entry.note(f"{key} is not taken over by other models")


def read_portkey(value: bytes, options: ImportOptions) -> Imported:
    """The sheet in a provider's file or in one model's document, or every problem with it."""
    notes = Grouped()
    try:
        entries = _entries(read_json(value, name=FORMAT), options.location or "", notes)
    except InvalidDocument as invalid:
        return Imported(None, invalid.problems, [])
    default = Entry(_TEMPLATE, notes)
    template = _Template(default, entries.get(_TEMPLATE, {}))
    models, skipped = _models(entries, template, notes)
    problems = list(default.reading.problems)
    if not models and not problems:
        problems = ["document: no model has a price" if skipped else f"document: has no model but {_TEMPLATE!r}"]
    fields = {
        "id": options.id,
        "version": options.version,
        "effective_from": options.effective_from,
        "currency": _CURRENCY,
        "models": tuple(models),
        "source": source_of(value, FORMAT, options),
    }
    return finished(fields, problems, notes.lines(), skipped)


def _entries(document: Any, location: str, notes: Grouped) -> dict[str, Any]:
    if not isinstance(document, dict):
        raise InvalidDocument(FORMAT, [f"document: must be an object, found {shown(document)}"])
    if any(isinstance(entry, dict) and "pricing_config" in entry for entry in document.values()):
        return document
    if "pay_as_you_go" not in document:
        found = ", ".join(shown(key) for key in [*document][:5]) or "nothing"
        raise InvalidDocument(FORMAT, [f"document: is no price list of Portkey: no pricing_config, but {found}"])
    named = _ONE_MODEL.fullmatch(location) or _FILE.fullmatch(location)
    if named is None:
        raise InvalidDocument(FORMAT, [_NO_NAME])
    name = unquote(named[1])
    notes.add("the document has no name, the model has that of its place", key_text(name))
    config = {key: value for key, value in document.items() if key not in ("custom_pricing", *_PLAYGROUND)}
    return {name: {"pricing_config": config, "custom_pricing": document.get("custom_pricing")}}


def _models(entries: dict[str, Any], template: _Template, notes: Grouped) -> tuple[list[Model], list[tuple[str, str]]]:
    priced: dict[str, Priced] = {}
    models, skipped = [], []
    for name, entry in entries.items():
        if name == _TEMPLATE:
            continue
        try:
            priced[name] = _priced(Entry(name, notes), entry, template)
        except UnusableEntry as reason:
            skipped.append((name, str(reason)))
    for name, lists in (priced | by_context(priced, entries, notes)).items():
        try:
            models.append(_model(Entry(name, notes), lists))
        except ValidationError as error:
            skipped.append((name, "; ".join(problems_of(error))))
    return models, skipped


def _model(entry: Entry, lists: Priced) -> Model:
    return Model(
        key=entry.name,
        category="direct",
        currency=_CURRENCY,
        prices=lists[STANDARD].prices,
        units=lists[STANDARD].units,
        cases=tuple(cases_of(entry, lists)),
    )


def _priced(entry: Entry, fields: Any, template: _Template) -> Priced:
    """The price lists of one entry. Raises UnusableEntry where it has none."""
    config = _config(entry, fields)
    if config is None:
        raise UnusableEntry("; ".join(entry.reading.problems) or "pricing_config is null")
    if config.fields.get("currency", _CURRENCY) != _CURRENCY:
        raise UnusableEntry(f"currency is {shown(config.fields['currency'])}, only {_CURRENCY} is known")
    own, special, terms = _own_rates(entry, config), _special(entry, config, fields), _terms(entry, config, template)
    if entry.reading.problems:
        raise UnusableEntry("; ".join(entry.reading.problems))
    free = not any(cents for rates in (own, *special.values()) for cents in rates.values())
    if free and not _FREE.fullmatch(entry.name):
        raise UnusableEntry(_NO_PRICE)
    if free:
        entry.note("free, as the name says")
    if terms:
        check(entry, terms, own, template.named | own)
    standard = special.pop(STANDARD, {})
    if any(own.get(rate, cents) != cents for rate, cents in standard.items()):
        entry.note("custom_pricing has other standard prices than pricing_config, they are taken")
    rates = template.rates | own | standard
    lists = {when: price_list(entry, found, calculated(terms, found)) for when, found in special.items()}
    return completed(entry, price_list(entry, rates, calculated(terms, rates), free=free), lists)


def _config(entry: Entry, fields: Any) -> Node | None:
    if not isinstance(fields, dict):
        entry.reading.problems.append(f"{entry.name}: must be an object, found {shown(fields)}")
        return None
    node = Node(fields, "")
    entry.unknown(node, ("pricing_config", "custom_pricing"))
    config = entry.child(node, "pricing_config")
    if config is not None:
        entry.unknown(config, _CONFIG, "pricing_config.")
    return config


def _own_rates(entry: Entry, config: Node) -> Rates:
    rates = entry.child(config, "pay_as_you_go")
    own = {} if rates is None else read_rates(entry, rates, "pay_as_you_go")
    return own | read_more(entry, config, _MORE)


def _special(entry: Entry, config: Node, fields: dict[str, Any]) -> RatesBySituation:
    custom = entry.child(Node(fields, ""), "custom_pricing")
    try:
        special = {} if custom is None else read_custom(entry, custom)
    except ValidationError as error:
        raise UnusableEntry("; ".join(problems_of(error))) from None
    batch = entry.child(config, "batch_config")
    if batch is not None:
        special[BATCH] = read_rates(entry, batch, "batch_config") | special.get(BATCH, {})
    return special


def _terms(entry: Entry, config: Node, template: _Template) -> Terms:
    calculate = entry.child(config, "calculate")
    if calculate is None:
        return template.terms
    return read_terms(entry, Node(template.calculate | calculate.fields, calculate.path))
