"""What the rule book says about a campaign's settings, and the record of rules that somebody has set aside."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from dialer.api.ports import BrokenRule, RuleOverride
from dialer.compliance.campaign_limits import breaches_of
from dialer.compliance.evidence import Evidence, EvidenceKind
from dialer.compliance.rulebook import RuleBook
from dialer.core.campaign import Campaign
from dialer.core.ids import CampaignId
from dialer.storage.audit import Audit, AuditEntry
from dialer.storage.evidence import EvidenceStore


class BookedRules:
    """`dialer.api.ports.CampaignRules` on a rule book; overrides go to the audit trail and into the evidence."""

    def __init__(self, book: RuleBook, audit: Audit, evidence: EvidenceStore) -> None:
        self._book = book
        self._audit = audit
        self._evidence = evidence

    def broken(self, campaign: Campaign, now: float) -> Sequence[BrokenRule]:
        """The rules that its settings break today (UTC)."""
        today = datetime.fromtimestamp(now, UTC).date()
        return [
            BrokenRule(
                setting=breach.setting,
                rule=breach.rule.id,
                version=breach.rule.version,
                says=breach.says,
                of_law=breach.of_law,
            )
            for breach in breaches_of(self._book, campaign, today)
        ]

    async def set_aside(self, campaign: CampaignId, broken: BrokenRule, override: RuleOverride, now: float) -> None:
        """Both records are written when this returns; the evidence first, which cannot be changed any more."""
        facts: dict[str, object] = {
            "campaign": campaign,
            "setting": broken.setting,
            "rule": broken.version,
            "rule_book": self._book.version,
            "says": broken.says,
            "by": override.by,
            "why": override.why,
            "key": override.key,
        }
        reference = f"{campaign}:{broken.version}:{broken.setting}@{now!r}"
        await self._evidence.append(
            [Evidence(kind=EvidenceKind.OVERRIDE, reference=reference, at=now, facts=facts, personal={})]
        )
        await self._audit.append(AuditEntry(at=now, who=override.by, what="rule.overridden", details=facts))
