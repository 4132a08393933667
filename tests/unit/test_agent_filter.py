"""Which agents the table shows: by name, state and campaign, as the address says."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from dialer.api.errors import ApiError
from dialer.console.agent_filter import EVERYBODY, AgentFilter
from dialer.console.pages import AGENT_STATES, Pages
from dialer.console.texts import texts
from dialer.projections.live_rows import AgentRow
from tests.unit.test_console_parts import view
from tests.unit.test_console_wallboard import agent

_NAMES = st.text("aAbB1-", min_size=1, max_size=4)
_AGENTS = st.lists(
    st.builds(
        lambda id, state, campaigns: replace(agent(id, state), campaigns=tuple(campaigns)),
        _NAMES,
        st.sampled_from(AGENT_STATES),
        st.sets(st.sampled_from(["winter", "spring"])),
    ),
    max_size=8,
)
_FILTERS = st.builds(
    AgentFilter.typed,
    st.text("aAbB1- ", max_size=2),
    st.sampled_from(["", *AGENT_STATES]),
    st.sampled_from(["", "winter", "nowhere"]),
)


@given(_AGENTS, _FILTERS)
def test_those_are_shown_of_whom_everything_is_true_that_is_asked_for(
    agents: list[AgentRow], wanted: AgentFilter
) -> None:
    for each in agents:
        true = (
            wanted.name in each.id.lower(),
            wanted.state in ("", each.state),
            wanted.campaign == "" or wanted.campaign in each.campaigns,
        )
        assert (each in wanted.of(agents)) == all(true)
    assert EVERYBODY.of(agents) == tuple(agents)


@given(_FILTERS)
def test_what_is_asked_for_survives_its_address(wanted: AgentFilter) -> None:
    given_so = dict(parse_qsl(wanted.query))
    assert AgentFilter.typed(**{"name": "", "status": "", "campaign": ""} | given_so) == wanted
    assert bool(wanted) == bool(wanted.query)
    assert dict(parse_qsl(urlsplit(wanted.at("idle")).query)) == given_so | {"status": "idle"}


def test_a_state_that_there_is_not_is_told_so() -> None:
    with pytest.raises(ApiError, match="status: must be one of idle, reserved"):
        AgentFilter.typed("", "asleep", "")


@pytest.mark.parametrize("language", ["en", "es"])
def test_hundreds_of_agents_are_narrowed_to_a_table_with_buttons(language: str) -> None:
    crew = tuple(agent(f"ana-{n:03}", "idle" if n % 5 else "talking") for n in range(500))
    shown = replace(view(), agents=crew)
    t, pages = texts(language), Pages()
    everybody = pages.render("part_agents", t, view=shown, alarms=(), wanted=EVERYBODY)
    some = pages.render("part_agents", t, view=shown, alarms=(), wanted=AgentFilter.typed("A-00", "talking", ""))
    assert (everybody.count("<tr id="), everybody.count("data-attend")) == (500, 0)
    assert (some.count("<tr id="), some.count('data-attend="barge"')) == (2, 2)
    assert t("agents.matching", count="2", total="500") in some
    nobody = pages.render("part_agents", t, view=shown, alarms=(), wanted=AgentFilter.typed("<b>", "", ""))
    assert t("agents.nobody") in nobody
