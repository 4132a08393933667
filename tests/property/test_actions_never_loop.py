"""No set of rules that is accepted can go on for ever, and none that could not is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialer.actions.matching import Past, PastCall, matching
from dialer.actions.rules import ANY, Rule, parse_rules, rule_set
from dialer.core.ids import CallId, CampaignId, ContactId, Phone
from dialer.core.outcome import Outcome
from dialer.errors import InputError

CAMPAIGNS = ["a", "b", "c", "d"]
#: Named by no rule.
ELSEWHERE = "elsewhere"

conditions: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [{"attempts": 1}, {"attempts": 2}, {"outcomes": ["no_answer"]}, {"failed_contacts": 1}, {"sale": False}]
)
deeds: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.sampled_from(CAMPAIGNS).map(lambda name: {"move_to": name}),
    st.just({"priority": 5}),
    st.just({"ask": {"what": "sms"}}),
    st.just({"call_again": {}}),
)
places = st.just([ANY]) | st.lists(st.sampled_from(CAMPAIGNS), min_size=1, max_size=3, unique=True)


@st.composite
def rules(draw: st.DrawFn) -> list[Rule]:
    made: list[Rule] = []
    for number in range(draw(st.integers(1, 6))):
        about, then = draw(places), draw(deeds)
        if about != [then.get("move_to")]:  # refused for itself
            rule = {"name": f"r{number}", "campaigns": about, "when": draw(conditions), "then": then}
            made += parse_rules({"rules": [rule]})
    return made


calls = st.lists(st.tuples(st.sampled_from(list(Outcome)), st.sampled_from([None, "refused", "sale"])), max_size=12)


def goes_round(made: list[Rule]) -> bool:
    """By brute force: some campaign can be come back to in as many steps as there are campaigns."""
    ways = {
        (source, rule.then.move_to)
        for rule in made
        if rule.then.move_to is not None
        for source in (CAMPAIGNS if ANY in rule.campaigns else rule.campaigns)
        if source != rule.then.move_to
    }
    reached = set(ways)
    for _ in CAMPAIGNS:
        reached |= {(one, four) for one, two in reached for three, four in ways if two == three}
    return any(one == two for one, two in reached)


@given(rules())
def test_a_set_is_refused_where_its_moves_go_round_and_only_there(made: list[Rule]) -> None:
    if goes_round(made):
        with pytest.raises(InputError, match="round and round"):
            rule_set(made)
    else:
        assert rule_set(made).rules == tuple(made)


@given(rules(), st.sampled_from([*CAMPAIGNS, ELSEWHERE]), calls)
def test_whatever_happens_to_a_person_ends(
    made: list[Rule], start: str, happening: list[tuple[Outcome, str | None]]
) -> None:
    try:
        accepted = rule_set(made).rules
    except InputError:
        return
    at = CampaignId(start)
    been = [at]
    fired: dict[CampaignId, set[str]] = {}
    history: dict[CampaignId, list[PastCall]] = {}
    for number, (outcome, category) in enumerate(happening):
        history.setdefault(at, []).append(
            PastCall(
                call=CallId(f"c-{number}"),
                phone=Phone("+34600111222"),
                started_at=float(number),
                ended_at=number + 0.5,
                outcome=outcome,
                coded_at=None if category is None else number + 0.6,
                category=category,
                is_sale=category == "sale",
                is_contact=category is not None,
            )
        )
        # As long as something fires, everything is looked at again: it must come to rest by itself.
        looks = 0
        while True:
            looks += 1
            assert looks <= len(accepted) + 1
            here = fired.setdefault(at, set())
            past = Past(campaign=at, contact=ContactId("x"), calls=history.get(at, []))
            found = matching(accepted, past, here)
            if not found:
                break
            for one in found:
                assert one.rule.name not in here
                here.add(one.rule.name)
                if one.rule.then.move_to is not None:
                    at = CampaignId(one.rule.then.move_to)
                    been.append(at)
                    break
    assert len(been) == len(set(been)), "nobody comes back to where they were"
    assert sum(map(len, fired.values())) <= len(accepted) * len(been)
