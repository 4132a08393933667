"""The contract with a CRM as types: each message that it writes and each result that it reads.

`scripts/crm-contract` makes ``docs/crm/schemas`` and ``docs/crm/asyncapi.yaml`` of them. What comes in is decoded into
the types of `dialer.intake`, whose descriptions these are too; removals and do-not-call entries are read by the gate
itself, in Lua, so that their types stand here. A receiver of results must leave alone what it does not know: a later
version may tell more.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from dialer.intake.messages import RawBatch, RawCallback, RawDisposition
from dialer.intake.segments import RawSegment

Moment = Annotated[str, Meta(description="RFC 3339, UTC, microseconds", extra_json_schema={"format": "date-time"})]
Id = Annotated[str, Meta(min_length=1, max_length=128)]
Campaign = Annotated[str, Meta(pattern="^[A-Za-z0-9_][A-Za-z0-9_-]{0,63}$")]
Agent = Campaign
Call = Annotated[str, Meta(description="Id of one attempt to reach a contact", pattern="^[A-Za-z0-9_-]+$")]
Phone = Annotated[str, Meta(description="E.164", pattern=r"^\+[1-9][0-9]{6,14}$")]
Seconds = Annotated[float, Meta(ge=0)]
Ref = Annotated[str, Meta(description="The id of the message that this answers", min_length=1)]
Reason = Annotated[str, Meta(description="A word for machines, a colon, and a text for people; or a text")]
Given = Annotated[str, Meta(description="RFC 3339 with a zone", extra_json_schema={"format": "date-time"})]
#: A whole number is taken as text, since some CRMs number their things; null and "" are absent.
Loose = str | int | UnsetType | None


# ---- written by the CRM


class RemovalMessage(Struct, kw_only=True):
    """A contact, or whoever has a number, is no longer to be called: give contact or phone."""

    campaign: Annotated[str | int, Meta(description='A campaign, or "*" for all')]
    id: Annotated[Loose, Meta(description="Results carry it as ref")] = UNSET
    contact: Loose = UNSET
    phone: Annotated[Loose, Meta(description="With + and country code")] = UNSET
    reason: Loose = UNSET


class DoNotCallMessage(Struct, kw_only=True):
    """A number goes on a do-not-call list, or off it."""

    op: Literal["add", "remove"]
    phone: Annotated[str | int, Meta(description="With + and country code; or the beginning of numbers, and a *")]
    id: Annotated[Loose, Meta(description="Results carry it as ref")] = UNSET
    scope: Annotated[
        Loose, Meta(description='"*" for all campaigns, one campaign, or "account:" and the name of an account')
    ] = UNSET
    reason: Loose = UNSET
    expires: Annotated[str | UnsetType | None, Meta(description="RFC 3339 with a zone; absent: never")] = UNSET


#: Stream after the prefix -> the type of its messages.
MESSAGES: Final[Mapping[str, type[Struct]]] = MappingProxyType(
    {
        "contacts": RawBatch,
        "removals": RemovalMessage,
        "dnc": DoNotCallMessage,
        "callbacks": RawCallback,
        "dispositions": RawDisposition,
        "segments": RawSegment,
    }
)


# ---- read by the CRM


class ContactAccepted(Struct, kw_only=True, tag_field="type", tag="contact.accepted"):
    """A contact has been taken; `reason` names numbers of it that were left out."""

    at: Moment
    campaign: Campaign
    contact: Id
    ref: Ref | UnsetType = UNSET
    reason: Reason | UnsetType = UNSET


class ContactRejected(Struct, kw_only=True, tag_field="type", tag="contact.rejected"):
    """A contact will not be called."""

    at: Moment
    reason: Reason
    campaign: Campaign | UnsetType = UNSET
    contact: Id | UnsetType = UNSET
    phone: Phone | UnsetType = UNSET
    ref: Ref | UnsetType = UNSET


class MessageRejected(Struct, kw_only=True, tag_field="type", tag="message.rejected"):
    """Of this message nothing could be used; it has been kept aside."""

    at: Moment
    reason: Reason
    ref: Ref | UnsetType = UNSET


class SegmentAccepted(Struct, kw_only=True, tag_field="type", tag="segment.accepted"):
    """A segment is a campaign now; a result for each of its contacts came before."""

    at: Moment
    campaign: Campaign
    ref: Ref
    created: Annotated[bool, Meta(description="false: an earlier message with this id had made it")]
    started: Annotated[bool, Meta(description="By this message")]
    accepted: Annotated[int, Meta(ge=0)]
    rejected: Annotated[int, Meta(ge=0)]


PurgeCause = Annotated[
    Literal["removal", "dnc"], Meta(description="Stream of the message that did it: a removal, or a do-not-call entry")
]


class RemovalApplied(Struct, kw_only=True, tag_field="type", tag="removal.applied"):
    """No later originate calls what the removal names."""

    at: Moment
    campaign: str | UnsetType = UNSET
    contact: Id | UnsetType = UNSET
    phone: Phone | UnsetType = UNSET
    ref: Ref | UnsetType = UNSET
    reason: Reason | UnsetType = UNSET


class RemovalCancelled(RemovalApplied, kw_only=True, tag_field="type", tag="removal.cancelled"):
    """It was ringing, and was hung up."""

    call: Call | UnsetType = UNSET
    cause: PurgeCause | UnsetType = UNSET


class RemovalTooLate(RemovalApplied, kw_only=True, tag_field="type", tag="removal.too_late"):
    """It was talking already, and was left alone."""

    call: Call | UnsetType = UNSET
    cause: PurgeCause | UnsetType = UNSET


class RemovalNotFound(RemovalApplied, kw_only=True, tag_field="type", tag="removal.not_found"):
    """Nobody of that name was waiting; should somebody come, they are not called."""


class DoNotCallApplied(Struct, kw_only=True, tag_field="type", tag="dnc.applied"):
    """The number is on the list."""

    at: Moment
    #: A number, or the beginning of numbers and a *.
    phone: str
    campaign: Annotated[str | UnsetType, Meta(description='The scope: "*" or a campaign')] = UNSET
    account: str | UnsetType = UNSET
    ref: Ref | UnsetType = UNSET
    reason: Reason | UnsetType = UNSET


class DoNotCallRemoved(DoNotCallApplied, kw_only=True, tag_field="type", tag="dnc.removed"):
    """The number is off the list."""


class CallbackAccepted(Struct, kw_only=True, tag_field="type", tag="callback.accepted"):
    """A callback is scheduled."""

    at: Moment
    campaign: Campaign
    contact: Id
    phone: Phone | UnsetType = UNSET
    agent: Agent | UnsetType = UNSET
    ref: Ref | UnsetType = UNSET


class CallbackDueSoon(Struct, kw_only=True, tag_field="type", tag="callback.due_soon"):
    """A callback will be called in some minutes; told once for each that was agreed."""

    at: Moment
    campaign: Campaign
    contact: Id
    due_at: Annotated[Moment, Meta(description="When it is to be called")]
    agent: Annotated[str | UnsetType, Meta(description="Whose it is; absent: anybody's")] = UNSET


class CallbackRejected(Struct, kw_only=True, tag_field="type", tag="callback.rejected"):
    """A callback cannot be scheduled."""

    at: Moment
    reason: Reason
    campaign: Campaign | UnsetType = UNSET
    contact: Id | UnsetType = UNSET
    call: Call | UnsetType = UNSET
    ref: Ref | UnsetType = UNSET


class _OfCall(Struct, kw_only=True):
    at: Moment
    campaign: Campaign
    contact: Id
    phone: Phone
    call: Call


class CallStarted(_OfCall, kw_only=True, tag_field="type", tag="call.started"):
    """`at` is the moment when the originate was handed to Asterisk."""


class CallAnswered(_OfCall, kw_only=True, tag_field="type", tag="call.answered"):
    """Somebody or something picked up."""

    ring_s: Seconds | UnsetType = UNSET


class CallConnected(_OfCall, kw_only=True, tag_field="type", tag="call.connected"):
    """The person has an agent."""

    agent: Agent
    wait_s: Seconds
    screen_pop: Annotated[str | UnsetType, Meta(description="URL")] = UNSET


class ScreenPop(_OfCall, kw_only=True, tag_field="type", tag="agent.screen_pop"):
    """The page of the CRM that this agent needs now."""

    agent: Agent
    url: str


class AgentMessage(Struct, kw_only=True, tag_field="type", tag="agent.message"):
    """A supervisor's words to an agent, for the page that the agent has open."""

    at: Moment
    agent: Agent
    id: Annotated[str, Meta(description="The same where it is told again", min_length=1)]
    text: Annotated[str, Meta(min_length=1, max_length=500)]
    by: Annotated[str, Meta(description="A key or a user", min_length=1)]


