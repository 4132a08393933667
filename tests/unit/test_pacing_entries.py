"""Which decisions get a row of the pacing journal, and that the calls of the rows are the calls that were made."""

from __future__ import annotations

import itertools
import math
import random

from dialer.core.campaign import CampaignState
from dialer.core.ids import CallId, CampaignId, ContactId, NodeName, Phone, ServerName
from dialer.core.notices import AnyNotice, CallStarted, CampaignChanged, PaceDecided
from dialer.core.pacing_entry import PacingEntry
from dialer.projections.pacing_entries import AT_LEAST_EVERY_S, NOT_WITHIN_S, PacingEntries
from pacing import Decision

W = CampaignId("winter")
T = 1_800_000_000.0


def decided(at: float, limit: str = "threshold", dial: int = 0, campaign: CampaignId = W, **more: float) -> PaceDecided:
    decision = Decision(dial=dial, limit=limit, explanation=f"because {limit}", **more)  # type: ignore[arg-type]
    return PaceDecided(at=at, campaign=campaign, decision=decision, method="predictive")


def started(at: float) -> CallStarted:
    return CallStarted(
        at=at,
        call=CallId("c"),
        campaign=W,
        contact=ContactId("x"),
        phone=Phone("+34600000000"),
        server=ServerName("pbx"),
        trunk=None,
        attempt_number=1,
    )


def paused(at: float) -> CampaignChanged:
    return CampaignChanged(at=at, campaign=W, state=CampaignState.PAUSED, previous=CampaignState.RUNNING)


def rows(*notices: AnyNotice) -> list[PacingEntry]:
    entries = PacingEntries(NodeName("n1"))
    return [entry for notice in notices if (entry := entries.apply(notice)) is not None]


def test_the_first_decision_a_changed_reason_and_started_calls_get_a_row() -> None:
    made = rows(
        decided(T),
        decided(T + 2),
        decided(T + 4, "budget"),
        decided(T + 6, "budget", dial=2),
        started(T + 6),
        started(T + 6),
        decided(T + 8, "budget"),
        decided(T + 10, "budget"),
    )
    assert [(row.at - T, row.limit, row.dial, row.started) for row in made] == [
        (0, "threshold", 0, 0),
        (4, "budget", 0, 0),
        (6, "budget", 2, 0),
        (8, "budget", 0, 2),
    ]
    assert made[0].node == "n1"
    assert (made[0].method, made[0].explanation) == ("predictive", "because threshold")


def test_while_nothing_changes_there_is_a_row_every_ten_seconds() -> None:
    made = rows(*(decided(T + 0.5 * step) for step in range(121)))
    assert [row.at - T for row in made] == [0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0]


def test_decisions_of_one_second_share_a_row_whose_calls_are_all_of_theirs() -> None:
    made = rows(*(decided(T + 0.1 * step, "threshold" if step % 2 else "idle", dial=1) for step in range(31)))
    assert all(b.at - a.at >= NOT_WITHIN_S for a, b in itertools.pairwise(made))
    assert sum(row.dial for row in made) == 1 + 10 * (len(made) - 1)


def test_pausing_writes_down_what_was_started_since_and_twice_at_one_moment_are_two_rows() -> None:
    made = rows(decided(T), started(T), paused(T), decided(T + 60), paused(T + 61))
    assert [row.started for row in made] == [0, 1, 0]
    assert len({(row.campaign, row.at, row.node) for row in made}) == 3
    assert made[1].at - T < 1e-3


def test_whatever_happens_the_rows_add_up_are_far_enough_apart_and_have_moments_of_their_own() -> None:
    for seed in range(30):
        chance = random.Random(seed)
        now, calls = T, 0
        notices: list[AnyNotice] = []
        for _ in range(400):
            now += chance.choice((0.0, 0.1, 0.5, 1.0, 3.0))
            kind = chance.random()
            if kind < 0.6:
                notices.append(decided(now, chance.choice(("idle", "budget")), dial=chance.choice((0, 0, 3))))
            elif kind < 0.97 and any(isinstance(n, PaceDecided) for n in notices):
                notices.append(started(now))
                calls += 1
            else:
                notices += [decided(now), paused(now)]
        made = rows(*notices, decided(now + 1), paused(now + 2))
        assert sum(row.started for row in made) == calls
        assert [row.at for row in made] == sorted({row.at for row in made})
        assert len(made) <= (now + 2 - T) / NOT_WITHIN_S + 2 * sum(isinstance(n, CampaignChanged) for n in notices) + 3


def test_a_node_that_stops_writes_down_the_calls_since_the_last_row_once() -> None:
    entries = PacingEntries(NodeName("n1"))
    for notice in (decided(T), started(T + 0.2), started(T + 0.3)):
        entries.apply(notice)
    (row,) = entries.close()
    assert (row.started, row.at > T) == (2, True)
    assert entries.close() == []
    assert PacingEntries(NodeName("n1")).close() == []


def test_campaigns_do_not_share_rows() -> None:
    other = CampaignId("spring")
    made = rows(decided(T, dial=1), decided(T, dial=2, campaign=other), started(T), decided(T + 1), paused(T + 2))
    assert [(row.campaign, row.dial, row.started) for row in made] == [(W, 1, 0), (other, 2, 0), (W, 0, 1)]


def test_what_is_no_number_is_not_written() -> None:
    (row,) = rows(decided(T, budget_left=math.inf, answer_rate=math.nan, threshold=math.nan, mean_talk_s=61.0))
    assert (row.budget_left, row.answer_rate, row.threshold, row.mean_talk_s) == (None, None, 0.0, 61.0)
    assert AT_LEAST_EVERY_S > NOT_WITHIN_S
