"""Charts as SVG text for the page: sizes in the picture's own units, colours from the page's style sheet."""

from __future__ import annotations

from html import escape
from typing import Final

from dialer.twin.picture import Chart, Curve
from dialer.twin.scale import Scale, scales

PALETTE_SIZE: Final = 8

_WIDTH: Final = 600.0
_HEIGHT: Final = 320.0
_LEFT: Final = 66.0
_RIGHT: Final = 20.0
_TOP: Final = 18.0
_BOTTOM: Final = 52.0


def drawn(chart: Chart) -> str:
    """One chart as an `svg` element; every text in it is escaped."""
    horizontal, vertical = scales(chart)
    parts = [
        f'<svg viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" role="img" aria-label="{escape(chart.title)}">',
        *_grid(chart, horizontal, vertical),
    ]
    if chart.limit is not None:
        parts += _limit(chart, horizontal, vertical)
    for curve in chart.curves:
        parts += _curve(chart, curve, horizontal, vertical)
    parts.append("</svg>")
    return "\n".join(parts)


def legend(chart: Chart) -> str:
    """The names of the curves beside their colours, as a list."""
    items = []
    for curve in chart.curves:
        kind = "dot" if len(curve.points) == 1 else "line"
        items.append(f'<li><i class="{kind} k{curve.color % PALETTE_SIZE}"></i>{escape(curve.label)}</li>')
    return f'<ul class="legend">{"".join(items)}</ul>'


def _x(scale: Scale, value: float) -> float:
    return _LEFT + scale.place(value) * (_WIDTH - _LEFT - _RIGHT)


def _y(scale: Scale, value: float) -> float:
    return _HEIGHT - _BOTTOM - scale.place(value) * (_HEIGHT - _TOP - _BOTTOM)


def _grid(chart: Chart, horizontal: Scale, vertical: Scale) -> list[str]:
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    parts = []
    for tick in vertical.ticks:
        y = _y(vertical, tick)
        parts.append(f'<line class="grid" x1="{_LEFT:g}" y1="{y:.1f}" x2="{right:g}" y2="{y:.1f}"/>')
        parts.append(
            f'<text class="tick" x="{_LEFT - 8:g}" y="{y + 4:.1f}" text-anchor="end">'
            f"{escape(chart.y_format(tick))}</text>"
        )
    for tick in horizontal.ticks:
        x = _x(horizontal, tick)
        parts.append(f'<line class="axis" x1="{x:.1f}" y1="{bottom:g}" x2="{x:.1f}" y2="{bottom + 5:g}"/>')
        parts.append(
            f'<text class="tick" x="{x:.1f}" y="{bottom + 20:g}" text-anchor="middle">'
            f"{escape(chart.x_format(tick))}</text>"
        )
    parts.append(f'<line class="axis" x1="{_LEFT:g}" y1="{bottom:g}" x2="{right:g}" y2="{bottom:g}"/>')
    middle_x, middle_y = (_LEFT + right) / 2, (_TOP + bottom) / 2
    parts.append(
        f'<text class="name" x="{middle_x:g}" y="{_HEIGHT - 8:g}" text-anchor="middle">{escape(chart.x_label)}</text>'
    )
    parts.append(
        f'<text class="name" transform="translate(14 {middle_y:g}) rotate(-90)" text-anchor="middle">'
        f"{escape(chart.y_label)}</text>"
    )
    return parts


def _limit(chart: Chart, horizontal: Scale, vertical: Scale) -> list[str]:
    assert chart.limit is not None
    if chart.limit_upright:
        x = _x(horizontal, chart.limit)
        text = f"limit {chart.x_format(chart.limit)}"
        return [
            f'<line class="limit" x1="{x:.1f}" y1="{_TOP:g}" x2="{x:.1f}" y2="{_HEIGHT - _BOTTOM:g}"/>',
            f'<text class="limit" x="{x + 6:.1f}" y="{_TOP + 10:g}">{escape(text)}</text>',
        ]
    y = _y(vertical, chart.limit)
    text = f"limit {chart.y_format(chart.limit)}"
    return [
        f'<line class="limit" x1="{_LEFT:g}" y1="{y:.1f}" x2="{_WIDTH - _RIGHT:g}" y2="{y:.1f}"/>',
        f'<text class="limit" x="{_WIDTH - _RIGHT:g}" y="{y - 6:.1f}" text-anchor="end">{escape(text)}</text>',
    ]


def _curve(chart: Chart, curve: Curve, horizontal: Scale, vertical: Scale) -> list[str]:
    color = f"c{curve.color % PALETTE_SIZE}"
    placed = [(_x(horizontal, x), _y(vertical, y)) for x, y in curve.points]
    parts = []
    if len(placed) > 1:
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
        parts.append(f'<polyline class="curve {color}" points="{line}"/>')
    if chart.points or len(placed) == 1:
        radius = 6.0 if len(placed) == 1 else 3.0
        notes = curve.notes or ("",) * len(placed)
        for (x, y), note in zip(placed, notes, strict=True):
            title = f"<title>{escape(note)}</title>" if note else ""
            parts.append(f'<circle class="point {color}" cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}">{title}</circle>')
    return parts