class PreviewOffered(Struct, kw_only=True, tag_field="type", tag="preview.offered"):
    """An agent is shown a contact, which is called if they consent."""

    at: Moment
    campaign: Campaign
    contact: Id
    phone: Phone
    agent: Agent
    attempt: Annotated[int, Meta(ge=1, description="Of this contact, this one included")]
    answer_by: Annotated[Moment, Meta(description="What the agent has not said by then is not said")]
    url: Annotated[str | UnsetType, Meta(description="The page of the CRM")] = UNSET


class PreviewClosed(Struct, kw_only=True, tag_field="type", tag="preview.closed"):
    """What became of that."""

    at: Moment
    campaign: Campaign
    contact: Id
    phone: Phone
    agent: Agent
    outcome: Annotated[str, Meta(description="called, skipped, expired, refused or withdrawn")]
    reason: Reason | UnsetType = UNSET
    call: Call | UnsetType = UNSET
    retry_at: Annotated[str | UnsetType, Meta(description="Of one refused: when it may be called")] = UNSET


class CallAbandoned(_OfCall, kw_only=True, tag_field="type", tag="call.abandoned"):
    """A person who answered found no agent in time."""

    wait_s: Seconds


class CallOptedOut(_OfCall, kw_only=True, tag_field="type", tag="call.opted_out"):
    """The person wants no more calls; the entry on the do-not-call list is written."""

    scope: str
    by: Annotated[str, Meta(description='"key", or who noted it')]
    agent: Agent | UnsetType = UNSET


