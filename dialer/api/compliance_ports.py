"""What the API needs of the rest to show what is and was allowed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from msgspec import Struct

from dialer.compliance.evidence import Head, Link, Verification
from dialer.compliance.machine_error import Counted
from dialer.core.attempt import Attempt
from dialer.core.ids import CallId, CampaignId, ContactId, Phone


class JurisdictionRow(Struct, frozen=True, kw_only=True):
    """A country on file, or the policy."""

    name: str
    title: str
    #: Day on which somebody last went through it.
    reviewed: str
    #: Rules in force today, and of these how many rest on each mark.
    rules: int
    marks: dict[str, int]
    #: Campaigns that name it.
    campaigns: tuple[str, ...]


class RuleRow(Struct, frozen=True, kw_only=True):
    """A version of a rule of a jurisdiction that is in force."""

    version: str
    kind: str
    purposes: tuple[str, ...]
    parties: tuple[str, ...]
    #: Subdivisions where it holds; empty: everywhere.
    where: tuple[str, ...]
    says: str
    #: The same for a catalogue; an argument may be such a saying itself.
    code: str = ""
    arguments: dict[str, object] = {}
    source: str
    #: V: read in an official text, S: in a secondary one, M: from memory, ?: unsettled, policy: our own prudence.
    mark: str
    note: str
    since: str
    until: str | None
    #: Claims of a campaign that lift it.
    lifted_by: tuple[str, ...]


class OverrideRow(Struct, frozen=True, kw_only=True):
    """A rule that a named person has set aside for a campaign; it stays so."""

    campaign: str
    setting: str
    rule: str
    says: str
    by: str
    why: str
    #: Of the API key, or the user, that it came with.
    key: str
    #: Unix seconds.
    at: float
    #: What it says, for a catalogue; empty: in these words alone.
    code: str = ""
    arguments: dict[str, object] = {}


class PhoneLaw(Struct, frozen=True, kw_only=True):
    """What the law says of a call to one number of a contact now."""

    phone: str
    permitted: bool
    says: str
    #: The same for a catalogue.
    code: str = ""
    arguments: dict[str, object] = {}
    #: Of the record on which it rests.
    consent: str | None


class ConsentRow(Struct, frozen=True, kw_only=True):
    """What the CRM has told of a contact's consent, and what that allows now."""

    #: As it was told; empty: nothing.
    given: dict[str, object]
    #: Why it is not taken for a consent; empty: it is. The same for a catalogue.
    problem: str
    code: str = ""
    arguments: dict[str, object] = {}
    #: Each number, masked, with what the law says of a call to it now.
    phones: tuple[PhoneLaw, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceQuery:
    """Which records are wanted; None does not restrict. Moments in unix seconds, `until` not included."""

    phone: Phone | None = None
    campaign: CampaignId | None = None
    contact: ContactId | None = None
    since: float | None = None
    until: float | None = None


class Compliance(Protocol):
    """The law in force and the evidence (`dialer.runtime.compliance_view.ComplianceView`)."""

    def jurisdictions(self, now: float) -> Sequence[JurisdictionRow]:
        """All on file, those that a campaign names first, the policy last."""

    def rules(self, name: str, now: float) -> Sequence[RuleRow] | None:
        """The rules of one that are in force on that day; None: it is not on file."""

    async def overrides(self) -> Sequence[OverrideRow]:
        """Rules that are set aside, the latest first."""

    async def consent(self, campaign: CampaignId, contact: ContactId, now: float) -> ConsentRow | None:
        """What is on record of a contact's consent; None: there is no such contact."""

    async def counted(
        self,
        campaign: CampaignId,
        figure: Counted,
        since: float,
        until: float,
        before: tuple[float, CallId] | None,
        limit: int,
    ) -> Sequence[Attempt]:
        """Up to `limit` calls that a figure counts, the latest first, those that ended earlier than `before`."""

    async def head(self) -> Head:
        """Where the chain of evidence ends."""

    async def verify(self, start: Head) -> Verification:
        """Go through the chain from its beginning; `start` must be in it."""

    def find(self, wanted: EvidenceQuery) -> AsyncIterator[Link]:
        """Records of evidence in the order of their chain."""
