"""Registries that a rule demands, held against those of the settings: which is missing or too old, and what to do."""

from __future__ import annotations

from dialer.compliance.registry import Registries
from dialer.compliance.rules import RegistryRule
from dialer.core.ids import CampaignId
from dialer.core.saying import NOTHING, Saying, say


def demand_problem(rule: RegistryRule, registries: Registries, campaign: CampaignId, now: float) -> Saying:
    """Why `campaign` does not meet the rule at unix second `now`; nothing where it does.

    One registry that answers the rule, is asked by the campaign and is as young as the rule wants is enough.
    """
    states = {state.name: state for state in registries.status(now)}
    answering = registries.answering(rule.id, campaign)
    demand = f"{rule.version} ({rule.mark}) demands that {rule.registry} is asked"
    demanded = {"rule": rule.version, "mark": rule.mark.value, "registry": rule.registry}
    if not answering:
        return say(
            f"{demand}, and no registry of the settings answers it for this campaign: add [[registries.lists]] with "
            f'answers = ["{rule.id}"], and build it with cadencia registry build',
            code="registry_unanswered",
            id=rule.id,
            **demanded,
        )
    problems: list[Saying] = []
    for name in answering:
        state = states[name]
        if state.refuses:
            problems.append(state.refuses)
        elif rule.max_age_days is not None and state.age_days is not None and state.age_days > rule.max_age_days:
            problems.append(
                say(
                    f"registry {name} is {int(state.age_days)} days old, and the rule allows {rule.max_age_days}: "
                    "build a new version with cadencia registry build",
                    code="registry_older_than_rule",
                    registry=name,
                    age_days=int(state.age_days),
                    most_days=rule.max_age_days,
                )
            )
        else:
            return NOTHING
    says = f"{demand}: {'; '.join(map(str, problems))}"
    return say(says, code="registry_demanded", problems=problems, **demanded)
