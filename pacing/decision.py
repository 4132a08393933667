"""The answer of a pacer: a number and its reasons."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """How many calls to start now, and why not one more.

    Attributes:
        dial: Calls to start now, never negative.
        expected_abandonment: Chance (0 to 1) that the last of these calls, if answered, leaves somebody without an
            agent; 0 when nothing is dialed or when the method does not estimate it.
        threshold: The chance that the last call was held to; 0 when the method holds calls to none.
        budget_left: People who may still be abandoned before the limit of the window is reached, less the reserve;
            None when the method keeps no budget, or while there were too few answers to allow for anybody.
        limit: What stopped it, for machines: "preview", "no_agents", "idle", "ratio", "level", "threshold",
            "warming_up", "budget", "max_lines", "max_lines_per_agent".
        explanation: The same for a campaign manager, in words.
        idle: Agents free now.
        busy: Agents talking or in wrap-up now.
        waiting: Live people waiting for an agent now.
        in_flight: Calls started and not resolved yet.
        answer_rate: Estimated chance that a fresh call reaches a live person; None when not estimated.
        mean_talk_s: Estimated mean talk time; None when not estimated.
        mean_wrapup_s: Estimated mean wrap-up time; None when not estimated.
    """

    dial: int
    expected_abandonment: float = 0.0
    threshold: float = 0.0
    budget_left: float | None = None
    limit: str
    explanation: str
    idle: int = 0
    busy: int = 0
    waiting: int = 0
    in_flight: int = 0
    answer_rate: float | None = None
    mean_talk_s: float | None = None
    mean_wrapup_s: float | None = None
