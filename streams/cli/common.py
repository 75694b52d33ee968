"""What the commands share: settings as options, output as table or JSON, and one line for what goes wrong.

Exit codes: 0; 1 with one line on stderr; 2 for wrong usage; 130 after Ctrl-C.
"""

import functools
import importlib
import json as json_format
import logging
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any, Concatenate, NoReturn, ParamSpec, TypeVar

import click

P = ParamSpec("P")
T = TypeVar("T")

# The settings that have an option, by section of --help. Secrets have none: `ps` would show them.
SECTIONS: Mapping[str, tuple[str, ...]] = {
    "Cluster": (
        "bootstrap_servers",
        "topic_prefix",
        "app",
        "request_timeout_ms",
    ),
    "Security": (
        "security_protocol",
        "sasl_mechanism",
        "sasl_username",
        "ssl_cafile",
        "ssl_certfile",
        "ssl_keyfile",
        "ssl_check_hostname",
    ),
    "Pricing": (
        "sheets",
        "cost_sheets",
        "provider_cost_tolerance_percentage",
        "report_currencies",
        "require_account",
        "max_age_days",
    ),
    "Worker": (
        "commit_interval_ms",
        "batch_events_max",
        "session_timeout_ms",
        "rebalance_timeout_ms",
        "transaction_timeout_ms",
        "http_host",
        "http_port",
        "log_level",
        "log_json",
    ),
}


class SettingOption(click.Option):
    """An option that is a setting; `section` is where --help shows it."""

    def __init__(self, *args: Any, section: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.section = section


class Command(click.Command):
    """A command whose --help shows its own options first, then the settings in sections."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            row = param.get_help_record(ctx)
            if row is not None:
                sections.setdefault(getattr(param, "section", "Options"), []).append(row)
        for name in ("Options", *SECTIONS):
            if name in sections:
                title = name if name == "Options" else f"{name} (also as STREAM_PRICING_... or in --config)"
                with formatter.section(title):
                    formatter.write_dl(sections[name])


class Group(click.Group):
    """A group of such commands."""

    command_class = Command
    group_class = type


class LazyGroup(Group):
    """A group that imports a command when it is called; `lazy`: name to module, attribute, short help."""

    def __init__(self, *args: Any, lazy: Mapping[str, tuple[str, str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._lazy:
            return None
        module, attribute, _ = self._lazy[cmd_name]
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, short) for name, (_, _, short) in self._lazy.items()])


def _settings_of(
    *sections: str, without: Sequence[str] = ()
) -> Callable[[Callable[Concatenate[Any, P], T]], Callable[P, T]]:
    def decorate(function: Callable[Concatenate[Any, P], T]) -> Callable[P, T]:
        names = {name: section for section in sections for name in SECTIONS[section] if name not in without}

        @functools.wraps(function)
        def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
            from streams.errors import BadOption, Refused
            from streams.settings import load_settings

            options = {name: kwargs.pop(name) for name in names}
            try:
                settings = load_settings(click.get_current_context().find_root().obj, options)
            except BadOption as wrong:
                raise click.UsageError(printable(str(wrong))) from None
            except Refused as refused:
                fail(str(refused))
            return function(settings, *args, **kwargs)

        command: Callable[P, T] = wrapped
        for name in reversed(names):
            command = _option(name, names[name])(command)
        return command

    return decorate


def _option(name: str, section: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    from streams.settings import Settings

    field = Settings.model_fields[name]
    flag = "--" + name.replace("_", "-")
    default = field.default if isinstance(field.default, str | int) and field.default != "" else None
    default = str(default).lower() if field.annotation is bool else default
    shown = f"{field.description} [{default}]" if default is not None else field.description
    return click.option(
        f"{flag}/--no-{flag[2:]}" if field.annotation is bool else flag,
        name,
        cls=SettingOption,
        section=section,
        default=None,
        metavar=None if field.annotation is bool else "VALUE",
        help=shown,
    )


# Decorators: the command gets `settings` as its first argument, and the options that go with them.
with_settings = _settings_of("Cluster", "Security")
with_all_settings = _settings_of(*SECTIONS)
with_offline_settings = _settings_of(
    "Pricing", without=("sheets", "cost_sheets", "provider_cost_tolerance_percentage", "max_age_days")
)


def fail(message: str) -> NoReturn:
    """End the program with exit code 1 and one line on stderr, whatever a stranger's text has come into it."""
    raise click.ClickException(printable(" ".join(message.split())))


def run(work: Coroutine[Any, Any, T], *, is_logged: bool = False) -> T:
    """Run `work` to its end. Whatever the operator or the cluster caused ends the program with one line.

    `is_logged`: there is a log, and the clients write to it.
    """
    import asyncio

    from streams.kafka_errors import KNOWN, one_line

    if not is_logged:
        # The clients log at ERROR what they then raise; the one line says it.
        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    try:
        return asyncio.run(work)
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except KNOWN as error:
        fail(one_line(error))


def print_rows(rows: Iterable[Mapping[str, Any]], *, json: bool, columns: Sequence[str], heading: bool = True) -> None:
    """Rows as one JSON object a line, whole, or as a table of `columns`."""
    if json:
        for row in rows:
            click.echo(json_format.dumps(row, ensure_ascii=False))
        return
    table = [*([list(columns)] if heading else []), *([_cell(row.get(column)) for column in columns] for row in rows)]
    widths = [max(len(line[i]) for line in table) for i in range(len(columns))]
    for line in table:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def counted(count: int, name: str, names: str | None = None) -> str:
    """`1 model`, `4,341 models`; `names` where the plural is not made by an s."""
    return f"{count:,} {name if count == 1 else names or name + 's'}"


def _cell(value: object) -> str:
    """Text for a terminal, whatever a stranger wrote into a topic."""
    if isinstance(value, Mapping):
        value = " ".join(f"{name}={part}" for name, part in value.items())
    return printable("" if value is None else str(value))


def printable(text: str, allowed: str = "") -> str:
    """`text` with control characters replaced, except the `allowed` ones: a terminal obeys them."""
    return "".join(char if char.isprintable() or char in allowed else "\N{REPLACEMENT CHARACTER}" for char in text)
