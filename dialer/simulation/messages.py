"""What is played to people instead of an agent: the message, with a key against further calls, and the goodbye."""

from __future__ import annotations

import math

from dialer.simulation.channels import Channel, Phase
from dialer.simulation.dialplan import GOODBYE_S, KEY_AFTER_S, NAME, OPT_OUT_WAIT_S
from dialer.simulation.lines import Lines
from dialer.simulation.timers import Step
from dialer.simulation.world import Reaction


class Messages:
    """The contexts cadencia-message and cadencia-goodbye."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._tell = lines.tell
        self._timers = lines.timers

    def play(self, channel: Channel, now: float) -> None:
        """Begin the message of the channel's extension."""
        key = channel.variables.get("CADENCIA_OPT_OUT", "")
        channel.change(
            phase=Phase.LISTENING,
            application="ControlPlayback",
            application_data=f"cadencia/{channel.exten},1,,,{key}",
        )
        self._tell.extension(channel, channel.block)
        world = self._lines.world
        u = world.uniforms("message", channel.uniqueid)
        due = now + world.profile.message.at(u[0])
        fate = channel.fate
        presses_at = math.inf
        if fate.presses == "" and u[1] < world.profile.objects and fate.reaction is Reaction.PERSON:
            presses_at = now + (due - now + KEY_AFTER_S) * u[2]
        elif key and fate.presses == key:
            presses_at = now + fate.presses_after_s
        channel.presses_at = presses_at if key and presses_at <= due + KEY_AFTER_S else math.inf
        self._go_on(channel, now, due, self._played)

    def _go_on(self, channel: Channel, now: float, due: float, step: Step) -> None:
        """Whatever comes first: they leave, they press the key, or the message goes on."""
        gone = self._lines.gone_at(channel)
        if min(gone, channel.presses_at) > due:
            self._timers.set(channel, due, step)
        elif gone <= channel.presses_at:
            self._timers.set(channel, max(now, gone), self._lines.customer_leaves)
        else:
            self._timers.set(channel, max(now, channel.presses_at), self._objects)

    def _objects(self, channel: Channel, now: float) -> None:
        if channel.phase is Phase.LISTENING:
            channel.change(phase=Phase.ANSWERED)
            self._tell.message(channel, played=False)
        self._tell.user(channel, "CadenciaOptOut", ("Key", channel.variables.get("CADENCIA_OPT_OUT", "")))
        channel.change(application="Wait", application_data="5")
        self._tell.extension(channel, channel.block)
        if channel.record is not None:
            channel.record.opted_out = True
        # Whoever wants to hear that it is done stays for it.
        self._timers.set(channel, now + OPT_OUT_WAIT_S, self._opt_out_expired)

    def _opt_out_expired(self, channel: Channel, now: float) -> None:
        self._tell.user(channel, "CadenciaOptOutExpired")
        self._lines.end(channel, 16, by="dialplan")

    def _played(self, channel: Channel, now: float) -> None:
        good = NAME.fullmatch(channel.exten) is not None
        if channel.record is not None:
            channel.record.message_played = good
        channel.change(priority=19, phase=Phase.ANSWERED)
        self._tell.message(channel, played=good, default=not good)
        if not channel.variables.get("CADENCIA_OPT_OUT"):
            self._lines.end(channel, 16, by="dialplan")
            return
        channel.change(application="WaitDigit", application_data=f"3,{channel.variables['CADENCIA_OPT_OUT']}")
        self._tell.extension(channel, channel.block)
        self._go_on(channel, now, now + KEY_AFTER_S, self._lines.expire)

    def say_goodbye(self, channel: Channel, now: float) -> None:
        """Tell somebody who pressed the key that it is done."""
        channel.change(phase=Phase.ANSWERED, application="Playback", application_data="cadencia/goodbye")
        self._tell.extension(channel, channel.block)
        self._timers.set(channel, now + GOODBYE_S, self._said_goodbye)

    def _said_goodbye(self, channel: Channel, now: float) -> None:
        if channel.record is not None:
            channel.record.goodbye_said = True
        self._tell.user(channel, "CadenciaGoodbye", ("Played", "yes"))
        self._lines.end(channel, 16, by="dialplan")
