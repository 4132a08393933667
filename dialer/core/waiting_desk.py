"""Who gets the people who answer, and what becomes of those for whom nobody is free in time."""

from __future__ import annotations

from dialer.core.agent import AgentState
from dialer.core.agent_desk import AgentDesk
from dialer.core.attempt import is_late
from dialer.core.call import Call, CallState, CallStep
from dialer.core.commands import ConnectCall, HangUpAgent, PlayMessage
from dialer.core.end_desk import EndDesk
from dialer.core.events import CallJoined
from dialer.core.floor import Floor
from dialer.core.hold_desk import HoldDesk
from dialer.core.ids import CallId, ServerName
from dialer.core.notices import CallConnected
from dialer.core.roster import Agent
from dialer.core.saying import say
from dialer.core.screen_pop import screen_pop

#: The move into the agent's room takes milliseconds; after this the agent's phone cannot be trusted.
JOIN_TIMEOUT_S = 1.0
#: Longest abandonment message; after it the channel is hung up by us.
MESSAGE_TIMEOUT_S = 30.0

_NOT_MOVED = say("customer could not be moved to the agent", code="agent_phone_not_in_room")


class WaitingDesk:
    """Gives people who wait to agents."""

    def __init__(self, floor: Floor, agents: AgentDesk, holds: HoldDesk, ends: EndDesk) -> None:
        self._floor = floor
        self._agents = agents
        self._holds = holds
        self._ends = ends

    def person(self, call: Call) -> None:
        """A person, or what is taken for one, has answered."""
        floor = self._floor
        floor.timers.cancel(("detection", call.id))
        call.take(CallStep.PERSON)
        call.waiting_at = floor.now
        run = floor.run_of(call)
        if run is not None:
            run.answered[call.server] += 1
            run.pacers[call.server].call_answered(floor.now, call.id)
        self._wait_or_give(call)

    def serve(self, agent: Agent) -> None:
        """An agent has become idle: give them whoever has waited longest."""
        floor = self._floor
        if not floor.connected(agent.server):
            return
        best: Call | None = None
        for run in floor.campaigns.values():
            if not run.waiting or not agent.serves(run.campaign):
                continue
            for call_id in run.waiting:
                call = floor.calls[call_id]
                if call.server == agent.server:
                    if best is None or (call.answered_at or 0.0) < (best.answered_at or 0.0):
                        best = call
                    break
        if best is not None:
            self._give(best, agent)

    def joined(self, event: CallJoined) -> None:
        """The customer is in the agent's room."""
        floor = self._floor
        call = floor.known_call(event.call, "CallJoined")
        agent = floor.roster.get(event.agent)
        if call is None or agent is None or agent.call != call.id or agent.state is not AgentState.RESERVED:
            if call is not None and call.state is not CallState.CONNECTED:
                floor.ignore("CallJoined", f"call is {call.state}")
            return
        if not floor.take(call, CallStep.JOIN, "CallJoined"):
            return
        call.connected_at = max(event.at, call.answered_at or event.at)
        floor.timers.cancel(("join", call.id))
        floor.timers.cancel(("abandon", call.id))
        self._holds.joined(call)
        self._agents.joined(agent)
        run = floor.run_of(call)
        wait_s = call.connected_at - (call.answered_at or call.connected_at)
        late = is_late(call.answered_at, call.connected_at, call.campaign.connect_within_s)
        if run is not None and late:
            # Met after all, and yet too late for the rule: it costs the budget what any abandoned call does.
            run.pacers[call.server].call_abandoned(floor.now, call.id)
        elif run is not None:
            run.pacers[call.server].call_connected(floor.now, call.id, agent.id)
        permit = call.permit
        floor.emit(
            CallConnected(
                at=call.connected_at,
                call=call.id,
                campaign=permit.campaign,
                contact=permit.contact,
                phone=permit.phone,
                agent=agent.id,
                wait_s=wait_s,
                screen_pop=screen_pop(call),
                late=late,
                machine_sampled=call.machine_sampled,
            )
        )

    def wait_over(self, call_id: CallId) -> None:
        """Nobody was free in time."""
        floor = self._floor
        call = floor.calls.get(call_id)
        if call is None or call.state is not CallState.WAITING or call.agent is not None:
            return
        floor.stop_waiting(call)
        if call.machine_sampled:
            self._ends.machine(call)
            return
        call.take(CallStep.ABANDON)
        call.hang_up_reason = call.hang_up_reason or "no agent in time"
        floor.emit(
            PlayMessage(
                call=call.id,
                message=call.campaign.message,
                server=call.server,
                opt_out_key=call.campaign.opt_out_key,
            )
        )
        self._ends.tell_abandoned(call)
        floor.timers.set(("message", call.id), floor.now + MESSAGE_TIMEOUT_S)

    def join_over(self, call_id: CallId) -> None:
        """The customer did not arrive in the agent's room: that room is not to be trusted, another agent is."""
        floor = self._floor
        call = floor.calls.get(call_id)
        if call is None or call.state is not CallState.WAITING or call.agent is None:
            return
        if not floor.connected(call.server):
            return  # they may have met without our hearing of it; the reconnection will tell
        agent = floor.roster.get(call.agent)
        call.agent = None
        if agent is not None and agent.call == call.id:
            floor.emit(HangUpAgent(agent=agent.id, server=agent.server))
            self._agents.lose(agent, _NOT_MOVED)
            if agent.state is AgentState.LOST:  # and not gone home, as they had asked to
                self._agents.reconnect(agent)
        self._wait_or_give(call)

    def agent_left(self, call_id: CallId) -> None:
        """An agent's phone went while a customer was being moved to it: the customer waits on."""
        call = self._floor.calls.get(call_id)
        if call is not None and call.state is CallState.WAITING and call.agent is not None:
            call.agent = None
            self._floor.timers.cancel(("join", call.id))
            self._wait_or_give(call)

    def server_is_back(self, call: Call) -> None:
        """Its channel has outlived the loss of the connection."""
        floor = self._floor
        call.hang_up_asked_at = None
        if call.state is CallState.WAITING and call.agent is not None:
            # Whether they have met meanwhile is said right after the list of channels.
            floor.timers.set(("join", call.id), floor.now + JOIN_TIMEOUT_S)

    def give_to_idle(self, server: ServerName) -> None:
        """A server is back: who waits there and is still in time gets whoever is idle there."""
        floor = self._floor
        for call in [c for c in floor.calls.values() if c.server == server and c.state is CallState.WAITING]:
            if call.agent is None and not call.hang_up_reason:
                self._wait_or_give(call)

    def _wait_or_give(self, call: Call) -> None:
        floor = self._floor
        if call.hang_up_reason:
            return  # its end has been asked for
        agent = None
        if floor.connected(call.server):
            agent = self._holds.agent_for(call) or floor.roster.choose(call.campaign, call.server)
        if agent is not None:
            self._give(call, agent)
            return
        run = floor.run_of(call)
        if run is not None and call.id not in run.waiting:
            run.waiting.append(call.id)
        deadline = (call.answered_at or floor.now) + call.campaign.connect_within_s
        floor.timers.set(("abandon", call.id), max(deadline, floor.now))

    def _give(self, call: Call, agent: Agent) -> None:
        floor = self._floor
        floor.stop_waiting(call)
        call.agent = agent.id
        self._agents.reserve(agent, call)
        floor.emit(ConnectCall(call=call.id, agent=agent.id, server=call.server))
        floor.timers.set(("join", call.id), floor.now + JOIN_TIMEOUT_S)
