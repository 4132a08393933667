"""Every indicator against figures computed by hand, and the page that defines them for people."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialer.reporting.figures import AgentTime, Figures
from dialer.reporting.indicators import INDICATORS, Costs, indicators

ROOT = Path(__file__).resolve().parents[2]
HOUR = 3_600_000

#: A morning: 400 calls, 120 people, 100 of them with an agent; two agents for two and a half hours.
MORNING = Figures(
    attempts=400,
    answered=180,
    live_answers=120,
    abandoned=3,
    connected=100,
    contacts=80,
    disposed=95,
    sales=16,
    promises=4,
    amounts={"EUR": Decimal("1999.20")},
    promised={"EUR": Decimal(300)},
    talk_ms=100 * 90_000,
    line_ms=600 * 60_000,
    wait_ms=100 * 450,
    lost_wait_ms=20 * 2_500,
    lost=20,
    agents=AgentTime(
        idle_ms=HOUR,
        reserved_ms=0,
        talking_ms=9_000_000,
        wrapup_ms=100 * 18_000,
        paused_ms=HOUR // 2,
    ),
    loaded=1_000,
    called=250,
)
COSTS = Costs(per_minute=Decimal("0.02"), per_agent_hour=Decimal(18))

#: By hand: 1 h idle, 2.5 h talking, 0.5 h wrapping up; so 4 h of work and 4.5 h signed in.
EXPECTED: dict[str, float | Decimal] = {
    "answer_rate": 0.3,
    "contact_rate": 0.2,
    "abandonment": 0.025,
    "penetration": 0.25,
    "average_wait_s": 0.45,
    "average_lost_wait_s": 2.5,
    "average_talk_s": 90.0,
    "average_wrapup_s": 18.0,
    "average_handle_time_s": 108.0,
    "average_agent_wait_s": 36.0,
    "agent_hours": 4.0,
    "occupancy": 0.75,
    "contacts_per_agent_hour": 20.0,
    "conversion": 0.2,
    "sales_per_agent_hour": 4.0,
    "amount_per_agent_hour": Decimal("499.8000"),
    "amount_per_sale": Decimal("124.9500"),
    # 600 minutes at 0.02, and 4.5 hours at 18.
    "cost": Decimal("93.0000"),
    "cost_per_contact": Decimal("1.1625"),
    "cost_per_sale": Decimal("5.8125"),
}


@pytest.mark.parametrize("name", [each.name for each in INDICATORS])
def test_an_indicator_is_what_the_hand_computes(name: str) -> None:
    found = indicators(MORNING, COSTS)[name]
    expected = EXPECTED[name]
    assert type(found) is type(expected)
    assert found == (pytest.approx(expected) if isinstance(expected, float) else expected)


def test_every_indicator_has_been_computed_by_hand() -> None:
    assert list(EXPECTED) == [each.name for each in INDICATORS]


def test_an_indicator_of_nothing_is_none_and_never_nought() -> None:
    found = indicators(Figures(agents=AgentTime()), COSTS)
    worth_something = {name for name, value in found.items() if value is not None}
    assert worth_something == {"agent_hours", "cost"}
    assert (found["agent_hours"], found["cost"]) == (0.0, Decimal("0.0000"))


def test_where_agents_cannot_be_told_apart_nothing_is_made_of_their_time() -> None:
    found = indicators(Figures(attempts=10, connected=5, contacts=5, sales=1, talk_ms=5_000), COSTS)
    unknown = {name for name, value in found.items() if value is None}
    assert {"occupancy", "agent_hours", "contacts_per_agent_hour", "average_handle_time_s", "cost_per_sale"} <= unknown
    assert found["average_talk_s"] == 1.0


def test_amounts_of_two_currencies_are_not_added() -> None:
    mixed = Figures(sales=2, amounts={"EUR": Decimal(1)}) + Figures(sales=1, amounts={"USD": Decimal(2)})
    assert mixed.amounts == {"EUR": Decimal(1), "USD": Decimal(2)}
    assert indicators(mixed, COSTS)["amount_per_sale"] is None


def test_the_page_defines_every_indicator_in_the_same_words() -> None:
    page = (ROOT / "docs" / "indicators.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", page, re.MULTILINE))
    assert {each.name: rows.get(each.name) for each in INDICATORS} == {each.name: each.says for each in INDICATORS}


money = st.dictionaries(st.sampled_from(["EUR", "USD"]), st.decimals(0, 10**9, places=2), max_size=2)
times = st.none() | st.builds(AgentTime, idle_ms=st.integers(0, 10**9), wrapup_ms=st.integers(0, 10**9))
sums: st.SearchStrategy[Any] = st.builds(
    Figures,
    attempts=st.integers(0, 10**6),
    sales=st.integers(0, 10**6),
    amounts=money,
    promised=money,
    talk_ms=st.integers(0, 10**12),
    agents=times,
    loaded=st.none() | st.integers(0, 10**6),
    called=st.none() | st.integers(0, 10**6),
)


@given(sums, sums, sums)
def test_figures_can_be_added_in_any_order(one: Figures, two: Figures, three: Figures) -> None:
    assert (one + two) + three == three + (two + one)
    assert one + Figures() == Figures() + one


@given(sums)
def test_every_indicator_is_defined_for_whatever_is_added_up(figures: Figures) -> None:
    for value in indicators(figures, COSTS).values():
        assert value is None or value >= 0
