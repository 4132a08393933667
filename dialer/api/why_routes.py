"""Why a contact is not being called, and when it will be."""

from __future__ import annotations

from typing import Any

from litestar import Router, get
from litestar.params import FromPath
from msgspec import Struct

from dialer.api.auth import requires
from dialer.api.errors import KEYED, ApiError, documented
from dialer.api.key_ports import Role
from dialer.api.requests import Ports, known_campaign
from dialer.api.rows import rfc3339
from dialer.core.ids import ContactId


class PhoneWhyOut(Struct, kw_only=True):
    """One number of a contact."""

    phone: str
    #: Scopes of the do-not-call entries that hold it back.
    do_not_call: list[str]
    permitted: bool
    next_at: str | None
    #: What the contact says of it: mobile, home, work or other; its own hours; how often it may be called.
    type: str | None = None
    hours: list[str]
    max_attempts: int | None = None
    #: How often it has been called, where the contact says something of its numbers; else 0.
    attempts: int
    #: The verdict of the rules in force: findings in their order, with rule versions and marks.
    law: dict[str, Any]


class WhyOut(Struct, kw_only=True):
    """A contact, what stands in its way, and when it may be called."""

    campaign: str
    contact: str
    #: waiting, finished or removed.
    status: str
    #: One sentence for people.
    says: str
    #: Null: not at all, as things are.
    next_at: str | None
    attempts: int
    phones: list[PhoneWhyOut]


@get(
    "/campaigns/{campaign:str}/contacts/{contact:str}/why",
    guards=[requires(Role.SUPERVISOR, Role.CRM)],
    responses=documented(*KEYED, 404, 503),
)
async def why(campaign: FromPath[str], contact: FromPath[str], ports: Ports) -> WhyOut:
    """Why a contact is not being called now, and when it will be."""
    stored = await known_campaign(ports, campaign)
    found = await ports.explanations.explain(stored.campaign, stored.state, ContactId(contact))
    if found is None:
        raise ApiError(404, f"there is no contact {contact[:80]!r} in campaign {stored.campaign.id}")
    return WhyOut(
        campaign=stored.campaign.id,
        contact=contact,
        status=found.status,
        says=found.says,
        next_at=_moment(found.next_at),
        attempts=found.attempts,
        phones=[
            PhoneWhyOut(
                phone=one.phone,
                do_not_call=list(one.do_not_call),
                permitted=one.permitted,
                next_at=_moment(one.next_at),
                type=one.type,
                hours=list(one.hours),
                max_attempts=one.max_attempts,
                attempts=one.attempts,
                law=dict(one.law),
            )
            for one in found.phones
        ],
    )


def _moment(at: float | None) -> str | None:
    return None if at is None else rfc3339(at)


routes = Router("/", route_handlers=[why], tags=["contacts"])
