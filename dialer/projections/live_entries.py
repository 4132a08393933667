"""What the live view remembers of one campaign, agent or call between two notices."""

from __future__ import annotations

from collections import Counter, defaultdict
from enum import StrEnum

from dialer.core.agent import AgentState
from dialer.core.caller_ids import CallerIdStanding
from dialer.core.campaign import CampaignState
from dialer.core.ids import AgentId, CallId, CampaignId, ServerName
from dialer.core.notices import AgentChanged, CallStarted
from dialer.core.saying import NOTHING, Saying, plain
from dialer.projections.abandonment import Abandonment
from dialer.projections.live_rows import (
    AbandonmentRow,
    AgentRow,
    CallRow,
    CampaignRow,
    CountsRow,
    HopperRow,
    PaceRow,
)
from dialer.projections.rolling import RollingSums
from pacing import Decision


class CallStage(StrEnum):
    """How far a call in flight has come, as seen from outside."""

    DIALING = "dialing"
    RINGING = "ringing"
    #: Picked up; a person, or a machine, or not known yet.
    ANSWERED = "answered"
    CONNECTED = "connected"
    #: Hears the message.
    ABANDONED = "abandoned"


class CallEntry:
    """One call in flight."""

    __slots__ = ("agent", "answered", "campaign", "since", "stage", "started")

    def __init__(self, started: CallStarted) -> None:
        self.started = started
        self.campaign = started.campaign
        # As a plain string: an enum's hash and value are Python calls, and snapshots count thousands of these.
        self.stage = CallStage.DIALING.value
        self.since = started.at
        self.agent: AgentId | None = None
        self.answered = False

    def row(self, id: CallId) -> CallRow:
        """As it is given out."""
        started = self.started
        return CallRow(
            id=id,
            campaign=started.campaign,
            contact=started.contact,
            phone=started.phone,
            state=self.stage,
            started_at=started.at,
            since=self.since,
            agent=self.agent,
            attempt_number=started.attempt_number,
            server=started.server,
            trunk=started.trunk,
        )


class AgentEntry:
    """One agent."""

    __slots__ = ("call", "calls", "campaigns", "seconds", "server", "since", "state", "state_name", "why")

    def __init__(self) -> None:
        self.state = AgentState.SIGNED_OUT
        self.state_name = AgentState.SIGNED_OUT.value
        self.since = 0.0
        self.why = NOTHING
        self.campaigns: tuple[CampaignId, ...] = ()
        self.call: CallId | None = None
        self.server: ServerName | None = None
        self.begin_day()

    def begin_day(self) -> None:
        """Set today's counts to nothing."""
        self.calls = 0
        self.seconds: defaultdict[str, float] = defaultdict(float)

    def changed(self, notice: AgentChanged) -> None:
        """Take a change of state in; the time in the former state counts for the day on which it ended."""
        self.seconds[notice.previous.value] += notice.previous_s
        if notice.state is AgentState.TALKING and notice.previous is not AgentState.TALKING:
            self.calls += 1
        self.state, self.state_name = notice.state, notice.state.value
        self.since, self.why = notice.at, Saying(notice.reason, notice.code, notice.arguments)
        self.campaigns, self.call = notice.campaigns, notice.call
        self.server = notice.server if notice.server is not None else self.server

    def row(self, id: AgentId) -> AgentRow:
        """As it is given out."""
        return AgentRow(
            id=id,
            state=self.state_name,
            since=self.since,
            reason=self.why.says,
            code=self.why.code,
            arguments=plain(self.why.arguments),
            campaigns=self.campaigns,
            call=self.call,
            server=self.server,
            calls_today=self.calls,
            talk_s_today=self.seconds["talking"],
            wrapup_s_today=self.seconds["wrapup"],
            paused_s_today=self.seconds["paused"],
            idle_s_today=self.seconds["idle"],
        )


class CampaignEntry:
    """One campaign."""

    __slots__ = (
        "abandoned",
        "answered",
        "called",
        "caller_ids",
        "connected",
        "later",
        "loaded",
        "max_abandonment",
        "outcomes",
        "pace",
        "rates",
        "ready",
        "refused",
        "started",
        "state",
        "talks",
    )

    def __init__(self) -> None:
        self.state = CampaignState.DRAFT
        self.max_abandonment = 0.03
        self.pace: PaceRow | None = None
        self.ready = 0
        self.later = 0
        self.refused: dict[str, int] = {}
        self.caller_ids: tuple[CallerIdStanding, ...] = ()
        #: Calls that came to something, and of them those picked up, over an hour.
        self.rates = RollingSums(bucket_s=60.0, buckets=60, columns=2)
        #: Talks that began, over an hour.
        self.talks = RollingSums(bucket_s=60.0, buckets=60, columns=1)
        #: Contacts that it has, and of them those called at least once: as last looked up, with first calls since.
        self.loaded = 0
        self.called = 0
        self.begin_day()

    def begin_day(self) -> None:
        """Set today's counts to nothing."""
        self.started = self.answered = self.connected = self.abandoned = 0
        self.outcomes: Counter[str] = Counter()

    def decided(self, at: float, decision: Decision, method: str) -> None:
        """Keep the pacer's last word."""
        self.pace = PaceRow(
            at=at,
            method=method,
            dial=decision.dial,
            limit=decision.limit,
            explanation=decision.explanation,
            expected_abandonment=decision.expected_abandonment,
            threshold=decision.threshold,
            budget_left=decision.budget_left,
            answer_rate=decision.answer_rate,
            mean_talk_s=decision.mean_talk_s,
            mean_wrapup_s=decision.mean_wrapup_s,
            idle=decision.idle,
            busy=decision.busy,
            waiting=decision.waiting,
            in_flight=decision.in_flight,
        )

    def row(
        self,
        id: CampaignId,
        *,
        now: float,
        calls: dict[str, int],
        agents: dict[str, int],
        agents_since: dict[str, float],
        idle_s: float,
        day: Abandonment,
        legal: Abandonment,
        occupancy: float | None,
        occupancy_hour: float | None,
    ) -> CampaignRow:
        """As it is given out at `now`."""
        resolved, picked_up = self.rates.totals(now)
        (talks,) = self.talks.totals(now)
        return CampaignRow(
            id=id,
            state=self.state.value,
            pace=self.pace,
            calls=calls,
            agents=agents,
            hopper=HopperRow(ready=self.ready, later=self.later),
            today=CountsRow(
                started=self.started,
                answered=self.answered,
                connected=self.connected,
                abandoned=self.abandoned,
                outcomes={str(outcome): count for outcome, count in self.outcomes.items()},
            ),
            abandonment=AbandonmentRow(
                day_ratio=day.ratio,
                day_live_answers=day.live_answers,
                day_abandoned=day.abandoned,
                legal_ratio=legal.ratio,
                legal_live_answers=legal.live_answers,
                legal_abandoned=legal.abandoned,
                max_ratio=self.max_abandonment,
                budget_left=legal.budget_left(self.max_abandonment),
            ),
            answer_rate=picked_up / resolved if resolved else None,
            occupancy=occupancy,
            occupancy_hour=occupancy_hour,
            refused=self.refused,
            caller_ids=dict(Counter(one.state.value for one in self.caller_ids)),
            agents_since=agents_since,
            agent_wait_s=idle_s / talks if talks else None,
            penetration=min(1.0, self.called / self.loaded) if self.loaded else None,
        )
