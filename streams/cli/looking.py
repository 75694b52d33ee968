"""Commands that look at what the worker has written: totals, parked and rejected. They write nothing."""

import csv
import io
import json as json_format
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import click
from aiokafka import ConsumerRecord

from pricing.totals import MEMBERS, OBJECTS
from streams.cli.common import Command, Group, fail, print_rows, printable, run, with_settings
from streams.cli.publishing import NAME, json_option
from streams.headers import OWN
from streams.reading import read_topic
from streams.settings import Settings

Row = dict[str, Any]
Path = tuple[str, ...]

_PARKED_KEY = b"parked/"


@click.command(cls=Command)
@click.argument("project", type=NAME)
@click.option(
    "--window",
    type=click.Choice(["hour", "day", "month"]),
    default="day",
    show_default=True,
    help="How long a row is.",
)
@click.option("--organization", type=NAME, help="Only the project of this organization.")
@click.option("--items", is_flag=True, help="A row for each item, in place of one for all.")
@click.option("--csv", "as_csv", is_flag=True, help="Comma-separated, every field.")
@json_option
@with_settings
def totals(
    settings: Settings,
    project: str,
    window: str,
    organization: str | None,
    items: bool,
    as_csv: bool,
    json: bool,
) -> None:
    """Show what PROJECT has used, and what it costs, per window."""
    if as_csv and json:
        raise click.UsageError("--csv and --json are two forms: give one")

    def belongs(key: str) -> bool:
        parts = key.split("/", 4)
        return (
            len(parts) == (5 if items else 4) and parts[1:3] == [project, window] and organization in (None, parts[0])
        )

    last = run(_last_values(settings, settings.topics.totals, belongs))
    rows = sorted(last.values(), key=lambda row: (row["start"], row["organization"], row.get("item", "")))
    if not rows:
        click.echo(printable(f"there are no totals of project {project!r} by the {window}"), err=True)
    if as_csv:
        click.echo(_csv(rows, by_item=items), nl=False)
        return
    columns = [
        "start",
        "organization",
        *(["item"] if items else []),
        "events",
        "synapses",
        "neurons",
        "due",
        *(name for name in ("cost", "margin") if any(name in row for row in rows)),
        "converted",
    ]
    _print_found(rows if json else list(map(_short, rows)), json=json, columns=columns)


def _print_found(rows: Sequence[Row], *, json: bool, columns: Sequence[str]) -> None:
    """Nothing, where nothing was found: a heading alone looks like an answer that was cut off."""
    if rows:
        print_rows(rows, json=json, columns=columns)


def _short(row: Row) -> Row:
    converted = {currency: amounts["due"] for currency, amounts in row["converted"].items()}
    return row | {"converted": converted}


def _csv(rows: Sequence[Row], *, by_item: bool) -> str:
    """Every field, `due_CHF` and `converted_USD_net` too: in the order of the record, alike for any rows."""
    item = ["item"] if by_item else []
    names = ["organization", "project", "window", "start", "end", *item, *MEMBERS, *OBJECTS, "revision", "as_of"]
    places = {name: place for place, name in enumerate(names)}
    table = [dict(_leaves(row)) for row in rows]
    paths = {(name,) for name in names if name not in OBJECTS} | {path for leaves in table for path in leaves}
    columns = sorted(paths, key=lambda path: (places.get(path[0], len(places)), path))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["_".join(path) for path in columns])
    writer.writerows([leaves.get(path) for path in columns] for leaves in table)
    return text.getvalue()


def _leaves(row: Row, above: Path = ()) -> Iterator[tuple[Path, Any]]:
    for name, value in row.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*above, name))
        else:
            yield (*above, name), value


@click.group(cls=Group)
def parked() -> None:
    """Show events that wait for a price, rate or account."""


