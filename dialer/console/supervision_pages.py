"""An agent as their supervisor sees them: attend their talks, change their state and campaigns, send them a message."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, Final

from litestar import Response, get, post
from litestar.params import FromPath
from msgspec import ValidationError, convert

from dialer.api.agent_routes import PauseInput, be_ready, end_talk, go_home, take_pause
from dialer.api.errors import ApiError
from dialer.api.event_stream import COMMENT, EventStream
from dialer.api.key_ports import Role
from dialer.api.live_routes import WRITE_TIMEOUT_S
from dialer.api.ports import ApiPorts
from dialer.api.requests import NodeSettings, checked_name
from dialer.api.rows import Accepted
from dialer.api.supervision_ports import AgentMessage
from dialer.api.supervision_routes import MAX_MESSAGE, MonitorInput, attend, leave, move, tell
from dialer.campaigns import refused
from dialer.console.answers import (
    FORM,
    MAX_FIELD,
    PageRequest,
    Site,
    Staff,
    Visitor,
    every_campaign,
    navigates,
    page,
    to,
)
from dialer.console.problems import Told, told
from dialer.console.site import Console, fragment
from dialer.console.visit import NotSignedIn, Visit, check_csrf
from dialer.core.campaign import CampaignState
from dialer.core.ids import AgentId
from dialer.errors import DialerError, InputError
from dialer.projections.live_rows import AgentRow, MonitorRow

_EVERY_S: Final = 0.5
_COMMENT_EVERY_S: Final = 15.0
#: A session that has ended hears no more after this.
_LOOK_EVERY_S: Final = 5.0
_END: Final = "end"

Act = Callable[[dict[str, str], list[str]], Awaitable[object]]


@get("/agents/{agent:str}")
async def agent_page(console: Site, staff: Staff, settings: NodeSettings, agent: FromPath[str]) -> Response[str]:
    """One agent."""
    return await _shown(console, staff, settings.desk.pause_codes, agent)


async def _shown(
    console: Console,
    visit: Visit,
    pause_codes: tuple[str, ...],
    agent: str,
    *,
    problem: str = "",
    status: int = 200,
    typed: dict[str, str] | None = None,
) -> Response[str]:
    ports = console.ports
    seen = _seen(ports, agent)
    return page(
        console,
        "agent",
        visit.texts,
        status=status,
        visit=visit,
        campaigns=[
            stored.campaign
            async for stored in every_campaign(ports)
            # One that is stopped needs nobody.
            if stored.state is not CampaignState.STOPPED or stored.campaign.id in seen["agent"].campaigns
        ],
        pause_codes=pause_codes,
        longest=MAX_MESSAGE,
        problem=problem,
        typed={"extension": "", "text": "", "code": ""} | (typed or {}),
        told=() if ports.supervision is None else ports.supervision.told(AgentId(agent)),
        now=ports.clock.now(),
        **seen,
    )


def _seen(ports: ApiPorts, agent: str) -> dict[str, Any]:
    """What is live on the page."""
    who = AgentId(checked_name(agent, "agent"))
    row = ports.control.live().agent(who)
    if row is None:
        raise ApiError(404, f"agent {agent!r} has not signed in today", code="agent_not_today", agent=agent)
    return {"agent": row, "monitors": ports.control.live().monitors(who)}


@get("/stream/agent/{agent:str}")
async def agent_stream(request: PageRequest, console: Site, staff: Staff, agent: FromPath[str]) -> EventStream:
    """The live part of an agent's page."""
    _seen(console.ports, agent)
    return EventStream(_parts(request, console, staff, agent), WRITE_TIMEOUT_S)


async def _parts(request: PageRequest, console: Console, visit: Visit, agent: str) -> AsyncGenerator[bytes, None]:
    clock = console.ports.clock
    before: tuple[AgentRow, tuple[MonitorRow, ...]] | None = None
    said_at = looked_at = clock.now()
    yield COMMENT
    while True:
        now = clock.now()
        try:
            seen = _seen(console.ports, agent)
            if now - looked_at >= _LOOK_EVERY_S:
                looked_at = now
                await console.door.visit(request)
        except (ApiError, NotSignedIn):
            return  # signed out and gone with the day, or the visitor's session has ended
        state = (seen["agent"], seen["monitors"])
        if state != before:
            before, said_at = state, now
            await console.holders.look()
            yield fragment(console.pages.render("part_agent", visit.texts, now=now, holders=console.holders, **seen))
        elif now - said_at >= _COMMENT_EVERY_S:
            said_at = now
            yield COMMENT
        await asyncio.sleep(_EVERY_S)


# ---- orders


