"""Calls: those in flight, those that ended, hang-up, and objections told to an agent."""

from __future__ import annotations

from typing import Annotated, Literal

from litestar import Router, get, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from msgspec import Meta, Struct

from dialer.api.attempt_ports import AttemptQuery
from dialer.api.auth import own_agent, requires
from dialer.api.errors import BODY, KEYED, ApiError, documented
from dialer.api.key_ports import ApiKey, Role
from dialer.api.ports import ApiPorts
from dialer.api.requests import (
    Cursor,
    KeyedRequest,
    Limit,
    Ports,
    checked_name,
    cursor_from,
    cursor_to,
    known_campaign,
    moment,
    submit,
)
from dialer.api.rows import Accepted, CallOut, CallsNow, CallsPage, WrittenOut, call_ended, call_in_flight
from dialer.core.events import HangupAsked, OptOutTold
from dialer.core.ids import AgentId, CallId, CampaignId, ContactId, valid_name
from dialer.core.opt_out_desk import opt_out_ref
from dialer.core.outcome import Outcome
from dialer.core.tenants import everywhere


@get("/calls", guards=[requires(Role.SUPERVISOR, Role.CRM)], responses=documented(*KEYED, 404, 422, 503))
async def list_calls(
    ports: Ports,
    campaign: FromQuery[str | None] = None,
    contact: FromQuery[str | None] = None,
    agent: FromQuery[str | None] = None,
    outcome: FromQuery[Outcome | None] = None,
    ended_from: Annotated[str | None, QueryParameter(description="RFC 3339 with zone")] = None,
    ended_before: Annotated[str | None, QueryParameter(description="RFC 3339 with zone")] = None,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> CallsPage:
    """Ended calls, newest first."""
    query = AttemptQuery(
        campaign=None if campaign is None else (await known_campaign(ports, campaign)).campaign.id,
        contact=None if contact is None else ContactId(contact),
        agent=None if agent is None else AgentId(checked_name(agent, "agent")),
        outcome=None if outcome is None else outcome.value,
        ended_from=moment(ended_from, "ended_from"),
        ended_before=moment(ended_before, "ended_before"),
    )
    before = cursor_from(cursor)
    found = await ports.attempts.page(query, None if before is None else (before[0], CallId(before[1])), limit + 1)
    last = found[limit - 1] if len(found) > limit else None
    codes = await ports.attempts.dispositions([attempt.call for attempt in found[:limit]])
    return CallsPage(
        items=[call_ended(attempt, codes.get(attempt.call)) for attempt in found[:limit]],
        next_cursor=None if last is None else cursor_to(last.ended_at, last.call),
    )


@get("/calls/live", guards=[requires(Role.SUPERVISOR)], responses=documented(*KEYED, 404, 422))
async def list_calls_now(ports: Ports, campaign: FromQuery[str | None] = None, limit: Limit = 500) -> CallsNow:
    """Calls in flight, oldest first."""
    of = None if campaign is None else (await known_campaign(ports, campaign)).campaign.id
    rows = ports.control.live().calls(of)
    return CallsNow(items=[call_in_flight(row) for row in rows[:limit]], total=len(rows))


async def find_call(ports: ApiPorts, call: str) -> CallOut:
    """One call, in flight or ended.

    Raises:
        ApiError: 404.
    """
    if valid_name(call):
        row = ports.control.live().call(CallId(call))
        if row is not None:
            return call_in_flight(row)
        attempt = await ports.attempts.get(CallId(call))
        if attempt is not None:
            return call_ended(attempt, (await ports.attempts.dispositions([attempt.call])).get(attempt.call))
    raise ApiError(404, f"there is no call {call[:80]!r}", code="no_call", call=call[:80])


@get("/calls/{call:str}", guards=[requires(Role.SUPERVISOR, Role.CRM)], responses=documented(*KEYED, 404, 503))
async def get_call(call: FromPath[str], ports: Ports) -> CallOut:
    """One call, in flight or ended. A call that has just ended may take a moment to be in the record."""
    return await find_call(ports, call)


@post(
    "/calls/{call:str}/hangup",
    guards=[requires(Role.SUPERVISOR, Role.CRM)],
    responses=documented(*KEYED, 404, 409, 503),
    status_code=202,
    opt={"no_body": True},
)
async def hang_up(call: FromPath[str], request: KeyedRequest, ports: Ports) -> Accepted:
    """Hang a call up, whatever its state."""
    found = await find_call(ports, call)
    if found.state == "ended":
        raise ApiError(409, "this call has ended already", error="ended")
    await submit(ports, HangupAsked(at=ports.clock.now(), call=CallId(call), by=request.auth.id))
    return Accepted()


class OptOutInput(Struct, forbid_unknown_fields=True, kw_only=True):
    """Somebody who is talked with wants no more calls."""

    scope: Annotated[
        Literal["*", "campaign"] | None,
        Meta(description='"*": any campaign; "campaign": this one; null: as the campaign has it'),
    ] = None
    reason: Annotated[str, Meta(max_length=500)] = ""


@post(
    "/calls/{call:str}/do-not-call",
    guards=[requires(Role.AGENT, Role.SUPERVISOR, Role.CRM)],
    responses=documented(*KEYED, *BODY, 404),
    status_code=201,
)
async def do_not_call(
    call: FromPath[str], data: JSONBody[OptOutInput], request: KeyedRequest, ports: Ports
) -> WrittenOut:
    """The person of this call wants no more of them. It holds when this returns; a talk goes on."""
    return await opt_out(ports, request.auth, call, data)


async def opt_out(ports: ApiPorts, key: ApiKey, call: str, data: OptOutInput) -> WrittenOut:
    """Put the person of a call on the do-not-call list; it holds when this returns.

    Raises:
        ApiError: 404 where there is no such call, 403 where it is not for this key.
    """
    found = await find_call(ports, call)
    # An agent may do this for the calls that are theirs, and no others.
    own_agent(key, found.agent or "")
    wanted = data.scope
    if wanted is None:
        stored = await ports.campaigns.get(CampaignId(found.campaign))
        wanted = "*" if stored is None or stored.campaign.opt_out_scope == "*" else "campaign"
    scope = everywhere(found.campaign) if wanted == "*" else found.campaign
    by = key.agent or key.id
    message = {
        "id": opt_out_ref(CallId(call)),
        "op": "add",
        "phone": found.phone,
        "scope": scope,
        "reason": data.reason.strip() or "opt-out told to an agent",
        "source": "agent" if key.role is Role.AGENT else "api",
        "by": by,
    }
    await ports.purges.do_not_call([message])
    await submit(ports, OptOutTold(at=ports.clock.now(), call=CallId(call), scope=scope, by=by))
    return WrittenOut(ids=[str(message["id"])])


routes = Router("/", route_handlers=[list_calls, list_calls_now, get_call, hang_up, do_not_call], tags=["calls"])
