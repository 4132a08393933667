"""Dispositions: close a call with a code, change it later, see who changed what; and the codes of a campaign."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final

from litestar import Router, get, post
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct

from dialer.api.attempt_ports import GivenDisposition
from dialer.api.auth import own_agent, requires
from dialer.api.bodies import CSV, NDJSON
from dialer.api.bulk import BULK, FORMATS, ItemsOut, Verdicts, parsed_lines
from dialer.api.call_routes import find_call
from dialer.api.described import body_of
from dialer.api.errors import BODY, KEYED, ApiError, documented
from dialer.api.key_ports import ApiKey, Role
from dialer.api.ports import ApiPorts
from dialer.api.requests import KeyedRequest, NodeSettings, Phones, Ports, checked_name, known_campaign, moment, submit
from dialer.api.rows import Accepted, rfc3339
from dialer.core.events import CallbackWish, CallDisposed
from dialer.core.ids import AgentId, CallId, MessageId, valid_contact_id
from dialer.dispositions import dump_code
from dialer.errors import InputError
from dialer.intake.messages import amount_text
from dialer.intake.phones import PhoneReader

#: Each is looked up in the record.
MAX_AT_ONCE: Final = 1_000


class WishInput(Struct, forbid_unknown_fields=True, kw_only=True):
    """The appointment that a disposition brings."""

    at: Annotated[str, Meta(description="RFC 3339 with zone")]
    phone: Annotated[str | None, Meta(description="null: the number of the call")] = None
    agent: Annotated[str | None, Meta(description="Who is to call; null: anybody")] = None


class Closing(Struct, forbid_unknown_fields=True, kw_only=True):
    """With what a call is closed."""

    code: Annotated[str, Meta(min_length=1, max_length=64, description="One of the campaign's codes, in any case")]
    amount: Annotated[
        str | int | float | None, Meta(description="What was sold or promised: 0 or more; as text it is kept exactly")
    ] = None
    currency: Annotated[str | None, Meta(description="Must be that of the campaign")] = None
    notes: Annotated[str, Meta(max_length=10_000)] = ""
    callback: Annotated[WishInput | None, Meta(description="The appointment; some codes need one")] = None
    #: The result `call.disposed` carries it as `ref`; the same id for the same call is on record once.
    id: str | None = None


class DispositionInput(Closing, forbid_unknown_fields=True, kw_only=True):
    """How a call is closed, or what its code is changed to."""

    call: Annotated[str, Meta(description="Its id, as `call.connected` gave it")]
    agent: Annotated[str | None, Meta(description="Whose code it is; null: the agent of the call")] = None


class DispositionRow(Struct, forbid_unknown_fields=True, kw_only=True):
    """One line of a bulk request."""

    call: str
    code: Annotated[str, Meta(min_length=1, max_length=64)]
    amount: str | int | float | None = None
    currency: str | None = None
    notes: Annotated[str, Meta(max_length=10_000)] = ""
    #: RFC 3339 with zone.
    callback_at: str | None = None
    callback_phone: str | None = None
    callback_agent: str | None = None
    agent: str | None = None
    id: str | None = None


class CodeOut(Struct, kw_only=True):
    """One code of a campaign."""

    code: str
    name: str
    category: str
    is_sale: bool
    is_contact: bool
    retry: dict[str, float] | None
    do_not_call: bool
    callback: bool
    needs_amount: bool


class CodesOut(Struct, kw_only=True):
    """The codes with which a campaign's calls are closed."""

    currency: str
    codes: list[CodeOut]


class DispositionOut(Struct, kw_only=True):
    """One code that a call was given."""

    at: str
    code: str
    #: The code before it; null of the first.
    changed_from: str | None
    #: Who gave it: an agent, the name of a key, or `crm`.
    by: str
    agent: str | None
    amount: str | None
    currency: str | None
    category: str | None
    is_sale: bool | None
    is_contact: bool | None
    notes: str
    ref: str | None


class DispositionsOut(Struct, kw_only=True):
    """All codes of a call, the one that counts first."""

    items: list[DispositionOut]


@post(
    "/dispositions",
    guards=[requires(Role.AGENT, Role.SUPERVISOR, Role.CRM)],
    responses=documented(*KEYED, *BODY, 404),
    status_code=202,
)
async def dispose(data: JSONBody[DispositionInput], request: KeyedRequest, ports: Ports, phones: Phones) -> Accepted:
    """Close a call with a code, or change the code of one that was closed; ends the agent's wrap-up."""
    await close_call(ports, request.auth, data.call, data.agent, data, phones)
    return Accepted()


