"""Where channels meet: conferences of ConfBridge, and the one bridge of all who wait."""

from __future__ import annotations

import itertools

from dialer.simulation.channels import Channel, EventClass, Phase, Room
from dialer.simulation.dialplan import PROFILES
from dialer.simulation.event_writer import EventWriter


class Rooms:
    """The rooms; one comes to be with the first who enters it, and goes with the last."""

    def __init__(self, tell: EventWriter) -> None:
        #: By name.
        self.conferences: dict[str, Room] = {}
        self._tell = tell
        self._waiting: Room | None = None
        self._bridges = itertools.count(1)

    def has_agent(self, name: str) -> bool:
        """Whether an agent's phone is in a conference."""
        room = self.conferences.get(name)
        return room is not None and room.marked > 0

    def wait(self, channel: Channel) -> None:
        """BridgeWait()."""
        channel.change(phase=Phase.WAITING, application="BridgeWait", application_data="cadencia,participant,e(s)S(10)")
        self._tell.extension(channel, channel.block)
        if self._waiting is None:
            self._waiting = Room(name="cadencia", uniqueid=self._bridge_id(), conference=False)
            self._tell.event(EventClass.CALL, "BridgeCreate", self._waiting.block(0))
        self._enter(channel, self._waiting)

    def join(self, channel: Channel, name: str) -> None:
        """ConfBridge()."""
        channel.change(
            phase=Phase.IN_ROOM,
            application="ConfBridge",
            application_data=f"{name},cadencia_bridge,{PROFILES[channel.context]}",
            priority=3,
        )
        self._tell.extension(channel, channel.block)
        room = self.conferences.get(name)
        if room is None:
            room = Room(name=name, uniqueid=self._bridge_id())
            self.conferences[room.name] = room
            self._tell.event(EventClass.CALL, "BridgeCreate", room.block(-1))
            self._tell.event(EventClass.CALL, "ConfbridgeStart", f"Conference: {room.name}\r\n{room.block(-1)}")
        block = self._enter(channel, room)
        self._tell.late_response(channel)
        self._tell.event(
            EventClass.CALL, "ConfbridgeJoin", f"Conference: {room.name}\r\n{block}Admin: No\r\nMuted: No\r\n"
        )

    def _enter(self, channel: Channel, room: Room) -> str:
        room.members.append(channel)
        channel.room = room
        block = room.block(len(room.members)) + channel.block
        self._tell.event(EventClass.CALL, "BridgeEnter", block)
        return block

    def leave(self, channel: Channel, *, after_leave: bool = False, cause: int = 16) -> None:
        """A channel leaves the room that it is in, if any; `after_leave`: what asked for its end is told in between."""
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
            del self.conferences[room.name]
            self._tell.event(EventClass.CALL, "ConfbridgeEnd", f"Conference: {room.name}\r\n{room.block(0)}")
        else:
            self._waiting = None
        self._tell.event(EventClass.CALL, "BridgeDestroy", room.block(-1 if room.conference else 0))

    def clear(self) -> None:
        """All are gone at once, and no event tells of it."""
        self.conferences.clear()
        self._waiting = None

    def _bridge_id(self) -> str:
        number = next(self._bridges)
        return f"{number:08x}-0000-4000-8000-{number:012x}"
