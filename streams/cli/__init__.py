"""The command line. A command's module is imported when it is called, so that `--help` is quick."""

import errno
import os
import sys
from pathlib import Path
from typing import Any

import click

from streams.cli.common import LazyGroup
from streams.version import installed_version

_RUNNING = "streams.cli.running"
_LOOKING = "streams.cli.looking"
_SETUP = "streams.cli.setup"

COMMANDS = {
    "demo": (_RUNNING, "demo", "Price sample usage on a Kafka of its own and watch it."),
    "kafka": (_SETUP, "kafka", "Run that Kafka in the foreground."),
    "topics": (_SETUP, "topics", "Create or check the topics."),
    "sheets": ("streams.cli.prices", "sheets", "Import, check, list, show and compare price sheets."),
    "fx": ("streams.cli.fx", "fx", "Publish and list exchange rates."),
    "accounts": ("streams.cli.accounts", "accounts", "Publish and show what is known of organizations."),
    "price": ("streams.cli.by_hand", "price", "Price events offline and explain each line."),
    "worker": (_RUNNING, "worker", "Run the worker."),
    "totals": (_LOOKING, "totals", "Show a project's totals."),
    "parked": (_LOOKING, "parked", "Show events that wait for a price, rate or account."),
    "rejected": (_LOOKING, "rejected", "Show records that cannot be priced."),
    "schema": (_SETUP, "schema", "Print the JSON Schemas of the records."),
    "bench": (_RUNNING, "bench", "Measure this machine, beside a raw copy."),
}


def _print_version(context: click.Context, _param: click.Parameter, wanted: bool) -> None:
    if wanted:
        click.echo(f"stream-pricing {installed_version()}")
        context.exit()


class _Program(LazyGroup):
    """The whole program: here ends what any of it could not write."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().main(*args, **kwargs)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise
            # Python would write what is left in the buffer at the end, and fail with a code of its own.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            click.echo(f"Error: the output cannot be written: {error.strerror}", err=True)
            sys.exit(1)


@click.group(cls=_Program, lazy=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--config", type=click.Path(path_type=Path), metavar="FILE", help="TOML file with settings.")
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Show the version.",
)
@click.pass_context
def main(context: click.Context, config: Path | None) -> None:
    """Prices usage events on Apache Kafka, exactly once and to the last digit.

    Settings: the TOML file of --config < STREAM_PRICING_* variables (secrets also as *_FILE) < options.
    """
    context.obj = config
