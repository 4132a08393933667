"""From an Originate to the answer, or to why there is none: what the called side does, and how Asterisk tells it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Final

from dialer.simulation.channels import Channel, ChannelState, EventClass, Phase
from dialer.simulation.contexts import Contexts
from dialer.simulation.dialplan import REFUSALS
from dialer.simulation.faults import Faults
from dialer.simulation.lines import Lines
from dialer.simulation.records import CallRecord, OriginateRequest
from dialer.simulation.timers import SETUP_S, STEP_S
from dialer.simulation.world import Fate, Reaction, between, place_of

_NO_PHONE: Final = Fate(reaction=Reaction.SILENT, rings=False)
#: Numbers whose attempts are counted; the oldest are forgotten, and begin at their first again.
_REMEMBERED_NUMBERS: Final = 1_000_000


class Dialing:
    """Dials customers and phones.

    Args:
        lines: all channels.
        contexts: where answered ones go on.
        faults: may be changed at any time.
        trunks: names of endpoints that lead out; None: any.
        phones: names of endpoints that are agents' phones; None: any.
        log_limit: records that `log` keeps.
    """

    def __init__(
        self,
        lines: Lines,
        contexts: Contexts,
        *,
        faults: Faults,
        trunks: Collection[str] | None,
        phones: Collection[str] | None,
        log_limit: int,
    ) -> None:
        #: Every call asked for, oldest first.
        self.log: deque[CallRecord] = deque(maxlen=log_limit)
        self._lines = lines
        self._contexts = contexts
        self._tell = lines.tell
        self._timers = lines.timers
        self._faults = faults
        self._trunks = trunks
        self._phones = phones
        self._attempts: dict[str, int] = {}

    def originate(self, request: OriginateRequest, now: float) -> CallRecord:
        """Begin a call; whatever comes of it comes as events."""
        attempt = 0
        if not request.is_agent:
            attempt = self._attempts.get(request.number, 0) + 1
        record = CallRecord(
            at=self._lines.clock(),
            call=request.channel_id or request.action_id,
            number=request.number,
            trunk="" if request.is_agent else request.endpoint,
            is_agent=request.is_agent,
            attempt=attempt,
        )
        self.log.append(record)
        counts = self._lines.counts
        counts.originates += 1
        fate = self._fate(request, attempt)
        known = self._phones if request.is_agent else self._trunks
        # An endpoint with a slash is of another technology than PJSIP.
        reachable = "/" not in request.endpoint and (known is None or request.endpoint in known)
        if request.is_agent and request.endpoint in self._faults.dead_phones:
            reachable = False
        name, uniqueid = self._lines.names(request, f"PJSIP/{request.endpoint}")
        channel = Channel(
            name=name,
            uniqueid=uniqueid,
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
        if self._faults.fail_originates or not reachable:
            record.refused = "fails" if reachable else "no such endpoint"
            if not request.channel_id:
                channel.uniqueid = "<unknown>"
            self._timers.set(channel, now + between(SETUP_S, fate.shuffle[3]), self._lines.fail)
            return record
        if attempt:
            self._attempts[request.number] = attempt
            if len(self._attempts) > _REMEMBERED_NUMBERS:
                del self._attempts[next(iter(self._attempts))]
        record.fate = fate
        reactions = counts.by_reaction
        if not request.is_agent:
            reactions[fate.reaction] = reactions.get(fate.reaction, 0) + 1
        self._timers.set(channel, now + between(SETUP_S, fate.shuffle[3]), self._begin)
        return record

    def _fate(self, request: OriginateRequest, attempt: int) -> Fate:
        world = self._lines.world
        if request.is_agent:
            u = world.uniforms("phone", request.number, self._lines.counts.originates)
            answer_s = world.profile.agents.phone_answers.at(u[0])
            return Fate(reaction=Reaction.PERSON, rings=False, post_dial_s=answer_s, shuffle=(u[1], u[2], u[3], u[4]))
        if self._faults.silent_trunks & {request.endpoint, "*"}:
            return _NO_PHONE
        return world.fate(request.number, attempt, self._lines.clock())

    def _begin(self, channel: Channel, now: float) -> None:
        if channel.uniqueid in self._lines.by_uniqueid:
            # Asterisk names the Uniqueid of the live call here, so ours is not told apart from it.
            if channel.record is not None:
                channel.record.refused, channel.record.fate = "ChannelId in use", None
            channel.caller_number = channel.caller_name = "<unknown>"
            self._lines.fail(channel, now)
            return
        self._lines.add(channel)
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
            self._timers.set(channel, channel.expires_at, self._time_out)
        else:
            word = self._proceed if fate.rings else self._decide
            self._timers.set(channel, max(now, channel.created_at + fate.post_dial_s), word)

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
            self._timers.set(channel, channel.expires_at, self._time_out)
        else:
            self._timers.set(channel, due, self._decide)

    def _decide(self, channel: Channel, now: float) -> None:
        if channel.fate.reaction.answers:
            self._answer(channel, now)
        else:
            self._refuse(channel)

    def _answer(self, channel: Channel, now: float) -> None:
        self._tell.device(channel, ringing=-1 if channel.state is ChannelState.RINGING else 0, up=1)
        channel.change(state=ChannelState.UP, phase=Phase.ANSWERED, answered_at=now)
        if channel.record is not None:
            channel.record.answered_at = self._lines.clock()
        if not channel.is_agent:
            self._lines.counts.answered += 1
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
        self._timers.set(channel, now + between(STEP_S, channel.fate.shuffle[2]), self._contexts.enter)

    # ---- no answer

    def _time_out(self, channel: Channel, now: float) -> None:
        if channel.fate.shuffle[0] < 0.6:
            self._tell.response(channel, 3)
            self._tell.hang_up(channel, 19, 480)
        else:
            self._tell.hang_up(channel, 19, 480)
            self._tell.response(channel, 3)
        self._lines.remove(channel, 19, 480, "dialer")

    def _refuse(self, channel: Channel) -> None:
        cause, sip_code, status = REFUSALS.get(channel.fate.reaction, (19, 480, "NOANSWER"))
        self._tell_failure(
            channel,
            (0.15, 0.1, 0.6, 0.15),
            lambda: self._tell.channel("HangupRequest", channel, f"Cause: {cause}\r\nTechCause: {sip_code}\r\n"),
            lambda: self._tell.dial_end(channel, status),
            lambda: self._tell.hang_up(channel, cause, sip_code),
        )
        self._lines.remove(channel, cause, sip_code, "network")

    def decline(self, channel: Channel) -> None:
        """Whoever is called lays down before picking up."""
        channel.fate = replace(channel.fate, reaction=Reaction.REJECTED)
        self._refuse(channel)

    def cancel(self, channel: Channel, cause: int, by: str) -> None:
        """The dialer does not want it any more."""
        self._tell_failure(
            channel,
            (0.1, 0.75, 0.15),
            lambda: self._tell.dial_end(channel, "NOANSWER"),
            lambda: self._tell.hang_up(channel, cause, None),
        )
        self._lines.remove(channel, cause, None, by)

    def _tell_failure(self, channel: Channel, places: tuple[float, ...], *told: Callable[[], None]) -> None:
        """Tell it in this order, with what the Originate is told somewhere among it: `places`, how often where."""
        steps = [*told]
        steps.insert(place_of(places, channel.fate.shuffle[0]), lambda: self._tell.response(channel, 0))
        for step in steps:
            step()