class ActionRequested(Struct, kw_only=True, tag_field="type", tag="action.requested"):
    """The CRM is asked to do something for a contact; the same id comes again where it is asked again."""

    at: Moment
    id: Id
    campaign: Campaign
    contact: Id
    rule: str
    action: str
    template: str | UnsetType = UNSET
    phone: Phone | UnsetType = UNSET
    call: Call | UnsetType = UNSET
    reason: str | UnsetType = UNSET


class CallRecorded(_OfCall, kw_only=True, tag_field="type", tag="call.recorded"):
    """A recording is over, or could not be made."""

    recording: str | UnsetType = UNSET
    started_at: Moment
    duration_s: Seconds
    agent: Agent | UnsetType = UNSET
    by: str | UnsetType = UNSET
    reason: Annotated[str | UnsetType, Meta(description="What went wrong, where something did")] = UNSET


class CallEnded(_OfCall, kw_only=True, tag_field="type", tag="call.ended"):
    """Every started call has exactly one."""

    outcome: Annotated[str, Meta(description="connected, abandoned, busy, no_answer, machine, …")]
    attempt: Annotated[
        int,
        Meta(
            ge=0, description="Of this contact, from 1; 0: nobody was dialed, and it does not count, or it is not known"
        ),
    ]
    started_at: Moment
    duration_s: Seconds
    agent: Agent | UnsetType = UNSET
    reason: Reason | UnsetType = UNSET
    ring_s: Seconds | UnsetType = UNSET
    wait_s: Seconds | UnsetType = UNSET
    talk_s: Seconds | UnsetType = UNSET
    hung_up_by: str | UnsetType = UNSET
    retry_at: Annotated[str | UnsetType, Meta(description="When it is called again; absent: it is not")] = UNSET


