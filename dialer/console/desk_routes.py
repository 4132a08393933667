"""The agent's page: signing in with a phone, the state with its buttons, live for this agent alone, and their day.

Every order goes the way of the API's and is for the agent whose session it is: no page or form names another.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from litestar import Response, get, post
from litestar.params import FromPath
from msgspec import ValidationError, convert

from dialer.api.agent_routes import PauseInput, SignInInput, be_ready, begin_work, end_talk, go_home, take_pause
from dialer.api.attempt_ports import AttemptQuery
from dialer.api.desk_ports import Account
from dialer.api.errors import ApiError
from dialer.api.event_stream import COMMENT, EventStream
from dialer.api.key_ports import Role
from dialer.api.live_routes import WRITE_TIMEOUT_S
from dialer.api.ports import ApiPorts
from dialer.api.requests import NodeSettings
from dialer.api.rows import rfc3339
from dialer.campaigns import in_words
from dialer.console.answers import FORM, PageRequest, Site, Visitor, every_campaign, page
from dialer.console.desk_phone import MICROPHONE, chosen, in_browser, policy
from dialer.console.desk_times import shift_end
from dialer.console.desk_view import DeskView, code_name, look
from dialer.console.preview_view import offer_view
from dialer.console.problems import Told
from dialer.console.site import Console, fragment
from dialer.console.visit import Visit, check_csrf
from dialer.core.campaign import Campaign, CampaignState
from dialer.core.disposition import find_code
from dialer.core.ids import AgentId
from dialer.errors import InputError
from dialer.reporting.figures import AgentTime, Figures
from dialer.reporting.indicators import Costs, indicators
from dialer.reporting.order import Dimension, ReportOrder
from dialer.settings import Settings

#: How often it is looked whether something has changed: the page follows a call within a blink.
_EVERY_S: Final = 0.25
#: Something is sent at least so often, so that the page knows a lost connection from a quiet one.
_TICK_EVERY_S: Final = 5.0
#: The session is looked up whenever a stream begins: one that has ended hears nothing after this.
_LASTS_S: Final = 60.0
_TICK: Final = b"event: tick\ndata: \n\n"
_OPEN: Final = frozenset({CampaignState.RUNNING, CampaignState.PAUSED, CampaignState.DRAINING})
#: Calls of the day that are listed.
_MOST_CALLS: Final = 30


def own_desk(visit: Visit) -> AgentId:
    """The agent whose page it is.

    Raises:
        ApiError: 403 where the visitor is no agent.
    """
    if visit.key.role is not Role.AGENT or visit.key.agent is None:
        raise ApiError(403, "this page is for agents")
    return visit.key.agent


def own_zone(ports: ApiPorts) -> str:
    """The zone whose clock agents go by."""
    return "UTC" if ports.reports is None else ports.reports.default_zone


@get("/desk")
async def desk(console: Site, visit: Visitor, settings: NodeSettings) -> Response[str]:
    """The whole page."""
    agent, ports = own_desk(visit), console.ports
    account = Account() if ports.desks is None else await ports.desks.account(agent)
    campaigns = await _campaigns(ports, account)
    browser_phone = ports.phones is not None and ports.phones.offered(agent)
    answer = page(
        console,
        "desk",
        visit.texts,
        visit=visit,
        agent=agent,
        phone=account.phone,
        campaigns=campaigns,
        zone=own_zone(ports),
        browser_phone=browser_phone,
        **_live(console, agent, settings),
    )
    answer.headers["content-security-policy"] = policy(settings)
    if browser_phone:
        answer.headers["permissions-policy"] = MICROPHONE
    return answer


@get("/stream/desk")
async def stream(console: Site, visit: Visitor, settings: NodeSettings) -> EventStream:
    """The state of this agent, again whenever it has changed; for a minute, then the browser comes again."""
    return EventStream(_parts(console, visit, own_desk(visit), settings), WRITE_TIMEOUT_S)


async def _parts(console: Console, visit: Visit, agent: AgentId, settings: Settings) -> AsyncGenerator[bytes, None]:
    clock = console.ports.clock
    shown: DeskView | None = None
    began_at = said_at = now = clock.now()
    yield COMMENT
    while now - began_at < _LASTS_S:
        view, now = look(console.ports, agent), clock.now()
        if view != shown:
            shown, said_at = view, now
            yield fragment(console.pages.render("part_desk", visit.texts, **_live(console, agent, settings)))
        elif now - said_at >= _TICK_EVERY_S:
            said_at = now
            yield _TICK
        await asyncio.sleep(_EVERY_S)


def _live(console: Console, agent: AgentId, settings: Settings) -> dict[str, Any]:
    view = look(console.ports, agent)
    return {
        "desk": view,
        "now": console.ports.clock.now(),
        "pause_codes": settings.desk.pause_codes,
        "offer": None if view.offer is None else offer_view(view.offer, numbers=settings.desk.show_numbers),
        "in_browser": view.seat is not None and in_browser(console.ports, agent, view.seat.extension),
    }


async def _campaigns(ports: ApiPorts, account: Account) -> list[Campaign]:
    """Those that an agent with these skills can work for."""
    return [
        stored.campaign
        async for stored in every_campaign(ports)
        if (ports.control.live().campaign_state(stored.campaign.id) or stored.state) in _OPEN
        and stored.campaign.skills <= account.skills
    ]


# ---- orders


@post("/desk/sign-in", opt=FORM, status_code=204)
async def sign_in(request: PageRequest, console: Site, visit: Visitor) -> None:
    """Call the agent's phone and keep it."""
    agent, ports = own_desk(visit), console.ports
    form = await request.form()
    await check_csrf(request, visit, form)
    account = Account() if ports.desks is None else await ports.desks.account(agent)
    wanted = [str(name) for name in form.getall("campaign", [])]
    strange = set(wanted) - {campaign.id for campaign in await _campaigns(ports, account)}
    if not wanted or strange:
        raise Told(422, visit.texts("desk.no_campaign"))
    phone = chosen(ports, agent, form)
    if phone is None:
        raise Told(422, visit.texts("phone.not_here"))
    given = {
        **phone,
        "campaigns": wanted,
        "ready": "ready" in form,
        "skills": sorted(account.skills),
        "priority": account.priority,
        "shift_ends_at": _shift_end(ports, visit, str(form.get("shift_ends", "")).strip()),
    }
    try:
        data = convert(given, SignInInput)
    except ValidationError as error:
        raise Told(422, visit.texts("desk.no_phone", problem=in_words(str(error)))) from error
    await begin_work(ports, agent, data)


