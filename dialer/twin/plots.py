"""A comparison as one picture file, PNG or SVG, by matplotlib: an extra of the installation."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from dialer.errors import InputError
from dialer.twin.page import LIGHT
from dialer.twin.picture import Chart, Picture
from dialer.twin.scale import scales

FORMATS: Final = (".png", ".svg")
_INK: Final = "#1b2330"
_SOFT: Final = "#5a6577"
_RULE: Final = "#dfe3ea"
_LIMIT: Final = "#c81e1e"


def check(path: Path) -> None:
    """See to it, before hours of work, that a plot can be written there.

    Raises:
        InputError: its name ends in no known format, its folder is missing, or matplotlib is.
    """
    if path.suffix.lower() not in FORMATS:
        raise InputError(f"{path} must end in {' or '.join(FORMATS)}")
    if not path.absolute().parent.is_dir():
        raise InputError(f"the folder of {path} does not exist: make it first")
    _figure_class()


def plot(picture: Picture, path: Path) -> None:
    """Draw all charts into one file.

    Raises:
        InputError: as `check`, or the file cannot be written.
    """
    check(path)
    figure_class, style = _figure_class()
    rows = (len(picture.charts) + 1) // 2
    # Texts in an SVG stay texts: they can be searched, and the file is small.
    with style({"font.size": 10, "font.family": "DejaVu Sans", "svg.fonttype": "none"}):
        figure = figure_class(figsize=(13.0, 1.2 + 4.4 * rows), dpi=120, layout="constrained", facecolor="white")
        figure.suptitle(picture.title, x=0.008, ha="left", fontsize=17, fontweight="bold", color=_INK)
        grid = figure.add_gridspec(rows + 1, 2, height_ratios=[0.04, *([1.0] * rows)])
        head = figure.add_subplot(grid[0, :])
        head.axis("off")
        head.text(-0.045, 0.5, picture.subtitle, color=_SOFT, fontsize=11, va="center", transform=head.transAxes)
        for place, chart in enumerate(picture.charts):
            _draw(figure.add_subplot(grid[1 + place // 2, place % 2]), chart)
        try:
            figure.savefig(path)
        except OSError as error:
            raise InputError(f"cannot write {path}: {error.strerror}") from error


def _figure_class() -> tuple[Any, Any]:
    try:
        # The figure alone: pyplot would look for a screen and keep every figure.
        from matplotlib import rc_context  # noqa: PLC0415
        from matplotlib.figure import Figure  # noqa: PLC0415
    except ImportError as error:
        raise InputError(
            "plots need matplotlib: install it with `pip install 'cadencia[plots]'`, or take --html, which does not"
        ) from error
    return Figure, rc_context


def _draw(axes: Any, chart: Chart) -> None:
    horizontal, vertical = scales(chart)
    for curve in chart.curves:
        xs, ys = [x for x, _ in curve.points], [y for _, y in curve.points]
        single = len(xs) == 1
        axes.plot(
            xs,
            ys,
            color=LIGHT[curve.color % len(LIGHT)],
            linewidth=1.8,
            marker="o" if single or chart.points else None,
            markersize=9 if single else 4,
            markeredgecolor="white",
            markeredgewidth=1.2 if single else 0.6,
            linestyle="none" if single else "-",
            label=curve.label,
            zorder=4 if single else 3,
        )
    if chart.limit is not None:
        (axes.axvline if chart.limit_upright else axes.axhline)(
            chart.limit, color=_LIMIT, linestyle=(0, (5, 4)), linewidth=1.3, zorder=2
        )
        text = f"limit {(chart.x_format if chart.limit_upright else chart.y_format)(chart.limit)}"
        if chart.limit_upright:
            axes.annotate(
                text,
                (chart.limit, 1.0),
                xycoords=("data", "axes fraction"),
                xytext=(5, -12),
                textcoords="offset points",
                color=_LIMIT,
                fontsize=9,
            )
        else:
            axes.annotate(
                text,
                (1.0, chart.limit),
                xycoords=("axes fraction", "data"),
                xytext=(-3, 4),
                textcoords="offset points",
                color=_LIMIT,
                fontsize=9,
                ha="right",
            )
    axes.set_xlim(horizontal.low, horizontal.high)
    axes.set_ylim(vertical.low, vertical.high)
    axes.set_xticks(horizontal.ticks, [chart.x_format(tick) for tick in horizontal.ticks])
    axes.set_yticks(vertical.ticks, [chart.y_format(tick) for tick in vertical.ticks])
    axes.set_title(chart.title, loc="left", fontweight="bold", color=_INK, fontsize=12, pad=22)
    axes.text(0.0, 1.025, chart.hint, transform=axes.transAxes, color=_SOFT, fontsize=9)
    axes.set_xlabel(chart.x_label, color=_SOFT)
    axes.set_ylabel(chart.y_label, color=_SOFT)
    axes.tick_params(colors=_SOFT, length=3)
    axes.grid(axis="y", color=_RULE, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(_SOFT)
    if chart.curves:
        axes.legend(frameon=False, fontsize=9, labelcolor=_INK, loc="best")
