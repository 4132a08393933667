"""Scenarios and columns of numbers from files."""

from __future__ import annotations

import csv
import math
import tomllib
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final

from dialer.errors import InputError
from pacing.durations import Columns
from pacing.scenario import Scenario, ScenarioError, read_scenario

_LARGEST_BYTES: Final = 512 * 1024 * 1024
_MOST_ROWS: Final = 5_000_000
#: More observed values than this say nothing more, and jobs carry them: evenly spaced quantiles stand for the rest.
_VALUES_KEPT: Final = 2_000


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file; observed values that stand in CSV files beside it are put in their place.

    Raises:
        InputError: it cannot be read; the text says why.
    """
    try:
        if path.stat().st_size > 16 * 1024 * 1024:
            raise InputError(f"{path} is larger than 16 MiB: that is no scenario")
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read the scenario {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text (byte {error.start})") from error
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path} is not valid TOML: {error}") from error
    return with_values(raw, path.parent)


def with_values(raw: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The same tables with the values of CSV columns in the place of their names, so that they can go anywhere.

    Raises:
        InputError: a column cannot be read.
    """

    def resolve(node: Any) -> Any:
        if isinstance(node, Mapping):
            if isinstance(node.get("csv"), str) and isinstance(node.get("column"), str):
                rest = {key: resolve(value) for key, value in node.items() if key not in {"csv", "column"}}
                values = column_of(folder / node["csv"], node["column"])
                return {"family": "observed", **rest, "values_s": thinned(values)}
            return {key: resolve(value) for key, value in node.items()}
        return [resolve(item) for item in node] if isinstance(node, list) else node

    resolved: dict[str, Any] = resolve(raw)
    return resolved


def column_of(path: Path, column: str) -> list[float]:
    """The numbers of a column of a CSV file, in its order; empty cells are left out.

    Raises:
        InputError: no such file or column, or a cell that is no number of seconds; the text names the line.
    """
    values: list[float] = []
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            raise InputError(f"{path} is larger than 512 MiB: take a sample of it")
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file, strict=True)
            if column not in (rows.fieldnames or ()):
                raise InputError(
                    f"{path} has no column {column!r}; there are {', '.join(rows.fieldnames or ('none',))}"
                )
            for row in islice(rows, _MOST_ROWS):
                cell = (row[column] or "").strip()
                if not cell:
                    continue
                value = float(cell)
                if not (math.isfinite(value) and 0.0 <= value <= 86_400.0):
                    raise ValueError(cell)
                values.append(value)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text") from error
    except csv.Error as error:
        raise InputError(f"{path}: {error}") from error
    except ValueError as error:
        raise InputError(
            f"{path}, line {rows.line_num}: column {column!r} must hold seconds from 0 to 86,400 ({error})"
        ) from error
    if not values:
        raise InputError(f"column {column!r} of {path} holds no number")
    return values


def thinned(values: Sequence[float], most: int = _VALUES_KEPT) -> list[float]:
    """At most so many values: all of them, or evenly spaced quantiles."""
    if len(values) <= most:
        return list(values)
    ordered = sorted(values)
    return [ordered[int((place + 0.5) * len(ordered) / most)] for place in range(most)]


def columns_below(folder: Path) -> Columns:
    """Columns of CSV files named relative to a folder."""

    def columns(path: str, column: str) -> Sequence[float]:
        try:
            return column_of(folder / path, column)
        except InputError as error:
            raise ValueError(str(error)) from error

    return columns


def scenario_of(raw: Mapping[str, Any]) -> Scenario:
    """The scenario that the tables describe.

    Raises:
        InputError: a key is unknown or a value cannot be used; the text names it and says what it may be.
    """
    try:
        return read_scenario(raw)
    except ScenarioError as error:
        raise InputError(f"the scenario cannot be used: {error}") from error
