"""What a pacer is told and what it answers: the names that the dialer, the simulator and the benchmarks share."""

from __future__ import annotations

from collections.abc import Hashable
from enum import StrEnum
from typing import Protocol, runtime_checkable

from pacing.decision import Decision


class AgentState(StrEnum):
    """What an agent is doing, as far as pacing cares."""

    IDLE = "idle"
    TALKING = "talking"
    WRAPUP = "wrapup"
    AWAY = "away"  # on a break, signed out, phone lost: not to be counted on


class Outcome(StrEnum):
    """How a call ended that never reached a waiting live person."""

    BUSY = "busy"
    NO_ANSWER = "no_answer"
    INVALID = "invalid"
    MACHINE = "machine"
    CONGESTION = "congestion"
    CANCELLED = "cancelled"  # withdrawn by ourselves: says nothing about the person called
    FAILED = "failed"


@runtime_checkable
class Pacer(Protocol):
    """Paces the calls of one campaign's agents.

    Ids are any hashable value. Times are seconds as floats on one clock, any origin. Telephony repeats, reorders and
    loses events: none of these methods raises because of what an event says, and the state stays bounded.
    """

    def agent_changed(self, now: float, agent: Hashable, state: str) -> None:
        """The agent is now "idle", "talking", "wrapup" or "away"; an agent who signs out is "away"."""

    def agent_leaving(self, now: float, agent: Hashable, leaving: bool = True, at: float | None = None) -> None:
        """The agent will be away after the call or wrap-up of this moment (a pause was asked for, the shift ends).

        Such an agent is not counted on, but is not away before `agent_changed` says so; `leaving=False` takes it back.
        With `at`, after that of the moment `at` (the end of the shift): they are counted on until shortly before it,
        and again if they turn out to stay. Once is enough, at any time.
        """

    def call_started(self, now: float, call: Hashable, segment: Hashable = None) -> None:
        """The request to dial has been sent.

        `segment` is any hint that calls with the same one are answered alike (segment, hour, attempt number).
        """

    def call_ended(self, now: float, call: Hashable, outcome: str) -> None:
        """The call ended without a live person (see `Outcome`; an unknown word counts as "failed")."""

    def call_answered(self, now: float, call: Hashable) -> None:
        """A live person has answered and waits for an agent from now on."""

    def call_connected(self, now: float, call: Hashable, agent: Hashable) -> None:
        """The same person has an agent; the agent's change to "talking" came first."""

    def call_abandoned(self, now: float, call: Hashable) -> None:
        """Nobody was there within the time allowed, or the person hung up after waiting for more than that."""

    def decide(self, now: float) -> Decision:
        """How many calls to start now, and why."""

    def snapshot(self) -> dict[str, object]:
        """What the pacer knows and has learned, as plain values for a console or a log."""
