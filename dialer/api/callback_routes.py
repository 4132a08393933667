"""The calendar of callbacks: what is to be called when, by whom, at what time of theirs, and what is overdue."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final
from zoneinfo import ZoneInfo

from litestar import Router, get
from litestar.params import FromQuery, QueryParameter
from msgspec import Struct

from dialer.api.auth import requires
from dialer.api.callback_ports import Appointment, CallbackQuery
from dialer.api.errors import KEYED, ApiError, documented
from dialer.api.key_ports import Role
from dialer.api.ports import ApiPorts
from dialer.api.requests import (
    Cursor,
    KeyedRequest,
    Limit,
    Ports,
    checked_name,
    cursor_of_three,
    cursor_to_three,
    moment,
)
from dialer.api.rows import rfc3339
from dialer.core.agent import AgentState
from dialer.core.ids import AgentId, CampaignId
from dialer.core.promise import Standing, overdue, standing

#: An agent who is signed in can be given it.
_GONE: Final = frozenset({AgentState.SIGNED_OUT, AgentState.LOST})
#: The contact is being called now.
_CALLING: Final = "calling"

_From = Annotated[str | None, QueryParameter(name="from", description="RFC 3339: those at or after it")]
_To = Annotated[str | None, QueryParameter(name="to", description="RFC 3339: those before it")]


class CallbackOut(Struct, kw_only=True, omit_defaults=True):
    """One callback; moments are RFC 3339."""

    campaign: str
    contact: str
    name: str
    phone: str
    #: When it is to be called next: as agreed, or the next try of one that nobody has answered.
    at: str
    #: planned, due, open (its agent's time is over, it is anybody's), lapsed (its window is over), calling.
    state: str
    #: Its time has passed by more than a minute, and it is not being called.
    overdue: bool
    #: From when on it is anybody's, and until when it is tried again.
    fallback_at: str
    until: str
    #: False: it was not agreed; they were abandoned, and are owed a call with an agent reserved.
    agreed: bool
    made_at: str
    #: Whose it is; absent: anybody's. And whether they are signed in here.
    agent: str | None = None
    agent_is_here: bool | None = None
    #: The clock of the person called, `at` by it, and the other clocks that may be theirs.
    timezone: str | None = None
    local_time: str | None = None
    other_timezones: list[str] = []


class CallbacksOut(Struct, kw_only=True):
    """Callbacks by their time."""

    items: list[CallbackOut]
    next_cursor: str | None


@get(
    "/callbacks",
    guards=[requires(Role.AGENT, Role.SUPERVISOR, Role.CRM)],
    responses=documented(*KEYED, 422),
)
async def list_callbacks(
    request: KeyedRequest,
    ports: Ports,
    since: _From = None,
    until: _To = None,
    agent: FromQuery[str | None] = None,
    campaign: FromQuery[str | None] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> CallbacksOut:
    """Callbacks that wait, the earliest first; an agent's key gets its own."""
    if request.auth.role is Role.AGENT:
        if agent is not None and agent != request.auth.agent:
            raise ApiError(403, "an agent's key may only act for its own agent")
        agent = request.auth.agent or ""
    query = CallbackQuery(
        since=moment(since, "from"),
        until=moment(until, "to"),
        agent=None if agent is None else AgentId(checked_name(agent, "agent")),
        campaign=None if campaign is None else CampaignId(checked_name(campaign, "campaign")),
    )
    if ports.callbacks is None:
        raise ApiError(503, "this node has no record of callbacks")
    found = await ports.callbacks.page(query, cursor_of_three(cursor), limit + 1)
    items, last = found[:limit], found[limit - 1] if len(found) > limit else None
    now = ports.clock.now()
    calling = {(call.campaign, call.contact) for call in ports.control.live().calls()} if items else set()
    return CallbacksOut(
        items=[
            _out(ports, item, now, calling=(item.promise.campaign, item.promise.contact) in calling) for item in items
        ],
        next_cursor=None
        if last is None
        else cursor_to_three(last.promise.at, last.promise.campaign, last.promise.contact),
    )


def _out(ports: ApiPorts, item: Appointment, now: float, *, calling: bool) -> CallbackOut:
    promise = item.promise
    row = None if promise.agent is None else ports.control.live().agent(promise.agent)
    zone = item.zones[0] if item.zones else None
    where: Standing | str = _CALLING if calling else standing(promise, now)
    return CallbackOut(
        campaign=promise.campaign,
        contact=promise.contact,
        name=item.name,
        phone=item.phone,
        at=rfc3339(promise.at),
        state=str(where),
        overdue=overdue(promise, now) and not calling,
        fallback_at=rfc3339(promise.fallback_at),
        until=rfc3339(promise.until_at),
        agreed=item.agreed,
        made_at=rfc3339(item.made_at),
        agent=promise.agent,
        agent_is_here=None if promise.agent is None else row is not None and row.state not in _GONE,
        timezone=zone,
        local_time=None
        if zone is None
        else datetime.fromtimestamp(promise.at, ZoneInfo(zone)).isoformat(timespec="seconds"),
        other_timezones=list(item.zones[1:]),
    )


routes = Router("/", route_handlers=[list_callbacks], tags=["contacts"])