@parked.command("list")
@json_option
@with_settings
def parked_list(settings: Settings, json: bool) -> None:
    """List the events that are parked now, oldest first, each with its present reason."""
    waiting: dict[tuple[int, int], Row] = {}

    def on_record(record: ConsumerRecord) -> None:
        if not (record.key or b"").startswith(_PARKED_KEY):
            return
        offset = int(record.key[len(_PARKED_KEY) :])
        if record.value is None:
            waiting.pop((record.partition, offset), None)
        else:
            waiting[record.partition, offset] = json_format.loads(record.value)

    run(read_topic(settings, settings.topics.state, on_record=on_record))
    rows = [_parked_row(value, *at) for at, value in waiting.items()]
    rows.sort(key=lambda row: (row["since"], row["partition"], row["offset"]))
    if not rows:
        click.echo("no event is parked", err=True)
    columns = ["reason", "since", "organization", "project", "event", "detail"]
    _print_found(rows, json=json, columns=columns)


def _parked_row(value: Row, partition: int, offset: int) -> Row:
    return {
        "reason": value["reason"],
        "since": value["since"],
        "event": {name: value[name] for name in ("source", "id", "type")},
        "organization": value["organization"],
        "project": value["project"],
        "detail": value["detail"],
        "partition": partition,
        "offset": offset,
    }


@click.group(cls=Group)
def rejected() -> None:
    """Show records that cannot be priced."""


@rejected.command("list")
@json_option
@with_settings
def rejected_list(settings: Settings, json: bool) -> None:
    """List the rejected records by topic, partition and offset of the raw record, oldest rejection first."""
    rows: list[Row] = []
    topic = settings.topics.rejected
    run(read_topic(settings, topic, on_record=lambda record: rows.append(_rejected_row(record))))
    rows.sort(key=lambda row: (row["at"], row["partition"], row["offset"]))
    if not rows:
        click.echo("no record is rejected", err=True)
    columns = ["reason", "at", "partition", "offset", "key", "size", "detail"]
    _print_found(rows, json=json, columns=columns)


@rejected.command("show")
@click.argument("partition", type=click.IntRange(0))
@click.argument("offset", type=click.IntRange(0))
@json_option
@with_settings
def rejected_show(settings: Settings, partition: int, offset: int, json: bool) -> None:
    """Show headers and value of the rejected record that was at PARTITION and OFFSET of the raw topic."""
    found: list[ConsumerRecord] = []

    def on_record(record: ConsumerRecord) -> None:
        ours = _ours(record)
        if (ours.get("partition"), ours.get("offset")) == (str(partition), str(offset)):
            found.append(record)

    run(read_topic(settings, settings.topics.rejected, on_record=on_record))
    if not found:
        fail(f"no rejected record was at partition {partition}, offset {offset} of {settings.topics.raw}")
    record = found[-1]
    headers = [(name, _text(value)) for name, value in record.headers]
    if json:
        row = _rejected_row(record) | {"headers": headers, "value": _text(record.value)}
        print_rows([row], json=True, columns=())
        return
    for name, value in headers:
        click.echo(printable(f"{name}: {value}"))
    click.echo("\n" + printable(_text(record.value) or "", allowed="\n\t"))


def _rejected_row(record: ConsumerRecord) -> Row:
    ours = _ours(record)
    return {
        "reason": ours.get("reason", ""),
        "detail": ours.get("detail", ""),
        "at": ours.get("at", ""),
        "topic": ours.get("topic", ""),
        "partition": int(ours.get("partition", -1)),
        "offset": int(ours.get("offset", -1)),
        "key": _text(record.key),
        "size": int(ours.get("length", len(record.value or b""))),
    }


def _ours(record: ConsumerRecord) -> Mapping[str, str]:
    """The headers that the worker added, without their prefix."""
    return {name[len(OWN) :]: _text(value) or "" for name, value in record.headers if name.startswith(OWN)}


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("utf-8", "backslashreplace")


async def _last_values(settings: Settings, topic: str, wanted: Callable[[str], bool]) -> dict[str, Row]:
    """The last value of each key for which `wanted(key)` is true; tombstones take their key away."""
    last: dict[str, Row] = {}

    def on_record(record: ConsumerRecord) -> None:
        key = (record.key or b"").decode("utf-8", "replace")
        if not wanted(key):
            return
        if record.value is None:
            last.pop(key, None)
        else:
            last[key] = json_format.loads(record.value)

    await read_topic(settings, topic, on_record=on_record)
    return last