@post(
    "/dispositions/bulk",
    guards=[requires(Role.SUPERVISOR, Role.CRM)],
    responses=documented(*KEYED, *BODY),
    status_code=200,
    opt=BULK,
    operation_class=body_of({NDJSON: DispositionRow, CSV: DispositionRow}),
    request_max_body_size=None,
    description=f"Close up to {MAX_AT_ONCE} calls. {FORMATS} Sending the same again, with its `id`s, changes nothing.",
)
async def dispose_many(request: KeyedRequest, ports: Ports, phones: Phones, settings: NodeSettings) -> ItemsOut:
    """Close many calls."""
    verdicts = Verdicts()
    rows = await parsed_lines(
        request, DispositionRow, verdicts, max_bytes=settings.api.max_body_bytes, max_lines=MAX_AT_ONCE
    )
    for row in rows:
        given = row.value
        wish = None
        if given.callback_at is not None:
            wish = WishInput(at=given.callback_at, phone=given.callback_phone, agent=given.callback_agent)
        closing = Closing(
            code=given.code,
            amount=given.amount,
            currency=given.currency,
            notes=given.notes,
            callback=wish,
            id=given.id,
        )
        try:
            if wish is None and (given.callback_phone is not None or given.callback_agent is not None):
                raise InputError("callback_at: is missing; an appointment needs its time")
            await close_call(ports, request.auth, given.call, given.agent, closing, phones)
        except ApiError as error:
            if error.status >= 500:
                raise
            verdicts.reject(row.line, error, given.id)
        except InputError as error:
            verdicts.reject(row.line, error, given.id)
        else:
            verdicts.accept(row.line, given.id)
    return verdicts.out()


@post(
    "/agents/{agent:str}/dispose",
    guards=[requires(Role.AGENT, Role.SUPERVISOR, Role.CRM)],
    responses=documented(*KEYED, *BODY, 404),
    status_code=202,
)
async def dispose_present(
    agent: FromPath[str], data: JSONBody[Closing], request: KeyedRequest, ports: Ports, phones: Phones
) -> Accepted:
    """Close the call that the agent has, or wraps up, with a code."""
    own_agent(request.auth, agent)
    row = ports.control.live().agent(AgentId(checked_name(agent, "agent")))
    if row is None or row.call is None:
        raise ApiError(
            409, f"agent {agent!r} has no call to close", error="wrong_state", code="agent_no_call", agent=agent
        )
    await close_call(ports, request.auth, row.call, agent, data, phones)
    return Accepted()


@get(
    "/calls/{call:str}/dispositions",
    guards=[requires(Role.SUPERVISOR, Role.CRM)],
    responses=documented(*KEYED, 404, 503),
)
async def get_dispositions(call: FromPath[str], ports: Ports) -> DispositionsOut:
    """Every code that a call was given: when, by whom, and what it changed."""
    found = await find_call(ports, call)
    return DispositionsOut(items=_history(await ports.attempts.disposition_history(CallId(found.id))))


@get(
    "/campaigns/{campaign:str}/dispositions",
    guards=[requires(Role.AGENT, Role.SUPERVISOR, Role.CRM)],
    responses=documented(*KEYED, 404, 503),
)
async def get_codes(campaign: FromPath[str], ports: Ports) -> CodesOut:
    """The codes with which a campaign's calls are closed, and what each means."""
    found = (await known_campaign(ports, campaign)).campaign
    return CodesOut(currency=found.currency, codes=[CodeOut(**dump_code(code)) for code in found.dispositions])


async def close_call(
    ports: ApiPorts, key: ApiKey, call: str, agent: str | None, data: Closing, phones: PhoneReader
) -> None:
    """Close a call with a code, for `agent` (None: that of the call).

    Raises:
        ApiError: 404 where there is no such call, 403 where it is not for this key.
        InputError: names the field.
    """
    code = data.code.strip()
    if not code or not code.isprintable():
        raise InputError("code: must have 1 to 64 printable characters")
    if data.id is not None and not valid_contact_id(data.id):
        raise InputError("id: must have 1 to 128 characters, none of them a control character")
    found = await find_call(ports, call)
    who = found.agent if agent is None else checked_name(agent, "agent")
    # An agent may close the calls that were theirs, and no others.
    own_agent(key, found.agent or "")
    own_agent(key, who or "")
    await submit(
        ports,
        CallDisposed(
            at=ports.clock.now(),
            call=CallId(found.id),
            code=code,
            agent=None if who is None else AgentId(who),
            amount=amount_text(data.amount),
            currency=data.currency,
            notes=data.notes.replace("\x00", ""),
            ref=None if data.id is None else MessageId(data.id),
            callback=None if data.callback is None else _wish(data.callback, phones),
            by=key.agent or key.id,
        ),
    )


def _wish(given: WishInput, phones: PhoneReader) -> CallbackWish:
    at = moment(given.at, "callback.at")
    assert at is not None, "a text was given"
    phone = None
    if given.phone is not None:
        reading = phones.read(given.phone)
        if reading.phone is None:
            raise InputError(f"callback.phone: {reading.problem}")
        phone = reading.phone
    agent = None if given.agent is None else AgentId(checked_name(given.agent, "callback.agent"))
    return CallbackWish(at=at, phone=phone, agent=agent)


def _history(found: Sequence[GivenDisposition]) -> list[DispositionOut]:
    before: list[str | None] = [each.code for each in found[1:]]
    return [
        DispositionOut(
            at=rfc3339(each.at),
            code=each.code,
            changed_from=earlier,
            by=each.by,
            agent=each.agent,
            amount=each.amount,
            currency=each.currency,
            category=each.category,
            is_sale=each.is_sale,
            is_contact=each.is_contact,
            notes=each.notes,
            ref=each.ref,
        )
        for each, earlier in zip(found, [*before, None][: len(found)], strict=True)
    ]


_HANDLERS: Final[list[Any]] = [dispose, dispose_many, dispose_present, get_dispositions, get_codes]
routes = Router("/", route_handlers=_HANDLERS, tags=["dispositions"])
