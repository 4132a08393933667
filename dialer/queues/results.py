"""What the CRM reads on the stream ``results``: notices, attempts and answers to messages as JSON objects; pure.

Every result has ``type`` and ``at`` (RFC 3339, UTC, microseconds), and of ``campaign``, ``contact``, ``phone``,
``call``, ``agent``, ``ref`` (id of the message that it answers), ``outcome`` and ``reason`` those that it knows; absent
ones are left out, never null. Durations end in ``_s`` and are seconds.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final, assert_never

from dialer.core.attempt import Attempt
from dialer.core.commands import ReportPurge
from dialer.core.ids import AgentId, CallId, CampaignId, ContactId, MessageId, Phone
from dialer.core.notices import (
    CallConnected,
    CallOptedOut,
    CallStarted,
    CallWasAbandoned,
    CallWasAnswered,
    CallWasDisposed,
    ContactWasOffered,
    OfferClosed,
    RecordingChanged,
)
from dialer.core.outcome import Outcome

Result = dict[str, object]

#: In UTC, though it does not say so.
_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001


def rfc3339(at: float) -> str:
    """Unix seconds as ``2030-01-31T12:00:00.000000Z``."""
    moment = _EPOCH + timedelta(microseconds=round(at * 1_000_000))
    return moment.isoformat(timespec="microseconds") + "Z"  # a fifth of strftime's time


def _result(kind: str, at: float, **values: object) -> Result:
    result: Result = {"type": kind, "at": rfc3339(at)}
    for key, value in values.items():
        if value is not None and value != "":
            result[key] = round(value, 6) if isinstance(value, float) else value
    return result


#: Notices that the CRM learns of; `CallEnded` is published by `Finish`, with the attempt.
Told = (
    CallStarted | CallWasAnswered | CallConnected | CallWasAbandoned | CallWasDisposed | CallOptedOut | RecordingChanged
)


def notice_result(notice: Told) -> Result:
    """What the CRM learns of a notice."""
    match notice:
        case CallStarted():
            return _result(
                "call.started",
                notice.at,
                campaign=notice.campaign,
                contact=notice.contact,
                phone=notice.phone,
                call=notice.call,
            )
        case CallWasAnswered():
            return _result(
                "call.answered",
                notice.at,
                campaign=notice.campaign,
                contact=notice.contact,
                phone=notice.phone,
                call=notice.call,
                ring_s=notice.ring_s,
            )
        case CallConnected():
            return _result(
                "call.connected",
                notice.at,
                campaign=notice.campaign,
                contact=notice.contact,
                phone=notice.phone,
                call=notice.call,
                agent=notice.agent,
                wait_s=notice.wait_s,
                screen_pop=notice.screen_pop,
            )
        case CallWasAbandoned():
            return _result(
                "call.abandoned",
                notice.at,
                campaign=notice.campaign,
                contact=notice.contact,
                phone=notice.phone,
                call=notice.call,
                wait_s=notice.wait_s,
            )
        case CallOptedOut():
            return _result(
                "call.opted_out",
                notice.at,
                campaign=notice.campaign,
                contact=notice.contact,
                phone=notice.phone,
                call=notice.call,
                agent=notice.agent,
                scope=notice.scope,
                by=notice.by,
            )
        case CallWasDisposed():
            meaning = notice.meaning
            return call_disposed(
                notice.at,
                campaign=notice.campaign,
                contact=notice.contact,
                phone=notice.phone,
                call=notice.call,
                agent=notice.agent,
                ref=notice.ref,
                code=notice.code,
                category=None if meaning is None else meaning.category.value,
                is_sale=None if meaning is None else meaning.is_sale,
                is_contact=None if meaning is None else meaning.is_contact,
                amount=notice.amount,
                currency=None if notice.amount is None else notice.currency,
                notes=notice.notes,
                by=notice.by,
            )
        case RecordingChanged():
            return _result(
                "call.recorded",
                notice.at,
                campaign=notice.campaign,
                contact=notice.contact,
                phone=notice.phone,
                call=notice.call,
                agent=notice.agent,
                recording=notice.recording,
                started_at=rfc3339(notice.started_at),
                duration_s=max(0.0, notice.at - notice.started_at),
                by=notice.by,
                reason=notice.problem,
            )
        case _:
            assert_never(notice)


def call_disposed(
    at: float,
    *,
    campaign: CampaignId,
    contact: ContactId,
    phone: Phone,
    call: CallId,
    agent: AgentId | None,
    ref: MessageId | None,
    code: str,
    category: str | None,
    is_sale: bool | None,
    is_contact: bool | None,
    amount: str | None,
    currency: str | None,
    notes: str,
    by: str,
) -> Result:
    """A call was closed with a code, which meant this."""
    return _result(
        "call.disposed",
        at,
        campaign=campaign,
        contact=contact,
        phone=phone,
        call=call,
        agent=agent,
        ref=ref,
        code=code,
        category=category,
        is_sale=is_sale,
        is_contact=is_contact,
        amount=amount,
        currency=currency,
        notes=notes,
        by=by,
    )


def screen_popped(notice: CallConnected) -> Result:
    """The page of the CRM that the agent's screen opens."""
    return _result(
        "agent.screen_pop",
        notice.at,
        campaign=notice.campaign,
        contact=notice.contact,
        phone=notice.phone,
        call=notice.call,
        agent=notice.agent,
        url=notice.screen_pop,
    )


