"""What the gate and the screen have said of one contact that was asked for by name, as the engine is told; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from dialer.core.commands import RequestContact, RequestOffers, ReturnOffer
from dialer.core.events import ContactGranted, ContactsOffered, PermitsGranted
from dialer.core.offer import Offer
from dialer.queues.port import Release, Reservation, Write

#: The screen has met a place for the first time (`dialer.compliance.screening`): asked again, it answers.
NEW_PLACE: Final = "new_place"
#: A contact that was offered to an agent has since been given another time to be called at.
PUT_OFF: Final = "put_off"
#: Moments go through Redis with six digits.
_SAME_S: Final = 0.001


def later_than(writes: Sequence[Write], waited_until: float | None) -> list[Write]:
    """The same writes, none of which lets a contact be called before the time that it waited for anyway."""
    if waited_until is None:
        return list(writes)
    return [
        replace(write, not_before_at=max(write.not_before_at or waited_until, waited_until))
        if isinstance(write, Release)
        else write
        for write in writes
    ]


def answer_of(
    request: RequestContact, reservation: Reservation, screened: PermitsGranted, writes: Sequence[Write]
) -> ContactGranted:
    """The answer to a request.

    Args:
        request: what was asked for.
        reservation: the gate's answer.
        screened: what the screen has left of it.
        writes: what becomes of a contact that the screen has turned away.
    """
    permit = screened.permits[0] if screened.permits else None
    reason, retry_at = "", None
    if permit is None:
        # Where the node is stopping nobody has said why.
        reason = next((why for why, _ in screened.refusals.counts), "stopping")
        retry_at = reservation.retry_at
        if writes and isinstance(back := writes[0], Release):
            # Of the number that was asked for, whatever others the contact has.
            retry_at = back.not_before_at
            if request.phone is not None:
                retry_at = back.waits.get(request.phone, retry_at)
    return ContactGranted(
        at=screened.at,
        campaign=request.campaign,
        contact=request.contact,
        agent=request.agent,
        permit=permit,
        reason=reason,
        retry_at=retry_at,
        lent=reservation.lent,
        waited_until=reservation.waited_until,
        ready=screened.ready,
        later=screened.later,
    )


def offers_of(request: RequestOffers, granted: PermitsGranted, kept_until: float) -> ContactsOffered:
    """What agents may be shown of what the gate has given; nobody is called by it."""
    return ContactsOffered(
        at=granted.at,
        campaign=request.campaign,
        requested=request.count,
        offers=tuple(
            Offer(
                campaign=permit.campaign,
                contact=permit.contact,
                phone=permit.phone,
                attempt_number=permit.attempt_number,
                kept_until=kept_until,
                name=permit.name,
                fields=permit.fields,
                timezone=permit.timezone,
            )
            for permit in granted.permits
        ),
        refusals=granted.refusals,
        ready=granted.ready,
        later=granted.later,
    )


def waits_for_something_else(request: RequestContact, reservation: Reservation) -> bool:
    """Whether a contact that was offered waits for longer by now, as for a callback that was agreed since."""
    waits = reservation.waited_until
    return request.kept_until is not None and waits is not None and waits > request.kept_until + _SAME_S


def returned(request: ReturnOffer, reservation: Reservation) -> list[Write]:
    """How a contact that was offered waits on, which has been reserved to find out where it is."""
    waits = reservation.waited_until
    kept = waits is not None and abs(waits - request.kept_until) <= _SAME_S
    return [
        Release(permit=permit, not_before_at=request.not_before_at if kept else waits)
        for permit in reservation.granted.permits
    ]