class CallDisposed(_OfCall, kw_only=True, tag_field="type", tag="call.disposed"):
    """The call was closed with a code, or its code was changed."""

    code: str
    category: str | UnsetType = UNSET
    is_sale: bool | UnsetType = UNSET
    is_contact: bool | UnsetType = UNSET
    amount: Annotated[str | UnsetType, Meta(description="A decimal number, in the digits that it was sent in")] = UNSET
    currency: str | UnsetType = UNSET
    notes: str | UnsetType = UNSET
    agent: Agent | UnsetType = UNSET
    by: Annotated[str | UnsetType, Meta(description='An agent, the id of an API key, or "crm"')] = UNSET
    ref: Ref | UnsetType = UNSET


RESULT_TYPES: Final[tuple[type[Struct], ...]] = (
    ContactAccepted,
    ContactRejected,
    MessageRejected,
    SegmentAccepted,
    RemovalApplied,
    RemovalCancelled,
    RemovalTooLate,
    RemovalNotFound,
    DoNotCallApplied,
    DoNotCallRemoved,
    CallbackAccepted,
    CallbackRejected,
    CallbackDueSoon,
    PreviewOffered,
    PreviewClosed,
    CallStarted,
    CallAnswered,
    CallConnected,
    ScreenPop,
    AgentMessage,
    CallAbandoned,
    CallOptedOut,
    ActionRequested,
    CallRecorded,
    CallEnded,
    CallDisposed,
)
#: Type of a result -> its type here.
RESULTS: Final[Mapping[str, type[Struct]]] = MappingProxyType(
    {str(kind.__struct_config__.tag): kind for kind in RESULT_TYPES}
)


def example_of(name: str) -> dict[str, Any]:
    """One message or result, as the documentation shows it."""
    return dict(EXAMPLES[name])


_CALL: Final[dict[str, Any]] = {
    "at": "2030-03-02T15:00:00.000000Z",
    "campaign": "winter",
    "contact": "crm-17",
    "phone": "+34600111222",
    "call": "node1-3f2a91c0-0000000001",
}
_ANSWER: Final[dict[str, Any]] = {"at": "2030-03-02T15:00:00.000000Z", "campaign": "winter", "contact": "crm-17"}
_OF_OFFER: Final[dict[str, Any]] = {**_ANSWER, "phone": "+34600111222", "agent": "agent01"}

