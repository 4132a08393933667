"""A comparison as one self-contained page: no script, no request, light and dark as the reader's screen has it."""

from __future__ import annotations

from html import escape
from typing import Final

from dialer.twin.drawing import PALETTE_SIZE, drawn, legend
from dialer.twin.picture import Picture

LIGHT: Final = ("#2563eb", "#d97706", "#059669", "#9333ea", "#0891b2", "#be185d", "#64748b", "#4d7c0f")
_DARK: Final = ("#7aa7ff", "#fbb24c", "#3ddc97", "#c79bff", "#4fd1e6", "#ff7ab8", "#a8b3c4", "#b2d665")

_STYLE: Final = """
:root { color-scheme: light dark; --paper: #ffffff; --card: #f7f8fa; --ink: #1b2330; --soft: #5a6577;
  --rule: #dfe3ea; --limit: #c81e1e; LIGHT }
@media (prefers-color-scheme: dark) { :root { --paper: #12161d; --card: #1a2029; --ink: #e8ecf2; --soft: #9aa5b5;
  --rule: #2d3643; --limit: #ff7b72; DARK } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 1180px; margin: 0 auto; padding: 32px 24px 48px; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 4px; }
h2 { font-size: 1.05rem; margin: 0; }
p.sub, p.hint, footer { color: var(--soft); margin: 0; }
p.sub { margin-bottom: 24px; }
p.hint { font-size: .88rem; margin-bottom: 8px; }
.scroll { overflow-x: auto; margin-bottom: 16px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: 8px 10px; text-align: right; border-bottom: 1px solid var(--rule); white-space: nowrap; }
th { color: var(--soft); font-weight: 600; font-size: .85rem; }
th:first-child, td:first-child { text-align: left; }
td:first-child { font-weight: 600; }
ul.remarks { margin: 0 0 28px; padding-left: 20px; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(480px, 100%), 1fr)); gap: 20px; }
section.chart { background: var(--card); border: 1px solid var(--rule); border-radius: 12px; padding: 16px 18px 12px;
  min-width: 0; }
svg { display: block; width: 100%; height: auto; }
svg text { font: 13px system-ui, sans-serif; fill: var(--soft); }
svg text.limit { fill: var(--limit); font-weight: 600; }
svg line.grid { stroke: var(--rule); }
svg line.axis { stroke: var(--soft); }
svg line.limit { stroke: var(--limit); stroke-width: 1.5; stroke-dasharray: 6 5; }
svg .curve { fill: none; stroke-width: 2.2; stroke-linejoin: round; stroke-linecap: round; }
svg .point { stroke: var(--card); stroke-width: 1.5; }
ul.legend { list-style: none; margin: 4px 0 0; padding: 0; display: flex; flex-wrap: wrap; gap: 4px 18px;
  font-size: .88rem; }
ul.legend i { display: inline-block; vertical-align: middle; margin-right: 7px; }
ul.legend i.line { width: 18px; height: 3px; border-radius: 2px; }
ul.legend i.dot { width: 10px; height: 10px; border-radius: 50%; }
COLORS
footer { margin-top: 28px; font-size: .85rem; }
@media print { section.chart { break-inside: avoid; } }
"""


def page(picture: Picture) -> str:
    """The page as HTML text."""
    charts = "\n".join(
        f'<section class="chart"><h2>{escape(chart.title)}</h2><p class="hint">{escape(chart.hint)}</p>'
        f"{drawn(chart)}{legend(chart)}</section>"
        for chart in picture.charts
    )
    head = "".join(f"<th>{escape(name)}</th>" for name in picture.columns)
    rows = "\n".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in picture.rows)
    remarks = "".join(f"<li>{escape(text)}</li>" for text in picture.remarks)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{escape(picture.title)}</title>
<style>{_style()}</style>
</head>
<body>
<main>
<h1>{escape(picture.title)}</h1>
<p class="sub">{escape(picture.subtitle)}</p>
<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>
{rows}
</tbody></table></div>
{f'<ul class="remarks">{remarks}</ul>' if remarks else ""}
<div class="charts">
{charts}
</div>
<footer>Made by Cadencia. Every method met the same people.</footer>
</main>
</body>
</html>
"""


def _style() -> str:
    colors = "\n".join(
        f"svg .curve.c{n} {{ stroke: var(--c{n}); }} svg .point.c{n}, ul.legend i.k{n} {{ fill: var(--c{n}); "
        f"background: var(--c{n}); }}"
        for n in range(PALETTE_SIZE)
    )

    def variables(palette: tuple[str, ...]) -> str:
        return " ".join(f"--c{n}: {color};" for n, color in enumerate(palette))

    return _STYLE.replace("LIGHT", variables(LIGHT)).replace("DARK", variables(_DARK)).replace("COLORS", colors)
