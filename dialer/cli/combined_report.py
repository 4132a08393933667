"""`cadencia report --by …`: sales, amounts, indicators and costs by whatever somebody asks, as a table or a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from rich.markup import escape
from rich.table import Table
from rich.text import Text

from dialer.cli.client import Api
from dialer.cli.screen import fail, out, print_json
from dialer.errors import DialerError

_BAR: Final = 24
#: Characters of a column with its edges.
_WIDE: Final = 13
#: What fits on a screen; `--show` and the files have the rest.
_SHOWN: Final = (
    "attempts",
    "contacts",
    "sales",
    "amount",
    "contact_rate",
    "conversion",
    "abandonment",
    "occupancy",
    "average_handle_time_s",
    "sales_per_agent_hour",
    "cost_per_sale",
)


class Form(StrEnum):
    """How a report is written into a file."""

    JSON = "json"
    CSV = "csv"
    PARQUET = "parquet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What was asked for on the command line."""

    by: str
    campaign: str | None = None
    since: str | None = None
    until: str | None = None
    timezone: str | None = None
    lists: Sequence[str] = field(default_factory=tuple)
    agents: Sequence[str] = field(default_factory=tuple)
    outcomes: Sequence[str] = field(default_factory=tuple)

    def path(self, form: str) -> str:
        """The request."""
        single = {"since": self.since, "until": self.until, "timezone": self.timezone, "campaign": self.campaign}
        pairs = [("by", self.by), ("format", form), *((key, value) for key, value in single.items() if value)]
        for key, values in (("list", self.lists), ("agent", self.agents), ("outcome", self.outcomes)):
            pairs += [(key, value) for value in values]
        return f"/reports/combined?{urlencode(pairs)}"


def show(api: Api, wanted: Wanted, columns: Sequence[str], plot: str, *, as_json: bool) -> None:
    """Print a combined report."""
    found = api.get(wanted.path("json"))
    if as_json:
        print_json(found)
        return
    names = list(columns) or list(_SHOWN[: _fitting(len(found["by"]), bars=bool(plot))])
    known = list(found["total"])
    for name in [*names, *([plot] if plot else [])]:
        if name not in known:
            fail(f"--show and --plot: {name!r} is no column; it may be {', '.join(known)}", 2)
    if plot and plot not in names:
        names.append(plot)
    table = Table(title=f"{found['since'][:16]} to {found['until'][:16]} UTC", title_justify="left")
    for name in [*found["by"], *names]:
        table.add_column(name.replace("_", " "), justify="left" if name in found["by"] else "right", min_width=6)
    if plot:
        table.add_column("")
    longest = max((_number(row[plot]) for row in found["rows"]), default=0.0) if plot else 0.0
    for row in found["rows"]:
        cells = [Text(_cell(name, row[name])) for name in [*found["by"], *names]]
        table.add_row(*cells, *([_bar(_number(row[plot]), longest)] if plot else []))
    table.add_section()
    blank = [""] * (len(found["by"]) - 1)
    table.add_row("total", *blank, *(_cell(name, found["total"][name]) for name in names))
    out.print(table)
    if not found["rows"]:
        out.print("No call ended and no agent was there in this time.")


def save(api: Api, wanted: Wanted, form: Form, path: Path) -> None:
    """Write a combined report into a file."""
    content = api.get_bytes(wanted.path(form.value))
    try:
        path.write_bytes(content)
    except OSError as error:
        raise DialerError(f"cannot write {path}: {error.strerror}") from error
    out.print(f"{escape(str(path))}: {len(content):,} bytes", highlight=False, soft_wrap=True)


def _fitting(dimensions: int, *, bars: bool) -> int:
    """How many columns there is room for beside those of the dimensions."""
    left = out.width - dimensions * _WIDE - (_BAR + 3 if bars else 0)
    return max(2, left // _WIDE)


def _number(value: Any) -> float:
    return float(value) if value is not None else 0.0


def _bar(value: float, longest: float) -> Text:
    return Text("█" * round(_BAR * value / longest) if longest > 0 else "", style="cyan")


def _cell(name: str, value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        if name.endswith(("_rate", "conversion", "abandonment", "occupancy", "penetration")):
            return f"{100 * value:.1f} %"
        return f"{value:,.1f}"
    return f"{value:,}" if isinstance(value, int) and name != "hour" else str(value)
