"""Channels and rooms as Asterisk has them, and how it prints them into events. No time, no I/O."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum, IntFlag, StrEnum, auto
from typing import Final

from dialer.simulation.records import CallRecord
from dialer.simulation.tape import Tape
from dialer.simulation.world import Fate

#: ITU-T Q.850 causes in Asterisk's words (main/channel.c).
CAUSE_TEXTS: Final[Mapping[int, str]] = {
    0: "Unknown",
    1: "Unallocated (unassigned) number",
    16: "Normal Clearing",
    17: "User busy",
    18: "No user responding",
    19: "User alerting, no answer",
    21: "Call Rejected",
    27: "Destination out of order",
    34: "Circuit/channel congestion",
    38: "Network out of order",
    127: "Interworking, unspecified",
}


class EventClass(IntFlag):
    """Classes of events and rights to actions; several of these make an event mask."""

    SYSTEM = auto()
    CALL = auto()
    LOG = auto()
    VERBOSE = auto()
    COMMAND = auto()
    AGENT = auto()
    USER = auto()
    CONFIG = auto()
    DTMF = auto()
    REPORTING = auto()
    CDR = auto()
    DIALPLAN = auto()
    ORIGINATE = auto()
    AGI = auto()
    CC = auto()
    AOC = auto()
    TEST = auto()
    SECURITY = auto()
    MESSAGE = auto()

    @classmethod
    def all(cls) -> EventClass:
        """Every class."""
        return cls((1 << len(cls)) - 1)

    @classmethod
    def parse(cls, text: str) -> EventClass | None:
        """A mask as Asterisk reads it: a number, yes or no, or names with commas. None where `text` is empty.

        Names that do not exist are passed over.
        """
        word = text.strip().lower()
        if not word:
            return None
        if word.isdecimal():
            return cls(int(word) & cls.all())
        if word in {"no", "false", "n", "f", "off"}:
            return cls(0)
        if word in {"yes", "true", "y", "t", "on"}:
            return cls.all()
        mask = cls(0)
        for part in word.split(","):
            name = part.strip().upper()
            if name == "ALL":
                mask |= cls.all()
            elif name in cls.__members__:
                mask |= cls[name]
        return mask


class ChannelState(IntEnum):
    """Asterisk's states of a channel that occur here."""

    DOWN = 0
    RINGING = 5
    UP = 6


_STATE_WORDS: Final = {ChannelState.DOWN: "Down", ChannelState.RINGING: "Ringing", ChannelState.UP: "Up"}


_UNKNOWN: Final = "<unknown>"


class Phase(StrEnum):
    """What a channel is doing."""

    DIALING = "dialing"
    #: Ringing or early media.
    PROCEEDING = "proceeding"
    #: Answered; the dialplan is about to begin.
    ANSWERED = "answered"
    DETECTING = "detecting"
    WAITING = "waiting"
    #: On the way into a room or to a message, after a Redirect.
    MOVING = "moving"
    IN_ROOM = "in_room"
    SPYING = "spying"
    LISTENING = "listening"
    ANNOUNCING = "announcing"


