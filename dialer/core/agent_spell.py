"""A spell: what one agent did for some time, as it is kept for reports. Pure.

A spell never goes over the edge of a quarter of an hour of UTC: all zones are whole quarters away from it, so each
spell lies in one hour and one day of every zone, and a database can add spells up without knowing any.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from dialer.core.agent import AgentState
from dialer.core.ids import AgentId, CallId, CampaignId

QUARTER_S: Final = 900.0

#: States whose time is kept: the agent is there, at work or in a pause.
KEPT: Final = frozenset(
    {AgentState.IDLE, AgentState.RESERVED, AgentState.TALKING, AgentState.WRAPUP, AgentState.PAUSED}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSpell:
    """Time of one agent in one state; moments in unix seconds."""

    agent: AgentId
    #: Of the call, or one of those that the agent waits for; empty: they have none.
    campaign: CampaignId
    state: AgentState
    began_at: float
    ended_at: float
    #: Whole milliseconds; of an agent who waits for several campaigns, the share of this one.
    ms: int
    call: CallId | None = None
    #: Pause code.
    reason: str = ""


def quarters(began_at: float, ended_at: float) -> Iterator[tuple[float, float]]:
    """The parts of a time that lie within one quarter of an hour each."""
    while began_at < ended_at:
        edge = (began_at // QUARTER_S + 1) * QUARTER_S
        yield began_at, min(edge, ended_at)
        began_at = edge


def milliseconds(began_at: float, ended_at: float) -> int:
    """Whole milliseconds between two moments, such that parts of a time add up to it exactly."""
    return round(ended_at * 1_000) - round(began_at * 1_000)
