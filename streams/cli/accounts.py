"""`accounts`: what is known of organizations, from a JSON Lines file that is checked whole before any of it is sent."""

from pathlib import Path

import click

from pricing.accounts import Account, account_bytes, parse_account
from pricing.errors import InvalidDocument
from pricing.times import format_time
from streams.cli.common import Group, counted, fail, print_rows, run, with_settings
from streams.cli.publishing import NAME, end_with_problems, json_option
from streams.settings import Settings


@click.group(cls=Group)
def accounts() -> None:
    """Publish and show what is known of organizations."""


@accounts.command("apply")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@with_settings
def apply_accounts(settings: Settings, file: Path) -> None:
    """Publish the accounts of a JSON Lines file: none is sent where one has a problem."""
    from streams.bookshelf import publish_accounts, read_shelf

    found = _read_accounts(file)
    try:
        new = run(publish_accounts(settings, found))
    except InvalidDocument as invalid:
        end_with_problems(str(file), invalid.problems)
    known = f"; {len(found) - len(new)} of {len(found)} are published already" if len(new) < len(found) else ""
    click.echo(f"published {counted(len(new), 'account')}{known}")
    default = settings.sheets["*"]
    sheets = [each.sheet for each in run(read_shelf(settings)).book]
    tiers = {tier for sheet in sheets if sheet is not None and sheet.id == default for tier in sheet.tiers}
    for account in new:
        for tier in sorted({each.tier for each in account.tiers if each.tier} - tiers):
            click.echo(f"warning: {account.organization}: no version of sheet {default} has the tier {tier}", err=True)


@accounts.command("show")
@click.argument("organization", type=NAME)
@json_option
@with_settings
def show_account(settings: Settings, organization: str, json: bool) -> None:
    """Show what is known of an organization."""
    from streams.bookshelf import find_accounts

    account = run(find_accounts(settings, [organization])).get(organization)
    if account is None:
        fail(f"no account of {organization!r} is published")
    if json:
        click.echo(account_bytes(account).decode())
        return
    click.echo(f"{account.organization}, version {account.version}")
    tiers = [{"tier": each.tier or "(none)", "from": format_time(each.from_ns)} for each in account.tiers]
    print_rows(tiers, json=False, columns=["tier", "from"])


def _read_accounts(file: Path) -> list[Account]:
    """Every account of the file; ends the program with all problems where a line has one."""
    found: list[Account] = []
    problems: list[str] = []
    lines: dict[tuple[str, int], int] = {}
    with file.open("rb") as opened:
        for number, line in enumerate(opened, 1):
            if not line.strip():
                continue
            try:
                account = parse_account(line.strip())
            except InvalidDocument as invalid:
                problems += [f"line {number}: {problem}" for problem in invalid.problems]
                continue
            before = lines.setdefault((account.organization, account.version), number)
            if before != number:
                problems.append(
                    f"line {number}: version {account.version} of {account.organization} is on line {before} too"
                )
            found.append(account)
    if problems:
        end_with_problems(str(file), problems)
    return found
