"""The pictures of docs/pacing.md from the results of the pacing benchmarks.

    python -m benchmarks.pacing_plots [--results benchmarks/results] [--images docs/images]

Needs matplotlib (extra `plots`). The same results give the same files, byte for byte.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK, SOFT, RULE, LIMIT, OURS = "#1b2330", "#5a6577", "#dfe3ea", "#c81e1e", "#1d5fbf"
STYLE: Any = {
    "font.size": 10,
    "font.family": "DejaVu Sans",
    "svg.fonttype": "none",
    "svg.hashsalt": "cadencia",
    "axes.edgecolor": RULE,
    "axes.labelcolor": SOFT,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
}
FRONTIER_FLOOR = "20 agents, answer .25"
# A rule that abandons more than this is left out: the picture is about the neighbourhood of the limit.
MOST_PERCENT = 8.0


def frontier(rules: dict[str, Any], floor: str) -> Figure:
    """Occupancy against abandonment: the ratios as a line, the rules as points."""
    rows = [row for row in rules["rows"] if row["floor"] == floor]
    figure, axes = _axes(f"Occupancy against abandonment: {floor}", 6.0)
    ratios = sorted(
        {(row["abandoned %"], row["occupancy"]) for row in rows if row["method"].startswith("ratio ")},
    )
    near = [point for point in ratios if point[0] <= MOST_PERCENT]
    axes.plot([x for x, _ in near], [y for _, y in near], color=SOFT, marker=".", label="fixed ratios")
    for row in rows:
        method, lost, busy = row["method"], row["abandoned %"], row["occupancy"]
        if method.startswith("ratio ") or lost > MOST_PERCENT:
            continue
        ours = method == "predictive"
        axes.plot(lost, busy, "o", color=OURS if ours else INK, markersize=9 if ours else 5)
        axes.annotate(method, (lost, busy), xytext=(7, -3), textcoords="offset points", color=OURS if ours else INK)
    axes.axvline(3.0, color=LIMIT, linestyle="--", linewidth=1.0, label="limit")
    axes.set_xlabel("abandoned, % of live answers")
    axes.set_ylabel("occupancy")
    axes.legend(frameon=False, loc="lower right")
    return figure


def shares(optimum: dict[str, Any]) -> Figure:
    """Occupancy over that of the optimum at the same abandonment, row by row, with intervals."""
    rows = optimum["rows"]
    figure, axes = _axes("Expected share of the exact optimum at the same abandonment", 1.6 + 0.19 * len(rows))
    places = range(len(rows))
    axes.errorbar(
        [row["expected share"] for row in rows],
        list(places),
        xerr=[row["+-"] if row["+-"] == row["+-"] else 0.0 for row in rows],
        fmt="o",
        color=OURS,
        ecolor=SOFT,
        markersize=4,
    )
    axes.axvline(0.99, color=LIMIT, linestyle="--", linewidth=1.0)
    axes.axvline(1.0, color=SOFT, linewidth=1.0)
    axes.set_xlim(0.95, 1.02)
    axes.set_yticks(list(places))
    axes.set_yticklabels([f"{row['agents']} agents, {row['handle s']:g} s, {row['answer']:g}" for row in rows])
    axes.tick_params(axis="y", labelsize=7)
    axes.invert_yaxis()
    axes.set_xlabel("share of the optimum (99 % dashed)")
    return figure


def worst_half_hours(guard: dict[str, Any]) -> Figure:
    """How bad the worst half hour of each day was, and how each day ended."""
    rows = guard["rows"]
    figure, axes = _axes(f"{len(rows)} days with shocks", 4.5)
    ends = [100.0 * row["abandoned"] / max(row["answered"], 1) for row in rows]
    worst = [100.0 * row["worst_half_hour"] for row in rows]
    bins = [0.25 * step for step in range(math.ceil(max(ends + worst) / 0.25) + 1)]
    axes.hist(worst, bins=bins, color=RULE, label="worst half hour of 100 answers (0: none had so many)")
    axes.hist(ends, bins=bins, color=OURS, alpha=0.8, label="whole day")
    axes.axvline(3.0, color=LIMIT, linestyle="--", linewidth=1.0)
    axes.axvline(6.0, color=LIMIT, linestyle=":", linewidth=1.0)
    axes.set_xlabel("abandoned, % of live answers")
    axes.set_ylabel("days")
    axes.legend(frameon=False)
    return figure


def _axes(title: str, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(8.0, height), layout="constrained", facecolor="white")
    axes = figure.add_subplot()
    axes.set_title(title)
    axes.grid(visible=True, color=RULE, linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return figure, axes


def main() -> None:
    arguments = argparse.ArgumentParser(description="The pictures of docs/pacing.md.")
    arguments.add_argument("--results", type=Path, default=Path("benchmarks/results"))
    arguments.add_argument("--images", type=Path, default=Path("docs/images"))
    options = arguments.parse_args()

    def results(name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((options.results / f"pacing_{name}.json").read_text())
        return found

    with mpl.rc_context(STYLE):
        pictures = {
            "pacing_frontier": frontier(results("rules"), FRONTIER_FLOOR),
            "pacing_optimum": shares(results("optimum")),
            "pacing_guard": worst_half_hours(results("guard")),
        }
        for name, figure in pictures.items():
            path = options.images / f"{name}.svg"
            figure.savefig(path, metadata={"Date": None, "Creator": "benchmarks.pacing_plots"})
            print(path)


if __name__ == "__main__":
    main()
