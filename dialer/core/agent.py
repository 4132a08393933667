"""The states of an agent, and which happening leads where.

Agents are nailed up: their phone is called once at sign-in and stays in a room of its own; customers are moved into
it. `reserved` is the time between the choice of an agent and the customer's arrival in the room: an instant, or as long
as it rings where the agent is kept for this very call.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class AgentState(StrEnum):
    """Where an agent stands."""

    SIGNED_OUT = "signed_out"
    #: Their phone is being called.
    CONNECTING = "connecting"
    IDLE = "idle"
    RESERVED = "reserved"
    TALKING = "talking"
    WRAPUP = "wrapup"
    PAUSED = "paused"
    #: Signed in, but the phone is gone.
    LOST = "lost"


class AgentStep(StrEnum):
    """What can happen to an agent."""

    SIGN_IN = "sign_in"
    PHONE_UP_READY = "phone_up_ready"
    PHONE_UP_PAUSED = "phone_up_paused"
    PHONE_GONE = "phone_gone"
    RESERVE = "reserve"
    UNRESERVE = "unreserve"
    #: Back to the call that they were wrapping up.
    RESUME_WRAPUP = "resume_wrapup"
    JOIN = "join"
    TALK_ENDED = "talk_ended"
    READY = "ready"
    PAUSE = "pause"
    SIGN_OUT = "sign_out"
    RESUME_TALK = "resume_talk"


_S, _X = AgentState, AgentStep

#: A pair that is missing here cannot happen to that state; the engine reports it as ignored.
TRANSITIONS: Final[Mapping[tuple[AgentState, AgentStep], AgentState]] = {
    (_S.SIGNED_OUT, _X.SIGN_IN): _S.CONNECTING,
    (_S.LOST, _X.SIGN_IN): _S.CONNECTING,
    (_S.CONNECTING, _X.PHONE_UP_READY): _S.IDLE,
    (_S.CONNECTING, _X.PHONE_UP_PAUSED): _S.PAUSED,
    # The phone came back by itself, or a reconnection found it still in its room.
    (_S.LOST, _X.PHONE_UP_READY): _S.IDLE,
    (_S.LOST, _X.PHONE_UP_PAUSED): _S.PAUSED,
    # After a restart a talk was found to be going on.
    (_S.CONNECTING, _X.RESUME_TALK): _S.TALKING,
    (_S.CONNECTING, _X.PHONE_GONE): _S.LOST,
    (_S.IDLE, _X.PHONE_GONE): _S.LOST,
    (_S.RESERVED, _X.PHONE_GONE): _S.LOST,
    (_S.TALKING, _X.PHONE_GONE): _S.LOST,
    (_S.WRAPUP, _X.PHONE_GONE): _S.LOST,
    (_S.PAUSED, _X.PHONE_GONE): _S.LOST,
    (_S.IDLE, _X.RESERVE): _S.RESERVED,
    # The customer hung up, or could not be moved, before they met.
    (_S.RESERVED, _X.UNRESERVE): _S.IDLE,
    # They have asked for a call themselves.
    (_S.WRAPUP, _X.RESERVE): _S.RESERVED,
    (_S.PAUSED, _X.RESERVE): _S.RESERVED,
    (_S.RESERVED, _X.RESUME_WRAPUP): _S.WRAPUP,
    (_S.RESERVED, _X.JOIN): _S.TALKING,
    (_S.TALKING, _X.TALK_ENDED): _S.WRAPUP,
    (_S.WRAPUP, _X.READY): _S.IDLE,
    (_S.PAUSED, _X.READY): _S.IDLE,
    (_S.IDLE, _X.PAUSE): _S.PAUSED,
    (_S.WRAPUP, _X.PAUSE): _S.PAUSED,
    (_S.CONNECTING, _X.SIGN_OUT): _S.SIGNED_OUT,
    (_S.IDLE, _X.SIGN_OUT): _S.SIGNED_OUT,
    (_S.WRAPUP, _X.SIGN_OUT): _S.SIGNED_OUT,
    (_S.PAUSED, _X.SIGN_OUT): _S.SIGNED_OUT,
    (_S.LOST, _X.SIGN_OUT): _S.SIGNED_OUT,
}
