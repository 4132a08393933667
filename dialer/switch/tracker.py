"""From the messages of one Asterisk server to the engine's events, whatever order they come in.

Facts this is built on, each recorded from a real Asterisk 22 in ``tests/data/ami``:

* ``Newstate`` Up, ``DialEnd`` ANSWER and ``OriginateResponse`` Success come from different threads: the first of them
  is the answer, the others say nothing new.
* ``OriginateResponse`` and ``Hangup`` come in either order. The first alone has the ring time-out (``Reason`` 3), the
  second alone tells busy from unallocated. A call that was not answered is finished when both have come, or a grace
  after the first.
* ``OriginateResponse`` Failure with no channel at all: never dialed. ``Newchannel`` comes by another way and may be
  late, hence a grace here too.
* A hang-up before Asterisk has made the channel finds "No such channel", and the call would go on: it is asked for
  again as soon as the channel appears.

Live state is bounded: a finished leg is forgotten at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from dialer.ami.messages import Message
from dialer.core.events import (
    AgentPhoneGone,
    AgentPhoneUp,
    CallAnswered,
    CallHungUp,
    CallJoined,
    CallRinging,
    CustomerOptedOut,
    HungUpBy,
    MachineDetected,
    MessagePlayed,
    OriginateFailed,
    RecordingAnswered,
    RecordingStopped,
    ServerConnected,
    SwitchEvent,
)
from dialer.core.ids import AgentId, CallId, RecordingId, ServerName
from dialer.core.recording import RecordingOrder, valid_recording_id
from dialer.core.saying import Saying, say
from dialer.switch import mapping
from dialer.switch.remote_clock import RemoteClock

#: The second of Hangup and OriginateResponse was 1 ms behind the first at most, 20 ms under 100 calls/s.
GRACE_S: Final = 0.5
#: How long a channel may still appear that a snapshot did not have: originates wait in Asterisk's own queue.
GHOST_S: Final = 120.0

_NOT_IN_ROOM: Final = say("the phone was not in its room", code="agent_phone_not_in_room")
_BY_US: Final = say("hung up by the dialer", code="agent_phone_by_us")
_LAID_DOWN: Final = say("the phone was hung up", code="agent_phone_laid_down")
_NOT_CALLED: Final = say("the phone could not be called", code="agent_phone_could_not")


@dataclass(slots=True)
class _Leg:
    """One channel that we asked for."""

    uniqueid: str
    #: Whose phone it is; None for a customer's.
    agent: AgentId | None
    #: The leg of the same agent that keeps their room until this one is in it.
    replaces: str = ""
    channel: str = ""
    exists: bool = False
    #: Early media, and ringing.
    sounded: bool = False
    rang: bool = False
    answered: bool = False
    #: The agent in whose room it is, or was last.
    room: AgentId | None = None
    left_room: bool = False
    by: HungUpBy | None = None
    asked: bool = False
    failed: str = ""
    timed_out: bool = False
    resulted: bool = False
    hung: bool = False
    cause: int = 0
    cause_text: str = ""
    sip_code: int | None = None
    ended_at: float | None = None


class Tracker:
    """Follows the channels of one server.

    Args:
        server: its name.
        runs: how the names of this node's runs begin (`mapping.runs_of`); empty: there is no other node.
    """

    def __init__(self, server: ServerName, runs: str = "") -> None:
        self._server = server
        self._runs = runs
        self._clock = RemoteClock()
        self._legs: dict[str, _Leg] = {}
        self._agent_legs: dict[AgentId, str] = {}
        #: Legs in their agents' rooms that another process called, with the names of their channels.
        self._others: dict[AgentId, tuple[str, str]] = {}
        self._waiting: dict[str, float] = {}
        self._gone: dict[str, float] = {}
        self._to_hang_up: list[str] = []

    # ---- what we did

    def originated(self, call: CallId) -> None:
        """An originate for a customer has been handed over."""
        self._legs[call] = _Leg(uniqueid=call, agent=None)

    def agent_called(self, agent: AgentId, leg: str) -> None:
        """An originate for an agent's phone has been handed over; a leg that they have stays until it is answered."""
        self._legs[leg] = _Leg(uniqueid=leg, agent=agent, replaces=self._agent_legs.get(agent, ""))
        self._agent_legs[agent] = leg

    def adopt(self, agent: AgentId, dialed: str, now: float) -> list[SwitchEvent]:
        """Take over the leg of an agent that another process called, so that nobody has to answer their phone twice.

        One of another phone than is to be called (`dialed`) is hung up: they have changed desks.
        """
        if agent in self._agent_legs or agent not in self._others:
            return []
        uniqueid, channel = self._others.pop(agent)
        if channel.rpartition("-")[0] != dialed:
            self._to_hang_up.append(uniqueid)
            return []
        self._legs[uniqueid] = _Leg(
            uniqueid=uniqueid, agent=agent, channel=channel, exists=True, answered=True, room=agent
        )
        self._agent_legs[agent] = uniqueid
        return [AgentPhoneUp(at=now, agent=agent)]

    def hang_up_asked(self, uniqueid: str) -> None:
        """We have asked for the end of a channel."""
        leg = self._legs.get(uniqueid)
        if leg is not None:
            leg.asked = True
            leg.by = leg.by or HungUpBy.DIALER

    def follow(self, call: CallId) -> None:
        """Another process began this call; from now on its channel is heard of."""
        # Whatever it has come to before is known where it was taken over from: only its end is news.
        self._legs.setdefault(call, _Leg(uniqueid=call, agent=None, exists=True, answered=True))

    def not_there(self, call: CallId, now: float) -> list[SwitchEvent]:
        """A call that we began to follow has no channel; one that comes to be all the same is hung up."""
        leg = self._legs.get(call)
        if leg is None:
            return []
        self._gone[call] = now + GHOST_S
        leg.hung, leg.by = True, leg.by or HungUpBy.NETWORK
        return self._finish(leg, now)

    def refused(self, uniqueid: str, reason: str, now: float) -> list[SwitchEvent]:
        """Asterisk answered an originate with an error: there will be no channel and no further word."""
        leg = self._legs.get(uniqueid)
        if leg is None or leg.exists:
            return []
        leg.failed = reason
        return self._finish(leg, now)

    # ---- what we know

    def channel(self, uniqueid: str) -> str:
        """What to call a channel in an action: its name, or its Uniqueid, which Asterisk takes as well."""
        leg = self._legs.get(uniqueid)
        return leg.channel if leg is not None and leg.channel else uniqueid

    def leg_of(self, agent: AgentId) -> str | None:
        """Uniqueid of the leg of an agent."""
        return self._agent_legs.get(agent)

    def legs_of(self, agent: AgentId) -> list[str]:
        """Uniqueids of all legs of an agent: two where one is to replace the other."""
        return [uniqueid for uniqueid, leg in self._legs.items() if leg.agent == agent]

    def __len__(self) -> int:
        return len(self._legs)

    def take_hang_ups(self) -> list[str]:
        """Uniqueids of channels that must be hung up now: ended for us, but there."""
        taken, self._to_hang_up = self._to_hang_up, []
        return taken

    def next_deadline(self) -> float | None:
        """When `handle_timer` wants to be called; None: never."""
        return min(self._waiting.values(), default=None)

    def handle_timer(self, now: float) -> list[SwitchEvent]:
        """Finish what has waited long enough for a second word."""
        events: list[SwitchEvent] = []
        for uniqueid in [key for key, at in self._waiting.items() if at <= now]:
            events += self._finish(self._legs[uniqueid], now)
        return events

    # ---- what Asterisk says

    def snapshot(self, rows: Iterable[Message], now: float) -> list[SwitchEvent]:
        """All channels that exist, as ``CoreShowChannel`` rows: the truth after a connection was made.

        Returns a `ServerConnected`, then what happened to known calls while nobody listened.
        """
        self._clock = RemoteClock()
        self._gone = {key: at for key, at in self._gone.items() if at > now}
        known, self._legs, self._agent_legs, self._others = self._legs, {}, {}, {}
        self._waiting.clear()
        missed: list[SwitchEvent] = []
        agents: set[AgentId] = set()
        for row in rows:
            uniqueid = row.get("Uniqueid", "")
            up = row.get("ChannelStateDesc") == "Up"
            in_room = up and row.get("Application", "").lower() == "confbridge"
            agent = mapping.agent_of_leg(uniqueid)
            if agent is not None:
                if in_room and agent not in agents:
                    agents.add(agent)
                    self._legs[uniqueid] = _Leg(
                        uniqueid=uniqueid, agent=agent, channel=row.get("Channel", ""), exists=True, answered=True
                    )
                    self._agent_legs[agent] = uniqueid
                elif mapping.is_of_runs(uniqueid, self._runs):
                    # Half way to its room, or a second one: the engine calls phones that are not there anew. What
                    # another node has called is its own: there it is waited for.
                    self._to_hang_up.append(uniqueid)
                continue
            call = mapping.call_of(uniqueid)
            if call is None:
                continue
            before = known.get(uniqueid)
            leg = before if before is not None else _Leg(uniqueid=uniqueid, agent=None)
            leg.channel, leg.exists = row.get("Channel", ""), True
            leg.hung, leg.ended_at = False, None
            self._legs[uniqueid] = leg
            if leg.asked:
                # Asked for while the connection was down, or lost with it.
                self._to_hang_up.append(uniqueid)
            if up and not leg.answered:
                leg.answered = True
                if before is not None:
                    missed.append(CallAnswered(at=now, call=call))
            elif row.get("ChannelStateDesc") == "Ringing" and before is not None and not before.rang:
                # Since when, nobody heard: its time begins now, which cuts nobody short.
                missed += self._ringing(leg, now)
            room = row.get("Exten", "")
            if in_room and row.get("Context") == mapping.CONTEXT_CONNECT and leg.room is None:
                leg.room = AgentId(room)
                if before is not None:
                    missed.append(CallJoined(at=now, call=call, agent=leg.room))
        for uniqueid in known:
            if uniqueid not in self._legs:
                self._gone[uniqueid] = now + GHOST_S
        calls = frozenset(CallId(key) for key, leg in self._legs.items() if leg.agent is None)
        return [ServerConnected(at=now, server=self._server, calls=calls, agents=frozenset(agents)), *missed]

    def handle(self, message: Message, now: float) -> list[SwitchEvent]:
        """What one event means; most mean nothing to us."""
        name = message.event
        match name:
            case "OriginateResponse":
                return self._on_result(message, now)
            case "Newchannel" | "Newstate" | "DialState" | "DialBegin" | "DialEnd":
                return self._on_progress(name, message, now)
            case "UserEvent":
                return self._on_user_event(message, now)
            case "ConfbridgeJoin":
                return self._on_join(message, now)
            case "ConfbridgeLeave":
                return self._on_leave(message)
            case "MixMonitorStop":
                leg = self._legs.get(message.get("Uniqueid", ""))
                if leg is None or leg.agent is not None:
                    return []
                return [RecordingStopped(at=self._at(message, now), call=CallId(leg.uniqueid))]
            case "HangupRequest":
                return self._on_hangup_request(message)
            case "Hangup":
                return self._on_hangup(message, now)
            case _:
                return []

    def _on_progress(self, name: str, message: Message, now: float) -> list[SwitchEvent]:
        dial = name in {"DialState", "DialBegin", "DialEnd"}
        uniqueid = message.get("DestUniqueid" if dial else "Uniqueid", "")
        leg = self._legs.get(uniqueid)
        if leg is None:
            if self._gone.pop(uniqueid, 0.0) > now:
                self._to_hang_up.append(uniqueid)
            return []
        if not leg.exists:
            leg.exists = True
            if leg.asked:
                self._to_hang_up.append(uniqueid)
            if leg.failed and not leg.hung:
                self._wait(leg, now)
        leg.channel = leg.channel or message.get("DestChannel" if dial else "Channel", "")
        if name in {"Newstate", "DialState"} and mapping.is_ringing(message):
            return self._ringing(leg, self._at(message, now))
        if mapping.is_early_media(message):
            return self._early_media(leg, self._at(message, now))
        if name == "Newstate":
            up = message.get("ChannelStateDesc") == "Up"
        else:
            up = name == "DialEnd" and message.get("DialStatus") == "ANSWER"
        return self._answered(leg, self._at(message, now)) if up else []

    def _on_result(self, message: Message, now: float) -> list[SwitchEvent]:
        # By our ActionID: with a Uniqueid that is in use, Asterisk reports the failure under the other call's.
        leg = self._legs.get(message.action_id or "")
        if leg is None:
            return []
        leg.resulted = True
        if message.get("Response") == "Success":
            leg.exists = True
            return self._answered(leg, self._at(message, now)) + self._finish_if_complete(leg, now)
        leg.timed_out = message.get("Reason") == "3"
        leg.failed = "Asterisk could not call it: is the endpoint configured, and does the phone register?"
        if leg.hung:
            return self._finish(leg, now)
        self._wait(leg, now)
        return []

    def _on_user_event(self, message: Message, now: float) -> list[SwitchEvent]:
        name = message.get("UserEvent", "")
        if not name.startswith("Cadencia"):
            return []
        leg = self._legs.get(message.get("Uniqueid", "")) or self._legs.get(message.get("Call", ""))
        if leg is None or leg.agent is not None:
            return []
        at, call = self._at(message, now), CallId(leg.uniqueid)
        match name:
            case "CadenciaAmd":
                verdict = mapping.verdict_of(message.get("Status", ""))
                if verdict is None:
                    return []
                return [
                    *self._answered(leg, at),
                    MachineDetected(at=at, call=call, verdict=verdict, cause=message.get("Cause", "")),
                ]
            case "CadenciaMessage":
                return [MessagePlayed(at=at, call=call, complete=message.get("Played", "").lower() == "yes")]
            case "CadenciaOptOut":
                key = mapping.key_of(message.get("Key", ""))
                return [] if key is None else [CustomerOptedOut(at=at, call=call, key=key)]
            case "CadenciaRecording":
                recording = message.get("Recording", "")
                if not valid_recording_id(recording):
                    return []
                return [
                    RecordingAnswered(at=at, call=call, recording=RecordingId(recording), order=RecordingOrder.START)
                ]
            case "CadenciaNoAgent":
                agent = AgentId(message.get("Room", ""))
                current = self._agent_legs.get(agent)
                if current is None:
                    return []
                self._to_hang_up.append(current)
                self._forget(self._legs[current])
                return [phone_gone(at, agent, _NOT_IN_ROOM)]
            case _:
                return []

    def _on_join(self, message: Message, now: float) -> list[SwitchEvent]:
        leg = self._legs.get(message.get("Uniqueid", ""))
        room = mapping.room_of(message)
        if leg is None or room is None:
            self._see_other(message, room)
            return []
        at = self._at(message, now)
        if leg.agent is not None:
            if leg.room == room or leg.agent != room:
                return []
            leg.room, leg.answered = room, True
            self._replace(leg)
            return [AgentPhoneUp(at=at, agent=room)]
        if leg.room == room and not leg.left_room:
            return []
        leg.room, leg.left_room = room, False
        return [*self._answered(leg, at), CallJoined(at=at, call=CallId(leg.uniqueid), agent=room)]

    def _on_leave(self, message: Message) -> list[SwitchEvent]:
        leg = self._legs.get(message.get("Uniqueid", ""))
        if leg is None:
            self._miss_other(message)
        elif leg.agent is None:
            leg.left_room = True
        return []

    def _see_other(self, message: Message, room: AgentId | None) -> None:
        uniqueid = message.get("Uniqueid", "")
        if room is not None and mapping.agent_of_leg(uniqueid) == room:
            self._others[room] = uniqueid, message.get("Channel", "")

    def _miss_other(self, message: Message) -> None:
        uniqueid = message.get("Uniqueid", "")
        agent = mapping.agent_of_leg(uniqueid)
        if agent is not None and self._others.get(agent, ("",))[0] == uniqueid:
            del self._others[agent]

    def _on_hangup_request(self, message: Message) -> list[SwitchEvent]:
        leg = self._legs.get(message.get("Uniqueid", ""))
        if leg is None:
            return []
        leg.exists = True
        leg.cause = leg.cause or mapping.cause_of(message)
        leg.sip_code = leg.sip_code or mapping.sip_code_of(message)
        if leg.agent is not None:
            self._agent_went(leg.agent)
        elif leg.by is None:
            leg.by = HungUpBy.CUSTOMER if leg.answered else HungUpBy.NETWORK
        return []

    def _on_hangup(self, message: Message, now: float) -> list[SwitchEvent]:
        uniqueid = message.get("Uniqueid", "")
        leg = self._legs.get(uniqueid)
        if leg is None:
            self._gone.pop(uniqueid, None)
            self._miss_other(message)
            return []
        if leg.agent is not None:
            self._agent_went(leg.agent)
        leg.exists = leg.hung = True
        leg.cause = mapping.cause_of(message) or leg.cause
        leg.cause_text = message.get("Cause-txt", "")
        leg.sip_code = mapping.sip_code_of(message) or leg.sip_code
        leg.ended_at = self._at(message, now)
        return self._finish_if_complete(leg, now)

    def _agent_went(self, agent: AgentId) -> None:
        """Who is in the room of an agent who hangs up is put out of it next, and did not choose to go."""
        for leg in self._legs.values():
            if leg.room == agent and leg.agent is None and leg.by is None:
                leg.by = HungUpBy.AGENT

    # ---- steps

    def _at(self, message: Message, now: float) -> float:
        return self._clock.local(message.get("Timestamp"), now)

    def _ringing(self, leg: _Leg, at: float) -> list[SwitchEvent]:
        if leg.rang or leg.answered or leg.hung:
            return []
        leg.rang = True
        return [CallRinging(at=at, call=CallId(leg.uniqueid))] if leg.agent is None else []

    def _early_media(self, leg: _Leg, at: float) -> list[SwitchEvent]:
        if leg.sounded or leg.rang or leg.answered or leg.hung:
            return []
        leg.sounded = True
        return [CallRinging(at=at, call=CallId(leg.uniqueid), alerting=False)] if leg.agent is None else []

    def _answered(self, leg: _Leg, at: float) -> list[SwitchEvent]:
        if leg.answered:
            return []
        leg.answered = True
        return [CallAnswered(at=at, call=CallId(leg.uniqueid))] if leg.agent is None else []

    def _wait(self, leg: _Leg, now: float) -> None:
        self._waiting.setdefault(leg.uniqueid, now + GRACE_S)

    def _finish_if_complete(self, leg: _Leg, now: float) -> list[SwitchEvent]:
        if not leg.hung:
            return []
        # An answer makes the result plain; without one the ring time-out stands in the other message.
        if leg.answered or leg.resulted:
            return self._finish(leg, now)
        self._wait(leg, now)
        return []

    def _finish(self, leg: _Leg, now: float) -> list[SwitchEvent]:
        current = self._forget(leg)
        at = leg.ended_at if leg.ended_at is not None else now
        if leg.agent is not None:
            if current and self._replace(leg):
                # Nobody hears the one before, either.
                self._agent_went(leg.agent)
            # The end of a leg that another has replaced is nobody's business.
            return [phone_gone(at, leg.agent, _why_gone(leg))] if current else []
        call = CallId(leg.uniqueid)
        if leg.failed and not leg.exists:
            return [OriginateFailed(at=at, call=call, reason=leg.failed)]
        if not leg.hung:
            # Asterisk said that it failed and made a channel, but the end of that was not heard of.
            self._to_hang_up.append(leg.uniqueid)
        if leg.by is None:
            leg.by = HungUpBy.DIALER if leg.answered else HungUpBy.NETWORK
        return [
            CallHungUp(at=at, call=call, cause=leg.cause, sip_code=leg.sip_code, timed_out=leg.timed_out, by=leg.by)
        ]

    def _replace(self, leg: _Leg) -> bool:
        """Have the leg before this one hung up, if it is there still."""
        before = self._legs.get(leg.replaces)
        if before is None:
            return False
        self._to_hang_up.append(before.uniqueid)
        self._forget(before)
        return True

    def _forget(self, leg: _Leg) -> bool:
        """Drop a leg; whether it was the one that its agent has."""
        self._legs.pop(leg.uniqueid, None)
        self._waiting.pop(leg.uniqueid, None)
        if leg.agent is None or self._agent_legs.get(leg.agent) != leg.uniqueid:
            return False
        del self._agent_legs[leg.agent]
        return True


def phone_gone(at: float, agent: AgentId, why: Saying) -> AgentPhoneGone:
    """The phone of an agent is gone, for this reason."""
    return AgentPhoneGone(at=at, agent=agent, reason=why.says, code=why.code, arguments=why.arguments)


def _why_gone(leg: _Leg) -> Saying:
    if leg.asked:
        return _BY_US
    if leg.answered:
        return _LAID_DOWN
    if leg.hung and leg.cause_text:
        says = f"the phone did not answer ({leg.cause_text})"
        return say(says, code="agent_phone_did_not_answer", cause=leg.cause_text)
    if leg.hung:
        return say("the phone did not answer", code="agent_phone_no_answer")
    return say(leg.failed, code="agent_phone_not_called", problem=leg.failed) if leg.failed else _NOT_CALLED
