"""What is and was allowed: jurisdictions, rules set aside, consent, the calls behind abandonment, the evidence."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from enum import StrEnum
from typing import Annotated, Final

from litestar import Router, get, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from litestar.response import Stream
from msgspec import Meta, Struct

from dialer.api.auth import requires
from dialer.api.compliance_ports import (
    Compliance,
    ConsentRow,
    EvidenceQuery,
    JurisdictionRow,
    OverrideRow,
    RuleRow,
)
from dialer.api.errors import BODY, KEYED, ApiError, documented
from dialer.api.key_ports import Role
from dialer.api.ports import ApiPorts
from dialer.api.requests import Cursor, Limit, Phones, Ports, cursor_from, cursor_to, known_campaign, moment
from dialer.api.rows import rfc3339
from dialer.compliance.evidence import GENESIS, Head, Link
from dialer.compliance.evidence_export import csv_header, csv_line, ndjson_line
from dialer.compliance.machine_error import Counted
from dialer.core.attempt import Attempt
from dialer.core.ids import CallId, CampaignId, ContactId, valid_contact_id, valid_name
from dialer.errors import InputError
from dialer.intake.phones import PhoneReader

#: Of records that are sent in one piece.
_AT_ONCE: Final = 200
#: A chain of millions takes longer: the command has the time.
VERIFY_WITHIN_S: Final = 60.0
_BYTE_ORDER_MARK: Final = "\ufeff"


class JurisdictionsOut(Struct, kw_only=True):
    """Every jurisdiction on file."""

    items: list[JurisdictionRow]


class RulesOut(Struct, kw_only=True):
    """The rules of one jurisdiction that are in force."""

    items: list[RuleRow]


class OverridesOut(Struct, kw_only=True):
    """Rules that are set aside, the latest first."""

    items: list[OverrideRow]


class ConsentInput(Struct, forbid_unknown_fields=True, kw_only=True):
    """Whose consent is looked up."""

    campaign: Annotated[str, Meta(max_length=64)]
    contact: Annotated[str, Meta(max_length=128)]


class LostRow(Struct, kw_only=True):
    """A call that counts as abandoned. The number is not told: the contact is."""

    call: str
    contact: str
    outcome: str
    answered_at: str | None
    ended_at: str
    #: From the answer to the agent, or to the end where none came.
    wait_s: float | None
    #: An agent came, but later than allowed.
    late: bool
    message_played: bool


class LostPage(Struct, kw_only=True):
    """Calls that count as abandoned, the latest first."""

    items: list[LostRow]
    next_cursor: str | None


class Form(StrEnum):
    """How records are written out."""

    NDJSON = "ndjson"
    CSV = "csv"


class EvidenceInput(Struct, forbid_unknown_fields=True, kw_only=True):
    """Which records of evidence are wanted."""

    phone: Annotated[str | None, Meta(description="Of one number")] = None
    contact: Annotated[str | None, Meta(description="Of one contact; name the campaign too")] = None
    campaign: str | None = None
    since: Annotated[str | None, Meta(description="RFC 3339 with zone")] = None
    until: Annotated[str | None, Meta(description="RFC 3339 with zone; not included")] = None
    format: Form = Form.NDJSON


class VerifyInput(Struct, forbid_unknown_fields=True, kw_only=True):
    """What the chain is compared with."""

    head: Annotated[
        str | None, Meta(description="A head that was kept, number:hash, which must be in the chain; null: none")
    ] = None


class VerificationOut(Struct, kw_only=True):
    """What verifying the chain came to."""

    #: Records that are as they were written, and of these how many have had their person erased.
    intact: int
    erased: int
    #: Where the intact part ends, as number:hash. Keep it elsewhere.
    head: str
    #: What is wrong after that; empty: nothing. The same for a catalogue.
    problem: str
    code: str = ""
    arguments: dict[str, object] = {}


@get("/jurisdictions", guards=[requires(Role.SUPERVISOR, Role.CRM)], responses=documented(*KEYED, 404))
async def list_jurisdictions(ports: Ports) -> JurisdictionsOut:
    """Every jurisdiction on file, and what its rules rest on."""
    return JurisdictionsOut(items=list(port(ports).jurisdictions(ports.clock.now())))


@get(
    "/jurisdictions/{name:str}/rules",
    guards=[requires(Role.SUPERVISOR, Role.CRM)],
    responses=documented(*KEYED, 404),
)
async def list_rules(name: FromPath[str], ports: Ports) -> RulesOut:
    """The rules of a jurisdiction that are in force today (UTC), with their sources."""
    return RulesOut(items=rules_of(ports, name))


@get("/overrides", guards=[requires(Role.SUPERVISOR)], responses=documented(*KEYED, 404, 503))
async def list_overrides(ports: Ports) -> OverridesOut:
    """Rules that named persons have set aside."""
    return OverridesOut(items=list(await port(ports).overrides()))


@post("/consents/check", guards=[requires()], responses=documented(*KEYED, *BODY, 404), status_code=200)
async def check_consent(data: JSONBody[ConsentInput], ports: Ports) -> ConsentRow:
    """What is on record of a contact's consent, and what the law makes of it now."""
    return await consent_of(ports, data.campaign, data.contact)


