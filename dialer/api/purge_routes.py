"""Removals and do-not-call entries. When the answer is there, no later call is started to what they name."""

from __future__ import annotations

import uuid
from typing import Annotated, Final, Literal

from litestar import Router, post
from litestar.params import JSONBody
from msgspec import Meta, Struct

from dialer.api.auth import requires
from dialer.api.errors import BODY, KEYED, documented
from dialer.api.key_ports import Role
from dialer.api.purge_ports import DoNotCallEntry
from dialer.api.requests import KeyedRequest, Phones, Ports, cursor_pair, cursor_to, moment
from dialer.api.rows import DoNotCallOut, DoNotCallPage, DoNotCallRow, WrittenOut, rfc3339
from dialer.core.ids import Phone, valid_contact_id, valid_name
from dialer.errors import InputError
from dialer.intake.phones import PhoneReader
from dialer.queues.removals import lenient_listed, listing_scope

MAX_AT_ONCE: Final = 1_000
Reason = Annotated[str, Meta(max_length=500)]


class RemovalInput(Struct, forbid_unknown_fields=True, kw_only=True):
    """Do not call this contact, or this number, for this campaign or ("*") for any."""

    campaign: Annotated[str, Meta(description='A campaign, or "*" for all')]
    contact: str | None = None
    phone: str | None = None
    reason: Reason = ""
    #: Results carry it as `ref`; made up where left out.
    id: str | None = None


class DoNotCallInput(Struct, forbid_unknown_fields=True, kw_only=True):
    """Put a number, or all numbers that begin alike, on a do-not-call list, or take them off."""

    phone: Annotated[str, Meta(description='A number, or the beginning of numbers and a *, such as "+34 91*"')]
    op: Literal["add", "remove"] = "add"
    scope: Annotated[
        str, Meta(description='"*" for all campaigns, one campaign, or "account:" and the name of an account')
    ] = "*"
    reason: Reason = ""
    source: Annotated[str, Meta(max_length=64, description="Where it comes from")] = "api"
    by: Annotated[
        Annotated[str, Meta(max_length=128)] | None,
        Meta(description="Who said it; the id of the API key where left out"),
    ] = None
    expires: Annotated[str | None, Meta(description="RFC 3339 with zone; null: never")] = None
    id: str | None = None


class EntriesQuery(Struct, forbid_unknown_fields=True, kw_only=True):
    """Which entries are wanted."""

    scope: Annotated[str | None, Meta(description="Of this list alone")] = None
    cursor: Annotated[
        Annotated[str, Meta(max_length=1_000)] | None, Meta(description="`next_cursor` of the page before")
    ] = None
    limit: Annotated[int, Meta(ge=1, le=1_000)] = 100


class PhoneInput(Struct, forbid_unknown_fields=True, kw_only=True):
    """A number to look up."""

    phone: str


Removals = Annotated[list[RemovalInput], Meta(min_length=1, max_length=MAX_AT_ONCE)]
Entries = Annotated[list[DoNotCallInput], Meta(min_length=1, max_length=MAX_AT_ONCE)]


class RemovalsInput(Struct, forbid_unknown_fields=True, kw_only=True):
    """Up to 1,000 removals; all are written, or none where one of them cannot be used."""

    removals: Removals


class EntriesInput(Struct, forbid_unknown_fields=True, kw_only=True):
    """Up to 1,000 do-not-call entries; all are written, or none where one of them cannot be used."""

    entries: Entries


@post("/removals", guards=[requires(Role.CRM)], responses=documented(*KEYED, *BODY), status_code=201)
async def remove(data: JSONBody[RemovalsInput], ports: Ports, phones: Phones) -> WrittenOut:
    """Withdraw contacts, whatever their state: waiting ones are not called, a ringing one is hung up."""
    messages = [removal_message(item, f"removals[{i}]", phones) for i, item in enumerate(data.removals)]
    await ports.purges.remove(messages)
    return WrittenOut(ids=[str(message["id"]) for message in messages])


@post("/dnc", guards=[requires(Role.CRM)], responses=documented(*KEYED, *BODY), status_code=201)
async def do_not_call(data: JSONBody[EntriesInput], request: KeyedRequest, ports: Ports, phones: Phones) -> WrittenOut:
    """Add numbers to do-not-call lists, or take them off."""
    by = request.auth.id
    messages = [entry_message(item, f"entries[{i}]", phones, by) for i, item in enumerate(data.entries)]
    await ports.purges.do_not_call(messages)
    return WrittenOut(ids=[str(message["id"]) for message in messages])


