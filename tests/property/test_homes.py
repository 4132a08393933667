"""Where requests belong: addresses read as they are routed, and homes chosen alike by whoever is asked."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialer.runtime.concerns import About, Concern, concern, node_of_call
from dialer.runtime.home_choice import Candidate, choose_home

NODES = ("n1", "n2", "n3")
SERVERS = ("pbx1", "pbx2")
CAMPAIGNS = ("winter", "summer")

CANDIDATES = st.lists(
    st.builds(
        Candidate,
        node=st.sampled_from(NODES),
        servers=st.frozensets(st.sampled_from(SERVERS)),
        agents=st.integers(0, 8),
        of_campaigns=st.dictionaries(st.sampled_from(CAMPAIGNS), st.integers(0, 8)),
        room_for=st.integers(1, 6),
    ),
    min_size=1,
    unique_by=lambda one: one.node,
)
WISHES = st.lists(st.sampled_from(CAMPAIGNS), min_size=1)
ANY_SERVER = st.none() | st.sampled_from(SERVERS)


@pytest.mark.parametrize(
    ("method", "path", "wanted"),
    [
        ("GET", "/api/v1/agents", Concern(About.ANYBODY)),
        ("GET", "/api/v1/agents/ann", Concern(About.AGENT, "ann")),
        ("POST", "/api/v1/agents/ann/sign-in", Concern(About.SIGN_IN, "ann")),
        ("POST", "/api/v1/agents/ann/sign-in/x", Concern(About.AGENT, "ann")),
        ("POST", "/api/v1/agents/ann/pause", Concern(About.AGENT, "ann")),
        ("DELETE", "/api/v1/agents/ann/monitor", Concern(About.AGENT, "ann")),
        ("POST", "/api/v1/agents/ann/snippet-token", Concern(About.ANYBODY)),
        ("GET", "/api/v1/calls", Concern(About.ANYBODY)),
        ("POST", "/api/v1/calls", Concern(About.BODY_AGENT)),
        ("POST", "/api/v1/dispositions", Concern(About.BODY_CALL)),
        ("POST", "/api/v1/dispositions/bulk", Concern(About.ANYBODY)),
        ("GET", "/api/v1/calls/live", Concern(About.ANYBODY)),
        ("POST", "/api/v1/calls/n1-b-7/hangup", Concern(About.CALL, "n1-b-7")),
        ("GET", "/api/v1/snippet/calls/n1-b-7", Concern(About.CALL, "n1-b-7")),
        ("POST", "/api/v1/campaigns/winter/start", Concern(About.CAMPAIGN, "winter")),
        ("POST", "/api/v1/campaigns", Concern(About.BODY_CAMPAIGN)),
        ("GET", "/console/desk", Concern(About.OWN_DESK)),
        ("GET", "/console/desk/calls/n1-b-7", Concern(About.OWN_DESK)),
        ("POST", "/console/desk/sign-in", Concern(About.OWN_SIGN_IN)),
        ("GET", "/console/stream/desk", Concern(About.OWN_DESK)),
        ("GET", "/console/stream/agent/ann", Concern(About.AGENT, "ann")),
        ("GET", "/console/stream/wall", Concern(About.ANYBODY)),
        ("POST", "/console/agents/ann/monitor", Concern(About.AGENT, "ann")),
        ("GET", "/console/agents", Concern(About.ANYBODY)),
        ("GET", "/api/v1/agents/ann\n", Concern(About.AGENT, "ann\n")),
    ],
)
def test_whom_a_request_is_about(method: str, path: str, wanted: Concern) -> None:
    assert concern(method, path) == wanted


@given(method=st.text(max_size=8), path=st.text(max_size=80).map("/".__add__))
def test_no_address_is_too_strange(method: str, path: str) -> None:
    assert isinstance(concern(method, path), Concern)


@given(
    node=st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,20}", fullmatch=True),
    boot=st.from_regex(r"[0-9a-f]{8}", fullmatch=True),
    number=st.integers(0, 10**10 - 1),
)
def test_a_call_names_its_node(node: str, boot: str, number: int) -> None:
    assert node_of_call(f"{node}-{boot}-{number:010d}") == (node, boot)


@pytest.mark.parametrize("call", ["", "x", "n1-b", "n1--1", "-b-1", "n1-b-", "n1-b-x", "n1-b-²"])
def test_other_names_are_no_calls_of_ours(call: str) -> None:
    assert node_of_call(call) is None


@given(
    candidates=CANDIDATES,
    here=st.sampled_from(NODES),
    campaigns=WISHES,
    server=ANY_SERVER,
    policy=st.sampled_from(["here", "together"]),
)
def test_a_home_is_where_the_agent_can_work(
    candidates: Sequence[Candidate], here: str, campaigns: list[str], server: str | None, policy: str
) -> None:
    chosen = choose_home(candidates, here, campaigns, server, policy)  # type: ignore[arg-type]  # one of the two
    by_name = {one.node: one for one in candidates}
    fit = [one for one in candidates if (server in one.servers if server is not None else one.servers)]
    if not fit:
        assert chosen == here
        return
    home = by_name[chosen]
    assert home in fit
    if any(one.agents < one.room_for for one in fit):
        assert home.agents < home.room_for
        if (
            policy == "here"
            and here in by_name
            and by_name[here] in fit
            and by_name[here].agents < by_name[here].room_for
        ):
            assert chosen == here


@given(
    candidates=CANDIDATES,
    campaigns=WISHES,
    server=ANY_SERVER,
    first=st.sampled_from(NODES),
    second=st.sampled_from(NODES),
)
def test_together_is_the_same_whoever_is_asked(
    candidates: list[Candidate], campaigns: list[str], server: str | None, first: str, second: str
) -> None:
    one = choose_home(candidates, first, campaigns, server, "together")
    other = choose_home(candidates[::-1], second, campaigns[::-1], server, "together")
    assert one == other or {one, other} == {first, second}, "only where none is fit it is whoever is asked"
    fit = [c for c in candidates if (server in c.servers if server is not None else c.servers)]
    if fit:
        assert one == other