@dataclass(slots=True, kw_only=True, eq=False)
class Channel:
    """One leg: a customer's, or a phone of an agent or a supervisor."""

    name: str
    uniqueid: str
    #: Trunk or phone, which is a PJSIP endpoint.
    endpoint: str
    #: What was dialed, such as ``34600111222@carrier``.
    dial_string: str
    #: The ``Channel`` of the Originate.
    destination: str
    action_id: str
    fate: Fate
    is_agent: bool
    #: Where it goes once answered.
    answer_context: str
    answer_exten: str
    created_at: float
    #: On the clock of the scheduler.
    expires_at: float
    caller_number: str = _UNKNOWN
    caller_name: str = _UNKNOWN
    state: ChannelState = ChannelState.DOWN
    phase: Phase = Phase.DIALING
    context: str = "cadencia-inbound"
    exten: str = "s"
    priority: int = 1
    application: str = "AppDial2"
    application_data: str = "(Outgoing Line)"
    variables: dict[str, str] = field(default_factory=dict)
    #: Grows with every step, so that a timer knows that it is too late.
    epoch: int = 0
    answered_at: float = 0.0
    joined_at: float = 0.0
    #: When they press the key that the message offers.
    presses_at: float = math.inf
    room: Room | None = None
    #: The leg that a supervisor's hears.
    spied: Channel | None = None
    #: What records it (MixMonitor), and what is written of it where anything is.
    recording: bool = False
    tape: Tape | None = None
    #: OriginateResponse has not been sent yet.
    response_due: bool = True
    record: CallRecord | None = None
    reply: Callable[[bool], None] | None = None
    _block: str = ""

    def change(self, **changes: object) -> None:
        """Set attributes; what is printed follows."""
        for name, value in changes.items():
            setattr(self, name, value)
        self._block = ""

    @property
    def block(self) -> str:
        """The headers that describe the channel in every event about it, each line ended."""
        if not self._block:
            self._block = self._print("", self.caller_number, self.caller_name, self.caller_number, self.caller_name)
        return self._block

    @property
    def dest_block(self) -> str:
        """The headers that describe the channel where it is the one that is dialed."""
        return self._print("Dest", self.caller_number, self.caller_name, self.caller_number, self.caller_name)

    @property
    def unnamed_block(self) -> str:
        """As `block`, before the caller id is set."""
        return self._print("", _UNKNOWN, _UNKNOWN, _UNKNOWN, _UNKNOWN)

    @property
    def half_named_block(self) -> str:
        """As `block`, with the caller id but without the connected line."""
        return self._print("", self.caller_number, self.caller_name, _UNKNOWN, _UNKNOWN)

    def _print(self, x: str, number: str, name: str, connected_number: str, connected_name: str) -> str:
        return (
            f"{x}Channel: {self.name}\r\n{x}ChannelState: {self.state.value}\r\n"
            f"{x}ChannelStateDesc: {_STATE_WORDS[self.state]}\r\n"
            f"{x}CallerIDNum: {number}\r\n{x}CallerIDName: {name}\r\n"
            f"{x}ConnectedLineNum: {connected_number}\r\n{x}ConnectedLineName: {connected_name}\r\n"
            f"{x}Language: en\r\n{x}AccountCode: \r\n{x}Context: {self.context}\r\n{x}Exten: {self.exten}\r\n"
            f"{x}Priority: {self.priority}\r\n{x}Uniqueid: {self.uniqueid}\r\n{x}Linkedid: {self.uniqueid}\r\n"
        )

    @property
    def marked(self) -> bool:
        """Whether it is an agent's phone, which holds its room open; a supervisor's is not."""
        return self.is_agent and self.answer_context == "cadencia-agent"

    @property
    def call(self) -> str:
        """What the dialplan tells as ``Call``."""
        return self.variables.get("CADENCIA_CALL", "")


@dataclass(slots=True, kw_only=True, eq=False)
class Room:
    """A conference of ConfBridge, or the one bridge of all who wait."""

    name: str
    uniqueid: str
    #: In the order of their coming.
    members: list[Channel] = field(default_factory=list)
    conference: bool = True

    @property
    def marked(self) -> int:
        """How many agents' phones are in it."""
        return sum(member.marked for member in self.members)

    def block(self, channels: int) -> str:
        """The headers that describe it while `channels` people are in it; a conference has its announcer besides."""
        if not self.conference:
            return self._block("holding_bridge", "BridgeWait", channels)
        return self._block("softmix", "ConfBridge", channels + 1)

    def _block(self, technology: str, creator: str, channels: int) -> str:
        return (
            f"BridgeUniqueid: {self.uniqueid}\r\nBridgeType: base\r\nBridgeTechnology: {technology}\r\n"
            f"BridgeCreator: {creator}\r\nBridgeName: {self.name}\r\nBridgeNumChannels: {channels}\r\n"
            "BridgeVideoSourceMode: none\r\n"
        )


def spy_block(spy: Channel, spied: Channel) -> str:
    """Both channels of an event about listening, as Asterisk writes them."""
    return "".join(
        f"{side}{line}\r\n"
        for side, channel in (("Spyer", spy), ("Spyee", spied))
        for line in channel.block.split("\r\n")
        if line
    )
