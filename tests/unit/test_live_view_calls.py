"""The live view: calls come and go, counts add up, and nothing is kept of what is over."""

from __future__ import annotations

import msgspec

from dialer.core.agent import AgentState
from dialer.core.attempt import Attempt
from dialer.core.campaign import Campaign, CampaignState
from dialer.core.ids import AgentId, CallId, CampaignId, ContactId, Phone, ServerName, TrunkName
from dialer.core.notices import (
    AgentChanged,
    AnyNotice,
    CallConnected,
    CallEnded,
    CallRang,
    CallStarted,
    CallWasAbandoned,
    CallWasAnswered,
    CampaignChanged,
    EventIgnored,
    GateAnswered,
    PaceDecided,
    ServerChanged,
)
from dialer.core.outcome import Outcome
from dialer.projections.live import LiveView
from dialer.projections.metrics import Metrics
from pacing import Decision

W = CampaignId("winter")
PHONE = Phone("+34600111222")
DAY = 86_400.0
T = 20_000 * DAY + 36_000.0


def call(id: str, outcome: Outcome, at: float = T, *, wait_s: float = 0.5) -> list[AnyNotice]:
    """All notices of one call: a second to ring, ten to the answer, a minute of talk."""
    name, contact = CallId(id), ContactId(f"k-{id}")
    notices: list[AnyNotice] = [
        CallStarted(
            at=at,
            call=name,
            campaign=W,
            contact=contact,
            phone=PHONE,
            server=ServerName("a1"),
            trunk=TrunkName("t"),
            attempt_number=1,
        ),
        CallRang(at=at + 1, call=name, campaign=W),
    ]
    answered_at = connected_at = None
    ended_at = at + 25
    if outcome in {Outcome.CONNECTED, Outcome.ABANDONED, Outcome.HUNG_UP, Outcome.MACHINE}:
        answered_at = at + 10
        notices.append(
            CallWasAnswered(at=answered_at, call=name, campaign=W, contact=contact, phone=PHONE, ring_s=10.0)
        )
    if outcome is Outcome.CONNECTED:
        connected_at, ended_at = at + 10 + wait_s, at + 70 + wait_s
        notices.append(
            CallConnected(
                at=connected_at,
                call=name,
                campaign=W,
                contact=contact,
                phone=PHONE,
                agent=AgentId("anna"),
                wait_s=wait_s,
                screen_pop="",
            )
        )
    if outcome is Outcome.ABANDONED:
        notices.append(CallWasAbandoned(at=at + 12, call=name, campaign=W, contact=contact, phone=PHONE, wait_s=2.0))
    attempt = Attempt(
        call=name,
        campaign=W,
        contact=contact,
        phone=PHONE,
        attempt_number=1,
        outcome=outcome,
        reason="",
        started_at=at,
        ended_at=ended_at,
        answered_at=answered_at,
        connected_at=connected_at,
    )
    return [*notices, CallEnded(at=ended_at, attempt=attempt, retry_at=None)]


def agent(state: AgentState, previous: AgentState, at: float, spent_s: float) -> AgentChanged:
    return AgentChanged(
        at=at, agent=AgentId("anna"), state=state, previous=previous, previous_s=spent_s, campaigns=(W,)
    )


def test_a_call_is_seen_in_each_state_and_then_gone() -> None:
    view = LiveView()
    seen = []
    for notice in call("c1", Outcome.CONNECTED):
        view.apply(notice)
        row = view.call(CallId("c1"))
        seen.append(None if row is None else (row.state, row.agent))
    assert seen == [
        ("dialing", None),
        ("ringing", None),
        ("answered", None),
        ("connected", "anna"),
        None,
    ]
    assert view.snapshot(T + 100).calls == {}


def test_counts_rates_and_abandonment_add_up() -> None:
    view = LiveView()
    view.configure(Campaign(id=W, max_abandonment=0.02), CampaignState.RUNNING)
    outcomes = [Outcome.CONNECTED] * 97 + [Outcome.ABANDONED] * 2 + [Outcome.HUNG_UP] + [Outcome.NO_ANSWER] * 100
    outcomes += [Outcome.MACHINE] * 20 + [Outcome.CANCELLED] * 50
    for i, outcome in enumerate(outcomes):
        for notice in call(f"c{i}", outcome):
            view.apply(notice)
    row = view.snapshot(T + 200).campaigns[0]
    assert (row.today.started, row.today.answered, row.today.connected, row.today.abandoned) == (270, 120, 97, 2)
    assert sum(row.today.outcomes.values()) == 270
    # 100 live answers, of which 2 abandoned: the limit of 2 % is reached exactly.
    assert (row.abandonment.day_live_answers, row.abandonment.day_ratio, row.abandonment.budget_left) == (100, 0.02, 0)
    # Calls that we withdrew ourselves say nothing of people.
    assert row.answer_rate == 120 / 220
    # A day later the 24 hours are empty, the 30 days are not, and the day's counts begin anew.
    later = view.snapshot(T + 25 * 3_600).campaigns[0]
    assert (later.today.started, later.abandonment.day_live_answers, later.abandonment.legal_live_answers) == (
        0,
        0,
        100,
    )
    assert view.snapshot(T + 31 * DAY).campaigns[0].abandonment.legal_live_answers == 0


