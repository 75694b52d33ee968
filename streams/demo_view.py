"""The demo on a screen: a live table in a terminal, a line now and then elsewhere."""

import time
from collections.abc import Sequence
from types import TracebackType
from typing import NamedTuple, Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from pricing.money import ZERO
from streams.demo_watch import Counters, Project

_ROWS_MAX = 18
_OTHER_LINES = 16
_NOTES = 5
_LINE_EVERY_S = 2.0


class Picture(NamedTuple):
    """What there is to see at one moment."""

    sent: int
    counters: Counters
    projects: Sequence[Project]
    currencies: Sequence[str]


class Screen:
    """Shows pictures; `note` is for what happens once. Times count from `started` (monotonic)."""

    def __init__(self, started: float) -> None:
        self._console = Console()
        self._live: Live | None = None
        self._notes: list[str] = []
        self.started = started
        self._line_at = 0.0

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live = Live(console=self._console, refresh_per_second=4, transient=True)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def note(self, text: str) -> None:
        """Something has happened."""
        line = f"{time.monotonic() - self.started:6.1f} s  {text}"
        self._notes.append(line)
        if self._live is None:
            print(line, flush=True)
        else:
            self._live.update(Group(*map(Text, self._notes[-_NOTES:])))

    def show(self, picture: Picture) -> None:
        """How things are."""
        if self._live is not None:
            rows = min(_ROWS_MAX, max(3, self._console.height - _OTHER_LINES))
            self._live.update(Group(_table(picture, rows), _summary(picture), *map(Text, self._notes[-_NOTES:])))
        elif time.monotonic() - self._line_at > _LINE_EVERY_S:
            self._line_at = time.monotonic()
            print(f"{self._line_at - self.started:6.1f} s  {_line(picture)}", flush=True)

    def last(self, picture: Picture) -> None:
        """The end: what the live table showed stays on the screen, with every note."""
        if self._live is not None:
            self._live.stop()
            self._live = None
            self._console.print(Group(_table(picture, _ROWS_MAX), _summary(picture), *map(Text, self._notes)))


def _table(picture: Picture, rows: int) -> Table:
    table = Table(title="Spend per project", title_justify="left")
    table.add_column("organization")
    table.add_column("project")
    table.add_column("events", justify="right")
    for currency in picture.currencies:
        table.add_column(currency, justify="right")
    for each in picture.projects[:rows]:
        due = [f"{each.due.get(currency, ZERO):,.6f}" for currency in picture.currencies]
        table.add_row(each.organization, each.project, f"{each.events:,}", *due)
    others = picture.projects[rows:]
    if others:
        sums = [f"{sum(each.due.get(currency, ZERO) for each in others):,.6f}" for currency in picture.currencies]
        table.add_row(f"{len(others)} more", "", f"{sum(each.events for each in others):,}", *sums, style="dim")
    return table


def _summary(picture: Picture) -> Table:
    counters = picture.counters
    table = Table(show_header=True, box=None, pad_edge=False)
    shown = {
        "sent": f"{picture.sent:,}",
        "priced": f"{counters.priced:,}",
        "duplicates": f"{counters.duplicates:,}",
        "parked": f"{counters.parked:,}",
        "rejected": f"{counters.rejected:,}",
        "forwarded": f"{counters.forwarded:,}",
        "events/s": f"{counters.per_s:,}",
        "latency p50/p99": _latency(counters),
    }
    for name in shown:
        table.add_column(name, justify="right", style="bold" if name == "parked" and counters.parked else None)
    table.add_row(*shown.values())
    return table


def _line(picture: Picture) -> str:
    counters = picture.counters
    spend = " ".join(
        f"{sum(each.due.get(currency, ZERO) for each in picture.projects):,.2f} {currency}"
        for currency in picture.currencies
    )
    return (
        f"sent {picture.sent:,}  priced {counters.priced:,}  duplicates {counters.duplicates:,}  "
        f"parked {counters.parked:,}  rejected {counters.rejected:,}  {counters.per_s:,} events/s  "
        f"latency {_latency(counters)}  {spend}"
    )


def _latency(counters: Counters) -> str:
    return " / ".join(f"{value:.0f}" for value in counters.latency_ms) + " ms" if counters.latency_ms else "–"
