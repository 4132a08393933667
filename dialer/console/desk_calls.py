"""One call on the agent's page: the person, the script, and what the agent makes of it; their own calls alone."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from litestar import Response, get, post
from litestar.params import FromPath
from msgspec import ValidationError, convert

from dialer.api.auth import own_agent
from dialer.api.call_request_routes import CallRequestInput, ask
from dialer.api.call_routes import OptOutInput, find_call, opt_out
from dialer.api.disposition_routes import Closing, close_call
from dialer.api.errors import ApiError
from dialer.api.idempotency_ports import StoredReply
from dialer.api.ports import ApiPorts
from dialer.api.recording_routes import RecordingOrderInput
from dialer.api.recording_routes import order as order_recording
from dialer.api.requests import NodeSettings, Phones, known_campaign
from dialer.api.rows import CallOut, rfc3339
from dialer.campaigns import in_words
from dialer.console.answers import FORM, PageRequest, Site, Visitor
from dialer.console.desk_routes import own_desk
from dialer.console.desk_times import DAYS, picked
from dialer.console.desk_view import CallFacts, call_view
from dialer.console.problems import Told, not_then
from dialer.console.texts import Texts
from dialer.console.visit import Visit, check_csrf
from dialer.core.campaign import Campaign
from dialer.core.contact import Contact
from dialer.core.disposition import find_code
from dialer.core.ids import AgentId, CampaignId, ContactId, Phone, valid_contact_id
from dialer.core.recording import RecordingOrder
from dialer.errors import InputError
from dialer.reporting.history import Entry, Subject

#: Characters of a note.
_MAX_NOTES: Final = 10_000


@get("/desk/calls/{call:str}")
async def show(console: Site, visit: Visitor, settings: NodeSettings, call: FromPath[str]) -> Response[str]:
    """The person of a call, and the form that closes it."""
    found, ports = await _own_call(console.ports, visit, call), console.ports
    campaign = (await known_campaign(ports, found.campaign)).campaign
    person = await _person(ports, found)
    times = None
    if ports.desks is not None and person is not None:
        times = ports.desks.calling_times(campaign, person, Phone(found.phone), DAYS)
    facts = CallFacts(
        call=found,
        campaign=campaign,
        person=person,
        history=await _history(ports, found),
        times=times,
        given=found.disposition or "",
    )
    view = call_view(
        facts,
        visit.texts,
        now=ports.clock.now(),
        numbers=settings.desk.show_numbers,
        frames=settings.desk.frames,
    )
    html = console.pages.render("part_desk_call", visit.texts, view=view, notes_max=_MAX_NOTES)
    return Response(html, media_type="text/html")


@post("/desk/calls/{call:str}/close", opt=FORM, status_code=204)
async def close(request: PageRequest, console: Site, visit: Visitor, phones: Phones, call: FromPath[str]) -> None:
    """Close a call with a code, note, amount, callback; carried out once for each `key`, however often it is sent."""
    agent, form = own_desk(visit), await _form(request, visit)
    found, ports = await _own_call(console.ports, visit, call), console.ports
    campaign = (await known_campaign(ports, found.campaign)).campaign
    key = form.get("key", "")
    if not valid_contact_id(key):
        raise ApiError(422, "key: must have 1 to 128 characters")

    async def carry_out() -> None:
        given: dict[str, object] = {
            "code": form.get("code", "").strip(),
            "amount": form.get("amount", "").strip() or None,
            "notes": form.get("notes", ""),
            "id": key,
        }
        code = find_code(campaign.dispositions, str(given["code"]))
        if form.get("hour") or (code is not None and code.callback):
            at = await _callback_at(ports, visit.texts, campaign, found, form)
            given["callback"] = {"at": rfc3339(at), "agent": agent if "mine" in form else None}
        try:
            await close_call(ports, visit.key, found.id, agent, convert(given, Closing), phones)
        except ValidationError as error:
            raise ApiError(422, in_words(str(error))) from error
        except InputError as error:
            raise ApiError(422, str(error), code=error.code, **error.arguments) from error

    await _once(ports, agent, f"{found.id}:{key}", form, carry_out)


@post("/desk/calls/{call:str}/do-not-call", opt=FORM, status_code=204)
async def do_not_call(request: PageRequest, console: Site, visit: Visitor, call: FromPath[str]) -> None:
    """The person wants no more calls; it holds when this answers. Can be repeated."""
    own_desk(visit)
    await _form(request, visit)
    found = await _own_call(console.ports, visit, call)
    await opt_out(console.ports, visit.key, found.id, OptOutInput())


@post("/desk/calls/{call:str}/recording", opt=FORM, status_code=204)
async def record(request: PageRequest, console: Site, visit: Visitor, call: FromPath[str]) -> None:
    """Start, pause, resume or stop the recording of a call."""
    own_desk(visit)
    form = await _form(request, visit)
    try:
        wanted = RecordingOrder(form.get("order", ""))
    except ValueError as error:
        raise ApiError(422, f"order: may be {', '.join(RecordingOrder)}") from error
    await order_recording(console.ports, visit.key, call, RecordingOrderInput(order=wanted, consent="consent" in form))


@post("/desk/dial", opt=FORM, status_code=204)
async def dial(request: PageRequest, console: Site, visit: Visitor) -> None:
    """Call a number, a contact, or one of the numbers of a call's contact, for this agent."""
    agent, form, ports = own_desk(visit), await _form(request, visit), console.ports
    campaign, contact, phone = form.get("campaign", ""), form.get("contact", "").strip(), form.get("phone", "").strip()
    if form.get("call"):
        # By its place, so that whoever may not see the number can have it called all the same.
        found = await _own_call(ports, visit, form["call"])
        person = await _person(ports, found)
        numbers = () if person is None else person.phones
        place = int(form["place"]) if form.get("place", "").isdecimal() and len(form["place"]) < 4 else len(numbers)
        campaign, contact, phone = found.campaign, found.contact, found.phone
        if place < len(numbers):
            phone = numbers[place]
    wish = CallRequestInput(agent=agent, campaign=campaign, contact=contact or None, phone=phone or None)
    try:
        await ask(ports, visit.key, wish)
    except InputError as error:
        raise ApiError(422, str(error), code=error.code, **error.arguments) from error
    except ApiError as error:
        told = f"desk.refused.{error.details.get('reason', '')}"
        if not visit.texts.has(told):
            raise
        until = f" ({error.details['retry_at'][:16].replace('T', ' ')} UTC)" if "retry_at" in error.details else ""
        raise Told(error.status, visit.texts(told) + until, details=error.details) from error


