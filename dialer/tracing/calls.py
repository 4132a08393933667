"""Calls as traces: a projection that makes spans of notices.

    attempt ─┬─ request ── gate ── dial ── ring ── detect ── wait ── talk
             ├─ agent (from the moment in which one is kept until both are in one room)
             ├─ objection
             ├─ wrap-up
             ├─ disposition
             └─ deliver (by the worker, `dialer.tracing.deliveries`)

Most of it is made when the call has ended, of the attempt that goes on record, so that a call which another node took
over is whole. What is kept meanwhile is bounded by campaigns, agents, and calls in flight that are traced.

Attributes are names that the operator chose, words of ours, figures and the call's id. Whom it was made to, by whom and
with what, words that came from elsewhere (why a call was ended, what an agent noted) and who the agent is are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import msgspec

from dialer.core.agent import AgentState
from dialer.core.attempt import Attempt
from dialer.core.ids import AgentId, CallId, CampaignId
from dialer.core.notices import (
    AgentChanged,
    AnyNotice,
    CallConnected,
    CallEnded,
    CallOptedOut,
    CallStarted,
    CallWasDisposed,
    GateAnswered,
    PaceDecided,
)
from dialer.core.outcome import Outcome
from dialer.tracing.places import Place, Places
from dialer.tracing.spans import Span, Value

#: What somebody who looks for trouble looks for.
_FAILURES: Final = frozenset({Outcome.ABANDONED, Outcome.CONGESTION, Outcome.FAILED, Outcome.LOST})
#: States in which an agent still has to do with the last call.
_WITH_CALL: Final = frozenset({AgentState.TALKING, AgentState.WRAPUP})
#: Of a gate's reasons; there are hardly so many.
_MOST_REASONS: Final = 20


@dataclass(frozen=True, slots=True)
class _Answer:
    """What the gate said last of a campaign, and what it was asked."""

    asked_at: float
    notice: GateAnswered
    #: None: somebody wanted a call, or the gate was asked whether a list that had been empty still is.
    decided: PaceDecided | None


class _Verdict(msgspec.Struct):
    """What of a permit's verdict (`dialer.compliance.screening`) is nobody's in particular."""

    book: str = ""
    asked: tuple[str, ...] = ()
    jurisdictions: tuple[str, ...] = ()
    zones: tuple[str, ...] = ()
    bases: tuple[str, ...] = ()
    registries: tuple[str, ...] = ()


_VERDICT: Final = msgspec.json.Decoder(_Verdict)


class CallTraces:
    """A projection.

    Args:
        places: where spans belong, and which contacts are traced.
        put: takes spans at once.
    """

    def __init__(self, places: Places, put: Callable[[Span], None]) -> None:
        self._places: Final = places
        self._put: Final = put
        self._decided: Final[dict[CampaignId, PaceDecided]] = {}
        self._answers: Final[dict[CampaignId, _Answer]] = {}
        #: How the traced calls in flight passed the gate; None: an earlier process knows.
        self._passed: Final[dict[CallId, _Answer | None]] = {}
        #: How long agents were reserved who have this moment been joined to a call.
        self._joined: Final[dict[AgentId, AgentChanged]] = {}
        #: The traced calls that agents are in, or wrap up.
        self._talks: Final[dict[AgentId, CallId]] = {}

    def __len__(self) -> int:
        """Things kept of calls in flight."""
        return len(self._passed) + len(self._joined) + len(self._talks)

    def apply(self, notice: AnyNotice) -> None:
        """Make of a notice what spans there are in it."""
        match notice:
            case PaceDecided():
                if notice.decision.dial:
                    self._decided[notice.campaign] = notice
            case GateAnswered():
                self._answered(notice)
            case CallStarted():
                if self._places.traced(notice.campaign, notice.contact):
                    self._passed[notice.call] = self._answers.get(notice.campaign)
            case CallConnected():
                self._connected(notice)
            case AgentChanged():
                self._agent_changed(notice)
            case CallOptedOut():
                if self._places.traced(notice.campaign, notice.contact):
                    self._moment("objection", notice.call, notice.at)
            case CallEnded():
                answer = self._passed.pop(notice.attempt.call, None)
                if self._places.traced(notice.attempt.campaign, notice.attempt.contact):
                    self._ended(notice, answer)
            case CallWasDisposed():
                if self._places.traced(notice.campaign, notice.contact):
                    self._disposed(notice)
            case _:
                pass  # of no call

    # ---- before the call

    def _answered(self, notice: GateAnswered) -> None:
        decided = self._decided.get(notice.campaign)
        if decided is not None and decided.decision.dial == notice.requested:
            del self._decided[notice.campaign]
        else:
            decided = None
        asked_at = notice.at if decided is None else min(decided.at, notice.at)
        self._answers[notice.campaign] = _Answer(asked_at, notice, decided)

    # ---- agents

    def _agent_changed(self, notice: AgentChanged) -> None:
        if notice.state is AgentState.TALKING and notice.previous is AgentState.RESERVED:
            self._joined[notice.agent] = notice  # who is talked with is told by the next notice
            return
        self._joined.pop(notice.agent, None)
        call = self._talks.get(notice.agent)
        if call is not None and notice.state not in _WITH_CALL:
            del self._talks[notice.agent]
            if notice.previous is AgentState.WRAPUP:
                self._part("wrap-up", self._places.call(call), notice.at - notice.previous_s, notice.at)

    def _connected(self, notice: CallConnected) -> None:
        joined = self._joined.pop(notice.agent, None)
        self._talks.pop(notice.agent, None)
        if not self._places.traced(notice.campaign, notice.contact):
            return
        self._talks[notice.agent] = notice.call
        if joined is not None and joined.call == notice.call:
            place = self._places.call(notice.call)
            self._part("agent", place, joined.at - joined.previous_s, max(joined.at, notice.at))

    # ---- calls

    def _disposed(self, notice: CallWasDisposed) -> None:
        attributes: dict[str, Value] = {}
        if notice.meaning is not None:  # else the code is whatever somebody wrote
            attributes["cadencia.code"] = notice.meaning.code
            attributes["cadencia.category"] = notice.meaning.category.value
            attributes["cadencia.sale"] = notice.meaning.is_sale
        self._moment("disposition", notice.call, notice.at, attributes)

    def _ended(self, notice: CallEnded, answer: _Answer | None) -> None:
        attempt = notice.attempt
        place = self._places.call(attempt.call)
        asked_at = attempt.started_at if answer is None else min(answer.asked_at, attempt.started_at)
        self._put(
            Span(
                name="attempt",
                place=place,
                started_at=asked_at,
                ended_at=attempt.ended_at,
                attributes=_of_attempt(attempt, notice.retry_at),
                links=(self._places.contact(attempt.campaign, attempt.contact),),
                error=attempt.outcome.value if attempt.outcome in _FAILURES else "",
            )
        )
        if answer is not None:
            # The gate's answer bears the moment in which it was asked; it is held until the originate is handed over.
            taken_at = min(answer.notice.at, attempt.started_at)
            self._part("request", place, asked_at, taken_at, _of_request(answer))
            self._part("gate", place, taken_at, attempt.started_at, _of_gate(attempt, answer))
        for name, began_at, over_at in _steps(attempt):
            self._part(name, place, began_at, over_at)

    def _moment(self, name: str, call: CallId, at: float, attributes: dict[str, Value] | None = None) -> None:
        """What may come to be told twice, and is told apart by when."""
        parent = self._places.call(call)
        place = self._places.within(parent, name, f"{at:.6f}")
        self._put(Span(name=name, place=place, parent=parent, started_at=at, ended_at=at, attributes=attributes or {}))

    def _part(
        self, name: str, parent: Place, started_at: float, ended_at: float, attributes: dict[str, Value] | None = None
    ) -> None:
        self._put(
            Span(
                name=name,
                place=self._places.within(parent, name),
                parent=parent,
                started_at=started_at,
                ended_at=max(started_at, ended_at),
                attributes=attributes or {},
            )
        )


def _steps(attempt: Attempt) -> Iterator[tuple[str, float, float]]:
    """What a call went through, with beginnings and ends."""
    end = attempt.ended_at
    rang_at, answered_at, connected_at = attempt.ringing_at, attempt.answered_at, attempt.connected_at
    picked_up_at = end if answered_at is None else answered_at
    yield "dial", attempt.started_at, picked_up_at if rang_at is None else min(rang_at, picked_up_at)
    if rang_at is not None:
        yield "ring", rang_at, picked_up_at
    if answered_at is None:
        return
    waiting_at = attempt.waiting_at
    if waiting_at is None and connected_at is not None:
        waiting_at = answered_at  # straight to the agent who was kept for them
    if attempt.machine_verdict is not None or waiting_at is None:
        told_at = waiting_at if attempt.machine_verdict_s is None else answered_at + attempt.machine_verdict_s
        yield "detect", answered_at, end if told_at is None else min(told_at, end)
    if waiting_at is not None:
        yield "wait", waiting_at, end if connected_at is None else connected_at
    if connected_at is not None:
        yield "talk", connected_at, end


def _of_attempt(attempt: Attempt, retry_at: float | None) -> dict[str, Value]:
    found: dict[str, Value | None] = {
        "cadencia.call": attempt.call,
        "cadencia.campaign": attempt.campaign,
        "cadencia.attempt": attempt.attempt_number,
        "cadencia.outcome": attempt.outcome.value,
        "cadencia.method": attempt.method or None,
        "cadencia.server": attempt.server,
        "cadencia.trunk": attempt.trunk,
        "cadencia.hung_up_by": attempt.hung_up_by or None,
        "cadencia.cause": attempt.cause or None,
        "cadencia.sip_code": attempt.sip_code,
        "cadencia.machine_verdict": attempt.machine_verdict,
        "cadencia.late": attempt.late or None,
        "cadencia.decided": None if attempt.decision is None else attempt.decision.kind.value,
        "cadencia.retry_in_s": None if retry_at is None else round(retry_at - attempt.ended_at, 3),
    }
    return {key: value for key, value in found.items() if value is not None}


def _of_request(answer: _Answer) -> dict[str, Value]:
    """Why so many were asked for."""
    found: dict[str, Value] = {"cadencia.requested": answer.notice.requested}
    if answer.decided is not None:
        decision = answer.decided.decision
        found |= {"cadencia.pace.limit": decision.limit, "cadencia.pace.threshold": decision.threshold}
        found |= {"cadencia.pace.idle": decision.idle, "cadencia.pace.in_flight": decision.in_flight}
    return found


def _of_gate(attempt: Attempt, answer: _Answer) -> dict[str, Value]:
    """Why this one was let through, and what became of those around it."""
    try:
        verdict = _VERDICT.decode(attempt.verdict) if attempt.verdict else _Verdict()
    except msgspec.DecodeError:
        verdict = _Verdict()  # of another version of the dialer
    notice = answer.notice
    found: dict[str, Value] = {
        "cadencia.rule_book": verdict.book,
        "cadencia.rules": verdict.asked,
        "cadencia.jurisdictions": verdict.jurisdictions,
        "cadencia.zones": verdict.zones,
        "cadencia.bases": verdict.bases,
        "cadencia.registries": verdict.registries,
        "cadencia.granted": notice.granted,
        "cadencia.ready": notice.ready,
        "cadencia.later": notice.later,
        **{f"cadencia.refused.{reason}": count for reason, count in notice.refused[:_MOST_REASONS]},
    }
    return {key: value for key, value in found.items() if value not in ("", ())}
