"""The `Switch` port on real Asterisk servers, or on whatever else speaks their manager interface."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from random import Random

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
from dialer.core.events import SwitchEvent
from dialer.core.ids import ServerName
from dialer.settings import Settings
from dialer.switch.port import HandOver, ServerStatus
from dialer.switch.server import AsteriskServer
from dialer.switch.stream import EventStream


class AsteriskSwitch:
    """All servers of the settings as one switch."""

    def __init__(self, settings: Settings, *, now: Callable[[], float], random: Random) -> None:
        """A switch not connected yet; `run` does that.

        Args:
            settings: its ``asterisk`` and ``ami`` parts and the node's name are used.
            now: unix seconds of the one clock.
            random: for the jitter of reconnects, and to tell this run's channels from an earlier one's.
        """
        self._stream = EventStream(self._flow)
        self._servers = {
            ServerName(server.name): AsteriskServer(
                server, settings.ami, deliver=self._stream.put, now=now, random=random, node=settings.node
            )
            for server in settings.asterisk
        }

    async def run(self) -> None:
        """Connect to every server, keep connected, deliver events; returns when `close` was called."""
        async with asyncio.TaskGroup() as group:
            for name, server in self._servers.items():
                group.create_task(server.links.run(), name=f"asterisk-{name}")
        self._stream.close()

    def events(self) -> AsyncIterator[SwitchEvent]:
        """Events of all servers in the order in which they were read. One reader."""
        return self._stream.read()

    def originate(self, command: Originate, now: float) -> HandOver:
        """Hand a call to the server's AMI connection now, or say why not."""
        server = self._servers.get(command.server)
        return server.originate(command, now) if server is not None else HandOver.NOT_CONNECTED

    def hang_up(self, command: HangUp) -> None:
        """Ask for the end of a customer's channel; an unknown one is no error."""
        server = self._servers.get(command.server)
        if server is not None:
            server.hang_up(command)

    def follow(self, command: FollowCall) -> None:
        """Follow a channel that another process began; `CallHungUp` follows its end."""
        server = self._servers.get(command.server)
        if server is not None:
            server.follow(command)

    def connect_call(self, command: ConnectCall) -> None:
        """Move a customer into an agent's room; `CallJoined` says when they are there."""
        server = self._servers.get(command.server)
        if server is not None:
            server.connect_call(command)

    def play_message(self, command: PlayMessage) -> None:
        """Play a message and hang up; `MessagePlayed`, then `CallHungUp` follow."""
        server = self._servers.get(command.server)
        if server is not None:
            server.play_message(command)

    def say_goodbye(self, command: SayGoodbye) -> None:
        """Say goodbye to somebody who has objected, and hang up; `CallHungUp` follows."""
        server = self._servers.get(command.server)
        if server is not None:
            server.say_goodbye(command)

    def call_agent(self, command: CallAgent) -> HandOver:
        """Call an agent's phone; `AgentPhoneUp` or `AgentPhoneGone` follows."""
        server = self._servers.get(command.server)
        return server.call_agent(command) if server is not None else HandOver.NOT_CONNECTED

    def hang_up_agent(self, command: HangUpAgent) -> None:
        """End an agent's leg; `AgentPhoneGone` follows where there was one."""
        server = self._servers.get(command.server)
        if server is not None:
            server.hang_up_agent(command)

    def call_monitor(self, command: CallMonitor) -> None:
        """Call a supervisor's phone; `MonitorPhoneUp` or `MonitorPhoneGone` follows."""
        server = self._servers.get(command.server)
        if server is not None:
            server.call_monitor(command)

    def change_monitor(self, command: ChangeMonitor) -> None:
        """Let a supervisor attend in another way, or another agent."""
        server = self._servers.get(command.server)
        if server is not None:
            server.change_monitor(command)

    def hang_up_monitor(self, command: HangUpMonitor) -> None:
        """End a supervisor's leg; `MonitorPhoneGone` follows where there was one."""
        server = self._servers.get(command.server)
        if server is not None:
            server.hang_up_monitor(command)

    def record(self, command: Record) -> None:
        """Start, pause, resume or stop a recording; `RecordingAnswered` follows."""
        server = self._servers.get(command.server)
        if server is not None:
            server.record(command)

    def announce(self, command: Announce) -> None:
        """Let a room hear that it is about to be recorded; `RecordingAnnounced` follows."""
        server = self._servers.get(command.server)
        if server is not None:
            server.announce(command)

    def stop_announcement(self, command: StopAnnouncement) -> None:
        """Break an announcement off, where it is still going on."""
        server = self._servers.get(command.server)
        if server is not None:
            server.stop_announcement(command)

    def comfort(self, command: Comfort) -> None:
        """Let a customer, and nobody else, hear that they are not forgotten."""
        server = self._servers.get(command.server)
        if server is not None:
            server.comfort(command)

    def end_comfort(self, command: EndComfort) -> None:
        """They are talked with again; where they heard nothing, nothing happens."""
        server = self._servers.get(command.server)
        if server is not None:
            server.end_comfort(command)

    async def set_phone_key(self, server: ServerName, phone: str, key: str, realm: str) -> str:
        """Let a browser's phone register with this password and no other from now on; why not, or nothing."""
        found = self._servers.get(server)
        return await found.set_phone_key(phone, key, realm) if found is not None else "there is no such server"

    @property
    def waiting(self) -> int:
        """Events that have been read and not yet been taken."""
        return len(self._stream)

    def status(self) -> Mapping[ServerName, ServerStatus]:
        """How each server is doing."""
        return {name: server.links.status() for name, server in self._servers.items()}

    async def close(self) -> None:
        """Log off and close the connections; calls go on in Asterisk."""
        await asyncio.gather(*(server.links.close() for server in self._servers.values()))

    def _flow(self, go: bool) -> None:
        for server in self._servers.values():
            server.links.flow(go)
