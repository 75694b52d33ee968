"""`sheets`: price sheets; each command in a module of its own, loaded when it is called."""

import click

from streams.cli.common import LazyGroup

_IMPORTING = "streams.cli.importing"
_SHOWING = "streams.cli.showing"
_COMPARING = "streams.cli.comparing"


@click.group(
    cls=LazyGroup,
    lazy={
        "import": (_IMPORTING, "import_sheet", "Read a foreign price sheet; print or publish it."),
        "check": (_IMPORTING, "check_sheet", "List what is wrong with a document, or doubtful."),
        "list": (_SHOWING, "list_sheets", "List the published sheets."),
        "show": (_SHOWING, "show", "Show a sheet, or what a model costs."),
        "diff": (_COMPARING, "compare_sheets", "Show what differs between two sheets or sources."),
        "estimate": (_COMPARING, "estimate_cost", "Estimate what billing units of endpoints cost."),
    },
)
def sheets() -> None:
    """Import, check, list, show and compare price sheets."""
