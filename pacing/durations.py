"""Distributions of durations from plain values: a named family with mean and spread, or observed values."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from pacing.distributions import Distribution, Exponential, Fixed, Gamma, LogNormal, Mixture, Observed, Uniform
from pacing.tables import MissingKey, ScenarioError, Table, UnknownKey

#: Gives the numbers of a column of a CSV file, by path and column; raises ValueError where there is none.
Columns = Callable[[str, str], Sequence[float]]

FAMILIES: Final = ("fixed", "exponential", "lognormal", "gamma", "uniform", "observed", "mixture")
_KEYS: Final = frozenset(
    "family mean_s cv value_s low_s high_s values_s csv column share first second".split()  # noqa: SIM905 - readable
)
_LONGEST_S: Final = 86_400.0
_MOST_VALUES: Final = 200_000


def NO_COLUMNS(path: str, column: str) -> Sequence[float]:  # noqa: N802 - stands where a constant would
    """For callers who have no files.

    Raises:
        ValueError: always.
    """
    raise ValueError(f"column {column!r} of {path!r} cannot be read here: give the values themselves")


def distribution(table: Table, columns: Columns, more: Iterable[str] = ()) -> Distribution:
    """The distribution that a table describes.

    Args:
        table: Its keys depend on `family`.
        columns: Where observed values in files come from.
        more: Other keys of the table that somebody else reads.

    Raises:
        ScenarioError: a key is unknown or a value cannot be used.
    """
    known = _KEYS | set(more)
    for key in sorted(table.given - known):
        raise UnknownKey(table.path(key), key, known)
    found = _distribution(table, columns)
    table.end(more)
    return found


def _distribution(table: Table, columns: Columns) -> Distribution:
    family = table.choice("family", "observed" if "csv" in table or "values_s" in table else "lognormal", FAMILIES)
    match family:
        case "fixed":
            return Fixed(table.number("value_s", None, low=0.0, high=_LONGEST_S))
        case "exponential":
            return Exponential(_mean(table))
        case "lognormal":
            return LogNormal(_mean(table), table.number("cv", 0.8, low=0.001, high=20.0))
        case "gamma":
            mean_s = _mean(table)
            return Gamma(mean_s, 1.0 / table.number("cv", 0.6, low=0.001, high=20.0) ** 2)
        case "uniform":
            low_s = table.number("low_s", None, low=0.0, high=_LONGEST_S)
            return Uniform(low_s, table.number("high_s", None, low=low_s, high=_LONGEST_S))
        case "mixture":
            return Mixture(
                table.number("share", None, low=0.0, high=1.0),
                distribution(table.table("first"), columns),
                distribution(table.table("second"), columns),
            )
    return Observed(_observed(table, columns))


def _mean(table: Table) -> float:
    return table.number("mean_s", None, low=0.01, high=_LONGEST_S)


def _observed(table: Table, columns: Columns) -> tuple[float, ...]:
    if "csv" in table:
        path, column = table.text("csv", ""), table.text("column", "")
        if not column:
            raise MissingKey(table.path("column"))
        try:
            values = tuple(columns(path, column))
        except ValueError as error:
            raise ScenarioError(table.path("csv"), path, f"a CSV file with that column ({error})") from error
        where = table.path("csv")
    else:
        values = table.numbers("values_s", (), low=0.0, high=_LONGEST_S)
        where = table.path("values_s")
    if not values:
        raise ScenarioError(where, "nothing", "at least one number of seconds")
    if len(values) > _MOST_VALUES:
        raise ScenarioError(where, f"{len(values):,} values", f"at most {_MOST_VALUES:,} values")
    for value in values:
        if not (math.isfinite(value) and 0.0 <= value <= _LONGEST_S):
            raise ScenarioError(where, value, f"seconds from 0 to {_LONGEST_S:,.0f}")
    return values
