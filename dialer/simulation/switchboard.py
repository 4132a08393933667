"""The exchange without its wires: calls, rooms and a dialplan, on a clock that is handed in.

It does what Asterisk 22 does with the files of ``config/asterisk``, in the order of events of recorded transcripts
(``tests/data/ami``); where Asterisk's own threads put events in one order or another, so does this, by the uniform
numbers of the call's fate. Events go to `publish` as text, already worded for the wire.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection
from pathlib import Path

from dialer.simulation.channels import Channel, ChannelState, EventClass, Phase
from dialer.simulation.contexts import Contexts
from dialer.simulation.dialing import Dialing
from dialer.simulation.dialplan import LOCAL
from dialer.simulation.event_writer import EventWriter, Publish
from dialer.simulation.faults import Faults
from dialer.simulation.lines import Lines
from dialer.simulation.local_channels import LocalChannels
from dialer.simulation.recorder import Recorder
from dialer.simulation.records import CallRecord, OriginateRequest
from dialer.simulation.timers import STEP_S
from dialer.simulation.world import World, between


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
        self._tell = EventWriter(publish, clock=clock, system_name=system_name)
        self.recorder = Recorder(self._tell, clock=clock, folder=recordings)
        self._lines = Lines(world, clock=clock, tell=self._tell, recorder=self.recorder)
        self._contexts = Contexts(self._lines)
        self._dialing = Dialing(
            self._lines, self._contexts, faults=faults, trunks=trunks, phones=phones, log_limit=log_limit
        )
        self._local = LocalChannels(self._lines)
        self.counts = self._lines.counts
        self.channels = self._lines.channels
        #: Conferences by name.
        self.rooms = self._lines.rooms.conferences

    @property
    def log(self) -> deque[CallRecord]:
        """Every originate received, oldest first; another deque can be put in its place, to keep them elsewhere too."""
        return self._dialing.log

    @log.setter
    def log(self, log: deque[CallRecord]) -> None:
        self._dialing.log = log

    @property
    def system_name(self) -> str:
        """Of asterisk.conf."""
        return self._tell.system_name

    def mute(self, names: frozenset[str]) -> None:
        """Nobody wants the events with these names, so they need not be worded."""
        self._tell.muted = names

    def next_deadline(self) -> float | None:
        """When `advance` has something to do."""
        return self._lines.timers.next_deadline()

    def advance(self, now: float) -> None:
        """Do what is due at `now`."""
        self._lines.timers.advance(now)

    def find(self, name: str) -> Channel | None:
        """The channel with this name or Uniqueid."""
        return self._lines.find(name)

    def originate(self, request: OriginateRequest, now: float) -> CallRecord | None:
        """Begin a call; whatever comes of it comes as events. None: a channel that calls nobody, and is not logged."""
        if request.endpoint not in LOCAL:
            return self._dialing.originate(request, now)
        self._local.originate(request, now)
        return None

    def hang_up(self, channel: Channel, cause: int, now: float, *, by: str = "dialer") -> None:
        """End a channel whatever it does. `cause` 0: none was given."""
        of_people = by in {"customer", "agent"}
        if channel.state is ChannelState.UP:
            self._lines.end(channel, cause or 16, by=by, requested=of_people)
        elif of_people:
            self._dialing.decline(channel)
        else:
            self._dialing.cancel(channel, cause, by)

    def redirect(self, channel: Channel, context: str, exten: str, priority: int, now: float) -> bool:
        """Send an answered channel elsewhere in the dialplan; False where it has not been answered."""
        if channel.state is not ChannelState.UP:
            return False
        self._tell.late_response(channel)
        channel.change(context=context, exten=exten, priority=priority, phase=Phase.MOVING)
        self._lines.timers.set(channel, now + between(STEP_S, channel.fate.shuffle[1]), self._contexts.enter)
        return True

    def set_variable(self, channel: Channel, name: str, value: str) -> None:
        """Set a channel variable."""
        channel.variables[name] = value
        self._tell.variable(channel, name, value)

    def user_event(self, name: str, headers: tuple[tuple[str, str], ...]) -> None:
        """The action UserEvent: no channel."""
        body = "".join(f"{key}: {value}\r\n" for key, value in headers)
        self._tell.event(EventClass.USER, "UserEvent", f"UserEvent: {name}\r\n{body}")

    def clear(self) -> None:
        """All channels and rooms are gone at once, as when the process is killed: no event is sent."""
        self._lines.clear()
