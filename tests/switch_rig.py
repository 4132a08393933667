"""A running switch and counterparts for its tests: a scripted manager interface that misbehaves to order."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from random import Random
from typing import TypeVar

from dialer.ami import Decoder, Message, encode
from dialer.core.commands import CallAgent, ConnectCall, FollowCall, HangUp, Originate, PlayMessage
from dialer.core.events import SwitchEvent
from dialer.core.ids import AgentId, CallId, CampaignId, ContactId, Phone, ServerName, TrunkName
from dialer.core.permit import Permit
from dialer.runtime.clock import Clock
from dialer.settings import Ami, Asterisk, Settings, Tls, Trunk
from dialer.switch.asterisk import AsteriskSwitch
from dialer.switch.port import HandOver, ServerStatus
from tests.patience import PATIENCE_S

SERVER = ServerName("pbx")
BANNER = b"Asterisk Call Manager/11.0.0\r\n"
SECRET = "sesame"
#: Generous: a busy machine must not fail a test that is right.

T = TypeVar("T", bound=SwitchEvent)


class Rig:
    """A switch with one server, and what it told."""

    def __init__(self, switch: AsteriskSwitch, clock: Clock) -> None:
        self.switch = switch
        self.clock = clock
        self.events: list[SwitchEvent] = []
        self._came = asyncio.Event()

    async def read(self) -> None:
        async for event in self.switch.events():
            self.events.append(event)
            self._came.set()

    def of(self, kind: type[T], key: str | None = None) -> list[T]:
        """Events of one kind so far; with `key`, those of that call or agent."""
        return [
            event
            for event in self.events
            if isinstance(event, kind)
            and (key is None or key in {getattr(event, "call", None), getattr(event, "agent", None)})
        ]

    async def wait(self, kind: type[T], key: str | None = None, count: int = 1) -> T:
        """The `count`-th event of a kind, waited for."""
        await self.until(lambda: len(self.of(kind, key)) >= count, f"{count} {kind.__name__}")
        return self.of(kind, key)[count - 1]

    async def until(self, condition: Callable[[], bool], what: str = "") -> None:
        """Wait for a condition, with a deadline."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not condition():
                    self._came.clear()
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self._came.wait(), 0.01)
        except TimeoutError:
            raise AssertionError(f"never came: {what}; status {self.status}; events {self.events}") from None

    @property
    def status(self) -> ServerStatus:
        return self.switch.status()[SERVER]

    def originate(
        self,
        call: str,
        phone: str = "+34600111222",
        *,
        valid_s: float = 5.0,
        ring_s: float = 20.0,
        detection: str | None = None,
        trunk: str = "trunk",
        server: str = SERVER,
    ) -> HandOver:
        now = self.clock.now()
        permit = Permit(
            call=CallId(call),
            campaign=CampaignId("winter"),
            contact=ContactId("crm-1"),
            phone=Phone(phone),
            fencing_token=1,
            attempt_number=1,
            expires_at=now + valid_s,
        )
        command = Originate(
            permit=permit,
            server=ServerName(server),
            trunk=TrunkName(trunk),
            outer_limit_s=ring_s,
            caller_id=Phone("+34911222333"),
            machine_detection=detection,
        )
        return self.switch.originate(command, now)

    def call_agent(self, agent: str, phone: str) -> HandOver:
        return self.switch.call_agent(CallAgent(agent=AgentId(agent), phone=phone, server=SERVER))

    def hang_up(self, call: str) -> None:
        self.switch.hang_up(HangUp(call=CallId(call), server=SERVER))

    def follow(self, call: str) -> None:
        self.switch.follow(FollowCall(call=CallId(call), server=SERVER))

    def connect(self, call: str, agent: str) -> None:
        self.switch.connect_call(ConnectCall(call=CallId(call), agent=AgentId(agent), server=SERVER))

    def play(self, call: str, sound: str) -> None:
        self.switch.play_message(PlayMessage(call=CallId(call), message=sound, server=SERVER))


