"""The numbers of a reserved contact one by one: how often each may be called, and which of them may be now; pure."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from dialer.compliance.screening import Admitted, TurnedAway
from dialer.core.ids import Phone
from dialer.core.permit import Permit
from dialer.queues.port import Refuse, Release, Write
from dialer.runtime.contact_answers import NEW_PLACE

#: Why a number is not called that has been tried as often as the contact allows.
PHONE_ATTEMPTS: Final = "phone_attempts"

#: Of a reserved contact, whether it may be called by one of its numbers.
Judge = Callable[[Permit, Phone], Admitted | TurnedAway]


def within_attempts(judge: Judge) -> Judge:
    """The same judge, who turns numbers away besides that have been called as often as their contacts allow."""

    def judged(permit: Permit, phone: Phone) -> Admitted | TurnedAway:
        number = permit.number(phone)
        if number is not None and number.spent():
            return TurnedAway(PHONE_ATTEMPTS, math.inf, {"attempts": number.attempts})
        return judge(permit, phone)

    return judged


def turned_away(permit: Permit, answer: TurnedAway, judge: Judge) -> Write:
    """What becomes of a reserved contact whose number may not be called.

    It goes back as one whose next number is another, where some other may be called now or is for the gate to look at;
    else until the first of its numbers may be called.

    Args:
        permit: what the gate has given.
        answer: why its number is not called; `retry_at` inf: not unless the CRM says otherwise.
        judge: who has said so, and is asked about the other numbers.
    """
    if answer.retry_at is None:
        return Refuse(permit=permit, reason=answer.reason, evidence=answer.evidence)
    waits = {permit.phone: answer.retry_at}
    other_now = False
    for number in permit.numbers if answer.reason != NEW_PLACE else ():
        if number.phone != permit.phone:
            other = judge(permit, number.phone)
            if isinstance(other, Admitted) or other.retry_at is None or other.reason == NEW_PLACE:
                other_now = True
            else:
                waits[number.phone] = other.retry_at
    at = min(waits.values())
    if at == math.inf and not other_now:
        return Refuse(permit=permit, reason=answer.reason, evidence=answer.evidence)
    return Release(
        permit=permit,
        not_before_at=None if other_now else at,
        reason=answer.reason,
        evidence=answer.evidence or None,
        waits=waits if len(permit.numbers) > 1 and answer.reason != NEW_PLACE else {},
    )


def other_number_now(writes: list[Write]) -> bool:
    """Whether a contact that was turned away may be called now by another of its numbers."""
    return any(isinstance(write, Release) and write.waits and write.not_before_at is None for write in writes)
