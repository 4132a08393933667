"""One Asterisk server: two connections, kept up for ever, and what they carry.

Actions go over a connection of their own (``Events: off``), because Asterisk serves each connection with one thread: on
one that also carries events, actions were seen to queue for seconds at 200 calls/s. The other one carries events.

After every (re)connect the server is asked which channels exist, over the *events* connection: there the list stands in
one order with the events, so no hang-up can come before the list that still has its channel.

An originate is written inside the call, or refused as a value, and never sent again by anybody.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
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
    ServerTakesCalls,
    SwitchEvent,
)
from dialer.core.ids import ServerName, valid_name
from dialer.core.monitor import MonitorMode
from dialer.core.recording import RecordingOrder, valid_recording_id
from dialer.core.saying import NOTHING, Saying, of_error, say
from dialer.errors import LocalProtocolError, SwitchError
from dialer.settings import Ami, Asterisk
from dialer.switch import announcements, comforts, mapping, native, pyst2, recordings
from dialer.switch.backoff import Backoff
from dialer.switch.link import Answer, Link
from dialer.switch.monitor_legs import MonitorLegs, leg_of_monitor
from dialer.switch.phone_keys import PhoneKeys
from dialer.switch.port import HandOver, ServerStatus
from dialer.switch.tracker import Tracker, phone_gone

_log = structlog.get_logger(__name__)

#: Classes of events that the tracker reads; manager.conf should allow no more.
EVENT_CLASSES = "call,user"
#: After a read the next one waits for up to so long. Asterisk writes each event by itself: without this a call would be
#: a dozen wake-ups, each of which finds cold caches and costs more than its event. Nobody hears 20 ms before "hello".
EVENTS_REST_S = 0.02
#: Of answers to actions only refusals mean anything, and nobody waits for those.
ACTIONS_REST_S = 0.1
#: How long an agent's or a supervisor's phone may ring; the engine gives up a little later.
AGENT_RING_S = 25.0
#: A connection that held this long was a good one: the next failure is the first.
_GOOD_AFTER_S = 30.0
#: A list of ten thousand channels takes Asterisk a second or two.
_SNAPSHOT_TIMEOUT_S = 30.0
#: A server that does not say goodbye by then is left without one.
_LOG_OFF_S = 2.0
#: A hang-up that was refused because Asterisk is shutting down is asked for again after so long: the shutting down may
#: take hours, or be called off, and who was to be hung up would be in their room for ever.
_HANG_UP_AGAIN_S = 2.0
#: … and whether it was called off is asked for as often.
_STAYS_AGAIN_S = 2.0


class AsteriskServer:
    """Keeps one server connected, hands actions over, and turns what it says into events."""

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
        """A server not connected yet; `run` does that.

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
        self._ami = ami
        self._deliver = deliver
        self._now = now
        self._trunks = {trunk.name: trunk for trunk in server.trunks}
        runs = mapping.runs_of(node)
        self._tracker = Tracker(self.name, runs)
        self._monitors = MonitorLegs()
        self._announcements = announcements.Announcements()
        self._comforts = comforts.Comforts()
        self._backoff = Backoff(shortest_s=ami.reconnect_min_s, longest_s=ami.reconnect_max_s, random=random)
        # Legs of agents must not be mistaken for those of an earlier process of ours.
        self._run_id = f"{runs}{random.getrandbits(48):012x}"
        self._phone_keys = PhoneKeys(self._run_id)
        self._agent_legs = 0
        self._actions: Link | None = None
        self._events: Link | None = None
        self._connected = False
        self._closing = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._hang_up_timer: asyncio.TimerHandle | None = None
        self._refused_hang_ups: set[str] = set()
        self._stays_timer: asyncio.TimerHandle | None = None
        self._stopping = False
        self._paused = False
        self._version = ""
        self._problem = say("not connected yet", code="server_not_yet")
        self._reconnects = 0
        self._round_trip_s: float | None = None

    # ---- life

    async def run(self) -> None:
        """Connect, and connect again whenever that is lost, until `close`."""
        loop = asyncio.get_running_loop()
        while not self._closing.is_set():
            began = loop.time()
            hopeless = False
            try:
                await self._session_until_closing()
            except SwitchError as error:
                hopeless = not error.retryable
                self._set_problem(of_error(error))
            if self._closing.is_set():
                break
            if loop.time() - began >= _GOOD_AFTER_S:
                self._backoff.reset()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), self._backoff.failed(hopeless=hopeless))
            self._reconnects += 1

    async def close(self) -> None:
        """End the session, log off. Calls go on in Asterisk."""
        self._closing.set()
        links = [link for link in (self._actions, self._events) if link is not None]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LOG_OFF_S):
                await asyncio.gather(*(link.close() for link in links))
        for link in links:
            link.abort()

    def flow(self, go: bool) -> None:
        """Whether events may be read now; the engine is behind where they may not."""
        self._paused = not go
        if self._events is not None:
            if go:
                self._events.resume_reading()
            else:
                self._events.pause_reading()

    def status(self) -> ServerStatus:
        """How it is doing."""
        for link in (self._actions, self._events):
            if link is not None and link.round_trip_s is not None:
                self._round_trip_s = link.round_trip_s
                break
        return ServerStatus(
            server=self.name,
            connected=self._connected,
            version=self._version if self._connected else "",
            problem=self._problem.says,
            code=self._problem.code,
            arguments=self._problem.arguments,
            reconnects=self._reconnects,
            round_trip_s=self._round_trip_s,
        )

    async def _session_until_closing(self) -> None:
        session = asyncio.ensure_future(self._session())
        closing = asyncio.ensure_future(self._closing.wait())
        try:
            await asyncio.wait({session, closing}, return_when=asyncio.FIRST_COMPLETED)
            if self._connected:
                # `close` logs off; that ends the session, or the time-out of the log-off does.
                await asyncio.wait({session})
        finally:
            session.cancel()
            closing.cancel()
            await asyncio.wait({session, closing})
        if not session.cancelled():
            session.result()

    async def _session(self) -> None:
        connect = pyst2.connect if self._ami.driver == "pyst2" else native.connect
        links: list[Link] = []
        try:
            self._events = events = Link(
                server=self._server,
                ami=self._ami,
                events=EVENT_CLASSES,
                on_message=self._on_event,
                rest_s=EVENTS_REST_S,
            )
            links.append(events)
            await connect(events, self._server)
            await events.opened()
            self._actions = acts = Link(server=self._server, ami=self._ami, events="off", rest_s=ACTIONS_REST_S)
            links.append(acts)
            await connect(acts, self._server)
            await acts.opened()
            settings = await acts.ask(actions.core_settings())
            if settings.ok and settings.message is not None:
                self._version = settings.message.get("AsteriskVersion", "")
            await self._see_dialplan(acts)
            await self._take_snapshot(events)
            ended = await self._until_one_is_over(events, acts)
            if not self._closing.is_set():
                says = f"Asterisk server {self.name!r}: {ended}"
                self._set_problem(say(says, code="server_lost", server=self.name, problem=ended))
        except LocalProtocolError as error:
            # The connection went between one step and the next.
            raise SwitchError(f"Asterisk server {self.name!r}: {error}") from error
        finally:
            self._disconnected()
            for link in links:
                link.abort()
            self._events = self._actions = None

    async def _see_dialplan(self, acts: Link) -> None:
        """Asterisk lets us in half a second before it has loaded its dialplan, and until then refuses every call."""
        answer = await acts.ask(actions.show_dialplan(mapping.CONTEXT_AGENT))
        said = answer.message.get("Message", "") if answer.message is not None else ""
        if said.startswith("Did not find context"):
            raise SwitchError(
                f"Asterisk server {self.name!r} has no context {mapping.CONTEXT_AGENT}: it is still starting, or "
                "config/asterisk/extensions.conf is not installed",
                code="server_no_dialplan",
                server=self.name,
                context=mapping.CONTEXT_AGENT,
            )

    async def _take_snapshot(self, events: Link) -> None:
        found: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

        def take(answer: Answer) -> None:
            # Inside the reading of the list's last message: what comes after it meets a tracker that has the list.
            if answer.ok:
                rows = [row for row in answer.events if row.event == "CoreShowChannel"]
                self._connected, self._problem = True, NOTHING
                _log.info("asterisk_connected", server=self.name, version=self._version, channels=len(rows))
                missed = self._monitors.snapshot(rows, self._now())
                self._emit([*self._tracker.snapshot(rows, self._now()), *missed])
            if not found.done():
                found.set_result(answer)

        events.send(actions.core_show_channels(), None, take, timeout_s=_SNAPSHOT_TIMEOUT_S)
        answer = await found
        if not answer.ok:
            said = answer.problem or (answer.message.get("Message", "") if answer.message is not None else "")
            raise SwitchError(
                f"Asterisk server {self.name!r} does not list its channels: {said}. The manager.conf section "
                f"[{self._server.username}] needs write = originate,call,reporting",
                code="server_no_channels",
                server=self.name,
                user=self._server.username,
                problem=said,
            )
        if self._paused:
            events.pause_reading()

    async def _until_one_is_over(self, events: Link, acts: Link) -> str:
        waits = [asyncio.ensure_future(link.over()) for link in (events, acts)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            return next(wait.result() for wait in waits if wait.done())
        finally:
            for wait in waits:
                wait.cancel()

    def _disconnected(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._hang_up_timer is not None:
            self._hang_up_timer.cancel()
            self._hang_up_timer = None
        self._refused_hang_ups.clear()
        self._stays()
        self._announcements.forget()
        self._comforts.forget()
        if self._connected:
            self._connected = False
            _log.warning("asterisk_lost", server=self.name, reason=self._problem.says)
            why = self._problem or say("closed", code="server_closed")
            lost = ServerLost(at=self._now(), server=self.name, reason=why.says, code=why.code, arguments=why.arguments)
            self._deliver([lost])

    def _set_problem(self, problem: Saying) -> None:
        if problem != self._problem:
            _log.warning("asterisk_problem", server=self.name, problem=problem.says)
        self._problem = problem

    # ---- commands

    def originate(self, command: Originate, now: float) -> HandOver:
        """Hand a call over, now, or say why not."""
        permit = command.permit
        trunk = self._trunks.get(command.trunk)
        if trunk is None:
            says = f"Asterisk server {self.name!r} has no trunk {command.trunk!r} in the settings"
            self._set_problem(say(says, code="server_no_trunk", server=self.name, trunk=command.trunk))
            return HandOver.NOT_CONNECTED
        if not permit.valid(now):
            return HandOver.PERMIT_EXPIRED
        if self._stopping:
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
            self._set_problem(told)
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
            if self._connected:
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
        link = self._actions
        if spied is None or not self._connected or link is None or not link.ready:
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
        self._send(actions.setvar(leg, mapping.SPIED_VARIABLE, spied))
        self._send(actions.setvar(leg, mapping.ROOM_VARIABLE, command.agent))
        self._send(actions.redirect(leg, context=mapping.CONTEXT_MONITOR, exten=command.mode))

    def hang_up_monitor(self, command: HangUpMonitor) -> None:
        """End a supervisor's leg."""
        self._monitors.hang_up_asked(command.monitor)
        self._end_channel(leg_of_monitor(command.monitor))

    def hang_up(self, command: HangUp) -> None:
        """Ask for the end of a customer's channel."""
        self._tracker.hang_up_asked(command.call)
        self._end_channel(command.call)

    def follow(self, command: FollowCall) -> None:
        """Follow a channel that another process began."""
        self._tracker.follow(command.call)
        link = self._actions
        if link is None or not link.ready:
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
            self._end_channel(leg)

    def connect_call(self, command: ConnectCall) -> None:
        """Move a customer into an agent's room."""
        channel = self._tracker.channel(command.call)
        if command.recording is not None and valid_recording_id(command.recording):
            self._send(actions.setvar(channel, mapping.RECORD_VARIABLE, command.recording))
        self._send(actions.redirect(channel, context=mapping.CONTEXT_CONNECT, exten=command.agent))

    def play_message(self, command: PlayMessage) -> None:
        """Play a message to a customer and hang up."""
        channel = self._tracker.channel(command.call)
        # The dialplan has an apology of its own for sounds that it cannot find.
        sound = command.message if valid_name(command.message) else "default"
        # Always, since a call that was offered a key once must not keep it. One connection carries both, in this order.
        self._send(actions.setvar(channel, mapping.KEY_VARIABLE, command.opt_out_key))
        self._send(actions.redirect(channel, context=mapping.CONTEXT_MESSAGE, exten=sound))

    def say_goodbye(self, command: SayGoodbye) -> None:
        """Tell somebody who has objected that it is done, and hang up."""
        channel = self._tracker.channel(command.call)
        self._send(actions.redirect(channel, context=mapping.CONTEXT_GOODBYE, exten="s"))

    async def set_phone_key(self, phone: str, key: str, realm: str) -> str:
        """Let a browser's phone register with this password and no other from now on; why not, or nothing."""
        link = self._actions
        if not self._connected or link is None or not link.ready:
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
            async with asyncio.timeout(self._ami.action_timeout_s):
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

        link = self._actions
        if link is None or not link.ready:
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
        link = self._actions
        problem = ""
        if not self._connected or link is None or not link.ready:
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
        self._end_channel(announcements.leg_of_announcement(command.recording))

    def comfort(self, command: Comfort) -> None:
        """Let a customer hear that they are not forgotten."""
        if self._comforts.goes_on(command.call):
            return
        leg = comforts.leg_of_comfort(command.call)

        def answered(answer: Answer) -> None:
            if answer.message is not None and not answer.ok:
                self._hang_up_comfort(self._comforts.refused(leg))
                _log.warning("comfort_refused", server=self.name, reason=answer.message.get("Message", "refused"))

        link = self._actions
        if not self._connected or link is None or not link.ready:
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
            self._end_channel(leg)

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
        link = self._actions
        if not self._connected or link is None or not link.ready:
            return HandOver.NOT_CONNECTED
        if link.congested:
            return HandOver.BACKPRESSURE

        def answered(answer: Answer) -> None:
            # Only a plain refusal says that no phone rings. Without an answer nobody knows: channels will tell.
            if answer.message is not None and not answer.ok:
                self._heed(answer)
                refused = self._tracker.refused(uniqueid, answer.message.get("Message", "refused"), self._now())
                self._emit([self._excused(event) for event in refused] if answer.stopping else refused)

        try:
            link.send(action, uniqueid, answered)
        except LocalProtocolError as error:
            _log.error("originate_not_sent", server=self.name, call=uniqueid, reason=str(error))
            return HandOver.NOT_CONNECTED
        return HandOver.HANDED_OVER

    def _end_channel(self, uniqueid: str) -> None:
        """Ask for a channel's end, again and again where Asterisk takes no action because it is about to stop."""

        def answered(answer: Answer) -> None:
            if not answer.stopping:
                return
            self._heed(answer)
            self._refused_hang_ups.add(uniqueid)
            if self._hang_up_timer is None:
                loop = asyncio.get_running_loop()
                self._hang_up_timer = loop.call_later(_HANG_UP_AGAIN_S, self._hang_up_again)

        self._send(actions.hangup(uniqueid), answered)

    def _hang_up_again(self) -> None:
        self._hang_up_timer = None
        refused, self._refused_hang_ups = self._refused_hang_ups, set()
        for uniqueid in refused:
            self._end_channel(uniqueid)

    def _heed(self, answer: Answer) -> None:
        """Offer no calls to a server that is about to stop, until it says otherwise or is gone."""
        if not answer.stopping or self._stopping or not self._connected:
            return
        self._stopping = True
        says = f"Asterisk server {self.name!r} is about to stop and takes no calls; those that it has go on"
        self._set_problem(say(says, code="server_stopping", server=self.name))
        self._deliver([ServerTakesCalls(at=self._now(), server=self.name, takes=False)])
        self._ask_whether_it_stays()

    @staticmethod
    def _excused(event: SwitchEvent) -> SwitchEvent:
        # Only what was refused in so many words has certainly not been dialed, and may be tried as if nothing had been.
        return replace(event, stopping=True) if isinstance(event, OriginateFailed) else event

    def _ask_whether_it_stays(self) -> None:
        def answered(answer: Answer) -> None:
            if answer.ok and self._stopping:
                self._stays()
                self._problem = NOTHING
                _log.info("asterisk_takes_calls_again", server=self.name)
                self._deliver([ServerTakesCalls(at=self._now(), server=self.name, takes=True)])

        self._stays_timer = asyncio.get_running_loop().call_later(_STAYS_AGAIN_S, self._ask_whether_it_stays)
        self._send(actions.ping(), answered)

    def _stays(self) -> None:
        self._stopping = False
        if self._stays_timer is not None:
            self._stays_timer.cancel()
            self._stays_timer = None

    def _send(self, action: Action, answered: Callable[[Answer], None] | None = None) -> None:
        """Hand over an action whose effect comes as events; where it cannot be sent, a snapshot will come instead."""
        if self._actions is None or not self._actions.ready:
            return
        try:
            self._actions.send(action, None, answered)
        except LocalProtocolError as error:
            _log.warning("action_not_sent", server=self.name, action=action.name, reason=str(error))

    # ---- events

    def _on_event(self, message: Message) -> None:
        # Before the list of channels has come there is nothing to compare with: it will hold what these events say.
        if self._connected:
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

    def _wake(self) -> None:
        self._timer = None
        self._emit(self._tracker.handle_timer(self._now()))

    def _emit(self, events: list[SwitchEvent]) -> None:
        for uniqueid in [*self._tracker.take_hang_ups(), *self._monitors.take_hang_ups()]:
            self._end_channel(uniqueid)
        if events:
            self._deliver(events)
        deadline = self._tracker.next_deadline()
        if deadline is not None and self._timer is None and self._connected:
            delay = max(0.0, deadline - self._now())
            self._timer = asyncio.get_running_loop().call_later(delay, self._wake)
