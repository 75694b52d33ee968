"""Commands around a cluster: its topics, an embedded Kafka, and the schemas of what is on the topics."""

import json
from pathlib import Path

import click

from streams.cli.common import Command, Group, fail, run, with_settings
from streams.settings import Settings


@click.group(cls=Group)
def topics() -> None:
    """Create or check the topics."""


@topics.command("create")
@click.option("--partitions", type=click.IntRange(1, 10_000), default=12, show_default=True, help="Of each data topic.")
@click.option(
    "--replication-factor",
    type=click.IntRange(1, 100),
    help="Copies of each partition; default: 3, or as many as there are brokers.",
)
@with_settings
def create(settings: Settings, partitions: int, replication_factor: int | None) -> None:
    """Create the topics that are missing. If one exists and differs, nothing is created or changed."""
    from streams import admin

    created = run(admin.create_topics(settings, partitions, replication_factor))
    for name in created:
        click.echo(f"created {name}")
    if not created:
        click.echo("all topics exist, with the settings that they should have")


@topics.command("check")
@with_settings
def check(settings: Settings) -> None:
    """Say what differs from the promised topics, and what makes the cluster weak."""
    from streams import admin

    found = run(admin.check_topics(settings))
    for warning in found.warnings:
        click.echo(f"warning: {warning}", err=True)
    for problem in found.problems:
        click.echo(f"problem: {problem}", err=True)
    if found.problems:
        fail(f"{len(found.problems)} problems with the topics")
    click.echo("the topics are as they should be")


@click.command(cls=Command)
@click.option("--port", type=click.IntRange(1, 65_535), help="Port of 127.0.0.1; default: a free one.")
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where to keep data; default: nowhere.",
)
def kafka(port: int | None, data_dir: Path | None) -> None:
    """Run Apache Kafka in the foreground, for trying things out, and print its address."""
    from streams.embedded_kafka import main_kafka
    from streams.kafka_jars import KafkaUnavailable

    try:
        raise SystemExit(main_kafka(port, data_dir))
    except KafkaUnavailable as unavailable:
        fail(str(unavailable))


@click.command(cls=Command)
@click.option("--json", "_json", is_flag=True, help="JSON, which is the only form.")
@with_settings
def schema(settings: Settings, _json: bool) -> None:
    """Print one JSON document with the JSON Schema (draft 2020-12) of the records on each topic."""
    from streams.schema import schemas

    click.echo(json.dumps(schemas(settings.topics), indent=2, ensure_ascii=False))
