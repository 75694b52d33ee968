"""`sheets import` and `sheets check`: foreign documents, looked at as a whole before any of it is sent."""

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import click

from pricing.importers import IMPORTERS, OWN_FORMAT, Imported, ImportOptions, format_of, read_any
from pricing.sheet_review import warnings
from pricing.sheets import Sheet, sheet_bytes
from streams.cli.common import Command, counted, fail, print_rows, printable, with_settings
from streams.cli.finding import titled
from streams.cli.progress import progress_bar
from streams.cli.publishing import (
    IDENTIFIER,
    IMAGE_PRICE,
    MARKUP,
    TIME,
    end_with_problems,
    fetched,
    json_option,
    publish_document,
    retroactive_option,
)
from streams.settings import Settings

_NUMBERS = re.compile(r"[0-9][0-9.,]*")


class Finding(NamedTuple):
    """A warning, or an entry that was skipped; of one `kind` are those that differ in nothing but where they are."""

    severity: str
    text: str
    kind: str


@click.command("import", cls=Command)
@click.argument("place", metavar="FILE-or-URL")
@click.option(
    "--format",
    "form",
    type=click.Choice([*IMPORTERS, OWN_FORMAT]),
    required=True,
    help=f"The document's format; {OWN_FORMAT} is what this command prints.",
)
@click.option("--id", type=IDENTIFIER, required=True, help="The sheet's id.")
@click.option("--version", type=IDENTIFIER, required=True, help="The sheet's version.")
@click.option("--effective-from", type=TIME, required=True, help="From when it counts, RFC 3339.")
@click.option(
    "--image-price",
    type=IMAGE_PRICE,
    help="Price per 1M synapses of image operations, or model-input or model-output.",
)
@click.option("--markup", type=MARKUP, help="List prices are the document's and so many percent on top.")
@click.option(
    "--dated-snapshots",
    is_flag=True,
    help="Price a name that ends in a date, and is none of the sheet, as the model that it is a snapshot of.",
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
@click.option("--verbose", is_flag=True, help="List every skipped entry and warning, not one of each.")
@with_settings
def import_sheet(settings: Settings, /, place: str, form: str, wanted: bool, **how: Any) -> None:
    """Read a foreign price sheet; print it as a sheet, or publish it.

    It ends with a summary on stderr: what was skipped and why, what is doubtful, how many models there are.
    """
    named = {name: how[name] for name in ("id", "version", "effective_from", "image_price")}
    with progress_bar() as step:
        document = fetched(place, settings, form, how["endpoints"], step=step)
        step("reading")
        imported = read_any(document.value, form, ImportOptions(**named, location=document.location))
    if imported.sheet is None:
        _print_findings(_findings(imported, None), verbose=how["verbose"])
        end_with_problems(place, imported.problems)
    sheet = imported.sheet
    if form == OWN_FORMAT:
        sheet = sheet.model_copy(update={name: value for name, value in named.items() if value is not None})
    sheet = _with_terms(sheet, how["markup"], how["dated_snapshots"])
    findings = _findings(imported, sheet)
    _print_findings(findings, verbose=how["verbose"])
    hidden = not how["verbose"] and len(findings) > sum(1 for _ in _grouped(findings))
    hint = " (--verbose lists each)" if hidden else ""
    click.echo(f"{titled(sheet)}: {_contents(sheet)}{_counts(findings)}{hint}", err=True)
    if wanted:
        publish_document(settings, sheet, retroactive=how["retroactive"])
    else:
        click.echo(sheet_bytes(sheet).decode())


def _with_terms(sheet: Sheet, markup: Decimal | None, dated_snapshots: bool) -> Sheet:
    changes: dict[str, object] = {} if markup is None else {"markup_percentage": markup}
    changes |= {"dated_snapshots": True} if dated_snapshots else {}
    if changes and not any(model.category == "direct" for model in sheet.models):
        raise click.UsageError("--markup and --dated-snapshots are for models priced by the token or unit: it has none")
    return sheet.model_copy(update=changes)


def _findings(imported: Imported, sheet: Sheet | None) -> list[Finding]:
    """Everything but the problems, as it is listed: alike things follow each other."""
    reviewed = warnings(sheet) if sheet else []
    if imported.draft is not None:
        reviewed = warnings(imported.draft, is_whole=False)
    skipped = [Finding("skipped", f"{name}: {reason}", reason) for name, reason in imported.skipped]
    noted = [Finding("warning", text, text) for text in imported.warnings]
    # Reviews of prices differ in the model and the number: what is alike is what they say of it.
    doubts = [Finding("warning", text, _NUMBERS.sub("", text.split(": ", 1)[-1])) for text in reviewed]
    return skipped + noted + doubts


def _grouped(findings: Sequence[Finding]) -> Iterator[tuple[str, str]]:
    """Severity and text, one for all that are alike."""
    groups: dict[tuple[str, str], list[Finding]] = {}
    for each in findings:
        groups.setdefault((each.severity, each.kind), []).append(each)
    for (severity, _), alike in groups.items():
        more = f" (and {len(alike) - 1:,} more)" if len(alike) > 1 else ""
        yield severity, f"{alike[0].text}{more}"


def _print_findings(findings: Sequence[Finding], *, verbose: bool) -> None:
    rows = [(each.severity, each.text) for each in findings] if verbose else _grouped(findings)
    for severity, text in rows:
        click.echo(printable(f"{severity}: {text}"), err=True)


def _contents(sheet: Sheet) -> str:
    """What there is: `1,285 models of 34 providers, 12 of them free`."""
    counts = {
        "model": len(sheet.models),
        "image operation": len(sheet.image_operations),
        "terminal dimension": len(sheet.terminal),
        "tier": len(sheet.tiers),
    }
    models, *rest = [counted(count, name) for name, count in counts.items() if count or name == "model"]
    providers = {model.provider for model in sheet.models} - {None}
    models += f" of {counted(len(providers), 'provider')}" if providers else ""
    free = sum(model.is_free for model in sheet.models)
    return ", ".join([models, *([f"{free:,} of them free"] if free else []), *rest])


def _counts(findings: Sequence[Finding]) -> str:
    skipped = sum(each.severity == "skipped" for each in findings)
    parts = [counted(skipped, "entry", "entries") + " skipped"] if skipped else []
    parts += [counted(len(findings) - skipped, "warning")] if len(findings) > skipped else []
    return f"; {', '.join(parts)}" if parts else ""


@click.command("check", cls=Command)
@click.argument("place", metavar="FILE-or-URL")
@click.option(
    "--format",
    "form",
    type=click.Choice([*IMPORTERS, OWN_FORMAT]),
    help="The document's format; otherwise it is told from the document.",
)
@click.option("--verbose", "_verbose", is_flag=True, help="List each one by itself, which is the only form.")
@json_option
@with_settings
def check_sheet(settings: Settings, place: str, form: str | None, _verbose: bool, json: bool) -> None:
    """List each problem and warning of a document, and what it would skip. Exit code 1 where there is a problem."""
    with progress_bar() as step:
        document = fetched(place, settings, form, step=step)
        step("reading")
        options = ImportOptions("checked", "checked", 0, location=document.location)
        imported = read_any(document.value, form or format_of(document.value), options)
    findings = _findings(imported, imported.sheet)
    rows = [("problem", problem) for problem in imported.problems]
    rows += [(each.severity, each.text) for each in findings]
    if rows or json:
        print_rows(
            ({"severity": severity, "text": text} for severity, text in rows), json=json, columns=["severity", "text"]
        )
    if imported.sheet is None:
        fail(f"{place}: {counted(len(imported.problems), 'problem')}")
    if not json:
        found = _counts(findings) or "; no problems, no warnings"
        click.echo(f"{place}: {_contents(imported.sheet)}{found}")
