"""Sweeps: `agents=10..30:5` and the like, and the scenarios that they span."""

from __future__ import annotations

import copy
import itertools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from dialer.errors import InputError

#: Short names of what is swept most.
ALIASES: Final[Mapping[str, str]] = {
    "max_abandonment": "pacing.max_abandonment",
    "ratio": "pacing.ratio",
    "max_lines": "pacing.max_lines",
    "answer_rate": "answer.rate",
    "talk": "talk.mean_s",
    "wrapup": "wrapup.mean_s",
    "ring_timeout": "ring.timeout_s",
    "contacts": "list.contacts",
    "attempts": "list.attempts",
}
_MOST_POINTS: Final = 2_000
_RANGE = re.compile(r"(?P<low>[^.:]+(?:\.\d+)?)\.\.(?P<high>[^:]+):(?P<step>.+)\Z")
_HELP: Final = "write it as agents=10..30:5 (from, to, step) or max_abandonment=0.01,0.03"
#: Tables that a swept key may begin where the scenario has none, with the family of a distribution.
_FAMILIES: Final[Mapping[str, Mapping[str, Any]]] = {
    "talk": {"family": "lognormal", "cv": 0.9},
    "wrapup": {"family": "lognormal", "cv": 0.5},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """One key and its values.

    Attributes:
        name: As it was written.
        path: Where it stands in a scenario.
        values: In order.
    """

    name: str
    path: str
    values: tuple[float, ...]


def read_axis(text: str) -> Axis:
    """An axis of a sweep.

    Raises:
        InputError: it cannot be understood; the text says how to write it.
    """
    name, found, rest = text.partition("=")
    name = name.strip()
    if not found or not re.fullmatch(r"[a-z_]+(\.[a-z_]+)*", name):
        raise InputError(f"sweep {text!r} cannot be understood: {_HELP}")
    try:
        spread = _RANGE.match(rest)
        values = (
            _spread(*(float(spread[part]) for part in ("low", "high", "step")))
            if spread
            else [float(value) for value in rest.split(",")]
        )
    except ValueError as error:
        raise InputError(f"sweep {text!r} cannot be understood: {_HELP}") from error
    if not values or not all(math.isfinite(value) for value in values):
        raise InputError(f"sweep {text!r} has no values: {_HELP}")
    return Axis(name=name, path=ALIASES.get(name, name), values=tuple(dict.fromkeys(values)))


def _spread(low: float, high: float, step: float) -> list[float]:
    if not (math.isfinite(low) and math.isfinite(high) and step > 0.0) or high < low:
        raise ValueError("not a range")
    count = math.floor((high - low) / step + 1e-9) + 1
    if count > _MOST_POINTS:
        raise InputError(f"a sweep of {count:,} values is too long: at most {_MOST_POINTS:,}")
    return [round(low + place * step, 10) for place in range(count)]


def points(axes: Sequence[Axis]) -> list[dict[str, float]]:
    """Every combination of the values, by the names of the axes.

    Raises:
        InputError: an axis stands there twice, or there are too many.
    """
    names = [axis.path for axis in axes]
    if len(set(names)) != len(names):
        raise InputError("a key is swept twice: give all its values at once")
    if math.prod(len(axis.values) for axis in axes) > _MOST_POINTS:
        raise InputError(f"the sweep has more than {_MOST_POINTS:,} points: take larger steps")
    return [
        dict(zip((axis.name for axis in axes), values, strict=True))
        for values in itertools.product(*(axis.values for axis in axes))
    ]


def placed(raw: Mapping[str, Any], path: str, value: float) -> dict[str, Any]:
    """A copy of a scenario's tables with one value changed.

    Raises:
        InputError: the path leads through something that is no table.
    """
    changed = copy.deepcopy(dict(raw))
    *tables, key = path.split(".")
    node: Any = changed
    for place, name in enumerate(tables):
        node = node.setdefault(name, dict(_FAMILIES.get(name, {})) if place == 0 else {})
        if not isinstance(node, dict):
            raise InputError(f"{path} cannot be swept: {name} is no table of the scenario")
    node[key] = int(value) if float(value).is_integer() else value
    return changed