@get(
    "/reports/abandonment/calls",
    guards=[requires(Role.SUPERVISOR)],
    responses=documented(*KEYED, 404, 422, 503),
)
async def list_lost(
    ports: Ports,
    campaign: FromQuery[str],
    since: Annotated[str, QueryParameter(description="RFC 3339 with zone")],
    until: Annotated[str | None, QueryParameter(description="RFC 3339 with zone; now")] = None,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> LostPage:
    """The calls that a figure of `/reports/abandonment` counts as abandoned, one by one."""
    begin, end = moment(since, "since") or 0.0, moment(until, "until")
    known = (await known_campaign(ports, campaign)).campaign.id
    items, following = await counted_page(ports, known, Counted.ABANDONED, begin, end, cursor, limit)
    return LostPage(items=items, next_cursor=following)


@post(
    "/evidence/export",
    guards=[requires()],
    responses=documented(*KEYED, *BODY, 404),
    status_code=200,
    description="Attempts, refusals, rules set aside and erasures, in the order of the chain. A POST, so that no "
    "number stands in a URL. At least one of phone, contact with campaign, campaign, since must be given.",
)
async def export(data: JSONBody[EvidenceInput], ports: Ports, phones: Phones) -> Stream:
    """Records of evidence as NDJSON or CSV."""
    return exported(ports, data, phones)


@post("/evidence/verify", guards=[requires()], responses=documented(*KEYED, *BODY, 404), status_code=200)
async def verify(data: JSONBody[VerifyInput], ports: Ports) -> VerificationOut:
    """Verify that no record of evidence was changed, added or left out."""
    return await verified(ports, data.head)


# ---- shared with the console


def port(ports: ApiPorts) -> Compliance:
    """The port.

    Raises:
        ApiError: 404 where there is none.
    """
    if ports.compliance is None:
        raise ApiError(404, "there is no record of the law here")
    return ports.compliance


def rules_of(ports: ApiPorts, name: str) -> list[RuleRow]:
    """The rules of a jurisdiction in force.

    Raises:
        ApiError: 404 where it is not on file.
    """
    found = port(ports).rules(name, ports.clock.now())
    if found is None:
        raise ApiError(404, f"there is no jurisdiction {name[:20]!r} on file", code="no_jurisdiction", name=name[:20])
    return list(found)


async def consent_of(ports: ApiPorts, campaign: str, contact: str) -> ConsentRow:
    """A contact's consent.

    Raises:
        ApiError: 404 where there is no such contact, InputError where there can be none.
    """
    if not valid_name(campaign):
        raise InputError("campaign: must be 1 to 64 of the characters A-Z a-z 0-9 _ -", code="not_a_name")
    if not valid_contact_id(contact):
        raise InputError(
            "contact: must have 1 to 128 characters, none of them a control character", code="not_a_contact"
        )
    found = await port(ports).consent(CampaignId(campaign), ContactId(contact), ports.clock.now())
    if found is None:
        raise ApiError(
            404,
            f"there is no contact {contact[:80]!r} in campaign {campaign!r}",
            code="no_contact",
            campaign=campaign,
            contact=contact[:80],
        )
    return found


async def counted_page(
    ports: ApiPorts,
    campaign: CampaignId,
    figure: Counted,
    since: float,
    until: float | None,
    cursor: str | None,
    limit: int,
) -> tuple[list[LostRow], str | None]:
    """One page of the calls that a figure counts, and the cursor of the next."""
    end = ports.clock.now() if until is None else until
    if since >= end:
        raise InputError("since: must be before until")
    before = cursor_from(cursor)
    last = None if before is None else (before[0], CallId(before[1]))
    found = list(await port(ports).counted(campaign, figure, since, end, last, limit + 1))
    shown = found[:limit]
    following = cursor_to(shown[-1].ended_at, shown[-1].call) if len(found) > limit else None
    return [_lost(attempt) for attempt in shown], following


def _lost(attempt: Attempt) -> LostRow:
    return LostRow(
        call=attempt.call,
        contact=attempt.contact,
        outcome=attempt.outcome.value,
        answered_at=None if attempt.answered_at is None else rfc3339(attempt.answered_at),
        ended_at=rfc3339(attempt.ended_at),
        wait_s=attempt.wait_s,
        late=attempt.late,
        message_played=attempt.message_played,
    )


def exported(ports: ApiPorts, data: EvidenceInput, phones: PhoneReader) -> Stream:
    """The records as a file.

    Raises:
        InputError: what is asked for makes no sense; names the field.
    """
    wanted = _query(data, phones)
    name = f"evidence.{data.format.value}"
    kind = "application/x-ndjson" if data.format is Form.NDJSON else "text/csv"
    return Stream(
        _written(port(ports).find(wanted), data.format),
        media_type=kind,
        headers={"content-disposition": f'attachment; filename="{name}"', "cache-control": "no-store"},
    )


def _query(data: EvidenceInput, phones: PhoneReader) -> EvidenceQuery:
    if data.contact is not None and data.campaign is None:
        raise InputError("campaign: name it too; the same contact may be another person's elsewhere")
    if data.campaign is not None and not valid_name(data.campaign):
        raise InputError("campaign: must be 1 to 64 of the characters A-Z a-z 0-9 _ -")
    if data.contact is not None and not valid_contact_id(data.contact):
        raise InputError("contact: must have 1 to 128 characters, none of them a control character")
    phone = None
    if data.phone is not None:
        reading = phones.read(data.phone)
        if reading.phone is None:
            raise InputError(f"phone: {reading.problem}")
        phone = reading.phone
    since, until = moment(data.since, "since"), moment(data.until, "until")
    if since is not None and until is not None and since >= until:
        raise InputError("since: must be before until")
    if phone is None and data.campaign is None and since is None:
        raise InputError("phone: give a number, a contact with its campaign, a campaign, or since when")
    return EvidenceQuery(
        phone=phone,
        campaign=None if data.campaign is None else CampaignId(data.campaign),
        contact=None if data.contact is None else ContactId(data.contact),
        since=since,
        until=until,
    )


async def _written(links: AsyncIterator[Link], form: Form) -> AsyncIterator[bytes]:
    text = [_BYTE_ORDER_MARK + csv_header()] if form is Form.CSV else []
    one = csv_line if form is Form.CSV else ndjson_line
    async for link in links:
        text.append(one(link))
        if len(text) >= _AT_ONCE:
            yield "".join(text).encode()
            text = []
    # An empty answer is an answer, too.
    yield "".join(text).encode()


async def verified(ports: ApiPorts, head: str | None) -> VerificationOut:
    """Verify the chain.

    Raises:
        ApiError: 503 where it takes too long, InputError where the head is none.
    """
    start = GENESIS
    if head:
        number, _, digits = head.partition(":")
        if not (number.isascii() and number.isdigit() and len(number) <= 18):
            raise InputError("head: must be number:hash, as it was given out", code="not_a_head")
        if len(digits) != 64 or set(digits) - set("0123456789abcdef"):
            raise InputError("head: must be number:hash, as it was given out", code="not_a_head")
        start = Head(number=int(number), hash=digits)
    try:
        async with asyncio.timeout(VERIFY_WITHIN_S):
            found = await port(ports).verify(start)
    except TimeoutError as error:
        raise ApiError(
            503, "the chain is too long to be verified here: run `cadencia evidence verify`", code="evidence_too_long"
        ) from error
    return VerificationOut(
        intact=found.intact,
        erased=found.erased,
        head=str(found.head),
        problem=found.problem,
        code=found.broken.code,
        arguments=dict(found.broken.arguments),
    )


routes = Router(
    "/",
    route_handlers=[
        list_jurisdictions,
        list_rules,
        list_overrides,
        check_consent,
        list_lost,
        export,
        verify,
    ],
    tags=["compliance"],
)
