"""Removals, do-not-call entries and callbacks by the thousand, each with a verdict of its own; and single callbacks."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated, Final, TypeVar

from litestar import Router, post
from litestar.params import JSONBody
from msgspec import Meta, Struct

from dialer.api.auth import requires
from dialer.api.bodies import CSV, NDJSON
from dialer.api.bulk import BULK, FORMATS, ItemsOut, Parsed, Verdicts, parsed_lines
from dialer.api.described import body_of
from dialer.api.errors import BODY, KEYED, ApiError, documented
from dialer.api.key_ports import Role
from dialer.api.ports import ApiPorts
from dialer.api.purge_routes import DoNotCallInput, RemovalInput, entry_message, removal_message
from dialer.api.requests import KeyedRequest, NodeSettings, Phones, Ports, checked_name, known_campaign, moment
from dialer.api.rows import WrittenOut, rfc3339
from dialer.api.tenant_own import must_be_own
from dialer.core.ids import valid_contact_id
from dialer.errors import InputError
from dialer.intake.phones import PhoneReader
from dialer.queues.removals import ALL

MAX_AT_ONCE: Final = 10_000
#: Written to Redis in one round trip.
_BATCH: Final = 1_000
T = TypeVar("T")
Messages = Sequence[Mapping[str, object]]


class CallbackInput(Struct, forbid_unknown_fields=True, kw_only=True):
    """Call this contact at this time."""

    campaign: str
    contact: Annotated[str, Meta(description="A contact that is not known is made")]
    phone: Annotated[str, Meta(description="Is called first")]
    at: Annotated[str, Meta(description="RFC 3339 with zone")]
    agent: Annotated[str | None, Meta(description="Who is to call; null: anybody")] = None
    #: The answer on the results stream carries it as `ref`; made up where left out.
    id: str | None = None


@post(
    "/removals/bulk",
    guards=[requires(Role.CRM)],
    responses=documented(*KEYED, *BODY),
    status_code=200,
    opt=BULK,
    request_max_body_size=None,
    operation_class=body_of({NDJSON: RemovalInput, CSV: RemovalInput}),
    description=f"Withdraw up to {MAX_AT_ONCE:,} contacts or numbers. {FORMATS} What was accepted holds at once.",
)
async def remove_many(request: KeyedRequest, ports: Ports, phones: Phones, settings: NodeSettings) -> ItemsOut:
    """Withdraw many contacts."""

    async def message(item: RemovalInput) -> dict[str, object]:
        return _own(ports, removal_message(item, "removal", phones), "campaign")

    return await _push(request, RemovalInput, message, ports.purges.remove, settings.api.max_body_bytes)


@post(
    "/dnc/bulk",
    guards=[requires(Role.CRM)],
    responses=documented(*KEYED, *BODY),
    status_code=200,
    opt=BULK,
    request_max_body_size=None,
    operation_class=body_of({NDJSON: DoNotCallInput, CSV: DoNotCallInput}),
    description=(
        f"Put up to {MAX_AT_ONCE:,} numbers on do-not-call lists, or take them off. {FORMATS} What was accepted holds "
        "at once."
    ),
)
async def do_not_call_many(request: KeyedRequest, ports: Ports, phones: Phones, settings: NodeSettings) -> ItemsOut:
    """Add many numbers to do-not-call lists."""

    async def message(item: DoNotCallInput) -> dict[str, object]:
        return _own(ports, entry_message(item, "entry", phones, request.auth.id), "scope")

    return await _push(request, DoNotCallInput, message, ports.purges.do_not_call, settings.api.max_body_bytes)


@post("/callbacks", guards=[requires(Role.CRM)], responses=documented(*KEYED, *BODY, 404), status_code=202)
async def call_back(data: JSONBody[CallbackInput], ports: Ports, phones: Phones) -> WrittenOut:
    """Schedule a callback. The result `callback.accepted` or `callback.rejected` follows, with this id as `ref`."""
    await known_campaign(ports, data.campaign)
    message = _callback(data, phones)
    await ports.purges.call_back([message])
    return WrittenOut(ids=[str(message["id"])])


@post(
    "/callbacks/bulk",
    guards=[requires(Role.CRM)],
    responses=documented(*KEYED, *BODY),
    status_code=200,
    opt=BULK,
    request_max_body_size=None,
    operation_class=body_of({NDJSON: CallbackInput, CSV: CallbackInput}),
    description=f"Schedule up to {MAX_AT_ONCE:,} callbacks. {FORMATS} A result follows for each that was accepted.",
)
async def call_back_many(request: KeyedRequest, ports: Ports, phones: Phones, settings: NodeSettings) -> ItemsOut:
    """Schedule many callbacks."""
    known: dict[str, bool] = {}

    async def message(item: CallbackInput) -> dict[str, object]:
        if item.campaign not in known:
            known[item.campaign] = await _exists(ports, item.campaign)
        if not known[item.campaign]:
            raise InputError(f"campaign: there is no campaign {item.campaign[:80]!r}", word="unknown_campaign")
        if item.agent is not None:
            must_be_own(ports.tenant, item.agent, "agent")
        return _callback(item, phones)

    return await _push(request, CallbackInput, message, ports.purges.call_back, settings.api.max_body_bytes)


async def _push(
    request: KeyedRequest,
    kind: type[T],
    message: Callable[[T], Awaitable[dict[str, object]]],
    write: Callable[[Messages], Awaitable[None]],
    max_bytes: int,
) -> ItemsOut:
    verdicts = Verdicts()
    rows: list[Parsed[T]] = await parsed_lines(request, kind, verdicts, max_bytes=max_bytes, max_lines=MAX_AT_ONCE)
    made: list[tuple[int, dict[str, object]]] = []
    for row in rows:
        try:
            made.append((row.line, await message(row.value)))
        except InputError as error:
            verdicts.reject(row.line, error)
    for start in range(0, len(made), _BATCH):
        batch = made[start : start + _BATCH]
        await write([each for _, each in batch])
        for line, each in batch:
            verdicts.accept(line, str(each["id"]))
    return verdicts.out()


def _own(ports: ApiPorts, message: dict[str, object], field: str) -> dict[str, object]:
    """The message; `InputError` here, and not for all of them later, where a tenant names somebody else's."""
    if message[field] != ALL:
        must_be_own(ports.tenant, str(message[field]), field)
    return message


async def _exists(ports: ApiPorts, campaign: str) -> bool:
    try:
        await known_campaign(ports, campaign)
    except ApiError:
        return False
    return True


def _callback(item: CallbackInput, phones: PhoneReader) -> dict[str, object]:
    for name, text in (("contact", item.contact), ("id", item.id)):
        if text is not None and not valid_contact_id(text):
            raise InputError(f"{name}: must have 1 to 128 characters, none of them a control character")
    reading = phones.read(item.phone)
    if reading.phone is None:
        raise InputError(f"phone: {reading.problem}")
    at = moment(item.at, "at")
    assert at is not None, "a text was given"
    message: dict[str, object] = {
        "id": item.id or f"api-{uuid.uuid4().hex}",
        "campaign": item.campaign,
        "contact": item.contact,
        "phone": reading.phone,
        "at": rfc3339(at),
    }
    if item.agent is not None:
        message["agent"] = checked_name(item.agent, "agent")
    return message


routes = Router(
    "/",
    route_handlers=[remove_many, do_not_call_many, call_back, call_back_many],
    tags=["removals and do-not-call"],
)
