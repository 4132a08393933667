"""Settings that every method shares, checked once."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pacing.legal_window import Held, LegalWindow


@dataclass(frozen=True, slots=True, kw_only=True)
class PacingSettings:
    """What a campaign may set; everything else is learned.

    Attributes:
        max_abandonment: Largest share of live answers that may find no agent in time (0.03 is 3 %).
        connect_within_s: Seconds within which a person who answered must have an agent; 0 means at once.
        ring_timeout_s: Seconds after which an unanswered call is given up. Used to forget calls whose end was lost.
        max_lines: Calls in flight (ringing, or answered and waiting), at most; None for no limit.
        max_lines_per_agent: The same per agent on duty; None for no limit.
        ratio: Lines per idle agent for `ratio` (1.5 if not set); the factor that the comparisons with known dialers are
            given (level of VICIdial, boost of WombatDialer and OMniDialer). `predictive` has no use for it.
        window_s: Length of the legal window over which abandonment counts; None counts since the pacer was built.
        answers_before: Live answers already counted in the window when the pacer is built (a restart).
        abandoned_before: Of these, how many were abandoned.
        windows: Several legal windows at once, each with what it holds already; the tightest governs. Given any, the
            three settings above are not looked at.
    """

    max_abandonment: float = 0.03
    connect_within_s: float = 2.0
    ring_timeout_s: float = 30.0
    max_lines: int | None = None
    max_lines_per_agent: float | None = None
    ratio: float | None = None
    window_s: float | None = 30 * 86_400.0
    answers_before: int = 0
    abandoned_before: int = 0
    windows: tuple[LegalWindow, ...] = ()

    def __post_init__(self) -> None:
        _within("max_abandonment", self.max_abandonment, 0.0, 1.0)
        _within("connect_within_s", self.connect_within_s, 0.0, 60.0)
        _within("ring_timeout_s", self.ring_timeout_s, 1.0, 300.0)
        if self.ratio is not None:
            _within("ratio", self.ratio, 0.0, 100.0)
        if self.max_lines is not None:
            _within("max_lines", self.max_lines, 0, 1_000_000)
        if self.max_lines_per_agent is not None:
            _within("max_lines_per_agent", self.max_lines_per_agent, 0.0, 1_000.0)
        if self.window_s is not None:
            _within("window_s", self.window_s, 60.0, 366 * 86_400.0)
        _within("answers_before", self.answers_before, 0, 10**12)
        _within("abandoned_before", self.abandoned_before, 0, self.answers_before)
        given: object = self.windows
        if not isinstance(given, tuple) or not all(isinstance(window, LegalWindow) for window in given):
            raise ValueError(f"pacing setting windows must be a tuple of LegalWindow, not {given!r}")

    @property
    def legal_windows(self) -> tuple[LegalWindow, ...]:
        """`windows`, or the one that `window_s` describes."""
        if self.windows:
            return self.windows
        held: tuple[Held, ...] = ()
        if self.answers_before:
            held = (Held(answers=self.answers_before, abandoned=self.abandoned_before),)
        return (LegalWindow(name=_length_in_words(self.window_s), length_s=self.window_s, held=held),)


def _length_in_words(length_s: float | None) -> str:
    if length_s is None:
        return "since the start"
    return f"{length_s / 86_400.0:g} days" if length_s > 86_400.0 else f"{length_s / 3_600.0:g} hours"


def _within(name: str, value: object, low: float, high: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"pacing setting {name} must be a number, not {value!r}")
    if not low <= value <= high:
        raise ValueError(f"pacing setting {name} must be between {low} and {high}, not {value}")
