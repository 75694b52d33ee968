"""Commands that run: the worker, offline pricing, the demo, the benchmark."""

import sys

import click

from streams.cli.common import Command, run, with_all_settings
from streams.settings import Settings


@click.command(cls=Command)
@click.option("--processes", type=click.IntRange(1, 64), default=1, show_default=True, help="Worker processes to run.")
@with_all_settings
def worker(settings: Settings, processes: int) -> None:
    """Price usage events until SIGTERM: drains within 5 seconds; a second SIGTERM ends at once."""
    from streams.running import run_worker, run_workers, set_up_logging

    set_up_logging(settings)
    if processes == 1:
        run(run_worker(settings))
        return
    arguments = _without(sys.argv[1:], "--processes", "--http-port")
    sys.exit(run(run_workers(arguments, settings.http_port, processes)))


def _without(arguments: list[str], *options: str) -> list[str]:
    """Command line arguments without these options and their values."""
    kept = []
    skip = False
    for argument in arguments:
        if skip:
            skip = False
        elif argument in options:
            skip = True
        elif not argument.startswith(tuple(f"{option}=" for option in options)):
            kept.append(argument)
    return kept
