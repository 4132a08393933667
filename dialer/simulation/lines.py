"""The channels that there are: under which names, with what of the exchange around them, and how each one ends."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

from dialer.simulation.channels import Channel, ChannelState, EventClass, Phase, spy_block
from dialer.simulation.dialplan import COMFORTER, LOCAL
from dialer.simulation.event_writer import EventWriter
from dialer.simulation.recorder import Recorder
from dialer.simulation.records import Counts, OriginateRequest
from dialer.simulation.rooms import Rooms
from dialer.simulation.timers import Timers
from dialer.simulation.world import Reaction, World


class Lines:
    """What everything that happens to a channel shares.

    Args:
        world: who is called.
        clock: unix seconds.
        tell: the events.
        recorder: of channels.
    """

    def __init__(self, world: World, *, clock: Callable[[], float], tell: EventWriter, recorder: Recorder) -> None:
        self.world = world
        self.clock = clock
        self.tell = tell
        self.recorder = recorder
        self.timers = Timers()
        self.rooms = Rooms(tell)
        self.counts = Counts()
        self.channels: dict[str, Channel] = {}
        self.by_uniqueid: dict[str, Channel] = {}
        #: Those at the ear of a customer, by the customer's Uniqueid.
        self.comforters: dict[str, Channel] = {}
        self._serial = itertools.count()

    def find(self, name: str) -> Channel | None:
        """The channel with this name or Uniqueid."""
        return self.channels.get(name) or self.by_uniqueid.get(name)

    def names(self, request: OriginateRequest, device: str) -> tuple[str, str]:
        """Name, which is `device` with a number that no other has, and Uniqueid of the channel that is asked for."""
        serial = next(self._serial)
        uniqueid = request.channel_id or f"{self.tell.system_name}-{int(self.clock())}.{serial}"
        return f"{device}-{serial:08x}", uniqueid

    def add(self, channel: Channel) -> None:
        """A channel has come to be."""
        self.channels[channel.name] = channel
        self.by_uniqueid[channel.uniqueid] = channel

    def fail(self, channel: Channel, now: float) -> None:
        """No channel comes of an Originate."""
        self.tell.response(channel, 0)
        if channel.record is not None:
            channel.record.ended_at = self.clock()
        channel.epoch += 1

    # ---- people who are answered

    def gone_at(self, channel: Channel) -> float:
        """When the callee's side lays down, as long as there is no agent."""
        fate = channel.fate
        # An answering machine is patient.
        stay = fate.machine_s if fate.reaction is Reaction.MACHINE else fate.patience_s
        return math.inf if channel.is_agent else channel.answered_at + stay

    def customer_leaves(self, channel: Channel, now: float) -> None:
        """The callee's side lays down."""
        self.end(channel, 16, by="customer", requested=True)

    def expire(self, channel: Channel, now: float) -> None:
        """The dialplan has nothing more to do for a channel."""
        self.end(channel, 16, by="dialplan")

    # ---- the end

    def end(self, channel: Channel, cause: int, *, by: str, requested: bool = False) -> None:
        """End an answered channel, and with an agent's phone whoever is in the room with it alone."""
        self.tell.late_response(channel)
        left_behind: list[Channel] = []
        late_request = requested and channel.room is not None and channel.fate.shuffle[3] < 0.3
        if requested and not late_request:
            self.tell.channel("HangupRequest", channel, f"Cause: {cause}\r\n")
        room = channel.room
        if room is not None:
            self.rooms.leave(channel, after_leave=late_request, cause=cause)
            if channel.marked and room.conference and not room.marked:
                left_behind = [*room.members]
                for member in left_behind:
                    self.rooms.leave(member)
        self._finish(channel, cause, by)
        for member in left_behind:
            member.change(priority=4)
            self._finish(member, 16, "agent")
        if channel.marked:
            for spy in [one for one in self.channels.values() if one.spied is channel]:
                self._finish(spy, 16, "dialplan")

    def _finish(self, channel: Channel, cause: int, by: str) -> None:
        if channel.endpoint == COMFORTER:
            self.comforters.pop(channel.variables.get("CADENCIA_COMFORTED", ""), None)
        elif (comforter := self.comforters.get(channel.uniqueid)) is not None:
            self._finish(comforter, 16, "dialplan")
        self.spy_no_more(channel)
        self.tell.channel("SoftHangupRequest", channel, f"Cause: {cause}\r\n")
        if channel.phase is Phase.LISTENING:
            exten = channel.exten
            self.tell.message(channel, played=False)
            channel.change(exten=exten)
        self.tell.hang_up(channel, cause, None)
        self.remove(channel, cause, None, by)

    def spy_no_more(self, channel: Channel) -> None:
        """A supervisor's channel stops listening, if it does."""
        spied, channel.spied = channel.spied, None
        if spied is not None:
            self.tell.event(EventClass.CALL, "ChanSpyStop", spy_block(channel, spied))

    def remove(self, channel: Channel, cause: int | None, sip_code: int | None, by: str) -> None:
        """A channel is gone, all of it told."""
        channel.epoch += 1
        self.recorder.close(channel)
        self.channels.pop(channel.name, None)
        self.by_uniqueid.pop(channel.uniqueid, None)
        if channel.endpoint not in LOCAL:
            self.tell.device(
                channel,
                ringing=-1 if channel.state is ChannelState.RINGING else 0,
                up=-1 if channel.state is ChannelState.UP else 0,
            )
        self._write_down(channel, cause, sip_code, by)

    def clear(self) -> None:
        """All channels and rooms are gone at once, as when the process is killed: no event is sent."""
        self.timers.clear()
        for channel in self.channels.values():
            self.recorder.close(channel)
            self._write_down(channel, None, None, "crash")
        self.channels.clear()
        self.by_uniqueid.clear()
        self.comforters.clear()
        self.rooms.clear()
        self.tell.forget_devices()

    def _write_down(self, channel: Channel, cause: int | None, sip_code: int | None, by: str) -> None:
        self.counts.ended += 1
        record = channel.record
        if record is not None:
            record.ended_at, record.cause, record.sip_code, record.ended_by = self.clock(), cause, sip_code, by
