"""The do-not-call registries of this node, and what the law of its campaigns demands of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from dialer.api.registry_ports import RegistryDemand, RegistryState
from dialer.compliance.campaign_limits import registries as registries_demanded
from dialer.compliance.registry import Registries
from dialer.compliance.registry_demands import demand_problem
from dialer.compliance.registry_watch import RegistryWatch
from dialer.compliance.rulebook import RuleBook
from dialer.compliance.screening import terms_of
from dialer.core.campaign import Campaign
from dialer.core.floor import Floor
from dialer.errors import ConfigError


class NodeRegistries:
    """`dialer.api.registry_ports.RegistryStates`."""

    def __init__(self, book: RuleBook, watch: RegistryWatch, floor: Floor) -> None:
        self._book = book
        self._watch = watch
        self._floor = floor

    def states(self, now: float) -> Sequence[RegistryState]:
        """Every registry of the settings, in their order."""
        in_force = self._watch.registries
        answers = in_force.answers
        return [
            RegistryState(
                name=status.name,
                version=None if status.edition is None else status.edition.consulted.version,
                source=None if status.edition is None else status.edition.source,
                source_date=None if status.edition is None else status.edition.consulted.source_date.isoformat(),
                entries=None if status.edition is None else status.edition.count,
                prefix_rules=None if status.edition is None else len(status.edition.prefixes),
                age_days=status.age_days,
                max_age_days=status.max_age_days,
                refuses=status.refuses,
                problem=status.problem,
                answers=answers[status.name],
            )
            for status in in_force.status(now)
        ]

    def demands(self, now: float) -> Sequence[RegistryDemand]:
        """What the law of campaigns that name their jurisdictions demands, and whether it is met."""
        campaigns = (run.campaign for run in self._floor.campaigns.values())
        return demands_of(self._book, self._watch.registries, campaigns, now)


def demands_of(book: RuleBook, in_force: Registries, campaigns: Iterable[Campaign], now: float) -> list[RegistryDemand]:
    """The registries that the jurisdictions of campaigns demand; one that is not on file demands none here."""
    found = []
    today = datetime.fromtimestamp(now, UTC).date()
    for campaign in campaigns:
        terms = terms_of(campaign)
        try:
            seats = [book.named(name) for name in campaign.jurisdictions]
        except ConfigError:
            continue
        if not seats:
            continue
        for rule in registries_demanded(book, seats, terms.purpose, terms.party, today, terms.bases):
            problem = demand_problem(rule, in_force, campaign.id, now)
            found.append(
                RegistryDemand(
                    campaign=campaign.id,
                    rule=rule.version,
                    mark=str(rule.mark),
                    registry=rule.registry,
                    problem=problem,
                )
            )
    return found
