"""What happens to agents: sign-in, their phone, readiness, pauses, wrap-up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dialer.core.agent import AgentState, AgentStep
from dialer.core.call import Call, CallState
from dialer.core.commands import CallAgent, Comfort, EndComfort, HangUpAgent
from dialer.core.events import (
    AgentHungUp,
    AgentPageCame,
    AgentPageLeft,
    AgentPauseAsked,
    AgentPhoneGone,
    AgentPhoneUp,
    AgentReadied,
    AgentReassigned,
    AgentSignedIn,
    AgentSignedOut,
)
from dialer.core.floor import PACED_AS, Floor
from dialer.core.focus import assign_focus, first_choice
from dialer.core.hold import Hold
from dialer.core.ids import AgentId, CallId, CampaignId, ServerName
from dialer.core.notices import AgentAssigned, AgentChanged
from dialer.core.placement import place_agent
from dialer.core.roster import Agent
from dialer.core.saying import NOTHING, Saying, say
from pacing import Pacer

#: A moment no later than this says again that somebody is about to be kept.
RENEWED_S = 2.0
#: An agent's phone that does not answer within this is given up.
PHONE_TIMEOUT_S = 45.0
#: An Asterisk that comes back may have forgotten where phones are until they register: so often they are called again,
#: after a second first, then after twice as long each time, up to this.
RECALLS = 10
RECALL_MAX_S = 30.0
#: An Asterisk that is shut down, or restarted by command, hangs up all phones and waits up to 15 s for their channels
#: before it closes the connection.
SHUT_DOWN_S = 20.0
#: So long somebody who talks is kept for an agent whose page is being loaded anew. They hear a tone meanwhile.
PAGE_TIMEOUT_S = 15.0

_NO_ANSWER = say("phone did not answer", code="agent_phone_no_answer")
_PAGE_CLOSED = say("their page was closed", code="agent_phone_page_closed")
_PAGE_CLOSED_IN_TALK = say("their page was closed in a talk", code="agent_phone_page_closed_in_talk")


@dataclass(frozen=True, slots=True, kw_only=True)
class Callers:
    """What agents mean to calls."""

    #: An agent has become free.
    on_idle: Callable[[Agent], None]
    #: An agent's phone is gone, and this call was theirs.
    on_left: Callable[[CallId], None]
    #: An agent ends their talk.
    on_end: Callable[[Call, str], None]
    #: The phone of an agent is gone who was held for a contact.
    on_hold_lost: Callable[[Agent], None]


class AgentDesk:
    """Moves agents through their states."""

    def __init__(self, floor: Floor, callers: Callers) -> None:
        self._floor = floor
        self._callers = callers

    # ---- people

    def signed_in(self, event: AgentSignedIn) -> None:
        """Call their phone, unless it is still up in its room from before."""
        floor = self._floor
        agent = floor.roster.get(event.agent)
        if agent is not None and not agent.can(AgentStep.SIGN_IN):
            agent.campaigns, agent.priority, agent.skills = event.campaigns, event.priority, event.skills
            agent.shift_ends_at = event.shift_ends_at
            was_leaving, agent.sign_out_asked = agent.leaving, False
            self._tell_stays(agent, was_leaving)
            self._refocus(agent)
            self.tell_pacer(agent)
            return
        server = event.server
        if server is None or server not in floor.servers:
            server = place_agent(floor, event.agent, event.campaigns, elsewhere=event.elsewhere)
        if server is None:
            floor.ignore("AgentSignedIn", "no Asterisk server is configured")
            return
        if agent is None:
            agent = Agent(id=event.agent, phone=event.phone, server=server, campaigns=event.campaigns)
            floor.roster.add(agent)
        agent.phone, agent.server, agent.campaigns = event.phone, server, event.campaigns
        agent.priority, agent.skills, agent.wants_ready = event.priority, event.skills, event.ready
        agent.call, agent.pause_asked, agent.sign_out_asked, agent.disposed = None, None, False, False
        agent.recalls = 0
        agent.pause_code, agent.shift_ends_at = "", event.shift_ends_at
        self._refocus(agent)
        self._move(agent, AgentStep.SIGN_IN)
        if agent.id in floor.servers[server].rooms:
            self._phone_is_up(agent)
        else:
            self.call_phone(agent)

    def reassigned(self, event: AgentReassigned) -> None:
        """Other campaigns; a call under way goes on."""
        agent = self._known(event.agent, "AgentReassigned")
        if agent is None:
            return
        agent.campaigns = event.campaigns
        self._refocus(agent)
        self.tell_pacer(agent)
        self._floor.emit(AgentAssigned(at=self._floor.now, agent=agent.id, campaigns=agent.campaigns))
        if agent.state is AgentState.IDLE:
            self._callers.on_idle(agent)

    def readied(self, event: AgentReadied) -> None:
        """Idle again, from wrap-up or a pause."""
        agent = self._known(event.agent, "AgentReadied")
        if agent is None:
            return
        was_leaving, agent.pause_asked = agent.leaving, None
        self._tell_stays(agent, was_leaving)
        if agent.state is AgentState.CONNECTING:
            agent.wants_ready = True
        elif agent.can(AgentStep.READY):
            self._move(agent, AgentStep.READY)
        elif agent.state is not AgentState.IDLE:
            agent.disposed = agent.disposed or agent.state is AgentState.TALKING
            if not agent.disposed:
                self._floor.ignore("AgentReadied", f"agent is {agent.state}")

    def pause_asked(self, event: AgentPauseAsked) -> None:
        """No more calls, at once or after the present one."""
        agent = self._known(event.agent, "AgentPauseAsked")
        if agent is None:
            return
        if agent.can(AgentStep.PAUSE):
            agent.pause_code = event.code
            self._move(agent, AgentStep.PAUSE, Saying(event.code))
        elif agent.state in {AgentState.CONNECTING, AgentState.LOST}:
            agent.wants_ready, agent.pause_code = False, event.code
        elif agent.state in {AgentState.RESERVED, AgentState.TALKING}:
            agent.pause_asked = event.code
            self.tell_pacer(agent)
        else:
            self._floor.ignore("AgentPauseAsked", f"agent is {agent.state}")

    def signed_out(self, event: AgentSignedOut) -> None:
        """Lay down their phone, at once or after the present call."""
        agent = self._known(event.agent, "AgentSignedOut")
        if agent is None:
            return
        if agent.can(AgentStep.SIGN_OUT):
            self._sign_out(agent)
        else:
            agent.sign_out_asked = True
            self.tell_pacer(agent)

    def hung_up(self, event: AgentHungUp) -> None:
        """End the talk; the phone stays."""
        agent = self._known(event.agent, "AgentHungUp")
        if agent is None:
            return
        call = self._floor.calls.get(agent.call) if agent.call is not None else None
        if agent.state is AgentState.TALKING and call is not None:
            self._callers.on_end(call, "agent")
        else:
            self._floor.ignore("AgentHungUp", f"agent is {agent.state}")

    # ---- phones

    def phone_up(self, event: AgentPhoneUp) -> None:
        """The phone answered and is in its room."""
        agent = self._floor.roster.get(event.agent)
        if agent is None:
            self._floor.ignore("AgentPhoneUp", "agent is not signed in")
            return
        self._floor.servers[agent.server].rooms.add(agent.id)
        if agent.call is not None and self._floor.timers.at(("agent-page", agent.id)) is not None:
            self._floor.emit(EndComfort(call=agent.call, server=agent.server))
        for kind in ("agent-phone", "agent-page"):
            self._floor.timers.cancel((kind, agent.id))
        self._phone_is_up(agent)

    def phone_gone(self, event: AgentPhoneGone) -> None:
        """The phone hung up or was not reached."""
        for server in self._floor.servers.values():
            server.rooms.discard(event.agent)
        agent = self._floor.roster.get(event.agent)
        if agent is not None and agent.can(AgentStep.PHONE_GONE):
            if not event.called:
                agent.recalls = agent.recalls or 1
            self.lose(agent, Saying(event.reason, event.code, event.arguments))
            agent.phone_went_at = self._floor.now

    def call_phone(self, agent: Agent) -> None:
        """Ask the switch to call an agent's phone."""
        floor = self._floor
        floor.timers.cancel(("agent-again", agent.id))
        floor.timers.set(("agent-phone", agent.id), floor.now + PHONE_TIMEOUT_S)
        if floor.connected(agent.server):
            floor.emit(CallAgent(agent=agent.id, phone=agent.phone, server=agent.server))

    def phone_timed_out(self, agent_id: AgentId) -> None:
        """The phone never answered."""
        agent = self._floor.roster.get(agent_id)
        # Of a server that is away nobody has been asked for it: it is called when that is back.
        if agent is not None and agent.state is AgentState.CONNECTING and self._floor.connected(agent.server):
            self._lay_down(agent, _NO_ANSWER)

    def page_left(self, event: AgentPageLeft) -> None:
        """Keep who they talk with until the page may be back; without a talk nobody is given to them."""
        agent = self._known(event.agent, "AgentPageLeft")
        if agent is None:
            return
        if agent.state is AgentState.TALKING:
            self._floor.timers.set(("agent-page", agent.id), self._floor.now + PAGE_TIMEOUT_S)
            if agent.call is not None:
                self._floor.emit(Comfort(call=agent.call, server=agent.server))
        elif agent.can(AgentStep.PHONE_GONE) and agent.state is not AgentState.CONNECTING:
            self._lay_down(agent, _PAGE_CLOSED)

    def page_came(self, event: AgentPageCame) -> None:
        """Call their phone into their room; the leg that keeps it from before goes when the new one is there."""
        agent = self._known(event.agent, "AgentPageCame")
        if agent is None:
            return
        if self._floor.timers.at(("agent-phone", agent.id)) is not None:
            self._floor.ignore("AgentPageCame", "phone is being called")
        elif not agent.can(AgentStep.PHONE_GONE) or not self._floor.connected(agent.server):
            self._floor.ignore("AgentPageCame", f"agent is {agent.state}")
        else:
            self.call_phone(agent)

    def page_stays_away(self, agent_id: AgentId) -> None:
        """It was closed for good: nobody is kept any longer."""
        agent = self._floor.roster.get(agent_id)
        if agent is not None:
            self._lay_down(agent, _PAGE_CLOSED_IN_TALK)

    def lose(self, agent: Agent, why: Saying) -> None:
        """Their phone is gone: no calls until they sign in again."""
        if agent.can(AgentStep.PHONE_GONE):
            connecting = agent.state is AgentState.CONNECTING
            if not connecting:
                agent.recalls = 0
                # They come back as they were: not from their lunch, and not before a pause that they have asked for.
                agent.wants_ready = agent.state is not AgentState.PAUSED and agent.pause_asked is None
                agent.pause_code, agent.pause_asked = agent.pause_asked or agent.pause_code, None
            call, agent.call, agent.phone_went_at = agent.call, None, None
            self._floor.timers.cancel(("agent-phone", agent.id))
            self._floor.timers.cancel(("agent-page", agent.id))
            self._move(agent, AgentStep.PHONE_GONE, why)
            self._callers.on_hold_lost(agent)
            if call is not None:
                self._callers.on_left(call)
            if agent.sign_out_asked:
                self._sign_out(agent)
            elif connecting and 0 < agent.recalls < RECALLS:
                delay_s = min(2.0 ** (agent.recalls - 1), RECALL_MAX_S)
                self._floor.timers.set(("agent-again", agent.id), self._floor.now + delay_s)

    def server_lost(self, server: ServerName) -> None:
        """Nobody there is counted on; phones that went just before went with it, and are called when it is back."""
        floor = self._floor
        for agent in floor.roster:
            if agent.server == server:
                went_at = agent.phone_went_at
                if agent.state is AgentState.LOST and went_at is not None and floor.now - went_at <= SHUT_DOWN_S:
                    agent.recalls = agent.recalls or 1
                self.tell_pacer(agent)

    def reconnect(self, agent: Agent) -> None:
        """Call the phone of an agent again whom a server's failure, not their own doing, took from us."""
        agent.recalls += 1
        if agent.can(AgentStep.SIGN_IN):
            self._move(agent, AgentStep.SIGN_IN)
        self.call_phone(agent)

    def recall(self, agent_id: AgentId) -> None:
        """A phone that a server's failure took was not reached a moment ago."""
        agent = self._floor.roster.get(agent_id)
        if agent is not None and agent.state is AgentState.LOST and self._floor.connected(agent.server):
            self.reconnect(agent)

    # ---- calls

    def reserve(self, agent: Agent, call: Call) -> None:
        """Keep an idle agent for a call that is being moved to them."""
        agent.call, agent.permit, agent.disposed = call.id, call.permit, False
        if agent.hold is None:
            self._move(agent, AgentStep.RESERVE)

    def hold(self, agent: Agent, hold: Hold) -> None:
        """Keep an agent for a contact that is to be called; nobody else may count on them meanwhile."""
        agent.hold = hold
        if agent.state is AgentState.WRAPUP:
            ends_at = self._floor.timers.at(("wrapup", agent.id))
            left_s = None if ends_at is None else max(0.0, ends_at - self._floor.now)
            hold.wrapping = agent.call, agent.permit, left_s
        elif agent.state is AgentState.PAUSED:
            # That is where they go when this is over.
            agent.pause_asked = agent.pause_code
        agent.call, agent.permit, agent.disposed = None, None, False
        self._move(agent, AgentStep.RESERVE)

    def let_go(self, agent: Agent) -> None:
        """The contact that an agent was kept for is not talked with: they are again as they were."""
        hold, agent.hold = agent.hold, None
        self._floor.timers.cancel(("hold", agent.id))
        if hold is None or hold.wrapping is None or agent.leaving:
            self.unreserve(agent)
            return
        agent.call, agent.permit, left_s = hold.wrapping
        self._move(agent, AgentStep.RESUME_WRAPUP)
        if left_s is not None:
            self._floor.timers.set(("wrapup", agent.id), self._floor.now + left_s)

    def unreserve(self, agent: Agent) -> None:
        """The call never came."""
        if agent.can(AgentStep.UNRESERVE):
            agent.call = None
            if agent.sign_out_asked or agent.pause_asked is not None:
                # Through idle in one step: nobody may choose them in between.
                agent.take(AgentStep.UNRESERVE, self._floor.now)
                self._after_call(agent)
            else:
                self._move(agent, AgentStep.UNRESERVE)

    def joined(self, agent: Agent) -> None:
        """The customer is in the room."""
        self._move(agent, AgentStep.JOIN)

    def resume(self, agent: Agent, call: Call) -> None:
        """After a restart: they were talking all the while."""
        agent.call, agent.permit, agent.disposed = call.id, call.permit, False
        self._floor.timers.cancel(("agent-phone", agent.id))
        self._move(agent, AgentStep.RESUME_TALK)

    def call_ended(self, call: Call) -> None:
        """A call is over, and so is what it was for its agent."""
        agent = self._floor.roster.get(call.agent) if call.agent is not None else None
        if agent is None or agent.call != call.id:
            return
        if agent.state is AgentState.RESERVED:
            self.unreserve(agent)
        else:
            self._talk_ended(agent, call.campaign.wrapup_limit_s)

    def _talk_ended(self, agent: Agent, wrapup_limit_s: float | None) -> None:
        """The customer is gone; the agent wraps up."""
        if not agent.can(AgentStep.TALK_ENDED):
            return
        self._move(agent, AgentStep.TALK_ENDED)
        if self._floor.timers.at(("agent-page", agent.id)) is not None:
            # Nobody is given to a leg without sound; the page has itself called when it is back.
            self._lay_down(agent, _PAGE_CLOSED_IN_TALK)
        elif agent.disposed or agent.sign_out_asked:
            self._after_call(agent)
        elif wrapup_limit_s is not None:
            self._floor.timers.set(("wrapup", agent.id), self._floor.now + wrapup_limit_s)

    def disposed(self, agent: Agent) -> None:
        """The call has its code: wrap-up is over, or will be when the talk is."""
        agent.disposed = True
        if agent.state is AgentState.WRAPUP:
            self._after_call(agent)

    def wrapup_over(self, agent_id: AgentId) -> None:
        """The time for wrapping up has passed."""
        agent = self._floor.roster.get(agent_id)
        if agent is not None and agent.state is AgentState.WRAPUP:
            self._after_call(agent)

    # ---- pacing

    def refocus(self) -> None:
        """Let each agent be counted on by one campaign (see `dialer.core.focus`)."""
        floor = self._floor
        focus = assign_focus(floor.roster, floor.campaigns, floor.calls)
        for agent in floor.roster:
            self._focus(agent, focus[agent.id])

    def tell_pacer(self, agent: Agent) -> None:
        """Tell the pacer that counts on this agent how they are, and whether they go after the present call."""
        there = self._floor.connected(agent.server) and agent.hold is None
        state = PACED_AS.get(agent.state, "away") if there else "away"
        self._tell_pacer(agent, state)
        if (agent.leaving or agent.promised) and state != "away" and (pacer := self._pacer_of(agent)) is not None:
            # They take no call that is started from now on.
            pacer.agent_leaving(self._floor.now, agent.id, True)
        self._tell_absence(agent)

    def promise(self, agent: Agent, *, promised: bool) -> None:
        """Their next call is one that was promised, and so none of their pacer's; or it is not any more."""
        agent.promised = promised
        pacer = self._pacer_of(agent)
        if pacer is not None and not agent.leaving:
            pacer.agent_leaving(self._floor.now, agent.id, promised)
            agent.told = None
            self._tell_absence(agent)

    def commit(self, agent: Agent, at: float | None) -> None:
        """From `at` on they are kept for a callback; None: they are not."""
        agent.committed_at = at
        self._tell_absence(agent)

    # ---- inside

    def _known(self, agent: AgentId, event: str) -> Agent | None:
        found = self._floor.roster.get(agent)
        if found is None:
            self._floor.ignore(event, "agent is not signed in")
        return found

    def _lay_down(self, agent: Agent, why: Saying) -> None:
        self._floor.emit(HangUpAgent(agent=agent.id, server=agent.server))
        self.lose(agent, why)

    def _phone_is_up(self, agent: Agent) -> None:
        agent.recalls = 0
        self._floor.timers.cancel(("agent-again", agent.id))
        if agent.can(AgentStep.RESUME_TALK) and (talk := self._talk_of(agent)) is not None:
            self.resume(agent, talk)
            return
        step = AgentStep.PHONE_UP_READY if agent.wants_ready else AgentStep.PHONE_UP_PAUSED
        if agent.can(step):
            self._floor.timers.cancel(("agent-phone", agent.id))
            if not agent.wants_ready:
                agent.pause_code = agent.pause_code or "sign-in"
            self._move(agent, step, NOTHING if agent.wants_ready else Saying(agent.pause_code))

    def _talk_of(self, agent: Agent) -> Call | None:
        """A talk in this agent's room that began under an earlier process and still goes on."""
        for call in self._floor.calls.values():
            if (
                call.recovered
                and call.agent == agent.id
                and call.server == agent.server
                and call.state is CallState.CONNECTED
                and not call.hang_up_reason
            ):
                return call
        return None

    def _refocus(self, agent: Agent) -> None:
        """One agent alone: whether a nearly empty campaign has use for another is seen when all are looked at."""
        self._focus(agent, first_choice(agent.campaigns, self._floor.campaigns))

    def _focus(self, agent: Agent, focus: CampaignId | None) -> None:
        if focus != agent.focus:
            self._tell_pacer(agent, "away")
            agent.focus = focus
            self.tell_pacer(agent)

    def _after_call(self, agent: Agent) -> None:
        if agent.sign_out_asked:
            self._sign_out(agent)
        elif agent.pause_asked is not None:
            agent.pause_code, agent.pause_asked = agent.pause_asked, None
            self._move(agent, AgentStep.PAUSE, Saying(agent.pause_code))
        elif agent.can(AgentStep.READY):
            self._move(agent, AgentStep.READY)

    def _sign_out(self, agent: Agent) -> None:
        floor = self._floor
        had_phone = agent.state is not AgentState.LOST
        for kind in ("agent-phone", "agent-again"):
            floor.timers.cancel((kind, agent.id))
        self._move(agent, AgentStep.SIGN_OUT)
        if had_phone:
            floor.emit(HangUpAgent(agent=agent.id, server=agent.server))
        floor.servers[agent.server].rooms.discard(agent.id)
        floor.roster.remove(agent.id)

    def _move(self, agent: Agent, step: AgentStep, why: Saying = NOTHING) -> None:
        floor = self._floor
        since = agent.since
        previous = agent.take(step, floor.now)
        floor.roster.moved(agent)
        if previous is AgentState.WRAPUP:
            floor.timers.cancel(("wrapup", agent.id))
        if agent.state in {AgentState.IDLE, AgentState.PAUSED}:
            agent.call, agent.permit = None, None
        floor.emit(
            AgentChanged(
                at=floor.now,
                agent=agent.id,
                state=agent.state,
                previous=previous,
                previous_s=max(0.0, floor.now - since) if previous is not AgentState.SIGNED_OUT else 0.0,
                campaigns=agent.campaigns,
                reason=why.says,
                code=why.code,
                arguments=why.arguments,
                call=agent.call,
                server=agent.server,
            )
        )
        self.tell_pacer(agent)
        if agent.state is AgentState.IDLE:
            self._callers.on_idle(agent)

    def _pacer_of(self, agent: Agent) -> Pacer | None:
        """The pacer that counts on an agent: that of their server, of the campaign that they are there for now."""
        run = self._floor.campaigns.get(agent.focus) if agent.focus is not None else None
        return None if run is None else run.pacers[agent.server]

    def _tell_pacer(self, agent: Agent, state: str) -> None:
        pacer = self._pacer_of(agent)
        if pacer is not None:
            pacer.agent_changed(self._floor.now, agent.id, state)

    def _tell_stays(self, agent: Agent, was_leaving: bool) -> None:
        """They have thought better of it: calls may be started for them again."""
        pacer = self._pacer_of(agent)
        if pacer is not None and was_leaving and not (agent.leaving or agent.promised):
            pacer.agent_leaving(self._floor.now, agent.id, False)
            agent.told = None
            self._tell_absence(agent)

    def _tell_absence(self, agent: Agent) -> None:
        """Tell the pacer that counts on them from when on it is not to, where it does not know."""
        pacer, now, at = self._pacer_of(agent), self._floor.now, agent.absent_at
        if pacer is None or agent.leaving or agent.promised:
            return  # it counts on them no more as it is
        told = agent.told[1] if agent.told is not None and agent.told[0] is pacer else None
        if told == at:
            return
        if told is not None and (at is None or told < at > now + RENEWED_S):
            # Later than was said, if at all: they may be counted out already.
            pacer.agent_leaving(now, agent.id, False)
        agent.told = None
        if at is not None and at > now:
            pacer.agent_leaving(now, agent.id, True, at)
            agent.told = pacer, at