def settings_for(
    driver: str,
    port: int,
    *,
    host: str = "127.0.0.1",
    secret: str = SECRET,
    ami: Mapping[str, float] | None = None,
    tls: Tls | None = None,
    dial: str = "PJSIP/{number}@trunk",
    agent_dial: str = "PJSIP/{phone}",
) -> Settings:
    """Settings of one server, with quick reconnects."""
    options: dict[str, float] = {"reconnect_min_s": 0.01, "reconnect_max_s": 0.1, **(ami or {})}
    return Settings(
        ami=Ami(driver=driver, **options),  # type: ignore[arg-type]  # names of fields come from the tests
        asterisk=(
            Asterisk(
                name=SERVER,
                host=host,
                port=port,
                secret=secret,
                tls=tls or Tls(),
                trunks=(Trunk(name="trunk", dial=dial),),
                agent_dial=agent_dial,
            ),
        ),
    )


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Rig]:
    """A switch that runs, with its events read; closed at the end."""
    clock = Clock()
    switch = AsteriskSwitch(settings, now=clock.now, random=Random(7))
    rig = Rig(switch, clock)
    async with asyncio.TaskGroup() as group:
        group.create_task(switch.run())
        group.create_task(rig.read())
        try:
            yield rig
        finally:
            async with asyncio.timeout(PATIENCE_S):
                await switch.close()


class ScriptedServer:
    """A manager interface in the hands of a test: polite as long as it is not told otherwise."""

    def __init__(self) -> None:
        self.greeting = BANNER
        #: Action names that get no answer.
        self.mute: set[str] = set()
        #: Answers other than Success, by action name: headers after Response and ActionID.
        self.errors: dict[str, str] = {}
        self.rows: list[list[tuple[str, str]]] = []
        self.actions: list[Message] = []
        self.accepted = 0
        self.port = 0
        self._event_writers: list[asyncio.StreamWriter] = []
        self._writers: set[asyncio.StreamWriter] = set()
        self._stalled: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        #: What the operating system takes in for it while it does not read; None: as much as it likes.
        self.takes_in_bytes: int | None = None

    async def __aenter__(self) -> ScriptedServer:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if self.takes_in_bytes is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.takes_in_bytes)
        sock.bind(("127.0.0.1", self.port))
        self._server = await asyncio.start_server(self._serve, sock=sock)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        await self._server.wait_closed()

    def count(self, name: str) -> int:
        """How often an action came."""
        return sum(message.action == name for message in self.actions)

    def send(self, data: bytes) -> None:
        """To all connections that want events."""
        for writer in self._event_writers:
            writer.write(data)

    def event(self, name: str, **headers: str) -> None:
        self.send(encode([("Event", name), *((key.replace("_", "-"), value) for key, value in headers.items())]))

    def cut(self, *, politely: bool = False) -> None:
        """Close all connections; politely: after what was written."""
        for writer in [*self._writers]:
            if politely:
                writer.close()
            else:
                writer.transport.abort()
        self._event_writers.clear()

    def stall(self) -> None:
        """Read nothing more from the connections that there are."""
        self._stalled = set(self._writers)
        for writer in self._stalled:
            writer.transport.pause_reading()  # type: ignore[attr-defined]  # it reads as well

    def go_on(self) -> None:
        """Read what has come meanwhile, and on."""
        for writer in self._stalled & self._writers:
            writer.transport.resume_reading()  # type: ignore[attr-defined]

    @property
    def stalled_are_over(self) -> bool:
        """Whether the connections that were stalled have been read to their ends."""
        return not self._stalled & self._writers

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self._writers.add(writer)
        decoder = Decoder(expect_banner=False)
        try:
            writer.write(self.greeting)
            while data := await reader.read(65_536):
                for message in decoder.receive_data(data):
                    self.actions.append(message)
                    self._answer(message, writer)
        except (ConnectionError, OSError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    def _answer(self, message: Message, writer: asyncio.StreamWriter) -> None:
        name = message.action or ""
        if name in self.mute:
            return
        head = [("Response", "Success"), ("ActionID", message.action_id or "")]
        if name in self.errors:
            writer.write(encode([("Response", "Error"), head[1], ("Message", self.errors[name])]))
            return
        match name:
            case "Challenge":
                head.append(("Challenge", "12345"))
            case "Login":
                if message.get("Events") != "off":
                    self._event_writers.append(writer)
            case "CoreSettings":
                head.append(("AsteriskVersion", "22.0-scripted"))
            case "CoreShowChannels":
                head.append(("EventList", "start"))
            case "Logoff":
                head[0] = ("Response", "Goodbye")
        writer.write(encode(head))
        if name == "CoreShowChannels":
            for row in self.rows:
                writer.write(encode([("Event", "CoreShowChannel"), head[1], *row]))
            writer.write(encode([("Event", "CoreShowChannelsComplete"), head[1], ("EventList", "Complete")]))
