"""One Asterisk server: commands become actions on one link, and what the other says becomes events.

An originate is written inside the call, or refused as a value, and never sent again by anybody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from random import Random

import structlog

from dialer.ami import Action, Message, actions
from dialer.core.commands import (
    Announce,
    CallAgent,
    CallMonitor,
    ChangeMonitor,
    Comfort,
    ConnectCall,
    EndComfort,
    FollowCall,
    HangUp,
    HangUpAgent,
    HangUpMonitor,
    Originate,
    PlayMessage,
    Record,
    SayGoodbye,
    StopAnnouncement,
)
from dialer.core.events import (
    MonitorPhoneGone,
    OriginateFailed,
    RecordingAnnounced,
    RecordingAnswered,
    ServerLost,
    SwitchEvent,
)
from dialer.core.ids import ServerName, valid_name
from dialer.core.monitor import MonitorMode
from dialer.core.recording import RecordingOrder, valid_recording_id
from dialer.core.saying import say
from dialer.errors import LocalProtocolError
from dialer.settings import Ami, Asterisk
from dialer.switch import announcements, comforts, mapping, recordings
from dialer.switch.link import Answer
from dialer.switch.links import Links
from dialer.switch.monitor_legs import MonitorLegs, leg_of_monitor
from dialer.switch.phone_keys import PhoneKeys
from dialer.switch.port import HandOver
from dialer.switch.stopping import Stopping
from dialer.switch.tracker import Tracker, phone_gone

_log = structlog.get_logger(__name__)

#: How long an agent's or a supervisor's phone may ring; the engine gives up a little later.
AGENT_RING_S = 25.0


class AsteriskServer:
    """Hands actions over to one server, and turns what it says into events."""

    def __init__(
        self,
        server: Asterisk,
        ami: Ami,
        *,
        deliver: Callable[[Iterable[SwitchEvent]], None],
        now: Callable[[], float],
        random: Random,
        node: str,
    ) -> None:
        """A server not connected yet; `links.run` does that.

        Args:
            server: where it is and how to log in.
            ami: driver, time-outs, limits.
            deliver: gets its events, in order.
            now: unix seconds.
            random: for the jitter of reconnects.
            node: whose connection this is.
        """
        self.name = ServerName(server.name)
        self._server = server
        self._deliver = deliver
        self._now = now
        self._trunks = {trunk.name: trunk for trunk in server.trunks}
        runs = mapping.runs_of(node)
        self._tracker = Tracker(self.name, runs)
        self._monitors = MonitorLegs()
        self._announcements = announcements.Announcements()
        self._comforts = comforts.Comforts()
        # Legs of agents must not be mistaken for those of an earlier process of ours.
        self._run_id = f"{runs}{random.getrandbits(48):012x}"
        self._phone_keys = PhoneKeys(self._run_id)
        self._agent_legs = 0
        self._timer: asyncio.TimerHandle | None = None
        self._answer_timeout_s = ami.action_timeout_s
        self.links = Links(
            server,
            ami,
            random=random,
            on_channels=self._on_channels,
            on_event=self._on_event,
            on_over=self._on_over,
        )
        self._stopping = Stopping(self.links, deliver=deliver, now=now)

    # ---- commands

    def originate(self, command: Originate, now: float) -> HandOver:
        """Hand a call over, now, or say why not."""
        permit = command.permit
        trunk = self._trunks.get(command.trunk)
        if trunk is None:
            says = f"Asterisk server {self.name!r} has no trunk {command.trunk!r} in the settings"
            self.links.set_problem(say(says, code="server_no_trunk", server=self.name, trunk=command.trunk))
            return HandOver.NOT_CONNECTED
        if not permit.valid(now):
            return HandOver.PERMIT_EXPIRED
        if self._stopping.is_near:
            return HandOver.STOPPING
        variables = {"CADENCIA_CALL": str(permit.call)}
        if command.machine_detection:
            variables["CADENCIA_AMD"] = command.machine_detection
        try:
            action = actions.originate(
                mapping.dial_number(trunk.dial, permit.phone),
                context=mapping.CONTEXT_WAIT if command.machine_detection is None else mapping.CONTEXT_DETECT,
                exten="s",
                channel_id=permit.call,
                timeout_s=command.outer_limit_s,
                caller=actions.caller_id("", command.caller_id) if command.caller_id else None,
                variables=variables,
            )
        except LocalProtocolError as error:
            says = f"Asterisk server {self.name!r}, trunk {command.trunk!r}: {error}"
            told = say(says, code="server_trunk", server=self.name, trunk=command.trunk, problem=str(error))
            self.links.set_problem(told)
            return HandOver.NOT_CONNECTED
        handed = self._hand_over(action, permit.call)
        if handed is HandOver.HANDED_OVER:
            self._tracker.originated(permit.call)
        return handed

    def call_agent(self, command: CallAgent) -> HandOver:
        """Call an agent's phone into the agent's room; one that is there from before stays."""
        self._agent_legs += 1
        leg = mapping.agent_leg_id(command.agent, self._run_id, self._agent_legs)
        try:
            dialed = mapping.dial_phone(self._server.agent_dial, command.phone)
            if self.links.connected:
                there = self._tracker.adopt(command.agent, dialed, self._now())
                self._emit(there)
                if there:
                    return HandOver.HANDED_OVER
            action = actions.originate(
                dialed,
                context=mapping.CONTEXT_AGENT,
                exten=command.agent,
                channel_id=leg,
                timeout_s=AGENT_RING_S,
            )
        except LocalProtocolError as error:
            # Not the server's fault: this phone's name cannot be dialed, now or later.
            why = say(f"cannot be dialed: {error}", code="agent_phone_undialable", problem=str(error))
            self._deliver([phone_gone(self._now(), command.agent, why)])
            return HandOver.NOT_CONNECTED
        handed = self._hand_over(action, leg)
        if handed is HandOver.HANDED_OVER:
            self._tracker.agent_called(command.agent, leg)
        return handed

    def call_monitor(self, command: CallMonitor) -> None:
        """Call a supervisor's phone and let it hear an agent's leg."""
        spied = self._tracker.leg_of(command.agent)
        link = self.links.writable
        if spied is None or not self.links.connected or link is None:
            self._monitor_gone(command, "the agent's phone is gone" if spied is None else "the server is not connected")
            return

        def answered(answer: Answer) -> None:
            if answer.message is not None and not answer.ok:
                said = answer.message.get("Message", "refused")
                self._emit(self._monitors.refused(command.monitor, said, self._now()))

        leg = leg_of_monitor(command.monitor)
        try:
            action = actions.originate(
                mapping.dial_phone(self._server.agent_dial, command.extension),
                context=mapping.CONTEXT_MONITOR,
                exten=MonitorMode.LISTEN,
                channel_id=leg,
                timeout_s=AGENT_RING_S,
                variables={mapping.SPIED_VARIABLE: spied},
            )
            link.send(action, leg, answered)
        except LocalProtocolError as error:
            self._monitor_gone(command, f"cannot be dialed: {error}")
            return
        self._monitors.called(command.monitor)

    def _monitor_gone(self, command: CallMonitor, reason: str) -> None:
        self._deliver([MonitorPhoneGone(at=self._now(), monitor=command.monitor, reason=reason)])

    def change_monitor(self, command: ChangeMonitor) -> None:
        """Send a supervisor through the dialplan once more, to another extension or for another agent."""
        leg, spied = leg_of_monitor(command.monitor), self._tracker.leg_of(command.agent)
        if spied is None:
            return  # what becomes of the agent's leg ends the session
        # In this order: one connection carries them.
        self.links.send(actions.setvar(leg, mapping.SPIED_VARIABLE, spied))
        self.links.send(actions.setvar(leg, mapping.ROOM_VARIABLE, command.agent))
        self.links.send(actions.redirect(leg, context=mapping.CONTEXT_MONITOR, exten=command.mode))

    def hang_up_monitor(self, command: HangUpMonitor) -> None:
        """End a supervisor's leg."""
        self._monitors.hang_up_asked(command.monitor)
        self._stopping.end_channel(leg_of_monitor(command.monitor))

    def hang_up(self, command: HangUp) -> None:
        """Ask for the end of a customer's channel."""
        self._tracker.hang_up_asked(command.call)
        self._stopping.end_channel(command.call)

    def follow(self, command: FollowCall) -> None:
        """Follow a channel that another process began."""
        self._tracker.follow(command.call)
        link = self.links.writable
        if link is None:
            return  # the list of channels that comes with the connection will tell

        def answered(answer: Answer) -> None:
            if answer.message is not None and not answer.ok:
                self._emit(self._tracker.not_there(command.call, self._now()))

        # It says whose it is by now, and is refused where there is no such channel.
        link.send(actions.setvar(command.call, mapping.NODE_VARIABLE, self._run_id), None, answered)

    def hang_up_agent(self, command: HangUpAgent) -> None:
        """End an agent's leg, where there is one, and one that is to replace it."""
        for leg in self._tracker.legs_of(command.agent):
            self._tracker.hang_up_asked(leg)
            self._stopping.end_channel(leg)

    def connect_call(self, command: ConnectCall) -> None:
        """Move a customer into an agent's room."""
        channel = self._tracker.channel(command.call)
        if command.recording is not None and valid_recording_id(command.recording):
            self.links.send(actions.setvar(channel, mapping.RECORD_VARIABLE, command.recording))
        self.links.send(actions.redirect(channel, context=mapping.CONTEXT_CONNECT, exten=command.agent))

    def play_message(self, command: PlayMessage) -> None:
        """Play a message to a customer and hang up."""
        channel = self._tracker.channel(command.call)
        # The dialplan has an apology of its own for sounds that it cannot find.
        sound = command.message if valid_name(command.message) else "default"
        # Always, since a call that was offered a key once must not keep it. One connection carries both, in this order.
        self.links.send(actions.setvar(channel, mapping.KEY_VARIABLE, command.opt_out_key))
        self.links.send(actions.redirect(channel, context=mapping.CONTEXT_MESSAGE, exten=sound))

    def say_goodbye(self, command: SayGoodbye) -> None:
        """Tell somebody who has objected that it is done, and hang up."""
        channel = self._tracker.channel(command.call)
        self.links.send(actions.redirect(channel, context=mapping.CONTEXT_GOODBYE, exten="s"))

    async def set_phone_key(self, phone: str, key: str, realm: str) -> str:
        """Let a browser's phone register with this password and no other from now on; why not, or nothing."""
        link = self.links.writable
        if not self.links.connected or link is None:
            return "the server is not connected"
        try:
            asked, action, waiting = self._phone_keys.ask(phone, key, realm)
        except LocalProtocolError as error:
            return str(error)

        def answered(answer: Answer) -> None:
            if answer.message is not None and not answer.ok:
                self._phone_keys.refused(asked, answer.message.get("Message", "refused"))

        try:
            link.send(action, asked, answered)
            async with asyncio.timeout(self._answer_timeout_s):
                return await waiting
        except LocalProtocolError as error:
            return str(error)
        except TimeoutError:
            return "the server did not confirm it"
        finally:
            self._phone_keys.forget(asked)

    def record(self, command: Record) -> None:
        """Change the recording of a customer's channel, which holds both sides of the talk."""

        def answered(answer: Answer) -> None:
            if answer.ok and command.order is RecordingOrder.START:
                return  # it has been sent to the dialplan, which will say so
            said = answer.problem if answer.message is None else answer.message.get("Message", "refused")
            self._recording_answered(command, "" if answer.ok else said, certain=answer.message is not None)

        link = self.links.writable
        if link is None:
            self._recording_answered(command, "the server is not connected", certain=True)
            return
        try:
            *before, last = recordings.actions_for(command, self._tracker.channel(command.call))
            for action in before:
                link.send(action)
            link.send(last, None, answered)
        except LocalProtocolError as error:
            self._recording_answered(command, str(error), certain=True)

    def announce(self, command: Announce) -> None:
        """Let those in a room hear that they are about to be recorded."""

        def answered(answer: Answer) -> None:
            if answer.message is not None and not answer.ok:
                said = answer.message.get("Message", "refused")
                self._emit(self._announcements.failed(leg, said, self._now()))

        leg = announcements.leg_of_announcement(command.recording)
        link = self.links.writable
        problem = ""
        if not self.links.connected or link is None:
            problem = "the server is not connected"
        else:
            try:
                link.send(announcements.action_for(command), leg, answered)
                self._announcements.began(command)
            except LocalProtocolError as error:
                problem = str(error)
        if problem:
            told = RecordingAnnounced(at=self._now(), call=command.call, recording=command.recording, problem=problem)
            self._deliver([told])

    def stop_announcement(self, command: StopAnnouncement) -> None:
        """Break an announcement off; one that is over is no error."""
        self._stopping.end_channel(announcements.leg_of_announcement(command.recording))

    def comfort(self, command: Comfort) -> None:
        """Let a customer hear that they are not forgotten."""
        if self._comforts.goes_on(command.call):
            return
        leg = comforts.leg_of_comfort(command.call)

        def answered(answer: Answer) -> None:
            if answer.message is not None and not answer.ok:
                self._hang_up_comfort(self._comforts.refused(leg))
                _log.warning("comfort_refused", server=self.name, reason=answer.message.get("Message", "refused"))

        link = self.links.writable
        if not self.links.connected or link is None:
            return
        try:
            link.send(comforts.action_for(command), leg, answered)
        except LocalProtocolError as error:
            _log.warning("action_not_sent", server=self.name, action="Originate", reason=str(error))
        else:
            self._comforts.began(command.call)

    def end_comfort(self, command: EndComfort) -> None:
        """They are talked with again."""
        self._hang_up_comfort(self._comforts.ended(command.call))

    def _hang_up_comfort(self, leg: str | None) -> None:
        if leg is not None:
            self._stopping.end_channel(leg)

    def _recording_answered(self, command: Record, problem: str, *, certain: bool) -> None:
        self._deliver(
            [
                RecordingAnswered(
                    at=self._now(),
                    call=command.call,
                    recording=command.recording,
                    order=command.order,
                    problem=problem,
                    certain=certain,
                )
            ]
        )

    def _hand_over(self, action: Action, uniqueid: str) -> HandOver:
        link = self.links.writable
        if not self.links.connected or link is None:
            return HandOver.NOT_CONNECTED
        if link.congested:
            return HandOver.BACKPRESSURE

        def answered(answer: Answer) -> None:
            # Only a plain refusal says that no phone rings. Without an answer nobody knows: channels will tell.
            if answer.message is not None and not answer.ok:
                self._stopping.heed(answer)
                refused = self._tracker.refused(uniqueid, answer.message.get("Message", "refused"), self._now())
                self._emit([self._excused(event) for event in refused] if answer.stopping else refused)

        try:
            link.send(action, uniqueid, answered)
        except LocalProtocolError as error:
            _log.error("originate_not_sent", server=self.name, call=uniqueid, reason=str(error))
            return HandOver.NOT_CONNECTED
        return HandOver.HANDED_OVER

    @staticmethod
    def _excused(event: SwitchEvent) -> SwitchEvent:
        # Only what was refused in so many words has certainly not been dialed, and may be tried as if nothing had been.
        return replace(event, stopping=True) if isinstance(event, OriginateFailed) else event

    # ---- events

    def _on_channels(self, rows: Sequence[Message]) -> None:
        missed = self._monitors.snapshot(rows, self._now())
        self._emit([*self._tracker.snapshot(rows, self._now()), *missed])

    def _on_event(self, message: Message) -> None:
        now = self._now()
        self._phone_keys.handle(message)
        self._hang_up_comfort(self._comforts.handle(message))
        self._emit(
            [
                *self._tracker.handle(message, now),
                *self._monitors.handle(message, now),
                *self._announcements.handle(message, now),
            ]
        )

    def _on_over(self, was_connected: bool) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._stopping.over()
        self._announcements.forget()
        self._comforts.forget()
        if was_connected:
            why = self.links.problem or say("closed", code="server_closed")
            lost = ServerLost(at=self._now(), server=self.name, reason=why.says, code=why.code, arguments=why.arguments)
            self._deliver([lost])

    def _wake(self) -> None:
        self._timer = None
        self._emit(self._tracker.handle_timer(self._now()))

    def _emit(self, events: list[SwitchEvent]) -> None:
        for uniqueid in [*self._tracker.take_hang_ups(), *self._monitors.take_hang_ups()]:
            self._stopping.end_channel(uniqueid)
        if events:
            self._deliver(events)
        deadline = self._tracker.next_deadline()
        if deadline is not None and self._timer is None and self.links.connected:
            delay = max(0.0, deadline - self._now())
            self._timer = asyncio.get_running_loop().call_later(delay, self._wake)
