"""The do-not-call registries that a node asks, as the API shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from dialer.core.ids import CampaignId
from dialer.core.saying import Saying


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryState:
    """One registry as it is now; None where no version of it is in force."""

    name: str
    version: str | None
    source: str | None
    source_date: str | None
    entries: int | None
    prefix_rules: int | None
    age_days: float | None
    max_age_days: float | None
    #: Why campaigns that must ask it may not dial; nothing: they may.
    refuses: Saying
    problem: Saying
    #: Rules of law that it answers, by id.
    answers: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryDemand:
    """A registry that the law of a campaign demands."""

    campaign: CampaignId
    #: Version of the rule, and its mark.
    rule: str
    mark: str
    registry: str
    #: What is missing and what to do; nothing: it is there, and young enough.
    problem: Saying


class RegistryStates(Protocol):
    """The do-not-call registries that this node asks (`dialer.runtime.node_registries.NodeRegistries`)."""

    def states(self, now: float) -> Sequence[RegistryState]:
        """Every registry of the settings, in their order."""

    def demands(self, now: float) -> Sequence[RegistryDemand]:
        """What the law of campaigns that name their jurisdictions demands, and whether it is met."""
