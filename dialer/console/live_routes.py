"""Pages that move: the wallboard and a campaign; their live parts, their charts, and orders to a campaign."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any, Final

from litestar import Response, get, post
from litestar.params import FromPath, FromQuery

from dialer.api.campaign_routes import begin, order
from dialer.api.errors import ApiError
from dialer.api.event_stream import COMMENT, EventStream
from dialer.api.live_routes import WRITE_TIMEOUT_S
from dialer.api.requests import known_campaign
from dialer.console.answers import MAX_FIELD, PageRequest, Site, Staff, Visitor, page, to, view_of
from dialer.console.places import HOME, MANAGERS
from dialer.console.series import Chart
from dialer.console.site import Console
from dialer.console.visit import check_csrf
from dialer.core.campaign import CampaignState
from dialer.core.ids import ContactId, valid_contact_id
from dialer.projections.live_rows import LiveSnapshot

#: How often each stream asks for a newer view, which is made for all of them together (`Console.live`).
_EVERY_S: Final = 0.25
_COMMENT_EVERY_S: Final = 15.0
#: How often it is looked whether the session goes on.
_LOOK_EVERY_S: Final = 5.0
_LIVE: Final = frozenset({"wallboard", "campaign"})
_SPANS_S: Final = {"hour": 3_600.0, "day": 86_400.0}
_ORDERS: Final = {
    "start": CampaignState.RUNNING,
    "pause": CampaignState.PAUSED,
    "drain": CampaignState.DRAINING,
    "stop": CampaignState.STOPPED,
}


@get("/")
async def wallboard(console: Site, visit: Visitor) -> Response[str]:
    """All campaigns now; whoever begins elsewhere is taken there."""
    if (home := HOME[visit.key.role]) != "/console/":
        return to(home)
    return page(console, "wallboard", visit.texts, visit=visit, **_live(console))


@get("/campaigns/{campaign:str}")
async def campaign_page(
    console: Site,
    staff: Staff,
    campaign: FromPath[str],
    contact: FromQuery[str] = "",
    saved: FromQuery[bool] = False,
) -> Response[str]:
    """One campaign; with `contact`, why that one is not being called."""
    stored = await known_campaign(console.ports, campaign)
    asked = contact.strip()[:MAX_FIELD]
    found = None
    if asked and valid_contact_id(asked):
        found = await console.ports.explanations.explain(stored.campaign, stored.state, ContactId(asked))
    return page(
        console,
        "campaign",
        staff.texts,
        visit=staff,
        **_live(console, stored.campaign.id),
        stored=stored,
        asked=asked,
        found=found,
        saved=saved,
        maker=staff.key.role in MANAGERS,
        what_if=console.ports.what_if is not None,
    )


def _live(console: Console, campaign: str = "") -> dict[str, Any]:
    """What live parts are drawn from; `campaign`: the one that is shown."""
    view = view_of(console)
    return {"view": view, "alarms": console.alarms.of(view), "shown": campaign}


@get("/stream/{name:str}")
async def stream(
    request: PageRequest, console: Site, staff: Staff, name: FromPath[str], campaign: FromQuery[str] = ""
) -> EventStream:
    """The live part of a page, again whenever something has changed, at most twice a second."""
    if name not in _LIVE:
        raise ApiError(404, f"there is no live part {name[:20]!r}")
    if campaign:
        campaign = (await known_campaign(console.ports, campaign)).campaign.id
    parts = moving(request, console, lambda view: console.part(name, staff.texts, view, shown=campaign))
    return EventStream(parts, WRITE_TIMEOUT_S)


async def moving(
    request: PageRequest, console: Console, part: Callable[[LiveSnapshot], bytes]
) -> AsyncGenerator[bytes, None]:
    """The events of a live part, until the visitor's session ends."""
    shown: LiveSnapshot | None = None
    said_at = seen_at = console.ports.clock.now()
    yield COMMENT
    while True:
        now = console.ports.clock.now()
        if now - seen_at >= _LOOK_EVERY_S:
            seen_at = now
            if not await console.door.still(request):
                return  # it comes again, and is led to the form
        view, _ = console.live.at(console.ports, now)
        if view is not shown:
            shown, said_at = view, now
            yield part(view)
        elif now - said_at >= _COMMENT_EVERY_S:
            said_at = now
            yield COMMENT
        await asyncio.sleep(_EVERY_S)


@get("/series")
async def series_together(console: Site, staff: Staff, span: FromQuery[str] = "hour") -> Chart:
    """What the charts of all campaigns together show."""
    return console.series.together(console.ports.tenant, _span_s(span))


@get("/series/{campaign:str}")
async def series(console: Site, staff: Staff, campaign: FromPath[str], span: FromQuery[str] = "hour") -> Chart:
    """What the charts of a campaign show."""
    return console.series.chart(campaign, _span_s(span))


def _span_s(name: str) -> float:
    if name not in _SPANS_S:
        raise ApiError(422, f"span: must be {' or '.join(_SPANS_S)}")
    return _SPANS_S[name]


# ---- orders


@post("/campaigns/{campaign:str}/{verb:str}", opt={"no_body": True}, status_code=204)
async def give_order(
    request: PageRequest, console: Site, staff: Staff, campaign: FromPath[str], verb: FromPath[str]
) -> None:
    """Start, pause, drain or stop a campaign."""
    await check_csrf(request, staff)
    if verb not in _ORDERS:
        raise ApiError(404, f"there is no order {verb[:20]!r}")
    if verb == "start":
        await begin(console.ports, campaign)
    else:
        await order(console.ports, campaign, _ORDERS[verb])


HANDLERS: Final = (wallboard, campaign_page, stream, series_together, series, give_order)
