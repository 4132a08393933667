"""What pacers are told of agents who are about to go, of contacts and of shared agents; and what is published."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace

import pytest

from dialer.core import commands as cmd
from dialer.core import events as ev
from dialer.core import notices as ntc
from dialer.core.campaign import Campaign, CampaignState
from dialer.core.ids import AgentId, CampaignId
from dialer.core.pace_desk import BATCH
from dialer.core.segment import segment_of
from pacing import Decision
from tests.engine_harness import CAMPAIGN, PBX, Harness

ANNA = AgentId("anna")
SPRING = CampaignId("spring")


class Told:
    """A pacer that writes down what it is told, and wishes for as many calls as the test says."""

    def __init__(self) -> None:
        self.agents: dict[Hashable, str] = {}
        self.leaving: list[tuple[Hashable, bool]] = []
        self.segments: list[Hashable] = []
        self.ends: list[str] = []
        self.wish = Decision(dial=0, limit="idle", explanation="no call now: test")

    def agent_changed(self, now: float, agent: Hashable, state: str) -> None:
        self.agents[agent] = state

    def agent_leaving(self, now: float, agent: Hashable, leaving: bool = True, at: float | None = None) -> None:
        self.leaving.append((agent, leaving))

    def call_started(self, now: float, call: Hashable, segment: Hashable = None) -> None:
        self.segments.append(segment)

    def call_ended(self, now: float, call: Hashable, outcome: str) -> None:
        self.ends.append(outcome)

    def call_answered(self, now: float, call: Hashable) -> None: ...

    def call_connected(self, now: float, call: Hashable, agent: Hashable) -> None:
        self.ends.append("connected")

    def call_abandoned(self, now: float, call: Hashable) -> None:
        self.ends.append("abandoned")

    def decide(self, now: float) -> Decision:
        return self.wish

    def snapshot(self) -> dict[str, object]:
        return {}

    def counts_on(self) -> set[Hashable]:
        return {agent for agent, state in self.agents.items() if state != "away"}


def listen(h: Harness, campaign: CampaignId = CAMPAIGN) -> Told:
    """Put a pacer that only listens in place of the campaign's, told of the agents as they are."""
    run, told = h.engine.floor.campaigns[campaign], Told()
    run.pacers[PBX] = told
    for agent in h.engine.floor.roster:
        if agent.focus == campaign:
            told.agents[agent.id] = "idle"
    return told


def talking() -> tuple[Harness, Told]:
    h = Harness(Campaign(id=CAMPAIGN, method="progressive"))
    h.start("anna")
    h.advance(0.1)
    (call,) = h.calls()
    h.answer(call)
    h.join(call)
    return h, listen(h)


# ---- about to go


def test_a_pause_asked_for_during_a_talk_is_foretold_and_taken_back() -> None:
    h, told = talking()
    h.feed(ev.AgentPauseAsked(at=h.now, agent=ANNA, code="lunch"))
    assert told.leaving == [(ANNA, True)]
    h.feed(ev.AgentReadied(at=h.now, agent=ANNA))
    assert told.leaving[-1] == (ANNA, False)


def test_until_the_pause_begins_the_agent_is_there() -> None:
    h, told = talking()
    h.feed(ev.AgentPauseAsked(at=h.now, agent=ANNA, code="lunch"))
    h.hang_up(h.calls()[0])
    assert told.agents[ANNA] == "wrapup", "not away before they are"
    h.feed(ev.CallDisposed(at=h.now, call=h.of(ntc.CallEnded)[0].attempt.call, code="SALE"))
    assert (h.agent_state("anna"), told.agents[ANNA]) == ("paused", "away")


def test_going_home_after_the_call_is_foretold_and_staying_after_all_too() -> None:
    h, told = talking()
    h.feed(ev.AgentSignedOut(at=h.now, agent=ANNA))
    assert (told.leaving, told.agents[ANNA]) == ([(ANNA, True)], "talking")
    h.feed(ev.AgentSignedIn(at=h.now, agent=ANNA, phone="anna", campaigns=(CAMPAIGN,)))
    assert told.leaving[-1] == (ANNA, False)
    h.feed(ev.AgentSignedOut(at=h.now, agent=ANNA))
    h.hang_up(h.calls()[0])
    assert (h.agent_state("anna"), told.agents[ANNA]) == ("signed_out", "away")


def test_nobody_takes_back_what_was_never_said() -> None:
    h, told = talking()
    h.feed(ev.AgentReadied(at=h.now, agent=ANNA))
    h.feed(ev.AgentSignedIn(at=h.now, agent=ANNA, phone="anna", campaigns=(CAMPAIGN,)))
    assert told.leaving == []


