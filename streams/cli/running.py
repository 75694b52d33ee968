"""Commands that run: the worker, the demo, the benchmark."""

import json as json_format
import logging
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from streams.cli.common import Command, fail, run, with_all_settings
from streams.settings import Settings


@contextmanager
def _ended_by_signals(exit_code: int = 130) -> Iterator[None]:
    """SIGTERM and a closed terminal end it as Ctrl-C does, with everything cleaned up; errors are one line."""
    from streams.kafka_errors import KNOWN, one_line

    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    # Not default_int_handler for all: raised anywhere in an event loop it would break the clean-up of asyncio.run.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        yield
    except KeyboardInterrupt:
        raise SystemExit(exit_code) from None
    except KNOWN as error:
        fail(one_line(error))


@click.command(cls=Command)
@click.option("--processes", type=click.IntRange(1, 64), default=1, show_default=True, help="Worker processes to run.")
@click.option("--parent", type=int, hidden=True, help="The process that runs several, with which this one ends.")
@with_all_settings
def worker(settings: Settings, processes: int, parent: int | None) -> None:
    """Price usage events until SIGTERM: drains within 5 seconds; a second SIGTERM ends at once."""
    from streams.running import run_worker, run_workers, set_up_logging

    set_up_logging(settings)
    if processes == 1:
        run(run_worker(settings, parent), is_logged=True)
        return
    last = settings.http_port + processes - 1
    if settings.http_port and last > 65_535:
        fail(f"--processes={processes} from http_port {settings.http_port} on needs ports up to {last}, over 65535")
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


@click.command(cls=Command)
@click.option("--events", type=click.IntRange(100), default=3_000, show_default=True, help="Raw records to send.")
@click.option("--exit", "ends", is_flag=True, help="End then, with an account; exit code 1 if it does not add up.")
@with_all_settings
def demo(settings: Settings, events: int, ends: bool) -> None:
    """Price sample usage on a Kafka of its own, and watch spend per project grow.

    On the embedded Kafka, or on the cluster that the settings name, on topics of its own. Without --exit it goes on
    until Ctrl-C.
    """
    from streams.demo import Plan
    from streams.demo import demo as show

    with _ended_by_signals(0 if not ends else 130):
        problems = show(settings, Plan(events, ends, click.get_current_context().find_root().obj))
    for problem in problems[:20]:
        click.echo(f"problem: {problem}", err=True)
    if problems:
        fail(f"the account does not add up: {len(problems)} problems")


_PARTS = ("throughput", "processes", "latency", "restore")


class _Parts(click.ParamType):
    name = "parts"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Names with commas between."""
        parts = tuple(value.split(",")) if isinstance(value, str) else value
        for part in parts:
            if part not in _PARTS:
                self.fail(f"{part!r} is none of {', '.join(_PARTS)}", param, ctx)
        return tuple(parts)


@click.command(cls=Command)
@click.option("--events", type=click.IntRange(1_000), default=300_000, show_default=True, help="Size of the backlog.")
@click.option("--partitions", type=click.IntRange(1, 16), default=4, show_default=True, help="Of each data topic.")
@click.option("--only", type=_Parts(), default=_PARTS, metavar="PARTS", help=f"Of {','.join(_PARTS)}.")
@click.option(
    "--latency-seconds",
    type=click.FloatRange(1),
    default=20,
    show_default=True,
    help="How long to measure a stream, after 15 s of it.",
)
@click.option(
    "--restore-ids", type=click.IntRange(1_000), default=1_000_000, show_default=True, help="Ids in the state."
)
@click.option("--quick", is_flag=True, help="A fifth of all that: a first look.")
@click.option("--json", is_flag=True, help="End with one line of JSON.")
@with_all_settings
def bench(
    settings: Settings, /, only: tuple[str, ...], quick: bool, json: bool, latency_seconds: float, **sizes: int
) -> None:
    """Measure throughput, latency, memory and restore on this machine, beside a raw copy.

    On the embedded Kafka, or on the cluster that the settings name.
    """
    from streams.benchmark import Plan, report
    from streams.benchmark import bench as measure

    scale = 5 if quick else 1
    plan = Plan(
        events=sizes["events"] // scale,
        partitions=sizes["partitions"],
        latency_s=latency_seconds / scale,
        restore_ids=sizes["restore_ids"] // scale,
        config=click.get_current_context().find_root().obj,
    )
    with _ended_by_signals():
        figures = measure(settings, plan, only)
    for line in report(figures):
        click.echo(line)
    if json:
        click.echo(json_format.dumps(figures))
