"""The live view of the whole installation: what goes on here, with the pictures that the other nodes have told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from dialer.core.agent import AgentState
from dialer.core.campaign import CampaignState
from dialer.core.events import PeopleEvent
from dialer.core.ids import AgentId, CallId, CampaignId
from dialer.projections.abandonment import AbandonmentTracker
from dialer.projections.live import LiveView
from dialer.projections.live_rows import (
    AgentRow,
    CallerIdRow,
    CallRow,
    CampaignRow,
    LiveSnapshot,
    MonitorRow,
    OfferRow,
)
from dialer.projections.merged import merged, merged_agents, merged_calls, merged_campaign
from dialer.projections.metrics import Metrics
from dialer.runtime.control import NodeControl
from dialer.runtime.neighbours import Neighbours


class EverywhereView:
    """`dialer.api.live_ports.Live` of all nodes; of this one alone while there is no other."""

    def __init__(self, here: LiveView, neighbours: Neighbours) -> None:
        self._here = here
        self._neighbours = neighbours

    @property
    def abandonment(self) -> AbandonmentTracker:
        """What this node has counted."""
        return self._here.abandonment

    def snapshot(self, now: float) -> LiveSnapshot:
        """Everything at `now`; of other nodes as of a second ago."""
        own, pictures = self._here.snapshot(now), self._neighbours.pictures()
        if not pictures:
            return own
        return merged(self._neighbours.node, own, {name: picture.view for name, picture in pictures.items()})

    def campaign(self, campaign: CampaignId, now: float) -> CampaignRow | None:
        """One campaign."""
        own = self._here.campaign(campaign, now)
        if own is None:
            return None
        views = (picture.view for picture in self._neighbours.pictures().values())
        return merged_campaign([own, *(row for view in views for row in view.campaigns if row.id == campaign)])

    def campaign_state(self, campaign: CampaignId) -> CampaignState | None:
        """Where a campaign stands here, which is where the record had it half a second ago."""
        return self._here.campaign_state(campaign)

    def caller_ids_of(self, campaign: CampaignId) -> tuple[CallerIdRow, ...]:
        """The numbers that a campaign's calls show, as this node has last looked them up."""
        return self._here.caller_ids_of(campaign)

    def agents(self, now: float) -> tuple[AgentRow, ...]:
        """Every agent, by id."""
        pictures, own = self._neighbours.pictures(), self._here.agents(now)
        if not pictures:
            return own
        return merged_agents({self._neighbours.node: own, **{n: p.view.agents for n, p in pictures.items()}})

    def agent(self, agent: AgentId) -> AgentRow | None:
        """One agent, here or wherever they are at home."""
        own = self._here.agent(agent)
        if own is not None and own.state != AgentState.SIGNED_OUT:
            return own
        for name, picture in self._neighbours.pictures().items():
            for row in picture.view.agents:
                if row.id == agent and (own is None or row.state != AgentState.SIGNED_OUT):
                    return replace(row, node=name)
        return own

    def offer(self, agent: AgentId) -> OfferRow | None:
        """What an agent of this node is being shown."""
        return self._here.offer(agent)

    def monitors(self, agent: AgentId | None = None) -> tuple[MonitorRow, ...]:
        """Supervisors who attend talks."""
        others = (
            replace(row, node=name)
            for name, picture in self._neighbours.pictures().items()
            for row in picture.view.monitors
            if agent is None or row.agent == agent
        )
        return (*self._here.monitors(agent), *others)

    def calls(self, campaign: CampaignId | None = None) -> Sequence[CallRow]:
        """Calls in flight, oldest first."""
        pictures, own = self._neighbours.pictures(), self._here.calls(campaign)
        if not pictures:
            return own
        others = {
            name: [row for row in picture.calls if campaign is None or row.campaign == campaign]
            for name, picture in pictures.items()
        }
        return merged_calls({self._neighbours.node: own, **others})

    def call(self, call: CallId) -> CallRow | None:
        """One call in flight."""
        own = self._here.call(call)
        if own is not None:
            return own
        pictures = self._neighbours.pictures().items()
        return next((replace(row, node=n) for n, p in pictures for row in p.calls if row.id == call), None)


class EverywhereControl:
    """`dialer.api.ports.Control` of a node among others."""

    def __init__(self, control: NodeControl, neighbours: Neighbours) -> None:
        self._control: Final = control
        self._view: Final = EverywhereView(control.live(), neighbours)

    def live(self) -> EverywhereView:
        """What goes on at all nodes."""
        return self._view

    async def submit(self, event: PeopleEvent) -> None:
        """See `NodeControl`."""
        await self._control.submit(event)


class OwnMetrics:
    """`dialer.api.health_ports.Exposition` of this node alone, whatever it is shown: others add up what they scrape."""

    def __init__(self, metrics: Metrics, here: LiveView) -> None:
        self._metrics: Final = metrics
        self._here: Final = here

    def refresh(self, view: LiveSnapshot) -> None:
        """Set the gauges to what goes on here."""
        self._metrics.refresh(self._here.snapshot(view.at))

    def render(self) -> bytes:
        """The text; called in a thread."""
        return self._metrics.render()
