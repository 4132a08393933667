"""A report as people look at it: columns in groups, figures as a language writes them, one of them as bars. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from dialer.console.texts import Texts
from dialer.reporting.indicators import INDICATORS, Unit
from dialer.reporting.report import Report, Value

#: What is shown together; the first is what somebody sees who asked for nothing.
GROUPS: Final[Mapping[str, tuple[str, ...]]] = {
    "overview": ("attempts", "contacts", "sales", "amount", "contact_rate", "conversion", "occupancy", "abandonment"),
    "sales": (
        "contacts", "sales", "promises", "amount", "promised", "currency", "conversion", "sales_per_agent_hour",
        "amount_per_agent_hour", "amount_per_sale", "cost", "cost_per_contact", "cost_per_sale",
    ),
    "calls": (
        "attempts", "answered", "live_answers", "connected", "abandoned", "answer_rate", "contact_rate", "abandonment",
        "penetration", "average_wait_s", "average_lost_wait_s", "average_talk_s", "line_s",
    ),
    "agents": (
        "connected", "agent_hours", "occupancy", "average_agent_wait_s", "average_talk_s", "average_wrapup_s",
        "average_handle_time_s", "contacts_per_agent_hour", "idle_s", "talking_s", "wrapup_s", "paused_s",
    ),
}  # fmt: skip
#: Rows that a page shows; a file has them all.
MOST_ROWS: Final = 500
#: Bars that can still be told apart.
MOST_BARS: Final = 62
_UNITS: Final[Mapping[str, Unit]] = {each.name: each.unit for each in INDICATORS}
_MONEY: Final = frozenset({"amount", "promised"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One bar of the drawing: what it is of, how long it is (0 to 1), and its figure."""

    label: str
    share: float
    shown: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportView:
    """What a template needs."""

    by: Sequence[str]
    columns: Sequence[str]
    #: (what the row is of, its figures), both as text.
    rows: Sequence[tuple[Sequence[str], Sequence[str]]]
    total: Sequence[str]
    #: Rows that are only in the file.
    left_out: int
    #: What the bars are of; empty: there are none.
    plotted: str
    bars: Sequence[Bar]


def report_view(report: Report, group: str, plot: str, texts: Texts) -> ReportView:
    """Lay a report out.

    Args:
        report: The report.
        group: A name of `GROUPS`; another one stands for the first.
        plot: The column that is drawn; one that is not shown stands for the first figure.
        texts: The language.
    """
    columns = GROUPS.get(group, GROUPS["overview"])
    by = [each.value for each in report.order.by]
    table = report.table()
    plotted = plot if plot in columns and plot != "currency" else columns[0]
    drawn = table[:MOST_BARS]
    longest = max((_size(row[plotted]) for row in drawn), default=0.0)
    bars = [
        Bar(
            label=" · ".join(_name(name, row[name], texts) for name in by),
            share=_size(row[plotted]) / longest if longest > 0 else 0.0,
            shown=shown(plotted, row[plotted], texts),
        )
        for row in drawn
    ]
    total = report.totals()
    return ReportView(
        by=by,
        columns=columns,
        rows=[
            ([_name(name, row[name], texts) for name in by], [shown(name, row[name], texts) for name in columns])
            for row in table[:MOST_ROWS]
        ],
        total=[shown(name, total[name], texts) for name in columns],
        left_out=max(0, len(table) - MOST_ROWS),
        plotted=plotted,
        bars=bars,
    )


def shown(column: str, value: Value, texts: Texts) -> str:
    """A figure as the language writes it; a dash where it is undefined."""
    if value is None:
        return "–"
    if isinstance(value, str):
        return value
    unit = _UNITS.get(column)
    if unit is Unit.SHARE:
        return texts.percent(float(value))
    if unit is Unit.MONEY or column in _MONEY:
        return texts.number(float(value), 2)
    if column.endswith("_s"):
        return texts.number(float(value), 1)
    return texts.number(float(value), 0 if isinstance(value, int) else 2)


def is_number(column: str) -> bool:
    """Whether a column stands to the right."""
    return column != "currency"


def _name(dimension: str, value: Value, texts: Texts) -> str:
    if value is None:
        return texts("report.without")
    if dimension == "hour":
        return f"{int(value):02d}:00"
    return texts.word("outcome", str(value)) if dimension == "outcome" else str(value)


def _size(value: Value) -> float:
    return float(value) if isinstance(value, (int, float, Decimal)) else 0.0
