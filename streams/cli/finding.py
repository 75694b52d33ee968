"""Where a command finds a sheet: published, in a file, or at a URL, in any format."""

from collections.abc import Iterable
from pathlib import Path

from pricing.importers import ImportOptions, format_of, read_any
from pricing.sheets import Sheet
from pricing.times import format_time
from streams.cli.common import fail, printable
from streams.cli.progress import progress_bar
from streams.cli.publishing import end_with_problems, fetched, now_ns, shelf
from streams.settings import Settings

ALWAYS = 0  # the start of what has none


def any_sheet(settings: Settings, name: str, form: str | None = None) -> Sheet:
    """What is at a path or URL, of format `form` or of that which it seems to have; or a published ID or ID@VERSION.

    What has a slash or ends in .json is never an id.
    """
    if not ("/" in name or name.endswith(".json") or Path(name).exists()):
        id_, _, version = name.partition("@")
        return one_of(published(settings), id_, version or None)
    with progress_bar() as step:
        document = fetched(name, settings, form, step=step)
        step("reading")
        form = form or format_of(document.value)
        imported = read_any(document.value, form, ImportOptions(form, "file", ALWAYS, location=document.location))
    if imported.sheet is None:
        end_with_problems(name, imported.problems)
    return imported.sheet


def refuse_unknown(provider: str, where: str, sheets: Iterable[Sheet]) -> None:
    """End the program where none of the sheets has a model of that provider alone."""
    known = sorted({model.provider for sheet in sheets for model in sheet.models if model.provider is not None})
    if provider not in known:
        there = f"there is {', '.join(known)}" if known else "all models there are of any provider"
        fail(printable(f"no provider {provider!r} in {where}; {there}"))


def titled(sheet: Sheet) -> str:
    """`sheet openai@1 from 2026-11-01T00:00:00Z`."""
    start = "" if sheet.effective_from == ALWAYS else f" from {format_time(sheet.effective_from)}"
    return f"sheet {sheet.id}@{sheet.version}{start}"


def published(settings: Settings) -> list[Sheet]:
    """Every published sheet, in the order of publication."""
    return [each.sheet for each in shelf(settings).book if each.sheet is not None]


def one_of(found: Iterable[Sheet], id_: str, version: str | None) -> Sheet:
    """The version of that name; without one, the version in force now, else the next one to be."""
    versions = [sheet for sheet in found if sheet.id == id_]
    if not versions:
        fail(f"no sheet {id_!r} is published")
    if version is None:
        return in_force(versions)[0]
    named = [sheet for sheet in versions if sheet.version == version]
    if not named:
        fail(f"sheet {id_!r} has no version {version!r}; published are {', '.join(each.version for each in versions)}")
    return named[0]


def in_force(found: Iterable[Sheet]) -> list[Sheet]:
    """Of each id the version in force now, else the next one to be."""
    now = now_ns()
    versions: dict[str, list[Sheet]] = {}
    for sheet in sorted(found, key=lambda sheet: sheet.effective_from):
        versions.setdefault(sheet.id, []).append(sheet)
    return [
        next((sheet for sheet in reversed(by_start) if sheet.effective_from <= now), by_start[0])
        for by_start in versions.values()
    ]