def _shift_end(ports: ApiPorts, visit: Visit, hour: str) -> str | None:
    """When their shift ends; None: they did not say."""
    if not hour:
        return None
    try:
        return rfc3339(shift_end(hour, own_zone(ports), ports.clock.now()))
    except InputError as error:
        raise Told(422, visit.texts("desk.no_shift_end")) from error


@post("/desk/{order:str}", opt=FORM, status_code=204)
async def give_order(
    request: PageRequest, console: Site, visit: Visitor, settings: NodeSettings, order: FromPath[str]
) -> None:
    """Be ready, pause, hang up, or sign out."""
    agent, ports = own_desk(visit), console.ports
    form = await request.form()
    await check_csrf(request, visit, form)
    match order:
        case "ready":
            await be_ready(ports, agent)
        case "pause":
            code = str(form.get("code", ""))
            if code not in settings.desk.pause_codes:
                raise Told(422, visit.texts("desk.no_pause_code"))
            await take_pause(ports, agent, PauseInput(code=code))
        case "hang-up":
            await end_talk(ports, agent)
        case "sign-out":
            await go_home(ports, agent)
        case _:
            raise ApiError(404, f"there is no order {order[:20]!r}")


# ---- the day


@get("/desk/day")
async def day(console: Site, visit: Visitor) -> Response[str]:
    """The agent's own numbers and calls of the day."""
    agent, ports, now = own_desk(visit), console.ports, console.ports.clock.now()
    zone = ZoneInfo(own_zone(ports))
    since = datetime.fromtimestamp(now, zone).replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
    figures, measures = await _figures(ports, agent, since, now)
    attempts = await ports.attempts.page(AttemptQuery(agent=agent, ended_from=since), None, _MOST_CALLS)
    given = await ports.attempts.dispositions([attempt.call for attempt in attempts])
    names: dict[tuple[str, str], str] = {}
    for id in {attempt.campaign for attempt in attempts}:
        stored = await ports.campaigns.get(id)
        for code in set(given.values()) if stored is not None else ():
            known = find_code(stored.campaign.dispositions, code) if stored is not None else None
            names[id, code] = code if known is None else code_name(known, visit.texts)
    html = console.pages.render(
        "part_desk_day",
        visit.texts,
        row=ports.control.live().agent(agent),
        figures=figures,
        measures=measures,
        latest=_MOST_CALLS if len(attempts) == _MOST_CALLS else 0,
        calls=[
            (attempt, names.get((attempt.campaign, given.get(attempt.call, "")), given.get(attempt.call, "")))
            for attempt in attempts
            if attempt.connected_at is not None
        ],
    )
    return Response(html, media_type="text/html")


async def _figures(ports: ApiPorts, agent: AgentId, since: float, now: float) -> tuple[Figures, dict[str, Any]]:
    """Those of reports, of this agent and day alone."""
    figures = Figures(agents=AgentTime())
    if ports.reports is not None and since < now:
        order = ReportOrder(since=since, until=now, by=(Dimension.AGENT,), agents=frozenset({agent}))
        try:
            figures = (await ports.reports.make(order)).total
        except InputError as error:
            raise ApiError(422, str(error), code=error.code, **error.arguments) from error
    return figures, indicators(figures, Costs())


HANDLERS: Final = (desk, stream, sign_in, give_order, day)
