"""What rules would have done: the history of each contact is gone through call by call, as it happened. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from dialer.actions.matching import Past, PastCall, matching
from dialer.actions.rules import RuleSet

#: Contacts that are named for each rule.
_EXAMPLES: Final = 5


@dataclass(slots=True)
class RuleTally:
    """What one rule would have done."""

    rule: str
    action: str
    contacts: int = 0
    #: By campaign.
    campaigns: dict[str, int] = field(default_factory=dict)
    #: Campaign, contact and why, of some.
    examples: list[tuple[str, str, str]] = field(default_factory=list)


@dataclass(slots=True)
class DryRun:
    """What a set of rules would have done since some moment. Feed it pasts with `add`."""

    rules: RuleSet
    since: float
    contacts: int = 0
    calls: int = 0
    tallies: dict[str, RuleTally] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.tallies = {rule.name: RuleTally(rule.name, rule.then.kind) for rule in self.rules.rules}

    def add(self, past: Past) -> None:
        """Take in one contact. A rule that held before `since` is counted when it next could have fired."""
        self.contacts += 1
        fired: set[str] = set()
        for moment in moments(past):
            self.calls += 1
            if moment.calls[-1].ended_at < self.since:
                continue
            for found in matching(self.rules.rules, moment, fired):
                fired.add(found.rule.name)
                tally = self.tallies[found.rule.name]
                tally.contacts += 1
                tally.campaigns[past.campaign] = tally.campaigns.get(past.campaign, 0) + 1
                if len(tally.examples) < _EXAMPLES:
                    tally.examples.append((past.campaign, past.contact, found.why.says))
            # A contact that is moved away is called no more here; what follows in this history would not have been.
            if any(rule.then.move_to is not None and rule.name in fired for rule in self.rules.rules):
                return


def moments(past: Past) -> Iterator[Past]:
    """The past as it was after each call: without the calls that came later, and without codes given later."""
    for place in range(len(past.calls)):
        following = past.calls[place + 1].started_at if place + 1 < len(past.calls) else float("inf")
        known = [_as_of(call, following) for call in past.calls[: place + 1]]
        yield replace(past, calls=known)


def _as_of(call: PastCall, at: float) -> PastCall:
    if call.coded_at is None or call.coded_at < at:
        return call
    return replace(call, coded_at=None, category=None, is_sale=False, is_contact=False)
