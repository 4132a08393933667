"""Channels that ring nobody: what speaks in an agent's room, and what comforts a customer who waits for their agent."""

from __future__ import annotations

import math
from typing import Final

from dialer.simulation.channels import Channel, ChannelState, EventClass, Phase
from dialer.simulation.dialplan import ANNOUNCEMENT_S, COMFORT_S, COMFORTER, NAME
from dialer.simulation.lines import Lines
from dialer.simulation.records import OriginateRequest
from dialer.simulation.timers import SETUP_S
from dialer.simulation.world import Fate, Reaction

_THERE: Final = Fate(reaction=Reaction.PERSON, rings=False)


class LocalChannels:
    """Of each there is only the half that plays the sound."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._tell = lines.tell

    def originate(self, request: OriginateRequest, now: float) -> None:
        """Nobody is called, and it is there at once."""
        name, uniqueid = self._lines.names(request, f"Local/{request.number}@{request.endpoint.split('/')[1]}")
        channel = Channel(
            name=f"{name};1",
            uniqueid=uniqueid,
            endpoint=request.endpoint,
            dial_string=request.number,
            destination=request.channel,
            action_id=request.action_id,
            fate=_THERE,
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
        self._lines.timers.set(channel, now + SETUP_S[1], self._speak)

    def _speak(self, channel: Channel, now: float) -> None:
        comforts = channel.endpoint == COMFORTER
        heard = comforts or self._lines.rooms.has_agent(channel.dial_string)
        if not heard or channel.uniqueid in self._lines.by_uniqueid:
            self._lines.fail(channel, now)
            return
        self._lines.add(channel)
        self._tell.event(EventClass.CALL, "Newchannel", channel.block)
        channel.change(state=ChannelState.UP, phase=Phase.ANNOUNCING, answered_at=now)
        self._tell.channel("Newstate", channel)
        self._tell.response(channel, 4)
        if comforts:
            self._comfort(channel, now)
            return
        channel.change(application="Playback", application_data=f"cadencia/{channel.exten}")
        self._tell.extension(channel, channel.block)
        self._lines.timers.set(channel, now + ANNOUNCEMENT_S, self._spoken)

    def _spoken(self, channel: Channel, now: float) -> None:
        channel.change(phase=Phase.ANSWERED)
        heard = NAME.fullmatch(channel.exten) is not None and self._lines.rooms.has_agent(channel.dial_string)
        recording = channel.variables.get("CADENCIA_RECORDING", "")
        self._tell.user(channel, "CadenciaAnnounced", ("Recording", recording), ("Played", "yes" if heard else "no"))
        self._lines.end(channel, 16, by="dialplan")

    def _comfort(self, channel: Channel, now: float) -> None:
        """It is at the ear of a customer as long as they are there, and not for ever."""
        customer = channel.variables.get("CADENCIA_COMFORTED", "")
        if customer not in self._lines.by_uniqueid:
            self._lines.end(channel, 16, by="dialplan")
            return
        self._lines.comforters[customer] = channel
        channel.change(application="Playback", application_data="cadencia/comfort")
        self._tell.extension(channel, channel.block)
        self._lines.timers.set(channel, now + COMFORT_S, self._lines.expire)
