"""What the exchange is asked for, and what it writes down about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from dialer.simulation.world import Fate, Reaction


@dataclass(frozen=True, slots=True, kw_only=True)
class OriginateRequest:
    """An Originate that has passed the checks on its headers."""

    channel: str
    endpoint: str
    number: str
    is_agent: bool
    context: str
    exten: str
    timeout_s: float
    action_id: str
    channel_id: str
    caller_number: str = "<unknown>"
    caller_name: str = "<unknown>"
    variables: tuple[tuple[str, str], ...] = ()
    #: Called with the success instead of an OriginateResponse (Async: false).
    reply: Callable[[bool], None] | None = None


@dataclass(slots=True, kw_only=True, eq=False)
class CallRecord:
    """What the exchange knows of one originate that it received; tests hold it against what the dialer says.

    Moments are unix seconds of the exchange's clock, None where never reached.
    """

    #: When the action arrived.
    at: float
    #: ChannelId, or ActionID where none was given.
    call: str
    #: Digits dialed, or the name of an agent's phone.
    number: str
    trunk: str
    is_agent: bool
    #: Which attempt at this number it was, from 1; 0 for phones.
    attempt: int = 0
    #: None where no channel came to be.
    fate: Fate | None = None
    answered_at: float | None = None
    joined_at: float | None = None
    #: Room that the leg joined first.
    room: str = ""
    #: A verdict of machine detection was told.
    detected: str = ""
    message_played: bool = False
    #: Pressed the key that the message offers; heard that it was done.
    opted_out: bool = False
    goodbye_said: bool = False
    ended_at: float | None = None
    cause: int | None = None
    sip_code: int | None = None
    #: customer, agent, dialer (an AMI Hangup), network or dialplan.
    ended_by: str = ""
    #: Why it was never dialed.
    refused: str = ""


@dataclass(slots=True, kw_only=True)
class Counts:
    """Running totals since the start."""

    originates: int = 0
    answered: int = 0
    joined: int = 0
    ended: int = 0
    by_reaction: dict[Reaction, int] = field(default_factory=dict)
