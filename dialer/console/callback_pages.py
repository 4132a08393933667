"""The agent's own callbacks of the coming day on their page: what is soon, and what is overdue."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from litestar import Response, get

from dialer.api.callback_ports import Appointment, CallbackQuery
from dialer.console.answers import Site, Visitor
from dialer.console.desk_routes import own_desk
from dialer.core.promise import overdue

_AHEAD_S: Final = 24 * 3_600.0
_MOST: Final = 20
#: Those that come within it are marked.
_SOON_S: Final = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackLine:
    """One callback as its agent sees it."""

    name: str
    campaign: str
    #: By the clock of the floor, and by that of the person where it is another.
    here: str
    there: str
    overdue: bool
    soon: bool
    minutes: int


def line(item: Appointment, now: float, zone: ZoneInfo) -> CallbackLine:
    """What an agent is shown of a callback of theirs; `zone`: the floor's."""
    at = item.promise.at
    here = datetime.fromtimestamp(at, zone)
    there = datetime.fromtimestamp(at, ZoneInfo(item.zones[0])) if item.zones else here
    return CallbackLine(
        name=item.name or item.promise.contact,
        campaign=item.promise.campaign,
        here=here.strftime("%H:%M"),
        there="" if there.utcoffset() == here.utcoffset() else there.strftime("%H:%M"),
        overdue=overdue(item.promise, now),
        soon=now <= at <= now + _SOON_S,
        minutes=max(0, math.ceil((at - now) / 60)),
    )


@get("/desk/callbacks")
async def callbacks(console: Site, visit: Visitor) -> Response[str]:
    """This agent's callbacks until tomorrow, the earliest first."""
    agent, ports = own_desk(visit), console.ports
    now = ports.clock.now()
    zone = ZoneInfo("UTC" if ports.reports is None else ports.reports.default_zone)
    found = []
    if ports.callbacks is not None:
        found = list(await ports.callbacks.page(CallbackQuery(until=now + _AHEAD_S, agent=agent), None, _MOST + 1))
    items = [line(item, now, zone) for item in found[:_MOST]]
    html = console.pages.render("part_callbacks", visit.texts, items=items, more=len(found) > _MOST)
    return Response(html, media_type="text/html")


HANDLERS: Final = (callbacks,)
