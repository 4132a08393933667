"""What would be if a campaign had other agents or another limit: its own calls as a scenario, and floors beside it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from dialer.core.attempt import Attempt
from dialer.core.campaign import Campaign
from dialer.core.outcome import LIVE, Outcome
from dialer.twin.cells import Cell
from pacing.trials import Trial

#: Fewer calls or talks than these say nothing of the next ones.
FEWEST_CALLS: Final = 50
FEWEST_TALKS: Final = 10
#: Outcomes that say nothing of the people who are called.
_NOT_THEIRS: Final = frozenset({Outcome.CANCELLED, Outcome.FAILED, Outcome.LOST, Outcome.CONGESTION})
#: What a scenario knows by another name: a line that was free for a moment, and nobody there.
_AS: Final[Mapping[Outcome, str]] = {Outcome.REJECTED: Outcome.BUSY.value}
#: Limits along which the frontier is drawn, besides those that were asked for.
_LIMITS: Final = (0.005, 0.015, 0.03)
_MOST_VALUES: Final = 1_000
_DAYS: Final = 3
#: Talks of a day, about, within bounds of its length: enough to tell floors apart while somebody waits for it.
_TALKS: Final = 270.0
_SHORTEST_H: Final = 0.5
_LONGEST_H: Final = 2.0
#: Share of their time that agents are busy, about.
_BUSY: Final = 0.8
_LONGEST_S: Final = 3_600.0
_LEAST_S: Final = 0.1


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked."""

    agents: int
    other_agents: int
    other_limit: float


class Learned(msgspec.Struct, frozen=True, kw_only=True):
    """What a campaign's calls say of the next ones."""

    calls: int
    answer_rate: float
    talk_s: float
    wrapup_s: float
    wrapup_assumed: bool


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """A simulated floor; see `dialer.api.what_if_ports.WhatIfPoint`."""

    agents: int
    limit: float
    occupancy: float
    occupancy_half_width: float | None
    abandonment: float
    talks_an_hour: float
    wait_s: float


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What it came to; see `dialer.api.what_if_ports.WhatIfFound`."""

    floor: Learned | None = None
    points: tuple[Point, ...] = ()
    hours: float = 0.0
    error: str = ""


def learn(
    attempts: Sequence[Attempt], wrapup_s: float | None, campaign: Campaign
) -> tuple[Learned, dict[str, Any]] | None:
    """A campaign's figures, and the tables of a scenario that has them; None where it has too few calls.

    Args:
        attempts: The latest of the campaign.
        wrapup_s: Mean wrap-up; None: not known.
        campaign: Its settings.
    """
    calls = [call for call in attempts if call.outcome not in _NOT_THEIRS]
    live = [call for call in calls if call.outcome in LIVE]
    talks = [min(max(call.talk_s, _LEAST_S), 4 * _LONGEST_S) for call in live if call.talk_s is not None]
    if len(calls) < FEWEST_CALLS or len(talks) < FEWEST_TALKS:
        return None
    assumed = wrapup_s is None
    if wrapup_s is None:
        wrapup_s = campaign.wrapup_limit_s or 0.0
    learned = Learned(
        calls=len(calls),
        answer_rate=len(live) / len(calls),
        talk_s=sum(talks) / len(talks),
        wrapup_s=wrapup_s,
        wrapup_assumed=assumed,
    )
    rings = [call.answered_at - call.started_at for call in live if call.answered_at is not None]
    raw: dict[str, Any] = {
        "answer": {"rate": learned.answer_rate},
        "talk": {"values_s": talks[:_MOST_VALUES]},
        "wrapup": {"mean_s": wrapup_s} if wrapup_s >= _LEAST_S else {"family": "fixed", "value_s": wrapup_s},
        "connect_within_s": campaign.connect_within_s,
        "methods": [campaign.method],
        "pacing": {"max_abandonment": campaign.max_abandonment, "ratio": campaign.ratio},
        "ring": {"timeout_s": campaign.ring_timeout_s, "answered": {"values_s": _spans(rings)}},
    }
    ends: dict[str, list[float]] = {}
    for call in calls:
        if call.outcome not in LIVE:
            ends.setdefault(_AS.get(call.outcome, call.outcome.value), []).append(call.ended_at - call.started_at)
    if ends:
        raw["outcomes"] = [
            {"outcome": outcome, "share": len(spans), "after": {"values_s": _spans(spans)}}
            for outcome, spans in sorted(ends.items())
        ]
    return learned, raw


def _spans(seconds: Sequence[float]) -> list[float]:
    return [min(max(value, _LEAST_S), _LONGEST_S) for value in seconds[:_MOST_VALUES]]


def cells(raw: dict[str, Any], learned: Learned, question: Question, campaign: Campaign) -> tuple[float, list[Cell]]:
    """The hours of a day, and a cell for each number of agents under each limit."""
    fewest = min(question.agents, question.other_agents)
    needed_h = _TALKS * (learned.talk_s + learned.wrapup_s) / (_BUSY * fewest * 3_600.0)
    hours = min(max(needed_h, _SHORTEST_H), _LONGEST_H)
    whole = {**raw, "hours": hours, "days": _DAYS}
    limits = sorted({*_LIMITS, campaign.max_abandonment, question.other_limit})
    return hours, [
        Cell(scenario={**whole, "agents": agents}, method=campaign.method, pacing={"max_abandonment": limit})
        for agents in sorted({question.agents, question.other_agents})
        for limit in limits
    ]


def point_of(trial: Trial, cell: Cell, hours: float) -> Point:
    """What came of a cell."""
    half = trial.half_width(lambda day: day.occupancy)
    return Point(
        agents=trial.agents,
        limit=cell.pacing["max_abandonment"],
        occupancy=trial.occupancy,
        occupancy_half_width=half if math.isfinite(half) else None,
        abandonment=trial.abandonment,
        talks_an_hour=trial.total(lambda day: day.connected) / (hours * len(trial.days)),
        wait_s=trial.wait_between_talks_s,
    )
