"""In-memory doubles for what stands between a node and its telephones: the switch and the screen of the law.

As in `dialer.testing`, each keeps what it was given, so that a test can look at it; none is a mock.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import TypeVar

from dialer.compliance.screening import Admitted, Caps, TurnedAway
from dialer.core.campaign import Campaign
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
    RecordingAnnounced,
    RecordingAnswered,
    ServerConnected,
    ServerLost,
    SwitchEvent,
)
from dialer.core.ids import AgentId, CallId, CampaignId, Phone, ServerName
from dialer.core.permit import Permit
from dialer.core.recording import RecordingOrder
from dialer.switch.port import HandOver, ServerStatus
from dialer.testing import ManualClock

SwitchCommand = (
    Originate
    | HangUp
    | ConnectCall
    | PlayMessage
    | SayGoodbye
    | CallAgent
    | HangUpAgent
    | Record
    | Announce
    | StopAnnouncement
    | Comfort
    | EndComfort
    | CallMonitor
    | ChangeMonitor
    | HangUpMonitor
    | FollowCall
)
Kind = TypeVar("Kind", bound=SwitchCommand)


class FakeSwitch:
    """A switch that calls nobody: it keeps the commands it was given, and delivers the events that it is told to.

    Args:
        servers: their names; each is connected, with nothing on it, as soon as `run` runs.
        now: the clock that its own events are stamped with.
        limit: events that may wait to be read; one more is an error of the test's.
    """

    def __init__(self, servers: Iterable[str] = ("pbx",), now: Callable[[], float] | None = None, limit: int = 10_000):
        self.commands: list[SwitchCommand] = []
        #: When each originate was handed over, as the caller's clock said.
        self.handed_over_at: dict[CallId, float] = {}
        #: What `originate` and `call_agent` answer on a connected server.
        self.hand_over = HandOver.HANDED_OVER
        #: Called from inside each command that reaches a connected server, as a driver's callback may be.
        self.on_command: Callable[[SwitchCommand], None] | None = None
        self._connected = {ServerName(name): False for name in servers}
        self._now = now or ManualClock().now
        self._events: asyncio.Queue[SwitchEvent | None] = asyncio.Queue(maxsize=limit)
        self._closed = asyncio.Event()

    # -- the test's side

    def of(self, kind: type[Kind]) -> list[Kind]:
        """The commands of one kind, in their order."""
        return [command for command in self.commands if isinstance(command, kind)]

    def deliver(self, event: SwitchEvent) -> None:
        """Let the reader of `events` find this."""
        self._events.put_nowait(event)

    def connect(self, server: str, *, calls: Iterable[CallId] = (), agents: Iterable[AgentId] = ()) -> None:
        """Let a server come (back), with these channels on it."""
        name = ServerName(server)
        self._connected[name] = True
        self.deliver(
            ServerConnected(at=self._now(), server=name, calls=frozenset(calls), agents=frozenset(agents)),
        )

    def lose(self, server: str, reason: str = "lost") -> None:
        """Let the connection to a server go."""
        name = ServerName(server)
        if self._connected[name]:
            self._connected[name] = False
            self.deliver(ServerLost(at=self._now(), server=name, reason=reason))

    # -- the port

    async def run(self) -> None:
        """See `dialer.switch.port.Switch`."""
        for server, connected in self._connected.items():
            if not connected:
                self.connect(server)
        await self._closed.wait()

    async def events(self) -> AsyncIterator[SwitchEvent]:
        """See `dialer.switch.port.Switch`; ends with `close`."""
        while (event := await self._events.get()) is not None:
            yield event

    def originate(self, command: Originate, now: float) -> HandOver:
        """See `dialer.switch.port.Switch`; like a real one it refuses what has expired."""
        if not command.permit.valid(now):
            return HandOver.PERMIT_EXPIRED
        handed = self._ring(command, command.server)
        if handed is HandOver.HANDED_OVER:
            self.handed_over_at[command.permit.call] = now
        return handed

    def call_agent(self, command: CallAgent) -> HandOver:
        """See `dialer.switch.port.Switch`."""
        return self._ring(command, command.server)

    def hang_up(self, command: HangUp) -> None:
        """See `dialer.switch.port.Switch`."""
        self._take(command)

    def connect_call(self, command: ConnectCall) -> None:
        """See `dialer.switch.port.Switch`."""
        self._take(command)
        if command.recording is not None and self._connected.get(command.server, False):
            start = RecordingOrder.START
            self.deliver(RecordingAnswered(at=self._now(), call=command.call, recording=command.recording, order=start))

    def play_message(self, command: PlayMessage) -> None:
        """See `dialer.switch.port.Switch`."""
        self._take(command)

    def say_goodbye(self, command: SayGoodbye) -> None:
        """See `dialer.switch.port.Switch`."""
        self._take(command)

    def follow(self, command: FollowCall) -> None:
        """See `dialer.switch.port.Switch`."""
        self._take(command)

    def hang_up_agent(self, command: HangUpAgent) -> None:
        """See `dialer.switch.port.Switch`."""
        self._take(command)

    def call_monitor(self, command: CallMonitor) -> None:
        """See `dialer.switch.port.Switch`."""
        self._take(command)

    def change_monitor(self, command: ChangeMonitor) -> None:
        """See `dialer.switch.port.Switch`."""
        self._take(command)

    def hang_up_monitor(self, command: HangUpMonitor) -> None:
        """See `dialer.switch.port.Switch`."""
        self._take(command)

    def record(self, command: Record) -> None:
        """See `dialer.switch.port.Switch`; it does what it is told, where it is connected."""
        self._take(command)
        problem = "" if self._connected.get(command.server, False) else "the server is not connected"
        self.deliver(
            RecordingAnswered(
                at=self._now(), call=command.call, recording=command.recording, order=command.order, problem=problem
            )
        )

    def announce(self, command: Announce) -> None:
        """See `dialer.switch.port.Switch`; it is over at once, where it is connected."""
        self._take(command)
        problem = "" if self._connected.get(command.server, False) else "the server is not connected"
        self.deliver(
            RecordingAnnounced(at=self._now(), call=command.call, recording=command.recording, problem=problem)
        )

    def stop_announcement(self, command: StopAnnouncement) -> None:
        """See `dialer.switch.port.Switch`."""
        self._take(command)

    def comfort(self, command: Comfort) -> None:
        """See `dialer.switch.port.Switch`."""
        self._take(command)

    def end_comfort(self, command: EndComfort) -> None:
        """See `dialer.switch.port.Switch`."""
        self._take(command)

    def status(self) -> Mapping[ServerName, ServerStatus]:
        """See `dialer.switch.port.Switch`."""
        return {
            name: ServerStatus(
                server=name,
                connected=connected,
                version="fake" if connected else "",
                problem="" if connected else "not connected",
                reconnects=0,
                round_trip_s=0.0 if connected else None,
            )
            for name, connected in self._connected.items()
        }

    async def close(self) -> None:
        """See `dialer.switch.port.Switch`."""
        if not self._closed.is_set():
            self._closed.set()
            await self._events.put(None)

    def _ring(self, command: Originate | CallAgent, server: ServerName) -> HandOver:
        if not self._connected.get(server, False):
            return HandOver.NOT_CONNECTED
        if self.hand_over is HandOver.HANDED_OVER:
            self._take(command)
        return self.hand_over

    def _take(self, command: SwitchCommand) -> None:
        if self._connected.get(command.server, False):
            self.commands.append(command)
            if self.on_command is not None:
                self.on_command(command)


class OpenScreen:
    """A `dialer.compliance.screening.Screen` that admits everybody, but for those it was told not to.

    Attributes:
        turned_away: answers by number.
        problems: why a campaign may not dial, by its id.
        judged: who was asked about, in order.
    """

    def __init__(self) -> None:
        self.turned_away: dict[Phone, TurnedAway] = {}
        self.problems: dict[CampaignId, str] = {}
        self.counted = Caps()
        self.judged: list[Permit] = []

    def problem(self, campaign: Campaign, now: float) -> str:
        """See `Screen`."""
        return self.problems.get(campaign.id, "")

    def caps(self, campaign: Campaign, now: float) -> Caps:
        """See `Screen`."""
        return self.counted

    def judge(
        self, permit: Permit, campaign: Campaign, now: float, phone: Phone | None = None
    ) -> Admitted | TurnedAway:
        """See `Screen`."""
        self.judged.append(permit)
        return self.turned_away.get(permit.phone, Admitted("{}"))