def test_who_has_two_reasons_to_go_stays_only_when_both_are_gone() -> None:
    h, told = talking()
    h.feed(ev.AgentPauseAsked(at=h.now, agent=ANNA, code="lunch"))
    h.feed(ev.AgentSignedOut(at=h.now, agent=ANNA))
    h.feed(ev.AgentReadied(at=h.now, agent=ANNA))
    assert (ANNA, False) not in told.leaving
    h.feed(ev.AgentSignedIn(at=h.now, agent=ANNA, phone="anna", campaigns=(CAMPAIGN,)))
    assert told.leaving[-1] == (ANNA, False)


def test_a_server_that_comes_back_brings_the_wish_to_go_back_too() -> None:
    h, told = talking()
    h.feed(ev.AgentPauseAsked(at=h.now, agent=ANNA, code="lunch"))
    h.feed(ev.ServerLost(at=h.now, server=PBX, reason="x"))
    assert told.agents[ANNA] == "away"
    calls, agents = frozenset(h.calls()), frozenset({ANNA})
    h.feed(ev.ServerConnected(at=h.now, server=PBX, calls=calls, agents=agents))
    assert (told.agents[ANNA], told.leaving[-1]) == ("talking", (ANNA, True))


# ---- who is called


def test_each_call_is_started_with_a_hint() -> None:
    h = Harness()
    h.start("anna")
    told = listen(h)
    told.wish = replace(told.wish, dial=1)
    h.advance(0.5)
    assert told.segments[0] == (1, "", int(h.now // 3600) % 24 // 3)


@pytest.mark.parametrize(
    ("attempt", "fields", "hour", "expected"),
    [
        (1, {"segment": "gold"}, 0, (1, "gold", 0)),
        (4, {"segment": 7}, 2.99, (4, "7", 0)),
        (40, {"segment": ["a"]}, 3, (4, "", 1)),
        (2, {"segment": "x" * 100}, 23.9, (2, "x" * 64, 7)),
        (3, {"Segment": "no"}, 24, (3, "", 0)),
    ],
)
def test_the_hint_is_short_and_hashable_whatever_the_crm_sent(
    attempt: int, fields: dict[str, object], hour: float, expected: tuple[int, str, int]
) -> None:
    permit = replace(Harness().permit(1), attempt_number=attempt, fields=fields)
    found = segment_of(permit, 1_000 * 86_400 + hour * 3_600)
    assert (found, hash(found)) == (expected, hash(expected))


# ---- what is published


def published(h: Harness) -> list[ntc.PaceDecided]:
    return h.of(ntc.PaceDecided)


def test_the_decision_is_published_each_second_also_when_it_stays_the_same() -> None:
    h = Harness()
    h.start("anna")
    listen(h)
    h.out.clear()
    h.advance(5.2)
    assert len(published(h)) in {5, 6}
    assert {(n.decision.limit, n.method) for n in published(h)} == {("idle", "progressive")}


def test_what_the_carriers_lines_do_not_allow_is_said() -> None:
    h = Harness(cps=1.0)
    h.start("anna")
    h.grant = False
    told = listen(h)
    h.advance(2)
    h.out.clear()
    told.wish = Decision(dial=3, limit="threshold", explanation="3 more calls: test", expected_abandonment=0.01)
    h.advance(0.6)
    said = published(h)[-1].decision
    assert (said.dial, said.limit, said.expected_abandonment) == (1, "trunks", 0.01)
    assert said.explanation == "1 more call: no line is free for the other 2"
    assert [r.count for r in h.of(cmd.RequestPermits)][-1] == 1


def test_more_than_a_batch_is_said_to_follow() -> None:
    h = Harness(cps=1000.0)
    h.start("anna")
    h.grant = False
    h.advance(2)
    told = listen(h)
    h.feed(empty(h, CAMPAIGN, ready=5))
    told.wish = Decision(dial=BATCH + 50, limit="threshold", explanation="test")
    h.advance(0.6)
    assert (published(h)[-1].decision.dial, published(h)[-1].decision.limit) == (BATCH, "batch")


def empty(h: Harness, campaign: CampaignId, *, ready: int = 0) -> ev.PermitsGranted:
    return ev.PermitsGranted(
        at=h.now, campaign=campaign, requested=1, permits=(), refusals=ev.Refusals(), ready=ready, later=0
    )


def test_an_empty_hopper_is_the_reason_and_is_not_said_twice_a_second() -> None:
    h = Harness()
    h.start("anna")
    h.grant = False
    told = listen(h)
    h.feed(empty(h, CAMPAIGN))
    told.wish = Decision(dial=1, limit="idle", explanation="1 more call: test", expected_abandonment=0.01)
    h.out.clear()
    for _ in range(10):
        h.advance(0.6)
        h.feed(empty(h, CAMPAIGN))
    said = [n.decision for n in published(h)]
    assert {(d.dial, d.limit, d.expected_abandonment) for d in said} == {(0, "no_contacts", 0.0)}
    assert 5 <= len(said) <= 8
    assert len(h.of(cmd.RequestPermits)) >= 9, "a new contact is found within a second all the same"


# ---- agents of two campaigns


def two(*agents: str) -> tuple[Harness, Told, Told]:
    """Winter comes first for everybody; both run, and only what the test feeds happens."""
    h = Harness()
    h.grant = False
    h.start()
    h.feed(ev.CampaignConfigured(at=h.now, campaign=Campaign(id=SPRING, method="progressive")))
    h.feed(ev.CampaignOrdered(at=h.now, campaign=SPRING, state=CampaignState.RUNNING))
    for agent in agents:
        h.sign_in(agent, campaigns=(CAMPAIGN, SPRING))
    return h, listen(h), listen(h, SPRING)


def seen(h: Harness, ready: int, campaign: CampaignId = CAMPAIGN) -> None:
    h.feed(ev.HopperSeen(at=h.now, campaign=campaign, ready=ready))


def test_agents_are_counted_on_by_the_next_campaign_while_the_first_has_nobody_to_call() -> None:
    h, winter, spring = two("anna", "ben", "cleo")
    assert (winter.counts_on(), spring.counts_on()) == ({"anna", "ben", "cleo"}, set())
    h.feed(empty(h, CAMPAIGN))
    assert (winter.counts_on(), spring.counts_on()) == (set(), {"anna", "ben", "cleo"})
    h.advance(1)
    seen(h, 0)
    assert winter.counts_on() == set()


def test_contacts_that_come_in_one_by_one_take_one_agent_each() -> None:
    h, winter, spring = two("anna", "ben", "cleo")
    h.feed(empty(h, CAMPAIGN))
    seen(h, 1)
    assert (len(winter.counts_on()), len(spring.counts_on())) == (1, 2)
    seen(h, 2)
    assert (len(winter.counts_on()), len(spring.counts_on())) == (2, 1)
    seen(h, 0)
    assert (len(winter.counts_on()), len(spring.counts_on())) == (0, 3)
    seen(h, 50)
    assert (len(winter.counts_on()), len(spring.counts_on())) == (3, 0)


def test_calls_that_still_ring_keep_an_agent_each() -> None:
    h, winter, spring = two("anna", "ben", "cleo")
    permits = (h.permit(1), h.permit(2))
    h.feed(
        ev.PermitsGranted(
            at=h.now, campaign=CAMPAIGN, requested=3, permits=permits, refusals=ev.Refusals(), ready=0, later=0
        )
    )
    assert (len(winter.counts_on()), len(spring.counts_on())) == (2, 1)
    h.hang_up(permits[0].call, cause=17)
    seen(h, 0)
    assert (len(winter.counts_on()), len(spring.counts_on())) == (1, 2)
    h.answer(permits[1].call)
    h.join(permits[1].call)
    seen(h, 0)
    assert (len(winter.counts_on()), len(spring.counts_on())) == (0, 3)


def test_where_nobody_has_contacts_the_first_campaign_goes_on_asking() -> None:
    h, winter, spring = two("anna")
    h.feed(empty(h, CAMPAIGN))
    h.feed(empty(h, SPRING))
    assert (winter.counts_on(), spring.counts_on()) == ({"anna"}, set())
    seen(h, 4, SPRING)
    assert (winter.counts_on(), spring.counts_on()) == (set(), {"anna"})


def test_agents_of_one_campaign_stay_with_it_and_do_so_first() -> None:
    h, winter, spring = two("anna", "ben")
    h.sign_in("olga", campaigns=(CAMPAIGN,))
    h.feed(empty(h, CAMPAIGN))
    assert (winter.counts_on(), spring.counts_on()) == ({"olga"}, {"anna", "ben"})
    seen(h, 1)
    assert winter.counts_on() == {"olga"}, "she is enough for one contact"
    seen(h, 2)
    assert len(winter.counts_on()) == 2


def test_who_is_free_comes_before_who_is_busy() -> None:
    h, winter, spring = two("anna", "ben")
    h.feed(
        ev.PermitsGranted(
            at=h.now, campaign=SPRING, requested=1, permits=(replace(h.permit(1), campaign=SPRING),),
            refusals=ev.Refusals(), ready=9, later=0,
        )
    )  # fmt: skip
    (call,) = h.calls()
    h.answer(call)
    h.join(call)
    h.feed(empty(h, CAMPAIGN))
    seen(h, 1)
    assert h.agent_state("anna") == "talking"
    assert (winter.counts_on(), spring.counts_on()) == ({"ben"}, {"anna"})


def test_what_is_seen_of_a_campaign_that_is_not_known_or_not_empty_changes_nothing() -> None:
    h, winter, _ = two("anna")
    seen(h, 3, CampaignId("nobody"))
    seen(h, 0)
    assert winter.counts_on() == {"anna"}
