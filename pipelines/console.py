"""Progress bars and tables: for people at a terminal, in a notebook, or not at all."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from typing import Any, Final, Literal

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

console = Console()
LINE_S: Final = 10.0
BAR_AFTER_S: Final = 1.0
"""Steps that are done sooner show no bar."""
_WIDEST: Final = 1_000
Audience = Literal["terminal", "bars", "nobody"]
_audience: ContextVar[Audience] = ContextVar("audience", default="terminal")


@contextmanager
def audience(who: Audience) -> Iterator[None]:
    """Who is told: a terminal everything, ``bars`` progress alone, by tqdm, and ``nobody`` nothing.

    The Python interface returns what it found, so its callers are shown bars at most.
    """
    before = _audience.set(who)
    quiet, console.quiet = console.quiet, who != "terminal"
    try:
        yield
    finally:
        console.quiet = quiet
        _audience.reset(before)


@contextmanager
def progress(description: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """A bar on standard error; the caller is given a function that advances it.

    Where standard error is no terminal, such as a log file: a line every ten seconds.
    """
    if _audience.get() != "terminal":
        with _tqdm(description, total) as bar:
            yield bar.update
        return
    if not _stderr().is_terminal:
        lines = _Lines(description, total)
        yield lines.advance
        lines.close()
        return
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=_stderr(),
        transient=True,
    ) as bar:
        task = bar.add_task(description, total=total)
        yield lambda n: bar.advance(task, n)


@contextmanager
def shares() -> Iterator[Callable[[str, float], None]]:
    """Bars for tasks that report a name and the share of it that is done, from 0 to 1."""
    if _audience.get() != "terminal":
        with ExitStack() as stack:
            open_bars: dict[str, Any] = {}

            def update(task: str, share: float) -> None:
                if task not in open_bars:
                    open_bars[task] = stack.enter_context(_tqdm(task, 100))
                open_bars[task].update(round(100 * share) - open_bars[task].n)

            yield update
        return
    if not _stderr().is_terminal:
        lines: dict[str, _Lines] = {}
        yield lambda task, share: lines.setdefault(task, _Lines(task, 100)).reach(100.0 * share)
        return
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        console=_stderr(),
        transient=True,
    ) as bars:
        tasks: dict[str, TaskID] = {}

        def report(task: str, share: float) -> None:
            if task not in tasks:
                tasks[task] = bars.add_task(task, total=1.0)
            bars.update(tasks[task], completed=share)

        yield report


def _tqdm(description: str, total: int | None) -> Any:
    """A bar of tqdm, in a notebook a widget; gone when it is done."""
    with warnings.catch_warnings():
        # Without ipywidgets a notebook gets a bar of text, and a warning that it does.
        warnings.filterwarnings("ignore", message=".*IProgress not found")
        from tqdm.auto import tqdm

    quiet = _audience.get() == "nobody"
    return tqdm(desc=description, total=total, leave=False, delay=BAR_AFTER_S, disable=quiet)


def _stderr() -> Console:
    return Console(stderr=True)


class _Lines:
    """How far a task is, a line every ten seconds, for where bars cannot be redrawn."""

    def __init__(self, description: str, total: int | None) -> None:
        self.description = description
        self.total = total
        self._done = 0.0
        self._begun = self._told = time.monotonic()

    def advance(self, n: float) -> None:
        """Some more is done."""
        self.reach(self._done + n)

    def reach(self, done: float) -> None:
        """So much is done."""
        self._done = done
        if time.monotonic() - self._told >= LINE_S:
            self._told = time.monotonic()
            of = "" if self.total is None else f" of {self.total:,}"
            self._write(f"{self._done:,.0f}{of}")

    def close(self) -> None:
        """A last line for what took long enough to be wondered about."""
        if time.monotonic() - self._begun >= LINE_S:
            self._write("done")

    def _write(self, text: str) -> None:
        seconds = time.monotonic() - self._begun
        sys.stderr.write(f"{self.description}: {text}, {seconds:.0f} s\n")
        sys.stderr.flush()


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table on standard output: first column left, the others right."""
    if console.quiet:
        return
    table = Table(title=title, title_justify="left", header_style="bold")
    for position, column in enumerate(columns):
        table.add_column(column, justify="left" if position == 0 else "right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    # Numbers are never cut: a table wider than the terminal, or a pipe, overflows instead.
    wide = console.options.update(width=_WIDEST)
    Console(width=max(console.width, console.measure(table, options=wide).maximum)).print(table)
