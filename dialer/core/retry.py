"""When a contact is called again after an attempt, or that it is not."""

from __future__ import annotations

from dialer.core.attempt import Attempt
from dialer.core.campaign import Campaign, RetryRule
from dialer.core.outcome import Outcome

#: Their phone may have rung: as after a busy line.
CANCELLED_AGAIN_S = 15 * 60.0


def retry_at(campaign: Campaign, attempt: Attempt) -> float | None:
    """Unix seconds of the next attempt; None: this contact is done.

    The delay of the campaign's rule for the outcome, times its growth for each attempt made so far. An outcome
    without a rule (connected, invalid, rejected) ends the contact. A call that we took back before anybody answered
    is made again: a stopped campaign or node is no answer of the contact's. (Who was withdrawn by the CRM is not
    asked about here.)
    """
    rule = campaign.retries.get(attempt.outcome)
    if attempt.outcome is Outcome.CANCELLED and attempt.answered_at is None:
        rule = RetryRule(delay_s=CANCELLED_AGAIN_S, max_attempts=campaign.max_attempts)
    if rule is None or attempt.attempt_number >= min(rule.max_attempts, campaign.max_attempts):
        return None
    return attempt.ended_at + rule.delay_s * rule.growth ** (attempt.attempt_number - 1)
