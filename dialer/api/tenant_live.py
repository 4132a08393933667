"""What goes on now, and what is told of it, as far as it is one tenant's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from msgspec.structs import replace

from dialer.api.attempt_ports import Attempts
from dialer.api.broadcast import Told
from dialer.api.errors import ApiError
from dialer.api.live_ports import Live
from dialer.api.ports import Control
from dialer.api.result_ports import ResultHistory, Results, Subscription
from dialer.core.campaign import CampaignState
from dialer.core.events import PeopleEvent
from dialer.core.ids import AgentId, CallId, CampaignId
from dialer.core.tenants import concerns, owns
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


class TenantLive:
    """`Live` of one tenant: its campaigns, their calls, and its agents."""

    def __init__(self, whole: Live, tenant: str) -> None:
        self._whole: Final = whole
        self._tenant: Final = tenant

    @property
    def abandonment(self) -> AbandonmentTracker:
        """Nobody's: its campaigns' rows have theirs."""
        return AbandonmentTracker()

    def snapshot(self, now: float) -> LiveSnapshot:
        """Its part of everything. Servers are the installation's, and so is what concerns all agents together."""
        whole = self._whole.snapshot(now)
        campaigns = tuple(row for row in whole.campaigns if self._owns(row.id))
        return LiveSnapshot(
            at=whole.at,
            campaigns=campaigns,
            agents=tuple(self._agent(row) for row in whole.agents if self._owns(row.id)),
            servers=(),
            calls=dict(sum((Counter(row.calls) for row in campaigns), Counter())),
            occupancy=None,
            events_ignored=0,
            monitors=tuple(row for row in whole.monitors if self._owns(row.agent)),
        )

    def campaign(self, campaign: CampaignId, now: float) -> CampaignRow | None:
        """See `Live`."""
        return self._whole.campaign(campaign, now) if self._owns(campaign) else None

    def campaign_state(self, campaign: CampaignId) -> CampaignState | None:
        """See `Live`."""
        return self._whole.campaign_state(campaign) if self._owns(campaign) else None

    def caller_ids_of(self, campaign: CampaignId) -> Sequence[CallerIdRow]:
        """See `Live`."""
        return self._whole.caller_ids_of(campaign) if self._owns(campaign) else ()

    def agents(self, now: float) -> Sequence[AgentRow]:
        """See `Live`."""
        return tuple(self._agent(row) for row in self._whole.agents(now) if self._owns(row.id))

    def agent(self, agent: AgentId) -> AgentRow | None:
        """See `Live`."""
        row = self._whole.agent(agent) if self._owns(agent) else None
        return None if row is None else self._agent(row)

    def offer(self, agent: AgentId) -> OfferRow | None:
        """See `Live`."""
        row = self._whole.offer(agent) if self._owns(agent) else None
        return row if row is not None and self._owns(row.campaign) else None

    def monitors(self, agent: AgentId | None = None) -> Sequence[MonitorRow]:
        """See `Live`."""
        return tuple(row for row in self._whole.monitors(agent) if self._owns(row.agent))

    def calls(self, campaign: CampaignId | None = None) -> Sequence[CallRow]:
        """See `Live`."""
        return [row for row in self._whole.calls(campaign) if self._owns(row.campaign)]

    def call(self, call: CallId) -> CallRow | None:
        """See `Live`."""
        row = self._whole.call(call)
        return row if row is not None and self._owns(row.campaign) else None

    def _owns(self, name: str) -> bool:
        return owns(self._tenant, name)

    def _agent(self, row: AgentRow) -> AgentRow:
        # The installation may lend an agent to others, whose campaigns and calls are none of the tenant's business.
        if all(map(self._owns, row.campaigns)):
            return row
        call = row.call if row.call is not None and self.call(CallId(row.call)) is not None else None
        return replace(row, campaigns=tuple(filter(self._owns, row.campaigns)), call=call)


class TenantControl:
    """`Control` of one tenant: takes orders about its campaigns, agents and calls alone."""

    def __init__(self, whole: Control, attempts: Attempts, tenant: str) -> None:
        self._whole: Final = whole
        self._attempts: Final = attempts
        self._tenant: Final = tenant

    def live(self) -> Live:
        """See `Control`."""
        return TenantLive(self._whole.live(), self._tenant)

    async def submit(self, event: PeopleEvent) -> None:
        """See `Control`.

        Raises:
            ApiError: 404, it is about somebody else's.
        """
        campaign, wish = getattr(event, "campaign", None), getattr(event, "callback", None)
        names = (
            getattr(event, "agent", None),
            getattr(wish, "agent", None),
            getattr(campaign, "id", campaign),
            *getattr(event, "campaigns", ()),
        )
        for name in filter(None, names):
            if not owns(self._tenant, name):
                raise ApiError(404, f"there is no {str(name)[:80]!r}")
        call: CallId | None = getattr(event, "call", None)
        if call is not None and not await self._is_own(call):
            raise ApiError(404, f"there is no call {call[:80]!r}")
        await self._whole.submit(event)

    async def _is_own(self, call: CallId) -> bool:
        # The attempts are those of the tenant already.
        return self.live().call(call) is not None or await self._attempts.get(call) is not None


class TenantResults:
    """`Results` of one tenant."""

    def __init__(self, whole: Results, tenant: str) -> None:
        self._whole: Final = whole
        self._tenant: Final = tenant

    def subscribe(self, capacity: int) -> Subscription | None:
        """See `Results`."""
        found = self._whole.subscribe(capacity)
        return None if found is None else _TenantSubscription(found, self._tenant)

    async def position(self) -> str:
        """See `Results`."""
        return await self._whole.position()


class _TenantSubscription:
    """`Subscription` that passes over what is others'."""

    def __init__(self, whole: Subscription, tenant: str) -> None:
        self._whole: Final = whole
        self._tenant: Final = tenant

    @property
    def dropped(self) -> bool:
        """See `Subscription`."""
        return self._whole.dropped

    async def next(self, timeout_s: float) -> Told | None:
        """See `Subscription`; None at once in the place of a result that is somebody else's."""
        told = await self._whole.next(timeout_s)
        return told if told is not None and concerns(self._tenant, told.result) else None

    def close(self) -> None:
        """See `Subscription`."""
        self._whole.close()


class TenantHistory:
    """`ResultHistory` of one tenant."""

    def __init__(self, whole: ResultHistory, tenant: str) -> None:
        self._whole: Final = whole
        self._tenant: Final = tenant

    async def between(self, after: str, until: str, count: int) -> Sequence[tuple[str, Mapping[str, object]]]:
        """See `ResultHistory`; reads on past what is others', so that only the last page is short."""
        found: list[tuple[str, Mapping[str, object]]] = []
        while True:
            page = await self._whole.between(after, until, count)
            found += [(id, result) for id, result in page if concerns(self._tenant, result)]
            if len(page) < count or len(found) >= count:
                return found[:count]
            after = page[-1][0]

    async def oldest(self) -> str | None:
        """See `ResultHistory`."""
        return await self._whole.oldest()
