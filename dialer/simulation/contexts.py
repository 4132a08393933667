"""What the dialplan does with an answered channel, context by context, as config/asterisk/extensions.conf says."""

from __future__ import annotations

from dialer.simulation.channels import Channel, EventClass, Phase, spy_block
from dialer.simulation.dialplan import MODES, NAME, NAMED, UNNAMED, WAIT_LIMIT_S, knows
from dialer.simulation.lines import Lines
from dialer.simulation.messages import Messages


class Contexts:
    """The dialplan at work on the channels of `lines`."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._tell = lines.tell
        self._rooms = lines.rooms
        self._timers = lines.timers
        self._messages = Messages(lines)

    def enter(self, channel: Channel, now: float) -> None:
        """Begin the extension in which the channel stands."""
        self._rooms.leave(channel)
        self._lines.spy_no_more(channel)
        named = channel.context in NAMED and NAME.fullmatch(channel.exten) is not None
        if not knows(channel.context, channel.exten):
            self._lines.end(channel, 16, by="dialplan")
        elif channel.context == "cadencia-amd":
            self._detect(channel, now)
        elif channel.context == "cadencia-wait":
            self._wait(channel, now)
        elif channel.context == "cadencia-message":
            self._messages.play(channel, now)
        elif channel.context == "cadencia-goodbye":
            self._messages.say_goodbye(channel, now)
        elif channel.context == "cadencia-monitor":
            self._monitor(channel, now)
        elif not named:
            self._tell.user(channel, "CadenciaRefused", ("Where", channel.context))
            self._lines.end(channel, 21, by="dialplan")
        elif channel.context == "cadencia-connect" and not self._rooms.has_agent(channel.exten):
            self._tell.user(channel, "CadenciaNoAgent", ("Room", channel.exten))
            channel.variables.pop("CADENCIA_RECORD", None)
            channel.change(context="cadencia-wait", exten="s", priority=1)
            self._wait(channel, now)
        else:
            if channel.context == "cadencia-connect":
                self._record(channel)
            self._join(channel, channel.exten, now)
        self._tell.late_response(channel)

    # ---- until there is an agent

    def _detect(self, channel: Channel, now: float) -> None:
        channel.change(phase=Phase.DETECTING, application="AMD", application_data="", priority=4)
        self._tell.extension(channel, channel.block)
        due = now + channel.fate.detection.after_s
        gone = self._lines.gone_at(channel)
        if gone <= due:
            self._timers.set(channel, gone, self._lines.customer_leaves)
        else:
            self._timers.set(channel, due, self._detected)

    def _detected(self, channel: Channel, now: float) -> None:
        detection = channel.fate.detection
        if channel.record is not None:
            channel.record.detected = detection.status
        channel.change(priority=5)
        self._tell.user(channel, "CadenciaAmd", ("Status", detection.status), ("Cause", detection.cause))
        channel.change(context="cadencia-wait", exten="s", priority=1)
        self._wait(channel, now)

    def _wait(self, channel: Channel, now: float) -> None:
        self._rooms.wait(channel)
        limit = now + WAIT_LIMIT_S
        gone = self._lines.gone_at(channel)
        if gone <= limit:
            self._timers.set(channel, max(now, gone), self._lines.customer_leaves)
        else:
            self._timers.set(channel, limit, self._waited_too_long)

    def _waited_too_long(self, channel: Channel, now: float) -> None:
        self._rooms.leave(channel)
        channel.change(priority=2)
        self._tell.user(channel, "CadenciaWaitExpired")
        self._lines.end(channel, 16, by="dialplan")

    # ---- in an agent's room

    def _record(self, channel: Channel) -> None:
        recording = channel.variables.pop("CADENCIA_RECORD", "")
        if recording:
            self._lines.recorder.start(channel, f"cadencia/{UNNAMED.sub('', recording)}.wav")
            self._tell.user(channel, "CadenciaRecording", ("Recording", recording))

    def _join(self, channel: Channel, name: str, now: float) -> None:
        self._rooms.join(channel, name)
        record = channel.record
        if record is not None and record.joined_at is None:
            record.joined_at, record.room = self._lines.clock(), name
            self._lines.counts.joined += not channel.is_agent
        # Who is sent through the dialplan once more goes on with the same talk.
        channel.joined_at = channel.joined_at or now
        if channel.is_agent:
            channel.epoch += 1
        else:
            gone = min(channel.joined_at + channel.fate.talk_s, channel.answered_at + channel.fate.machine_s)
            self._timers.set(channel, max(now, gone), self._lines.customer_leaves)

    def _monitor(self, channel: Channel, now: float) -> None:
        """A supervisor's phone: it hears an agent's leg, or is put into the agent's room."""
        spied = self._lines.by_uniqueid.get(channel.variables.get("CADENCIA_SPIED", ""))
        room = channel.variables.get("CADENCIA_ROOM", "")
        mode = channel.exten
        if mode == "listen":
            self._tell.user(channel, "CadenciaMonitor", ("Mode", mode))
        if mode == "barge":
            if self._rooms.has_agent(room):
                self._join(channel, room, now)
            else:
                self._lines.end(channel, 16, by="dialplan")
        elif spied is None:
            self._lines.end(channel, 16, by="dialplan")
        else:
            data = f"{spied.uniqueid},{MODES[mode]}"
            channel.change(phase=Phase.SPYING, application="ChanSpy", application_data=data, spied=spied)
            channel.epoch += 1
            self._tell.extension(channel, channel.block)
            self._tell.event(EventClass.CALL, "ChanSpyStart", spy_block(channel, spied))
