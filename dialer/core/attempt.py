"""The record of one attempt, made when it has ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dialer.core.decision import Decision
from dialer.core.ids import AgentId, CallId, CampaignId, ContactId, Phone, ServerName, TrunkName
from dialer.core.outcome import Outcome

#: The limit of records that do not say theirs: the one that regulators set.
LEGAL_LIMIT_S: Final = 2.0


def is_late(answered_at: float | None, connected_at: float | None, connect_within_s: float | None) -> bool:
    """Whether somebody met an agent later than allowed.

    The one rule for the pacer's budget, the live figures and the record; `dialer.storage.attempts` says it in SQL.
    """
    if answered_at is None or connected_at is None:
        return False
    return connected_at - answered_at > (LEGAL_LIMIT_S if connect_within_s is None else connect_within_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One call to one contact, from the originate to the end. All moments in unix seconds, None where never reached."""

    call: CallId
    campaign: CampaignId
    contact: ContactId
    phone: Phone
    #: From 1; 0: a server that was about to stop refused it, nobody was dialed, and it counts for nothing.
    attempt_number: int
    outcome: Outcome
    #: What ended it, in a word or two: a SIP status, "removed", "ring time-out", ….
    reason: str
    started_at: float
    ended_at: float
    server: ServerName | None = None
    trunk: TrunkName | None = None
    ringing_at: float | None = None
    answered_at: float | None = None
    #: Since when the person waits for an agent: the answer, or the verdict "human" of machine detection.
    waiting_at: float | None = None
    connected_at: float | None = None
    agent: AgentId | None = None
    cause: int = 0
    sip_code: int | None = None
    #: customer, agent, dialer or network.
    hung_up_by: str = ""
    #: Verdict of machine detection, and how long after the answer it came.
    machine_verdict: str | None = None
    machine_verdict_s: float | None = None
    caller_id: Phone | None = None
    message_played: bool = False
    method: str = ""
    #: What the campaign allowed between the answer and the agent; None in records older than this field.
    connect_within_s: float | None = None
    #: They objected to further calls, by key or to the agent.
    opted_out: bool = False
    #: Taken for a machine, and given to an agent all the same to see whether it was one.
    machine_sampled: bool = False
    #: What its carrier takes for it, in millionths of the currency; None: no rate was known.
    cost_micros: int | None = None
    #: Seconds that the carrier counts; None in records older than this field.
    billed_s: int | None = None

    #: Why it might be called, as JSON; for the evidence alone.
    verdict: str = ""
    #: Who wanted this very call; None: the pace of its campaign, or an appointment. For the evidence alone.
    decision: Decision | None = None

    @property
    def counts(self) -> bool:
        """Whether it was an attempt at the contact."""
        return self.attempt_number > 0

    @property
    def talk_s(self) -> float | None:
        """Seconds of talk with an agent."""
        return None if self.connected_at is None else max(0.0, self.ended_at - self.connected_at)

    @property
    def late(self) -> bool:
        """Whether an agent came, but later than the rule allows: such a person counts as abandoned."""
        return is_late(self.answered_at, self.connected_at, self.connect_within_s)

    @property
    def wait_s(self) -> float | None:
        """Seconds between the answer and the agent, or the end where none came."""
        if self.answered_at is None:
            return None
        return max(0.0, (self.connected_at if self.connected_at is not None else self.ended_at) - self.answered_at)
