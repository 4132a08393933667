"""The port to whatever switches calls: Asterisk servers, or the embedded exchange behind the same wire protocol.

A switch takes commands and delivers events. Commands that ring a phone are handed to the AMI connection synchronously,
inside the call: when `originate` has returned HANDED_OVER, the bytes are with the transport. What becomes of it comes
as events. Nothing is ever sent twice.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

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


class HandOver(StrEnum):
    """What became of an originate. All but HANDED_OVER mean: not a byte was sent, give the contact back."""

    HANDED_OVER = "handed_over"
    NOT_CONNECTED = "not_connected"
    #: The connection has more bytes waiting than a person's call may wait behind.
    BACKPRESSURE = "backpressure"
    #: The server is about to stop.
    STOPPING = "stopping"
    PERMIT_EXPIRED = "permit_expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerStatus:
    """How one server is doing, for `doctor`, metrics and the console."""

    server: ServerName
    connected: bool
    #: Asterisk's version, where connected.
    version: str
    #: Last error in words that say what to do; empty where all is well. The same for a catalogue is at the end.
    problem: str
    reconnects: int
    #: Round trip of the last ping in seconds, None before the first.
    round_trip_s: float | None
    code: str = ""
    arguments: Mapping[str, object] = field(default_factory=dict, hash=False)


class Switch(Protocol):
    """What the runtime needs of a switch."""

    async def run(self) -> None:
        """Connect to every server, keep connected, deliver events; returns when `close` was called."""

    def events(self) -> AsyncIterator[SwitchEvent]:
        """Events of all servers in the order in which they were read. Bounded: a reader that lags stops the reading."""

    def originate(self, command: Originate, now: float) -> HandOver:
        """Hand a call to the server's AMI connection now, or say why not."""

    def hang_up(self, command: HangUp) -> None:
        """Ask for the end of a customer's channel; an unknown one is no error."""

    def connect_call(self, command: ConnectCall) -> None:
        """Move a customer into an agent's room; `CallJoined` says when they are there."""

    def play_message(self, command: PlayMessage) -> None:
        """Play a message and hang up; `MessagePlayed`, then `CallHungUp` follow.

        Where somebody presses the key, `CustomerOptedOut` comes with `MessagePlayed`, and they wait for `say_goodbye`.
        """

    def say_goodbye(self, command: SayGoodbye) -> None:
        """Say goodbye to somebody who has objected, and hang up."""

    def call_agent(self, command: CallAgent) -> HandOver:
        """Call an agent's phone; `AgentPhoneUp` or `AgentPhoneGone` follows."""

    def follow(self, command: FollowCall) -> None:
        """Follow a channel that another process began: `CallHungUp` follows its end, or at once where there is none."""

    def hang_up_agent(self, command: HangUpAgent) -> None:
        """End an agent's leg; `AgentPhoneGone` follows where there was one."""

    def call_monitor(self, command: CallMonitor) -> None:
        """Call a supervisor's phone; `MonitorPhoneUp` or `MonitorPhoneGone` follows, also where nothing was sent."""

    def change_monitor(self, command: ChangeMonitor) -> None:
        """Let a supervisor attend in another way, or another agent of their server."""

    def hang_up_monitor(self, command: HangUpMonitor) -> None:
        """End a supervisor's leg; `MonitorPhoneGone` follows where there was one."""

    def record(self, command: Record) -> None:
        """Start, pause, resume or stop a recording; `RecordingAnswered` follows, also where nothing could be sent."""

    def announce(self, command: Announce) -> None:
        """Let a room hear that it is about to be recorded; `RecordingAnnounced` follows, also where nothing is sent."""

    def stop_announcement(self, command: StopAnnouncement) -> None:
        """Break an announcement off, where it is still going on."""

    def comfort(self, command: Comfort) -> None:
        """Let a customer, and nobody else, hear that they are not forgotten; nothing follows."""

    def end_comfort(self, command: EndComfort) -> None:
        """They are talked with again; where they heard nothing, nothing happens."""

    def status(self) -> Mapping[ServerName, ServerStatus]:
        """How each server is doing."""

    async def close(self) -> None:
        """Log off and close the connections; calls go on in Asterisk."""
