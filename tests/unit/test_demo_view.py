"""The demo's screen in a terminal: what one sees while it runs, and what stays."""

import io
import time
from decimal import Decimal

import pytest
from rich.console import Console

from streams.demo_view import Picture, Screen
from streams.demo_watch import Counters, Project

PROJECTS = [Project(f"org_{number}", "agents", 10 * number, {"CHF": Decimal(number)}) for number in range(40, 0, -1)]
PICTURE = Picture(9_999, Counters(priced=8_200, parked=7, latency_ms=(41.0, 166.0)), PROJECTS, ("CHF",))


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What a terminal of 100 by 24 characters gets to show."""
    shown = io.StringIO()

    def console() -> Console:
        return Console(file=shown, force_terminal=True, color_system=None, width=100, height=24)

    monkeypatch.setattr("streams.demo_view.Console", console)
    return shown


def test_a_terminal_keeps_the_last_picture_with_its_counters_and_all_notes(terminal: io.StringIO) -> None:
    """The projects that have no row are summed in one."""
    with Screen(time.monotonic()) as screen:
        for number in range(9):
            screen.note(f"note {number}")
        screen.show(PICTURE)
        before = len(terminal.getvalue())
        screen.last(PICTURE)
    last = terminal.getvalue()[before:]
    assert [number for number in range(9) if f"note {number}" in last] == list(range(9))
    for text in ("org_40", "org_23", "9,999", "8,200", "41 / 166 ms", "22 more", f"{sum(range(1, 23)):,}.000000"):
        assert text in last
    assert "org_22" not in last
