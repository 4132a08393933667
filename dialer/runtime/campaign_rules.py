"""What the rule book says about a campaign's settings, and the record of rules that somebody has set aside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime

from dialer.api.campaign_ports import BrokenRule, RuleOverride
from dialer.compliance.campaign_limits import breaches_of, registries
from dialer.compliance.evidence import Evidence, EvidenceKind
from dialer.compliance.registry import Registries
from dialer.compliance.registry_demands import demand_problem
from dialer.compliance.rulebook import RuleBook
from dialer.compliance.rules import Mark, RegistryRule
from dialer.compliance.screening import terms_of
from dialer.core.campaign import Campaign
from dialer.core.ids import CampaignId
from dialer.core.saying import Saying, plain
from dialer.runtime.rules_aside import OVERRIDDEN, RulesAside
from dialer.storage.audit import Audit, AuditEntry
from dialer.storage.evidence import EvidenceStore


class BookedRules:
    """`dialer.api.campaign_ports.CampaignRules` on a rule book; overrides go to audit trail and evidence."""

    def __init__(
        self,
        book: RuleBook,
        audit: Audit,
        evidence: EvidenceStore,
        registries: Callable[[], Registries] | None = None,
        aside: RulesAside | None = None,
    ) -> None:
        """Prepare.

        Args:
            book: the rules.
            audit: for people.
            evidence: for good.
            registries: those in force; None: they are not compared with what the law demands.
            aside: is told of every rule that is set aside.
        """
        self._book = book
        self._audit = audit
        self._evidence = evidence
        self._registries = registries
        self._aside = aside

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
                code=breach.code,
                arguments=breach.arguments,
            )
            for breach in breaches_of(self._book, campaign, today)
        ] + self._demands(campaign, today, now)

    def missing(self, campaign: Campaign, now: float) -> Sequence[Saying]:
        """See `CampaignRules`."""
        aside = () if self._aside is None else self._aside.of(campaign.id)
        today = datetime.fromtimestamp(now, UTC).date()
        return [problem for rule, problem in self._lacking(campaign, today, now) if rule.version not in aside]

    def _demands(self, campaign: Campaign, today: date, now: float) -> list[BrokenRule]:
        # Only told when settings are made: a registry may be built later. Without it nothing is started or dialed.
        return [
            BrokenRule(
                setting="registries",
                rule=rule.id,
                version=rule.version,
                says=problem.says,
                of_law=False,
                code="law_registry",
                arguments={"rule": rule.version, "registry": rule.registry},
            )
            for rule, problem in self._lacking(campaign, today, now)
        ]

    def _lacking(self, campaign: Campaign, today: date, now: float) -> list[tuple[RegistryRule, Saying]]:
        if self._registries is None or not campaign.jurisdictions:
            return []
        terms = terms_of(campaign)
        seats = [self._book.named(name) for name in campaign.jurisdictions]
        found = []
        for rule in registries(self._book, seats, terms.purpose, terms.party, today, terms.bases):
            problem = demand_problem(rule, self._registries(), campaign.id, now)
            if problem and rule.mark is not Mark.POLICY:
                found.append((rule, problem))
        return found

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
        told: dict[str, object] = {"code": broken.code, "arguments": plain(broken.arguments)}
        await self._audit.append(AuditEntry(at=now, who=override.by, what=OVERRIDDEN, details=facts | told))
        if self._aside is not None:
            self._aside.add(campaign, broken.version)
