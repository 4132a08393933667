"""Pacing methods by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from difflib import get_close_matches

from pacing.contract import Pacer
from pacing.methods.predictive import Predictive
from pacing.methods.simple import FixedRatio, Preview, Progressive
from pacing.paced import RulePacer
from pacing.peers.impact import Impact
from pacing.peers.issabel import Issabel
from pacing.peers.omnidialer import OmniDialer
from pacing.peers.pi import ProportionalIntegral
from pacing.peers.vicidial import Limiter, Vicidial
from pacing.peers.wombat import Wombat
from pacing.rule import Rule
from pacing.settings import PacingSettings

_METHODS: dict[str, Callable[[PacingSettings], Rule]] = {
    "preview": lambda settings: Preview(),
    "progressive": lambda settings: Progressive(),
    "ratio": lambda settings: FixedRatio(_or(settings.ratio, 1.5)),
    "predictive": Predictive,
    # Rules of known dialers, for comparison.
    "vicidial_ratio": lambda settings: Vicidial(
        Limiter.RATIO, max_abandonment=settings.max_abandonment, level=_or(settings.ratio, 2.0)
    ),
    "vicidial_hard_limit": lambda settings: Vicidial(Limiter.HARD_LIMIT, max_abandonment=settings.max_abandonment),
    "vicidial_average": lambda settings: Vicidial(Limiter.AVERAGE, max_abandonment=settings.max_abandonment),
    "vicidial_tapered": lambda settings: Vicidial(Limiter.TAPERED, max_abandonment=settings.max_abandonment),
    "issabel": lambda settings: Issabel(),
    "omnidialer": lambda settings: OmniDialer(max_abandonment=settings.max_abandonment, boost=_or(settings.ratio, 1.0)),
    "wombat": lambda settings: Wombat(boost=_or(settings.ratio, 2.5)),
    "impact": lambda settings: Impact(max_abandonment=settings.max_abandonment),
    "pi": lambda settings: ProportionalIntegral(max_abandonment=settings.max_abandonment),
}
_SETTINGS = tuple(field.name for field in dataclasses.fields(PacingSettings))


def method_names() -> tuple[str, ...]:
    """Names that `build` knows."""
    return tuple(_METHODS)


def build(method: str, **settings: object) -> Pacer:
    """A pacer that uses `method`.

    Args:
        method: One of `method_names()`.
        **settings: Any field of `PacingSettings`; the rest keep their defaults.

    Raises:
        ValueError: The method or a setting is unknown, or a value is out of range; the message says what is allowed.
    """
    make = _METHODS.get(method)
    if make is None:
        raise ValueError(
            f"unknown pacing method {method!r}{_hint(method, tuple(_METHODS))}; valid: {', '.join(_METHODS)}"
        )
    for name in settings:
        if name not in _SETTINGS:
            raise ValueError(f"unknown pacing setting {name!r}{_hint(name, _SETTINGS)}; valid: {', '.join(_SETTINGS)}")
    checked = PacingSettings(**settings)  # type: ignore[arg-type]  # values are checked by the class itself
    return RulePacer(method, make(checked), checked)


def _hint(word: str, known: tuple[str, ...]) -> str:
    near = get_close_matches(str(word), known, n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _or(value: float | None, default: float) -> float:
    return default if value is None else value
