"""The command line without a cluster: help, usage, exit codes, and what is printed of what."""

import asyncio
import logging
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    InvalidTimestampError,
    KafkaConnectionError,
    SaslAuthenticationFailed,
)
from click.testing import CliRunner, Result

from streams.bookshelf import Shelf
from streams.cli import COMMANDS, main
from streams.cli.common import SECTIONS, Command, fail, print_rows, run, with_all_settings, with_settings
from streams.errors import Refused
from streams.settings import SECRETS, Settings

MINE = ("kafka", "topics", "totals", "parked", "rejected", "schema")
UNREACHABLE = {"STREAM_PRICING_BOOTSTRAP_SERVERS": "127.0.0.1:1"}


@pytest.fixture(autouse=True)
def _the_clients_log_level_is_put_back() -> Iterator[None]:
    """`run` silences aiokafka for the rest of a process, and this one goes on."""
    logger = logging.getLogger("aiokafka")
    level = logger.level
    yield
    logger.setLevel(level)


def invoke(*args: str, env: dict[str, str] | None = None) -> Result:
    """The program with these arguments, and no settings but `env`."""
    return CliRunner().invoke(main, args, env=env, prog_name="stream-pricing")


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The path of every command of mine."""
    context = click.Context(group)
    for name in group.list_commands(context):
        if not path and name not in MINE:
            continue
        command = group.get_command(context, name)
        yield (*path, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


@pytest.mark.parametrize("path", list(commands(main)), ids=" ".join)
def test_every_command_has_help(path: tuple[str, ...]) -> None:
    """With a first sentence, and a text for each option."""
    result = invoke(*path, "--help")
    assert result.exit_code == 0
    command: click.Command | None = main
    for name in path:
        assert isinstance(command, click.Group)
        command = command.get_command(click.Context(command), name)
    assert command is not None
    assert command.help
    unexplained = [p.name for p in command.params if isinstance(p, click.Option) and not p.help]
    assert unexplained == []


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (("totals", "a/b"), 2, "'PROJECT': 'a/b' is not of the form"),
        (("totals", "a", "--organization", ""), 2, "'--organization': '' is not of the form"),
        (("accounts", "show", "a b"), 2, "'ORGANIZATION': 'a b' is not of the form"),
        (("worker", "--http-port", "65534", "--processes", "3"), 1, "needs ports up to 65536, over 65535"),
        (("sheets", "check", ""), 1, "'' cannot be read"),
    ],
)
def test_what_cannot_be_is_refused_before_a_broker_is_asked(args: tuple[str, ...], code: int, said: str) -> None:
    """By the name of what was given."""
    result = invoke(*args)
    assert (result.exit_code, said in result.stderr) == (code, True), result.output


def test_the_program_s_help_names_every_command() -> None:
    """Without importing what they need."""
    result = invoke("--help")
    assert result.exit_code == 0
    assert [name for name in COMMANDS if f"\n  {name} " not in result.output] == []


def test_help_is_quick() -> None:
    """The program's help imports neither the Kafka client nor pydantic."""
    code = "import sys, streams.cli; print(sorted({'aiokafka', 'pydantic', 'aiohttp'} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"


def test_every_setting_but_secrets_has_an_option() -> None:
    """Each in one section."""
    shown = [name for names in SECTIONS.values() for name in names]
    assert sorted(shown) == sorted(set(Settings.model_fields) - SECRETS)


def test_no_help_mentions_a_secret_s_value() -> None:
    """--help shows defaults, never what is set."""
    result = invoke("topics", "check", "--help", env={"STREAM_PRICING_SASL_PASSWORD": "hunter2"})
    assert "hunter2" not in result.output
    assert "password" not in result.output


def test_the_version_is_printed() -> None:
    """Alone on a line with the program's name."""
    assert invoke("--version").output.startswith("stream-pricing ")


@pytest.mark.parametrize(
    ("args", "env", "code", "said"),
    [
        (("topics",), {}, 2, "Usage: stream-pricing topics"),
        (("nonsense",), {}, 2, "No such command 'nonsense'"),
        (("topics", "check", "--nonsense"), {}, 2, "No such option: --nonsense"),
        (("totals",), {}, 2, "Missing argument 'PROJECT'"),
        (("topics", "create", "--partitions", "0"), {}, 2, "0 is not in the range"),
        (("topics", "check"), {"STREAM_PRICING_APPP": "x"}, 1, "unknown setting STREAM_PRICING_APPP"),
        (("topics", "check", "--request-timeout-ms", "x"), {}, 2, "--request-timeout-ms='x'"),
        (("topics", "check"), {"STREAM_PRICING_REQUEST_TIMEOUT_MS": "x"}, 1, "STREAM_PRICING_REQUEST_TIMEOUT_MS='x'"),
        (("--config", "/nowhere", "topics", "check"), {}, 1, "the settings file /nowhere cannot be read"),
        (("topics", "check"), UNREACHABLE, 1, "no connection to Kafka at 127.0.0.1:1: "),
        (("topics", "create"), UNREACHABLE, 1, "no connection to Kafka at 127.0.0.1:1: "),
        (("totals", "proj_1"), UNREACHABLE, 1, "no connection to Kafka at 127.0.0.1:1: "),
        (("parked", "list"), UNREACHABLE, 1, "no connection to Kafka at 127.0.0.1:1: "),
        (("rejected", "show", "0", "1"), UNREACHABLE, 1, "no connection to Kafka at 127.0.0.1:1: "),
    ],
)
def test_what_goes_wrong_has_its_exit_code(args: tuple[str, ...], env: dict[str, str], code: int, said: str) -> None:
    """2 for usage, 1 with one line for everything else, and no traceback."""
    result = invoke(*args, env=env)
    assert (result.exit_code, said in result.output) == (code, True)
    assert code == 2 or len(result.output.splitlines()) == 1


