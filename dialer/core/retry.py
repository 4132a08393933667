"""When a contact is called again after an attempt, or that it is not."""

from __future__ import annotations

from dialer.core.attempt import Attempt
from dialer.core.campaign import Campaign


def retry_at(campaign: Campaign, attempt: Attempt) -> float | None:
    """Unix seconds of the next attempt; None: this contact is done.

    The delay of the campaign's rule for the outcome, times its growth for each attempt made so far. An outcome
    without a rule (connected, invalid, rejected, cancelled) ends the contact.
    """
    rule = campaign.retries.get(attempt.outcome)
    if rule is None or attempt.attempt_number >= min(rule.max_attempts, campaign.max_attempts):
        return None
    return attempt.ended_at + rule.delay_s * rule.growth ** (attempt.attempt_number - 1)
