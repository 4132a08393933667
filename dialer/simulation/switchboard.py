"""The exchange without its wires: calls, rooms and a dialplan, on a clock that is handed in.

It does what Asterisk 22 does with the files of ``config/asterisk``, in the order of events of recorded transcripts
(``tests/data/ami``); where Asterisk's own threads put events in one order or another, so does this, by the uniform
numbers of the call's fate. Events go to `publish` as text, already worded for the wire.

Each channel has exactly one timer; whatever happens to it makes the former one void.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import math
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import Final

from dialer.simulation.channels import Channel, ChannelState, EventClass, Phase, Room, spy_block
from dialer.simulation.dialplan import (
    ANNOUNCEMENT_S,
    COMFORT_S,
    COMFORTER,
    FIRST,
    GOODBYE_S,
    KEY_AFTER_S,
    LOCAL,
    MODES,
    NAME,
    NAMED,
    OPT_OUT_WAIT_S,
    PROFILES,
    REFUSALS,
    START,
    UNNAMED,
    WAIT_LIMIT_S,
)
from dialer.simulation.event_writer import EventWriter, Publish
from dialer.simulation.faults import Faults
from dialer.simulation.records import CallRecord, Counts, OriginateRequest
from dialer.simulation.tape import Tape
from dialer.simulation.world import Fate, Reaction, World, between, place_of

_PHONE: Final = Fate(reaction=Reaction.PERSON, rings=False)
_NO_PHONE: Final = Fate(reaction=Reaction.SILENT, rings=False)
#: From the action to the channel (0.5 to 2 ms measured), and from the answer or a Redirect to the dialplan's step.
_SETUP_S: Final = (0.0005, 0.0015)
_STEP_S: Final = (0.0003, 0.0012)

#: Numbers whose attempts are counted; the oldest are forgotten, and begin at their first again.
_REMEMBERED_NUMBERS: Final = 1_000_000

Step = Callable[[Channel, float], None]


class Switchboard:
    """Calls, rooms and dialplan. All methods take `now`, the scheduler's clock in seconds."""

    def __init__(
        self,
        world: World,
        *,
        clock: Callable[[], float],
        publish: Publish,
        faults: Faults,
        system_name: str = "pbx",
        trunks: Collection[str] | None = None,
        phones: Collection[str] | None = None,
        log_limit: int = 100_000,
        recordings: Path | None = None,
    ) -> None:
        """An empty switchboard.

        Args:
            world: who is called.
            clock: unix seconds, for the stamps of events.
            publish: gets every event: class, name, text.
            faults: may be changed at any time.
            system_name: of asterisk.conf.
            trunks: names of endpoints that lead out; None: any.
            phones: names of endpoints that are agents' phones; None: any.
            log_limit: records that `log` keeps.
            recordings: folder in which recordings are written; None: they are not.
        """
        self.world = world
        self.faults = faults
        #: Every originate received, oldest first.
        self.log: deque[CallRecord] = deque(maxlen=log_limit)
        self.counts = Counts()
        self.channels: dict[str, Channel] = {}
        self.rooms: dict[str, Room] = {}
        self._recordings = recordings
        self._clock = clock
        self._tell = EventWriter(publish, clock=clock, system_name=system_name)
        self._trunks = trunks
        self._phones = phones
        self._by_uniqueid: dict[str, Channel] = {}
        #: Those at the ear of a customer, by the customer's Uniqueid.
        self._comforters: dict[str, Channel] = {}
        self._waiting: Room | None = None
        self._timers: list[tuple[float, int, int, Channel, Step]] = []
        self._sequence = itertools.count()
        self._serial = itertools.count()
        self._bridges = itertools.count(1)
        self._attempts: dict[str, int] = {}

    @property
    def system_name(self) -> str:
        """Of asterisk.conf."""
        return self._tell.system_name

    def mute(self, names: frozenset[str]) -> None:
        """Nobody wants the events with these names, so they need not be worded."""
        self._tell.muted = names

    # ---- time

    def next_deadline(self) -> float | None:
        """When `advance` has something to do."""
        timers = self._timers
        while timers and timers[0][2] != timers[0][3].epoch:
            heapq.heappop(timers)
        return timers[0][0] if timers else None

    def advance(self, now: float) -> None:
        """Do what is due at `now`."""
        timers = self._timers
        while timers and timers[0][0] <= now:
            _, _, epoch, channel, step = heapq.heappop(timers)
            if epoch == channel.epoch:
                step(channel, now)

    def _after(self, channel: Channel, due: float, step: Step) -> None:
        channel.epoch += 1
        if due != math.inf:
            heapq.heappush(self._timers, (due, next(self._sequence), channel.epoch, channel, step))

    # ---- actions

    def knows(self, context: str, exten: str) -> bool:
        """Whether the dialplan has this extension."""
        if context in START:
            return exten == "s"
        if context == "cadencia-monitor":
            return exten in MODES
        return context in NAMED and FIRST.match(exten) is not None

    def find(self, name: str) -> Channel | None:
        """The channel with this name or Uniqueid."""
        return self.channels.get(name) or self._by_uniqueid.get(name)

    def originate(self, request: OriginateRequest, now: float) -> CallRecord | None:
        """Begin a call; whatever comes of it comes as events."""
        if request.endpoint in LOCAL:
            self._call_nobody(request, now)
            return None
        attempt = 0
        if not request.is_agent:
            attempt = self._attempts.get(request.number, 0) + 1
        record = CallRecord(
            at=self._clock(),
            call=request.channel_id or request.action_id,
            number=request.number,
            trunk="" if request.is_agent else request.endpoint,
            is_agent=request.is_agent,
            attempt=attempt,
        )
        self.log.append(record)
        self.counts.originates += 1
        fate = self._fate(request, attempt)
        known = self._phones if request.is_agent else self._trunks
        # An endpoint with a slash is of another technology than PJSIP.
        reachable = "/" not in request.endpoint and (known is None or request.endpoint in known)
        if request.is_agent and request.endpoint in self.faults.dead_phones:
            reachable = False
        serial = next(self._serial)
        channel = Channel(
            name=f"PJSIP/{request.endpoint}-{serial:08x}",
            uniqueid=request.channel_id or f"{self._tell.system_name}-{int(self._clock())}.{serial}",
            endpoint=request.endpoint,
            dial_string=request.channel.partition("/")[2],
            destination=request.channel,
            action_id=request.action_id,
            fate=fate,
            is_agent=request.is_agent,
            answer_context=request.context,
            answer_exten=request.exten,
            created_at=now,
            expires_at=now + request.timeout_s,
            caller_number=request.caller_number,
            caller_name=request.caller_name,
            variables=dict(request.variables),
            record=record,
            reply=request.reply,
        )
        if self.faults.fail_originates or not reachable:
            record.refused = "fails" if reachable else "no such endpoint"
            if not request.channel_id:
                channel.uniqueid = "<unknown>"
            self._after(channel, now + between(_SETUP_S, fate.shuffle[3]), self._fail)
            return record
        if attempt:
            self._attempts[request.number] = attempt
            if len(self._attempts) > _REMEMBERED_NUMBERS:
                del self._attempts[next(iter(self._attempts))]
        record.fate = fate
        reactions = self.counts.by_reaction
        if not request.is_agent:
            reactions[fate.reaction] = reactions.get(fate.reaction, 0) + 1
        self._after(channel, now + between(_SETUP_S, fate.shuffle[3]), self._begin)
        return record

    def hang_up(self, channel: Channel, cause: int, now: float, *, by: str = "dialer") -> None:
        """End a channel whatever it does. `cause` 0: none was given."""
        if channel.state is ChannelState.UP:
            self._end(channel, cause or 16, now, by=by, requested=by in {"customer", "agent"})
            return
        if by in {"customer", "agent"}:
            # Whoever lays down before picking up declines.
            channel.fate = replace(channel.fate, reaction=Reaction.REJECTED)
            self._refuse(channel)
            return
        steps: list[Callable[[], None]] = [
            lambda: self._tell.dial_end(channel, "NOANSWER"),
            lambda: self._tell.hang_up(channel, cause, None),
        ]
        steps.insert(place_of((0.1, 0.75, 0.15), channel.fate.shuffle[0]), lambda: self._tell.response(channel, 0))
        for step in steps:
            step()
        self._remove(channel, cause, None, by)

    def redirect(self, channel: Channel, context: str, exten: str, priority: int, now: float) -> bool:
        """Send an answered channel elsewhere in the dialplan; False where it has not been answered."""
        if channel.state is not ChannelState.UP:
            return False
        self._respond_late(channel)
        channel.change(context=context, exten=exten, priority=priority, phase=Phase.MOVING)
        self._after(channel, now + between(_STEP_S, channel.fate.shuffle[1]), self._enter)
        return True

    def set_variable(self, channel: Channel, name: str, value: str) -> None:
        """Set a channel variable."""
        channel.variables[name] = value
        self._tell.variable(channel, name, value)

    def start_recording(self, channel: Channel, file: str) -> None:
        """MixMonitor."""
        channel.recording = True
        if self._recordings is not None:
            channel.tape = Tape(path=self._recordings / file, since=self._clock())
        self._tell.channel("MixMonitorStart", channel)

    def mute_recording(self, channel: Channel, *, muted: bool) -> bool:
        """MixMonitorMute; False where nothing is being recorded."""
        if channel.tape is not None:
            channel.tape.mute(self._clock(), muted=muted)
        if channel.recording:
            self._tell.channel("MixMonitorMute", channel, f"Direction: both\r\nState: {int(muted)}\r\n")
        return channel.recording

    def stop_recording(self, channel: Channel) -> bool:
        """StopMixMonitor; False where nothing was being recorded."""
        was, channel.recording = channel.recording, False
        if was:
            self._tell.channel("MixMonitorStop", channel)
            self._end_tape(channel)
        return was

    def _end_tape(self, channel: Channel) -> None:
        tape, channel.tape = channel.tape, None
        if tape is not None:
            with contextlib.suppress(OSError):  # Asterisk goes on without the file too, and says so in its log alone
                tape.end(self._clock())

    def user_event(self, name: str, headers: tuple[tuple[str, str], ...]) -> None:
        """The action UserEvent: no channel."""
        body = "".join(f"{key}: {value}\r\n" for key, value in headers)
        self._tell.event(EventClass.USER, "UserEvent", f"UserEvent: {name}\r\n{body}")

    def clear(self) -> None:
        """All channels and rooms are gone at once, as when the process is killed: no event is sent."""
        for _, _, _, channel, _ in self._timers:
            channel.epoch += 1
        self._timers.clear()
        for channel in self.channels.values():
            self._end_tape(channel)
            self._write_down(channel, None, None, "crash")
        self.channels.clear()
        self._by_uniqueid.clear()
        self._comforters.clear()
        self.rooms.clear()
        self._waiting = None
        self._tell.forget_devices()

    # ---- dialing

    def _fate(self, request: OriginateRequest, attempt: int) -> Fate:
        if request.is_agent:
            u = self.world.uniforms("phone", request.number, self.counts.originates)
            answer_s = self.world.profile.agents.phone_answers.at(u[0])
            return Fate(reaction=Reaction.PERSON, rings=False, post_dial_s=answer_s, shuffle=(u[1], u[2], u[3], u[4]))
        if self.faults.silent_trunks & {request.endpoint, "*"}:
            return _NO_PHONE
        return self.world.fate(request.number, attempt, self._clock())

    def _fail(self, channel: Channel, now: float) -> None:
        self._tell.response(channel, 0)
        if channel.record is not None:
            channel.record.ended_at = self._clock()
        channel.epoch += 1

    def _begin(self, channel: Channel, now: float) -> None:
        if channel.uniqueid in self._by_uniqueid:
            # Asterisk names the Uniqueid of the live call here, so ours is not told apart from it.
            if channel.record is not None:
                channel.record.refused, channel.record.fate = "ChannelId in use", None
            channel.caller_number = channel.caller_name = "<unknown>"
            self._fail(channel, now)
            return
        self.channels[channel.name] = channel
        self._by_uniqueid[channel.uniqueid] = channel
        self._tell.event(EventClass.CALL, "Newchannel", channel.unnamed_block)
        self._tell.extension(channel, channel.unnamed_block)
        for name, value in channel.variables.items():
            self._tell.variable(channel, name, value)
        if channel.caller_number != "<unknown>":
            self._tell.event(
                EventClass.CALL,
                "NewCallerid",
                f"{channel.half_named_block}CID-CallingPres: 0 (Presentation Allowed, Not Screened)\r\n",
            )
            self._tell.channel("NewConnectedLine", channel)
        self._tell.event(EventClass.CALL, "DialBegin", f"{channel.dest_block}DialString: {channel.dial_string}\r\n")
        fate = channel.fate
        if fate.reaction is Reaction.SILENT or channel.created_at + fate.post_dial_s >= channel.expires_at:
            self._after(channel, channel.expires_at, self._time_out)
        else:
            word = self._proceed if fate.rings else self._decide
            self._after(channel, max(now, channel.created_at + fate.post_dial_s), word)

    def _proceed(self, channel: Channel, now: float) -> None:
        channel.phase = Phase.PROCEEDING
        if channel.fate.early_media:
            self._tell.dial_state(channel, "PROGRESS")
        else:
            channel.change(state=ChannelState.RINGING)
            if channel.fate.shuffle[2] < 0.8:
                self._tell.channel("Newstate", channel)
                self._tell.dial_state(channel, "RINGING")
            else:
                self._tell.dial_state(channel, "RINGING")
                self._tell.channel("Newstate", channel)
            self._tell.device(channel, ringing=1)
        due = now + channel.fate.ring_s
        if channel.fate.reaction is Reaction.NO_ANSWER or due >= channel.expires_at:
            self._after(channel, channel.expires_at, self._time_out)
        else:
            self._after(channel, due, self._decide)

    def _decide(self, channel: Channel, now: float) -> None:
        if channel.fate.reaction.answers:
            self._answer(channel, now)
        else:
            self._refuse(channel)

    def _time_out(self, channel: Channel, now: float) -> None:
        if channel.fate.shuffle[0] < 0.6:
            self._tell.response(channel, 3)
            self._tell.hang_up(channel, 19, 480)
        else:
            self._tell.hang_up(channel, 19, 480)
            self._tell.response(channel, 3)
        self._remove(channel, 19, 480, "dialer")

    def _refuse(self, channel: Channel) -> None:
        cause, sip_code, status = REFUSALS.get(channel.fate.reaction, (19, 480, "NOANSWER"))
        steps: list[Callable[[], None]] = [
            lambda: self._tell.channel("HangupRequest", channel, f"Cause: {cause}\r\nTechCause: {sip_code}\r\n"),
            lambda: self._tell.dial_end(channel, status),
            lambda: self._tell.hang_up(channel, cause, sip_code),
        ]
        place = place_of((0.15, 0.1, 0.6, 0.15), channel.fate.shuffle[0])
        steps.insert(place, lambda: self._tell.response(channel, 0))
        for step in steps:
            step()
        self._remove(channel, cause, sip_code, "network")

    def _answer(self, channel: Channel, now: float) -> None:
        self._tell.device(channel, ringing=-1 if channel.state is ChannelState.RINGING else 0, up=1)
        channel.change(state=ChannelState.UP, phase=Phase.ANSWERED, answered_at=now)
        if channel.record is not None:
            channel.record.answered_at = self._clock()
        if not channel.is_agent:
            self.counts.answered += 1
        # Three threads of Asterisk tell of the answer; the response may even come after the dialplan's first step.
        steps: list[Callable[[], None]] = [
            lambda: self._tell.channel("Newstate", channel),
            lambda: self._tell.dial_end(channel, "ANSWER"),
        ]
        if channel.fate.shuffle[1] < 0.1:
            steps.reverse()
        place = place_of((0.1, 0.1, 0.65, 0.15), channel.fate.shuffle[0])
        if place < 3:
            steps.insert(place, lambda: self._tell.response(channel, 4))
        for step in steps:
            step()
        channel.change(context=channel.answer_context, exten=channel.answer_exten)
        self._after(channel, now + between(_STEP_S, channel.fate.shuffle[2]), self._enter)

    # ---- dialplan

    def _enter(self, channel: Channel, now: float) -> None:
        """Begin the extension in which the channel stands, as config/asterisk/extensions.conf says."""
        self._leave_room(channel)
        self._spy_no_more(channel)
        named = channel.context in NAMED and NAME.fullmatch(channel.exten) is not None
        if not self.knows(channel.context, channel.exten):
            self._end(channel, 16, now, by="dialplan")
        elif channel.context == "cadencia-amd":
            self._detect(channel, now)
        elif channel.context == "cadencia-wait":
            self._wait(channel, now)
        elif channel.context == "cadencia-message":
            self._play(channel, now)
        elif channel.context == "cadencia-goodbye":
            self._say_goodbye(channel, now)
        elif channel.context == "cadencia-monitor":
            self._monitor(channel, now)
        elif not named:
            self._tell.user(channel, "CadenciaRefused", ("Where", channel.context))
            self._end(channel, 21, now, by="dialplan")
        elif channel.context == "cadencia-connect" and not self._has_agent(channel.exten):
            self._tell.user(channel, "CadenciaNoAgent", ("Room", channel.exten))
            channel.variables.pop("CADENCIA_RECORD", None)
            channel.change(context="cadencia-wait", exten="s", priority=1)
            self._wait(channel, now)
        else:
            if channel.context == "cadencia-connect":
                self._record(channel)
            self._join(channel, channel.exten, now)
        self._respond_late(channel)

    def _call_nobody(self, request: OriginateRequest, now: float) -> None:
        """A Local channel: nobody is called, and it is there at once."""
        serial = next(self._serial)
        channel = Channel(
            name=f"Local/{request.number}@{request.endpoint.split('/')[1]}-{serial:08x};1",
            uniqueid=request.channel_id or f"{self._tell.system_name}-{int(self._clock())}.{serial}",
            endpoint=request.endpoint,
            dial_string=request.number,
            destination=request.channel,
            action_id=request.action_id,
            fate=_PHONE,
            is_agent=True,
            answer_context=request.context,
            answer_exten=request.exten,
            created_at=now,
            expires_at=math.inf,
            context=request.context,
            exten=request.exten,
            variables=dict(request.variables),
            reply=request.reply,
        )
        self._after(channel, now + _SETUP_S[1], self._speak)

    def _speak(self, channel: Channel, now: float) -> None:
        comforts = channel.endpoint == COMFORTER
        if not (comforts or self._has_agent(channel.dial_string)) or channel.uniqueid in self._by_uniqueid:
            self._fail(channel, now)
            return
        self.channels[channel.name] = channel
        self._by_uniqueid[channel.uniqueid] = channel
        self._tell.event(EventClass.CALL, "Newchannel", channel.block)
        channel.change(state=ChannelState.UP, phase=Phase.ANNOUNCING, answered_at=now)
        self._tell.channel("Newstate", channel)
        self._tell.response(channel, 4)
        if comforts:
            self._comfort(channel, now)
            return
        channel.change(application="Playback", application_data=f"cadencia/{channel.exten}")
        self._tell.extension(channel, channel.block)
        self._after(channel, now + ANNOUNCEMENT_S, self._spoken)

    def _spoken(self, channel: Channel, now: float) -> None:
        channel.change(phase=Phase.ANSWERED)
        heard = NAME.fullmatch(channel.exten) is not None and self._has_agent(channel.dial_string)
        recording = channel.variables.get("CADENCIA_RECORDING", "")
        self._tell.user(channel, "CadenciaAnnounced", ("Recording", recording), ("Played", "yes" if heard else "no"))
        self._end(channel, 16, now, by="dialplan")

    def _comfort(self, channel: Channel, now: float) -> None:
        """It is at the ear of a customer as long as they are there, and not for ever."""
        customer = channel.variables.get("CADENCIA_COMFORTED", "")
        if customer not in self._by_uniqueid:
            self._end(channel, 16, now, by="dialplan")
            return
        self._comforters[customer] = channel
        channel.change(application="Playback", application_data="cadencia/comfort")
        self._tell.extension(channel, channel.block)
        self._after(channel, now + COMFORT_S, self._comforted)

    def _comforted(self, channel: Channel, now: float) -> None:
        self._end(channel, 16, now, by="dialplan")

    def _monitor(self, channel: Channel, now: float) -> None:
        """A supervisor's phone: it hears an agent's leg, or is put into the agent's room."""
        spied = self._by_uniqueid.get(channel.variables.get("CADENCIA_SPIED", ""))
        room = channel.variables.get("CADENCIA_ROOM", "")
        mode = channel.exten
        if mode == "listen":
            self._tell.user(channel, "CadenciaMonitor", ("Mode", mode))
        if mode == "barge":
            if self._has_agent(room):
                self._join(channel, room, now)
            else:
                self._end(channel, 16, now, by="dialplan")
        elif spied is None:
            self._end(channel, 16, now, by="dialplan")
        else:
            data = f"{spied.uniqueid},{MODES[mode]}"
            channel.change(phase=Phase.SPYING, application="ChanSpy", application_data=data, spied=spied)
            channel.epoch += 1
            self._tell.extension(channel, channel.block)
            self._tell.event(EventClass.CALL, "ChanSpyStart", spy_block(channel, spied))

    def _spy_no_more(self, channel: Channel) -> None:
        spied, channel.spied = channel.spied, None
        if spied is not None:
            self._tell.event(EventClass.CALL, "ChanSpyStop", spy_block(channel, spied))

    def _detect(self, channel: Channel, now: float) -> None:
        channel.change(phase=Phase.DETECTING, application="AMD", application_data="", priority=4)
        self._tell.extension(channel, channel.block)
        due = now + channel.fate.detection.after_s
        gone = self._gone_at(channel)
        if gone <= due:
            self._after(channel, gone, self._customer_leaves)
        else:
            self._after(channel, due, self._detected)

    def _detected(self, channel: Channel, now: float) -> None:
        detection = channel.fate.detection
        if channel.record is not None:
            channel.record.detected = detection.status
        channel.change(priority=5)
        self._tell.user(channel, "CadenciaAmd", ("Status", detection.status), ("Cause", detection.cause))
        channel.change(context="cadencia-wait", exten="s", priority=1)
        self._wait(channel, now)

    def _wait(self, channel: Channel, now: float) -> None:
        channel.change(phase=Phase.WAITING, application="BridgeWait", application_data="cadencia,participant,e(s)S(10)")
        self._tell.extension(channel, channel.block)
        if self._waiting is None:
            self._waiting = Room(name="cadencia", uniqueid=self._bridge_id(), conference=False)
            self._tell.event(EventClass.CALL, "BridgeCreate", self._waiting.block(0))
        room = self._waiting
        room.members.append(channel)
        channel.room = room
        self._tell.event(EventClass.CALL, "BridgeEnter", room.block(len(room.members)) + channel.block)
        limit = now + WAIT_LIMIT_S
        gone = self._gone_at(channel)
        if gone <= limit:
            self._after(channel, max(now, gone), self._customer_leaves)
        else:
            self._after(channel, limit, self._waited_too_long)

    def _waited_too_long(self, channel: Channel, now: float) -> None:
        self._leave_room(channel)
        channel.change(priority=2)
        self._tell.user(channel, "CadenciaWaitExpired")
        self._end(channel, 16, now, by="dialplan")

    def _play(self, channel: Channel, now: float) -> None:
        key = channel.variables.get("CADENCIA_OPT_OUT", "")
        channel.change(
            phase=Phase.LISTENING,
            application="ControlPlayback",
            application_data=f"cadencia/{channel.exten},1,,,{key}",
        )
        self._tell.extension(channel, channel.block)
        u = self.world.uniforms("message", channel.uniqueid)
        due = now + self.world.profile.message.at(u[0])
        fate = channel.fate
        presses_at = math.inf
        if fate.presses == "" and u[1] < self.world.profile.objects and fate.reaction is Reaction.PERSON:
            presses_at = now + (due - now + KEY_AFTER_S) * u[2]
        elif key and fate.presses == key:
            presses_at = now + fate.presses_after_s
        channel.presses_at = presses_at if key and presses_at <= due + KEY_AFTER_S else math.inf
        self._next_of_message(channel, now, due, self._played)

    def _next_of_message(self, channel: Channel, now: float, due: float, step: Step) -> None:
        """Whatever comes first: they leave, they press the key, or the message goes on."""
        gone = self._gone_at(channel)
        if min(gone, channel.presses_at) > due:
            self._after(channel, due, step)
        elif gone <= channel.presses_at:
            self._after(channel, max(now, gone), self._customer_leaves)
        else:
            self._after(channel, max(now, channel.presses_at), self._objects)

    def _objects(self, channel: Channel, now: float) -> None:
        if channel.phase is Phase.LISTENING:
            channel.change(phase=Phase.ANSWERED)
            self._message_event(channel, played=False, default=False)
        self._tell.user(channel, "CadenciaOptOut", ("Key", channel.variables.get("CADENCIA_OPT_OUT", "")))
        channel.change(application="Wait", application_data="5")
        self._tell.extension(channel, channel.block)
        if channel.record is not None:
            channel.record.opted_out = True
        # Whoever wants to hear that it is done stays for it.
        self._after(channel, now + OPT_OUT_WAIT_S, self._opt_out_expired)

    def _opt_out_expired(self, channel: Channel, now: float) -> None:
        self._tell.user(channel, "CadenciaOptOutExpired")
        self._end(channel, 16, now, by="dialplan")

    def _say_goodbye(self, channel: Channel, now: float) -> None:
        channel.change(phase=Phase.ANSWERED, application="Playback", application_data="cadencia/goodbye")
        self._tell.extension(channel, channel.block)
        self._after(channel, now + GOODBYE_S, self._said_goodbye)

    def _said_goodbye(self, channel: Channel, now: float) -> None:
        if channel.record is not None:
            channel.record.goodbye_said = True
        self._tell.user(channel, "CadenciaGoodbye", ("Played", "yes"))
        self._end(channel, 16, now, by="dialplan")

    def _played(self, channel: Channel, now: float) -> None:
        good = NAME.fullmatch(channel.exten) is not None
        if channel.record is not None:
            channel.record.message_played = good
        channel.change(priority=19, phase=Phase.ANSWERED)
        self._message_event(channel, played=good, default=not good)
        if not channel.variables.get("CADENCIA_OPT_OUT"):
            self._end(channel, 16, now, by="dialplan")
            return
        channel.change(application="WaitDigit", application_data=f"3,{channel.variables['CADENCIA_OPT_OUT']}")
        self._tell.extension(channel, channel.block)
        self._next_of_message(channel, now, now + KEY_AFTER_S, self._no_key)

    def _no_key(self, channel: Channel, now: float) -> None:
        self._end(channel, 16, now, by="dialplan")

    def _message_event(self, channel: Channel, *, played: bool, default: bool) -> None:
        self._tell.user(
            channel,
            "CadenciaMessage",
            ("Played", "yes" if played else "no"),
            ("Sound", channel.exten if NAME.fullmatch(channel.exten) else ""),
            ("Default", "yes" if default else "no"),
        )

    def _record(self, channel: Channel) -> None:
        recording = channel.variables.pop("CADENCIA_RECORD", "")
        if recording:
            self.start_recording(channel, f"cadencia/{UNNAMED.sub('', recording)}.wav")
            self._tell.user(channel, "CadenciaRecording", ("Recording", recording))

    def _join(self, channel: Channel, name: str, now: float) -> None:
        channel.change(
            phase=Phase.IN_ROOM,
            application="ConfBridge",
            application_data=f"{name},cadencia_bridge,{PROFILES[channel.context]}",
            priority=3,
        )
        self._tell.extension(channel, channel.block)
        room = self.rooms.get(name)
        if room is None:
            room = Room(name=name, uniqueid=self._bridge_id())
            self.rooms[room.name] = room
            self._tell.event(EventClass.CALL, "BridgeCreate", room.block(-1))
            self._tell.event(EventClass.CALL, "ConfbridgeStart", f"Conference: {room.name}\r\n{room.block(-1)}")
        room.members.append(channel)
        channel.room = room
        block = room.block(len(room.members)) + channel.block
        self._tell.event(EventClass.CALL, "BridgeEnter", block)
        self._respond_late(channel)
        self._tell.event(
            EventClass.CALL, "ConfbridgeJoin", f"Conference: {room.name}\r\n{block}Admin: No\r\nMuted: No\r\n"
        )
        record = channel.record
        if record is not None and record.joined_at is None:
            record.joined_at, record.room = self._clock(), room.name
            self.counts.joined += not channel.is_agent
        # Who is sent through the dialplan once more goes on with the same talk.
        channel.joined_at = channel.joined_at or now
        if channel.is_agent:
            channel.epoch += 1
        else:
            gone = min(channel.joined_at + channel.fate.talk_s, channel.answered_at + channel.fate.machine_s)
            self._after(channel, max(now, gone), self._customer_leaves)

    def _has_agent(self, name: str) -> bool:
        room = self.rooms.get(name)
        return room is not None and room.marked > 0

    def _gone_at(self, channel: Channel) -> float:
        """When the callee's side lays down, as long as there is no agent."""
        fate = channel.fate
        # An answering machine is patient.
        stay = fate.machine_s if fate.reaction is Reaction.MACHINE else fate.patience_s
        return math.inf if channel.is_agent else channel.answered_at + stay

    def _customer_leaves(self, channel: Channel, now: float) -> None:
        self._end(channel, 16, now, by="customer", requested=True)

    # ---- the end of answered calls

    def _end(self, channel: Channel, cause: int, now: float, *, by: str, requested: bool = False) -> None:
        """End an answered channel, and with an agent's phone whoever is in the room with it alone."""
        self._respond_late(channel)
        left_behind: list[Channel] = []
        late_request = requested and channel.room is not None and channel.fate.shuffle[3] < 0.3
        if requested and not late_request:
            self._tell.channel("HangupRequest", channel, f"Cause: {cause}\r\n")
        room = channel.room
        if room is not None:
            self._leave_room(channel, after_leave=late_request, cause=cause)
            if channel.marked and room.conference and not room.marked:
                left_behind = [*room.members]
                for member in left_behind:
                    self._leave_room(member)
        self._finish(channel, cause, by)
        for member in left_behind:
            member.change(priority=4)
            self._finish(member, 16, "agent")
        if channel.marked:
            for spy in [one for one in self.channels.values() if one.spied is channel]:
                self._finish(spy, 16, "dialplan")

    def _finish(self, channel: Channel, cause: int, by: str) -> None:
        if channel.endpoint == COMFORTER:
            self._comforters.pop(channel.variables.get("CADENCIA_COMFORTED", ""), None)
        elif (comforter := self._comforters.get(channel.uniqueid)) is not None:
            self._finish(comforter, 16, "dialplan")
        self._spy_no_more(channel)
        self._tell.channel("SoftHangupRequest", channel, f"Cause: {cause}\r\n")
        if channel.phase is Phase.LISTENING:
            exten = channel.exten
            self._message_event(channel, played=False, default=False)
            channel.change(exten=exten)
        self._tell.hang_up(channel, cause, None)
        self._remove(channel, cause, None, by)

    def _leave_room(self, channel: Channel, *, after_leave: bool = False, cause: int = 16) -> None:
        room = channel.room
        if room is None:
            return
        channel.room = None
        count = len(room.members)
        if room.conference:
            self._tell.event(
                EventClass.CALL,
                "ConfbridgeLeave",
                f"Conference: {room.name}\r\n{room.block(count)}{channel.block}Admin: No\r\n",
            )
        if after_leave:
            self._tell.channel("HangupRequest", channel, f"Cause: {cause}\r\n")
        room.members.remove(channel)
        self._tell.event(EventClass.CALL, "BridgeLeave", room.block(count - 1) + channel.block)
        if room.members:
            return
        if room.conference:
            del self.rooms[room.name]
            self._tell.event(EventClass.CALL, "ConfbridgeEnd", f"Conference: {room.name}\r\n{room.block(0)}")
        else:
            self._waiting = None
        self._tell.event(EventClass.CALL, "BridgeDestroy", room.block(-1 if room.conference else 0))

    def _remove(self, channel: Channel, cause: int | None, sip_code: int | None, by: str) -> None:
        channel.epoch += 1
        self._end_tape(channel)
        self.channels.pop(channel.name, None)
        self._by_uniqueid.pop(channel.uniqueid, None)
        if channel.endpoint not in LOCAL:
            self._tell.device(
                channel,
                ringing=-1 if channel.state is ChannelState.RINGING else 0,
                up=-1 if channel.state is ChannelState.UP else 0,
            )
        self._write_down(channel, cause, sip_code, by)

    def _write_down(self, channel: Channel, cause: int | None, sip_code: int | None, by: str) -> None:
        self.counts.ended += 1
        record = channel.record
        if record is not None:
            record.ended_at, record.cause, record.sip_code, record.ended_by = self._clock(), cause, sip_code, by

    def _respond_late(self, channel: Channel) -> None:
        if channel.response_due:
            self._tell.response(channel, 4)

    def _bridge_id(self) -> str:
        number = next(self._bridges)
        return f"{number:08x}-0000-4000-8000-{number:012x}"
