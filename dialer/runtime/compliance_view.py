"""What a node can show of the law in force, of rules set aside, and of the evidence; thin over what keeps it."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime

from dialer.api.compliance_ports import ConsentRow, EvidenceQuery, JurisdictionRow, OverrideRow, PhoneLaw, RuleRow
from dialer.compliance.consent import Unusable, read_consent
from dialer.compliance.evidence import GENESIS, Head, Link, Verification
from dialer.compliance.jurisdiction import Jurisdiction
from dialer.compliance.machine_error import Counted
from dialer.compliance.rule_words import demanded
from dialer.compliance.rules import KIND_OF
from dialer.compliance.screening import Screening
from dialer.compliance.verdict_record import law_told, verdict_record
from dialer.core.attempt import Attempt
from dialer.core.contact_phone import PhoneTerms
from dialer.core.floor import Floor
from dialer.core.ids import CallId, CampaignId, ContactId, masked
from dialer.core.saying import NOTHING, say
from dialer.runtime.explanation import whereabouts
from dialer.runtime.rules_aside import OVERRIDDEN
from dialer.storage.audit import Audit, AuditEntry
from dialer.storage.campaigns import Campaigns
from dialer.storage.contacts import Contacts
from dialer.storage.counted_calls import counted_calls
from dialer.storage.database import Database
from dialer.storage.evidence import EvidenceFilter, EvidenceStore


class ComplianceView:
    """`dialer.api.compliance_ports.Compliance`."""

    def __init__(self, database: Database, screening: Screening, floor: Floor) -> None:
        self._database = database
        self._evidence = EvidenceStore(database)
        self._screening = screening
        self._floor = floor

    # ---- the law

    def jurisdictions(self, now: float) -> Sequence[JurisdictionRow]:
        """All on file."""
        book = self._screening.book
        named: dict[str, set[str]] = {}
        for run in self._floor.campaigns.values():
            for name in run.campaign.jurisdictions:
                named.setdefault(name.partition("-")[0], set()).add(run.campaign.id)
        rows = [self._row(one, now, named.get(one.country, set())) for one in book.countries.values()]
        return [*sorted(rows, key=lambda row: (not row.campaigns, row.name)), self._row(book.policy, now, set())]

    def _row(self, one: Jurisdiction, now: float, campaigns: set[str]) -> JurisdictionRow:
        rules = [rule for rule in one.rules if rule.in_force(datetime.fromtimestamp(now, UTC).date())]
        return JurisdictionRow(
            name=one.country,
            title=one.name,
            reviewed=one.reviewed.isoformat(),
            rules=len(rules),
            marks=dict(sorted(Counter(rule.mark.value for rule in rules).items())),
            campaigns=tuple(sorted(campaigns)),
        )

    def rules(self, name: str, now: float) -> Sequence[RuleRow] | None:
        """The rules of one in force."""
        book = self._screening.book
        one = book.policy if name == book.policy.country else book.countries.get(name)
        if one is None:
            return None
        today = datetime.fromtimestamp(now, UTC).date()
        found = [(rule, demanded(book, rule)) for rule in one.rules if rule.in_force(today)]
        return [
            RuleRow(
                version=rule.version,
                kind=KIND_OF[type(rule)],
                purposes=tuple(sorted(purpose.value for purpose in rule.purposes)),
                parties=tuple(sorted(party.value for party in rule.parties)),
                where=tuple(sorted(rule.where)),
                says=told.says,
                code=told.code,
                arguments=dict(told.arguments),
                source=rule.source,
                mark=rule.mark.value,
                note=rule.note,
                since=rule.from_day.isoformat(),
                until=None if rule.until_day is None else rule.until_day.isoformat(),
                lifted_by=tuple(sorted(basis.value for basis in rule.lifted_by)),
            )
            for rule, told in found
        ]

    async def overrides(self) -> Sequence[OverrideRow]:
        """Rules that are set aside."""
        return [override_of(entry) for entry in reversed(await Audit(self._database).of_kind(OVERRIDDEN))]

    async def consent(self, campaign: CampaignId, contact: ContactId, now: float) -> ConsentRow | None:
        """What is on record of a contact's consent."""
        stored = await Contacts(self._database).get(campaign, contact)
        kept = await Campaigns(self._database).get(campaign)
        if stored is None or kept is None:
            return None
        given = stored.contact.consent
        read = read_consent(given, person=contact) if given else None
        phones = []
        for phone in stored.contact.phones:
            terms = stored.contact.phone_terms.get(phone, PhoneTerms())
            called = whereabouts(stored.contact, phone)
            verdict = self._screening.explain(called, kept.campaign, now, given, terms.hours)
            code, arguments = law_told(verdict_record(verdict))
            phones.append(
                PhoneLaw(
                    phone=masked(phone),
                    permitted=verdict.permit,
                    says=verdict.says,
                    consent=verdict.consent_id,
                    code=code,
                    arguments=arguments,
                )
            )
        problem = read.problem if isinstance(read, Unusable) else NOTHING
        return ConsentRow(
            given=dict(given),
            problem=problem.says,
            phones=tuple(phones),
            code=problem.code,
            arguments=dict(problem.arguments),
        )

    # ---- the record

    async def counted(
        self,
        campaign: CampaignId,
        figure: Counted,
        since: float,
        until: float,
        before: tuple[float, CallId] | None,
        limit: int,
    ) -> Sequence[Attempt]:
        """The calls behind a figure of abandonment."""
        return await counted_calls(self._database, campaign, figure, since, until, before=before, limit=limit)

    async def head(self) -> Head:
        """Where the chain of evidence ends."""
        return await self._evidence.head()

    async def verify(self, start: Head) -> Verification:
        """Go through the chain from its beginning; `start` must be in it."""
        whole = await self._evidence.verify()
        if not whole.broken and start != GENESIS and not await self._evidence.has(start):
            says = f"the head {start.number} that was kept is not in this chain"
            broken = say(says, code="evidence_head_unknown", number=start.number)
            return Verification(intact=whole.intact, erased=whole.erased, head=whole.head, broken=broken)
        return whole

    def find(self, wanted: EvidenceQuery) -> AsyncIterator[Link]:
        """Records of evidence."""
        return self._evidence.find(
            EvidenceFilter(
                phone=wanted.phone,
                campaign=wanted.campaign,
                contact=wanted.contact,
                since=wanted.since,
                until=wanted.until,
            )
        )


def override_of(entry: AuditEntry) -> OverrideRow:
    """A rule set aside, as it stands on record; those of an earlier version have no code."""
    details = entry.details
    told = {name: str(details.get(name, "")) for name in ("campaign", "setting", "rule", "says", "why", "key", "code")}
    arguments = details.get("arguments")
    return OverrideRow(**told, by=entry.who, at=entry.at, arguments=arguments if isinstance(arguments, dict) else {})
