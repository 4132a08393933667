"""Whatever happens in whatever order: nobody is called of whom an agent has not said so.

- each originate is for a contact that its agent was shown, and has consented to since;
- each offer comes to exactly one end, and each decision is answered once;
- a contact that was shown and not called goes back, once;
- when all is over nobody is held, and no deadline is left.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from dialer.core import commands as cmd
from dialer.core import events as ev
from dialer.core import notices as ntc
from dialer.core.campaign import CampaignState, PreviewExpiry
from dialer.core.ids import AgentId, CallId
from dialer.core.offer import OfferEnd
from tests.engine_harness import CAMPAIGN, PBX
from tests.preview_harness import PREVIEWED, PreviewFloor

AGENTS = ("ana", "bea", "eva")
_STEPS = (
    "call", "call", "skip", "call_wrong", "advance", "long", "ready", "pause", "sign_out", "sign_in", "phone_gone",
    "phone_up", "order", "run", "configure", "hold_back", "late_offers", "late_answer", "refuse", "ring", "answer",
    "join", "hang_up", "not_sent", "purge", "server_lost", "server_back",
)  # fmt: skip
steps = st.lists(
    st.tuples(st.sampled_from(_STEPS), st.integers(0, 5), st.floats(min_value=0.0, max_value=8.0)), max_size=80
)


def perform(floor: PreviewFloor, what: str, which: int, seconds: float) -> None:
    at, agent = floor.now, AgentId(AGENTS[which % len(AGENTS)])
    calls = floor.calls()
    call = calls[which % len(calls)] if calls else CallId("none")
    orders = (CampaignState.PAUSED, CampaignState.DRAINING, CampaignState.STOPPED)
    match what:
        case "call" | "skip":
            floor.decide(agent, consent=what == "call")
        case "call_wrong":
            floor.decide(agent, consent=True, contact=f"crm-{which + 1}")
        case "advance" | "long":
            floor.advance(seconds if what == "advance" else 10 * seconds)
        case "hold_back":
            floor.grant = not floor.grant
        case "late_offers":
            requests = floor.of(cmd.RequestOffers)
            if requests:
                floor.feed(floor.offers_for(requests[-1]))
        case "late_answer":
            asked = floor.of(cmd.RequestContact)
            if asked:
                floor.feed(floor.answer_to(asked[-1 - which % len(asked)]))
        case "refuse":
            floor.refused = {f"crm-{n}": "removed" for n in range(0, 40, which + 1)} if which % 2 else {}
        case "not_sent":
            floor.send = not floor.send
        case "configure":
            floor.feed(ev.CampaignConfigured(at=at, campaign=replace(floor.campaign, preview_s=5.0 + which)))
        case "join" if call in floor.engine.floor.calls and floor.engine.floor.calls[call].agent:
            floor.join(call)
        case "ready":
            floor.feed(ev.AgentReadied(at=at, agent=agent))
        case "pause":
            floor.feed(ev.AgentPauseAsked(at=at, agent=agent, code="lunch"))
        case "sign_out":
            floor.feed(ev.AgentSignedOut(at=at, agent=agent))
        case "sign_in":
            floor.feed(ev.AgentSignedIn(at=at, agent=agent, phone=agent, campaigns=(CAMPAIGN,)))
        case "phone_gone":
            floor.feed(ev.AgentPhoneGone(at=at, agent=agent, reason="hangup"))
        case "phone_up":
            floor.feed(ev.AgentPhoneUp(at=at, agent=agent))
        case "run":
            floor.feed(ev.CampaignOrdered(at=at, campaign=CAMPAIGN, state=CampaignState.RUNNING))
        case "order":
            floor.feed(ev.CampaignOrdered(at=at, campaign=CAMPAIGN, state=orders[which % 3]))
        case "ring":
            floor.feed(ev.CallRinging(at=at, call=call))
        case "answer":
            floor.answer(call)
        case "hang_up":
            floor.hang_up(call)
        case "purge":
            floor.feed(ev.CallPurged(at=at, call=call, kind="removal", ref=floor.permit(1).call, reason="paid"))  # type: ignore[arg-type]
        case "server_lost":
            floor.feed(ev.ServerLost(at=at, server=PBX, reason="cut"))
        case "server_back":
            floor.feed(ev.ServerConnected(at=at, server=PBX, calls=frozenset(calls), agents=frozenset()))
        case _:
            pass


def finish(floor: PreviewFloor) -> None:
    """Let everything come to its end."""
    floor.grant = False
    floor.feed(ev.CampaignOrdered(at=floor.now, campaign=CAMPAIGN, state=CampaignState.STOPPED))
    floor.feed(ev.ServerConnected(at=floor.now, server=PBX, calls=frozenset(floor.calls()), agents=frozenset()))
    for call in floor.calls():
        floor.hang_up(call)
    floor.advance(200)


@settings(max_examples=100, deadline=None)
@given(script=steps, expiry=st.sampled_from(PreviewExpiry))
def test_nobody_is_called_without_consent_and_nothing_is_left(
    script: list[tuple[str, int, float]], expiry: PreviewExpiry
) -> None:
    floor = PreviewFloor(
        replace(PREVIEWED, preview_on_expiry=expiry, preview_pause_after=2, preview_s=5.0), contacts=1_000
    )
    floor.start(*AGENTS)
    for step in script:
        perform(floor, *step)
    finish(floor)

    assert floor.of(ntc.ContactWasOffered)
    asked = {(request.contact, request.agent): request for request in floor.of(cmd.RequestContact)}
    offered = {(notice.offer.contact, notice.agent) for notice in floor.of(ntc.ContactWasOffered)}
    assert asked.keys() <= offered
    for (contact, _), request in asked.items():
        assert (request.phone, request.kept_until) == (
            floor.offers[contact].phone,
            floor.offers[contact].kept_until,
        )
    if expiry is PreviewExpiry.SKIP:
        assert asked.keys() <= floor.consents
    wanted = {contact for contact, _ in asked}
    dialed = [originate.permit.contact for originate in floor.of(cmd.Originate)]
    assert set(dialed) <= wanted
    assert not floor.of(cmd.RequestPermits)

    closed = Counter((notice.contact, notice.agent) for notice in floor.of(ntc.OfferClosed))
    assert closed == Counter(offered), "each offer ends once"
    assert Counter(answer.ref for answer in floor.of(ntc.CallRequestAnswered)) == Counter(floor.wishes)
    back = Counter(command.contact for command in floor.of(cmd.ReturnOffer))
    uncalled = {n.contact for n in floor.of(ntc.OfferClosed) if n.end in {OfferEnd.SKIPPED, OfferEnd.EXPIRED}}
    assert uncalled <= back.keys()
    assert max(back.values(), default=0) <= 1
    assert back.keys().isdisjoint(wanted), "what was asked for is not given back behind the gate's back"

    assert all(agent.hold is None for agent in floor.engine.floor.roster)
    assert all(kind not in {"hold", "ring"} for kind, _ in floor.engine.floor.timers._at)
    assert not floor.engine.floor.calls
