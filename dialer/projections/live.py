"""What goes on now: campaigns, agents, calls in flight, servers. A console, an API and metrics read it.

State is bounded by what exists: an ended call leaves at once, an agent who signed out is kept until the day ends (for
their counts), a campaign until `forget`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Final

from dialer.core.agent import AgentState
from dialer.core.caller_ids import CallerIdStanding
from dialer.core.campaign import Campaign, CampaignState
from dialer.core.ids import AgentId, CallId, CampaignId, MonitorId, ServerName
from dialer.core.monitor import MonitorState
from dialer.core.notices import (
    AgentAssigned,
    AgentChanged,
    AnyNotice,
    CallConnected,
    CallEnded,
    CallRang,
    CallStarted,
    CallWasAbandoned,
    CallWasAnswered,
    CallWasDisposed,
    CampaignChanged,
    ContactWasOffered,
    EventIgnored,
    GateAnswered,
    MonitorChanged,
    OfferClosed,
    PaceDecided,
    ServerChanged,
)
from dialer.core.outcome import Outcome
from dialer.projections.abandonment import AbandonmentTracker
from dialer.projections.live_entries import AgentEntry, CallEntry, CallStage, CampaignEntry
from dialer.projections.live_rows import (
    AgentRow,
    CallerIdRow,
    CallRow,
    CampaignRow,
    LiveSnapshot,
    MonitorRow,
    OfferRow,
    ServerRow,
)
from dialer.projections.occupancy import OccupancyTracker

#: Outcomes that say nothing about whether people answer.
_SAYS_NOTHING: Final = frozenset({Outcome.CANCELLED, Outcome.FAILED, Outcome.LOST})


def utc_day(at: float) -> int:
    """The number of the UTC day."""
    return int(at // 86_400)


class LiveView:
    """The present state of the whole dialer, made out of notices.

    Args:
        day_of: Tells which day a moment belongs to; today's counts begin anew when its answer changes.
    """

    def __init__(self, day_of: Callable[[float], int] = utc_day) -> None:
        self._day_of: Final = day_of
        self._today: int | None = None
        self._campaigns: Final[dict[CampaignId, CampaignEntry]] = {}
        self._agents: Final[dict[AgentId, AgentEntry]] = {}
        self._calls: Final[dict[CallId, CallEntry]] = {}
        self._servers: Final[dict[ServerName, ServerRow]] = {}
        self._offers: Final[dict[AgentId, OfferRow]] = {}
        self._monitors: Final[dict[MonitorId, MonitorRow]] = {}
        self._occupancy: Final = OccupancyTracker()
        self._ignored = 0
        #: Shared with whoever else needs it; restore history into it after a restart.
        self.abandonment: Final = AbandonmentTracker()

    # ---- in

    def configure(self, campaign: Campaign, state: CampaignState | None = None) -> None:
        """A campaign exists with these settings (and, at start-up, in this state)."""
        entry = self._campaign(campaign.id)
        entry.max_abandonment = campaign.max_abandonment
        if state is not None:
            entry.state = state

    def forget(self, campaign: CampaignId) -> None:
        """A campaign exists no more."""
        self._campaigns.pop(campaign, None)
        self.abandonment.forget(campaign)
        self._occupancy.forget(campaign)

    def apply(self, notice: AnyNotice) -> None:
        """Take a notice in. Never raises for what a notice says: unknown calls and agents are passed over."""
        self._begin_day(notice.at)
        self.abandonment.apply(notice)
        match notice:
            case CallStarted() | CallRang() | CallWasAnswered() | CallConnected() | CallWasAbandoned() | CallEnded():
                self._call_notice(notice)
            case AgentChanged():
                self._agent_changed(notice)
            case CampaignChanged():
                self._campaign(notice.campaign).state = notice.state
            case PaceDecided():
                self._campaign(notice.campaign).decided(notice.at, notice.decision, notice.method)
            case GateAnswered():
                entry = self._campaign(notice.campaign)
                entry.ready, entry.later, entry.refused = notice.ready, notice.later, dict(notice.refused)
            case ServerChanged():
                self._servers[notice.server] = ServerRow(
                    id=notice.server,
                    connected=notice.connected,
                    since=notice.at,
                    reason=notice.reason,
                    code=notice.code,
                    arguments=dict(notice.arguments),
                )
            case AgentAssigned(agent=agent, campaigns=campaigns):
                if (known := self._agents.get(agent)) is not None:
                    known.campaigns = campaigns
            case MonitorChanged():
                self._monitor_changed(notice)
            case ContactWasOffered():
                self._offers[notice.agent] = _offer_row(notice)
            case OfferClosed():
                self._offers.pop(notice.agent, None)
            case EventIgnored():
                self._ignored += 1
            case CallWasDisposed():
                pass

    def hopper(self, campaign: CampaignId, *, ready: int, later: int) -> None:
        """How many contacts wait, measured where the gate was not asked for a while."""
        entry = self._campaign(campaign)
        entry.ready, entry.later = ready, later

    def penetration(self, campaign: CampaignId, *, loaded: int, called: int) -> None:
        """How many contacts a campaign has, and how many of them were called at least once."""
        entry = self._campaign(campaign)
        entry.loaded, entry.called = loaded, called

    def caller_ids(self, campaign: CampaignId, standing: Sequence[CallerIdStanding]) -> None:
        """How the numbers of a campaign stand, looked up every now and then."""
        self._campaign(campaign).caller_ids = tuple(standing)

    # ---- out

    def snapshot(self, now: float) -> LiveSnapshot:
        """Everything at `now`. Takes time in proportion to the agents and calls that there are."""
        self._begin_day(now)
        calls: defaultdict[CampaignId, Counter[str]] = defaultdict(Counter)
        for call in self._calls.values():
            calls[call.campaign][call.stage] += 1
        agents: defaultdict[CampaignId, list[AgentEntry]] = defaultdict(list)
        for agent in self._agents.values():
            for campaign in agent.campaigns:
                agents[campaign].append(agent)
        rows = tuple(
            self._campaign_row(id, entry, calls[id], agents[id], now) for id, entry in sorted(self._campaigns.items())
        )
        return LiveSnapshot(
            at=now,
            campaigns=rows,
            agents=self.agents(now),
            servers=tuple(row for _, row in sorted(self._servers.items())),
            calls=dict(sum(calls.values(), Counter())),
            occupancy=self._occupancy.recent(None, now),
            events_ignored=self._ignored,
            monitors=self.monitors(),
        )

    def campaign(self, campaign: CampaignId, now: float) -> CampaignRow | None:
        """One campaign at `now`; None where it is unknown."""
        entry = self._campaigns.get(campaign)
        if entry is None:
            return None
        self._begin_day(now)
        calls = Counter(call.stage for call in self._calls.values() if call.campaign == campaign)
        agents = [agent for agent in self._agents.values() if campaign in agent.campaigns]
        return self._campaign_row(campaign, entry, calls, agents, now)

    def campaign_state(self, campaign: CampaignId) -> CampaignState | None:
        """Where a campaign stands; None where it is unknown."""
        entry = self._campaigns.get(campaign)
        return None if entry is None else entry.state

    def caller_ids_of(self, campaign: CampaignId) -> tuple[CallerIdRow, ...]:
        """The numbers that a campaign's calls show, as last looked up."""
        entry = self._campaigns.get(campaign)
        return tuple(
            CallerIdRow(
                number=one.number,
                state=one.state.value,
                calls_today=one.calls_today,
                max_calls_per_day=one.max_calls_per_day,
                answer_rate=one.answer_rate,
                rests_until=one.rests_until,
            )
            for one in (() if entry is None else entry.caller_ids)
        )

    def agents(self, now: float) -> tuple[AgentRow, ...]:
        """Every agent, by id."""
        self._begin_day(now)
        return tuple(entry.row(id) for id, entry in sorted(self._agents.items()))

    def offer(self, agent: AgentId) -> OfferRow | None:
        """What an agent is being shown; None: nobody, or what comes of their consent is not known yet."""
        return self._offers.get(agent)

    def agent(self, agent: AgentId) -> AgentRow | None:
        """One agent; None where they have not signed in today."""
        entry = self._agents.get(agent)
        return None if entry is None else entry.row(agent)

    def monitors(self, agent: AgentId | None = None) -> tuple[MonitorRow, ...]:
        """Supervisors who attend talks of one agent, or of anybody, the first who came first."""
        return tuple(row for row in self._monitors.values() if agent is None or row.agent == agent)

    def calls(self, campaign: CampaignId | None = None) -> list[CallRow]:
        """Calls in flight, oldest first, of one campaign or of all."""
        return [call.row(id) for id, call in self._calls.items() if campaign is None or call.campaign == campaign]

    def call(self, call: CallId) -> CallRow | None:
        """One call in flight; None where it has ended or never was."""
        entry = self._calls.get(call)
        return None if entry is None else entry.row(call)

    # ---- inside

    def _campaign_row(
        self, id: CampaignId, entry: CampaignEntry, calls: Counter[str], agents: Sequence[AgentEntry], now: float
    ) -> CampaignRow:
        since: dict[str, float] = {}
        for agent in agents:
            since[agent.state_name] = min(agent.since, since.get(agent.state_name, agent.since))
        return entry.row(
            id,
            now=now,
            calls=dict(calls),
            agents=dict(Counter(agent.state_name for agent in agents)),
            agents_since=since,
            idle_s=self._occupancy.idle_s(id, now),
            day=self.abandonment.day(id, now),
            legal=self.abandonment.legal(id, now),
            occupancy=self._occupancy.recent(id, now),
            occupancy_hour=self._occupancy.hour(id, now),
        )

    def _campaign(self, id: CampaignId) -> CampaignEntry:
        entry = self._campaigns.get(id)
        if entry is None:
            entry = self._campaigns[id] = CampaignEntry()
        return entry

    def _begin_day(self, at: float) -> None:
        day = self._day_of(at)
        if self._today is not None and day <= self._today:
            return
        if self._today is not None:
            for campaign in self._campaigns.values():
                campaign.begin_day()
            for id, agent in list(self._agents.items()):
                agent.begin_day()
                if agent.state is AgentState.SIGNED_OUT:
                    del self._agents[id]
        self._today = day

    def _call_notice(
        self, notice: CallStarted | CallRang | CallWasAnswered | CallConnected | CallWasAbandoned | CallEnded
    ) -> None:
        match notice:
            case CallStarted():
                self._calls[notice.call] = CallEntry(notice)
                entry = self._campaign(notice.campaign)
                entry.started += 1
                entry.called += notice.attempt_number == 1
            case CallRang():
                self._stage(notice.call, CallStage.RINGING, notice.at)
            case CallWasAnswered():
                entry = self._campaign(notice.campaign)
                entry.answered += 1
                entry.rates.add(notice.at, 1, 1)
                call = self._stage(notice.call, CallStage.ANSWERED, notice.at)
                if call is not None:
                    call.answered = True
            case CallConnected():
                entry = self._campaign(notice.campaign)
                entry.connected += 1
                entry.talks.add(notice.at, 1)
                call = self._stage(notice.call, CallStage.CONNECTED, notice.at)
                if call is not None:
                    call.agent = notice.agent
            case CallWasAbandoned():
                self._campaign(notice.campaign).abandoned += 1
                self._stage(notice.call, CallStage.ABANDONED, notice.at)
            case CallEnded(attempt=attempt):
                entry = self._campaign(attempt.campaign)
                entry.outcomes[attempt.outcome] += 1
                call = self._calls.pop(attempt.call, None)
                counted = call is not None and call.answered
                if not counted and attempt.outcome not in _SAYS_NOTHING:
                    entry.rates.add(notice.at, 1, int(attempt.answered_at is not None))

    def _monitor_changed(self, notice: MonitorChanged) -> None:
        if notice.state is MonitorState.OVER:
            self._monitors.pop(notice.monitor, None)
            return
        self._monitors[notice.monitor] = MonitorRow(
            id=notice.monitor,
            agent=notice.agent,
            extension=notice.extension,
            mode=notice.mode.value,
            state=notice.state.value,
            by=notice.by,
            call=notice.call,
            since=notice.at,
            reason=notice.reason,
        )

    def _stage(self, id: CallId, stage: CallStage, at: float) -> CallEntry | None:
        call = self._calls.get(id)
        if call is not None:
            call.stage, call.since = stage.value, at
        return call

    def _agent_changed(self, notice: AgentChanged) -> None:
        self._occupancy.apply(notice)
        entry = self._agents.get(notice.agent)
        if entry is None:
            if notice.state is AgentState.SIGNED_OUT:
                return
            entry = self._agents[notice.agent] = AgentEntry()
        entry.changed(notice)


def _offer_row(notice: ContactWasOffered) -> OfferRow:
    offer = notice.offer
    return OfferRow(
        campaign=offer.campaign,
        contact=offer.contact,
        name=offer.name,
        phone=offer.phone,
        fields=dict(offer.fields),
        timezone=offer.timezone,
        attempt_number=offer.attempt_number,
        offered_at=notice.at,
        answer_by=notice.answer_by_at,
        url=notice.url,
    )