EXAMPLES: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "contacts": {
            "id": "push-1",
            "campaign": "winter",
            "contacts": [
                {
                    "id": "crm-17",
                    "phones": [
                        "+34600111222",
                        {"number": "+34910000017", "type": "work", "hours": ["mon-fri 09:00-17:00"], "max_attempts": 2},
                    ],
                    "name": "Ana García",
                    "priority": 10,
                    "fields": {"debt": 129.9},
                }
            ],
        },
        "removals": {"id": "rem-1", "campaign": "winter", "contact": "crm-17", "reason": "has paid"},
        "dnc": {"id": "dnc-1", "op": "add", "phone": "+34600111222", "scope": "*", "reason": "asked for it"},
        "callbacks": {
            "id": "cb-1",
            "campaign": "winter",
            "contact": "crm-17",
            "phone": "+34600111222",
            "at": "2030-03-02T16:00:00+01:00",
            "agent": "agent01",
        },
        "dispositions": {
            "id": "d-1",
            "call": "node1-3f2a91c0-0000000001",
            "code": "SALE",
            "amount": "129.90",
            "notes": "pays by card",
        },
        "segments": {
            "id": "seg-2030-03",
            "campaign": "loyalty-2030-03",
            "template": "loyalty",
            "name": "Loyalty, March",
            "settings": {"max_attempts": 3},
            "contacts": [{"id": "crm-18", "phones": ["+34600111223"]}],
            "start": True,
        },
        "contact.accepted": {"type": "contact.accepted", **_ANSWER, "ref": "push-1"},
        "contact.rejected": {
            "type": "contact.rejected",
            **_ANSWER,
            "ref": "push-1",
            "reason": "phone_not_valid: contacts[0] phone 1 is not a number of its country",
        },
        "message.rejected": {
            "type": "message.rejected",
            "at": _ANSWER["at"],
            "ref": "d-1",
            "reason": "dispositions 1772463600000-0: unknown_code: code: 'SOLD' is no code of campaign 'winter'; …",
        },
        "segment.accepted": {
            "type": "segment.accepted",
            "at": _ANSWER["at"],
            "campaign": "loyalty-2030-03",
            "ref": "seg-2030-03",
            "created": True,
            "started": True,
            "accepted": 1,
            "rejected": 0,
        },
        "removal.applied": {"type": "removal.applied", **_ANSWER, "ref": "rem-1", "reason": "has paid"},
        "removal.cancelled": {
            "type": "removal.cancelled",
            **_CALL,
            "ref": "rem-1",
            "reason": "has paid",
            "cause": "removal",
        },
        "removal.too_late": {
            "type": "removal.too_late",
            **_CALL,
            "ref": "rem-1",
            "reason": "has paid",
            "cause": "removal",
        },
        "removal.not_found": {"type": "removal.not_found", **_ANSWER, "ref": "rem-1"},
        "dnc.applied": {
            "type": "dnc.applied",
            "at": _ANSWER["at"],
            "campaign": "*",
            "phone": "+34600111222",
            "ref": "dnc-1",
        },
        "dnc.removed": {
            "type": "dnc.removed",
            "at": _ANSWER["at"],
            "campaign": "*",
            "phone": "+34600111222",
            "ref": "dnc-2",
        },
        "callback.accepted": {"type": "callback.accepted", **_ANSWER, "phone": "+34600111222", "ref": "cb-1"},
        "callback.rejected": {
            "type": "callback.rejected",
            **_ANSWER,
            "ref": "cb-1",
            "reason": "invalid_time: its time has passed",
        },
        "callback.due_soon": {
            "type": "callback.due_soon",
            **_ANSWER,
            "due_at": "2030-03-02T15:05:00.000000Z",
            "agent": "agent01",
        },
        "call.started": {"type": "call.started", **_CALL},
        "call.answered": {"type": "call.answered", **_CALL, "ring_s": 7.25},
        "call.connected": {
            "type": "call.connected",
            **_CALL,
            "agent": "agent01",
            "wait_s": 0.012,
            "screen_pop": "https://crm.example/contacts/crm-17",
        },
        "agent.message": {
            "type": "agent.message",
            "at": _ANSWER["at"],
            "agent": "agent01",
            "id": "9f2c51d0a7b3e846",
            "text": "Please offer the new tariff first.",
            "by": "user:marta",
        },
        "agent.screen_pop": {
            "type": "agent.screen_pop",
            **_CALL,
            "agent": "agent01",
            "url": "https://crm.example/contacts/crm-17",
        },
        "preview.offered": {
            "type": "preview.offered",
            **_OF_OFFER,
            "attempt": 2,
            "answer_by": "2030-03-02T15:00:30.000000Z",
            "url": "https://crm.example/contacts/crm-17",
        },
        "preview.closed": {"type": "preview.closed", **_OF_OFFER, "outcome": "skipped", "reason": "called yesterday"},
        "call.abandoned": {"type": "call.abandoned", **_CALL, "wait_s": 2.0},
        "call.opted_out": {"type": "call.opted_out", **_CALL, "scope": "*", "by": "key"},
        "action.requested": {
            "type": "action.requested",
            **_ANSWER,
            "id": "sms-crm-17-4",
            "rule": "no-answer-4",
            "action": "sms",
            "template": "we-tried",
            "reason": "4 calls without an answer",
        },
        "call.recorded": {
            "type": "call.recorded",
            **_CALL,
            "agent": "agent01",
            "recording": "node1-3f2a91c0-0000000001-1",
            "started_at": "2030-03-02T14:59:00.000000Z",
            "duration_s": 60.0,
            "by": "agent01",
        },
        "call.ended": {
            "type": "call.ended",
            **_CALL,
            "agent": "agent01",
            "outcome": "connected",
            "attempt": 1,
            "started_at": "2030-03-02T14:58:00.000000Z",
            "duration_s": 120.0,
            "talk_s": 104.5,
            "hung_up_by": "customer",
        },
        "call.disposed": {
            "type": "call.disposed",
            **_CALL,
            "agent": "agent01",
            "code": "SALE",
            "category": "sale",
            "is_sale": True,
            "is_contact": True,
            "amount": "129.90",
            "currency": "EUR",
            "by": "crm",
            "ref": "d-1",
        },
    }
)
