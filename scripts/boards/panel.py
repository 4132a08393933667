"""What a dashboard says, as plain values; `scripts.boards.writing` turns them into what Grafana reads."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

#: Selects the campaigns that the reader has picked.
OF = 'campaign=~"$campaign"'
#: Selects the nodes that the reader has picked.
AT = 'instance=~"$instance"'


class Kind(StrEnum):
    """How figures are shown."""

    LINES = "lines"
    #: One upon the other: parts of a whole.
    STACK = "stack"
    #: The latest value, large.
    STAT = "stat"
    TABLE = "table"
    HEATMAP = "heatmap"


class Unit(StrEnum):
    """Of a panel's figures, as Grafana calls them."""

    COUNT = "short"
    RATIO = "percentunit"
    SECONDS = "s"
    PER_SECOND = "cps"
    BYTES = "bytes"
    MOMENT = "dateTimeFromNow"


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One expression, and what its series are called: a name, or a pattern of labels in {{ }}."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One picture."""

    title: str
    #: What the reader learns from it.
    says: str
    queries: tuple[Query, ...]
    unit: Unit = Unit.COUNT
    kind: Kind = Kind.LINES
    #: Of 24 columns.
    width: int = 8
    #: A stat turns red at or above this (or below, where `good_above`).
    red: float | None = None
    good_above: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """One dashboard."""

    name: str
    title: str
    says: str
    rows: tuple[tuple[str, tuple[Panel, ...]], ...]
    #: Variables that the reader picks by: campaign, instance.
    by: tuple[str, ...] = ()


def one(expr: str, legend: str = "") -> tuple[Query, ...]:
    """A panel with a single expression."""
    return (Query(expr=expr, legend=legend),)


def several(**expressions: str) -> tuple[Query, ...]:
    """Expressions by what they are called; an underscore stands for a space, and whose it is comes first."""
    return tuple(Query(expr=expr, legend=_whose(expr) + name.replace("_", " ")) for name, expr in expressions.items())


def _whose(expr: str) -> str:
    for label in ("campaign", "instance"):
        if expr.startswith((f"{label}:", f"max by ({label})", f"min by ({label})")):
            return f"{{{{{label}}}}} "
    return ""


def stat(title: str, says: str, expr: str, unit: Unit = Unit.COUNT, **more: object) -> Panel:
    """A small panel with one figure."""
    return Panel(title=title, says=says, queries=one(expr), unit=unit, kind=Kind.STAT, width=4, **more)  # type: ignore[arg-type]  # checked by Panel itself