@post(
    "/dnc/check",
    guards=[requires(Role.CRM, Role.SUPERVISOR)],
    responses=documented(*KEYED, *BODY),
    status_code=200,
    description="In which scopes a number is on a do-not-call list. A POST, so that no number stands in a URL.",
)
async def check(data: JSONBody[PhoneInput], ports: Ports, phones: Phones) -> DoNotCallOut:
    """Whether a number may not be called."""
    phone = number_of(data.phone, "phone", phones)
    entries = [_row(entry) for entry in await ports.purges.listed(phone)]
    return DoNotCallOut(phone=phone, listed=bool(entries), entries=entries)


@post(
    "/dnc/list",
    guards=[requires(Role.CRM, Role.SUPERVISOR)],
    responses=documented(*KEYED, *BODY),
    status_code=200,
    description="Do-not-call entries that hold, by scope and number. A POST, so that no number stands in a URL.",
)
async def list_entries(data: JSONBody[EntriesQuery], ports: Ports) -> DoNotCallPage:
    """The entries of one list, or of all."""
    scope = None if data.scope is None else _listing_scope(data.scope, "scope")
    found = await ports.purges.entries(scope, cursor_pair(data.cursor), data.limit + 1)
    items = [_row(entry) for entry in found[: data.limit]]
    more = len(found) > data.limit
    return DoNotCallPage(items=items, next_cursor=cursor_to(items[-1].scope, items[-1].phone) if more else None)


def _row(entry: DoNotCallEntry) -> DoNotCallRow:
    return DoNotCallRow(
        scope=entry.scope,
        phone=entry.phone,
        reason=entry.reason,
        expires=None if entry.expires_at is None else rfc3339(entry.expires_at),
        source=entry.source,
        by=entry.who,
        at=None if entry.at is None else rfc3339(entry.at),
    )


def removal_message(item: RemovalInput, path: str, phones: PhoneReader) -> dict[str, object]:
    """The message that a CRM would write.

    Raises:
        InputError: names the field below `path`.
    """
    if (item.contact is None) is (item.phone is None):
        raise InputError(f"{path}: must name either a contact or a phone, and not both")
    message: dict[str, object] = {
        "id": _message_id(item.id, path),
        "campaign": _scope(item.campaign, f"{path}.campaign"),
    }
    if item.contact is not None:
        if not valid_contact_id(item.contact):
            raise InputError(f"{path}.contact: must have 1 to 128 characters, none of them a control character")
        message["contact"] = item.contact
    if item.phone is not None:
        message["phone"] = number_of(item.phone, f"{path}.phone", phones)
    return message | {"reason": item.reason}


def entry_message(item: DoNotCallInput, path: str, phones: PhoneReader, by: str = "") -> dict[str, object]:
    """The message that a CRM would write; `by`: who said it, where the item does not tell.

    Raises:
        InputError: names the field below `path`.
    """
    message: dict[str, object] = {
        "id": _message_id(item.id, path),
        "op": item.op,
        "phone": _listed_phone(item.phone, f"{path}.phone", phones),
        "scope": _listing_scope(item.scope, f"{path}.scope"),
        "reason": item.reason,
        "source": item.source or "api",
    }
    if item.by or by:
        message["by"] = item.by or by
    expires_at = moment(item.expires, f"{path}.expires")
    return message if expires_at is None else message | {"expires": rfc3339(expires_at)}


def _message_id(id: str | None, path: str) -> str:
    if id is None:
        return f"api-{uuid.uuid4().hex}"
    if not valid_contact_id(id):
        raise InputError(f"{path}.id: must have 1 to 128 characters, none of them a control character")
    return id


def _scope(text: str, field: str) -> str:
    if text != "*" and not valid_name(text):
        raise InputError(f'{field}: must be "*" for all campaigns, or one campaign', code="not_a_scope")
    return text


def _listing_scope(text: str, field: str) -> str:
    problem = listing_scope(text)
    if problem is not None:
        raise InputError(f"{field}: {problem}", code="not_a_list")
    return text


def _listed_phone(text: str, field: str, phones: PhoneReader) -> str:
    if not text.rstrip().endswith("*"):
        return number_of(text, field, phones)
    beginning = lenient_listed(text.rstrip())
    if beginning is None:
        raise InputError(
            f'{field}: what ends in * must have + and a country code at least, such as "+34 91*"',
            code="not_a_beginning",
        )
    return beginning


def number_of(text: str, field: str, phones: PhoneReader) -> Phone:
    """The number that somebody has written.

    Raises:
        InputError: it is none; names the field.
    """
    reading = phones.read(text)
    if reading.phone is None:
        raise InputError(f"{field}: {reading.problem}", code=f"phone_{reading.verdict}")
    return reading.phone


routes = Router("/", route_handlers=[remove, do_not_call, check, list_entries], tags=["removals and do-not-call"])
