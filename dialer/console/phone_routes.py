"""The phone on the agent's page: what their browser registers with, and coming back to work when it was lost."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from litestar import Response, post
from msgspec import json

from dialer.api.agent_routes import SignInInput, begin_work
from dialer.api.audit import deed
from dialer.api.errors import ApiError
from dialer.api.phone_ports import IceServer
from dialer.api.requests import submit
from dialer.console.answers import FORM, PageRequest, Site, Visitor
from dialer.console.desk_phone import in_browser
from dialer.console.desk_routes import own_desk
from dialer.console.visit import check_csrf
from dialer.core.agent import AgentState
from dialer.core.events import AgentPageCame, AgentPageLeft
from dialer.core.ids import CampaignId

#: An agent in one of these has a leg, as far as is known.
_WITH_PHONE: Final = frozenset(
    {AgentState.IDLE, AgentState.RESERVED, AgentState.TALKING, AgentState.WRAPUP, AgentState.PAUSED}
)


@post("/desk/phone", opt=FORM, status_code=200)
async def open_phone(request: PageRequest, console: Site, visit: Visitor) -> Response[bytes]:
    """What this agent's browser registers with, for some minutes."""
    agent, ports = own_desk(visit), console.ports
    form = await request.form()
    await check_csrf(request, visit, form)
    if ports.phones is None or not ports.phones.offered(agent):
        raise ApiError(404, visit.texts("phone.not_here"))
    deed(request, "phone.opened", agent)
    campaigns = [CampaignId(str(name)) for name in form.getall("campaign", [])]
    access = await ports.phones.access(agent, anew=form.get("anew") == "on", campaigns=campaigns)
    if isinstance(access, str):
        raise ApiError(503, visit.texts("phone.no_access", problem=access))
    given = {
        "server": access.server,
        "url": access.url,
        "phone": access.phone,
        "realm": access.realm,
        "password": access.password,
        "ice": [_ice(server) for server in access.ice],
        "relay_only": access.relay_only,
        "lasts_s": access.expires_at - ports.clock.now(),
    }
    return Response(json.encode(given), media_type="application/json")


def _ice(server: IceServer) -> dict[str, Any]:
    """As browsers have it (RTCIceServer)."""
    found: dict[str, Any] = {"urls": server.urls}
    if server.username:
        found |= {"username": server.username, "credential": server.credential}
    return found


@post("/desk/phone/left", opt=FORM, status_code=204)
async def leave_page(request: PageRequest, console: Site, visit: Visitor) -> None:
    """The page goes in a talk, perhaps to be loaded anew: they are kept for each other for some seconds."""
    agent, ports = own_desk(visit), console.ports
    await check_csrf(request, visit, await request.form())
    seat = None if ports.desks is None else ports.desks.seat(agent)
    row = ports.control.live().agent(agent)
    if seat is None or row is None or row.state not in _WITH_PHONE or not in_browser(ports, agent, seat.extension):
        raise ApiError(409, visit.texts("phone.not_lost"))
    await submit(ports, AgentPageLeft(at=ports.clock.now(), agent=agent))


@post("/desk/phone/again", opt=FORM, status_code=204)
async def come_back(request: PageRequest, console: Site, visit: Visitor) -> None:
    """Have an agent's browser called again that was lost, or whose page was loaded anew; they are as they were."""
    agent, ports = own_desk(visit), console.ports
    await check_csrf(request, visit, await request.form())
    seat = None if ports.desks is None else ports.desks.seat(agent)
    row = ports.control.live().agent(agent)
    if seat is None or row is None or not in_browser(ports, agent, seat.extension):
        raise ApiError(409, visit.texts("phone.not_lost"))
    if row.state in _WITH_PHONE:
        await submit(ports, AgentPageCame(at=ports.clock.now(), agent=agent))
        return
    if row.state != AgentState.LOST:
        raise ApiError(409, visit.texts("phone.not_lost"))
    ends_at = seat.shift_ends_at
    data = SignInInput(
        phone=seat.extension,
        server=row.server,
        campaigns=row.campaigns,
        ready=seat.wants_ready,
        skills=seat.skills,
        priority=seat.priority,
        shift_ends_at=None if ends_at is None else datetime.fromtimestamp(ends_at, UTC).isoformat(),
    )
    await begin_work(ports, agent, data)


HANDLERS: Final = (open_phone, leave_page, come_back)
