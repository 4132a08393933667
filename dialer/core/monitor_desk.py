"""Supervisors who listen, whisper and barge in: who may be attended now, and how a session goes on from talk to talk.

The phone of a supervisor is always put in as a silent listener; what else was wanted is ordered once it is there, if it
still makes sense then. Nobody stays in a room between two customers: with the end of a talk whoever has barged in
listens again, before the next customer can be sent there. The desk learns of talks and of phones that are gone from
what the other desks let out (`follow`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from dialer.core.agent import AgentState
from dialer.core.commands import CallMonitor, ChangeMonitor, HangUpMonitor
from dialer.core.events import MonitorAsked, MonitorChangeAsked, MonitorEndAsked, MonitorPhoneGone, MonitorPhoneUp
from dialer.core.floor import Floor, Output
from dialer.core.ids import AgentId, MonitorId
from dialer.core.monitor import Monitor, MonitorMode, MonitorState, MonitorStep
from dialer.core.notices import AgentChanged, CallConnected, MonitorChanged
from dialer.core.roster import Agent

#: A supervisor's phone that does not answer within this is given up.
PHONE_TIMEOUT_S: Final = 45.0
#: Sessions at one agent: each is another copy of the sound that the switch makes.
MOST_AT_ONE_AGENT: Final = 4

_WITHOUT_PHONE: Final = frozenset({AgentState.SIGNED_OUT, AgentState.CONNECTING, AgentState.LOST})


class MonitorDesk:
    """Moves sessions through their states."""

    def __init__(self, floor: Floor) -> None:
        self._floor = floor
        self._sessions: dict[MonitorId, Monitor] = {}

    def sessions(self, agent: AgentId | None = None) -> Iterable[Monitor]:
        """Those that are not over, of one agent or of all."""
        return [one for one in self._sessions.values() if agent is None or one.agent == agent]

    def on_extension(self, extension: str) -> Monitor | None:
        """The session that a phone is used for."""
        return next((one for one in self._sessions.values() if one.extension == extension), None)

    def refusal(self, agent_id: AgentId, extension: str, mode: MonitorMode) -> str:
        """Why an agent cannot be attended so from that phone now, in words that say what to do; empty: they can."""
        agent = self._floor.roster.get(agent_id)
        if agent is None or agent.state in _WITHOUT_PHONE:
            return f"agent {agent_id} has no phone up: there is nothing to hear"
        if not self._floor.connected(agent.server):
            return f"Asterisk server {agent.server} is out of reach"
        owner = next((one.id for one in self._floor.roster if one.phone == extension), None)
        if owner is not None:
            return f"{extension} is the phone of agent {owner}: give your own"
        mine = self.on_extension(extension)
        if mine is not None and mine.server != agent.server:
            return f"{extension} attends agent {mine.agent} on server {mine.server}: end that first"
        others = [one for one in self.sessions(agent_id) if one is not mine]
        if len(others) >= MOST_AT_ONE_AGENT:
            return f"agent {agent_id} is attended by {len(others)} already"
        if mode is MonitorMode.BARGE:
            if agent.state is not AgentState.TALKING:
                return f"agent {agent_id} is not in a talk: there is nobody to barge in on"
            if any(one.mode is MonitorMode.BARGE for one in others):
                return f"somebody has barged in on agent {agent_id} already"
        return ""

    # ---- orders

    def asked(self, event: MonitorAsked) -> None:
        """Call a supervisor's phone."""
        refusal = self.refusal(event.agent, event.extension, event.mode)
        if event.monitor in self._sessions or self.on_extension(event.extension) is not None:
            refusal = f"{event.extension} is in a session already"
        agent = self._floor.roster.get(event.agent)
        if refusal or agent is None:
            self._floor.ignore("MonitorAsked", refusal)
            return
        session = Monitor(
            id=event.monitor,
            agent=event.agent,
            extension=event.extension,
            server=agent.server,
            mode=event.mode,
            by=event.by,
        )
        self._sessions[session.id] = session
        self._floor.timers.set(("monitor", session.id), self._floor.now + PHONE_TIMEOUT_S)
        self._floor.emit(
            CallMonitor(monitor=session.id, agent=session.agent, extension=session.extension, server=session.server)
        )
        self._tell(session, agent)

    def change_asked(self, event: MonitorChangeAsked) -> None:
        """Another mode, or another agent of the same server."""
        session = self._sessions.get(event.monitor)
        if session is None:
            self._floor.ignore("MonitorChangeAsked", "no such session")
            return
        refusal = self.refusal(event.agent, session.extension, event.mode)
        if refusal:
            self._floor.ignore("MonitorChangeAsked", refusal)
            return
        if (session.agent, session.mode) == (event.agent, event.mode):
            return
        session.agent, session.mode, session.by = event.agent, event.mode, event.by
        self._order(session)
        self._tell(session, self._floor.roster.get(session.agent))

    def end_asked(self, event: MonitorEndAsked) -> None:
        """It is to be over."""
        session = self._sessions.get(event.monitor)
        if session is None:
            self._floor.ignore("MonitorEndAsked", "no such session")
            return
        self._floor.emit(HangUpMonitor(monitor=session.id, server=session.server))
        self._over(session, MonitorStep.END, f"ended by {event.by}")

    # ---- from the switch

    def phone_up(self, event: MonitorPhoneUp) -> None:
        """The supervisor's phone answered, and hears the agent."""
        session = self._sessions.get(event.monitor)
        if session is None or not session.can(MonitorStep.PHONE_UP):
            self._floor.ignore(
                "MonitorPhoneUp", "no such session" if session is None else f"session is {session.state}"
            )
            return
        self._floor.timers.cancel(("monitor", session.id))
        session.take(MonitorStep.PHONE_UP)
        if session.mode is not MonitorMode.LISTEN:
            self._order(session)
        self._tell(session, self._floor.roster.get(session.agent))

    def phone_gone(self, event: MonitorPhoneGone) -> None:
        """The supervisor's phone hung up or was not reached."""
        session = self._sessions.get(event.monitor)
        if session is None:
            self._floor.ignore("MonitorPhoneGone", "no such session")
            return
        self._over(session, MonitorStep.PHONE_GONE, event.reason)

    def phone_timed_out(self, monitor: MonitorId) -> None:
        """Nothing was ever heard of the supervisor's phone."""
        session = self._sessions.get(monitor)
        if session is not None and session.state is MonitorState.CALLING:
            self._floor.emit(HangUpMonitor(monitor=session.id, server=session.server))
            self._over(session, MonitorStep.PHONE_GONE, "phone did not answer")

    # ---- what the other desks let out

    def follow(self, outputs: list[Output]) -> list[Output]:
        """`outputs`, and what they mean to sessions in its place among them."""
        if not self._sessions:
            return outputs
        followed: list[Output] = []
        for output in outputs:
            followed.append(output)
            if isinstance(output, AgentChanged):
                self._agent_changed(output)
            elif isinstance(output, CallConnected):
                for session in self.sessions(output.agent):
                    self._tell(session, self._floor.roster.get(session.agent))
            # Ahead of the next customer's way into the room.
            followed += self._floor.take_outputs()
        return followed

    def _agent_changed(self, notice: AgentChanged) -> None:
        for session in self.sessions(notice.agent):
            if notice.state in _WITHOUT_PHONE:
                self._floor.emit(HangUpMonitor(monitor=session.id, server=session.server))
                self._over(session, MonitorStep.END, "the agent's phone is gone")
            elif notice.previous is AgentState.TALKING and session.mode is MonitorMode.BARGE:
                session.mode = MonitorMode.LISTEN
                self._order(session)
                self._tell(session, None, "the talk is over")

    # ---- inside

    def _order(self, session: Monitor) -> None:
        if session.state is MonitorState.ON:  # else once the phone is up
            self._floor.emit(
                ChangeMonitor(monitor=session.id, agent=session.agent, mode=session.mode, server=session.server)
            )

    def _over(self, session: Monitor, step: MonitorStep, reason: str) -> None:
        del self._sessions[session.id]
        self._floor.timers.cancel(("monitor", session.id))
        session.take(step)
        self._tell(session, None, reason)

    def _tell(self, session: Monitor, agent: Agent | None, reason: str = "") -> None:
        talking = agent is not None and agent.state is AgentState.TALKING
        self._floor.emit(
            MonitorChanged(
                at=self._floor.now,
                monitor=session.id,
                agent=session.agent,
                extension=session.extension,
                state=session.state,
                mode=session.mode,
                by=session.by,
                call=agent.call if agent is not None and talking else None,
                reason=reason,
            )
        )
