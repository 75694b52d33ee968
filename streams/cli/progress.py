"""A progress bar on stderr for what takes a while; gone when it ends, and never there where nobody looks."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Step = Callable[..., None]
"""`step("fetching", done, total)`: what is going on, and how far it is; without numbers only that it goes on."""


@contextmanager
def progress_bar() -> Iterator[Step]:
    """A bar while the block runs, where stderr is a terminal."""
    if not sys.stderr.isatty():
        yield _unseen
        return
    # Rich takes 50 ms to load, which a command in a script need not wait for.
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[count]}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:

        def step(what: str, done: int = 0, total: int | None = None) -> None:
            count = f"{done:,} of {total:,}" if total else f"{done:,}" if done else ""
            # A bar's total cannot be taken away again, so that each step has a bar of its own.
            for task in bar.tasks:
                if (task.description, task.total) == (what, total):
                    bar.update(task.id, completed=done, count=count)
                    return
                bar.remove_task(task.id)
            bar.add_task(what, total=total, completed=done, count=count)

        yield step


def _unseen(_what: str, _done: int = 0, _total: int | None = None) -> None:
    """Nobody looks."""