def test_a_recovered_call_that_is_abandoned_at_its_end_is_counted_once() -> None:
    view = LiveView()
    view.apply(call("c1", Outcome.ABANDONED)[-1])
    for notice in call("c2", Outcome.ABANDONED):
        view.apply(notice)
    assert view.snapshot(T + 60).campaigns[0].abandonment.day_abandoned == 2


def test_agents_with_their_day() -> None:
    view = LiveView()
    steps = [
        (AgentState.CONNECTING, 0, 0),
        (AgentState.IDLE, 5, 5),
        (AgentState.RESERVED, 65, 60),
        (AgentState.TALKING, 65, 0),
        (AgentState.WRAPUP, 185, 120),
        (AgentState.IDLE, 245, 60),
    ]
    previous = AgentState.SIGNED_OUT
    for state, at, spent_s in steps:
        view.apply(agent(state, previous, T + at, spent_s))
        previous = state
    row = view.agents(T + 245)[0]
    assert (row.state, row.calls_today, row.talk_s_today, row.wrapup_s_today, row.idle_s_today) == (
        "idle",
        1,
        120,
        60,
        60,
    )
    snapshot = view.snapshot(T + 245)
    assert snapshot.occupancy == 180 / 240
    assert snapshot.campaigns == ()
    view.apply(agent(AgentState.SIGNED_OUT, AgentState.IDLE, T + 300, 55))
    assert view.agents(T + 301)[0].state == "signed_out"
    # Whoever went home is forgotten with the day.
    assert view.agents(T + DAY) == ()


def test_the_rest_of_the_notices() -> None:
    view = LiveView()
    decision = Decision(dial=3, limit="threshold", explanation="three more would be too many", threshold=0.02)
    view.apply(CampaignChanged(at=T, campaign=W, state=CampaignState.RUNNING, previous=CampaignState.DRAFT))
    view.apply(PaceDecided(at=T, campaign=W, decision=decision))
    view.apply(GateAnswered(at=T, campaign=W, requested=5, granted=3, refused=(("do_not_call", 2),), ready=7, later=9))
    view.apply(ServerChanged(at=T, server=ServerName("a1"), connected=False, reason="refused"))
    view.apply(EventIgnored(at=T, event="CallHungUp", reason="unknown"))
    snapshot = view.snapshot(T)
    row = snapshot.campaigns[0]
    assert row.pace is not None
    assert (row.state, row.pace.explanation) == ("running", "three more would be too many")
    assert (row.hopper.ready, row.hopper.later, row.refused) == (7, 9, {"do_not_call": 2})
    assert (snapshot.servers[0].connected, snapshot.events_ignored) == (False, 1)
    assert msgspec.json.decode(msgspec.json.encode(snapshot))["campaigns"][0]["hopper"] == {"ready": 7, "later": 9}
    view.forget(W)
    assert view.snapshot(T).campaigns == ()


def test_nothing_grows_with_the_calls_that_are_over() -> None:
    view, metrics = LiveView(), Metrics("n1")

    def size() -> int:
        """Every container that the two hold, counted to the bottom."""
        seen: set[int] = set()

        def count(value: object) -> int:
            if id(value) in seen or isinstance(value, str | int | float | type | None):
                return 0
            seen.add(id(value))
            if isinstance(value, dict):
                return len(value) + sum(count(v) for v in value.values())
            if isinstance(value, list | tuple | set | frozenset):
                return len(value) + sum(count(v) for v in value)
            names = {n for c in type(value).__mro__ for n in getattr(c, "__slots__", ())} | set(
                getattr(value, "__dict__", ())
            )
            return sum(count(getattr(value, n, None)) for n in names)

        return count(view) + count(metrics)

    sizes = []
    for i in range(3_000):
        for notice in call(f"c{i}", list(Outcome)[i % len(Outcome)], T + i):
            view.apply(notice)
            metrics.apply(notice)
        if i in {200, 2_999}:
            metrics.refresh(view.snapshot(T + i))
            sizes.append(size())
    assert sizes[0] > 1_000
    assert sizes[1] == sizes[0]
