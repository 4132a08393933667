"""The Asterisk Manager Interface as pure code: bytes in, frozen messages and events out; no socket, no clock.

`framing` cuts bytes into messages, `messages` gives access to their headers, `actions` writes actions (and, for the
embedded exchange, events) so that nothing hostile reaches the wire, and `connection` adds log-in, correlation by
ActionID, lists and time-outs.
"""

from __future__ import annotations

from dialer.ami.actions import Action, encode, encode_action
from dialer.ami.connection import AmiConnection, AmiState, Authentication
from dialer.ami.events import (
    ActionTimedOut,
    AmiEvent,
    Closed,
    EventReceived,
    LoggedIn,
    LoginRefused,
    PongReceived,
    ResponseReceived,
    UnmatchedResponse,
)
from dialer.ami.framing import Decoder
from dialer.ami.messages import Message

__all__ = [
    "Action",
    "ActionTimedOut",
    "AmiConnection",
    "AmiEvent",
    "AmiState",
    "Authentication",
    "Closed",
    "Decoder",
    "EventReceived",
    "LoggedIn",
    "LoginRefused",
    "Message",
    "PongReceived",
    "ResponseReceived",
    "UnmatchedResponse",
    "encode",
    "encode_action",
]