def offer_result(notice: ContactWasOffered | OfferClosed) -> Result:
    """An agent is shown a contact before it is called, or what became of that."""
    match notice:
        case ContactWasOffered(offer=offer):
            return _result(
                "preview.offered",
                notice.at,
                campaign=offer.campaign,
                contact=offer.contact,
                phone=offer.phone,
                agent=notice.agent,
                attempt=offer.attempt_number,
                answer_by=rfc3339(notice.answer_by_at),
                url=notice.url,
            )
        case OfferClosed():
            return _result(
                "preview.closed",
                notice.at,
                campaign=notice.campaign,
                contact=notice.contact,
                phone=notice.phone,
                agent=notice.agent,
                call=notice.call,
                outcome=notice.end.value,
                reason=notice.reason,
                retry_at=None if notice.retry_at is None else rfc3339(notice.retry_at),
            )
        case _:
            assert_never(notice)


def agent_message(at: float, *, id: str, agent: AgentId, text: str, by: str) -> Result:
    """A supervisor's words to an agent."""
    return _result("agent.message", at, id=id, agent=agent, text=text, by=by)


def call_ended(attempt: Attempt, retry_at: float | None = None) -> Result:
    """The end of an attempt, with its durations; published by `Finish`, once."""
    ring_until = attempt.answered_at if attempt.answered_at is not None else attempt.ended_at
    return _result(
        "call.ended",
        attempt.ended_at,
        campaign=attempt.campaign,
        contact=attempt.contact,
        phone=attempt.phone,
        call=attempt.call,
        agent=attempt.agent,
        outcome=str(attempt.outcome),
        reason=attempt.reason,
        attempt=attempt.attempt_number,
        started_at=rfc3339(attempt.started_at),
        duration_s=max(0.0, attempt.ended_at - attempt.started_at),
        ring_s=None if attempt.ringing_at is None else max(0.0, ring_until - attempt.ringing_at),
        wait_s=attempt.wait_s,
        talk_s=attempt.talk_s,
        hung_up_by=attempt.hung_up_by,
        retry_at=None if retry_at is None else rfc3339(retry_at),
    )


