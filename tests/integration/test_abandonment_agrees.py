"""Pacer, live figures and record count the same people, whoever was abandoned, met too late, or hung up first."""

from __future__ import annotations

import random

import pytest
from sqlalchemy import text

from dialer.core import events as ev
from dialer.core import notices as ntc
from dialer.core.attempt import is_late
from dialer.core.campaign import Campaign
from dialer.core.ids import AgentId, CampaignId, ServerName
from dialer.core.outcome import Outcome
from dialer.projections.abandonment import Abandonment, AbandonmentTracker
from dialer.storage.attempts import Attempts
from dialer.storage.database import Database
from tests.engine_harness import CAMPAIGN, PBX, Harness
from tests.record_values import attempt

ANNA = AgentId("anna")


def day_of_calls(seed: int, connect_within_s: float) -> Harness:
    """Some dozen calls whose people wait for every length of time, hang up, and are met on both sides of the limit."""
    chance = random.Random(seed)
    h = Harness(Campaign(id=CAMPAIGN, method="predictive", connect_within_s=connect_within_s, wrapup_limit_s=0.0))
    h.start("anna")
    for _ in range(25):
        h.advance(3)
        for call in h.calls()[:1]:
            busy = chance.random() < 0.6
            if busy:
                h.feed(ev.AgentPauseAsked(at=h.now, agent=ANNA, code="x"))
            h.answer(call)
            if busy:
                h.advance(chance.choice((0.5, connect_within_s - 0.01, connect_within_s + 0.5)))
            if chance.random() < 0.2:
                h.hang_up(call)
            h.feed(ev.AgentReadied(at=h.now, agent=ANNA))
            h.advance(chance.choice((0.0, 0.02, 0.6)))
            if h.agent_state("anna") == "reserved":
                h.join(call)
                h.advance(20)
        for call in h.calls():
            h.hang_up(call)
        h.feed(ev.AgentReadied(at=h.now, agent=ANNA))
    return h


@pytest.mark.parametrize("connect_within_s", [1.0, 2.0])
async def test_all_three_agree(database: Database, connect_within_s: float) -> None:
    late = 0
    for seed in range(6):
        h = day_of_calls(seed, connect_within_s)
        live, restored = AbandonmentTracker(), AbandonmentTracker()
        for notice in h.of(ntc.Notice):
            live.apply(notice)  # type: ignore[arg-type]  # every notice that the engine makes is one of them
        ended = [notice.attempt for notice in h.of(ntc.CallEnded)]
        late += sum(each.late for each in ended)
        async with database.write() as connection:
            await connection.execute(text("DELETE FROM attempts"))
        await Attempts(database).record([(each, None) for each in ended])
        for at, answers, lost in await Attempts(database).live_answers(CAMPAIGN, 0.0):
            restored.restore(CAMPAIGN, at, answers, lost)
        told = h.engine.floor.campaigns[CAMPAIGN].pacers[PBX].snapshot()
        paced = Abandonment(live_answers=int(str(told["answers"])), abandoned=int(str(told["abandoned"])))
        assert live.legal(CAMPAIGN, h.now) == restored.legal(CAMPAIGN, h.now) == paced
        assert live.ever(CAMPAIGN) == paced
        assert await Attempts(database).live_answers_before(CAMPAIGN, h.now + 1) == (
            paced.live_answers,
            paced.abandoned,
        )
    assert late > 3, "the days must have what they are to show"


async def test_answers_are_known_by_the_server_that_had_them(database: Database) -> None:
    """Who hung up before an agent came was a live answer too; a busy line and another campaign's were none."""
    a, b, spring = ServerName("a"), ServerName("b"), CampaignId("spring")
    kinds: tuple[tuple[Outcome, ServerName | None, CampaignId], ...] = (
        (Outcome.CONNECTED, a, CAMPAIGN),
        (Outcome.ABANDONED, a, CAMPAIGN),
        (Outcome.HUNG_UP, b, CAMPAIGN),
        (Outcome.BUSY, b, CAMPAIGN),
        (Outcome.CONNECTED, None, CAMPAIGN),
        (Outcome.CONNECTED, b, spring),
    )
    made = [
        attempt(number, outcome=outcome, server=server, campaign=campaign)
        for number, (outcome, server, campaign) in enumerate(kinds)
    ]
    await Attempts(database).record([(each, None) for each in made])
    assert await Attempts(database).live_answers_by_server(CAMPAIGN, 0.0) == {a: 2, b: 1}
    assert await Attempts(database).live_answers_by_server(CAMPAIGN, 2e9) == {}


async def test_records_that_do_not_say_their_limit_are_held_to_the_regulators(database: Database) -> None:
    answered_at = 1_700_000_010.0
    waits = {1: (2.0, None), 2: (2.25, None), 3: (1.5, 1.0), 4: (1.0, 1.0)}
    made = [
        attempt(
            number,
            outcome=Outcome.CONNECTED,
            answered_at=answered_at,
            connected_at=answered_at + wait_s,
            connect_within_s=limit_s,
        )
        for number, (wait_s, limit_s) in waits.items()
    ]
    await Attempts(database).record([(each, None) for each in made])
    assert [each.late for each in made] == [False, True, True, False]
    assert await Attempts(database).live_answers_before(CAMPAIGN, 2e9) == (4, 2)
    stored = await Attempts(database).get(made[2].call)
    assert stored == made[2]
    assert not is_late(None, 1.0, 2.0)
    assert not is_late(1.0, None, 2.0)
