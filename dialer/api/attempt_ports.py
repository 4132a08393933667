"""The record of calls: those that ended, those that a CRM made itself, and why calls were started or not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from dialer.compliance.machine_error import AnswerCounts
from dialer.core.attempt import Attempt
from dialer.core.ids import AgentId, CallId, CampaignId, ContactId, Phone
from dialer.core.outcome import Outcome
from dialer.core.pacing_entry import PacingEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptQuery:
    """Which ended calls are wanted; None does not restrict."""

    campaign: CampaignId | None = None
    contact: ContactId | None = None
    agent: AgentId | None = None
    outcome: str | None = None
    ended_from: float | None = None
    ended_before: float | None = None
    #: Of this tenant's campaigns; empty: of all.
    tenant: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenDisposition:
    """One code that a call was given."""

    code: str
    at: float
    by: str
    agent: str | None = None
    amount: str | None = None
    currency: str | None = None
    #: What the code meant then; None where its campaign did not say.
    category: str | None = None
    is_sale: bool | None = None
    is_contact: bool | None = None
    notes: str = ""
    ref: str | None = None


class Attempts(Protocol):
    """The record of ended calls."""

    async def get(self, call: CallId) -> Attempt | None:
        """One ended call."""

    async def page(self, query: AttemptQuery, before: tuple[float, CallId] | None, limit: int) -> Sequence[Attempt]:
        """Up to `limit` ended calls, newest first by (ended_at, call), those older than `before`."""

    async def dispositions(self, calls: Sequence[CallId]) -> Mapping[CallId, str]:
        """The latest code that each of these calls was closed with, where it was."""

    async def disposition_history(self, call: CallId) -> Sequence[GivenDisposition]:
        """All codes that a call was given, the latest first."""

    async def answer_counts(self, since: float, until: float) -> Mapping[CampaignId, AnswerCounts]:
        """What became of answered calls that ended in ``since <= at < until``, of each campaign that had any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CrmCall:
    """A call that a CRM made itself; moments in unix seconds."""

    id: str
    campaign: CampaignId
    phone: Phone
    started_at: float
    ended_at: float
    outcome: Outcome
    #: They called us; they want no more calls about it.
    inbound: bool
    refused: bool
    #: person, account and subject, where the CRM gave them.
    fields: Mapping[str, object]


class CallsElsewhere(Protocol):
    """Calls that caps count although the dialer did not make them (`dialer.runtime.counting.Counting`)."""

    async def made(self, calls: Sequence[CrmCall]) -> None:
        """Put them on record; from the return on the gate counts them. Can be repeated: an id counts once."""


class Pacing(Protocol):
    """The pacing journal."""

    async def between(
        self, campaign: CampaignId, since: float, until: float | None, after: tuple[float, str] | None, limit: int
    ) -> Sequence[PacingEntry]:
        """Up to `limit` rows of ``since <= at < until``, oldest first by (at, node), those behind `after`."""