def told_of(attempt: Attempt, retry_at: float | None = None) -> list[Result]:
    """What was told of a call that has ended, from its record, in its order.

    What the record does not have is left out (the page that the agent's screen opened), and of somebody who was
    abandoned the moment is that of the end.
    """

    def moment(kind: str, at: float, **values: object) -> Result:
        return _result(
            kind,
            at,
            campaign=attempt.campaign,
            contact=attempt.contact,
            phone=attempt.phone,
            call=attempt.call,
            **values,
        )

    told = [moment("call.started", attempt.started_at)]
    if attempt.answered_at is not None:
        told.append(moment("call.answered", attempt.answered_at, ring_s=attempt.answered_at - attempt.started_at))
    if attempt.connected_at is not None:
        told.append(moment("call.connected", attempt.connected_at, agent=attempt.agent, wait_s=attempt.wait_s))
    elif attempt.outcome is Outcome.ABANDONED:
        told.append(moment("call.abandoned", attempt.ended_at, wait_s=attempt.wait_s))
    return [*told, call_ended(attempt, retry_at)]


def purge_result(command: ReportPurge, at: float) -> Result:
    """What a removal or do-not-call entry did to a call that was under way: cancelled, or too late."""
    # The contract has one pair of types; of a do-not-call entry `dnc.applied` has been published besides.
    return _result(
        f"removal.{command.effect}",
        at,
        campaign=command.campaign,
        contact=command.contact,
        phone=command.phone,
        call=command.call,
        ref=command.ref,
        reason=command.reason,
        cause=command.kind,
    )


def contact_accepted(at: float, *, campaign: CampaignId, contact: ContactId, ref: MessageId | None = None) -> Result:
    """A contact of a message has been taken."""
    return _result("contact.accepted", at, campaign=campaign, contact=contact, ref=ref)


def contact_rejected(
    at: float, *, campaign: str, contact: str | None, reason: str, phone: str | None = None, ref: str | None = None
) -> Result:
    """A contact of a message will not be called, for this reason."""
    return _result("contact.rejected", at, campaign=campaign, contact=contact, phone=phone, ref=ref, reason=reason)


def segment_accepted(
    at: float, *, campaign: CampaignId, ref: MessageId, created: bool, started: bool, accepted: int, rejected: int
) -> Result:
    """A segment is a campaign now; how many of its contacts were taken, and how many not."""
    return _result(
        "segment.accepted",
        at,
        campaign=campaign,
        ref=ref,
        created=created,
        started=started,
        accepted=accepted,
        rejected=rejected,
    )


def message_rejected(at: float, *, reason: str, ref: str | None = None) -> Result:
    """A message could not be understood, for this reason; it has been kept aside."""
    return _result("message.rejected", at, ref=ref, reason=reason)


def callback_accepted(
    at: float, *, campaign: CampaignId, contact: ContactId, phone: Phone | None, ref: MessageId | None
) -> Result:
    """A callback has been scheduled."""
    return _result("callback.accepted", at, campaign=campaign, contact=contact, phone=phone, ref=ref)


def callback_due_soon(
    at: float, *, campaign: CampaignId, contact: ContactId, due_at: float, agent: AgentId | None
) -> Result:
    """A callback will be called in some minutes."""
    return _result("callback.due_soon", at, campaign=campaign, contact=contact, agent=agent, due_at=rfc3339(due_at))


def callback_rejected(
    at: float, *, campaign: str | None, contact: str | None, reason: str, ref: str | None, call: CallId | None = None
) -> Result:
    """A callback cannot be scheduled, for this reason."""
    return _result("callback.rejected", at, campaign=campaign, contact=contact, call=call, ref=ref, reason=reason)


def action_requested(
    at: float,
    *,
    id: str,
    campaign: CampaignId,
    contact: ContactId,
    phone: Phone | None,
    call: CallId | None,
    rule: str,
    action: str,
    template: str,
    reason: str,
) -> Result:
    """The CRM is asked to do something for a contact; `id` is the same where it is asked again."""
    return _result(
        "action.requested",
        at,
        id=id,
        campaign=campaign,
        contact=contact,
        phone=phone,
        call=call,
        rule=rule,
        action=action,
        template=template,
        reason=reason,
    )
