"""When a contact is called again after an attempt, or that it is not."""

from __future__ import annotations

from dialer.core.attempt import Attempt
from dialer.core.campaign import Campaign, RetryRule
from dialer.core.day_parts import another_part_of_day
from dialer.core.outcome import Outcome
from dialer.core.permit import Permit

#: Their phone may have rung: as after a busy line.
CANCELLED_AGAIN_S = 15 * 60.0
#: Whom a server that is about to stop refused to dial is called over another one, or once it has thought better of it.
REFUSED_AGAIN_S = 5.0
#: Another number of the same person is called this long after the one before: time to call back, or to hang up.
OTHER_PHONE_S = 60.0


def needs_agent(campaign: Campaign, outcome: Outcome) -> bool:
    """Whether the attempt after one with that outcome is made with an agent reserved for it."""
    rule = campaign.retries.get(outcome)
    return rule is not None and rule.needs_agent


def retry_at(campaign: Campaign, attempt: Attempt, permit: Permit, promised_until: float | None = None) -> float | None:
    """Unix seconds of the next attempt; None: this contact is done.

    The delay of the campaign's rule for the outcome, times its growth for each attempt made so far. An outcome
    without a rule (connected, invalid, rejected) ends the contact. A call that we took back before anybody answered
    is made again: a stopped campaign or node is no answer of the contact's. (Who was withdrawn by the CRM is not
    asked about here.)

    The hopper calls a contact's numbers in turn, so that with `other_phone_first` only the moment changes: shortly
    after an attempt while a number of this round has not been called, and then by the rule, which grows once a round.
    A number that does not exist ends the contact only with its last one. Where the contact says how often a number may
    be called, attempts are counted by number: a round is over once all that have some left were called as often, and
    when none has, the contact is done, but for what was promised.

    What does not count as an attempt (`Attempt.counts`) is made up for soon, whatever the rules say.

    Args:
        campaign: its rules.
        attempt: the attempt that has ended.
        permit: of this attempt; says how many numbers the contact has, and its time zone where the CRM gave one.
        promised_until: a call was promised, and attempts that begin by then are made however many there have been.
    """
    if not attempt.counts:
        return attempt.ended_at + REFUSED_AGAIN_S
    number, phones = attempt.attempt_number, max(1, permit.phones)
    round_over, rounds, untried = number % phones == 0, (number - 1) // phones, number < phones
    if any(one.terms is not None for one in permit.numbers):
        left = [one for one in permit.numbers if not one.spent(one.phone == attempt.phone)]
        here = 1 + next((one.attempts for one in permit.numbers if one.phone == attempt.phone), 0)
        others = [one.attempts for one in left if one.phone != attempt.phone]
        round_over, rounds, untried = all(made >= here for made in others), here - 1, 0 in others
        if not left and promised_until is None:
            return None
    rule = campaign.retries.get(attempt.outcome)
    if attempt.outcome is Outcome.CANCELLED and attempt.answered_at is None:
        rule = RetryRule(delay_s=CANCELLED_AGAIN_S, max_attempts=campaign.max_attempts)
    elif rule is None and attempt.outcome is Outcome.INVALID and untried:
        rule = RetryRule(delay_s=OTHER_PHONE_S, max_attempts=campaign.max_attempts)
    if rule is not None and promised_until is not None and attempt.ended_at + rule.delay_s <= promised_until:
        return attempt.ended_at + rule.delay_s
    if rule is None or number >= min(rule.max_attempts, campaign.max_attempts):
        return None
    if rule.other_phone_first and not round_over:
        return attempt.ended_at + OTHER_PHONE_S
    made = rounds if rule.other_phone_first else number - 1
    again_at = attempt.ended_at + rule.delay_s * rule.growth**made
    return another_part_of_day(again_at, (attempt.started_at,), permit.timezone) if rule.spread_hours else again_at
