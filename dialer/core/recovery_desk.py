"""Servers that come and go, and calls that an earlier process left behind. Start-up and recovery are one path.

While a server is out of reach its calls go on without us. When it is back it tells which channels exist, and that is
the truth: calls of ours without a channel have ended, channels of this node without a call are ghosts and hung up.
A call of which nothing has been heard may not have begun when the list was made; it is given a moment.
"""

from __future__ import annotations

from dataclasses import replace

from dialer.core.agent import AgentState, AgentStep
from dialer.core.agent_desk import AgentDesk
from dialer.core.call import Call, CallState
from dialer.core.campaign import Campaign
from dialer.core.commands import FollowCall, HangUp
from dialer.core.end_desk import EndDesk
from dialer.core.events import AgentPhoneUp, CallRecovered, ServerConnected, ServerLost, ServerTakesCalls
from dialer.core.floor import Floor
from dialer.core.ids import ServerName, node_of
from dialer.core.notices import ServerChanged
from dialer.core.permit import Permit
from dialer.core.saying import say
from dialer.core.waiting_desk import WaitingDesk

_ENDED_MEANWHILE = "ended while the switch was out of reach"
_LEFT_OVER = "left over by an earlier process"
_GONE_MEANWHILE = say("phone was gone when the switch came back", code="agent_phone_gone_meanwhile")


class RecoveryDesk:
    """Brings what the engine believes back to what the switch knows."""

    def __init__(self, floor: Floor, agents: AgentDesk, ends: EndDesk, waiting: WaitingDesk) -> None:
        self._floor = floor
        self._agents = agents
        self._ends = ends
        self._waiting = waiting

    def server_lost(self, event: ServerLost) -> None:
        """No calls are started there, and nobody there is counted on, until it is back."""
        state = self._floor.servers.get(event.server)
        if state is None or not state.connected:
            return
        state.connected = False
        self._floor.emit(
            ServerChanged(
                at=event.at,
                server=event.server,
                connected=False,
                reason=event.reason,
                code=event.code,
                arguments=event.arguments,
            )
        )
        self._agents.server_lost(event.server)

    def server_connected(self, event: ServerConnected) -> None:
        """Believe the server: end what it does not have, hang up what we do not know, call phones that are gone."""
        floor = self._floor
        state = floor.servers.get(event.server)
        if state is None:
            floor.ignore("ServerConnected", "no such server")
            return
        state.connected, state.rooms = True, set(event.agents)
        floor.trunks.open(event.server)
        floor.emit(ServerChanged(at=event.at, server=event.server, connected=True))
        for call in [c for c in floor.calls.values() if c.server not in floor.servers and c.id in event.calls]:
            self._place(call, event.server)
        for call in [c for c in floor.calls.values() if c.server == event.server]:
            if call.state is CallState.RESERVED:
                continue
            if call.id not in event.calls:
                if call.state is CallState.DIALING and not call.recovered:
                    self._ends.missing(call, _ENDED_MEANWHILE)
                else:
                    self._ends.lost(call, _ENDED_MEANWHILE)
            elif call.missing or (call.recovered and call.state is not CallState.CONNECTED):
                self._ends.found(call)
            else:
                self._waiting.server_is_back(call)
        for call_id in sorted(event.calls):
            if call_id not in floor.calls and node_of(call_id) == floor.node:
                floor.emit(HangUp(call=call_id, server=event.server))
        for agent in [a for a in floor.roster if a.server == event.server]:
            if agent.id in event.agents:
                self._agents.phone_up(AgentPhoneUp(at=event.at, agent=agent.id))
            elif agent.state is AgentState.CONNECTING or (agent.state is AgentState.LOST and agent.recalls):
                agent.recalls = 0
                self._agents.reconnect(agent)
            elif agent.can(AgentStep.PHONE_GONE):
                self._agents.lose(agent, _GONE_MEANWHILE)
                if agent.state is AgentState.LOST:  # and not gone home, as they had asked to
                    self._agents.reconnect(agent)
            self._agents.tell_pacer(agent)
        self._waiting.give_to_idle(event.server)

    def takes_calls(self, event: ServerTakesCalls) -> None:
        """Start no calls on a server that is about to stop, or start them again where that was called off."""
        if event.takes:
            self._floor.trunks.open(event.server)
        else:
            self._floor.trunks.shut(event.server)

    def recovered(self, event: CallRecovered) -> None:
        """Take over a call of an earlier process; its server's channels will tell whether it still exists."""
        floor = self._floor
        known = floor.calls.get(event.call)
        if known is not None:
            # Another node took it for ours to be dead, and we took it back: what we say counts by the new token alone.
            known.permit = replace(known.permit, fencing_token=event.fencing_token)
            return
        run = floor.campaigns.get(event.campaign)
        permit = Permit(
            call=event.call,
            campaign=event.campaign,
            contact=event.contact,
            phone=event.phone,
            fencing_token=event.fencing_token,
            attempt_number=event.attempt_number,
            expires_at=event.at,
        )
        talking = event.connected_at is not None
        call = Call(
            permit=permit,
            campaign=run.campaign if run is not None else Campaign(id=event.campaign),
            server=event.server or ServerName(""),
            trunk=None,
            state=CallState.CONNECTED if talking else CallState.DIALING,
            # Of a node whose clock may be ahead of ours: nothing has happened yet that is to come.
            started_at=min(event.started_at, event.at),
            answered_at=None if event.answered_at is None else min(event.answered_at, event.at),
            connected_at=None if event.connected_at is None else min(event.connected_at, event.at),
            agent=event.agent,
            recovered=True,
        )
        floor.calls[call.id] = call
        if run is not None:
            run.calls.add(call.id)
            run.unanswered[call.server] += call.unanswered
        server = floor.servers.get(call.server)
        if server is None:
            # It was reserved, and perhaps handed over, but to whom was not written down any more.
            self._ends.missing(call, _LEFT_OVER)
            self._ends.cancel(call, _LEFT_OVER)
            return
        self._take_line(call)
        if server.connected:
            # The list of channels is older than this call's recovery, and nobody here has heard of its channel.
            floor.emit(FollowCall(call=call.id, server=call.server))
            if not talking:
                self._ends.cancel(call, _LEFT_OVER)
            if call.unanswered:
                floor.timers.set(("ring", call.id), floor.now)

    def _place(self, call: Call, server: ServerName) -> None:
        """A call of which nobody knew where it is has been found."""
        run = self._floor.run_of(call)
        if run is not None and call.id in run.calls and call.unanswered:
            run.unanswered[call.server] -= 1
            run.unanswered[server] += 1
        call.server = server
        self._take_line(call)

    def _take_line(self, call: Call) -> None:
        trunks = self._floor.trunks
        call.trunk = trunks.adopt(call.server)
        call.rate = trunks.rate(call.server, call.trunk, call.permit.phone)