def test_an_option_beats_the_variable() -> None:
    """The address in the message is the option's."""
    result = invoke("topics", "check", "--bootstrap-servers", "127.0.0.1:2", env=UNREACHABLE)
    assert "127.0.0.1:2" in result.output


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (Refused("two\nlines"), "Error: two lines\n"),
        (
            KafkaConnectionError("no broker"),
            "Error: Kafka cannot be reached: KafkaConnectionError: no broker\n",
        ),
        (SaslAuthenticationFailed("bad"), "Error: Kafka refused the SASL user name or password: "),
        (GroupAuthorizationFailedError("g"), "Error: Kafka's ACLs do not allow the consumer group: "),
        (InvalidTimestampError(), "Error: Kafka takes no records of the time that this machine's clock has: "),
        (TimeoutError(), "Error: Kafka did not answer in time\n"),
    ],
)
def test_errors_of_the_world_are_one_line(error: Exception, said: str) -> None:
    """Each with what it means to an operator."""

    async def work() -> None:
        raise error

    result = CliRunner().invoke(click.Command("x", callback=lambda: run(work())), [])
    assert result.exit_code == 1
    assert result.output.startswith(said)
    assert result.output.count("\n") == 1


def test_our_own_mistakes_are_not_hidden() -> None:
    """A defect shows its traceback."""

    async def work() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(work())


def test_ctrl_c_ends_quietly_with_130() -> None:
    """A real process, a real SIGINT, nothing on stderr. Tests may run in a background that ignores it."""
    code = (
        "import asyncio, signal\nfrom streams.cli.common import run\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "async def work():\n    print(1, flush=True)\n    await asyncio.sleep(60)\nrun(work())"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(2)
    _, errors = process.communicate(timeout=10)
    assert (process.returncode, errors) == (130, "")


def test_run_returns_what_the_work_returns() -> None:
    """And nothing else."""
    assert run(asyncio.sleep(0, "done")) == "done"


def test_fail_is_one_line_and_exit_code_1() -> None:
    """Line feeds become spaces."""
    result = CliRunner().invoke(click.Command("x", callback=lambda: fail("a\n  b")), [])
    assert (result.exit_code, result.output) == (1, "Error: a b\n")


def test_what_a_stranger_wrote_into_a_topic_is_no_command_to_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A record's key is in the warning that the record is ignored, and may be in what ends the program."""
    problem = "offset 3: book record \x1b]0;x\x07: is a tombstone"

    async def read_shelf(_: Settings) -> Shelf:
        return Shelf([], [problem])

    monkeypatch.setattr("streams.bookshelf.read_shelf", read_shelf)
    listed = invoke("sheets", "list")
    failed = CliRunner().invoke(click.Command("x", callback=lambda: fail(problem)), [])
    shown = problem.replace("\x1b", "\N{REPLACEMENT CHARACTER}").replace("\x07", "\N{REPLACEMENT CHARACTER}")
    assert (listed.exit_code, listed.stderr) == (0, f"warning: ignored on the topic: {shown}\n")
    assert failed.output == f"Error: {shown}\n"


def test_settings_come_first_and_options_fill_them() -> None:
    """A decorated command gets Settings, then its own arguments."""

    @click.command(cls=Command)
    @click.option("--n", type=int)
    @with_all_settings
    def command(settings: Settings, n: int) -> None:
        click.echo(f"{settings.http_port} {settings.require_account} {n}")

    result = CliRunner().invoke(command, ["--n", "3", "--http-port", "1", "--require-account"])
    assert result.output == "1 True 3\n"


def test_commands_that_need_only_a_cluster_offer_only_that() -> None:
    """`totals` has no option for commit intervals."""

    @click.command(cls=Command)
    @with_settings
    def command(settings: Settings) -> None:
        click.echo(settings.app)

    shown = CliRunner().invoke(command, ["--help"]).output
    assert ("--bootstrap-servers" in shown, "--commit-interval-ms" in shown) == (True, False)


def test_rows_are_a_table_or_json_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """JSON has all fields, a table the chosen columns; both keep what a terminal would obey from it."""
    rows = [{"a": "1", "b": {"x": "ü"}, "c": None}, {"a": "long", "b": {"x": "\x1b[2J"}, "c": 3}]
    print_rows(rows, json=False, columns=["a", "b"])
    print_rows(rows, json=True, columns=["a"])
    assert capsys.readouterr().out == (
        "a     b\n1     x=ü\nlong  x=\N{REPLACEMENT CHARACTER}[2J\n"
        '{"a": "1", "b": {"x": "ü"}, "c": null}\n{"a": "long", "b": {"x": "\\u001b[2J"}, "c": 3}\n'
    )