# ---- what they share


async def _form(request: PageRequest, visit: Visit) -> dict[str, str]:
    form = await request.form()
    await check_csrf(request, visit, form)
    return {str(name): str(value) for name, value in form.items()}


async def _own_call(ports: ApiPorts, visit: Visit, call: str) -> CallOut:
    """A call of this agent's.

    Raises:
        ApiError: 404, or 403 where it is another's.
    """
    own_desk(visit)
    found = await find_call(ports, call)
    own_agent(visit.key, found.agent or "")
    return found


async def _person(ports: ApiPorts, call: CallOut) -> Contact | None:
    if ports.desks is None:
        return None
    return await ports.desks.person(CampaignId(call.campaign), ContactId(call.contact))


async def _history(ports: ApiPorts, call: CallOut) -> list[Entry]:
    if ports.histories is None:
        return []
    found = await ports.histories.find(Subject(campaign=CampaignId(call.campaign), contact=ContactId(call.contact)))
    return [entry for entry in found.entries if entry.call != call.id]


async def _callback_at(
    ports: ApiPorts, texts: Texts, campaign: Campaign, call: CallOut, form: Mapping[str, str]
) -> float:
    """The moment of an appointment, where the law lets it be kept.

    Raises:
        ApiError: 422, with the reason and the next moment at which it would.
    """
    person = await _person(ports, call)
    now, phone = ports.clock.now(), Phone(call.phone)
    zone = "UTC"
    if ports.desks is not None and person is not None:
        zone = ports.desks.calling_times(campaign, person, phone, 1).zone
    try:
        at = picked(form.get("day", ""), form.get("hour", ""), zone, now)
    except InputError as error:
        raise Told(422, texts("desk.callback_when")) from error
    against = ports.desks.not_then(campaign, person, phone, at) if ports.desks is not None and person else None
    if against is not None:
        raise Told(422, texts("desk.callback_law", reason=not_then(texts, against, zone)))
    return at


async def _once(
    ports: ApiPorts, agent: AgentId, key: str, form: Mapping[str, str], work: Callable[[], Awaitable[None]]
) -> None:
    """Do `work`, unless a request with this key has done it.

    Raises:
        ApiError: 409 where the key was used for something else, 503 where the first request is still at it.
    """
    name = hashlib.sha256(f"desk\x00{agent}\x00{key}".encode()).hexdigest()
    fingerprint = hashlib.sha256(repr(sorted(item for item in form.items() if item[0] != "csrf")).encode()).hexdigest()
    begun = await ports.idempotency.begin(name, fingerprint, ports.clock.now())
    if begun is not True:
        if isinstance(begun, StoredReply) and begun.fingerprint != fingerprint:
            raise ApiError(409, "this form was sent before with something else in it", error="idempotency_key_reused")
        if begun is False:
            raise ApiError(503, "this form is being dealt with already")
        return
    try:
        await work()
    except BaseException:
        await ports.idempotency.forget(name)
        raise
    reply = StoredReply(fingerprint=fingerprint, status=204, content_type="", body=b"")
    await ports.idempotency.finish(name, reply, ports.clock.now())


HANDLERS: Final = (show, close, do_not_call, record, dial)
