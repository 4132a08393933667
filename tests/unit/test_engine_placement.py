"""Where the engine signs agents in who name no server: with whom they work, where their phone is, and never in vain."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dialer.core import events as ev
from dialer.core.campaign import Campaign
from dialer.core.floor import Server
from dialer.core.ids import AgentId, CampaignId, ServerName, TrunkName
from dialer.core.outcome import Outcome
from dialer.core.trunks import TrunkLimits, Trunks
from tests.engine_harness import CAMPAIGN, Harness

A, B = ServerName("a"), ServerName("b")
SPRING = CampaignId("spring")


def floor(*servers: str) -> Harness:
    h = Harness(servers=servers or ("a", "b"))
    h.start()
    return h


def signed_in_at(h: Harness, agent: str, *campaigns: CampaignId, **changes: object) -> ServerName:
    h.sign_in(agent, campaigns=campaigns or (CAMPAIGN,), **changes)
    return server_of(h, agent)


def server_of(h: Harness, agent: str) -> ServerName:
    found = h.engine.floor.roster.get(AgentId(agent))
    assert found is not None
    return found.server


def test_agents_of_one_campaign_stay_together_and_the_next_campaign_goes_elsewhere() -> None:
    h = floor()
    winter = {signed_in_at(h, f"w{number}") for number in range(12)}
    spring = {signed_in_at(h, f"s{number}", SPRING) for number in range(12)}
    assert (winter, spring) == ({A}, {B})
    assert signed_in_at(h, "late") == A


def test_campaigns_spread_by_weight() -> None:
    h = floor("big", "small")
    h.engine.floor.servers[ServerName("big")].server = Server(name=ServerName("big"), weight=3.0)
    there = [signed_in_at(h, f"agent{number}", CampaignId(f"c{number}")) for number in range(8)]
    assert (there.count(ServerName("big")), there.count(ServerName("small"))) == (6, 2)


def test_of_several_campaigns_it_is_the_one_that_they_are_counted_on_by() -> None:
    h = floor()
    h.feed(ev.CampaignConfigured(at=h.now, campaign=Campaign(id=SPRING, method="progressive")))
    h.sign_in("s0", campaigns=(SPRING,), server=B)
    h.sign_in("w0", server=A)
    assert signed_in_at(h, "both", SPRING, CAMPAIGN) == A, "spring has not begun"
    assert signed_in_at(h, "neither", SPRING) == B, "though nobody is counted on for it yet"
    h.engine.floor.campaigns[CAMPAIGN].dry = True
    assert signed_in_at(h, "dry", CAMPAIGN, SPRING) == A, "no other one runs"


@pytest.mark.parametrize("answered", [0, 5_000])
def test_a_server_whose_phones_are_gone_has_no_company(answered: int) -> None:
    h = floor()
    h.engine.floor.campaigns[CAMPAIGN].answered[A] = answered
    for number in range(3):
        h.sign_in(f"w{number}", server=A)
    for number in range(3):
        h.feed(ev.AgentPhoneGone(at=h.now, agent=AgentId(f"w{number}"), reason="hangup"))
    assert [signed_in_at(h, f"w{number}") for number in range(3)] == [B, B, B]


def test_agents_of_a_server_that_is_gone_come_together_on_another() -> None:
    h = floor("a", "b", "c")
    for number in range(6):
        assert signed_in_at(h, f"w{number}") == A
    h.feed(ev.ServerLost(at=h.now, server=A, reason="x"))
    for number in range(6):
        h.feed(ev.AgentSignedOut(at=h.now, agent=AgentId(f"w{number}")))
    assert {signed_in_at(h, f"w{number}") for number in range(6)} == {B}
    h.feed(ev.ServerConnected(at=h.now, server=A, calls=frozenset(), agents=frozenset()))
    assert signed_in_at(h, "late") == B


def test_whoever_signs_in_while_no_server_is_there_waits_for_one() -> None:
    h = floor()
    for server in (A, B):
        h.feed(ev.ServerLost(at=h.now, server=server, reason="x"))
    h.feed(ev.AgentSignedIn(at=h.now, agent=AgentId("w0"), phone="w0", campaigns=(CAMPAIGN,)))
    assert server_of(h, "w0") == A
    h.feed(ev.AgentSignedIn(at=h.now, agent=AgentId("w1"), phone="w1", campaigns=(CAMPAIGN,)))
    assert server_of(h, "w1") == A


def test_a_phone_that_is_up_from_before_is_not_called_on_another_server() -> None:
    """The process ended, the phone stayed in its room, and their colleagues are elsewhere by now."""
    h = floor()
    h.feed(ev.ServerConnected(at=h.now, server=B, calls=frozenset(), agents=frozenset({AgentId("w1")})))
    h.sign_in("w0", server=A)
    h.feed(ev.AgentSignedIn(at=h.now, agent=AgentId("w1"), phone="w1", campaigns=(CAMPAIGN,)))
    assert (server_of(h, "w1"), h.agent_state("w1")) == (B, "idle")
    h.feed(ev.ServerLost(at=h.now, server=B, reason="x"))
    h.feed(ev.AgentSignedOut(at=h.now, agent=AgentId("w1")))
    assert signed_in_at(h, "w1") == A, "a room that is out of reach is none"


def test_a_named_server_is_taken_whatever_it_looks_like_and_a_strange_one_is_not() -> None:
    h = floor()
    h.sign_in("w0", server=A)
    assert signed_in_at(h, "w1", server=B) == B
    assert signed_in_at(h, "w2", server=ServerName("none")) == A


def test_agents_go_where_the_campaign_has_lines() -> None:
    h = floor("a", "b", "c")
    h.feed(ev.CampaignConfigured(at=h.now, campaign=replace(h.campaign, trunks=(TrunkName("mobile"),))))
    h.engine.floor.trunks = Trunks(
        TrunkLimits(server=server, name=TrunkName(name), max_channels=channels, max_calls_per_second=9.0)
        for server, name, channels in (
            *((A, "fixed", 300), (B, "fixed", 300), (ServerName("c"), "fixed", 300)),
            *((B, "mobile", 6), (ServerName("c"), "mobile", 3)),
        )
    )
    h.sign_in("w0", server=B)
    there = [signed_in_at(h, f"w{number}") for number in range(1, 8)]
    assert there == [B, B, B, "c", "c", B, B], "six channels are enough for four, and too few are more than none"


def test_an_asterisk_that_lets_nobody_through_is_not_chosen() -> None:
    """Such as one that is about to stop: each call is refused before anybody is dialed."""
    h = floor()
    h.sign_in("w0", server=A)
    trunk = TrunkName("out")
    for _ in range(5):
        h.engine.floor.trunks.ended(A, trunk, Outcome.FAILED, h.now)
    assert signed_in_at(h, "w1") == B
    h.advance(20.0)
    h.feed(ev.AgentSignedOut(at=h.now, agent=AgentId("w1")))
    assert signed_in_at(h, "w2") == A, "that is over"


def test_where_a_campaign_has_been_answered_is_where_it_begins_again() -> None:
    h = floor()
    h.feed(
        ev.CampaignConfigured(at=h.now, campaign=Campaign(id=SPRING, method="progressive"), answered=((A, 3), (B, 400)))
    )
    assert signed_in_at(h, "s0", SPRING) == B


def test_agents_of_other_nodes_are_counted() -> None:
    h = floor()
    assert signed_in_at(h, "w0", elsewhere={A: 5, B: 1}) == B