@post("/agents/{agent:str}/monitor", opt=FORM)
async def monitor(
    request: PageRequest, console: Site, staff: Staff, settings: NodeSettings, agent: FromPath[str]
) -> Response[str]:
    """Listen, whisper, barge in, or end that."""

    async def act(form: dict[str, str], _: list[str]) -> None:
        if form["mode"] == _END:
            leave(console.ports, agent, staff.who, form["extension"] or None)
        else:
            given = {"mode": form["mode"], "extension": form["extension"]}
            attend(console.ports, agent, _read(given, MonitorInput), staff.who)

    return await _done(request, console, staff, settings.desk.pause_codes, agent, act)


@post("/agents/{agent:str}/state", opt=FORM)
async def change_state(
    request: PageRequest, console: Site, staff: Staff, settings: NodeSettings, agent: FromPath[str]
) -> Response[str]:
    """Ready, pause, end of the talk, sign-out."""
    ports = console.ports

    async def act(form: dict[str, str], _: list[str]) -> Accepted:
        who = AgentId(checked_name(agent, "agent"))
        match form["do"]:
            case "ready":
                return await be_ready(ports, who)
            case "pause":
                return await take_pause(ports, who, _read({"code": form["code"]}, PauseInput))
            case "hang-up":
                return await end_talk(ports, who)
            case "sign-out":
                return await go_home(ports, who)
            case other:
                raise ApiError(422, f"do: {other[:20]!r} is no order")

    return await _done(request, console, staff, settings.desk.pause_codes, agent, act)


@post("/agents/{agent:str}/campaigns", opt=FORM)
async def change_campaigns(
    request: PageRequest, console: Site, staff: Staff, settings: NodeSettings, agent: FromPath[str]
) -> Response[str]:
    """Move an agent to other campaigns."""

    async def act(_: dict[str, str], campaigns: list[str]) -> Accepted:
        if not campaigns:
            raise Told(422, staff.texts("supervision.no_campaign"))
        return await move(console.ports, agent, tuple(campaigns))

    return await _done(request, console, staff, settings.desk.pause_codes, agent, act)


@post("/agents/{agent:str}/messages", opt=FORM)
async def send(
    request: PageRequest, console: Site, staff: Staff, settings: NodeSettings, agent: FromPath[str]
) -> Response[str]:
    """Send an agent a message."""

    async def act(form: dict[str, str], _: list[str]) -> AgentMessage:
        return tell(console.ports, agent, form["text"], staff.who)

    return await _done(request, console, staff, settings.desk.pause_codes, agent, act)


async def _done(
    request: PageRequest, console: Console, visit: Visit, pause_codes: tuple[str, ...], agent: str, act: Act
) -> Response[str]:
    """Carry an order out. A form gets the page again, with what was typed where it was refused; a script a word."""
    given = await request.form()
    await check_csrf(request, visit, given)
    form = {name: str(given.get(name, "")).strip() for name in ("mode", "extension", "do", "code", "text")}
    campaigns = [str(one)[:MAX_FIELD] for one in given.getall("campaign", [])]
    try:
        await act(form, campaigns)
    except (ApiError, InputError) as error:
        status = error.status if isinstance(error, ApiError) else 422
        if not navigates(request):
            raise Told(status, told(visit.texts, error)) from error
        if console.ports.control.live().agent(AgentId(agent)) is None:
            raise
        return await _shown(
            console, visit, pause_codes, agent, problem=told(visit.texts, error), status=status, typed=form
        )
    return to(f"/console/agents/{agent}") if navigates(request) else Response("", status_code=204)


def _read(given: dict[str, str], kind: Any) -> Any:
    try:
        return convert(given, kind)
    except ValidationError as error:
        raise refused(error) from error


# ---- messages on the agent's own page


@get("/stream/messages")
async def messages(request: PageRequest, console: Site, visit: Visitor) -> EventStream:
    """What this agent is told, again whenever there is something new."""
    if visit.key.role is not Role.AGENT or visit.key.agent is None:
        raise ApiError(403, "messages are for agents")
    return EventStream(_messages(request, console, visit, visit.key.agent), WRITE_TIMEOUT_S)


async def _messages(
    request: PageRequest, console: Console, visit: Visit, agent: AgentId
) -> AsyncGenerator[bytes, None]:
    port, clock = console.ports.supervision, console.ports.clock
    shown: tuple[AgentMessage, ...] | None = None
    said_at = looked_at = clock.now()
    yield COMMENT
    while port is not None:
        now, told = clock.now(), tuple(port.told(agent))
        if now - looked_at >= _LOOK_EVERY_S:
            looked_at = now
            try:
                await console.door.visit(request)
            except (NotSignedIn, DialerError):
                return
        if told != shown:
            shown, said_at = told, now
            await console.holders.look(one.by for one in told)
            parts = {"told": told[::-1], "holders": console.holders}
            yield fragment(console.pages.render("part_messages_list", visit.texts, **parts))
        elif now - said_at >= _COMMENT_EVERY_S:
            said_at = now
            yield COMMENT
        await asyncio.sleep(_EVERY_S)


HANDLERS: Final = (
    agent_page,
    agent_stream,
    monitor,
    change_state,
    change_campaigns,
    send,
    messages,
)
