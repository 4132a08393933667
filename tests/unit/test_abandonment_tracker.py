"""Abandonment of campaigns and of the centre as it happens, with the verdicts of detection beside it."""

from __future__ import annotations

from dialer.compliance.machine_error import AnswerCounts
from dialer.core import notices as ntc
from dialer.core.attempt import Attempt
from dialer.core.ids import AgentId, CallId, CampaignId, ContactId, Phone
from dialer.core.outcome import Outcome
from dialer.projections.abandonment import DAY_S, LEGAL_WINDOW_S, Abandonment, AbandonmentTracker

NOW = 1_800_000_000.0
WINTER, SUMMER = CampaignId("winter"), CampaignId("summer")
PHONE = Phone("+34600111222")


def connected(tracker: AbandonmentTracker, call: str, campaign: CampaignId = WINTER, *, sampled: bool = False) -> None:
    tracker.apply(
        ntc.CallConnected(
            at=NOW, call=CallId(call), campaign=campaign, contact=ContactId("k"), phone=PHONE, agent=AgentId("anna"),
            wait_s=0.1, screen_pop="", machine_sampled=sampled,
        )
    )  # fmt: skip


def abandoned(tracker: AbandonmentTracker, call: str, campaign: CampaignId) -> None:
    tracker.apply(
        ntc.CallWasAbandoned(
            at=NOW, call=CallId(call), campaign=campaign, contact=ContactId("k"), phone=PHONE, wait_s=2.0
        )
    )


def disposed(tracker: AbandonmentTracker, call: str, code: str) -> None:
    tracker.apply(
        ntc.CallWasDisposed(
            at=NOW, call=CallId(call), campaign=WINTER, contact=ContactId("k"), phone=PHONE, code=code, agent=None,
            amount=None, notes="", ref=None,
        )
    )  # fmt: skip


def machine(tracker: AbandonmentTracker, call: str) -> None:
    attempt = Attempt(
        call=CallId(call), campaign=WINTER, contact=ContactId("k"), phone=PHONE, attempt_number=1,
        outcome=Outcome.MACHINE, reason="machine", started_at=NOW - 20, ended_at=NOW, answered_at=NOW - 2,
    )  # fmt: skip
    tracker.apply(ntc.CallEnded(at=NOW, attempt=attempt, retry_at=None))


def test_the_centre_is_all_campaigns_together() -> None:
    tracker = AbandonmentTracker()
    for number in range(9):
        connected(tracker, f"c{number}", WINTER if number % 3 else SUMMER)
    abandoned(tracker, "a1", SUMMER)
    assert tracker.day(SUMMER, NOW) == Abandonment(live_answers=4, abandoned=1)
    assert tracker.centre_day(NOW) == tracker.centre_legal(NOW) == Abandonment(live_answers=10, abandoned=1)
    assert tracker.centre_day(NOW + DAY_S + 60.0) == Abandonment()
    assert tracker.centre_legal(NOW + LEGAL_WINDOW_S + 3_600.0) == Abandonment()


def test_what_agents_say_of_sampled_calls_is_the_evidence() -> None:
    tracker = AbandonmentTracker()
    for number, code in enumerate(["SALE", "MACHINE", "machine"]):
        connected(tracker, f"s{number}", sampled=True)
        disposed(tracker, f"s{number}", code)
        disposed(tracker, f"s{number}", code)  # a call is judged once
    connected(tracker, "plain")
    disposed(tracker, "plain", "MACHINE")
    for number in range(30):
        machine(tracker, f"m{number}")
    found = tracker.corrected(WINTER, NOW)
    assert found == AnswerCounts(live_answers=4, hung_up_as_machine=30, judged=3, judged_people=1)
    assert tracker.corrected(None, NOW) == found
    assert tracker.corrected(SUMMER, NOW) == AnswerCounts()
    assert tracker.corrected(WINTER, NOW + LEGAL_WINDOW_S + 3_600.0) == AnswerCounts()
    tracker.forget(WINTER)
    assert tracker.corrected(None, NOW) == AnswerCounts()


def test_calls_that_are_never_judged_are_not_kept_for_ever() -> None:
    tracker = AbandonmentTracker()
    for number in range(10_005):
        connected(tracker, f"s{number}", sampled=True)
    disposed(tracker, "s0", "SALE")
    disposed(tracker, "s10004", "SALE")
    assert tracker.corrected(WINTER, NOW).judged == 1
