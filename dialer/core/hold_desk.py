"""Calls with an agent reserved for them: the agent first, then the gate, then the phone (docs/adr/0009).

Promises that are due are called as soon as an agent is idle whom nobody waits for: the agent's own before anybody's,
the oldest first, all before the pacer may count on that agent. An agent who asks for a call gets it the same way.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from dialer.core.agent import AgentState
from dialer.core.agent_desk import AgentDesk
from dialer.core.call import Call
from dialer.core.call_start import COST_CAP, NO_CALLER_ID, NO_LINE, NO_RATE, start_bound_call
from dialer.core.campaign import CampaignState
from dialer.core.commands import RequestContact, ReturnPermit
from dialer.core.decision import Decision, DecisionKind
from dialer.core.end_desk import EndDesk
from dialer.core.events import CallAsked, ContactGranted, ContactsDue
from dialer.core.floor import CampaignRun, Floor
from dialer.core.hold import Hold, HoldState, HoldStep
from dialer.core.ids import AgentId, CampaignId, ContactId, MessageId
from dialer.core.notices import CallRequestAnswered, GateAnswered, OfferClosed
from dialer.core.offer import OfferEnd
from dialer.core.promise import Due
from dialer.core.roster import Agent

#: A hold for which the gate has no answer by then is over.
GRANT_TIMEOUT_S: Final = 10.0
#: What was asked for is not asked for again before: what is known to be due may be a second old, and a contact that is
#: refused for a reason of ours does not move.
ASK_AGAIN_S: Final = 5.0
#: How whoever asked for a call is told why it was not started.
_NOT_STARTED: Final = {NO_LINE: "no_line", NO_CALLER_ID: "no_caller_id", COST_CAP: COST_CAP, NO_RATE: NO_RATE}
#: An agent in one of these may ask for a call.
_MAY_ASK: Final = frozenset({AgentState.IDLE, AgentState.WRAPUP, AgentState.PAUSED})


class HoldDesk:
    """Keeps agents for contacts, and calls these."""

    def __init__(self, floor: Floor, agents: AgentDesk, ends: EndDesk) -> None:
        self._floor = floor
        self._agents = agents
        self._ends = ends
        self._due: dict[CampaignId, Sequence[Due]] = {}
        #: When a contact may be asked for again.
        self._again_at: dict[tuple[CampaignId, ContactId], float] = {}

    # ---- what is to be called

    def due(self, event: ContactsDue) -> None:
        """What is due in a campaign has been looked up."""
        floor = self._floor
        self._again_at = {key: at for key, at in self._again_at.items() if at > floor.now}
        if event.due:
            self._due[event.campaign] = event.due
        elif self._due.pop(event.campaign, None) is None:
            return
        for agent in floor.roster.idle():
            self.serve(agent)
        self._tell_pacers()

    def serve(self, agent: Agent) -> None:
        """An agent is idle and nobody waits for them: keep them for the contact that is to be called first, if any."""
        if agent.state is not AgentState.IDLE or agent.leaving or not self._floor.connected(agent.server):
            return
        best: tuple[tuple[bool, float], CampaignId, Due] | None = None
        for run in self._runs_of(agent):
            for due in self._due.get(run.campaign.id, ()):
                if due.agent not in {None, agent.id} or self._rests(run.campaign.id, due.contact):
                    continue
                rank = (due.agent is None, due.due_at)
                if best is None or rank < best[0]:
                    best = rank, run.campaign.id, due
        if best is not None:
            _, campaign, due = best
            self._hold(agent, Hold(campaign=campaign, contact=due.contact, until_at=due.until_at))

    def asked(self, event: CallAsked) -> None:
        """An agent wants a contact called now, or somebody does who may give them orders."""
        agent = self._floor.roster.get(event.agent)
        run = self._floor.campaigns.get(event.campaign)
        if run is None or run.state is not CampaignState.RUNNING:
            self._tell(event.ref, reason="campaign_not_running")
        elif agent is None or agent.state in {AgentState.CONNECTING, AgentState.LOST}:
            self._tell(event.ref, reason="agent_not_there")
        elif not agent.serves(run.campaign):
            self._tell(event.ref, reason="agent_not_of_campaign")
        elif agent.state not in _MAY_ASK or agent.sign_out_asked:
            self._tell(event.ref, reason="agent_busy")
        elif not self._floor.connected(agent.server):
            self._tell(event.ref, reason="server_not_connected")
        else:
            wish = Hold(campaign=event.campaign, contact=event.contact, ref=event.ref, phone=event.phone)
            wish.decision = Decision(kind=DecisionKind.ASKED, at=self._floor.now, by=event.by)
            self._hold(agent, wish)

    def consented(self, agent: Agent, hold: Hold) -> None:
        """Ask the gate for the contact that an agent was shown and wants called."""
        self._ask(agent, hold)

    # ---- the gate's answer

    def granted(self, event: ContactGranted) -> None:
        """Call the contact, or let the agent go."""
        floor, permit = self._floor, event.permit
        floor.emit(
            GateAnswered(
                at=floor.now,
                campaign=event.campaign,
                requested=1,
                granted=int(permit is not None),
                refused=() if permit is not None else ((event.reason, 1),),
                ready=event.ready,
                later=event.later,
            )
        )
        agent = floor.roster.get(event.agent)
        hold = None if agent is None else agent.hold
        if (
            agent is None
            or hold is None
            or hold.state is not HoldState.ASKING
            or (hold.campaign, hold.contact) != (event.campaign, event.contact)
        ):
            if permit is not None:
                reason = "nobody waits for it any more"
                floor.emit(ReturnPermit(permit=permit, reason=reason, not_before_at=event.waited_until))
            return
        if permit is None:
            self._refuse(agent, hold, event.reason, event.retry_at)
            return
        problem = self._start(agent, hold, event)
        if problem:
            back_at = max(event.waited_until or 0.0, floor.now + ASK_AGAIN_S)
            floor.emit(ReturnPermit(permit=permit, reason=problem, not_before_at=back_at))
            self._refuse(agent, hold, problem, None)

    def timed_out(self, agent_id: AgentId) -> None:
        """The gate has not answered."""
        agent = self._floor.roster.get(agent_id)
        if agent is not None and agent.hold is not None and agent.hold.state is HoldState.ASKING:
            hold = agent.hold
            hold.take(HoldStep.TIME_OUT)
            self._tell(hold.ref, reason="gate_unavailable")
            self._close_offer(agent, hold, OfferEnd.REFUSED, "gate_unavailable")
            self._agents.let_go(agent)

    # ---- the call

    def started(self, call: Call) -> None:
        """The originate is on its way."""
        hold = self._hold_of(call)
        if hold is None:
            return
        if hold[1].ref is not None:
            self._floor.emit(CallRequestAnswered(at=self._floor.now, ref=hold[1].ref, call=call.id))
        self._close_offer(*hold, OfferEnd.CALLED)

    def agent_for(self, call: Call) -> Agent | None:
        """Who is held for a call that has been answered."""
        hold = self._hold_of(call)
        return None if hold is None else hold[0]

    def not_sent(self, call: Call, reason: str) -> None:
        """The switch did not take the originate: it is not connected, or it was too late or too much for now."""
        hold = self._hold_of(call)
        if hold is not None:
            self._refuse(*hold, "server_not_connected" if reason == "not_connected" else "try_again")

    def joined(self, call: Call) -> None:
        """They talk."""
        hold = self._hold_of(call)
        if hold is None:
            return
        agent, its = hold
        if call.agent == agent.id:
            its.take(HoldStep.JOIN)
            agent.hold = None
        else:
            # Somebody else was there first, as after a reconnection.
            its.take(HoldStep.END)
            self._agents.let_go(agent)

    def ended(self, call: Call) -> None:
        """The call is over, and they have not talked."""
        hold = self._hold_of(call)
        if hold is not None:
            agent, its = hold
            its.take(HoldStep.END)
            self._agents.let_go(agent)

    def agent_gone(self, agent: Agent) -> None:
        """The phone of a held agent is gone: another takes the call that nobody has picked up, or it is hung up."""
        floor, hold = self._floor, agent.hold
        if hold is None:
            return
        hold.take(HoldStep.AGENT_GONE)
        agent.hold = None
        floor.timers.cancel(("hold", agent.id))
        call = floor.calls.get(hold.call) if hold.call is not None else None
        if call is None:
            self._tell(hold.ref, reason="agent_not_there")
            self._close_offer(agent, hold, OfferEnd.WITHDRAWN, "agent_not_there")
            return
        call.bound_to = None
        if not call.unanswered or call.hang_up_reason:
            return
        other = floor.roster.choose(call.campaign, call.server) if hold.ref is None else None
        if other is None:
            self._ends.cancel(call, "the agent's phone is gone")
            return
        taken_over = Hold(campaign=hold.campaign, contact=hold.contact, until_at=hold.until_at, call=call.id)
        taken_over.take(HoldStep.GRANT)
        call.bound_to = other.id
        self._agents.hold(other, taken_over)

    # ---- inside

    def _runs_of(self, agent: Agent) -> Iterator[CampaignRun]:
        for campaign in agent.campaigns:
            run = self._floor.campaigns.get(campaign)
            if run is not None and run.state is CampaignState.RUNNING and agent.serves(run.campaign):
                yield run

    def _tell_pacers(self) -> None:
        """Whoever talks and has a promise to keep next takes no call that is started from now on."""
        promised = {
            due.agent
            for campaign, dues in self._due.items()
            for due in dues
            if due.agent is not None and not self._rests(campaign, due.contact)
        }
        for agent in self._floor.roster:
            if agent.promised is not (agent.id in promised):
                self._agents.promise(agent, promised=agent.id in promised)

    def _rests(self, campaign: CampaignId, contact: ContactId) -> bool:
        return self._floor.now < self._again_at.get((campaign, contact), 0.0)

    def _hold(self, agent: Agent, hold: Hold) -> None:
        self._again_at[hold.campaign, hold.contact] = self._floor.now + ASK_AGAIN_S
        self._agents.hold(agent, hold)
        self._ask(agent, hold)

    def _ask(self, agent: Agent, hold: Hold) -> None:
        floor = self._floor
        floor.timers.set(("hold", agent.id), floor.now + GRANT_TIMEOUT_S)
        floor.emit(
            RequestContact(
                campaign=hold.campaign,
                contact=hold.contact,
                agent=agent.id,
                phone=hold.phone,
                kept_until=None if hold.offer is None else hold.offer.kept_until,
            )
        )

    def _start(self, agent: Agent, hold: Hold, event: ContactGranted) -> str:
        """Why the call cannot be started; empty: it has been."""
        floor, permit = self._floor, event.permit
        run = floor.campaigns.get(event.campaign)
        if run is None or run.state is not CampaignState.RUNNING:
            return "campaign_not_running"
        if not floor.connected(agent.server):
            return "server_not_connected"
        if permit is None or permit.call in floor.calls:
            return "call_id_in_use"
        floor.timers.cancel(("hold", agent.id))
        call = start_bound_call(floor, run, permit, agent.server, agent.id, hold)
        if not isinstance(call, Call):
            return _NOT_STARTED[call]
        hold.take(HoldStep.GRANT)
        call.lent, call.waited_until = event.lent, event.waited_until
        return ""

    def _refuse(self, agent: Agent, hold: Hold, reason: str, retry_at: float | None = None) -> None:
        hold.take(HoldStep.REFUSE)
        self._floor.timers.cancel(("hold", agent.id))
        self._tell(hold.ref, reason=reason, retry_at=retry_at)
        self._close_offer(agent, hold, OfferEnd.REFUSED, reason, retry_at)
        self._agents.let_go(agent)

    def _tell(self, ref: MessageId | None, *, reason: str, retry_at: float | None = None) -> None:
        if ref is not None:
            self._floor.emit(CallRequestAnswered(at=self._floor.now, ref=ref, reason=reason, retry_at=retry_at))

    def _close_offer(
        self, agent: Agent, hold: Hold, end: OfferEnd, reason: str = "", retry_at: float | None = None
    ) -> None:
        if (offer := hold.offer) is not None:
            self._floor.emit(
                OfferClosed(
                    at=self._floor.now,
                    agent=agent.id,
                    campaign=offer.campaign,
                    contact=offer.contact,
                    phone=offer.phone,
                    end=end,
                    reason=reason,
                    retry_at=retry_at,
                    call=hold.call if end is OfferEnd.CALLED else None,
                )
            )

    def _hold_of(self, call: Call) -> tuple[Agent, Hold] | None:
        agent = self._floor.roster.get(call.bound_to) if call.bound_to is not None else None
        if agent is None or agent.hold is None or agent.hold.call != call.id:
            return None
        return agent, agent.hold
