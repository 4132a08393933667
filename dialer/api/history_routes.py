"""Everything that is on record of a contact; of a number or a person over all campaigns, for those who may."""

from __future__ import annotations

from typing import Annotated, Any, Final

from litestar import Router, get, post
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct

from dialer.api.auth import requires
from dialer.api.errors import BODY, KEYED, ApiError, documented
from dialer.api.key_ports import Role
from dialer.api.ports import ApiPorts
from dialer.api.report_ports import Histories
from dialer.api.requests import Phones, Ports, known_campaign
from dialer.api.rows import rfc3339
from dialer.core.ids import CampaignId, ContactId, valid_contact_id
from dialer.errors import InputError
from dialer.reporting.history import Entry, History, Subject

#: Details that are moments.
_MOMENTS: Final = frozenset({"retry_at", "next_at", "expires_at", "call_at", "fallback_at"})


class HistoryEntryOut(Struct, kw_only=True, omit_defaults=True):
    """One happening; what is absent is unknown or does not apply."""

    at: str
    #: contact, consent, attempt, talk, disposition, recording, callback, refusal, removal, do_not_call or action.
    kind: str
    campaign: str | None = None
    contact: str | None = None
    call: str | None = None
    details: dict[str, Any] = {}


class HistoryContactOut(Struct, kw_only=True):
    """A contact that the history is of."""

    campaign: str
    contact: str


class HistoryOut(Struct, kw_only=True):
    """Happenings, the latest first."""

    contacts: list[HistoryContactOut]
    #: Their numbers, those of former calls included.
    phones: list[str]
    entries: list[HistoryEntryOut]
    #: There are older ones of some kind, which were left out.
    more: bool


class HistoryQuery(Struct, kw_only=True, forbid_unknown_fields=True):
    """Whose history is wanted over all campaigns: either of the two."""

    #: Whoever has or had this number.
    phone: Annotated[str, Meta(max_length=64)] | None = None
    #: Contacts of this id: to a CRM that gives its own ids, one person.
    contact: Annotated[str, Meta(max_length=128)] | None = None


@get(
    "/campaigns/{campaign:str}/contacts/{contact:str}/history",
    guards=[requires(Role.SUPERVISOR, Role.CRM)],
    responses=documented(*KEYED, 404, 503),
)
async def contact_history(campaign: FromPath[str], contact: FromPath[str], ports: Ports) -> HistoryOut:
    """Everything that is on record of a contact, the latest first."""
    stored = await known_campaign(ports, campaign)
    subject = Subject(campaign=stored.campaign.id, contact=ContactId(contact))
    found = await _histories(ports).find(subject)
    if not found.contacts:
        raise ApiError(404, f"there is no contact {contact[:80]!r} in campaign {stored.campaign.id}")
    return _out(found)


@post(
    "/history",
    guards=[requires(Role.SUPERVISOR)],
    responses=documented(*KEYED, *BODY, 503),
    status_code=200,
    description=(
        "The history of a number or of a person over all campaigns. A POST, so that no number stands in a URL; it "
        "changes nothing."
    ),
)
async def search_history(data: JSONBody[HistoryQuery], ports: Ports, phones: Phones) -> HistoryOut:
    """Everything that is on record of a number or a person."""
    if (data.phone is None) == (data.contact is None):
        raise InputError("phone, contact: give one of the two")
    if data.phone is not None:
        reading = phones.read(data.phone)
        if reading.phone is None:
            raise InputError(f"phone: {reading.problem}")
        return _out(await _histories(ports).find(Subject(phone=reading.phone)))
    assert data.contact is not None, "one of the two is there"
    if not valid_contact_id(data.contact):
        raise InputError("contact: must have 1 to 128 characters, none of them a control character")
    return _out(await _histories(ports).find(Subject(contact=ContactId(data.contact))))


def _histories(ports: ApiPorts) -> Histories:
    if ports.histories is None:
        raise ApiError(503, "this node keeps no record")
    return ports.histories


def _out(found: History) -> HistoryOut:
    return HistoryOut(
        contacts=[_contact(campaign, contact) for campaign, contact in found.contacts],
        phones=list(found.phones),
        entries=[_entry(entry) for entry in found.entries],
        more=found.more,
    )


def _contact(campaign: CampaignId, contact: ContactId) -> HistoryContactOut:
    return HistoryContactOut(campaign=campaign, contact=contact)


def _entry(entry: Entry) -> HistoryEntryOut:
    return HistoryEntryOut(
        at=rfc3339(entry.at),
        kind=entry.kind.value,
        campaign=entry.campaign,
        contact=entry.contact,
        call=entry.call,
        details={
            name: rfc3339(value) if name in _MOMENTS and isinstance(value, float) else value
            for name, value in entry.details.items()
        },
    )


routes = Router("/", route_handlers=[contact_history, search_history], tags=["contacts"])
