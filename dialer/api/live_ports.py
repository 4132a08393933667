"""What the API reads of what goes on now (`dialer.projections.live.LiveView`, or the part of it that a tenant sees)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from dialer.core.campaign import CampaignState
from dialer.core.ids import AgentId, CallId, CampaignId
from dialer.projections.abandonment import AbandonmentTracker
from dialer.projections.live_rows import (
    AgentRow,
    CallerIdRow,
    CallRow,
    CampaignRow,
    LiveSnapshot,
    MonitorRow,
    OfferRow,
)


class Live(Protocol):
    """The present state; read it in the event loop only. See `LiveView` for what each of them gives."""

    @property
    def abandonment(self) -> AbandonmentTracker:
        """Abandoned calls by campaign and window."""

    def snapshot(self, now: float) -> LiveSnapshot:
        """Everything at `now`."""

    def campaign(self, campaign: CampaignId, now: float) -> CampaignRow | None:
        """One campaign at `now`."""

    def campaign_state(self, campaign: CampaignId) -> CampaignState | None:
        """Where a campaign stands."""

    def caller_ids_of(self, campaign: CampaignId) -> Sequence[CallerIdRow]:
        """The numbers that a campaign's calls show."""

    def agents(self, now: float) -> Sequence[AgentRow]:
        """Every agent, by id."""

    def agent(self, agent: AgentId) -> AgentRow | None:
        """One agent."""

    def offer(self, agent: AgentId) -> OfferRow | None:
        """What an agent is being shown."""

    def monitors(self, agent: AgentId | None = None) -> Sequence[MonitorRow]:
        """Supervisors who attend talks."""

    def calls(self, campaign: CampaignId | None = None) -> Sequence[CallRow]:
        """Calls in flight, oldest first."""

    def call(self, call: CallId) -> CallRow | None:
        """One call in flight."""
