"""What `simulate` and `replay` share on the command line: progress, who simulates, and where the results go."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from dialer.cli.screen import err, fail, out

if TYPE_CHECKING:
    from dialer.settings import Settings
    from dialer.twin.crew import Progress
    from dialer.twin.picture import Picture

PlotOption = Annotated[
    Path | None, typer.Option("--plot", help="Draw the charts into FILE.png or FILE.svg.", dir_okay=False)
]
HtmlOption = Annotated[Path | None, typer.Option("--html", help="Write one self-contained page.", dir_okay=False)]
OnOption = Annotated[
    str, typer.Option("--on", help="Who simulates: local, rq, or auto (RQ workers where the settings name some).")
]
ProcessesOption = Annotated[
    int | None, typer.Option(min=1, max=256, help="Processes of this machine; default: one for each processor.")
]


def settings_for(on: str, config: Path | None) -> Settings | None:
    """The settings where they may matter: named, or asked for by ``--on rq``."""
    if on not in {"auto", "local", "rq"}:
        fail(f"--on must be auto, local or rq, not {on!r}", code=2)
    if on == "local" or (on == "auto" and config is None):
        return None
    from dialer.settings import load  # noqa: PLC0415

    return load(config)


def check_files(plot: Path | None, html: Path | None) -> None:
    """See to it that what is asked for can be written, before the work is done.

    Raises:
        InputError: it cannot.
    """
    from dialer.errors import InputError  # noqa: PLC0415

    if plot is not None:
        from dialer.twin.plots import check  # noqa: PLC0415

        check(plot)
    if html is not None and not html.absolute().parent.is_dir():
        raise InputError(f"the folder of {html} does not exist: make it first")


def write_files(picture: Picture, plot: Path | None, html: Path | None, *, say: bool) -> None:
    """Draw what was asked for.

    Raises:
        InputError: it cannot be written.
    """
    from dialer.errors import InputError  # noqa: PLC0415

    if plot is not None:
        from dialer.twin.plots import plot as draw  # noqa: PLC0415

        draw(picture, plot)
    if html is not None:
        from dialer.twin.page import page  # noqa: PLC0415

        try:
            html.write_text(page(picture), encoding="utf-8")
        except OSError as error:
            raise InputError(f"cannot write {html}: {error.strerror}") from error
    for path in (plot, html) if say else ():
        if path is not None:
            out.print(f"Written: {path}", highlight=False)


@contextmanager
def shown_progress(title: str) -> Iterator[Progress]:
    """A bar on the terminal's error stream; nothing where there is no terminal."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task(title, total=None)

        def progress(done: int, of: int) -> None:
            bar.update(task, completed=done, total=of)

        yield progress


def print_table(rows: Sequence[Mapping[str, str]], title: str, remarks: Sequence[str] = ()) -> None:
    """A table of texts and the sentences below it; on a narrow screen without the columns that matter least."""
    columns = list(rows[0])
    for dispensable in ("answered", "worst half hour", "dialed", "connected", "worst day"):
        width = sum(max(len(column), *(len(row[column]) for row in rows)) + 3 for column in columns) + 1
        if width > out.width and dispensable in columns:
            columns.remove(dispensable)
    table = Table(title=title or None, title_justify="left", box=box.ROUNDED)
    for place, column in enumerate(columns):
        table.add_column(column, no_wrap=True, justify="right" if place else "left")
    for row in rows:
        table.add_row(*(Text(row[column]) for column in columns))
    out.print(table)
    for text in remarks:
        out.print(f"• {text}", highlight=False, markup=False)
