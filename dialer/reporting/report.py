"""A report that was made: its rows with figures and indicators, as JSON, CSV or Parquet. Pure, but for pyarrow."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final

from dialer.errors import InputError
from dialer.intake.downloads import csv_lines
from dialer.queues.results import rfc3339
from dialer.reporting.figures import AgentTime, Figures
from dialer.reporting.indicators import INDICATORS, Costs, Unit, indicators, one_amount
from dialer.reporting.order import Dimension, ReportOrder

#: A cell of a report.
Value = str | int | float | Decimal | None
_EPOCH: Final = date(1970, 1, 1)
_BOM: Final = b"\xef\xbb\xbf"
_COUNTS: Final = (
    "attempts",
    "answered",
    "live_answers",
    "abandoned",
    "connected",
    "contacts",
    "disposed",
    "sales",
    "promises",
)
_TIMES: Final = ("idle", "reserved", "talking", "wrapup", "paused")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRow:
    """One row: what it is of, in the order of ``ReportOrder.by``, and its sums."""

    key: tuple[str | int | None, ...]
    figures: Figures


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A report."""

    order: ReportOrder
    rows: Sequence[ReportRow]
    costs: Costs
    #: Of the costs.
    currency: str = ""
    made_at: float

    @property
    def total(self) -> Figures:
        """All rows together."""
        empty = Figures(agents=AgentTime()) if self.order.staffed else Figures()
        return sum((row.figures for row in self.rows), empty)

    def columns(self) -> list[str]:
        """Names of the columns, in their order."""
        return [*(each.value for each in self.order.by), *self._values(Figures())]

    def table(self) -> list[dict[str, Value]]:
        """The rows, flat: every one has every column."""
        return [
            {**dict(zip([each.value for each in self.order.by], self._names(row.key), strict=True)),
             **self._values(row.figures)}
            for row in self.rows
        ]  # fmt: skip

    def totals(self) -> dict[str, Value]:
        """All rows together, with indicators of their own."""
        return self._values(self.total)

    def as_json(self) -> dict[str, Any]:
        """The report in JSON's own types; money as text, exactly."""
        order = self.order
        return {
            "since": rfc3339(order.since),
            "until": rfc3339(order.until),
            "by": [each.value for each in order.by],
            "timezone": order.timezone,
            "made_at": rfc3339(self.made_at),
            "cost_currency": self.currency,
            "rows": [_plain(row) for row in self.table()],
            "total": _plain(self.totals()),
        }

    def as_csv(self) -> bytes:
        """The rows as CSV (RFC 4180, UTF-8 with a byte-order mark); no cell is a formula to a spreadsheet."""
        columns = self.columns()
        lines = [columns, *([_cell(row[name]) for name in columns] for row in self.table())]
        return _BOM + csv_lines(lines).encode("utf-8", "replace")

    def as_parquet(self) -> bytes:
        """The rows as a Parquet file, with the period in its metadata.

        Raises:
            InputError: this installation has no pyarrow.
        """
        try:
            import pyarrow as pa  # noqa: PLC0415
            import pyarrow.parquet as pq  # noqa: PLC0415
        except ImportError as error:
            raise InputError(
                "format: Parquet needs pyarrow; install cadencia[parquet], or ask for json or csv"
            ) from error
        kinds: dict[str, Any] = {"text": pa.string(), "whole": pa.int64(), "number": pa.float64()}
        kinds["money"] = pa.decimal128(38, 4)
        schema = pa.schema(
            [(name, kinds[_KINDS.get(name, "text")]) for name in self.columns()],
            metadata={"since": rfc3339(self.order.since), "until": rfc3339(self.order.until)},
        )
        # A file that a person opens later says by itself what it is of.
        target = io.BytesIO()
        pq.write_table(pa.Table.from_pylist([_exact(row) for row in self.table()], schema=schema), target)
        return target.getvalue()

    # ---- inside

    def _names(self, key: Sequence[str | int | None]) -> list[Value]:
        return [_of_dimension(each, part) for each, part in zip(self.order.by, key, strict=True)]

    def _values(self, figures: Figures) -> dict[str, Value]:
        values: dict[str, Value] = {name: getattr(figures, name) for name in _COUNTS}
        values["amount"] = one_amount(figures.amounts)
        values["promised"] = one_amount(figures.promised)
        currencies = {**figures.amounts, **figures.promised}
        values["currency"] = next(iter(currencies)) if len(currencies) == 1 else None
        values["talk_s"] = figures.talk_ms / 1_000
        values["line_s"] = figures.line_ms / 1_000
        for name in _TIMES:
            values[f"{name}_s"] = None if figures.agents is None else getattr(figures.agents, f"{name}_ms") / 1_000
        return values | indicators(figures, self.costs)


def _of_dimension(dimension: Dimension, part: str | int | None) -> Value:
    if dimension is Dimension.DAY and isinstance(part, int):
        return (_EPOCH + timedelta(days=part)).isoformat()
    return part


def _plain(row: Mapping[str, Value]) -> dict[str, str | int | float | None]:
    return {name: format(value, "f") if isinstance(value, Decimal) else value for name, value in row.items()}


def _cell(value: Value) -> str:
    if value is None:
        return ""
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def _exact(row: Mapping[str, Value]) -> dict[str, Value]:
    return {
        name: value.quantize(Decimal("0.0001")) if isinstance(value, Decimal) else value for name, value in row.items()
    }


_KINDS: Final[Mapping[str, str]] = {
    **dict.fromkeys((*_COUNTS, "hour"), "whole"),
    **dict.fromkeys(("talk_s", "line_s", *(f"{name}_s" for name in _TIMES)), "number"),
    **{each.name: "money" if each.unit is Unit.MONEY else "number" for each in INDICATORS},
    "amount": "money",
    "promised": "money",
}

#: The forms in which a report is written out: media type and maker.
FORMS: Final[Mapping[str, tuple[str, Callable[[Report], bytes]]]] = {
    "csv": ("text/csv", Report.as_csv),
    "parquet": ("application/vnd.apache.parquet", Report.as_parquet),
}
