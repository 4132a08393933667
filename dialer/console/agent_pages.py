"""All agents now, or those that are looked for; what is asked for stands in the address."""

from __future__ import annotations

from typing import Final

from litestar import Response, get
from litestar.params import FromQuery

from dialer.api.event_stream import EventStream
from dialer.api.live_routes import WRITE_TIMEOUT_S
from dialer.console.agent_filter import AgentFilter
from dialer.console.answers import PageRequest, Site, Staff, page, view_of
from dialer.console.live_routes import moving


@get("/agents")
async def agents(
    console: Site, staff: Staff, name: FromQuery[str] = "", status: FromQuery[str] = "", campaign: FromQuery[str] = ""
) -> Response[str]:
    """The table."""
    wanted = AgentFilter.typed(name, status, campaign)
    view = view_of(console)
    return page(
        console,
        "agents",
        staff.texts,
        visit=staff,
        typed=name.strip(),
        campaigns=sorted({row.id for row in view.campaigns} | {id for one in view.agents for id in one.campaigns}),
        view=view,
        alarms=console.alarms.of(view),
        wanted=wanted,
    )


@get("/stream/agents")
async def agents_stream(
    request: PageRequest,
    console: Site,
    staff: Staff,
    name: FromQuery[str] = "",
    status: FromQuery[str] = "",
    campaign: FromQuery[str] = "",
) -> EventStream:
    """The table, again whenever something has changed, at most twice a second."""
    wanted = AgentFilter.typed(name, status, campaign)
    parts = moving(request, console, lambda view: console.part("agents", staff.texts, view, wanted=wanted))
    return EventStream(parts, WRITE_TIMEOUT_S)


HANDLERS: Final = (agents, agents_stream)
